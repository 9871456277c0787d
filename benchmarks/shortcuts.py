"""What each shortcut of a fit saves: an iteration and whole fits without it and with it, by turns.

A shortcut is work that a fit leaves out, or does in a cheaper way, where that changes nothing but last digits. Those
that `GaussianModel` has a switch for are switched off in a process of their own. Larger blocks have no switch: they
need another build of emix, made with the same compiler and options and installed into a folder, in which
`super_block_rows` (kernel/estep/sizes.pxi) always returns SUPER_BLOCK:

    python benchmarks/shortcuts.py [--quick] [--level v4 v3] [--only bounds packing]
    python benchmarks/shortcuts.py --variant "larger blocks=FOLDER"

A shortcut is measured on the shapes on which it is ever on: where passes that use it were counted, and where results
without it have other bits (the first look changes no bit, so for it the count decides alone).

Times are what all threads of a process have worked (`time.process_time`): other processes disturb that less than the
clock. What one thread does while others wait counts for less than in a fit's seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

import drawing
import fresh
from compare import log_likelihood
from data import MAIN_PROBLEMS, MORE_PROBLEMS, QUICK_PROBLEMS, REVISION_PROBLEMS, SKIPPING_PROBLEMS, Problem, Start
from emix import EMResult, GaussianMixture, GaussianModel, GaussianParameters, fit_em
from emix.gaussian.run import GaussianRun
from emix.gaussian.shortcuts import SHORTCUTS as SWITCHES
from emix.gaussian.shortcuts import Shortcut as Policy
from emix.gaussian.sums import PassOutcome, PassRequest
from emix.kernel.level import kernel_for
from emix.random_source import seed_of
from emix.rows.arrays import ArraySource
from emix.rows.source import RowSource
from emix.starts.starting_parameters import make_start
from peers import in_structure
from results import OUTPUT, REPEATS, Results, caption, header, save, versions, write
from timing import Timing, faster_with_range, ratio_by_round
from workers import HERE, Worker, measure, stage

ROOT = HERE.parent

_REST = 0.02

#: A side that has run for so many seconds on a problem has no round beyond the second.
_BUDGET = 3.0

#: Rows of a fit before those that are timed, which loads what is loaded on first use.
_FEW_ROWS = 2_000

#: Rows beyond which a problem is halved, at most twice: what a shortcut saves hardly depends on them.
_ENOUGH_ROWS = 50_000

#: Few and many iterations where many would be less: in the first ones from random rows most components are live.
_SETTLED = 6, 12

#: A small fit is repeated for so many seconds, and the fastest counts.
_LEAST_SECONDS = 0.3

#: A shortcut that saves less than this share of the time on every shape is hardly worth its lines.
WORTH = 0.1

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


@dataclass(frozen=True)
class Shortcut:
    """What a shortcut is made of: files, or functions of files (``path::name``), that only it needs.

    Lines within other functions are not counted.
    """

    about: str
    source: tuple[str, ...]
    tests: tuple[str, ...] = ()


_KERNEL, _GAUSSIAN = "src/emix/kernel", "src/emix/gaussian"

SHORTCUTS = {
    "bounds": Shortcut(
        "log-densities that bounds of the pass before prove negligible are not computed",
        (
            f"{_GAUSSIAN}/shortcuts/bounds.py",
            f"{_KERNEL}/estep/bounds.pxi",
            f"{_KERNEL}/mstep/bounds.pxi",
            f"{_KERNEL}/estep/sizes.pxi::group_rows",
            *(f"{_KERNEL}/estep/accumulator.pxi::accumulate_{name}" for name in ("labelled", "bounded")),
        ),
        (
            "tests/gaussian/shortcuts/bounded.py",
            "tests/gaussian/shortcuts/test_bounds.py",
            "tests/gaussian/shortcuts/test_bounds_policy.py",
            "tests/kernel/test_carried.py",
        ),
    ),
    "screen": Shortcut(
        "a first look in single precision at all log-densities",
        (
            f"{_GAUSSIAN}/shortcuts/screen.py",
            f"{_KERNEL}/estep/screen.pxi",
            f"{_KERNEL}/mstep/screen.pxi",
            *(f"{_KERNEL}/estep/costs.pxi::cost_of_{name}" for name in ("listing", "first_look")),
        ),
        ("tests/kernel/test_screen.py",),
    ),
    "origin": Shortcut(
        "one origin for all components, in a fit (in scoring it stays)",
        (
            f"{_GAUSSIAN}/shortcuts/origin.py",
            f"{_GAUSSIAN}/total_scatter.py",
            *(f"{_KERNEL}/estep/origin.pxi::products_{name}" for name in ("tile", "columns")),
            *(f"{_KERNEL}/estep/origin.pxi::{name}" for name in ("add_products", "statistics_at_origin")),
            f"{_KERNEL}/mstep/origin.pxi::leave_origin",
        ),
        (
            "tests/gaussian/shortcuts/origins.py",
            "tests/gaussian/shortcuts/test_origin.py",
            "tests/gaussian/shortcuts/test_origin_extremes.py",
            "tests/kernel/test_origin_buffers.py",
        ),
    ),
    "packing": Shortcut(
        "rows of a component are packed where few are live",
        (
            f"{_KERNEL}/estep/packing.pxi",
            f"{_KERNEL}/estep/sums.pxi::is_summed_about_origin",
            f"{_KERNEL}/estep/sum_tiles.pxi::scatter_rows",
            *(f"{_KERNEL}/estep/sum_tiles.pxi::scatter_packed{name}" for name in ("", "_panel", "_tile")),
            f"{_KERNEL}/estep/blas_tiles.pxi::scatter_rows",
        ),
        ("tests/kernel/test_packing.py", "tests/kernel/test_kernel.py::test_few_live_rows_are_gathered"),
    ),
    "larger blocks": Shortcut(
        "blocks and super-blocks of 1024 rows from 24 to 160 features",
        (f"{_KERNEL}/estep/sizes.pxi::super_block_rows",),
        ("tests/kernel/test_super_blocks.py::test_long_super_blocks",),
    ),
}

#: Shortcuts that were measured and taken out, with what they saved at most, by level.
TAKEN_OUT = {
    "light": (
        "rows of small responsibility were added to a scatter in single precision",
        {"v4": "7 % (50 000 × 50, K 20, full)", "v3": "4 % (50 000 × 32, K 16, full)"},
        "b1fc0ec",
    ),
}


def all_but(name: str) -> tuple[str, ...]:
    """Return the shortcuts of a `GaussianModel` that are left on where one is switched off.

    Parameters
    ----------
    name : str
        The one. A text that is no switch's name, as the empty one, leaves all on.
    """
    return tuple(one for one in SWITCHES if one != name)


class PassCounter(Policy):
    """Counts the passes of a run, and those that use each of its shortcuts. It leaves nothing out itself."""

    name: ClassVar[str] = "counter"
    room = None

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    @classmethod
    def for_run(cls, source: RowSource, model: GaussianModel) -> Self:
        """Return a counter, which any run can have."""
        return cls()

    def before(self, request: PassRequest) -> PassRequest:
        """Return the request as it is."""
        return request

    def holds(self, request: PassRequest, outcome: PassOutcome) -> bool:
        """A counter changes no sums."""
        return True

    def after(self, request: PassRequest, outcome: PassOutcome) -> None:
        """Count the pass that counts, and what the other shortcuts have asked for in it."""
        parts = request.parts
        self.counts["passes"] += 1
        self.counts["bounds"] += any(part.bounds is not None for part in parts.get("bounds", ()))
        self.counts["screen"] += bool(parts.get("screen", False))
        self.counts["origin"] += parts.get("origin") is not None


class CountingModel(GaussianModel):
    """A model with all shortcuts that counts the passes of its runs.

    Attributes
    ----------
    counter : PassCounter
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.counter = PassCounter()

    def begin(self, data: Any) -> GaussianRun:
        """Return a run that has the counter beside its shortcuts."""
        run = super().begin(data)
        run.shortcuts.append(self.counter)
        return run

    def uses(self, dtype: np.dtype[Any]) -> dict[str, int]:
        """Passes so far, and how many of them used each shortcut, or could (packing, larger blocks)."""
        kernel, n_passes = kernel_for(dtype), self.counter.counts["passes"]
        larger = kernel.super_block_rows(self.n_features) > kernel.super_block_rows(1)
        return {
            **self.counter.counts,
            "packing": n_passes,
            "larger blocks": n_passes if larger else 0,
        }


