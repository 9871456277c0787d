"""CSV files, good and bad: what a line is refused for, in plain words."""

from __future__ import annotations

import gzip
import io
import random
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from emix.cli.csv_files import load_csv

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl


def load(path: Path, content: bytes, *, header: bool = True, separator: str | None = ",") -> pl.DataFrame:
    path.write_bytes(content)
    return load_csv(str(path), header=header, separator=separator)


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n",
        b"\xef\xbb\xbfa,b\r\n1,2\r\n",
        b"\n\na,b\n1,2",
        b'"a","b"\n1,"2"\n',
        b"a, b\n1, 2\n",
        b'a , "b" \n 1 , "2" \n',
        b"a,b\n+1,+2.0\n",
        b"a;b\n1;2\n",
        b"a|b\n1|2\n",
        b"a\tb\n1\t2\n",
        b"a b\n1 2\n",
        b"  a    b\r\n  1    2  \r\n",
        b'"a" "b"\n1\t2\n',
        b"# from a lab\n  # more\na,b\n# between\n1,2\n# end",
        b"# from a lab\n# a b\n1 2\n",
        b"#a,b\n1,2\n",
        b"a,b\n1,2\n\n\n",
        b"a,b\r\n\r\n1,2\r\n",
        b"a,b\n  \t\n1,2\n \r\n",
        gzip.compress(b"a,b\n1,2\n"),
        gzip.compress(b"a,b\n") + gzip.compress(b"1,2\n"),
    ],
    ids=[
        *("plain", "byte order mark", "empty lines", "quoted", "blank after the comma", "blanks about quotes"),
        *("plus signs", "semicolons", "bars", "tabs", "blanks", "aligned", "quoted and aligned", "comments"),
        *(
            "names in a comment",
            "names in a comment, by commas",
            "empty lines at the end",
            "empty lines, Windows",
            "lines of blanks",
        ),
        *("gzip", "two gzip members"),
    ],
)
def test_csv_of_many_kinds_is_read(tmp_path: Path, content: bytes) -> None:
    frame = load(tmp_path / "rows.csv", content, separator=None)
    assert frame.columns == ["a", "b"]
    assert [float(value) for value in frame.row(0)] == [1.0, 2.0]


@pytest.mark.parametrize("separator", [";", "\t", "|", " "])
def test_separators(tmp_path: Path, separator: str) -> None:
    frame = load(tmp_path / "rows.csv", f"a{separator}b\n1{separator}2\n".encode(), separator=separator)
    assert frame.to_dict(as_series=False) == {"a": [1], "b": [2]}


def test_without_header_the_first_line_is_data(tmp_path: Path) -> None:
    frame = load(tmp_path / "rows.csv", b"1,1\n2,3\n", header=False)
    assert frame.to_dict(as_series=False) == {"x0": [1, 2], "x1": [1, 3]}


@pytest.mark.parametrize(
    "text", [".", "-", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "None", "?", "<NA>", " NA ", '""']
)
def test_words_for_no_value(tmp_path: Path, text: str) -> None:
    frame = load(tmp_path / "rows.csv", f"a,b\n{text},1.5\n2,{text}\n".encode())
    assert frame.to_dict(as_series=False) == {"a": [None, 2], "b": [1.5, None]}


def test_errors_of_spreadsheets_are_no_comments(tmp_path: Path) -> None:
    frame = load(tmp_path / "rows.csv", b"a,b\n# one\n#N/A,1\n#DIV/0!,2\n3,4\n")
    assert frame.to_dict(as_series=False) == {"a": [None, "#DIV/0!", "3"], "b": [1, 2, 4]}


def test_an_empty_line_is_no_row_but_in_a_single_column(tmp_path: Path) -> None:
    assert load(tmp_path / "rows.csv", b"a,b\n1,2\n\n3,4\n").to_dict(as_series=False) == {"a": [1, 3], "b": [2, 4]}
    assert load(tmp_path / "rows.csv", b"a\n1\n\n3\n\n").to_dict(as_series=False) == {"a": [1, None, 3]}


def test_numbers_read_as_text_have_all_their_bits(tmp_path: Path) -> None:
    rng = random.Random(0)
    values = [rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300) for _ in range(2000)]
    content = "a\n" + "".join(f" {'+' * (value > 0)}{value!r}\n" for value in values)
    assert load(tmp_path / "rows.csv", content.encode())["a"].to_list() == values  # Python's own reading of them


def test_rows_that_begin_with_their_numbers_have_no_name_for_them(tmp_path: Path) -> None:
    # R's write.table and pandas' to_string write so.
    for content in (b'"a" "b"\n"1" 5 6\n"2" 7 8\n', b"   a  b\n0  5  6\n1  7  8\n", b"a,b\n1,5,6\n2,7,8\n"):
        frame = load(tmp_path / "rows.csv", content, separator=None)
        assert frame.columns == ["", "a", "b"]
        assert frame.select("a", "b").to_dict(as_series=False) == {"a": [5, 7], "b": [6, 8]}
    # A decimal comma is none.
    with pytest.raises(ValueError, match="line 2 has 2 values, but the first line names 1 columns"):
        load(tmp_path / "rows.csv", b"a\n1,5\n2,5\n", separator=None)


def test_one_reading_alone_is_taken(tmp_path: Path) -> None:
    # By tabs b has no value, by blanks the first line is short of a name; a comma is no part of a number.
    assert load_text(tmp_path, b"a;b c\n1;2\n").columns == ["a", "b c"]
    assert load_text(tmp_path, b"a\n1\n").columns == ["a"]
    assert load_text(tmp_path, b"name;a;b\nred one;1;2\n").columns == ["name", "a", "b"]
    assert load_text(tmp_path, b"name a,b c\nred 1,2\n", wanted=["b c"]).columns == ["name a", "b c"]


@pytest.mark.parametrize(
    ("content", "possible"),
    [
        (b"a\t\tb\n1\t\t2\n", "tab, blank"),
        (b"a b,c d\nx y,z u\n", "',', blank"),
        (b"a b,c\n1 2 3\n", "',', ';', tab, '|', blank"),
    ],
)
def test_where_several_readings_are_possible_the_option_is_suggested(
    tmp_path: Path, content: bytes, possible: str
) -> None:
    words = rf"it is not clear what separates the columns: pass --separator with one of {re.escape(possible)}$"
    with pytest.raises(ValueError, match=words):
        load_text(tmp_path, content)


def load_text(folder: Path, content: bytes, **keywords: Any) -> pl.DataFrame:
    """Read text of no kind that says what separates its columns."""
    (folder / "rows.txt").write_bytes(content)
    return load_csv(str(folder / "rows.txt"), header=True, separator=None, likely=None, **keywords)


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
        (b"a b\n1  2\n", "if blank separates the columns, pass --separator blank"),
        (b"# a\n\na,b\n1,2\n# c\n3,4,5\n", "line 6 has 3 values, but the first line names 2 columns"),
        (b"a,b\r1,2\r", "line 1: lines end with carriage returns alone: save the file with line feeds"),
        (b"a,b\n1,\0002\n", "there is a zero byte after 2 others: not a text, or not one in UTF-8"),
        (b"# only\n#comments\n", "the file is empty"),
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
