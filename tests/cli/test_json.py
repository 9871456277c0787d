"""`--json`: one object on standard output, whose keys the help documents, against the estimator itself."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

import emix
from emix.choice import fits
from emix.cli.command_line import main

if TYPE_CHECKING:
    from pathlib import Path

FIT_TWO = ["-k", "2", "--n-init", "2"]


@pytest.fixture
def model_file(csv_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    assert main(["fit", str(csv_file), *FIT_TWO, "--quiet", "--out", str(path)]) == 0
    return path


def object_of(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    """Run a command that prints one object on one line, and nothing else."""
    assert main([str(argument) for argument in arguments]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("\n") == 1 and captured.out.endswith("}\n")

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    found: dict[str, Any] = json.loads(captured.out, parse_constant=refuse)
    return found


def test_fit(csv_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, picture = tmp_path / "m.npz", tmp_path / "p.png"
    found = object_of(capsys, "fit", csv_file, *FIT_TWO, "--json", "--out", out, "--plot", picture)
    rows = pl.read_csv(csv_file)
    gm = emix.GaussianMixture.load(out)
    assert (found["emix"], found["command"]) == (emix.__version__, "fit")
    assert found["data"] == {"file": str(csv_file), "n_rows": 272, "n_used": 272}
    assert found["files"] == {"model": str(out), "picture": str(picture)}
    assert found["choice"] is None
    # JSON has all digits of a number.
    assert found["model"] == {
        "n_components": 2,
        "covariance_type": "full",
        "feature_names": ["eruptions", "waiting"],
        "weights": gm.weights_.tolist(),
        "means": gm.means_.tolist(),
        "covariances": gm.covariances_.tolist(),
    }
    fit = found["fit"]
    assert fit["log_likelihood"] == gm.log_likelihood_
    assert (fit["n_parameters"], fit["total_weight"]) == (11, 272)
    assert fit["rows"] == np.bincount(gm.predict(rows)).tolist()
    assert (fit["converged"], fit["degenerate"], fit["n_iter"]) == (True, False, gm.n_iter_)
    assert (fit["stopped_by"], fit["seconds"]) == (gm.stopped_by_, gm.fit_time_)
    assert fit["settings"] == {
        "n_init": 2,
        "init_params": "auto",
        "tol": 1e-6,
        "reg_covar": "auto",
        "max_iter": 1000,
        "random_state": 0,
    }
    assert [run["log_likelihood"] for run in fit["runs"]] == [run.log_likelihood for run in gm.runs_]
    # Sums in another order.
    for name in ("bic", "aic", "icl"):
        assert fit[name] == pytest.approx(getattr(gm, name)(rows), rel=1e-12)


def test_info_has_what_the_model_file_has(
    csv_file: Path, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted = object_of(capsys, "fit", csv_file, *FIT_TWO, "--json")
    found = object_of(capsys, "info", model_file, "--json")
    assert found["command"] == "info"
    assert found["model"] == fitted["model"]
    same = {key: value for key, value in fitted["fit"].items() if key not in ("icl", "rows", "seconds")}
    assert {key: found["fit"][key] for key in same} == same
    assert (found["fit"]["icl"], found["fit"]["rows"]) == (None, None)
    assert found["files"] == {"model": str(model_file)}
    given = tmp_path / "given.npz"
    emix.GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]]).save(given)
    found = object_of(capsys, "info", given, "--json")
    assert found["fit"] is None
    assert found["model"]["feature_names"] == ["x0"]


def test_score(csv_file: Path, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "scores.csv"
    found = object_of(capsys, "score", model_file, csv_file, "--json", "--out", out)
    scores = pl.read_csv(out)
    density = scores["log_density"].to_numpy()
    assert found["scores"] == {
        "total": density.sum(),
        "mean": density.mean(),
        "least": density.min(),
        "rows": np.bincount(scores["component"].to_numpy()).tolist(),
    }
    assert found["data"] == {"file": str(csv_file), "n_rows": 272, "n_used": 272}
    assert found["files"] == {"model": str(model_file), "scores": str(out)}
    # Without a file for the rows there is the summary alone.
    alone = object_of(capsys, "score", model_file, csv_file, "--json")
    assert alone["scores"] == found["scores"]
    assert alone["files"]["scores"] is None


def test_numbers_that_are_not_finite_are_null(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "far.csv"
    path.write_text("eruptions,waiting\n1e200,1\n2,50\n,3\n")
    assert main(["score", str(model_file), str(path), "--json", "--missing", "drop"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("emix: warning: ") == 2
    found = json.loads(captured.out)
    assert found["scores"]["total"] is found["scores"]["mean"] is found["scores"]["least"] is None
    assert sum(found["scores"]["rows"]) == 2
    assert found["data"] == {"file": str(path), "n_rows": 3, "n_used": 2}


def test_a_choice(csv_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = object_of(capsys, "fit", csv_file, "-k", "1-4", "--covariance", "full,tied", "--json")
    selection = emix.select_mixture(emix.load_faithful().data, range(1, 5), ["full", "tied"], random_state=0)
    choice = found["choice"]
    assert choice["criterion"] == "bic"
    assert [row.pop("chosen") for row in choice["mixtures"]] == [r == selection.best_row_ for r in selection.table_]
    assert choice["mixtures"] == [row._asdict() for row in selection.table_]
    assert found["model"]["means"] == selection.best_.means_.tolist()


def test_an_interrupted_choice(
    csv_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, calls = fits.Fitter.fit, iter(range(1000))

    def interrupted(*arguments: Any, **keywords: Any) -> Any:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return plain(*arguments, **keywords)

    monkeypatch.setattr(fits.Fitter, "fit", interrupted)
    assert main(["fit", str(csv_file), "-k", "1-9", "--json", "--out", str(tmp_path / "m.npz")]) == 130
    captured = capsys.readouterr()
    assert captured.err == "emix: interrupted\n"
    found = json.loads(captured.out)
    assert found["model"] is found["fit"] is None
    assert found["files"] == {"model": None, "picture": None}
    assert [row["n_components"] for row in found["choice"]["mixtures"]] == [1, 2, 3]
    assert not any(row["chosen"] for row in found["choice"]["mixtures"])


def test_a_doubtful_fit_has_its_exit_code(csv_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", str(csv_file), "-k", "3", "--max-iter", "1", "--json"]) == 3
    captured = capsys.readouterr()
    assert captured.err.startswith("emix: warning: ")
    assert json.loads(captured.out)["fit"]["converged"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "{csv}", "-k", "2", "--json", "--quiet"], "--json prints a summary, and --quiet none: leave one out"),
        (
            ["fit", "{csv}", "-k", "2", "--json", "--out", "-"],
            "--json prints a summary, and --out - writes the model file to standard output: leave one out",
        ),
        (
            ["score", "{model}", "{csv}", "--json", "--out", "-"],
            "--json and --out - both write to standard output: leave one out",
        ),
    ],
)
def test_two_results_on_standard_output_are_refused(
    csv_file: Path, model_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([argument.format(csv=csv_file, model=model_file) for argument in arguments]) == 2
    assert capsys.readouterr() == ("", f"emix: error: {message}\n")


def keys_in_help(text: str) -> dict[str, set[str]]:
    """The top keys that a help documents, and all words that it has about each."""
    part = re.search(r"^keys of --json.*?:\n((?:  .*\n)+)", text, flags=re.MULTILINE)
    assert part is not None
    found: dict[str, set[str]] = {}
    for line in part[1].splitlines():
        if line[2] != " ":
            key = line.split()[0]
            found[key] = set()
        found[key] |= set(re.findall(r"\w+", line[2 + len(key) :] if line[2] != " " else line))
    return found


@pytest.mark.parametrize("command", ["fit", "info", "score"])
def test_the_help_documents_the_keys(
    csv_file: Path, model_file: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    arguments = {
        "fit": [csv_file, "-k", "1-2"],
        "info": [model_file],
        "score": [model_file, csv_file],
    }[command]
    found = object_of(capsys, command, *arguments, "--json")
    assert main([command, "--help"]) == 0
    documented = keys_in_help(capsys.readouterr().out)
    assert list(found) == list(documented)
    for key, value in found.items():
        if isinstance(value, dict):
            assert set(value) <= documented[key], key
    if command == "fit":
        assert set(found["choice"]["mixtures"][0]) <= documented["choice"]
        assert set(found["fit"]["settings"]) <= documented["fit"]
