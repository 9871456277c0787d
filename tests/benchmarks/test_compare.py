"""The comparison: peers in processes of their own, results judged, missing peers named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from compare import interpreters, judge, main
from comparison import milliseconds, table
from data import Problem, make_data, make_start
from workers import Timing, Worker


def test_different_results_are_complained_of() -> None:
    problem = Problem(300, 2, 2)
    X = make_data(problem)
    start = make_start(problem, X)
    moved = start._replace(means=start.means + 1e-3)
    same, different, absent = Timing(parameters=start), Timing(parameters=moved), Timing(refusal=("failed", "x"))
    _, complaints = judge(X, "float64", {"a": same, "b": same, "c": absent})
    assert complaints == []
    values, complaints = judge(X, "float64", {"a": same, "b": different})
    assert values["a"] != values["b"]
    assert len(complaints) == 1 and complaints[0].startswith("b ends at log-likelihood")
    broken = start._replace(weights=np.full(2, np.nan))
    assert len(judge(X, "float64", {"a": same, "b": Timing(parameters=broken)})[1]) == 1


def test_time_of_an_iteration_is_a_difference() -> None:
    timing = Timing(few=[3.0, 2.5], many=[9.0, 8.5, 17.0])
    assert timing.per_iteration == 1.0
    assert timing.spread == 1.0


def test_a_process_that_cannot_answer_says_why() -> None:
    with Worker("numpy_baseline", sys.executable, 1) as worker:
        assert worker.ask("run", n_iter=1, save=None) == {"failed": "RuntimeError: no problem is loaded"}
    with Worker("numpy_baseline", "/bin/false" if sys.platform != "win32" else sys.executable, 1) as worker:
        reply = worker.ask("about" if sys.platform != "win32" else "no such verb")
        assert "failed" in reply


def test_comparison_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Tiny sizes; of the results only the likelihoods are looked at, never the times."""
    small = (Problem(400, 2, 2), Problem(400, 3, 2, structure="diag"), Problem(400, 3, 2, dtype="float32"))
    monkeypatch.setattr("compare.QUICK_PROBLEMS", small)
    peers = ["--peers", "numpy_baseline,scikit_learn,onedal", "--python", "onedal=" + sys.executable]
    assert main(["--quick", "--repeats", "1", "--threads", "1", "--output", str(tmp_path), *peers]) == 0
    results = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert [problem["complaints"] for problem in results["problems"]] == [[], [], []]
    full, diag, _ = (problem["peers"] for problem in results["problems"])
    assert full["NumPy"]["log_likelihood"] == pytest.approx(full["scikit-learn"]["log_likelihood"], rel=1e-10)
    assert diag["NumPy"] == {"unsupported": "full covariances only"}
    for name in ("NumPy", "scikit-learn"):
        assert "numpy" in results["peers"][name]["versions"] and results["peers"][name]["blas"]
    if "oneDAL" in results["missing"]:  # as nearly everywhere
        assert "oneDAL is missing: No module named 'daal4py'" in capfd.readouterr().out
        assert "- oneDAL is missing" in (tmp_path / "comparison.md").read_text(encoding="utf-8")
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")

    # Resumed, it measures what is not there, and keeps the rest.
    results["problems"].pop()
    (tmp_path / "comparison.json").write_text(json.dumps(results), encoding="utf-8")
    peers = ["--peers", "numpy_baseline", "--resume"]
    assert main(["--quick", "--threads", "1", "--output", str(tmp_path), *peers]) == 0
    resumed = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))["problems"]
    assert resumed[:2] == results["problems"]
    assert list(resumed[2]["peers"]) == ["NumPy"]
    assert "scikit-learn" in (tmp_path / "comparison.md").read_text(encoding="utf-8").splitlines()[0]


def test_table_gives_ratios_and_reasons() -> None:
    def timed(seconds: float) -> dict[str, float]:
        return {"seconds_per_iteration": seconds, "spread": 0.1, "log_likelihood": -1.0}

    results = {
        "date": "2026-01-01T00:00:00+00:00",
        "machine": {"processor": "p", "cores": 2, "vectors": "avx2", "system": "s"},
        "threads": 2,
        "repeats": 5,
        "peers": {name: {"versions": {name: "1"}, "note": ""} for name in ("old", "emix")},
        "missing": {"other": "No module named 'other'"},
        "problems": [
            {"name": "one", "complaints": [], "peers": {"old": timed(0.2), "emix": timed(0.01)}},
            {"name": "two", "complaints": [], "peers": {"old": {"failed": "Error: no"}, "emix": timed(0.01)}},
        ],
    }
    text = table(results)
    assert "| one | 200 (+10 %) | 10.0 (+10 %) | old 20× |" in text
    assert "| two | fails | 10.0 (+10 %) |  |" in text
    assert "- old: Error: no" in text
    assert "- other is missing: No module named 'other'" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.234, "1 234"), (0.1234, "123"), (0.01234, "12.3"), (1.234e-3, "1.23"), (1.234e-6, "0.001"), (-1.0, "0")],
)
def test_milliseconds(seconds: float, text: str) -> None:
    assert milliseconds(seconds) == text


def test_interpreters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMIX_BENCH_ONEDAL", "/from/environment")
    assert interpreters([])["onedal"] == "/from/environment"
    assert interpreters(["onedal=/given"])["onedal"] == "/given"
    assert interpreters([])["emix"] == sys.executable
    with pytest.raises(SystemExit, match="expected PEER=PATH"):
        interpreters(["nonsense"])
