"""Reading and writing tables, and the words with which bad ones are refused."""

from __future__ import annotations

import datetime as dt
import io
import sys
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from emix.faces.tables import check_writable, read_table, require, write_columns

if TYPE_CHECKING:
    from pathlib import Path

FRAME = pl.DataFrame({"a": [1.5, -2.0, 3.25], "b": [1, 2, 3], "w": [0.5, 1.0, 2.0]})
VALUES = np.array([[1.5, 1.0], [-2.0, 2.0], [3.25, 3.0]])


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_formats_give_the_same_table(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    if suffix == ".parquet":
        FRAME.write_parquet(path)
    else:
        FRAME.write_csv(path, separator="\t" if suffix == ".tsv" else ",")
    table = read_table(str(path), weights="w")
    assert table.names == ("a", "b")
    assert table.array.dtype == np.float64
    np.testing.assert_array_equal(table.array, VALUES)
    np.testing.assert_array_equal(table.weights, [0.5, 1.0, 2.0])


def test_npy_is_read_by_column_numbers(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    np.save(path, FRAME.to_numpy())
    table = read_table(str(path), weights="2")
    assert table.names == ("x0", "x1")
    np.testing.assert_array_equal(table.array, VALUES)
    np.testing.assert_array_equal(table.weights, [0.5, 1.0, 2.0])
    np.testing.assert_array_equal(read_table(str(path), columns=["1", "x0"]).array, VALUES[:, ::-1])


def test_columns_come_in_the_order_asked_for(tmp_path: Path) -> None:
    FRAME.write_csv(tmp_path / "rows.csv")
    table = read_table(str(tmp_path / "rows.csv"), columns=["w", "a"])
    assert table.names == ("w", "a")
    np.testing.assert_array_equal(table.array, FRAME.select("w", "a").to_numpy())


def test_float32_stays_float32(tmp_path: Path) -> None:
    single = VALUES.astype(np.float32)
    np.save(tmp_path / "rows.npy", single)
    pl.DataFrame(single, schema=["a", "b"]).write_parquet(tmp_path / "rows.parquet")
    for name in ("rows.npy", "rows.parquet"):
        table = read_table(str(tmp_path / name))
        assert table.array.dtype == np.float32
        np.testing.assert_array_equal(table.array, single)


def test_late_fractions_do_not_change_a_column(tmp_path: Path) -> None:
    # A reader that looks at the first rows only takes the column for integers.
    path = write(tmp_path / "rows.csv", "a\n" + "1\n" * 5000 + "0.5\n")
    assert read_table(path).array[-1, 0] == 0.5


def test_standard_input_is_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(FRAME.write_csv().encode())))
    np.testing.assert_array_equal(read_table("-", weights="w").array, VALUES)


def test_without_header_columns_are_numbered(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "1,2\n3,4\n")
    table = read_table(path, header=False)
    assert table.names == ("x0", "x1")
    np.testing.assert_array_equal(table.array, [[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(ValueError, match=r"first line holds numbers \(1, 2\), expected column names: pass --no-header"):
        read_table(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,\n", r"column 'b' has no value in row 2 \(1 missing in all\): fill or remove such rows"),
        ("a,b\n1,NA\n3,NA\n", r"column 'b' has no value in row 1 \(2 missing in all\)"),
        ("a,b\n1,nan\n3,4\n", "column 'b' has no value in row 1"),
        ("a,b\n1,2\n3,inf\n", "column 'b' holds inf in row 2, expected finite numbers"),
        (
            "a,b\n1,2\n3,red\n",
            r"column 'b' holds 'red' in row 2, expected numbers: choose columns with --columns \(numeric: a\)",
        ),
        ("a,b\n1,2,3\n", "cannot be read: "),
        ("", "cannot be read: "),
    ],
)
def test_bad_csv_is_refused_in_terms_of_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "rows.csv", text)
    with pytest.raises(ValueError, match=rf"rows\.csv: {message}"):
        read_table(path)


@pytest.mark.parametrize(
    ("column", "held"),
    [
        (["1", "2"], "'1'"),
        ([dt.date(2026, 1, 2)] * 2, r"datetime\.date\(2026, 1, 2\)"),
        ([[1.0], [2.0]], r"(?s:.*)"),
    ],
)
def test_parquet_columns_that_are_no_numbers_are_refused(tmp_path: Path, column: list[object], held: str) -> None:
    pl.DataFrame({"a": [1.0, 2.0], "b": column}).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match=rf"column 'b' holds {held} in row 1, expected numbers: choose columns"):
        read_table(str(tmp_path / "rows.parquet"))
    assert read_table(str(tmp_path / "rows.parquet"), columns=["a"]).names == ("a",)


