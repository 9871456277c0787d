"""Latency: calls on few rows, and fits of small data, emix beside scikit-learn.

Every library is measured in a fresh process, by turns: emix, scikit-learn as installed, scikit-learn with its BLAS on
one thread. A call's time is the least of several batches; so is a fit's. Fits have the same tol and a k-means
start on both sides; emix's own defaults, which go on to the mode, are beside them.

    python benchmarks/latency.py [--quick]
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import drawing
import fresh
from data import Problem, make_data
from libraries import gaussian_mixture
from results import Results, caption, run

EMIX, SKLEARN, SKLEARN_ONE, EMIX_DEFAULTS = (
    "emix",
    "scikit-learn",
    "scikit-learn, BLAS 1 thread",
    "emix, its defaults",
)

_FITS = (Problem(200, 2, 2), Problem(1_000, 4, 3))


def fastest(function: Callable[[], object], seconds: float) -> float:
    """Seconds of a call: the least mean over batches of about 2 ms, until the time is over."""
    begin = perf_counter()
    function()
    batch = max(1, int(2e-3 / max(perf_counter() - begin, 1e-7)))
    best, end = float("inf"), perf_counter() + seconds
    while True:
        begin = perf_counter()
        for _ in range(batch):
            function()
        now = perf_counter()
        best = min(best, (now - begin) / batch)
        if now > end:
            return best


def calls(library: str, sizes: list[int], seconds: float) -> dict[str, dict[str, float]]:
    """Seconds of each method for each number of rows; d = 4, K = 3."""
    X = make_data(Problem(max(2_000, *sizes), 4, 3))
    mixture = gaussian_mixture(library)(n_components=3, tol=1e-3, random_state=0).fit(X[:2_000])

    def seconds_of(method: str, n: int) -> float:
        return fastest(lambda: getattr(mixture, method)(X[:n]), seconds)

    methods = ("score_samples", "predict_proba", "predict")
    return {method: {str(n): seconds_of(method, n) for n in sizes} for method in methods}


def small_fits(library: str, defaults: bool, seconds: float) -> dict[str, dict[str, float]]:
    """Seconds and iterations of fits of small data; tol 1e-3 and a k-means start unless defaults are asked for."""
    options: dict[str, Any] = {} if defaults else {"tol": 1e-3, "init_params": "kmeans"}
    return {problem.name: _small_fit(library, problem, options, seconds) for problem in _FITS}


def _small_fit(library: str, problem: Problem, options: dict[str, Any], seconds: float) -> dict[str, float]:
    X = make_data(problem)

    def fit() -> Any:
        return gaussian_mixture(library)(n_components=problem.n_components, random_state=0, **options).fit(X)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one that does not converge is not slower for it
        return {"seconds": fastest(fit, seconds), "iterations": int(fit().n_iter_)}


def measure_latency(options: argparse.Namespace) -> Results:
    sizes = [1, 10, 100, 1_000, 10_000, 100_000]
    seconds, rounds = (0.01, 1) if options.quick else (0.15, 3)
    if options.quick:
        sizes = sizes[:4]
    found: Results = {"calls": {}, "fits": {}, "missing": {}}
    for _ in range(rounds):
        for name, n_threads in ((EMIX, None), (SKLEARN, None), (SKLEARN_ONE, 1)):
            library = "emix" if name == EMIX else "sklearn"
            fits: dict[str, Any] = {"library": library, "defaults": False, "seconds": 3 * seconds}
            try:
                called = fresh.call("latency:calls", n_threads, library=library, sizes=sizes, seconds=seconds)
                _least(found["calls"].setdefault(name, {}), called)
                _least(found["fits"].setdefault(name, {}), fresh.call("latency:small_fits", n_threads, **fits))
            except RuntimeError as error:
                found["missing"][name] = str(error)
                print(f"{name} is missing: {error}", flush=True)
        _least(
            found["fits"].setdefault(EMIX_DEFAULTS, {}),
            fresh.call("latency:small_fits", library="emix", defaults=True, seconds=3 * seconds),
        )
    return found


def _least(into: dict[str, Any], found: dict[str, dict[str, float]]) -> None:
    for key, values in found.items():
        kept = into.setdefault(key, dict(values))
        for name, value in values.items():
            kept[name] = min(kept[name], value)


def _micro(seconds: float) -> str:
    return f"{1e6 * seconds:,.{1 if seconds < 1e-5 else 0}f}".replace(",", " ")


def table(results: Results) -> str:
    """Microseconds of calls and of fits."""
    names = list(results["calls"])
    parts = []
    for method in results["calls"][EMIX]:
        lines = [f"| {method}, rows (microseconds) | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
        for n in results["calls"][EMIX][method]:
            cells = [
                _micro(results["calls"][name][method][n]) if method in results["calls"][name] else "–" for name in names
            ]
            lines.append(f"| {int(n):,} | ".replace(",", " ") + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    names = list(results["fits"])
    lines = [f"| fit, tol 1e-3 (microseconds, iterations) | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    for problem in results["fits"][EMIX]:
        cells = []
        for name in names:
            entry = results["fits"][name].get(problem)
            over = (
                f", {entry['seconds'] / results['fits'][EMIX][problem]['seconds']:.0f}×"
                if entry and name != EMIX
                else ""
            )
            cells.append(f"{_micro(entry['seconds'])} ({entry['iterations']} it.{over})" if entry else "–")
        lines.append(f"| {problem} | {' | '.join(cells)} |")
    return "\n\n".join(
        [*parts, "\n".join(lines), *(f"- {n} is missing: {why}" for n, why in results["missing"].items())]
    )


def draw(results: Results, path: Path) -> None:
    """Time of a call by number of rows, and of small fits."""
    drawn, (left, middle, right) = drawing.figure(
        columns=3, width=13.0, height=4.4, gridspec_kw={"width_ratios": (1.2, 1.2, 1)}
    )
    colors = {EMIX: "#D55E00", SKLEARN: "#E69F00", SKLEARN_ONE: "#0072B2", EMIX_DEFAULTS: "#CC79A7"}
    for axes, method in ((left, "score_samples"), (middle, "predict_proba")):
        ends = {}
        for name, methods in results["calls"].items():
            if method not in methods:
                continue
            points = [(int(n), 1e6 * seconds) for n, seconds in methods[method].items()]
            axes.plot(*zip(*points), color=colors[name], marker="o", ms=4)
            ends[name] = points[-1]
            first = points[0]
            if name != SKLEARN_ONE:  # two lines of scikit-learn lie close together
                drawing.note(axes, f"{first[1]:.3g} µs", first, (4, 7), color=colors[name])
        axes.set(xscale="log", yscale="log", xlabel="rows")
        drawing.unit(axes, f"{method}, microseconds a call")
        drawing.number_ticks(axes.xaxis)
        drawing.number_ticks(axes.yaxis)
        drawing.label_lines(axes, ends, colors)
    row = 0.0
    for problem in results["fits"][EMIX]:
        right.annotate(
            f"fit of {problem.removesuffix(', full')}",
            (0.0, row),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
        for name, fits in results["fits"].items():
            row += 1.0
            value = 1e6 * fits.get(problem, {"seconds": 0.0})["seconds"]
            if value > 0.0:
                right.barh(row, value, color=colors[name], height=0.8)
                said = f"{name}: {_micro(value * 1e-6)} µs"
                right.annotate(said, (value, row), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8.5)
        row += 1.6
    right.set_ylim(row - 0.8, -0.8)
    right.set_xscale("log")
    largest = max(1e6 * entry["seconds"] for fits in results["fits"].values() for entry in fits.values())
    right.set_xlim(20.0, largest * (largest / 20.0) ** 1.3)
    # The bars have their numbers.
    right.set_xticks([], minor=True)
    right.set_xticks([])
    right.set_yticks([])
    drawing.unit(right, "small fits, tol 1e-3, microseconds")
    drawing.finish(drawn, path, "Latency (lower is faster)", "Calls: d = 4, K = 3. " + caption(results))


if __name__ == "__main__":
    raise SystemExit(run("latency", __doc__ or "", measure_latency, None))
