"""The commands: round trips through files, against the estimator itself."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

import emix
from emix.cli.command_line import main
from emix.cli.progress import Progress
from emix.datasets.faithful import faithful_csv
from emix.gaussian.scoring import score_rows

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def model_file(csv_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    assert run("fit", csv_file, "--components", 2, "--out", path, "--quiet") == 0
    return path


@pytest.mark.parametrize("covariance", ["diag", "EII", "EEE"])
def test_fit_is_the_fit_of_the_estimator(
    csv_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], covariance: str
) -> None:
    options = ["--covariance", covariance, "--n-init", 2, "--init", "k-means++", "--tol", "1e-8", "--reg-covar", "1e-5"]
    path = tmp_path / "model.npz"
    assert run("fit", csv_file, "-k", 3, *options, "--seed", 5, "--threads", 1, "--out", path) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    mine = emix.GaussianMixture(
        3, covariance_type=covariance, n_init=2, init_params="k-means++", tol=1e-8, reg_covar=1e-5, random_state=5
    ).fit(pl.read_csv(csv_file))
    fitted = emix.GaussianMixture.load(path)
    np.testing.assert_array_equal(fitted.weights_, mine.weights_)
    np.testing.assert_array_equal(fitted.means_, mine.means_)
    np.testing.assert_array_equal(fitted.covariances_, mine.covariances_)
    assert list(fitted.feature_names_in_) == ["eruptions", "waiting"]
    assert f"{mine.log_likelihood_:.6f}" in captured.out
    assert f"Model file  {path}" in captured.out


def test_old_faithful_has_its_published_mode(csv_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", csv_file, "-k", 2, "--reg-covar", 0, "--n-init", 5, "--tol", "1e-10") == 0
    assert "-1130.26396" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_score_is_the_estimator_s(csv_file: Path, model_file: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"scores{suffix}"
    assert run("score", model_file, csv_file, "--out", out) == 0
    scores = pl.read_csv(out) if suffix == ".csv" else pl.read_parquet(out)
    assert scores.columns == ["log_density", "component", "r0", "r1"]
    mixture = emix.GaussianMixture.load(model_file)
    rows = pl.read_csv(csv_file)
    # files hold every bit of a float64
    frame = rows.cast(pl.Float64)
    np.testing.assert_array_equal(scores["log_density"].to_numpy(), mixture.score_samples(frame))
    np.testing.assert_array_equal(scores["component"].to_numpy(), mixture.predict(frame))
    np.testing.assert_array_equal(scores.select("r0", "r1").to_numpy(), mixture.predict_proba(frame))


def test_rows_are_scored_once(
    csv_file: Path, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(*args: Any, **keywords: Any) -> Any:
        calls.append(keywords)
        return score_rows(*args, **keywords)

    monkeypatch.setattr("emix.estimators.fitted_mixture.score_rows", counted)
    assert run("score", model_file, csv_file, "--out", tmp_path / "scores.csv") == 0
    assert len(calls) == 1


def test_score_finds_columns_by_name(
    csv_file: Path, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("score", model_file, csv_file) == 0
    expected = capsys.readouterr().out
    rows = pl.read_csv(csv_file)
    rows.select(pl.lit("geyser").alias("name"), "waiting", "eruptions").write_csv(tmp_path / "other.csv")
    assert run("score", model_file, tmp_path / "other.csv") == 0
    assert capsys.readouterr().out == expected
    # without names, by position
    np.save(tmp_path / "rows.npy", rows.to_numpy())
    assert run("score", model_file, tmp_path / "rows.npy") == 0
    assert capsys.readouterr().out == expected
    rows.rename({"eruptions": "a", "waiting": "b"}).write_csv(tmp_path / "renamed.csv")
    assert run("score", model_file, tmp_path / "renamed.csv", "--columns", "a,b") == 0
    assert capsys.readouterr().out == expected
    assert run("score", model_file, tmp_path / "renamed.csv") == 1
    assert "no column 'eruptions': the columns are a, b" in capsys.readouterr().err


def test_a_model_of_an_array_scores_any_file_of_that_width(
    csv_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "rows.npy", pl.read_csv(csv_file).to_numpy())
    assert run("fit", tmp_path / "rows.npy", "-k", 2, "--columns", "1", "--out", tmp_path / "m.npz", "-q") == 0
    assert run("score", tmp_path / "m.npz", csv_file, "--columns", "waiting") == 0
    assert capsys.readouterr().out.startswith("log_density,component,r0,r1\n")
    assert run("score", tmp_path / "m.npz", csv_file) == 1
    assert "2 columns, but the model has 1: choose them with --columns" in capsys.readouterr().err


def test_formats_give_the_same_fit(csv_file: Path, tmp_path: Path) -> None:
    rows = pl.read_csv(csv_file)
    rows.write_parquet(tmp_path / "rows.parquet")
    np.save(tmp_path / "rows.npy", rows.to_numpy())
    means = []
    for file in (csv_file, tmp_path / "rows.parquet", tmp_path / "rows.npy"):
        assert run("fit", file, "-k", 2, "-q", "--out", tmp_path / "m.npz") == 0
        means.append(emix.GaussianMixture.load(tmp_path / "m.npz").means_)
    np.testing.assert_array_equal(means[1], means[0])
    np.testing.assert_array_equal(means[2], means[0])


def test_weights_column_weighs(csv_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pl.read_csv(csv_file).with_columns((pl.int_range(pl.len()) % 3).alias("w"))
    rows.write_csv(tmp_path / "weighted.csv")
    out = tmp_path / "m.npz"
    assert run("fit", tmp_path / "weighted.csv", "-k", 1, "--weights", "w", "--reg-covar", 0, "--out", out) == 0
    assert "total 271, from 0 to 2" in capsys.readouterr().out
    expected = np.average(rows.select("eruptions", "waiting").to_numpy(), axis=0, weights=rows["w"].to_numpy())
    # one M-step: a weighted mean of 272 numbers
    np.testing.assert_allclose(emix.GaussianMixture.load(out).means_[0], expected, rtol=1e-13)


def test_negative_weights_are_refused(csv_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pl.read_csv(csv_file).with_columns(pl.lit(-1.0).alias("w")).write_csv(tmp_path / "weighted.csv")
    assert run("fit", tmp_path / "weighted.csv", "-k", 1, "--weights", "w") == 1
    text = "weighted.csv: column 'w' holds -1 in row 1, expected weights that are not negative"
    assert text in capsys.readouterr().err


def test_values_too_large_are_refused_in_terms_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n3,-1e200\n")
    assert run("fit", path, "-k", 1) == 1
    assert "rows.csv: column 'b' holds -1e+200 in row 2, expected values of at most 1e+150" in capsys.readouterr().err


def test_a_header_without_rows_is_refused(model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "header.csv"
    path.write_text("eruptions,waiting\n")
    for arguments in (["fit", path, "-k", 2], ["score", model_file, path]):
        assert run(*arguments) == 1
        text = f"emix: error: {path}: there are columns (eruptions, waiting), but no rows\n"
        assert capsys.readouterr() == ("", text)


def test_files_that_are_read_are_not_overwritten(
    csv_file: Path, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = csv_file.read_bytes()
    link = tmp_path / "link.csv"
    link.hardlink_to(csv_file)
    picture = tmp_path / "p.png"
    for arguments, message in (
        (["score", model_file, csv_file, "--out", csv_file], f"--out is the same file as FILE, {csv_file}"),
        (["score", model_file, csv_file, "--out", link], f"--out is the same file as FILE, {csv_file}"),
        (["score", model_file, link, "--out", tmp_path / "." / "faithful.csv"], "--out is the same file as FILE"),
        (["fit", csv_file, "-k", 2, "--out", csv_file], f"--out is the same file as FILE, {csv_file}"),
        (["fit", csv_file, "-k", 2, "--out", picture, "--plot", picture], "--plot is the same file as --out"),
    ):
        assert run(*arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith(f"emix: error: {message}")
        assert captured.err.endswith("it would be overwritten\n")
    assert csv_file.read_bytes() == rows
    # A model may be written by a fit over an older one.
    assert run("fit", csv_file, "-k", 2, "--out", model_file, "-q") == 0


def test_other_separators(csv_file: Path, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "semicolons.csv"
    path.write_text(csv_file.read_text().replace(",", ";"))
    assert run("score", model_file, csv_file) == 0
    expected = capsys.readouterr().out
    assert run("score", model_file, path, "--separator", ";") == 0
    assert capsys.readouterr().out == expected
    assert run("score", model_file, path) == 0  # no other reading gives numbers
    assert capsys.readouterr().out == expected
    path.write_text("a;b\n1,5;2,5\n")
    assert run("fit", path, "-k", 2) == 1
    assert "if ';' separates the columns, pass --separator ';'" in capsys.readouterr().err
    assert run("fit", path, "-k", 1, "--separator", ";") == 1
    assert "column 'a' holds '1,5' in row 1: write decimals with a point" in capsys.readouterr().err
    np.save(tmp_path / "rows.npy", np.eye(3))
    assert run("fit", tmp_path / "rows.npy", "-k", 1, "--separator", ";") == 1
    assert "rows.npy: a separator is given, but .npy files have none" in capsys.readouterr().err


def test_running_out_of_iterations_is_an_exit_code_and_a_warning(
    csv_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m.npz"
    assert run("fit", csv_file, "-k", 3, "--max-iter", 1, "--out", out) == 3
    captured = capsys.readouterr()
    assert captured.err.startswith("emix: warning: ")
    assert captured.err.count("\n") == 1
    assert "NOT converged" in captured.out
    assert out.exists()


def test_a_degenerate_fit_is_an_exit_code_and_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # One row far from three others: a component of its own, with the variance that reg_covar gives it.
    np.save(tmp_path / "rows.npy", np.array([[0.0], [50.0], [51.0], [53.0]]))
    assert run("fit", tmp_path / "rows.npy", "-k", 2, "--out", tmp_path / "m.npz") == 3
    captured = capsys.readouterr()
    assert captured.err.startswith("emix: warning: The fit is degenerate: component ")
    assert captured.err.count("\n") == 1
    assert "\nDegenerate" in captured.out
    assert (tmp_path / "m.npz").exists()


def test_the_picture_is_a_picture(csv_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    png = tmp_path / "fit.png"
    assert run("fit", csv_file, "-k", 2, "--plot", png) == 0
    assert f"Picture     {png}" in capsys.readouterr().out
    pixels = imread(png)
    assert min(pixels.shape[:2]) > 600
    assert pixels.std() > 0.05
    assert run("fit", csv_file, "-k", 2, "--plot", tmp_path / "fit.bmp") == 1
    assert "fit.bmp: unknown format '.bmp', expected one of .png, .pdf, .svg" in capsys.readouterr().err


def test_info_says_what_fit_said(csv_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", csv_file, "-k", 2, "--out", tmp_path / "m.npz") == 0
    fitted = capsys.readouterr().out
    assert run("info", tmp_path / "m.npz") == 0
    lines = capsys.readouterr().out.splitlines()
    for label in ("Log-likelihood", "Free parameters", "BIC", "AIC", "Iterations", "Time"):
        line = next(line for line in lines if line.startswith(label))
        assert line.split(maxsplit=len(label.split()))[-1] in fitted, label
    assert any("2 columns (eruptions, waiting)" in line for line in lines)


def test_quiet_is_silent(csv_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", csv_file, "-k", 2, "--quiet") == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_verbose_reports_on_standard_error(csv_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", csv_file, "-k", 2, "--verbose") == 0
    captured = capsys.readouterr()
    assert "nitialization" in captured.err
    assert "nitialization" not in captured.out


def test_verbosity_stays_out_of_the_model(csv_file: Path, tmp_path: Path) -> None:
    assert run("fit", csv_file, "-k", 2, "--verbose", "--out", tmp_path / "m.npz") == 0
    assert emix.GaussianMixture.load(tmp_path / "m.npz").verbose == 0


def test_progress_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    target = io.StringIO()
    progress = Progress(target, patience=2.0)
    print("early", file=progress)
    now = 2.5
    print("late", file=progress)
    assert target.getvalue() == "late\n"


class Terminal(io.StringIO):
    """A stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise io.UnsupportedOperation


