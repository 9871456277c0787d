"""`emix fit` that chooses among mixtures: ranges, lists, the table, the curves, the model."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import emix
from emix.choice import fits
from emix.cli.command_line import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMAND = [sys.executable, "-c", "import sys; from emix.cli.command_line import main; sys.exit(main())"]
FAITHFUL = emix.load_faithful().data


def test_ten_best_the_curves_and_the_model(csv_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, picture = tmp_path / "model.npz", tmp_path / "choice.png"
    arguments = ["fit", csv_file, "-k", "1-9", "--covariance", "all", "--criterion", "bic", "--out", model]
    assert main([*map(str, arguments), "--plot", str(picture)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    expected = emix.select_mixture(FAITHFUL, range(1, 10), random_state=0)
    assert captured.out.startswith(f"{expected}\n\nGaussian mixture: 3 components, tied covariances\n")
    assert "\nWeights and means; rows by largest responsibility\n" in captured.out
    assert captured.out.endswith(f"\n\nModel file  {model}\nPicture     {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")
    loaded = emix.GaussianMixture.load(model)
    assert (loaded.covariance_type, loaded.n_components) == (expected.best_row_.covariance_type, 3)
    assert np.array_equal(loaded.means_, expected.best_.means_)
    assert list(loaded.feature_names_in_) == ["eruptions", "waiting"]
    assert loaded.verbose == 0


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        (["-k", "2,3,5", "--covariance", "full,VII"], "Chosen by BIC: full, 2 components"),
        (["-k", "1-2,4", "--covariance", "tied"], "Chosen by BIC: tied, 4 components"),
        (["-k", "2", "--criterion", "icl"], "Chosen by ICL: full, 2 components"),
        (["-k", "2", "--covariance", "tied, full"], "Chosen by BIC: full, 2 components"),
        (["-k", "1-3", "--criterion", "cv", "--folds", "4"], "Chosen by held-out log-likelihood: full, 2 components"),
    ],
)
def test_ranges_lists_and_criteria(
    csv_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], chosen: str
) -> None:
    assert main(["fit", str(csv_file), *arguments]) == 0
    assert capsys.readouterr().out.startswith(chosen)


def test_one_mixture_is_fitted_as_before(csv_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", str(csv_file), "-k", "2"]) == 0
    assert capsys.readouterr().out.startswith("Gaussian mixture: 2 components")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-k", "9-1"], 2, "argument -k/--components: '9-1', expected a range from the smaller to the larger: 1-9"),
        (
            ["-k", "0-3"],
            2,
            "'0-3', expected a whole number of at least 1, a range such as 1-9, or several, such as 2,3",
        ),
        (["-k", "1-"], 2, "'1-', expected a whole number of at least 1, a range"),
        (["-k", "-3"], 2, "argument -k/--components: '-3', expected a whole number"),
        (["-k", "2,,3"], 2, "'2,,3', expected a whole number of at least 1"),
        (["-k", "1-3,2"], 2, "'1-3,2' has 2 more than once, expected each number once"),
        (["-k", "1-100000000"], 2, "expected a range from the smaller to the larger: at most 1000 numbers"),
        (["-k", "2", "--covariance", "ful"], 2, "argument --covariance: invalid choice: 'ful' (choose from all, full"),
        (["-k", "2", "--covariance", "full,vvi"], 2, "invalid choice: 'vvi'"),
        (["-k", "2", "--covariance", "all,full"], 2, "invalid choice: 'all'"),
        (["-k", "2", "--covariance", "full,VVV"], 1, "one structure twice, as 'full', 'VVV': leave one out"),
        (["-k", "1-3", "--covariance", "E"], 1, "has 'E', a structure of data in one column, but X has 2 columns"),
        (["-k", "2", "--criterion", "BIC"], 2, "argument --criterion: invalid choice: 'BIC'"),
        (["-k", "1-3", "--criterion", "cv", "--folds", "500"], 1, "n_folds=500 is more than the rows"),
        (["-k", "1-3", "--folds", "0"], 2, "argument --folds: '0', expected a whole number of at least 1"),
    ],
)
def test_bad_ranges_and_names_are_one_line(
    csv_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert main(["fit", str(csv_file), *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("emix: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_did_you_mean(csv_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", str(csv_file), "-k", "2", "--covariance", "vvi"]) == 2
    assert "did you mean VVI?" in capsys.readouterr().err


def test_components_beyond_the_rows_are_left_out_aloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "few.csv"
    path.write_text("x\n" + "\n".join(str(value) for value in np.random.default_rng(0).normal(size=8)) + "\n")
    assert main(["fit", str(path), "-k", "1,2,9", "--covariance", "tied"]) == 0
    captured = capsys.readouterr()
    assert captured.err == (
        "emix: warning: n_components 9 left out: X has n_samples=8, with 8 distinct rows of weight above zero, and a "
        "component needs a row of its own.\n"
    )
    assert captured.out.startswith("Chosen by BIC: tied, 1 component")


def test_a_sweep_in_which_everything_collapses_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "few.csv"
    path.write_text("x,y\n" + "1,2\n3,1\n7,5\n" * 4)
    assert main(["fit", str(path), "-k", "3", "--covariance", "full,tied"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("emix: error: There is no mixture to choose: all 2 mixtures collapsed.")
    assert captured.err.count("\n") == 1


def test_progress_goes_to_standard_error(csv_file: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "fit", str(csv_file), "-k", "1-2", "-v"], capture_output=True, text=True, check=True
    )
    assert "full, 2 components\t log-likelihood -1130." in done.stderr
    assert "log-likelihood -1130.2640\t" not in done.stdout
    assert done.stdout.startswith("Chosen by BIC: full, 2 components")


@pytest.fixture
def interrupted_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Interrupt a sweep when it begins with its fit of that number."""

    def interrupt(number: int) -> None:
        plain, calls = fits.Fitter.fit, iter(range(1000))

        def fit(*arguments: Any, **keywords: Any) -> Any:
            if next(calls) == number:
                raise KeyboardInterrupt
            return plain(*arguments, **keywords)

        monkeypatch.setattr(fits.Fitter, "fit", fit)

    return interrupt