def test_columns_that_are_not_there_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "a,b\n1,2\n")
    with pytest.raises(ValueError, match="no column 'c': the columns are a, b"):
        read_table(path, columns=["a", "c"])
    with pytest.raises(ValueError, match="no column 'w': the columns are a, b"):
        read_table(path, weights="w")
    with pytest.raises(ValueError, match="column 'a' is chosen twice"):
        read_table(path, columns=["a", "b", "a"])
    with pytest.raises(ValueError, match="column 'b' is chosen both as weights and as data"):
        read_table(path, columns=["a", "b"], weights="b")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), r"holds an array of shape \(3,\), expected two dimensions"),
        (np.array([["a"]]), "holds an array of dtype <U1, expected numbers"),
        (np.zeros((2, 2), dtype=complex), "holds an array of dtype complex128, expected numbers"),
        (np.array([[1.0, 2.0], [3.0, np.nan]]), "column 'x1' holds nan in row 2, expected finite numbers"),
    ],
)
def test_bad_npy_is_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "rows.npy", array)
    with pytest.raises(ValueError, match=rf"rows\.npy: {message}"):
        read_table(str(tmp_path / "rows.npy"))


def test_npy_without_such_a_column_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", VALUES)
    with pytest.raises(ValueError, match="no column '2': expected a number from 0 to 1"):
        read_table(str(tmp_path / "rows.npy"), columns=["2"])


def test_npy_is_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.array([[{}]]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"rows\.npy: "):
        read_table(str(tmp_path / "rows.npy"))


def test_unknown_formats_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rows\.xlsx: unknown format '\.xlsx', expected one of \.csv, "):
        read_table("rows.xlsx")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv: no such file"):
        read_table("nowhere.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder, expected a file"):
        read_table(str(tmp_path / "folder.csv"))


def test_paths_that_cannot_be_written_are_refused_beforehand(tmp_path: Path) -> None:
    check_writable(str(tmp_path / "new.csv"), [".csv"])
    with pytest.raises(ValueError, match=r"unknown format '\.xls', expected one of \.csv"):
        check_writable(str(tmp_path / "new.xls"), [".csv"])
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere does not exist"):
        check_writable(str(tmp_path / "nowhere" / "new.csv"))
    with pytest.raises(IsADirectoryError, match="is a folder, expected the path of a file"):
        check_writable(str(tmp_path))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_columns_are_written_to_the_last_bit(tmp_path: Path, suffix: str) -> None:
    columns = {"x": np.array([0.1, 1e-300, -np.inf]), "k": np.array([0, 1, 2])}
    path = tmp_path / f"out{suffix}"
    write_columns(columns, str(path))
    read = pl.read_parquet(path) if suffix == ".parquet" else pl.read_csv(path, separator=",\t"[suffix == ".tsv"])
    assert read.columns == ["x", "k"]
    np.testing.assert_array_equal(read["x"].to_numpy(), columns["x"])
    np.testing.assert_array_equal(read["k"].to_numpy(), columns["k"])


def test_standard_output_is_written_in_pieces(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("emix.faces.tables._CHUNK_ROWS", 2)
    write_columns({"k": np.arange(5)}, None)
    assert capsys.readouterr().out == "k\n0\n1\n2\n3\n4\n"


def test_a_missing_library_is_named_with_its_extra() -> None:
    with pytest.raises(
        ImportError, match=r'reading needs nonesuch_, which is not installed: pip install "emix\[cli\]"'
    ):
        require("nonesuch_.part", "cli", "reading")
