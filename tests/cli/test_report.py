"""`emix report`: the page, its exit codes, and what is refused before the fit."""

from __future__ import annotations

import hashlib
import io
import os
import sys
from typing import TYPE_CHECKING

import pytest

import emix
from emix.cli.command_line import main
from emix.datasets.faithful import faithful_csv

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_the_page_is_that_of_the_choice(csv_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.html"
    assert run("report", csv_file, "-k", "1-3", "--covariance", "full,tied", "--starts", 2, "--out", out) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out == f"Chosen by BIC: tied, 3 components\nReport  {out}\n"
    page = out.read_text(encoding="utf-8")
    assert f"emix report {csv_file} -k 1-3 --covariance full,tied --starts 2 --out {out}" in page
    assert hashlib.sha256(csv_file.read_bytes()).hexdigest() in page
    best = emix.select_mixture(emix.load_faithful().data, range(1, 4), ["full", "tied"], random_state=0).best_
    assert f"{best.log_likelihood_:.6f} nats" in page
    assert "Of 2 starts" in page


def test_all_structures_and_one_to_nine_components_by_default(csv_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert run("report", csv_file, "--starts", 0, "--quiet", "--out", out) == 0
    assert "Chosen by BIC: tied, 3 components (of 126 mixtures)" in out.read_text(encoding="utf-8")


def test_rows_from_standard_input_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(faithful_csv().encode())))
    assert run("report", "-", "-k", 2, "--covariance", "full", "--starts", 0, "--out", "-") == 0
    page = capsysbinary.readouterr().out
    assert page.startswith(b"<!DOCTYPE html>") and page.endswith(b"</html>\n")
    assert b"Gaussian mixture of standard input" in page and b"SHA-256" not in page


@pytest.mark.skipif(sys.platform != "linux", reason="the file system takes no such name")
def test_a_file_name_that_is_not_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = os.fsdecode(b"k\xe9.csv")
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(faithful_csv())
    assert run("report", name, "-k", 2, "--covariance", "full", "--starts", 0, "--out", "report.html") == 0
    assert "<title>Gaussian mixture of k\\udce9.csv</title>" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_doubtful_fits_have_their_exit_code_and_their_warning_in_the_page(
    csv_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.html"
    arguments = ["-k", 3, "--covariance", "full", "--max-iter", 1, "--reg-covar", 0.1, "--starts", 0]
    assert run("report", csv_file, *arguments, "--out", out) == 3
    assert "reg_covar=0.1 is more than 1 %" in capsys.readouterr().err
    page = out.read_text(encoding="utf-8")
    assert "The fit did not converge" in page
    assert "reg_covar=0.1 is more than 1 %" in page


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--out", "report.pdf"], 1, "unknown format '.pdf', expected one of .html, .htm"),
        ([], 2, "the following arguments are required: -o/--out"),
        (["--out", "nowhere/report.html"], 1, "nowhere"),
        (["--out", "r.html", "--starts", "-1"], 2, "argument --starts"),
        (["--out", "r.html", "--covariance", "fulll"], 2, "did you mean full?"),
        (["--out", "r.html", "--stars", "2"], 2, "did you mean --starts?"),
    ],
)
def test_wrong_arguments_are_refused(
    csv_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("report", csv_file, *arguments) == code
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.html"))


def test_the_data_are_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "data.html"
    path.write_text(faithful_csv())
    (tmp_path / "data.csv").symlink_to(path)
    assert run("report", tmp_path / "data.csv", "--out", path) == 2
    assert "it would be overwritten" in capsys.readouterr().err
    assert path.read_text() == faithful_csv()