@pytest.mark.parametrize(("criterion", "name"), [("bic", "BIC"), ("icl", "ICL"), ("cv", "BIC")])
def test_an_interrupted_choice_shows_the_mixtures_by_then(
    csv_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    interrupted_at: Callable[[int], None],
    criterion: str,
    name: str,
) -> None:
    interrupted_at(9)
    out = tmp_path / "m.npz"
    arguments = ["fit", str(csv_file), "-k", "1-9", "--covariance", "EII,full", "--criterion", criterion]
    assert main([*arguments, "--out", str(out)]) == 130
    captured = capsys.readouterr()
    assert captured.err == "emix: interrupted\n"
    assert not out.exists()
    title, _, header, *rows = captured.out.splitlines()
    assert title == f"Interrupted after 9 mixtures, none is chosen; so far, by {name}:"
    assert header.split() == ["components", "parameters", "log-likelihood", "BIC", "AIC", "ICL"]
    # EII comes first: its nine mixtures, the best one first.
    cells = [row.split() for row in rows]
    assert [cell[0] for cell in cells] == 9 * ["EII"] and len({cell[1] for cell in cells}) == 9
    values = [float(cell[header.split().index(name) + 1]) for cell in cells]
    assert values == sorted(values)


def test_a_choice_that_is_interrupted_at_once_shows_nothing(
    csv_file: Path, capsys: pytest.CaptureFixture[str], interrupted_at: Callable[[int], None]
) -> None:
    interrupted_at(0)
    assert main(["fit", str(csv_file), "-k", "1-9"]) == 130
    assert capsys.readouterr() == ("", "emix: interrupted\n")


@pytest.mark.parametrize("option", ["--quiet", "--out=-"])
def test_an_interrupted_choice_without_a_summary_shows_nothing(
    csv_file: Path, capsys: pytest.CaptureFixture[str], interrupted_at: Callable[[int], None], option: str
) -> None:
    interrupted_at(3)
    assert main(["fit", str(csv_file), "-k", "1-9", option]) == 130
    assert capsys.readouterr() == ("", "emix: interrupted\n")


@pytest.mark.skipif(os.name != "posix", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_ends_a_choice_with_its_table(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(2000, 3)))
    # The last mixtures would take days: no change is small enough.
    arguments = ["fit", str(tmp_path / "rows.npy"), "-k", "1-200", "--tol", "0", "--max-iter", "100000000", "-v"]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "full, 1 component" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == -signal.SIGINT  # 130 in a shell
    assert err.splitlines()[-1] == "emix: interrupted"
    assert "Traceback" not in err
    assert re.match(r"Interrupted after \d+ mixtures?, none is chosen; so far, by BIC:\n", out)


def test_one_column_has_e_and_v(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "one.csv"
    path.write_text("x\n" + "\n".join(str(value) for value in FAITHFUL[:, 0]) + "\n")
    assert main(["fit", str(path), "-k", "1-3", "--covariance", "E,V"]) == 0
    assert capsys.readouterr().out.startswith("Chosen by BIC: ")
