"""Compare the time of an EM iteration between libraries; write JSON, a table and a figure.

Every library gets the same rows, the same start, the same number of iterations and the same number
of threads, each in a process of its own, by turns. The parameters that each returns are judged by
one referee, the log-likelihood of the pure-NumPy baseline: where two libraries end more than
rounding apart, that is printed and the exit status is 1.

    python benchmarks/compare.py                     # the main sizes
    python benchmarks/compare.py --all               # other structures, float32, what shortcuts save
    python benchmarks/compare.py --quick             # small sizes, under a minute
    python benchmarks/compare.py --all --resume      # go on where the last run was interrupted
    python benchmarks/compare.py --python onedal=/path/to/venv/bin/python
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import baseline_numpy
from data import MAIN_PROBLEMS, MORE_PROBLEMS, QUICK_PROBLEMS, SKIPPING_PROBLEMS, Problem, Start
from peers import PEERS
from results import Results, header, refuse_other, save, write
from timing import Timing, with_range
from workers import REST_SECONDS, Worker, measure, stage

#: Largest relative difference of final log-likelihoods. In float64 rounding leaves about 1e-13; in
#: float32 a row's log-density has about six digits and EM carries the error on.
TOLERANCE = {"float64": 1e-8, "float32": 1e-5}

_NOT_ASKED = "not asked for"

#: Rows that the referee takes at a time: it stores rows x K.
_REFEREE_ROWS = 65_536


def log_likelihood(X: NDArray[np.floating], parameters: Start) -> float:
    """Total log-likelihood (nats) of parameters, by the pure-NumPy baseline."""
    return sum(
        baseline_numpy.e_step(X[first : first + _REFEREE_ROWS], *parameters)[1]
        for first in range(0, len(X), _REFEREE_ROWS)
    )


def judge(X: NDArray[np.floating], dtype: str, timings: Mapping[str, Timing]) -> tuple[dict[str, float], list[str]]:
    """Log-likelihood of each peer's parameters, and a complaint for each that differs from the first's."""
    values = {name: log_likelihood(X, t.parameters) for name, t in timings.items() if t.parameters is not None}
    complaints = []
    for name, value in values.items():
        first, expected = next(iter(values.items()))
        difference = abs(value - expected) / abs(expected)
        if not difference <= TOLERANCE[dtype]:  # NaN fails, too
            complaints.append(
                f"{name} ends at log-likelihood {value:.6f}, {first} at {expected:.6f}: "
                f"relative difference {difference:.1e}, allowed {TOLERANCE[dtype]:.0e}"
            )
    return values, complaints


def compare(
    problems: Sequence[Problem],
    workers: Mapping[str, Worker],
    repeats: int,
    budget: float,
    keep: Callable[[dict[str, Any]], None],
    code: Mapping[str, object],
    rest: float = REST_SECONDS,
) -> None:
    """Measure all problems; `keep` is given a JSON-ready record of each as soon as it is there.

    Each record says by `code` what was measured.
    """
    for problem in problems:
        print(f"{problem.name} …", flush=True)
        present = {name: worker for name, worker in workers.items() if worker.peer in (problem.peers or PEERS)}
        if not present:
            print("    none of its peers is present", flush=True)
            continue
        with tempfile.TemporaryDirectory(prefix="emix-benchmark-") as folder:
            files = stage(problem, Path(folder))
            timings = measure(present, problem, files, repeats, rest, budget)
            values, complaints = judge(np.load(files[0]), problem.dtype, timings)
        record: dict[str, Any] = {"name": problem.name, **asdict(problem), **code, "complaints": complaints}
        record["peers"] = {}
        for name, timing in timings.items():
            entry = timing.record()
            record["peers"][name] = entry
            if name in values:
                entry["log_likelihood"] = values[name]
            why = "" if timing.refusal is None else ": ".join(timing.refusal)
            print(f"    {name:20} {why or with_range(entry)}", flush=True)
        for complaint in complaints:
            print(f"    DIFFERENT RESULT: {complaint}", file=sys.stderr, flush=True)
        keep(record)


def interpreters(options: Sequence[str]) -> dict[str, str]:
    """Each peer's Python: ``--python PEER=PATH``, else the variable EMIX_BENCH_<PEER>, else this one."""
    chosen = {peer: os.environ.get(f"EMIX_BENCH_{peer.upper()}", sys.executable) for peer in PEERS}
    for option in options:
        peer, _, path = option.partition("=")
        if peer not in PEERS or not path:
            raise SystemExit(f"--python {option}: expected PEER=PATH with PEER one of {', '.join(PEERS)}")
        chosen[peer] = path
    return chosen


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs")
    sizes.add_argument("--all", action="store_true", help="also other structures, float32 and what shortcuts save")
    parser.add_argument("--only", metavar="TEXT", default="", help="problems whose name contains TEXT")
    parser.add_argument("--peers", default=",".join(PEERS), help="comma-separated, of %(default)s")
    parser.add_argument("--python", metavar="PEER=PATH", action="append", default=[], help="a peer's interpreter")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7, help="rounds (%(default)s)")
    parser.add_argument(
        "--budget",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="a library that has run for so long on a problem has no round beyond the second (%(default)s)",
    )
    parser.add_argument("--resume", action="store_true", help="keep what the JSON has already, measure the rest")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"), help="folder (%(default)s)")
    return parser.parse_args(argv)


