"""Columns that number the rows, as pandas and R write them, are recognized; `--columns` has the last word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import polars as pl
import pytest

import emix
from emix.cli import long_tables
from emix.cli.command_line import main
from emix.cli.row_numbers import row_number_columns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("name", ["", "rownames", "row.names", "row_names", "Unnamed: 0", "__index_level_0__"])
def test_row_numbers_have_these_names_and_values(name: str) -> None:
    for numbers in ([0, 1, 2], [1, 2, 3], [17, 3, 250], [1.0, 2.0, 3.0]):
        assert row_number_columns(pl.DataFrame({name: numbers, "a": [1.5, 2.5, 3.5]})) == [name]
    for data in ([0, 0, 1], [0.5, 1.0, 2.0], [-1, 0, 1], ["x", "y", "z"], [1, None, 2]):
        assert row_number_columns(pl.DataFrame({name: data, "a": [1.5, 2.5, 3.5]})) == []


def test_other_columns_are_data() -> None:
    frame = pl.DataFrame({"x": [1, 2, 3], "index": [2, 3, 4], "x0": [0, 1, 2], "": [0, 1, 2], "id": [1, 2, 3]})
    assert row_number_columns(frame) == []
    for name in ("id", "Row", "row_id", "obs"):
        assert row_number_columns(pl.DataFrame({name: [1, 2, 3], "a": [5, 4, 9]})) == [name]
        assert row_number_columns(pl.DataFrame({name: [1, 3, 2], "a": [5, 4, 9]})) == []
    # An index that counts the rows is one of theirs.
    assert row_number_columns(pl.DataFrame({"index": [0, 1, 2], "a": [0, 1, 2]})) == ["index"]


def of_pandas(frame: pd.DataFrame, folder: Path) -> tuple[Path, str]:
    frame.to_csv(folder / "rows.csv")
    return folder / "rows.csv", "the first column, which has no name, holds row numbers"


def of_r(frame: pd.DataFrame, folder: Path) -> tuple[Path, str]:
    lines = [f'"{i + 1}",{a!r},{b!r}\n' for i, (a, b) in enumerate(frame.to_numpy().tolist())]
    (folder / "rows.csv").write_text("".join(['"","eruptions","waiting"\n', *lines]))
    return folder / "rows.csv", "the first column, which has no name, holds row numbers"


def of_r_s_collections(frame: pd.DataFrame, folder: Path) -> tuple[Path, str]:
    frame.set_index(np.arange(1, len(frame) + 1)).to_csv(folder / "rows.csv", index_label="rownames")
    return folder / "rows.csv", "column 'rownames' holds row numbers"


def of_r_s_tables(frame: pd.DataFrame, folder: Path) -> tuple[Path, str]:
    lines = [f'"{i + 1}" {a!r} {b!r}\n' for i, (a, b) in enumerate(frame.to_numpy().tolist())]
    (folder / "rows.txt").write_text("".join(['"eruptions" "waiting"\n', *lines]))
    return folder / "rows.txt", "the first column, which has no name, holds row numbers"


def of_pandas_read_once_more(frame: pd.DataFrame, folder: Path) -> tuple[Path, str]:
    frame.to_csv(folder / "rows.csv")
    pd.read_csv(folder / "rows.csv").to_csv(folder / "rows.csv")
    return folder / "rows.csv", "columns '', 'Unnamed: 0' hold row numbers"


def of_pandas_as_parquet(frame: pd.DataFrame, folder: Path) -> tuple[Path, str]:
    frame.sample(frac=1.0, random_state=0).to_parquet(folder / "rows.parquet")
    return folder / "rows.parquet", "column '__index_level_0__' holds row numbers"


@pytest.mark.parametrize(
    "written",
    [of_pandas, of_r, of_r_s_collections, of_r_s_tables, of_pandas_read_once_more, of_pandas_as_parquet],
)
def test_row_numbers_are_left_out_aloud(
    csv_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    written: Callable[[pd.DataFrame, Path], tuple[Path, str]],
) -> None:
    path, words = written(pd.read_csv(csv_file), tmp_path)
    assert main(["fit", str(path), "-k", "2", "--out", str(tmp_path / "m.npz")]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith(f"emix: warning: {path}: {words} and ")
    assert captured.err.endswith(" to use it as data\n")
    assert captured.err.count("\n") == 1
    assert "272 rows, 2 columns (eruptions, waiting)" in captured.out
    assert "BIC              2322.19" in captured.out  # with row numbers as data 5 506
    assert list(emix.GaussianMixture.load(tmp_path / "m.npz").feature_names_in_) == ["eruptions", "waiting"]
    # The model's columns are found by name: there is nothing to say.
    assert main(["score", str(tmp_path / "m.npz"), str(path)]) == 0
    assert capsys.readouterr().err == ""


def test_columns_have_the_last_word(csv_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, _ = of_pandas(pd.read_csv(csv_file), tmp_path)
    assert main(["fit", str(path), "-k", "2", "--columns", '"",waiting']) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "2 columns (, waiting)" in captured.out


def test_a_single_column_is_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("rownames\n1\n2\n3\n")
    assert main(["fit", str(path), "-k", "1"]) == 0
    assert capsys.readouterr().err == ""


# Long files: whether whole numbers that do not rise are all different cannot be told block by block


def shuffled(folder: Path) -> Path:
    path = folder / "rows.csv"
    rng = np.random.default_rng(0)
    numbers = pl.Series("rownames", rng.permutation(300))
    classes = pl.Series("class", np.arange(300) % 2)
    pl.DataFrame([numbers, classes]).with_columns(a=rng.normal(size=300), b=rng.normal(size=300)).write_csv(path)
    return path


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("fit", ["-k", "1-2", "--covariance", "diag", "--criterion", "bic"]),
        ("fit", ["-k", "1", "--target", "class"]),
        ("report", ["-k", "1", "--out", "page.html"]),
    ],
)
def test_a_long_file_that_is_read_whole_is_as_a_short_one(
    command: str, what: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(long_tables, "LONG_BYTES", 0)
    monkeypatch.chdir(tmp_path)
    assert main([command, str(shuffled(tmp_path)), *what]) in (0, 3)  # 3: a class of two values may collapse
    assert "column 'rownames' holds row numbers and is left out" in capsys.readouterr().err


def test_row_numbers_that_are_carried_are_not_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, model, rows = shuffled(tmp_path), tmp_path / "model.npz", np.random.default_rng(1).normal(size=(50, 3))
    emix.GaussianMixture(1).fit(rows).save(model)  # without names of columns
    found = []
    for size in (1 << 30, 0):
        monkeypatch.setattr(long_tables, "LONG_BYTES", size)
        assert main(["predict", str(model), str(path), "--id", "rownames"]) == 0
        found.append(capsys.readouterr().out)
    assert found[0] == found[1] and found[0].startswith("rownames,component\n")
