"""Reading and writing tables, and the words with which bad ones are refused."""

from __future__ import annotations

import datetime as dt
import io
import os
import sys
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from emix.cli.outputs import check_writable
from emix.cli.tables import read_table, write_columns

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
        (
            "a,b\n1,2\n3,\n",
            r"column 'b' has no value in row 2 \(1 row in all\): fill or remove such rows, or pass --missing drop",
        ),
        ("a,b\n1,NA\n3,NA\n", r"column 'b' has no value in row 1 \(2 rows in all\)"),
        ("a,b\n1,nan\n3,4\n", "column 'b' has no value in row 1"),
        ("a,b\n1,2\n3,inf\n", "column 'b' holds inf in row 2, expected finite numbers"),
        (
            "a,b\n1,2\n3,red\n",
            r"column 'b' holds 'red' in row 2, expected numbers: choose columns with --columns \(numeric: a\)",
        ),
        ("a,b\n1,2\n3,'4,5'\n", "line 3 has 3 values, but the first line names 2 columns"),
        ("", "the file is empty"),
        ("a,b\n", r"there are columns \(a, b\), but no rows"),
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


def test_parquet_that_is_none_or_has_no_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rows\.parquet: cannot be read: "):
        read_table(write(tmp_path / "rows.parquet", "a,b\n1,2\n"))
    pl.DataFrame({"a": [], "b": []}).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match=r"rows\.parquet: there are columns \(a, b\), but no rows"):
        read_table(str(tmp_path / "rows.parquet"))


@pytest.mark.parametrize("suffix", [".csv", ".npy"])
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, -0.5, 1.0], "column '{}' holds -0.5 in row 2, expected weights that are not negative"),
        ([0.0, 0.0, 0.0], "column '{}' holds 0 in every row, expected weights some of which are above zero"),
        ([1e308, 1e308, 1.0], r"column '{}' holds weights whose sum overflows: divide them by their largest, 1e\+308"),
        ([1.0, 1.0, np.inf], "column '{}' holds inf in row 3, expected finite numbers"),
    ],
)
def test_bad_weights_are_refused_in_terms_of_the_file(
    tmp_path: Path, suffix: str, weights: list[float], message: str
) -> None:
    frame = FRAME.with_columns(w=pl.Series(weights))
    path, name, shown = str(tmp_path / f"rows{suffix}"), "w", "w"
    if suffix == ".csv":
        frame.write_csv(path)
    else:
        np.save(path, frame.to_numpy())
        name, shown = "2", "x2"
    with pytest.raises(ValueError, match=rf"rows\{suffix}: {message.format(shown)}"):
        read_table(path, weights=name)


@pytest.mark.parametrize(("dtype", "limit"), [(np.float64, 1e150), (np.float32, 1e15)])
def test_values_too_large_to_fit_are_refused_by_a_fit_alone(tmp_path: Path, dtype: type, limit: float) -> None:
    values = VALUES.astype(dtype)
    values[1, 1] = -2.0 * limit
    np.save(tmp_path / "rows.npy", values)
    pl.DataFrame(values, schema=["x0", "x1"]).write_parquet(tmp_path / "rows.parquet")
    for name in ("rows.npy", "rows.parquet"):
        path = str(tmp_path / name)
        assert read_table(path).array[1, 1] == values[1, 1]
        with pytest.raises(
            ValueError, match=rf"{name}: column 'x1' holds -[0-9.e+]+ in row 2, expected values of at most 1e"
        ):
            read_table(path, to_fit=True)


def test_weights_alone_are_no_data(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no column of data beside the weights 'w'"):
        read_table(write(tmp_path / "rows.csv", "w\n1\n2\n"), weights="w")


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
        (np.zeros((0, 2)), r"holds no rows \(an array of shape \(0, 2\)\)"),
        (np.array([["a"]]), "holds an array of dtype <U1, expected numbers"),
        (np.zeros((2, 2), dtype=complex), "holds an array of dtype complex128, expected numbers"),
        (np.array([[1.0, 2.0], [3.0, np.nan]]), r"column 'x1' has no value in row 2 \(1 row in all\)"),
        (np.array([[1.0, 2.0], [3.0, np.inf]]), "column 'x1' holds inf in row 2, expected finite numbers"),
        (np.zeros((3, 0)), r"holds no columns \(an array of shape \(3, 0\)\)"),
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


def test_npy_of_weights_alone_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", VALUES[:, 1:])
    with pytest.raises(ValueError, match="there is no column of data beside the weights '0'"):
        read_table(str(tmp_path / "rows.npy"), weights="0")


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'for", b"PK\x03\x04", b"a,b"]
)
def test_damaged_npy_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rows.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"rows\.npy: is empty, damaged or no \.npy file of numbers \("):
        read_table(str(tmp_path / "rows.npy"))


def test_npy_that_is_cut_off_or_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    np.save(path, VALUES)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"rows\.npy: is empty, damaged or no \.npy file"):
        read_table(str(path))
    with path.open("wb") as stream:
        np.savez(stream, VALUES)
    with pytest.raises(ValueError, match=r"rows\.npy: is empty, damaged or no \.npy file"):
        read_table(str(path))


