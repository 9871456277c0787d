"""Whole fits, start included, emix beside scikit-learn.

Two comparisons on three sizes. *Defaults*: both sides as a user writes them; emix's history tells when it passed
the log-likelihood at which scikit-learn's fit ended, and it goes on to the mode after that. *Same*: tol 1e-3 and
the same given start on both sides, 40 iterations at most. And the start of emix in units of its EM iterations.

    python benchmarks/whole_fits.py [--quick]
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import drawing
import fresh
from data import Problem, make_data, make_start
from libraries import gaussian_mixture
from results import Results, caption, run
from timing import as_ratio

_SIZES = (Problem(1_000_000, 2, 3), Problem(200_000, 10, 10), Problem(100_000, 50, 20))
_QUICK = (Problem(10_000, 2, 3), Problem(5_000, 10, 3))

#: A library that has spent so many seconds on a size has no further round.
_BUDGET = 12.0


def fits(library: str, sizes: list[dict[str, Any]], repeats: int) -> list[dict[str, Any]]:
    """Fit each size by defaults and from a given start; seconds, iterations and log-likelihoods."""
    records = []
    for size in sizes:
        problem = Problem(**size)
        X = make_data(problem)
        start = make_start(problem, X)
        given = {"weights_init": start.weights, "means_init": start.means, "precisions_init": start.covariances}
        record: dict[str, Any] = {}
        kinds: dict[str, dict[str, Any]] = {"defaults": {}, "same": {"tol": 1e-3, "max_iter": 40, **given}}
        for kind, options in kinds.items():
            seconds: list[float] = []
            for _ in range(repeats):
                mixture = gaussian_mixture(library)(problem.n_components, random_state=0, **options)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # one that does not converge says so in `iterations`
                    begin = perf_counter()
                    mixture.fit(X)
                    seconds.append(perf_counter() - begin)
                if sum(seconds) > _BUDGET:
                    break
            record[kind] = {"seconds": min(seconds), "iterations": int(mixture.n_iter_)}
            if library == "emix":
                # What lies before the first E-step's end and is not that E-step is checks and the start.
                history = mixture.history_
                gaps = np.diff([entry.seconds for entry in history])
                loop = float(gaps.mean()) * len(history) if len(gaps) else history[-1].seconds
                record[kind] |= {
                    "history": [[entry.seconds, entry.log_likelihood] for entry in history],
                    "iteration": float(np.median(gaps)) if len(gaps) else loop,
                    # of the last fit, as the history is
                    "before": seconds[-1] - history[-1].seconds,
                    "log_likelihood": mixture.log_likelihood_,
                }
            else:
                # Of the parameters that it returns; its lower_bound_ is that of the step before.
                record[kind]["log_likelihood"] = float(mixture.score(X) * len(X))
        records.append(record)
    return records


def measure_fits(options: argparse.Namespace) -> Results:
    problems = _QUICK if options.quick else _SIZES
    sizes = [{"n_samples": p.n_samples, "n_features": p.n_features, "n_components": p.n_components} for p in problems]
    repeats = 1 if options.quick else min(3, options.repeats)
    found: Results = {"names": [problem.name for problem in problems], "fits": {}, "missing": {}}
    for name, library in (("emix", "emix"), ("scikit-learn", "sklearn")):
        try:
            found["fits"][name] = fresh.call(
                "whole_fits:fits", options.threads, library=library, sizes=sizes, repeats=repeats
            )
        except RuntimeError as error:
            found["missing"][name] = str(error)
            print(f"{name} is missing: {error}", flush=True)
    return found


def passes_at(record: dict[str, Any], target: float) -> float | None:
    """Seconds, start included, until the log-likelihood of a fit reaches a target; None if it never does."""
    for seconds, value in record["history"]:
        if value >= target - 1e-9 * abs(target):
            return float(record["before"] + seconds)
    return None


def table(results: Results) -> str:
    """Seconds of both, when emix passes where scikit-learn ends, and ratios."""
    ours, theirs = results["fits"]["emix"], results["fits"].get("scikit-learn")
    lines = [
        "| n × d, K | scikit-learn | emix passes that log-likelihood | emix, to its end | start, in iterations |",
        "|---|---:|---:|---:|---:|",
    ]
    for row, name in enumerate(results["names"]):
        mine = ours[row]["defaults"]
        cells = ["–", "–"]
        ratio = ""
        if theirs:
            other = theirs[row]["defaults"]
            reached = passes_at(mine, other["log_likelihood"])
            cells[0] = f"{other['seconds']:.3f} s ({other['iterations']} it.)"
            cells[1] = "never: another mode"
            if reached is not None:
                cells[1] = f"{reached:.3f} s ({as_ratio(other['seconds'] / reached)})"
            ratio = f", {as_ratio(other['seconds'] / mine['seconds'])}"
        cells += [
            f"{mine['seconds']:.3f} s ({mine['iterations']} it.{ratio})",
            f"{mine['before'] / mine['iteration']:.1f}",
        ]
        lines.append(f"| {name}, defaults | {' | '.join(cells)} |")
    lines += [
        "",
        "| n × d, K, same start | scikit-learn | emix | difference of mean log-likelihoods |",
        "|---|---:|---:|---:|",
    ]
    for row, name in enumerate(results["names"]):
        mine = ours[row]["same"]
        told, apart = "–", "–"
        ratio = ""
        if theirs:
            other = theirs[row]["same"]
            told = f"{other['seconds']:.3f} s ({other['iterations']} it.)"
            ratio = f", {as_ratio(other['seconds'] / mine['seconds'])}"
            n = int(name.split(" ×")[0].replace(" ", ""))
            apart = f"{(mine['log_likelihood'] - other['log_likelihood']) / n:+.1e}"
        lines.append(f"| {name} | {told} | {mine['seconds']:.3f} s ({mine['iterations']} it.{ratio}) | {apart} |")
    return "\n".join([*lines, *(f"- {name} is missing: {why}" for name, why in results["missing"].items())])


def draw(results: Results, path: Path) -> None:
    """For each size: the log-likelihood of emix over time, and where scikit-learn's fit ends."""
    count = len(results["names"])
    drawn, panels = drawing.figure(columns=count, width=4.4 * count, height=4.0)
    theirs = results["fits"].get("scikit-learn")
    for row, (axes, name) in enumerate(zip(panels, results["names"])):
        mine = results["fits"]["emix"][row]["defaults"]
        n = int(name.split(" ×")[0].replace(" ", ""))
        best = max(value for _, value in mine["history"])
        if theirs:
            best = max(best, theirs[row]["defaults"]["log_likelihood"])
        times = [mine["before"] + seconds for seconds, _ in mine["history"]]
        # Distance from the best: on a logarithmic axis the way to the mode is a straight line.
        below = [max((best - value) / n, 1e-9) for _, value in mine["history"]]
        axes.plot(times, below, color="#D55E00", marker="o", ms=3)
        drawing.note(
            axes,
            f"emix: {mine['seconds']:.2g} s",
            (times[-1], below[-1]),
            (-9, -3),
            ha="right",
            color="#D55E00",
            fontweight="bold",
            fontsize=10,
        )
        if theirs:
            other = theirs[row]["defaults"]
            level = max((best - other["log_likelihood"]) / n, 1e-9)
            axes.axhline(level, color="#E69F00", ls=":", lw=1.2)
            axes.plot([other["seconds"]], [level], color="#E69F00", marker="s", ms=9)
            reached = passes_at(mine, other["log_likelihood"])
            faster = f"\n{as_ratio(other['seconds'] / reached)} later than emix" if reached else ""
            axes.annotate(
                f"scikit-learn: {other['seconds']:.2g} s{faster}",
                (other["seconds"], level),
                xytext=(0, 9),
                textcoords="offset points",
                ha="right",
                color="#B87A00",
            )
        axes.set(xscale="log", yscale="log", xlabel="seconds (logarithmic)")
        axes.set_ylim(3e-10, 30.0 * max(below))
        drawing.number_ticks(axes.xaxis)
        axes.set_title(name, loc="left", fontsize=10)
    panels[0].set_ylabel("nats per row below the best of both fits")
    drawing.finish(drawn, path, "Whole fits with defaults, start included (down and left is better)", caption(results))


if __name__ == "__main__":
    raise SystemExit(run("whole_fits", __doc__ or "", measure_fits, None))