def chosen_problems(options: argparse.Namespace) -> list[Problem]:
    problems: Sequence[Problem] = MAIN_PROBLEMS
    if options.all:
        problems = MAIN_PROBLEMS + MORE_PROBLEMS + SKIPPING_PROBLEMS
    elif options.quick:
        problems = QUICK_PROBLEMS
    return [problem for problem in problems if options.only in problem.name]


def name_of(peer: str) -> str:
    return str(importlib.import_module(f"peers.{peer}").NAME)


def started(options: argparse.Namespace, stack: ExitStack) -> tuple[dict[str, Worker], Results]:
    """A worker for each peer that was asked for and is here, by name; and for JSON what each is, or why it is not."""
    pythons = interpreters(options.python)
    asked = options.peers.split(",")
    for peer in asked:
        if peer not in PEERS:
            raise SystemExit(f"--peers {peer}: expected some of {', '.join(PEERS)}")
    workers: dict[str, Worker] = {}
    found: Results = {"level": None, "missing": {}, "peers": {}}
    for peer in PEERS:
        name = name_of(peer)
        if peer not in asked:
            found["missing"][name] = _NOT_ASKED
            continue
        worker = stack.enter_context(Worker(peer, pythons[peer], options.threads))
        about = worker.ask("about")
        why = about.get("missing") or about.get("failed")
        if why:
            print(f"{name} is missing: {why}", flush=True)
            found["missing"][name] = why
            continue
        workers[name] = worker
        about["versions"].pop("path", None)  # it says nothing to others who read the JSON
        found["peers"][name] = about
        found["level"] = about["versions"].get("level", found["level"])
    return workers, found


def resume(results: Results, path: Path) -> None:
    """Begin with what an earlier run has measured, of the same code on the same machine, if there was one."""
    if not path.exists():
        return
    earlier = json.loads(path.read_text(encoding="utf-8"))
    refuse_other(path, earlier, results)
    results["level"] = results["level"] or earlier["level"]
    results["problems"] = earlier["problems"]
    results["peers"] = earlier["peers"] | results["peers"]
    # Whom only the earlier run asked for is missing for that run's reason, or not at all.
    for name, why in list(results["missing"].items()):
        if why == _NOT_ASKED and name in results["peers"]:
            del results["missing"][name]
        elif why == _NOT_ASKED:
            results["missing"][name] = earlier["missing"].get(name, why)


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    problems = chosen_problems(options)
    if options.quick:
        options.repeats = 1
        options.budget = min(options.budget, 2.0)
    path = options.output / "comparison.json"
    results: Results = {**header("comparison", options), "tolerance": TOLERANCE, "problems": []}

    def keep(record: dict[str, Any]) -> None:
        results["problems"].append(record)
        save(results, path)

    with ExitStack() as stack:
        workers, found = started(options, stack)
        results |= found
        if options.resume:
            resume(results, path)
        measured = {record["name"] for record in results["problems"]}
        to_do = [problem for problem in problems if problem.name not in measured]
        code = {"revision": results["revision"], "level": found["level"]}
        rest = 0.02 if options.quick else REST_SECONDS
        compare(to_do, workers, options.repeats, options.budget, keep, code, rest)
        for name, worker in workers.items():  # now, when every library has loaded what it loads lazily
            results["peers"][name].update(worker.ask("blas"))
    # In the order of PEERS, whatever was measured first.
    results["peers"] = {name: results["peers"][name] for name in map(name_of, PEERS) if name in results["peers"]}
    save(results, path)
    write(path)
    return 1 if any(problem["complaints"] for problem in results["problems"]) else 0


if __name__ == "__main__":
    raise SystemExit(main())
