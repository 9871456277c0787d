"""Threads: time of an EM iteration with 1, 2, … threads, and whether the parameters are the same bits.

How many times as fast more threads are is a ratio taken round by round, of runs side by side: its median and range.

    python benchmarks/scaling.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import drawing
from data import MAIN_PROBLEMS, QUICK_PROBLEMS
from results import Results, caption, run
from timing import faster_with_range, ratio_by_round, with_range
from workers import Worker, measure, stage

_REST = 0.02


def measure_scaling(options: argparse.Namespace) -> Results:
    problems = QUICK_PROBLEMS[:2] if options.quick else MAIN_PROBLEMS[:4]
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64, 128) if n <= options.threads]
    workers = {str(n): Worker("emix", sys.executable, n) for n in counts}
    records = []
    try:
        for problem in problems:
            with tempfile.TemporaryDirectory(prefix="emix-benchmark-") as folder:
                repeats = 1 if options.quick else options.repeats
                timings = measure(workers, problem, stage(problem, Path(folder)), repeats, _REST)
            first = timings["1"].parameters
            record: dict[str, Any] = {"name": problem.name, "times": {}, "faster": {}}
            for n, timing in timings.items():
                if timing.refusal is not None:
                    raise SystemExit(f"{problem.name} with {n} threads {': '.join(timing.refusal)}")
                record["times"][n] = timing.record()
                record["faster"][n] = ratio_by_round(timings["1"], timing)
            record["same bits"] = all(
                timing.parameters is not None
                and first is not None
                and all(np.array_equal(one, other) for one, other in zip(first, timing.parameters))
                for timing in timings.values()
            )
            said = (f"{n}: {with_range(record['times'][n])} ms" for n in timings)
            print(f"    {problem.name:32}", *said, f"same bits: {record['same bits']}", flush=True)
            records.append(record)
    finally:
        for worker in workers.values():
            worker.close()
    return {"problems": records}


def table(results: Results) -> str:
    """Milliseconds by threads, and how many times faster than one."""
    counts = list(results["problems"][0]["times"])
    head = " | ".join("1 thread" if n == "1" else f"{n} threads" for n in counts)
    lines = [
        f"| n × d, K (milliseconds per iteration) | {head} | same bits |",
        "|---|" + "---:|" * len(counts) + "---|",
    ]
    for problem in results["problems"]:
        cells = [with_range(problem["times"]["1"])]
        cells += [f"{with_range(problem['times'][n])}, {faster_with_range(problem['faster'][n])}" for n in counts[1:]]
        same = "yes" if problem["same bits"] else "**no**"
        lines.append(f"| {problem['name']} | {' | '.join(cells)} | {same} |")
    lines += ["", "In brackets: least and most of the rounds. ×: times as fast as one thread, the median of rounds."]
    return "\n".join(lines)


def draw(results: Results, path: Path) -> None:
    """Speed over that of one thread."""
    drawn, (axes,) = drawing.figure(width=8.0, height=4.2)
    problems = results["problems"]
    counts = [int(n) for n in problems[0]["times"]]
    axes.plot(counts, counts, color="#bbbbbb", ls="--")
    axes.annotate(
        "ideal",
        (counts[-1], counts[-1]),
        xytext=(-8, 0),
        textcoords="offset points",
        color=drawing.QUIET,
        ha="right",
        va="bottom",
    )
    ends, colors = {}, {}
    for problem, color in zip(problems, drawing.COLORS):
        found = {n: ratio for n in counts if (ratio := problem["faster"][str(n)]) is not None}
        if not found:
            continue
        gains = [ratio["times"] for ratio in found.values()]
        ranges = [ratio["range"] for ratio in found.values()]
        off = [[g - low for g, (low, _) in zip(gains, ranges)], [high - g for g, (_, high) in zip(gains, ranges)]]
        axes.errorbar(list(found), gains, yerr=off, color=color, marker="o", capsize=3)
        name = f"{problem['name']} ({gains[-1]:.2f}×)"
        ends[name], colors[name] = (max(found), gains[-1]), color
    axes.set_xticks(counts)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("threads")
    drawing.unit(axes, "times as fast as one thread")
    drawing.label_lines(axes, ends, colors)
    same = all(problem["same bits"] for problem in problems)
    bits = "Same bits for any number of threads. " if same else "THE BITS DIFFER between numbers of threads. "
    drawing.finish(drawn, path, "An EM iteration by number of threads", bits + caption(results))


if __name__ == "__main__":
    raise SystemExit(run("scaling", __doc__ or "", measure_scaling, None))