def used(data: str, start: str, structure: str, n_iter: int) -> dict[str, int]:
    """Passes of so many iterations, and how many of them use each shortcut, or could (packing, larger blocks)."""
    X = np.load(data)
    with np.load(start) as arrays:
        given = Start(arrays["weights"], arrays["means"], arrays["covariances"])
    model = CountingModel(*given.means.shape, structure)
    covariances = in_structure(given.covariances, structure)
    parameters = GaussianParameters.from_covariances(structure, given.weights, given.means, covariances)
    run = model.begin(X)
    for _ in range(n_iter):
        parameters = model.m_step(run.e_step(parameters)[0])
    run.e_step(parameters)  # the closing one
    return model.uses(X.dtype)


def fit_by_defaults(X: NDArray[np.floating], model: GaussianModel) -> EMResult:
    """Fit a model as `GaussianMixture` does by default, with random_state 0."""
    defaults = GaussianMixture()
    source = ArraySource(X)
    start = make_start(defaults.init_params, source, model, seed_of(0), 0)
    return fit_em(model, source, start, tol=defaults.tol, max_iter=defaults.max_iter)


def whole_fit(data: str, n_components: int, structure: str, without: str = "") -> dict[str, Any]:
    """Fit with the estimator's defaults, a small one several times; seconds of all threads, the least of them."""
    X = np.load(data)
    model = GaussianModel(n_components, X.shape[1], structure, "auto", shortcuts=all_but(without))
    warnings.simplefilter("ignore")
    result = fit_by_defaults(X[:_FEW_ROWS], model)
    seconds: list[float] = []
    while sum(seconds) < _LEAST_SECONDS:
        begin = process_time()
        result = fit_by_defaults(X, model)
        seconds.append(process_time() - begin)
    return {
        "seconds": min(seconds),
        "iterations": result.n_iter,
        "log_likelihood": result.log_likelihood,
        "bits": hashlib.sha256(result.parameters.covariances.tobytes()).hexdigest(),
    }


