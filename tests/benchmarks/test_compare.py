"""The comparison: peers in processes of their own, results judged, missing peers named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from compare import interpreters, judge, main, name_of
from comparison import readme_table, table
from data import Problem, make_data, make_start
from peers import PEERS
from results import refuse_other
from timing import Timing
from workers import Worker


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
    monkeypatch.setattr("results.revision", lambda: "abc1234")
    peers = ["--peers", "numpy_baseline,scikit_learn,onedal", "--python", "onedal=" + sys.executable]
    assert main(["--quick", "--repeats", "1", "--threads", "1", "--output", str(tmp_path), *peers]) == 0
    results = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert [problem["complaints"] for problem in results["problems"]] == [[], [], []]
    full, diag, _ = (problem["peers"] for problem in results["problems"])
    assert full["NumPy"]["log_likelihood"] == pytest.approx(full["scikit-learn"]["log_likelihood"], rel=1e-10)
    assert diag["NumPy"] == {"unsupported": "full covariances only"}
    for name in ("NumPy", "scikit-learn"):
        assert "numpy" in results["peers"][name]["versions"] and results["peers"][name]["blas"]
        assert len(full[name]["seconds_many"]) == 1
    assert {name for name, why in results["missing"].items() if why == "not asked for"} == {
        name_of(peer) for peer in PEERS if peer not in ("numpy_baseline", "scikit_learn", "onedal")
    }
    assert all(problem["revision"] == results["revision"] for problem in results["problems"])
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
    again = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert again["missing"] == results["missing"]  # the libraries that the first run had are not missing now

    # Nothing else is gone on with.
    for what, other in (("revision", "v0"), ("quick", False), ("threads", 7), ("repeats", 3), ("budget", 9.0)):
        (tmp_path / "comparison.json").write_text(json.dumps({**again, what: other}), encoding="utf-8")
        with pytest.raises(SystemExit, match=f"was measured with {what} {other}"):
            main(["--quick", "--threads", "1", "--output", str(tmp_path), *peers])


@pytest.mark.parametrize(("named", "said"), [(None, "outside git"), ("abc-dirty", "abc-dirty, with changes")])
def test_code_without_a_name_is_not_gone_on_with(tmp_path: Path, named: str | None, said: str) -> None:
    results = {"revision": named, "machine": {"processor": "p"}}
    with pytest.raises(SystemExit, match=said):
        refuse_other(tmp_path / "comparison.json", results, results)


def timed(*rounds: float) -> dict[str, object]:
    """The record of a peer with these seconds per iteration."""
    return Timing(iterations=1, few=[0.0] * len(rounds), many=list(rounds)).record()


RESULTS = {
    "date": "2026-01-01T00:00:00+00:00",
    "revision": "abc1234",
    "machine": {"processor": "p", "cores": 2, "vectors": "avx2", "system": "s"},
    "threads": 2,
    "repeats": 5,
    "tolerance": {"float64": 1e-8, "float32": 1e-5},
    "peers": {name: {"versions": {name: "1"}, "note": note} for name, note in (("NumPy", "is slow"), ("old", ""))}
    | {"emix": {"versions": {"emix": "1"}, "note": ""}},
    "missing": {"other": "not asked for"},
    "problems": [
        {
            "name": "one",
            "dtype": "float64",
            "few": 2,
            "many": 8,
            "complaints": [],
            "peers": {"NumPy": timed(0.4), "old": timed(0.2, 0.3, 0.1), "emix": timed(0.0105, 0.010, 0.009)},
        },
        {
            "name": "two",
            "dtype": "float32",
            "few": 2,
            "many": 32,
            "complaints": [],
            "peers": {"NumPy": {"unsupported": "no"}, "old": {"failed": "Error: no"}, "emix": timed(1.4, 1.2)},
        },
    ],
}


def test_table_gives_ranges_ratios_and_reasons() -> None:
    text = table(RESULTS)
    assert "| one | 3–8 | 400 (once) | 200 (100–300) | 10 (9.0–10) | NumPy 40×, old 20× |" in text
    assert "| two | 3–32 | – | fails | 1 300 (1 200–1 400) |  |" in text
    assert "Median of the rounds by turns, 1 to 3 of them" in text
    assert "- old: Error: no" in text
    assert "- other is missing: not asked for" in text


def test_readme_table_says_what_its_entries_are() -> None:
    text = readme_table(RESULTS)
    assert "| one | 400 (once) | 200 | **10** (9.0–10) | – | 20× |" in text
    assert "| two | – | fails | **1 300** (1 200–1 400) | – | – |" in text
    for said in (
        "a fit of 8 to 32 iterations takes longer than one of 2",
        "equal to 1e-8 (float32: 1e-5)",
        "NumPy is this project's own `benchmarks/baseline_numpy.py`, which is slow",
        "Not measured: other",
        "abc1234",
    ):
        assert said in text
    problems = [{**problem, "complaints": ["no"]} for problem in RESULTS["problems"]]
    assert "DIFFER" in readme_table({**RESULTS, "problems": problems})


def test_interpreters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMIX_BENCH_ONEDAL", "/from/environment")
    assert interpreters([])["onedal"] == "/from/environment"
    assert interpreters(["onedal=/given"])["onedal"] == "/given"
    assert interpreters([])["emix"] == sys.executable
    with pytest.raises(SystemExit, match="expected PEER=PATH"):
        interpreters(["nonsense"])
