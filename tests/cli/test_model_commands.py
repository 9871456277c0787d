"""The commands that use a model file: predict, sample, plot, and identifiers carried through."""

from __future__ import annotations

import datetime as dt
import io
import re
import sys
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib.image import imread

import emix
from emix.cli.command_line import main
from emix.datasets.faithful import faithful_csv
from emix.plots.kinds import KINDS, picture

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def model_file(csv_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    assert run("fit", csv_file, "--components", 2, "--out", path, "--quiet") == 0
    return path


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("emix: error: ") and captured.err.count("\n") == 1
    return captured.err.removeprefix("emix: error: ").rstrip()


# predict


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_predict_is_the_estimator_s(csv_file: Path, model_file: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"labels{suffix}"
    assert run("predict", model_file, csv_file, "--out", out) == 0
    labels = (
        pl.read_parquet(out) if suffix == ".parquet" else pl.read_csv(out, separator="\t" if "t" in suffix else ",")
    )
    assert labels.columns == ["component"]
    expected = emix.GaussianMixture.load(model_file).predict(pl.read_csv(csv_file))
    np.testing.assert_array_equal(labels["component"].to_numpy(), expected)


def test_predict_writes_csv_to_standard_output(
    csv_file: Path, model_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("predict", model_file, csv_file) == 0
    text = capsys.readouterr().out
    assert text.startswith("component\n") and text.count("\n") == 273
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(faithful_csv().encode())))
    assert run("predict", model_file, "-", "--out", "-") == 0
    assert capsys.readouterr().out == text


def test_predict_leaves_rows_without_a_value_empty(
    csv_file: Path, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "holes.csv"
    path.write_text("eruptions,waiting\n2,50\n,60\n4.5,80\n")
    assert run("predict", model_file, path, "--missing", "drop") == 0
    captured = capsys.readouterr()
    assert "1 of 3 rows have no value in some column and stay empty" in captured.err
    low, high = emix.GaussianMixture.load(model_file).means_[:, 0].argsort()
    assert captured.out == f"component\n{low}\n\n{high}\n"


# identifiers


def test_identifiers_are_carried_through_as_they_are(
    csv_file: Path, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identifiers = ["007", "NA", " a", "1e3", '"x, ""y"""', "", "+5", "é"]
    path = tmp_path / "named.csv"
    rows = faithful_csv().splitlines()[1:9]
    path.write_text("\n".join(["id,eruptions,waiting", *map(",".join, zip(identifiers, rows, strict=True))]) + "\n")
    for command, columns in (("score", 4), ("predict", 1)):
        assert run(command, model_file, path) == 0
        plain = capsys.readouterr().out.splitlines()
        assert run(command, model_file, path, "--id", "id") == 0
        found = capsys.readouterr().out.splitlines()
        assert found == [f"{name},{line}" for name, line in zip(["id", *identifiers], plain, strict=True)]
        assert found[0].count(",") == columns


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_identifiers_of_rows_without_a_value_stay(model_file: Path, tmp_path: Path, suffix: str) -> None:
    path, out = tmp_path / "named.csv", tmp_path / f"labels{suffix}"
    path.write_text("eruptions,name,waiting\n2,old,50\n,faithful,60\n4.5,geyser,80\n")
    assert run("predict", model_file, path, "--id", "name", "--missing", "drop", "--out", out) == 0
    found = pl.read_csv(out) if suffix == ".csv" else pl.read_parquet(out)
    assert found.columns == ["name", "component"]
    assert found["name"].to_list() == ["old", "faithful", "geyser"]
    assert found["component"].is_null().to_list() == [False, True, False]


def test_blanks_tabs_and_comments(model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "named.txt"
    path.write_text("# measured\n  eruptions   waiting name\n\n 2  50   003\n# a comment\n 4.5\t80  004\n")
    assert run("predict", model_file, path, "--id", "name") == 0
    low, high = emix.GaussianMixture.load(model_file).means_[:, 0].argsort()
    assert capsys.readouterr().out == f"name,component\n003,{low}\n004,{high}\n"


def test_parquet_keeps_the_type_of_identifiers(model_file: Path, tmp_path: Path) -> None:
    frame = pl.read_csv(faithful_csv().encode()).head(3)
    days = [dt.date(2026, 1, day) for day in (3, 1, 2)]
    frame.with_columns(pl.Series("day", days)).write_parquet(tmp_path / "days.parquet")
    out = tmp_path / "labels.parquet"
    assert run("predict", model_file, tmp_path / "days.parquet", "--id", "day", "--out", out) == 0
    assert pl.read_parquet(out)["day"].to_list() == days


def test_a_column_of_data_and_one_of_row_numbers_may_be_identifiers(
    csv_file: Path, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("predict", model_file, csv_file, "--id", "waiting") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "waiting,component"
    assert [line.split(",")[0] for line in lines[1:]] == [row.split(",")[1] for row in faithful_csv().splitlines()[1:]]
    # A model without names takes all columns but the identifiers; row numbers, which are left out, are no news then.
    numbered, nameless = tmp_path / "numbered.csv", tmp_path / "nameless.npz"
    rows = pl.read_csv(csv_file)
    rows.with_row_index("id", offset=1).write_csv(numbered)
    emix.GaussianMixture(2, random_state=0).fit(rows.to_numpy()).save(nameless)
    assert run("predict", nameless, numbered, "--id", "id") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert [line.split(",")[0] for line in captured.out.splitlines()] == ["id", *map(str, range(1, 273))]


def test_identifiers_that_cannot_be_carried_are_refused(
    csv_file: Path, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("score", model_file, csv_file, "--id", "name") == 1
    assert error_of(capsys) == f"{csv_file}: no column 'name': the columns are eruptions, waiting"
    for command, name in (("score", "r1"), ("score", "log_density"), ("predict", "component")):
        assert run(command, model_file, csv_file, "--id", name) == 2
        assert error_of(capsys).startswith(f"--id is '{name}', the name of a column of the results: rename the column")
    np.save(tmp_path / "rows.npy", np.eye(2))
    assert run("score", model_file, tmp_path / "rows.npy", "--id", "0") == 1
    assert error_of(capsys).endswith("rows.npy: column '0' is to be carried through, but .npy files have no names")
    nested = pl.DataFrame({"eruptions": [2.0], "waiting": [50.0], "parts": [[1, 2]]})
    nested.write_parquet(tmp_path / "nested.parquet")
    assert run("score", model_file, tmp_path / "nested.parquet", "--id", "parts") == 1
    assert "column 'parts' holds List(Int64), expected texts, numbers or dates to carry through" in error_of(capsys)


# sample


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_sample_is_the_estimator_s(model_file: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"rows{suffix}"
    assert run("sample", model_file, "-n", 1000, "--seed", 7, "--out", out) == 0
    found = pl.read_csv(out) if suffix == ".csv" else pl.read_parquet(out)
    assert found.columns == ["eruptions", "waiting"]
    mixture = emix.GaussianMixture.load(model_file)
    mixture.random_state = 7
    np.testing.assert_array_equal(found.to_numpy(), mixture.sample(1000)[0])


def test_sample_names_columns_and_repeats_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "given.npz"
    emix.GaussianMixture.from_parameters([1.0], [[0.0, 1e8]], [[1.0, 1.0]], "diag").save(model)
    texts = []
    for options in ([], ["--seed", "0"], ["--seed", "1"]):
        assert run("sample", model, "-n", 5, *options) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]
    assert texts[0].startswith("x0,x1\n") and texts[0].count("\n") == 6


def test_columns_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "twice.npz"
    rows = np.random.default_rng(0).normal(size=(20, 3))
    emix.GaussianMixture(1).fit(pd.DataFrame(rows, columns=["a", "b", "a"])).save(model)
    assert run("sample", model, "-n", 5) == 1
    assert error_of(capsys) == f"{model}: two columns have the name 'a': fit with a name for each column"


def test_what_is_sampled_can_be_scored(model_file: Path, tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.csv", tmp_path / "scores.csv"
    assert run("sample", model_file, "-n", 4000, "--out", rows) == 0
    assert run("score", model_file, rows, "--out", out) == 0
    # The mean log-density of own rows is minus the entropy: within five standard errors of another sample's.
    mixture = emix.GaussianMixture.load(model_file)
    mixture.random_state = 1
    mine, other = pl.read_csv(out)["log_density"].to_numpy(), mixture.score_samples(pl.DataFrame(
        dict(zip(["eruptions", "waiting"], mixture.sample(4000)[0].T)))
    )  # fmt: skip
    assert abs(mine.mean() - other.mean()) < 5.0 * np.hypot(mine.std(), other.std()) / 4000**0.5


# plot


@pytest.mark.parametrize("weighted", [False, True])
def test_plot_is_a_picture(csv_file: Path, model_file: Path, tmp_path: Path, weighted: bool) -> None:
    path, png = tmp_path / "rows.csv", tmp_path / "picture.png"
    pl.read_csv(csv_file).with_columns(pl.Series("w", np.arange(272) % 3)).write_csv(path)
    assert run("plot", model_file, path, "--out", png, *(["--weights", "w"] if weighted else [])) == 0
    pixels = imread(png)
    assert min(pixels.shape[:2]) > 600
    assert pixels.std() > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_plot_draws_the_kinds_of_the_estimator(csv_file: Path, model_file: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "picture.svg"
    rows = [csv_file] if KINDS[kind].needs_rows else []
    assert run("plot", model_file, *rows, "--kind", kind, "--out", path) == 0
    drawn = picture(
        emix.GaussianMixture.load(model_file),
        pl.read_csv(csv_file).to_numpy() if rows else None,
        kind,
        feature_names=["eruptions", "waiting"],
        title=(rows or [model_file])[0].name,
    )
    expected = io.BytesIO()
    drawn.savefig(expected, format="svg")
    # The date and the names of parts differ between two files.
    forms = [re.findall(r' d="[^"]+"', text) for text in (path.read_text(), expected.getvalue().decode())]
    assert len(forms[0]) > 20
    assert forms[0] == forms[1]


def test_plot_draws_the_columns_that_are_asked_for(
    csv_file: Path, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heights = {}
    for features in ("waiting", "eruptions,waiting"):
        path = tmp_path / "pairs.png"
        assert run("plot", model_file, csv_file, "--kind", "pairs", "--features", features, "--out", path) == 0
        heights[features] = imread(path).shape[0]
    assert heights["waiting"] < heights["eruptions,waiting"]  # one panel, and two by two
    out = tmp_path / "none.png"
    assert run("plot", model_file, csv_file, "--features", "waiting,erupting", "--out", out) == 1
    message = error_of(capsys)
    assert message.startswith("features is ('waiting', 'erupting'), expected two different columns of the mixture, by")
    assert message.endswith("or by name: eruptions, waiting. Did you mean 'eruptions'?")
    assert run("plot", model_file, "--kind", "convergence", "--features", "waiting", "--out", out) == 1
    assert "kind='convergence' is the same for all columns: leave features out" in error_of(capsys)
    assert not out.exists()


def test_plot_without_rows_where_they_are_needed(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("plot", model_file, "--kind", "pairs", "--out", tmp_path / "p.png") == 2
    assert error_of(capsys) == "--kind pairs draws rows: name a FILE of rows after the model file"
    assert run("plot", model_file, "--kind", "density", "--weights", "w", "--out", tmp_path / "p.png") == 2
    assert error_of(capsys) == "--weights and --columns belong to a FILE of rows: name it, or leave them out"


def test_plot_refuses_what_is_no_picture(
    csv_file: Path, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("plot", model_file, csv_file, "--out", tmp_path / "p.bmp") == 1
    assert "p.bmp: unknown format '.bmp', expected one of .png, .pdf, .svg" in error_of(capsys)
    assert run("plot", model_file, csv_file, "--out", "-") == 2
    assert error_of(capsys) == "--out is -, expected the name of a file that ends in one of .png, .pdf, .svg"


# what is read is not overwritten


def test_files_that_are_read_are_not_overwritten(
    csv_file: Path, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, picture = tmp_path / "model.csv", tmp_path / "model.png"
    for path in (table, picture):  # a model file may have any name
        path.write_bytes(model_file.read_bytes())
    for arguments, name in (
        (["predict", model_file, csv_file, "--out", csv_file], "FILE"),
        (["predict", table, csv_file, "--out", table], "MODEL"),
        (["sample", table, "-n", 3, "--out", table], "MODEL"),
        (["plot", picture, csv_file, "--out", picture], "MODEL"),
    ):
        kept = [path.read_bytes() for path in (csv_file, table, picture)]
        assert run(*arguments) == 2
        assert error_of(capsys).startswith(f"--out is the same file as {name}, ")
        assert [path.read_bytes() for path in (csv_file, table, picture)] == kept