def uses_of_whole_fit(data: str, n_components: int, structure: str) -> dict[str, int]:
    """Passes of a fit with the estimator's defaults, and how many of them use each shortcut, or could."""
    X = np.load(data)
    model = CountingModel(n_components, X.shape[1], structure, "auto")
    warnings.simplefilter("ignore")
    fit_by_defaults(X, model)
    return model.uses(X.dtype)


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


def n_lines(part: str) -> int:
    """Lines that are not empty of a file, or of one function or class of it (``path::name``)."""
    path, _, name = part.partition("::")
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    if name:
        head = re.compile(rf"(\s*)(?:class|def|cp?def)\b[\w\s*]*\b{name}\b\s*[(:]")
        first = next(i for i, line in enumerate(lines) if head.match(line))
        indent = len(lines[first]) - len(lines[first].lstrip())
        inner = [
            i
            for i, line in enumerate(lines)
            # A closing bracket of the arguments stands at the same indentation.
            if i > first and line.strip() and len(line) - len(line.lstrip()) <= indent and line.strip()[0] != ")"
        ]
        lines = lines[first : min(inner, default=len(lines))]
    return sum(1 for line in lines if line.strip())


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
            "shortcuts:used",
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
    """The same of fits from start to end, each in a process of its own."""
    timings = {name: Timing(1) for name in sides}
    ends: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="emix-benchmark-") as folder:
        what = {
            "data": str(stage(problem, Path(folder))[0]),
            "n_components": problem.n_components,
            "structure": problem.structure,
        }
        counts = fresh.call("shortcuts:uses_of_whole_fit", options.threads, sides["all"], **what)
        for name in SHORTCUTS:
            if not counts.get(name):
                timings.pop(name, None)
        for turn in range(min(options.repeats, 3)):
            if turn > 1 and any(sum(timing.many) > _BUDGET for timing in timings.values()):
                break
            for name in list(timings)[:: -1 if turn % 2 else 1]:
                ends[name] = fresh.call("shortcuts:whole_fit", options.threads, sides[name], without=name, **what)
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


