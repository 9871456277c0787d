"""The arguments of `emix`, and its promises to a shell script."""

from __future__ import annotations

import argparse
import inspect
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

import emix
from emix.cli import command_line
from emix.cli.command_line import main

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-c", "import sys; from emix.cli.command_line import main; sys.exit(main())"]


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and the one line on standard error; nothing else is printed."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("emix: error: ")
    assert captured.err.count("\n") == 1
    assert captured.err.endswith("\n")
    return code, captured.err.removeprefix("emix: error: ").rstrip()


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"emix {emix.__version__}\n"
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    commands = ("fit", "score", "predict", "sample", "plot", "info", "data")
    assert all(command in text for command in (*commands, "exit codes"))
    for command in commands:
        assert main([command, "--help"]) == 0
        assert "exit codes" in capsys.readouterr().out


def test_defaults_are_those_of_the_estimator() -> None:
    arguments = vars(command_line.make_parser().parse_args(["fit", "rows.csv", "--components", "2"]))
    defaults = {key: value.default for key, value in inspect.signature(emix.GaussianMixture).parameters.items()}
    names = {"covariance": "covariance_type", "init": "init_params", "threads": "n_threads"}
    for name in ("covariance", "init", "tol", "reg_covar", "max_iter", "n_init", "threads"):
        assert arguments[name] == defaults[names.get(name, name)], name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND (see emix --help)"),
        (["fit", "rows.csv"], "the following arguments are required: -k/--components (see emix fit --help)"),
        (["fit", "rows.csv", "-k", "0"], "argument -k/--components: '0', expected a whole number of at least 1"),
        (["fit", "rows.csv", "-k", "two"], "argument -k/--components: 'two', expected a whole number of at least 1"),
        (["fit", "r.csv", "-k", "2", "--tol", "-1"], "argument --tol: '-1', expected a number of at least 0"),
        (["fit", "r.csv", "-k", "2", "--tol", "nan"], "argument --tol: 'nan', expected a number of at least 0"),
        (
            ["fit", "r.csv", "-k", "2", "--reg-covar", "x"],
            "argument --reg-covar: 'x', expected auto or a number of at least 0",
        ),
        (["fit", "r.csv", "-k", "2", "--seed", "-1"], "argument --seed: '-1', expected a whole number from 0 to"),
        (["fit", "r.csv", "-k", "2", "--columns", "a,,b"], "argument --columns: 'a,,b' has an empty name"),
        (["fit", "r.csv", "-k", "2", "--columns", ""], "argument --columns: '' has an empty name"),
        (["fit", "r.csv", "-k", "2", "--covariance", "round"], "argument --covariance: invalid choice: 'round'"),
        (["fit", "r.csv", "-k", "2", "--quiet", "--verbose"], "argument --verbose: not allowed with argument --quiet"),
        (["fit", "r.csv", "-k", "2", "--separator", ""], "argument --separator: '', expected one character, such as"),
        (["fit", "r.csv", "-k", "2", "--separator", "ab"], "argument --separator: 'ab', expected one character"),
        (["fit", "r.csv", "-k", "2", "--separator", "1"], "argument --separator: '1', expected one character"),
        (["score", "m.npz"], "the following arguments are required: FILE"),
        (["predict", "m.npz"], "the following arguments are required: FILE"),
        (["sample", "m.npz"], "the following arguments are required: -n/--rows"),
        (["sample", "m.npz", "-n", "0"], "argument -n/--rows: '0', expected a whole number of at least 1"),
        (["sample", "m.npz", "-n", "1", "--seed", "x"], "argument --seed: 'x', expected a whole number from 0 to"),
        (["plot", "m.npz", "r.csv"], "the following arguments are required: -o/--out"),
        (["data", "iris"], "argument NAME: invalid choice: 'iris'"),
        (["refit"], "argument COMMAND: invalid choice: 'refit'"),
        (["reprot"], ": did you mean report? (see emix --help)"),
    ],
)
def test_usage_errors(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    code, text = fails(capsys, *arguments)
    assert code == 2
    for part in message.split(" (see"):
        assert part.split("/--")[-1].strip(")") in text.replace("-q/", "").replace("-v/", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "r.csv", "--component", "2"], "--component: did you mean --components? (see emix fit --help)"),
        (["fit", "r.csv", "--n-components=2"], "--n-components: did you mean --components?"),
        (["fit", "r.csv", "-k", "2", "--reg_covar", "1"], "--reg_covar: did you mean --reg-covar?"),
        (["fit", "r.csv", "-k", "2", "--sep", ";"], "--sep: did you mean --separator?"),
        (["fit", "r.csv", "-k", "2", "-out", "m.npz"], "-out: did you mean --out?"),
        (["score", "m.npz", "r.csv", "--column", "a"], "--column: did you mean --columns?"),
        (["--verson"], "--verson: did you mean --version? (see emix --help)"),
    ],
)
def test_a_mistyped_option_suggests_the_nearest(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, text = fails(capsys, *arguments)
    assert code == 2
    assert text.startswith(f"unknown option {message}")


def test_what_is_near_no_option_or_is_none_suggests_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, text = fails(capsys, "fit", "r.csv", "-k", "2", "--foo")
    assert (code, text) == (2, "unrecognized arguments: --foo (see emix --help)")
    code, text = fails(capsys, "fit", "-k", "2", "--", "--component")
    assert (code, text[:12]) == (1, "--component:")


def test_column_names_may_hold_commas() -> None:
    parsed = command_line.make_parser().parse_args(["fit", "r.csv", "-k", "1", "--columns", '"a,b", c'])
    assert parsed.columns == ["a,b", "c"]
    parsed = command_line.make_parser().parse_args(["fit", "r.csv", "-k", "1", "--columns", '"",a'])
    assert parsed.columns == ["", "a"]


@pytest.mark.parametrize(
    ("text", "separator"), [(";", ";"), ("tab", "\t"), ("\\t", "\t"), ("\t", "\t"), (" ", " "), ("blank", " ")]
)
def test_separators_have_names(text: str, separator: str) -> None:
    for command in (["fit", "r.csv", "-k", "1"], ["score", "m.npz", "r.csv"]):
        assert command_line.make_parser().parse_args([*command, "--separator", text]).separator == separator


def test_errors_of_the_data_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, text = fails(capsys, "fit", tmp_path / "none.csv", "-k", "2")
    assert code == 1
    assert text == f"{tmp_path / 'none.csv'}: no such file"
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n3,\n")
    code, text = fails(capsys, "fit", path, "-k", "1")
    assert code == 1
    problem = "column 'b' has no value in row 2 (1 row in all)"
    assert text == f"{path}: {problem}: fill or remove such rows, or pass --missing drop"


def test_errors_of_the_fit_are_one_line(capsys: pytest.CaptureFixture[str], csv_file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", np.zeros((3, 2)))
    code, text = fails(capsys, "fit", tmp_path / "few.npy", "-k", "5", "--out", tmp_path / "m.npz")
    assert code == 1
    assert "3" in text
    assert "5" in text
    assert not (tmp_path / "m.npz").exists()
    code, text = fails(capsys, "fit", csv_file, "-k", "1", "--out", tmp_path / "nowhere" / "m.npz")
    assert code == 1
    assert "nowhere does not exist" in text


def test_model_files_that_are_none_are_refused(
    capsys: pytest.CaptureFixture[str], csv_file: Path, tmp_path: Path
) -> None:
    code, text = fails(capsys, "info", csv_file)
    assert code == 1
    assert "model file" in text
    code, text = fails(capsys, "score", tmp_path / "none.npz", csv_file)
    assert code == 1
    assert text == f"{tmp_path / 'none.npz'}: no such file"


def test_a_missing_extra_is_named(
    capsys: pytest.CaptureFixture[str], csv_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    code, text = fails(capsys, "fit", csv_file, "-k", "2")
    assert code == 1
    assert text.endswith('reading CSV and Parquet files needs polars, which is not installed: pip install "emix[cli]"')
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    np.save(tmp_path / "rows.npy", np.eye(4))
    code, text = fails(capsys, "fit", tmp_path / "rows.npy", "-k", "1", "--plot", tmp_path / "fit.png")
    assert code == 1
    assert text == '--plot needs matplotlib, which is not installed: pip install "emix[plot]"'


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(28, "No space left on device", "m.npz"), "m.npz: No space left on device"),
        (MemoryError("Unable to allocate 8 TiB"), "not enough memory: Unable to allocate 8 TiB"),
        (MemoryError(), "not enough memory"),
        (ValueError("two\n lines"), "two lines"),
    ],
)
def test_every_expected_error_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception, text: str
) -> None:
    def run(_: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr("emix.cli.commands.data", run)
    assert fails(capsys, "data") == (1, text)


def test_interruption_is_reported_as_shells_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("emix.cli.commands.data", run)
    assert main(["data"]) == 130
    assert capsys.readouterr().err == "emix: interrupted\n"


def test_as_a_process(csv_file: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.npz"
    fit = subprocess.run(
        [*COMMAND, "fit", csv_file, "--components", "2", "--out", model], capture_output=True, text=True, check=False
    )
    assert (fit.returncode, fit.stderr) == (0, "")
    assert "Log-likelihood" in fit.stdout
    usage = subprocess.run([*COMMAND, "fit"], capture_output=True, text=True, check=False)
    assert usage.returncode == 2
    pipe = subprocess.run(
        [*COMMAND, "score", model, "-"], input=csv_file.read_bytes(), capture_output=True, check=False
    )
    assert pipe.returncode == 0
    assert pipe.stdout.count(b"\n") == 273


@pytest.mark.skipif(os.name != "posix", reason="Windows sends no SIGINT to one process")
def test_a_fit_is_interrupted_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "rows.npy", rng.normal(size=(20_000, 3)))
    # An endless fit: no change is small enough, and there are iterations for a day.
    arguments = ["fit", str(tmp_path / "rows.npy"), "-k", "8", "--tol", "0", "--max-iter", "100000000", "--verbose"]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "Iteration" not in process.stderr.readline():  # until it is under way
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == -signal.SIGINT  # 130 in a shell
    assert out == ""
    assert err.splitlines()[-1] == "emix: interrupted"
    assert "Traceback" not in err


@pytest.mark.skipif(os.name != "posix", reason="Windows has neither SIGPIPE nor its convention")
def test_a_reader_that_goes_away_is_no_error(csv_file: Path) -> None:
    code = (
        "import sys; from emix.cli import command_line, commands; from emix.cli.tables import write_columns;"
        "import numpy as np;"
        "commands.data = lambda _: write_columns({'k': np.arange(500_000)}, None) or 0;"
        "sys.exit(command_line.main(['data']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"k\n"
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 128 + signal.SIGPIPE
