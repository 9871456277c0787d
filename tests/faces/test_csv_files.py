"""CSV files, good and bad: what a line is refused for, in plain words."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest

from emix.faces.csv_files import load_csv

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl


def load(path: Path, content: bytes, *, header: bool = True, separator: str = ",") -> pl.DataFrame:
    path.write_bytes(content)
    return load_csv(str(path), header=header, separator=separator)


@pytest.mark.parametrize(
    "content",
    [b"a,b\n1,2\n", b"\xef\xbb\xbfa,b\r\n1,2\r\n", b"\n\na,b\n1,2", b'"a","b"\n1,"2"\n'],
    ids=["plain", "byte order mark", "empty lines", "quoted"],
)
def test_csv_of_many_kinds_is_read(tmp_path: Path, content: bytes) -> None:
    frame = load(tmp_path / "rows.csv", content)
    assert frame.columns == ["a", "b"]
    assert [float(value) for value in frame.row(0)] == [1.0, 2.0]


@pytest.mark.parametrize("separator", [";", "\t", "|", " "])
def test_separators(tmp_path: Path, separator: str) -> None:
    frame = load(tmp_path / "rows.csv", f"a{separator}b\n1{separator}2\n".encode(), separator=separator)
    assert frame.to_dict(as_series=False) == {"a": [1], "b": [2]}


def test_without_header_the_first_line_is_data(tmp_path: Path) -> None:
    frame = load(tmp_path / "rows.csv", b"1,1\n2,3\n", header=False)
    assert frame.to_dict(as_series=False) == {"x0": [1, 2], "x1": [1, 3]}


def test_one_column_whose_name_holds_a_separator(tmp_path: Path) -> None:
    assert load(tmp_path / "rows.csv", b"length; cm\n1\n2\n").columns == ["length; cm"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"1,2\n3,4\n", r"the first line holds numbers \(1, 2\), expected column names: pass --no-header if it is"),
        (b"1,1\n3,4\n", r"the first line holds numbers \(1, 1\)"),
        (b"a,b,a\n1,2,3\n", "columns 1 and 3 have the same name, 'a': give each its own"),
        (b"a,b,,\n1,2,3,4\n", "columns 3 and 4 have the same name, '': give each its own"),
        (b"a\xe9,b\n1,2\n", r"line 1 is not UTF-8 \(byte 0xe9 after 1 others\): save the file in that encoding"),
        (b"a,b\n1,2\n1,2\n3,\xff\n", r"line 4 is not UTF-8 \(byte 0xff after 2 others\)"),
        ("a,b\n1,2\n".encode("utf-16"), r"line 1 is not UTF-8 \(byte 0xff after 0 others\)"),
        (b"a,b\n1,2\n3,4,5\n6,7,8\n", "line 3 has 3 values, but the first line names 2 columns"),
        (b'a,b\n1,2\n"3\n4",5,6\n', "line 4 has 3 values, but the first line names 2 columns"),
        (b'a,b\n1,2\n"3,4\n', "line 3: a quotation mark is not closed"),
        (b"a;b\n1;2\n", "the first line is one value, 'a;b': if ';' separates the columns, pass --separator ';'"),
        (b"a;b\n1,5;2,5\n", "if ';' separates the columns, pass --separator ';'"),
        (b"a\tb\n1\t2\n", "if tab separates the columns, pass --separator tab"),
    ],
)
def test_bad_csv_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "rows.csv", content)


def test_without_header_lines_are_still_of_one_width(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 2 has 3 values, but the first line has 2"):
        load(tmp_path / "rows.csv", b"1,2\n3,4,5\n", header=False)


def test_standard_input_is_refused_in_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n3,4,5\n")))
    with pytest.raises(ValueError, match="line 3 has 3 values, but the first line names 2 columns"):
        load_csv("-", header=True, separator=",")
