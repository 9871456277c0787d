"""Iterations and whole fits without each shortcut and with it, by turns, on the shapes that are measured."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import fresh
from compare import log_likelihood
from data import MAIN_PROBLEMS, MORE_PROBLEMS, QUICK_PROBLEMS, REVISION_PROBLEMS, SKIPPING_PROBLEMS, Problem, Start
from emix.gaussian.shortcuts import SHORTCUTS as SWITCHES
from shortcut_parts import SHORTCUTS
from timing import Timing, ratio_by_round
from workers import Worker, measure, stage

_REST = 0.02

#: A side that has run for so many seconds on a problem has no round beyond the second.
_BUDGET = 3.0

#: Rows beyond which a problem is halved, at most twice: what a shortcut saves hardly depends on them.
_ENOUGH_ROWS = 50_000

#: Few and many iterations where many would be less: in the first ones from random rows most components are live.
_SETTLED = 6, 12

#: Where few rows of a component of variances are live, and rows too few for bounds.
_SPARSE = Problem(15_000, 64, 32, structure="diag", separation=3.0, few=4, many=16)

#: Fits from start to end with the estimator's defaults.
FITS = (
    Problem(150, 4, 3),
    Problem(200_000, 10, 10),
    Problem(20_000, 50, 20),
    Problem(100_000, 32, 32, separation=10.0),
    Problem(100_000, 20, 10, structure="tied"),
    Problem(50_000, 8, 32),
    Problem(50_000, 16, 16, structure="diag"),
    Problem(50_000, 8, 16, structure="spherical"),
    Problem(15_000, 64, 32, structure="diag", separation=2.0),
)
_QUICK_FITS = (Problem(150, 4, 3), Problem(20_000, 8, 8, separation=10.0))


def smaller(problem: Problem) -> Problem:
    """The problem with half or a quarter of its rows, if they are many, and iterations enough to settle a little."""
    rows = problem.n_samples
    while rows > _ENOUGH_ROWS and 4 * rows > problem.n_samples:
        rows //= 2
    few, many = (problem.few, problem.many) if problem.many >= _SETTLED[1] else _SETTLED
    return replace(problem, n_samples=rows, peers=(), few=few, many=many)


def shapes(quick: bool) -> list[Problem]:
    """The problems of the other measurements, smaller ones, each once; and one more."""
    if quick:
        return [replace(problem, peers=()) for problem in QUICK_PROBLEMS]
    found: dict[str, Problem] = {}
    for problem in map(smaller, (*MAIN_PROBLEMS, *MORE_PROBLEMS, *SKIPPING_PROBLEMS, *REVISION_PROBLEMS, _SPARSE)):
        found.setdefault(problem.name, problem)
    return list(found.values())


def compared(one: Timing, other: Timing, ends: tuple[float, float], same_bits: bool) -> dict[str, Any]:
    """How many times as long it takes without the shortcut (`one`) as with it; how far the results are apart."""
    ratio = ratio_by_round(one, other)
    if ratio is None or _least(other) <= 0.0:
        return {"failed": ": ".join(one.refusal or other.refusal or ("failed", "no round above zero"))}
    least = _least(one) / _least(other)
    return {"least": least, "rounds": ratio, "apart": abs(ends[0] / ends[1] - 1.0), "same bits": same_bits}


def _least(timing: Timing) -> float:
    return min(timing.many) - min(timing.few)


def measure_iterations(level: str, problem: Problem, workers: dict[str, Worker], options: argparse.Namespace) -> Any:
    """Record of a problem: for each shortcut that is on there, times without it over times with it."""
    with tempfile.TemporaryDirectory(prefix="emix-benchmark-") as folder:
        files = stage(problem, Path(folder))
        counts = fresh.call(
            "shortcut_runs:used",
            options.threads,
            {"EMIX_LEVEL": level},
            data=str(files[0]),
            start=str(files[1]),
            structure=problem.structure,
            n_iter=problem.many,
        )
        sides = {name: worker for name, worker in workers.items() if counts.get(name, name == "all")}
        timings: dict[str, Timing] = {}
        if len(sides) > 1:
            timings = measure(sides, problem, files, options.repeats, _REST, _BUDGET)
        X = np.load(files[0])
    found: dict[str, Any] = {name: {"used": 0} for name in workers if name != "all"}
    ends = {name: log_likelihood(X, t.parameters) for name, t in timings.items() if t.parameters is not None}
    for name in (name for name in sides if name != "all"):
        same = _same_bits(timings[name].parameters, timings["all"].parameters)
        entry = compared(timings[name], timings["all"], (ends.get(name, np.nan), ends.get("all", np.nan)), same)
        # No bit is another: it was never on, but for the first look, which changes none.
        n_passes = 0 if same and name != "screen" else counts[name]
        found[name] = {"used": n_passes, "passes": counts["passes"], **entry}
    return {"name": problem.name, "level": level, "shortcuts": found}


def _same_bits(one: Start | None, other: Start | None) -> bool:
    return one is not None and other is not None and all(map(np.array_equal, one, other))


def measure_fits(level: str, problem: Problem, sides: dict[str, dict[str, str]], options: argparse.Namespace) -> Any:
    """Record of whole fits of a problem, each in its own process: times without each shortcut over times with it."""
    timings = {name: Timing(1) for name in sides}
    ends: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="emix-benchmark-") as folder:
        what = {
            "data": str(stage(problem, Path(folder))[0]),
            "n_components": problem.n_components,
            "structure": problem.structure,
        }
        counts = fresh.call("shortcut_runs:uses_of_whole_fit", options.threads, sides["all"], **what)
        for name in SHORTCUTS:
            if not counts.get(name):
                timings.pop(name, None)
        for turn in range(min(options.repeats, 3)):
            if turn > 1 and any(sum(timing.many) > _BUDGET for timing in timings.values()):
                break
            for name in list(timings)[:: -1 if turn % 2 else 1]:
                ends[name] = fresh.call("shortcut_runs:whole_fit", options.threads, sides[name], without=name, **what)
                timings[name].few.append(0.0)
                timings[name].many.append(ends[name]["seconds"])
            if turn == 0:  # those that change nothing are not on
                for name in [name for name in timings if name not in ("all", "screen")]:
                    if ends[name]["bits"] == ends["all"]["bits"]:
                        del timings[name]
    found: dict[str, Any] = {name: {"used": 0} for name in sides if name != "all"}
    for name in (name for name in timings if name != "all"):
        values = ends[name]["log_likelihood"], ends["all"]["log_likelihood"]
        iterations = ends[name]["iterations"], ends["all"]["iterations"]
        found[name] = {
            "used": counts[name],
            "passes": counts["passes"],
            "iterations": iterations,
            **compared(timings[name], timings["all"], values, ends[name]["bits"] == ends["all"]["bits"]),
        }
    return {"name": _fit_name(problem), "level": level, "shortcuts": found}


def sides_of(level: str, names: Sequence[str], variants: dict[str, Path]) -> dict[str, dict[str, str]]:
    """Variables of the process of each side: with all shortcuts, and without each."""
    sides = {"all": {"EMIX_LEVEL": level}}
    for name in names:
        sides[name] = {"EMIX_LEVEL": level, "EMIX_BENCH_WITHOUT": name}
        if name in variants:
            sides[name]["PYTHONPATH"] = str(variants[name])
    return sides


def measure_all(
    options: argparse.Namespace, wanted: Callable[[str, str], bool], keep: Callable[[dict[str, Any]], None]
) -> None:
    """Measure level by level what is wanted of shapes and levels; `keep` gets each record as soon as it is there."""
    variants = {name: Path(path) for name, _, path in (text.partition("=") for text in options.variant)}
    names = [name for name in options.only if name in SWITCHES or name in variants]
    for level in options.level:
        sides = sides_of(level, names, variants)
        with ExitStack() as stack:
            workers = {
                name: stack.enter_context(Worker("emix_without", sys.executable, options.threads, side))
                for name, side in sides.items()
            }
            for name, path in variants.items():
                _refuse_another_emix(name, path, workers.get(name))
            for problem in shapes(options.quick):
                if wanted(problem.name, level):
                    keep(measure_iterations(level, problem, workers, options))
        for problem in _QUICK_FITS if options.quick else FITS:
            if wanted(_fit_name(problem), level):
                keep(measure_fits(level, problem, sides, options))


def _fit_name(problem: Problem) -> str:
    return f"whole fit, {problem.name}"


def _refuse_another_emix(name: str, path: Path, worker: Worker | None) -> None:
    if worker is not None:
        about = worker.ask("about")
        if not Path(about.get("versions", {}).get("path", "/")).is_relative_to(path.resolve()):
            raise SystemExit(f"--variant {name}={path}: emix was not imported from there: {about}")
