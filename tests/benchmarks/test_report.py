"""The README's table comes from the JSON; every part of the benchmarks can be measured, printed and drawn."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

import report
import run_all
from results import write
from timing import Timing


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


def timed(*rounds: float) -> dict[str, object]:
    return Timing(iterations=1, few=[0.0] * len(rounds), many=list(rounds)).record()


FIT = {"seconds": 1.0, "iterations": 5, "log_likelihood": -90.0}
EMIX_FIT = {**FIT, "history": [[0.1, -95.0], [0.2, -89.0]], "iteration": 0.1, "before": 0.3}

#: What each part may have measured, with something that is missing or refused, and what its table must say of that.
MEASURED: dict[str, tuple[dict[str, Any], str]] = {
    "comparison": (
        {
            "tolerance": {"float64": 1e-8},
            "peers": {name: {"versions": {"v": "1"}, "note": ""} for name in ("old", "emix")},
            "problems": [
                {"name": name, "dtype": "float64", "few": 2, "many": 8, "complaints": [], "peers": peers}
                for name, peers in (
                    ("one", {"old": timed(0.2, 0.3), "emix": timed(0.01, -0.01)}),
                    ("two", {"old": {"failed": "no"}, "emix": timed(0.1)}),
                )
            ],
        },
        "- other is missing: why",
    ),
    "scans": (
        {
            "by_d": [{"n": 100, "d": d, "K": 2, "times": {"emix": timed(1e-3 * d)}} for d in (2, 4)],
            "by_K": [
                {"n": 100, "d": 2, "K": K, "times": {"emix": timed(1e-3, 2e-3), "other": {"failed": "no"}}}
                for K in (1, 4)
            ],
            "by_n": [
                {"n": 1_000_000, "d": 2, "K": 2, "times": {"1 thread": timed(0.1, 0.2)}},
                {"n": 3_000_000, "d": 2, "K": 2, "times": {"1 thread": timed(0.3, 0.4)}},
                {"n": 100_000_000, "d": 2, "K": 2, "times": {}, "skipped": "no room"},
            ],
        },
        "100 000 000 × 2, 2 (no room)",
    ),
    "scaling": (
        {
            "problems": [
                {
                    "name": name,
                    "times": {"1": timed(0.2, 0.2), "2": timed(0.1, 0.1)},
                    "faster": {"1": {"times": 1.0, "range": [1.0, 1.0], "rounds": 2, "of": 2}, "2": faster},
                    "same bits": True,
                }
                for name, faster in (("one", {"times": 2.0, "range": [1.9, 2.1], "rounds": 2, "of": 2}), ("two", None))
            ]
        },
        "| one | 200 (200–200) | 100 (100–100), 2.00× (1.90–2.10) | yes |",
    ),
    "roofline": (
        {
            "dgemm": 1e11,
            "exp": 1e9,
            "problems": [
                {
                    "name": f"10 × {d}, K 2, full",
                    "d": d,
                    "flops": 1e9,
                    "live at the dense start": 0.5,
                    "times": {"emix, dense": timed(0.1), "emix (no shortcuts)": {"failed": "no"}, "emix": timed(0.05)},
                }
                for d in (2, 10)
            ],
        },
        "| fails |",
    ),
    "latency": (
        {
            "calls": {
                name: {method: {"1": 1e-6, "10": 2e-6} for method in ("score_samples", "predict_proba")}
                for name in ("emix", "scikit-learn")
            },
            "fits": {"emix": {"one, full": {"seconds": 1e-4, "iterations": 5}}, "scikit-learn": {}},
        },
        "| one, full | 100 (5 it.) | – |",
    ),
    "scoring": (
        {
            "n": 1_000,
            "large": {"predict": 0.1, "E-step": 0.2},
            "throughput": {"emix, threads": {"1": 10.0, "2": 20.0}},
        },
        "- other is missing: why",
    ),
    "import_time": ({"seconds": {"numpy": [0.1, 0.2], "emix": [0.2]}}, "- other is missing: why"),
    "memory": (
        {
            "by_n": {
                "emix": {n: {"data": 8.0, "above": 1.0} for n in ("1000", "2000")},
                "scikit-learn": {"1000": {"data": 8.0, "above": 20.0}},
            },
            "by_order": {"emix": {"C": {"data": 8.0, "above": 0.0}}},
        },
        "| 2 000 | 1 | – | 8 |",
    ),
    "whole_fits": (
        {"names": ["100 × 2, K 2"], "fits": {"emix": [{"defaults": EMIX_FIT, "same": EMIX_FIT}]}},
        "| 100 × 2, K 2, defaults | – | – | 1.000 s (5 it.) | 3.0 |",
    ),
    "levels": (
        {
            "levels": ["v3", "baseline", "blas"],
            "series": ["v3", "baseline", "blas", "blas as v3", "blas as baseline"],
            "by_d": [
                {
                    "name": f"10 × {d}",
                    "n": 10,
                    "d": d,
                    "times": {
                        "v3": timed(0.2),
                        "baseline": timed(0.4),
                        "blas": timed(0.1),
                        "blas as v3": timed(0.03 * d),
                        "blas as baseline": {"failed": "why"},
                    },
                }
                for d in (4, 8)
            ],
            "shapes": [{"name": "10 × 2", "n": 10, "d": 2, "times": {"v3": timed(0.2), "baseline": timed(0.3)}}],
            "blas of": {"blas": ["openblas 0.3 Zen, 2 threads"], "blas as v3": ["openblas 0.3 Haswell, 2 threads"]},
        },
        "blas as v3 against v3: d = 4; blas as baseline against baseline: not measured. BLAS ran as blas: openblas Zen",
    ),
    "run_all": (
        {"parts": {"scans": {"status": "ok", "seconds": 70.0}, "memory": {"status": "kept", "seconds": None}}},
        "70 s in all, 1 minutes",
    ),
}


def test_every_part_is_among_them() -> None:
    assert {"comparison" if part == "compare" else part for part in run_all.PARTS} | {"run_all"} == set(MEASURED)


@pytest.mark.parametrize("kind", MEASURED)
def test_every_part_has_a_table_and_a_figure(tmp_path: Path, kind: str) -> None:
    measured, said = MEASURED[kind]
    results = {
        "kind": kind,
        "date": "2026-01-01T00:00:00+00:00",
        "revision": "abc1234",
        "machine": {"processor": "p", "cores": 2, "vectors": "avx2", "system": "s"},
        "threads": 2,
        "repeats": 5,
        "versions": {"emix": "1", "scikit-learn": "missing"},
        "missing": {"other": "why"},
        **measured,
    }
    path = tmp_path / f"{kind}.json"
    path.write_text(json.dumps(results), encoding="utf-8")
    write(path)
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert said in text and "commit abc1234" in text
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("part", ["latency", "memory", "whole_fits"])
def test_a_part_without_scikit_learn(tmp_path: Path, part: str) -> None:
    """The tables and figures beside scikit-learn stand without it."""
    measured, _ = MEASURED[part]
    alone = {key: {"emix": value["emix"]} if isinstance(value, dict) else value for key, value in measured.items()}
    module: Any = importlib.import_module(part)
    results = {"machine": {"processor": "p", "cores": 2, "vectors": "avx2"}, "date": "", "missing": {"sk": "why"}}
    assert "sk is missing: why" in module.table(results | alone)
    module.draw(results | alone, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").exists()


def test_a_part_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("results.revision", lambda: "abc1234")
    assert run_all.main(["--quick", "--only", "scaling", "--threads", "2", "--output", str(tmp_path)]) == 0
    assert "| scaling | threads | ok |" in capfd.readouterr().out
    told = json.loads((tmp_path / "run_all.json").read_text(encoding="utf-8"))
    assert told["parts"]["scaling"]["seconds"] > 0.0 and told["quick"]
    results = json.loads((tmp_path / "scaling.json").read_text(encoding="utf-8"))
    assert [problem["same bits"] for problem in results["problems"]] == [True, True]
    assert {"machine", "versions", "blas", "date", "threads"} <= set(results)
    (tmp_path / "scaling.md").unlink()
    write(tmp_path / "scaling.json")
    assert "same bits" in (tmp_path / "scaling.md").read_text(encoding="utf-8")
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")

    # What is there is kept, with its time, and what other code left is refused.
    arguments = ["--quick", "--only", "scaling", "--threads", "2", "--output", str(tmp_path), "--resume"]
    results["revision"] = "abc1234"  # the part's own process asked git
    (tmp_path / "scaling.json").write_text(json.dumps(results), encoding="utf-8")
    assert run_all.main(arguments) == 0
    kept = json.loads((tmp_path / "run_all.json").read_text(encoding="utf-8"))["parts"]["scaling"]
    assert kept == {"status": "kept", "seconds": told["parts"]["scaling"]["seconds"]}
    (tmp_path / "scaling.json").write_text(json.dumps({**results, "revision": "v0"}), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"scaling.json was measured with revision v0"):
        run_all.main(arguments)
    (tmp_path / "run_all.json").write_text(json.dumps({**told, "threads": 7}), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"run_all.json was measured with threads 7"):
        run_all.main(arguments)


def test_a_part_that_fails_is_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_all, "command", lambda *_: ["false"])
    assert run_all.main(["--only", "memory", "--output", str(tmp_path)]) == 1
    assert "FAILED, exit status 1" in capfd.readouterr().out
