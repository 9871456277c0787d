"""Scoring: a large array against the E-step's share of an iteration, and throughput of many threads that score at once.

The E-step's share is taken as a pass of the kernel that gathers statistics (`GaussianModel.e_step`, with nothing
skipped), which does the log-densities and exponentials of scoring and the sums besides: scoring is allowed
1.3 times the part of it that is not sums. Printed are the ratios to the whole pass and to this part, half of it.

    python benchmarks/scoring.py [--quick]
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import drawing
import fresh
from comparison import milliseconds
from data import Problem, make_components, make_data
from libraries import gaussian_mixture
from results import Results, caption, run

_METHODS = ("score_samples", "predict_proba", "predict")


def _fitted(library: str, problem: Problem) -> Any:
    """A mixture with the parameters that the data come from."""
    weights, means, covariances = make_components(problem.n_components, problem.n_features)
    if library == "emix":
        return gaussian_mixture(library).from_parameters(weights, means, covariances, covariance_type="full")
    mixture = gaussian_mixture(library)(problem.n_components)
    mixture.weights_, mixture.means_, mixture.covariances_ = weights, means, covariances
    mixture.precisions_cholesky_ = np.linalg.inv(np.linalg.cholesky(covariances)).transpose(0, 2, 1)
    mixture.n_features_in_ = problem.n_features
    return mixture


def large(n_samples: int, repeats: int) -> dict[str, float]:
    """Seconds of scoring n × 10, K 10, and of an E-step with nothing skipped."""
    from emix import GaussianModel, GaussianParameters

    problem = Problem(n_samples, 10, 10)
    X = make_data(problem)
    mixture = _fitted("emix", problem)
    model = GaussianModel(10, 10)  # as many threads as the environment says, for both
    parameters = GaussianParameters.from_covariances("full", *make_components(10, 10))
    functions: dict[str, Any] = {method: (lambda name=method: getattr(mixture, name)(X)) for method in _METHODS}
    # A run's first pass leaves nothing out.
    functions["E-step"] = lambda: model.e_step(X, parameters)
    best = dict.fromkeys(functions, float("inf"))
    for turn in range(-1, repeats):
        for name, function in functions.items():
            begin = perf_counter()
            function()
            if turn >= 0:
                best[name] = min(best[name], perf_counter() - begin)
    return best


def throughput(library: str, n_callers: int, seconds: float, forked: bool = False) -> float:
    """Calls a second of score_samples on 1 000 × 10, K 10, from so many threads at once, or processes forked."""
    problem = Problem(1_000, 10, 10)
    X = make_data(problem)
    mixture = _fitted(library, problem)
    mixture.score_samples(X)  # what is loaded and started lazily is, before the fork

    global _call  # a forked process inherits it
    _call = partial(_calls_until, mixture, X, seconds)
    if forked:
        with get_context("fork").Pool(n_callers) as pool:
            return sum(pool.map(_run_call, range(n_callers), chunksize=1)) / seconds
    with ThreadPoolExecutor(n_callers) as threads:
        return sum(threads.map(_run_call, range(n_callers))) / seconds


_call: Any = None


def _run_call(_: int) -> int:
    return int(_call())


def _calls_until(mixture: Any, X: Any, seconds: float) -> int:
    count, end = 0, perf_counter() + seconds
    while perf_counter() < end:
        mixture.score_samples(X)
        count += 1
    return count


def measure_scoring(options: argparse.Namespace) -> Results:
    n, repeats, seconds = (20_000, 1, 0.1) if options.quick else (1_000_000, options.repeats, 1.0)
    counts = sorted({1, 2, options.threads, 8})
    found: Results = {
        "n": n,
        "large": fresh.call("scoring:large", options.threads, n_samples=n, repeats=repeats),
        "throughput": {},
        "missing": {},
    }
    for name, library, forked in (
        ("emix, threads", "emix", False),
        ("emix, forked processes", "emix", True),
        ("scikit-learn, threads", "sklearn", False),
    ):
        try:
            found["throughput"][name] = {
                str(count): fresh.call(
                    "scoring:throughput", library=library, n_callers=count, seconds=seconds, forked=forked
                )
                for count in counts
            }
        except RuntimeError as error:
            found["missing"][name] = str(error)
    return found


def table(results: Results) -> str:
    """Milliseconds of scoring beside an E-step, and calls a second."""
    e_step = results["large"]["E-step"]
    rows = drawing.plain(results["n"])
    lines = [f"| {rows} × 10, K 10 | milliseconds | of an E-step | of half of it |", "|---|---:|---:|---:|"]
    for name, seconds in results["large"].items():
        lines.append(f"| {name} | {milliseconds(seconds)} | {seconds / e_step:.2f} | {2 * seconds / e_step:.2f} |")
    counts = list(next(iter(results["throughput"].values())))
    lines += [
        "",
        f"| score_samples, 1 000 × 10, K 10, calls a second from | {' | '.join(counts)} at once |",
        "|---|" + "---:|" * len(counts),
    ]
    for name, rates in results["throughput"].items():
        lines.append(f"| {name} | {' | '.join(drawing.plain(round(rate)) for rate in rates.values())} |")
    return "\n".join([*lines, *(f"- {name} is missing: {why}" for name, why in results["missing"].items())])


def draw(results: Results, path: Path) -> None:
    """Calls a second by number of callers; scoring beside the E-step."""
    drawn, (left, right) = drawing.figure(columns=2, width=11.0, height=4.0)
    colors = {"emix, threads": "#D55E00", "emix, forked processes": "#CC79A7", "scikit-learn, threads": "#E69F00"}
    ends = {}
    for name, rates in results["throughput"].items():
        points = [(int(count), rate) for count, rate in rates.items()]
        left.plot(*zip(*points), color=colors[name], marker="o")
        ends[name] = points[-1]
    left.set(xscale="log", yscale="log", xlabel="callers at once")
    drawing.ticks(left.xaxis, [int(count) for count in next(iter(results["throughput"].values()))])
    drawing.number_ticks(left.yaxis)
    drawing.unit(left, "score_samples of 1 000 × 10, K 10: calls a second (higher is faster)")
    drawing.label_lines(left, ends, colors)
    for row, (name, seconds) in enumerate(results["large"].items()):
        right.barh(row, 1e3 * seconds, color="#bbbbbb" if name == "E-step" else "#D55E00", height=0.6)
        right.annotate(
            f"{milliseconds(seconds)} ms",
            (1e3 * seconds, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    right.set_yticks(range(len(results["large"])), list(results["large"]))
    right.invert_yaxis()
    right.margins(x=0.2)
    drawing.unit(right, f"{drawing.plain(results['n'])} × 10, K 10, milliseconds")
    drawing.finish(drawn, path, "Scoring", caption(results))


if __name__ == "__main__":
    raise SystemExit(run("scoring", __doc__ or "", measure_scoring, None))
