"""`emix fit --target` and `emix predict` with its model, against the estimator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_iris

from emix import MixtureClassifier
from emix.cli.command_line import main

if TYPE_CHECKING:
    from pathlib import Path

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
FRAME = pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "d": X[:, 3], "species": NAMES, "code": Y})
COLUMNS = ["--columns", "a,b,c,d"]


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("target", ["species", "code"])
def test_classes_are_the_estimator_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, target: str
) -> None:
    path, model, out = tmp_path / f"iris{suffix}", tmp_path / "model.npz", tmp_path / "classes.csv"
    FRAME.write_csv(path) if suffix == ".csv" else FRAME.write_parquet(path)
    assert run("fit", path, "--target", target, "-k", 2, "--covariance", "EEE", *COLUMNS, "--out", model) == 0
    text = capsys.readouterr().out
    assert text.startswith("Mixture classifier: 3 classes\nData             150 rows, 4 columns (a, b, c, d)\n")
    assert f"Model file  {model}" in text
    y = NAMES if target == "species" else Y if suffix == ".parquet" else Y.astype(str)
    expected = MixtureClassifier(2, covariance_type="EEE", random_state=0).fit(FRAME[["a", "b", "c", "d"]], y)
    loaded = MixtureClassifier.load(model)
    assert loaded.classes_.tolist() == expected.classes_.tolist()
    np.testing.assert_array_equal(loaded.mixtures_[1].means_, expected.mixtures_[1].means_)
    assert run("predict", model, path, "--id", "a", "--out", out) == 0
    found = pl.read_csv(out, schema_overrides={"class": pl.String})
    assert found.columns == ["a", "class"]
    assert found["class"].to_list() == [str(c) for c in expected.predict(FRAME[["a", "b", "c", "d"]]).tolist()]


def test_a_choice_weights_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "iris.csv"
    FRAME.with_columns(w=pl.lit(2.0)).write_csv(path)
    options = ["--columns", "a,b", "--weights", "w", "--criterion", "aic", "--covariance", "full,tied"]
    assert run("fit", path, "--target", "species", "-k", "1-2", *options, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    expected = MixtureClassifier([1, 2], covariance_type=["full", "tied"], criterion="aic", random_state=0)
    expected.fit(FRAME[["a", "b"]], NAMES, sample_weight=np.full(150, 2.0))
    classes = found["classifier"]["classes"]
    assert [one["class"] for one in classes] == ["setosa", "versicolor", "virginica"]
    assert [one["n_components"] for one in classes] == [len(mixture.weights_) for mixture in expected.mixtures_]
    assert found["classifier"]["bic"] == pytest.approx(expected.bic_, rel=1e-12)


def test_rows_without_a_value_stay_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, model = tmp_path / "iris.csv", tmp_path / "model.npz"
    holes = FRAME.with_columns(a=pl.when(pl.int_range(150) == 7).then(None).otherwise(pl.col("a")))
    holes.write_csv(path)
    assert run("fit", path, "--target", "species", "-k", 1, *COLUMNS, "--missing", "drop", "-q", "-o", model) == 0
    assert "1 of 150 rows have no value in some column and are left out" in capsys.readouterr().err
    assert run("predict", model, path, "--missing", "drop") == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[8], lines[9]) == ("class", "", "setosa")


def test_rows_without_a_class_are_left_out_with_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, model = tmp_path / "iris.csv", tmp_path / "model.npz"
    rows = pl.int_range(150)
    holes = FRAME.with_columns(
        a=pl.when(rows == 7).then(None).otherwise(pl.col("a")),
        species=pl.when(rows.is_in([7, 20, 60])).then(None).otherwise(pl.col("species")),
        w=pl.lit(2.0) + rows % 3,
    )
    holes.write_csv(path)
    options = ["--target", "species", "-k", 1, *COLUMNS, "--weights", "w", "--out", model]
    assert run("fit", path, *options) == 1
    capsys.readouterr()
    assert run("fit", path, *options, "--missing", "drop") == 0
    found = capsys.readouterr()
    assert "3 of 150 rows have no value in some column and are left out" in found.err
    assert "Data             147 rows, 4 columns" in found.out
    whole = holes.drop_nulls()
    expected = MixtureClassifier(1, random_state=0).fit(
        whole[["a", "b", "c", "d"]], whole["species"].to_numpy(), sample_weight=whole["w"].to_numpy()
    )
    np.testing.assert_array_equal(MixtureClassifier.load(model).mixtures_[1].means_, expected.mixtures_[1].means_)
    holes.with_columns(species=pl.lit(None, pl.String)).write_parquet(tmp_path / "none.parquet")
    assert run("fit", tmp_path / "none.parquet", *options, "--missing", "drop") == 1
    assert "no row has a value in every column, the class 'species' too" in capsys.readouterr().err


def test_info_tells_the_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, model = tmp_path / "iris.csv", tmp_path / "model.npz"
    FRAME.write_csv(path)
    fit = ["fit", path, "--target", "species", "-k", "2", *COLUMNS, "--out", model]
    assert run(*fit, "--json") == 0
    of_fit = json.loads(capsys.readouterr().out)
    assert run(*fit) == 0
    text = capsys.readouterr().out.partition("\n\nModel file")[0]
    assert run("info", model) == 0
    assert capsys.readouterr().out == text.replace("150 rows, ", "") + "\n"
    assert run("info", model, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["classifier"] == of_fit["classifier"]


def test_a_file_that_memory_does_not_hold_is_refused_before_it_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, model = tmp_path / "iris.csv", tmp_path / "model.npz"
    FRAME.write_csv(path)
    assert run("fit", path, "--target", "species", "-k", 1, *COLUMNS, "--out", model, "-q") == 0
    monkeypatch.setattr("emix.cli.long_tables.LONG_BYTES", 1)
    monkeypatch.setattr("emix.cli.memory.memory_bytes", lambda: 1000.0)
    assert run("predict", model, path) == 1
    assert "predicting classes reads all rows into memory, which takes about" in capsys.readouterr().err
    monkeypatch.setattr("emix.cli.memory.memory_bytes", lambda: 1e9)
    assert run("predict", model, path) == 0


def test_what_does_not_go_together_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, model = tmp_path / "iris.csv", tmp_path / "model.npz"
    FRAME.write_csv(path)
    fit = ["fit", path, "--target", "species", "-k", 1, *COLUMNS]
    for options, message in (
        (["--plot", tmp_path / "x.png"], "--plot draws one mixture"),
        (["--criterion", "icl"], "--criterion is icl, but --target chooses by bic or aic"),
        (["--out", "-"], "expected the name of a file"),
    ):
        assert run(*fit, *options) == 2
        assert message in capsys.readouterr().err
    assert run("fit", path, "--target", "colour", "-k", 1, *COLUMNS) == 1
    assert "no column 'colour'" in capsys.readouterr().err
    FRAME.with_columns(species=pl.when(pl.int_range(150) == 7).then(None).otherwise(pl.col("species"))).write_csv(path)
    assert run(*fit) == 1
    assert "column 'species' has no value in row 8, expected a class in every row" in capsys.readouterr().err
    FRAME.write_csv(path)
    assert run(*fit, "--out", model, "--quiet") == 0
    for command in (
        ["score", model, path],
        ["sample", model, "-n", 3],
        ["plot", model, path, "-o", tmp_path / "x.png"],
    ):
        assert run(*command) == 1
        assert "holds a classifier, expected one mixture: `emix predict` and" in capsys.readouterr().err
    assert run("predict", model, path, "--columns", "a,b") == 1
    assert "2 columns, but the model has 4" in capsys.readouterr().err