def test_a_long_fit_on_a_terminal_shows_one_line_of_progress(
    csv_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    times = iter([0.0])
    monkeypatch.setattr("time.monotonic", lambda: next(times, 100.0))  # patience is over at once
    assert run("fit", csv_file, "-k", 3, "--tol", "1e-9") == 0
    assert "log-likelihood" in terminal.getvalue() and "\r" in terminal.getvalue()
    assert capsys.readouterr().out.startswith("Gaussian mixture: 3 components")


@pytest.mark.parametrize("arguments", [[], ["--quiet"]])
def test_a_short_or_quiet_fit_shows_no_progress(
    csv_file: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    if not arguments:
        monkeypatch.setattr("time.monotonic", lambda: 0.0)  # it never takes two seconds
    assert run("fit", csv_file, "-k", 2, *arguments) == 0
    assert terminal.getvalue() == ""


def test_data_writes_what_is_shipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "faithful") == 0
    assert capsys.readouterr().out == faithful_csv()
    assert run("data", "faithful", "--out", tmp_path / "f.csv") == 0
    assert (tmp_path / "f.csv").read_text() == faithful_csv()
    assert run("data") == 0
    assert "faithful: 272 rows, 2 columns" in capsys.readouterr().out


def test_fit_reads_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(faithful_csv().encode())))
    assert run("fit", "-", "-k", 2) == 0
    assert "272 rows" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_without_a_value_are_left_out_of_a_fit_and_empty_in_scores(
    csv_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    rows = pl.read_csv(csv_file, schema_overrides=[pl.Float64, pl.Float64])
    path, model, out = tmp_path / "holes.dat", tmp_path / "m.npz", tmp_path / f"scores{suffix}"
    lines = ["eruptions   waiting", *(f"{a!r:>9} {b!r:>9}" for a, b in rows.rows())]
    lines[4], lines[8] = "       NA      62.0", "      4.7         ."
    path.write_text("\n".join(lines))
    kept = rows.with_row_index().filter(~pl.col("index").is_in([3, 7])).drop("index")
    assert run("fit", path, "-k", 2, "--out", model) == 1
    assert "column 'eruptions' has no value in row 4 (2 rows in all)" in capsys.readouterr().err
    assert run("fit", path, "-k", 2, "--missing", "drop", "--out", model) == 0
    captured = capsys.readouterr()
    assert captured.err == f"emix: warning: {path}: 2 of 272 rows have no value in some column and are left out\n"
    assert "270 rows, 2 columns (eruptions, waiting)" in captured.out
    mixture = emix.GaussianMixture.load(model)
    assert list(mixture.feature_names_in_) == ["eruptions", "waiting"]
    np.testing.assert_array_equal(mixture.means_, emix.GaussianMixture(2, random_state=0).fit(kept).means_)

    assert run("score", model, path) == 1
    assert "has no value in row 4" in capsys.readouterr().err
    assert run("score", model, path, "--missing", "drop", "--out", out) == 0
    captured = capsys.readouterr()
    assert captured.err == f"emix: warning: {path}: 2 of 272 rows have no value in some column and stay empty\n"
    scores = pl.read_csv(out) if suffix == ".csv" else pl.read_parquet(out)
    assert scores.height == 272
    assert scores.with_row_index().filter(pl.col("log_density").is_null())["index"].to_list() == [3, 7]
    assert set(scores.null_count().row(0)) == {2}
    np.testing.assert_array_equal(scores["log_density"].drop_nulls().to_numpy(), mixture.score_samples(kept))
    np.testing.assert_array_equal(scores["component"].drop_nulls().to_numpy(), mixture.predict(kept))
