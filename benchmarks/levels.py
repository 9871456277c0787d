"""Instruction-set levels: time of an EM iteration by number of features and on the main shapes, level by level.

The level is forced by EMIX_LEVEL, in a process each. The curves by d show where the BLAS level crosses the others. BLAS
chooses its own instructions, the widest that the processor has, which would be no fair match for v3 and baseline. So on
x86-64 it also runs held to the instructions of each: OPENBLAS_CORETYPE=Haswell (AVX2) beside v3, Prescott
(SSE3) beside baseline. Only OpenBLAS heeds that variable; with another BLAS all three are the same, and the table says
which BLAS it was. Of those instructions is the library's code only: what the BLAS level does besides, exponentials
above all, is compiled for the baseline alone.

    python benchmarks/levels.py [--quick]
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import drawing
import fresh
from data import MAIN_PROBLEMS, MORE_PROBLEMS, Problem
from results import Results, caption, run
from timing import as_ratio, seconds_of, with_range
from workers import Worker, measure, stage

_REST = 0.02

#: A level that has run for so many seconds on a problem has no round beyond the second.
_BUDGET = 3.0

#: Components of the curves by d.
_K = 16

#: The BLAS level with which each other level is compared, and the OPENBLAS_CORETYPE that makes it so. (OpenBLAS may
#: call Prescott by the name of an older processor that has the same code.)
_LIKE = {"v4": ("blas", None), "v3": ("blas as v3", "Haswell"), "baseline": ("blas as baseline", "Prescott")}


def available() -> list[str]:
    """The levels of this build on this processor, the best first."""
    from emix.kernel.level import available_levels

    return list(available_levels())


def series(levels: list[str], x86: bool) -> dict[str, dict[str, str]]:
    """The variables of each curve: the levels, and BLAS with the instructions of each of them."""
    found = {level: {"EMIX_LEVEL": level} for level in levels}
    if "blas" in levels and x86:
        for level in levels:
            name, core = _LIKE.get(level, ("", None))
            if core is not None:
                found[name] = {"EMIX_LEVEL": "blas", "OPENBLAS_CORETYPE": core}
    return found


def problems_by_d(work: float) -> list[Problem]:
    """Of one amount of work n·K·d², but with rows enough for regular covariances; few iterations of long ones."""
    return [
        Problem(max(80 * d, round(work / (_K * d * d))), d, _K, at_components=True, few=few, many=many)
        for d, few, many in ((4, 2, 8), (8, 2, 8), (16, 2, 8), (32, 2, 8), (64, 2, 8), (128, 2, 8), (256, 1, 3))
    ]


def measure_levels(options: argparse.Namespace) -> Results:
    levels: list[str] = fresh.call("levels:available")
    by_d = problems_by_d(2e6 if options.quick else 3e8)
    # Levels differ by factors: a tenth of a second between the two runs tells them apart.
    shapes = [replace(problem, many=min(problem.many, 20)) for problem in MAIN_PROBLEMS + MORE_PROBLEMS]
    if options.quick:
        by_d, shapes = by_d[1:4], [Problem(5_000, 2, 3), Problem(3_000, 10, 10)]
    wanted = series(levels, platform.machine() in ("x86_64", "AMD64"))
    workers = {name: Worker("emix", sys.executable, options.threads, variables) for name, variables in wanted.items()}
    try:
        repeats = 1 if options.quick else options.repeats
        found: Results = {
            "levels": levels,
            "series": list(wanted),
            "by_d": [_record(problem, workers, repeats) for problem in by_d],
            "shapes": [_record(problem, {level: workers[level] for level in levels}, repeats) for problem in shapes],
        }
        blas = {name: worker.ask("blas").get("blas", []) for name, worker in workers.items() if "blas" in name}
        return {**found, "blas of": blas}
    finally:
        for worker in workers.values():
            worker.close()


def _record(problem: Problem, workers: dict[str, Worker], repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="emix-benchmark-") as folder:
        timings = measure(workers, problem, stage(problem, Path(folder)), repeats, _REST, _BUDGET)
    times = {name: timing.record() for name, timing in timings.items()}
    print(f"    {problem.name:32}", *(f"{name} {with_range(entry)}" for name, entry in times.items()), flush=True)
    return {"name": problem.name, "n": problem.n_samples, "d": problem.n_features, "times": times}


def _seconds(record: dict[str, Any], name: str) -> float | None:
    return seconds_of(record["times"].get(name))


def _rate(record: dict[str, Any], name: str) -> float | None:
    """Nanoseconds per row and d²: what the numbers of rows, which are not of the same work for large d, leave out."""
    seconds = _seconds(record, name)
    return 1e9 * seconds / (record["n"] * record["d"] ** 2) if seconds else None


def _crossover(results: Results) -> str:
    if "blas" not in results["levels"]:
        return "This build has no BLAS level."
    said = []
    for level in results["levels"]:
        if level == "blas":
            continue
        # Elsewhere than on x86-64, and where nothing holds it back, BLAS is compared as it is.
        rival = _LIKE.get(level, ("blas", None))[0]
        rival = rival if rival in results["series"] else "blas"
        pairs = [(r["d"], _seconds(r, rival), _seconds(r, level)) for r in results["by_d"]]
        measured = [(d, theirs, ours) for d, theirs, ours in pairs if theirs is not None and ours is not None]
        faster = ", ".join(str(d) for d, theirs, ours in measured if theirs < ours)
        where = f"d = {faster}" if faster else "nowhere" if measured else "not measured"
        said.append(f"{rival} against {level}: {where}")
    return (
        "Where the BLAS level, its library held to the instructions of another level (its own code: baseline), is "
        f"faster than that level: {'; '.join(said)}."
    )


def _which_blas(results: Results) -> str:
    """What the curves of BLAS are, as far as their own processes tell."""
    if len(results["blas of"]) < 2:
        return ""
    told = {name: ", ".join(sorted({_core(pool) for pool in pools})) for name, pools in results["blas of"].items()}
    said = "; ".join(f"{name}: {cores or 'unknown'}" for name, cores in told.items())
    return f"BLAS ran as {said} (held back by OPENBLAS_CORETYPE, which means something to OpenBLAS only)."


def _core(pool: str) -> str:
    """``openblas 0.3.31 Haswell, 2 threads`` → ``openblas Haswell``."""
    words = pool.split(",")[0].split()
    return " ".join((words[0], *words[2:]))


def table(results: Results) -> str:
    """Milliseconds by level, with the time over that of the best level: by number of features, and by shape."""
    best = results["levels"][0]
    parts = []
    for part, names in (("by_d", results["series"]), ("shapes", results["levels"])):
        lines = [f"| n × d, K (milliseconds per iteration) | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
        for record in results[part]:
            cells = [with_range(record["times"].get(name)) + _over(record, name, best) for name in names]
            lines.append(f"| {record['name']} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    explained = f"Medians of rounds, in brackets the least and the most of them; ×: times as slow as {best}."
    refused = {
        f"- {name}, {record['name']}: {why}"
        for record in [*results["by_d"], *results["shapes"]]
        for name, entry in record["times"].items()
        for why in (entry[kind] for kind in ("missing", "unsupported", "failed") if kind in entry)
    }
    said = f"{explained} {_crossover(results)} {_which_blas(results)}".rstrip()
    return "\n\n".join([*parts, "\n".join([said, *sorted(refused)])])


def _over(record: dict[str, Any], name: str, best: str) -> str:
    ours, fastest = _seconds(record, name), _seconds(record, best)
    return f", {as_ratio(ours / fastest)}" if name != best and ours and fastest else ""


def draw(results: Results, path: Path) -> None:
    """Time per row and d² by number of features; time over that of the best level by shape."""
    drawn, (curves, bars) = drawing.figure(columns=2, width=12.0, height=4.6, gridspec_kw={"width_ratios": (1.2, 1)})
    levels = results["levels"]
    colors = dict(zip(results["series"], drawing.COLORS))
    ends = {}
    for name in results["series"]:
        points = [(r["d"], rate) for r in results["by_d"] if (rate := _rate(r, name))]
        if points:
            # BLAS dashed: six curves are told apart by more than colour.
            curves.plot(*zip(*points), color=colors[name], marker="o", ms=4, ls="--" if "blas" in name else "-")
            ends[name] = points[-1]
    curves.set(xscale="log", yscale="log", xlabel=f"features d (K = {_K})")
    drawing.ticks(curves.xaxis, [record["d"] for record in results["by_d"]])
    drawing.number_ticks(curves.yaxis)
    drawing.unit(curves, "ns per row and d²")
    drawing.label_lines(curves, ends, colors)

    shapes = results["shapes"]
    for row, record in enumerate(shapes):
        best = _seconds(record, levels[0])
        for level in levels[1:]:
            seconds = _seconds(record, level)
            if best and seconds:
                bars.scatter(seconds / best, row, color=colors[level], zorder=3)
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
