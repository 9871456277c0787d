"""Instruction-set levels: time of an EM iteration by number of features and on the main shapes, level by level.

The level is forced by EMIX_LEVEL, in a process each. The curves by d show where the BLAS level crosses the others.

    python benchmarks/levels.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import drawing
import fresh
from comparison import milliseconds, times_faster
from data import MAIN_PROBLEMS, MORE_PROBLEMS, Problem
from results import Results, caption, run
from workers import Worker, measure, stage

_REST = 0.02


def available() -> list[str]:
    """The levels of this build on this processor, the best first."""
    from emix.kernel.level import available_levels

    return list(available_levels())


def measure_levels(options: argparse.Namespace) -> Results:
    found: list[str] = fresh.call("levels:available")
    work = 2e6 if options.quick else 1e9
    by_d = [
        Problem(max(200 * d, round(work / (16 * d * d))), d, 16, at_components=True)
        for d in (4, 8, 16, 32, 64, 128, 256)
    ]
    shapes = list(MAIN_PROBLEMS + MORE_PROBLEMS)
    if options.quick:
        by_d, shapes = by_d[1:4], [Problem(5_000, 2, 3), Problem(3_000, 10, 10)]
    workers = {level: Worker("emix", sys.executable, options.threads, {"EMIX_LEVEL": level}) for level in found}
    try:
        repeats = 1 if options.quick else min(options.repeats, 2)
        return {
            "levels": found,
            "by_d": [_record(problem, workers, repeats) for problem in by_d],
            "shapes": [_record(problem, workers, repeats) for problem in shapes],
        }
    finally:
        for worker in workers.values():
            worker.close()


def _record(problem: Problem, workers: dict[str, Worker], repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="emix-benchmark-") as folder:
        timings = measure(workers, problem, stage(problem, Path(folder)), repeats, _REST, budget=3.0)
    record: dict[str, Any] = {"name": problem.name, "d": problem.n_features, "seconds": {}, "refused": {}}
    for level, timing in timings.items():
        if timing.refusal is None:
            record["seconds"][level] = timing.per_iteration
        else:
            record["refused"][level] = timing.refusal[1]
    print(
        f"    {problem.name:32}", *(f"{level} {milliseconds(s)}" for level, s in record["seconds"].items()), flush=True
    )
    return record


def _crossover(results: Results) -> str:
    levels = [level for level in results["levels"] if level != "blas"]
    if "blas" not in results["levels"]:
        return "This build has no BLAS level."
    said = []
    for level in levels:
        faster = [
            str(record["d"])
            for record in results["by_d"]
            if 0.0 < record["seconds"].get("blas", 0.0) < record["seconds"].get(level, 0.0)
        ]
        said.append(f"{level}: {'d = ' + ', '.join(faster) if faster else 'nowhere'}")
    return f"The BLAS level is faster than … at: {'; '.join(said)}."


def table(results: Results) -> str:
    """Milliseconds by level, with the time over that of the best level."""
    levels = results["levels"]
    lines = [f"| n × d, K (milliseconds per iteration) | {' | '.join(levels)} |", "|---|" + "---:|" * len(levels)]
    for record in [*results["by_d"], *results["shapes"]]:
        best = record["seconds"].get(levels[0], 0.0)
        cells = []
        for level in levels:
            seconds = record["seconds"].get(level)
            if seconds is None:
                cells.append("–")
            else:
                over = f" ({times_faster(seconds / best)})" if level != levels[0] and best > 0.0 < seconds else ""
                cells.append(milliseconds(seconds) + over)
        lines.append(f"| {record['name']} | {' | '.join(cells)} |")
    records = [*results["by_d"], *results["shapes"]]
    refused = {f"- {level}, {r['name']}: {why}" for r in records for level, why in r["refused"].items()}
    return "\n".join([*lines, "", _crossover(results), *sorted(refused)])


def draw(results: Results, path: Path) -> None:
    """Time over that of the best level: by number of features, and by shape."""
    drawn, (curves, bars) = drawing.figure(columns=2, width=12.0, height=4.6, gridspec_kw={"width_ratios": (1.2, 1)})
    levels = results["levels"]
    colors = dict(zip(levels, drawing.COLORS))
    ends = {}
    for level in levels:
        points = [(r["d"], 1e3 * r["seconds"][level]) for r in results["by_d"] if r["seconds"].get(level, 0.0) > 0.0]
        if points:
            curves.plot(*zip(*points), color=colors[level], marker="o", ms=4)
            ends[level] = points[-1]
    curves.set(xscale="log", yscale="log", xlabel="features d (K = 16; n·d² is the same everywhere)")
    drawing.ticks(curves.xaxis, [record["d"] for record in results["by_d"]])
    drawing.number_ticks(curves.yaxis)
    drawing.unit(curves, "milliseconds per iteration")
    drawing.label_lines(curves, ends, colors)

    shapes = results["shapes"]
    for row, record in enumerate(shapes):
        best = record["seconds"].get(levels[0], 0.0)
        for level in levels[1:]:
            if best > 0.0 < record["seconds"].get(level, 0.0):
                bars.scatter(record["seconds"][level] / best, row, color=colors[level], zorder=3)
    bars.axvline(1.0, color=colors[levels[0]])
    bars.set_xscale("log")
    drawing.number_ticks(bars.xaxis)
    bars.set_yticks(range(len(shapes)), [record["name"] for record in shapes], fontsize=8.5)
    bars.set_ylim(len(shapes) - 0.5, -0.5)
    drawing.unit(bars, f"times as slow as {levels[0]} (colours as in the left panel)")
    below = f"Full covariances unless named, {results['threads']} threads. {_crossover(results)} "
    drawing.finish(drawn, path, "Levels of the kernel", below + caption(results))


if __name__ == "__main__":
    raise SystemExit(run("levels", __doc__ or "", measure_levels, None))
