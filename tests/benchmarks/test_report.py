"""The README's table comes from the JSON; every part of the benchmarks can be measured, printed and drawn."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

import report
import run_all
from results import write


def test_table_between_the_markers_is_replaced() -> None:
    readme = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    text = report.with_table(readme, "| new |")
    assert text == f"before\n{report.BEGIN}\n\n| new |\n\n{report.END}\nafter\n"
    assert report.with_table(text, "| new |") == text
    with pytest.raises(SystemExit, match="has not the markers"):
        report.with_table("no markers", "")


def test_readme_shows_what_was_measured() -> None:
    readme = report.README.read_text(encoding="utf-8")
    assert readme.count(report.BEGIN) == readme.count(report.END) == 1
    if report.SHOWN.exists():
        results = json.loads(report.SHOWN.read_text(encoding="utf-8"))
        assert report.with_table(readme, report.section(results)) == readme, "run benchmarks/report.py --readme"


@pytest.mark.parametrize("part", run_all.PARTS)
def test_every_part_has_a_table_and_a_figure(part: str) -> None:
    module = importlib.import_module({"compare": "comparison"}.get(part, part))
    assert callable(module.table) and callable(module.draw)


def test_a_part_from_end_to_end(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_all.main(["--quick", "--only", "scaling", "--threads", "2", "--output", str(tmp_path)]) == 0
    assert "scaling      ok" in capfd.readouterr().out
    results = json.loads((tmp_path / "scaling.json").read_text(encoding="utf-8"))
    assert [problem["same bits"] for problem in results["problems"]] == [True, True]
    assert {"machine", "versions", "blas", "date", "threads"} <= set(results)
    (tmp_path / "scaling.md").unlink()
    write(tmp_path / "scaling.json")
    assert "same bits" in (tmp_path / "scaling.md").read_text(encoding="utf-8")
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_a_part_that_fails_is_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_all, "command", lambda *_: ["false"])
    assert run_all.main(["--only", "memory", "--output", str(tmp_path)]) == 1
    assert "FAILED, exit status 1" in capfd.readouterr().out
