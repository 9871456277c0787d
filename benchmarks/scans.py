"""Scans of one size: time of an iteration by number of features, of rows and of components.

By d and by K the work n·K·d² is held, so that a smooth curve is expected and a cliff shows. By n it is time per
row that should be flat; the largest n, which may not fit in memory, is a memory map on disk. Fits start at the
components that the data come from; each point is the difference of two fits.

    python benchmarks/scans.py [--quick]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import drawing
from data import Problem, make_data, make_start
from results import Results, caption, run
from timing import seconds_of, with_range
from workers import Worker, measure, stage

KIND = "scans"

#: Rows of memory maps repeat after so many: drawing them all would take longer than the fits.
_DISTINCT = 1_000_000

#: From so many rows on, the data are a memory map, and iterations 2 to 3 of one round are measured.
_MAPPED = 50_000_000

_REST = 0.02

#: A worker that has run for so many seconds on a point has no round beyond the second.
_BUDGET = 2.0


def problems_by_d(work: float) -> list[Problem]:
    # Where an iteration takes two or three milliseconds, six of them are too short to be told from noise.
    return [
        Problem(max(100 * d, round(work / (10 * d * d))), d, 10, many=18 if d >= 8 else 8, at_components=True)
        for d in range(1, 65)
    ]


def problems_by_K(work: float) -> list[Problem]:
    problems = [
        Problem(max(100 * K, round(work / (K * 100))), 10, K, at_components=True)
        for K in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    ]
    # One component has converged after one iteration: the second is the last that EM does.
    return [replace(problems[0], few=1, many=2), *problems[1:]]


def problems_by_n(largest: int) -> list[Problem]:
    sizes = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 100_000_000)
    problems = [Problem(n, 8, 8, at_components=True) for n in sizes if n <= largest]
    # Up to 100 000 rows the fit has converged to the last digit after twenty iterations and some.
    return [
        replace(p, few=1, many=3) if p.n_samples >= _MAPPED else replace(p, many=18 if p.n_samples <= 100_000 else 8)
        for p in problems
    ]


def measure_all(problems: Sequence[Problem], workers: dict[str, Worker], repeats: int) -> list[Any]:
    """A record per problem: sizes, and the times of each worker or why there are none."""
    records = []
    for problem in problems:
        record: dict[str, Any] = {"n": problem.n_samples, "d": problem.n_features, "K": problem.n_components}
        record["times"] = {}
        with tempfile.TemporaryDirectory(prefix="emix-benchmark-") as folder:
            if problem.n_samples < _MAPPED:
                files = stage(problem, Path(folder))
                timings = measure(workers, problem, files, repeats, _REST, _BUDGET)
            else:
                needed = 8 * problem.n_samples * problem.n_features
                if shutil.disk_usage(folder).free < 1.5 * needed:
                    record["skipped"] = f"{needed / 1e9:.1f} GB of rows do not fit on the disk"
                    print(f"    {problem.name}: {record['skipped']}", flush=True)
                    records.append(record)
                    continue
                files = _stage_mapped(problem, Path(folder))
                timings = measure(workers, problem, files, 1, _REST, mapped=True)
        record["times"] = {name: timing.record() for name, timing in timings.items()}
        said = (f"{name} {with_range(entry)}" for name, entry in record["times"].items())
        print(f"    {problem.name:32}", *said, flush=True)
        records.append(record)
    return records


def _stage_mapped(problem: Problem, folder: Path) -> tuple[Path, Path]:
    rows = make_data(replace(problem, n_samples=_DISTINCT))
    start = make_start(problem, rows)
    shape = (problem.n_samples, problem.n_features)
    mapped = np.lib.format.open_memmap(folder / "data.npy", "w+", rows.dtype, shape)
    for first in range(0, problem.n_samples, _DISTINCT):
        mapped[first : first + _DISTINCT] = rows[: problem.n_samples - first]
    mapped.flush()
    np.savez(folder / "start.npz", weights=start.weights, means=start.means, covariances=start.covariances)
    return folder / "data.npy", folder / "start.npz"


def measure_scans(options: argparse.Namespace) -> Results:
    work = 2e6 if options.quick else 1e8
    largest = 100_000 if options.quick else 100_000_000
    repeats = 1 if options.quick else options.repeats
    by_d, by_K = problems_by_d(work), problems_by_K(10 * work)
    if options.quick:
        by_d, by_K = by_d[::7], by_K[:8:3]
    found: Results = {}
    workers = {"emix": ("emix", options.threads), "emix (no shortcuts)": ("emix_plain", options.threads)}
    for scan, problems in (("by_d", by_d), ("by_K", by_K)):
        print(f"{scan} …", flush=True)
        found[scan] = _with_workers(problems, workers, repeats)
    print("by_n …", flush=True)
    threads = sorted({1, options.threads})
    # Passes over few rows take less than a millisecond: more rounds cost nothing.
    wanted = {_threads(n): ("emix", n) for n in threads}
    found["by_n"] = _with_workers(problems_by_n(largest), wanted, 3 * repeats)
    return found


def _with_workers(problems: Sequence[Problem], wanted: dict[str, tuple[str, int]], repeats: int) -> list[Any]:
    workers = {name: Worker(peer, sys.executable, n) for name, (peer, n) in wanted.items()}
    try:
        return measure_all(problems, workers, repeats)
    finally:
        for worker in workers.values():
            worker.close()


def _threads(n: int) -> str:
    return "1 thread" if n == 1 else f"{n} threads"


def _series(records: Sequence[Any]) -> list[str]:
    names: list[str] = []
    for record in records:
        names += [name for name in record["times"] if name not in names]
    return names


def _rate(record: Any, name: str) -> float | None:
    """Nanoseconds per row and K·d(d+1)/2, the multiplications of a log-density."""
    seconds = seconds_of(record["times"].get(name))
    return 1e9 * seconds / (record["n"] * record["K"] * record["d"] * (record["d"] + 1)) if seconds else None


def table(results: Results) -> str:
    """A table for each scan."""
    parts = []
    for scan, what in (("by_d", "d"), ("by_K", "K"), ("by_n", "n")):
        records = results[scan]
        names = _series(records)
        unit = "nanoseconds per row" if scan == "by_n" else "milliseconds per iteration"
        lines = [f"| n × d, K ({unit}) | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
        for record in records:
            cells = []
            for name in names:
                entry = record["times"].get(name)
                if scan == "by_n" and entry and "seconds" in entry:
                    told = [f"{1e9 * seconds / record['n']:.1f}" for seconds in (entry["seconds"], *entry["range"])]
                    cells.append(f"{told[0]} ({told[1]}–{told[2]})")
                else:
                    cells.append(with_range(entry))
            size = f"{record['n']:,} × {record['d']}, {record['K']}".replace(",", " ", f"{record['n']:,}".count(","))
            said = f" ({record['skipped']})" if "skipped" in record else ""
            lines.append(f"| {size}{said} | {' | '.join(cells)} |")
        parts.append(f"By {what}:\n\n" + "\n".join(lines) + _flatness(records, names, scan))
    return "\n\n".join([*parts, "Medians of rounds, in brackets the least and the most of them."])


def _flatness(records: Sequence[Any], names: Sequence[str], scan: str) -> str:
    if scan != "by_n":
        return ""
    said = []
    for name in names:
        first = 10_000 if name == "1 thread" else 1_000_000
        rows = [
            1e9 * seconds / record["n"]
            for record in records
            if record["n"] >= first and (seconds := seconds_of(record["times"].get(name)))
        ]
        if len(rows) > 1:
            said.append(f"{name}: from {drawing.plain(first)} rows on within {100 * (max(rows) / min(rows) - 1):.0f} %")
    return "\n\nTime per row, " + "; ".join(said) + "." if said else ""


def draw(results: Results, path: Path) -> None:
    """Three panels: by d and by K the time per unit of work, by n the time per row."""
    drawn, panels = drawing.figure(columns=3, width=13.0, height=4.4)
    for axes, scan, title, unit in (
        (panels[0], "by_d", "features d (K = 10)", "ns per row, component and d(d+1)"),
        (panels[1], "by_K", "components K (d = 10)", "ns per row, component and d(d+1)"),
        (panels[2], "by_n", "rows n (d = 8, K = 8)", "ns per row"),
    ):
        records = results[scan]
        names = _series(records)
        colors = dict(zip(names, drawing.COLORS))
        ends = {}
        for name in names:
            points = []
            for record in records:
                rate = _rate(record, name)
                if rate is not None:
                    scale = record["K"] * record["d"] * (record["d"] + 1) if scan == "by_n" else 1
                    points.append((record[scan[-1]], rate * scale))
            if not points:
                continue
            axes.plot(*zip(*points), color=colors[name], marker="o", ms=3.5, lw=1.6)
            ends[name] = points[-1]
        axes.set_xscale("log")
        axes.set_xlabel(title)
        axes.set_title(unit, loc="left", fontsize=9.5, color=drawing.QUIET)
        if scan == "by_n":
            axes.set_ylim(bottom=0.0)
        else:
            axes.set_yscale("log")
            drawing.number_ticks(axes.yaxis)
        if scan == "by_d":
            drawing.ticks(axes.xaxis, (1, 2, 4, 8, 16, 32, 64))
        elif scan == "by_K":
            drawing.ticks(axes.xaxis, (1, 4, 16, 64, 256))
        drawing.label_lines(axes, ends, colors)
    below = f"Full covariances, float64, {results['threads']} threads. By d and K: about the same n·K·d² everywhere. "
    drawing.finish(drawn, path, "Time of an EM iteration by size (lower is faster)", below + caption(results))


if __name__ == "__main__":
    raise SystemExit(run(KIND, __doc__ or "", measure_scans, None))