def test_npy_is_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.array([[{}]]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"rows\.npy: "):
        read_table(str(tmp_path / "rows.npy"))


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
def test_missing_values_are_refused_or_their_rows_left_out(tmp_path: Path, suffix: str, drop: bool) -> None:
    # Row 2 has no b, row 4 no weight, row 5 no a: rows 1 and 3 are left, and keep their numbers in messages.
    frame = pl.DataFrame(
        {"a": [1.0, 2.0, 3.0, 4.0, None], "b": [1.0, None, 3.0, 4.0, 5.0], "w": [1.0, 1.0, 2.0, None, 1.0]}
    )
    path, names, weights = str(tmp_path / f"rows{suffix}"), ("a", "b"), "w"
    if suffix == ".csv":
        frame.write_csv(path)
    elif suffix == ".parquet":
        frame.write_parquet(path)
    else:
        np.save(path, frame.to_numpy())
        names, weights = ("x0", "x1"), "x2"
    if not drop:
        with pytest.raises(ValueError, match=rf"column '{names[1]}' has no value in row 2 \(3 rows in all\)"):
            read_table(path, weights=weights)
        return
    table = read_table(path, weights=weights, drop_missing=True)
    assert table.names == names
    np.testing.assert_array_equal(table.array, [[1.0, 1.0], [3.0, 3.0]])
    np.testing.assert_array_equal(table.weights, [1.0, 2.0])
    np.testing.assert_array_equal(table.present, [True, False, True, False, False])


def test_rows_keep_their_numbers_when_others_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "a,w\nNA,1\n1,1\n1e200,1\n2,-1\n")
    with pytest.raises(ValueError, match=r"column 'a' holds 1e\+200 in row 3, expected values of at most"):
        read_table(path, columns=["a"], drop_missing=True, to_fit=True)
    with pytest.raises(ValueError, match="column 'w' holds -1 in row 4, expected weights that are not negative"):
        read_table(path, weights="w", drop_missing=True)


def test_rows_that_all_miss_something_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "a,b\nNA,1\n1,\n")
    with pytest.raises(ValueError, match=r"no row has a value in every column \(a, b\): choose others with --columns"):
        read_table(path, drop_missing=True)


def test_a_text_is_refused_also_where_values_are_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "a,b\nNA,1\n1,\nred,2\n")
    with pytest.raises(ValueError, match="column 'a' holds 'red' in row 3, expected numbers"):
        read_table(path, drop_missing=True)


@pytest.mark.parametrize("name", ["d[1]{}", "all*{}", os.fsdecode(b"k\xe9{}")])
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
def test_file_names_mean_nothing_else(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / name.format(suffix)
    if sys.platform != "linux" and name.startswith(("k", "all")):
        pytest.skip("Windows takes no * in names, and macOS only UTF-8")
    content = io.BytesIO()
    if suffix == ".csv":
        FRAME.write_csv(content)
    elif suffix == ".parquet":
        FRAME.write_parquet(content)
    else:
        np.save(content, FRAME.to_numpy())
    path.write_bytes(content.getvalue())
    np.testing.assert_array_equal(read_table(str(path)).array, FRAME.to_numpy())


def test_a_panic_of_polars_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def panics(_: object) -> None:
        os.write(2, b"thread 'polars-1' panicked at src/lib.rs\n")  # as Rust does
        raise pl.exceptions.PanicException("called `Result::unwrap()`\non an `Err` value")

    monkeypatch.setattr("polars.read_parquet", panics)
    with pytest.raises(
        ValueError, match=r"rows\.parquet: cannot be read: the file is damaged \(called `Result::unwrap"
    ):
        read_table(write(tmp_path / "rows.parquet", ""))


def test_what_rust_prints_of_a_panic_is_not_shown(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_a_panic_of_polars_is_an_error(tmp_path, monkeypatch)
    assert capfd.readouterr().err == ""
    os.write(2, b"seen\n")
    assert capfd.readouterr().err == "seen\n"


def test_unknown_formats_and_missing_files_are_refused(tmp_path: Path) -> None:
    expected = r"expected one of \.csv, \.tsv, \.txt, \.dat \(also with \.gz\), \.parquet, \.npy"
    with pytest.raises(ValueError, match=rf"rows\.xlsx: unknown format '\.xlsx', {expected}"):
        read_table("rows.xlsx")
    with pytest.raises(ValueError, match=rf"rows\.npy\.gz: unknown format '\.npy\.gz', {expected}"):
        read_table("rows.npy.gz")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv: no such file"):
        read_table("nowhere.csv")
    for name in ("folder.csv", "folder"):
        (tmp_path / name).mkdir()
        with pytest.raises(IsADirectoryError, match=f"{name}: is a folder, expected a file"):
            read_table(str(tmp_path / name))


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
    monkeypatch.setattr("emix.cli.tables.CHUNK_ROWS", 2)
    write_columns({"k": np.arange(5)}, None)
    assert capsys.readouterr().out == "k\n0\n1\n2\n3\n4\n"