def saving(entry: dict[str, Any]) -> float:
    """Share of the time without a shortcut that it saves, by the fastest rounds."""
    return 1.0 - 1.0 / float(entry["least"])


def table(results: Results) -> str:
    """What each shortcut saves at most, and then shape by shape."""
    found = dict.fromkeys(name for record in results["records"] for name in record["shortcuts"])
    names = [name for name in found if name in SHORTCUTS]  # files of earlier measurements have others
    levels = results["levels"]
    lines = [
        f"| shortcut | {' | '.join(f'saves at most, {level}' for level in levels)} | lines of source | of tests |",
        "|---|" + "---|" * len(levels) + "---:|---:|",
    ]
    for name in names:
        cells = [_most(results, name, level) for level in levels]
        source, tests = results["lines"][name]
        lines.append(f"| {name}: {SHORTCUTS[name].about} | {' | '.join(cells)} | {source} | {tests} |")
    for name, (about, saved, _) in TAKEN_OUT.items():
        cells = [saved.get(level, "–") for level in levels]
        lines.append(f"| {name}, taken out: {about} | {' | '.join(cells)} | – | – |")
    for name in names:
        shown: dict[str, dict[str, Any]] = {record["name"]: {} for record in results["records"]}
        for record in results["records"]:
            if name in record["shortcuts"]:
                shown[record["name"]][record["level"]] = record["shortcuts"][name]
        on = {shape: by_level for shape, by_level in shown.items() if any(e["used"] for e in by_level.values())}
        lines += ["", f"### {name}", ""]
        if on:
            lines += [f"| shape | {' | '.join(levels)} | log-likelihoods apart |", "|---|" + "---|" * (len(levels) + 1)]
        for shape, by_level in on.items():
            cells = [_cell(by_level[level]) if level in by_level else "–" for level in levels]
            apart = max(entry.get("apart", 0.0) for entry in by_level.values())
            lines.append(f"| {shape} | {' | '.join(cells)} | {f'{apart:.0e}' if apart else 'same'} |")
        off = [shape for shape in shown if shown[shape] and shape not in on]
        if off:
            lines += ["", f"Never on: {'; '.join(off)}."]
    explained = (
        f"Times are what {results['threads']} threads have worked, without a shortcut over with it: of an iteration, "
        "or of a whole fit with the estimator's defaults. In bold by the fastest runs, in brackets the median of the "
        "rounds and their range. After a comma: how many of the passes use the shortcut, where some do not; for whole "
        "fits, iterations without it and with it, where last digits changed their number. Lines are those, not empty, "
        "of files and functions that only the shortcut needs. Taken out: measured at an earlier commit "
        f"({', '.join(f'{name}: {commit}' for name, (_, _, commit) in TAKEN_OUT.items())}). –: not measured."
    )
    return "\n".join([*lines, "", explained])


def _most(results: Results, name: str, level: str) -> str:
    entries = [
        (record["name"], record["shortcuts"][name])
        for record in results["records"]
        if record["level"] == level
        and record["shortcuts"].get(name, {}).get("used")
        and "failed" not in record["shortcuts"][name]
    ]
    if not entries:
        return "never on"
    shape, entry = max(entries, key=lambda pair: saving(pair[1]))
    return f"{100.0 * saving(entry):.0f} % ({shape}){'' if saving(entry) >= WORTH else ', below a tenth everywhere'}"


def _cell(entry: dict[str, Any]) -> str:
    if not entry["used"]:
        return "never on"
    if "failed" in entry:
        return str(entry["failed"])
    some = "" if entry["used"] == entry["passes"] else f", {entry['used']} of {entry['passes']} passes"
    without, with_it = entry.get("iterations", (0, 0))
    some += "" if without == with_it else f", {without} and {with_it} iterations"
    return f"**{entry['least']:.2f}×** [{faster_with_range(entry['rounds'])}]{some}"


def draw(results: Results, path: Path) -> None:
    """Times without over times with, a dot for each shape, by shortcut and level."""
    drawn, (axes,) = drawing.figure(width=9.0, height=4.4)
    names = list(results["lines"])
    for place, level in enumerate(results["levels"]):
        for row, name in enumerate(names):
            entries = [r["shortcuts"].get(name, {"used": 0}) for r in results["records"] if r["level"] == level]
            ratios = [entry["least"] for entry in entries if entry["used"] and "least" in entry]
            heights = np.full(len(ratios), row + 0.2 * (place - 0.5))
            axes.scatter(ratios, heights, color=drawing.COLORS[place], s=14, label=level if row == 0 else None)
    axes.axvline(1.0, color="#999999")
    axes.set_xscale("log")
    drawing.number_ticks(axes.xaxis)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.legend()
    drawing.unit(axes, "time without the shortcut over time with it, a dot for each shape (logarithmic)")
    drawing.finish(drawn, path, "What each shortcut saves", caption(results))


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--level", nargs="+", help="instruction-set levels (those above the baseline)")
    parser.add_argument("--only", nargs="+", choices=SHORTCUTS, default=list(SHORTCUTS), metavar="SHORTCUT")
    parser.add_argument(
        "--shapes", nargs="+", default=[""], metavar="TEXT", help="shapes whose name contains one of these"
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep what the JSON has, of the same code; measure the rest"
    )
    parser.add_argument(
        "--variant",
        metavar="SHORTCUT=FOLDER",
        action="append",
        default=[],
        help="a folder with an emix that was built without the shortcut",
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=REPEATS, help="rounds (%(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder (%(default)s)")
    options = parser.parse_args(argv)
    for text in options.variant:
        if text.partition("=")[0] not in SHORTCUTS or "=" not in text:
            parser.error(f"--variant {text}: expected SHORTCUT=FOLDER, the shortcut one of {', '.join(SHORTCUTS)}")
    if options.quick:
        options.repeats = 1
    if options.level is None:
        found: list[str] = fresh.call("levels:available")
        options.level = [level for level in found if level not in ("baseline", "blas")] or found[:1]
    return options


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    path = options.output / "shortcuts.json"
    results: Results = {**header("shortcuts", options), "versions": versions(), "levels": options.level, "records": []}
    del results["versions"]["level"]  # of this process, which measures nothing
    results["lines"] = {
        name: [sum(map(n_lines, shortcut.source)), sum(map(n_lines, shortcut.tests))]
        for name, shortcut in SHORTCUTS.items()
    }

    if options.resume and path.exists():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        results["records"] = earlier["records"]
        results["levels"] = list(dict.fromkeys(earlier["levels"] + options.level))
    there = {(record["name"], record["level"]) for record in results["records"]}

    def wanted(shape: str, level: str) -> bool:
        return (shape, level) not in there and any(text in shape for text in options.shapes)

    def keep(record: dict[str, Any]) -> None:
        results["records"].append(record)
        save(results, path)
        told = ", ".join(f"{n} {_cell(e)}" for n, e in record["shortcuts"].items() if e["used"])
        print(f"{record['level']:4} {record['name']:40} {told}", flush=True)

    measure_all(options, wanted, keep)
    write(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
