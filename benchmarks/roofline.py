"""Roofline: the arithmetic of EM per second against a large dgemm and the exponential, measured in the same run.

A full-covariance iteration cannot do with less than 2·n·K·d(d+1) floating-point operations (log-densities and scatter)
and n·K exponentials, if every row has a part in every component. So three rates are printed:

- dense: components that all overlap, shortcuts switched off: every operation counted is done;
- no shortcuts: the data of the comparison, shortcuts switched off; negligible responsibilities are 0;
- emix: the same, as it is. Operations that are left out count, so this may lie above the roof.

The roof is the slower of dgemm through SciPy's BLAS (flop/s) and NumPy's exp (values/s), both on as many cores.

    python benchmarks/roofline.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import drawing
import fresh
from data import MAIN_PROBLEMS, Problem
from results import Results, caption, run
from timing import seconds_of, with_range
from workers import Worker, measure, stage

_REST = 0.02

SERIES = ("emix, dense", "emix (no shortcuts)", "emix")


def dgemm_rate(size: int, repeats: int) -> float:
    """Operations per second of SciPy's dgemm, as many threads as its BLAS has."""
    from scipy.linalg.blas import dgemm

    rng = np.random.default_rng(0)
    a, b = (np.asfortranarray(rng.normal(size=(size, size))) for _ in range(2))
    return 2.0 * size**3 / _fastest(lambda: dgemm(1.0, a, b), repeats)


def exp_rate(n_threads: int, repeats: int) -> float:
    """Exponentials per second of NumPy, in blocks that fit in the first-level cache, a block per thread."""
    blocks = [(np.linspace(-30.0, 0.0, 2_048), np.empty(2_048)) for _ in range(n_threads)]
    times = 1_000

    def work(block: tuple[Any, Any]) -> None:
        x, out = block
        for _ in range(times):
            np.exp(x, out=out)

    with ThreadPoolExecutor(n_threads) as pool:
        return n_threads * times * 2_048 / _fastest(lambda: list(pool.map(work, blocks)), repeats)


def _fastest(function: Any, repeats: int) -> float:
    times = []
    for _ in range(repeats + 1):  # the first warms up
        begin = perf_counter()
        function()
        times.append(perf_counter() - begin)
    return min(times[1:])


def flops(problem: Problem) -> float:
    """2·n·K·d(d+1)."""
    d = problem.n_features
    return 2.0 * problem.n_samples * problem.n_components * d * (d + 1)


def live_share(problem: Problem) -> float:
    """Share of responsibilities that do not underflow, at the start."""
    import baseline_numpy
    from data import make_data, make_start

    few = replace(problem, n_samples=2_000)
    X = make_data(few)
    responsibilities, _ = baseline_numpy.e_step(X, *make_start(few, X))
    return float(np.mean(responsibilities > 0.0))


def measure_roofline(options: argparse.Namespace) -> Results:
    n_threads, repeats = options.threads, (1 if options.quick else options.repeats)
    problems = [Problem(2_000, 10, 10), Problem(2_000, 32, 8)] if options.quick else list(MAIN_PROBLEMS)
    size = 512 if options.quick else 3_000
    roofs: dict[str, list[float]] = {"dgemm": [], "exp": []}
    records: list[dict[str, Any]] = []
    workers = {
        name: Worker(peer, sys.executable, n_threads)
        for name, peer in zip(SERIES, ("emix_plain", "emix_plain", "emix"))
    }
    try:
        for problem in problems:
            # The roofs before each problem: the clock of a processor is not the same all day.
            roofs["dgemm"].append(fresh.call("roofline:dgemm_rate", n_threads, size=size, repeats=3))
            roofs["exp"].append(exp_rate(n_threads, 3))
            dense = replace(problem, separation=0.0, at_components=True)
            record: dict[str, Any] = {
                "name": problem.name,
                "d": problem.n_features,
                "flops": flops(problem),
                "exponentials": problem.n_samples * problem.n_components,
                "live at the dense start": live_share(dense),
                "times": {},
            }
            for names, shape in ((SERIES[:1], dense), (SERIES[1:], problem)):
                with tempfile.TemporaryDirectory(prefix="emix-benchmark-") as folder:
                    chosen = {name: workers[name] for name in names}
                    timings = measure(chosen, shape, stage(shape, Path(folder)), repeats, _REST)
                record["times"] |= {name: timing.record() for name, timing in timings.items()}
            said = (f"{name} {rate / 1e9:.0f}" for name, rate in rates_of(record).items())
            print(f"    {problem.name:32}", *said, f"Gflop/s; dgemm {roofs['dgemm'][-1] / 1e9:.0f}", flush=True)
            records.append(record)
    finally:
        for worker in workers.values():
            worker.close()
    return {"dgemm": max(roofs["dgemm"]), "exp": max(roofs["exp"]), "roofs": roofs, "problems": records}


def rates_of(record: dict[str, Any]) -> dict[str, float]:
    """Useful operations a second of each series that has times."""
    found = {name: seconds_of(record["times"].get(name)) for name in SERIES}
    return {name: record["flops"] / seconds for name, seconds in found.items() if seconds}


def table(results: Results) -> str:
    """Useful Gflop/s, and their share of dgemm; what shortcuts save."""
    head = ["n × d, K", "dense, Gflop/s", "of dgemm", "no shortcuts, Gflop/s", "emix, Gflop/s"]
    head += ["shortcuts save", "live", "dense, ms", "no shortcuts, ms", "emix, ms"]
    lines = [
        f"dgemm: {results['dgemm'] / 1e9:.0f} Gflop/s; NumPy's exp: {results['exp'] / 1e6:.0f} million a second.",
        "",
        f"| {' | '.join(head)} |",
        "|---|" + "---:|" * (len(head) - 1),
    ]
    for record in results["problems"]:
        rates = rates_of(record)
        dense = rates.get(SERIES[0])
        cells = [f"{rates[name] / 1e9:.0f}" if name in rates else "–" for name in SERIES]
        cells.insert(1, f"{100 * dense / results['dgemm']:.0f} %" if dense else "–")
        saved = 1.0 - rates[SERIES[1]] / rates[SERIES[2]] if SERIES[1] in rates and SERIES[2] in rates else None
        cells.append(f"{100 * saved:.0f} %" if saved is not None else "–")
        cells.append(f"{100 * record['live at the dense start']:.1f} %")
        cells += [with_range(record["times"].get(name)) for name in SERIES]
        lines.append(f"| {record['name']} | {' | '.join(cells)} |")
    lines += [
        "",
        "Live: responsibilities above zero where the dense run starts. Shortcuts save: of the time without them.",
        "Milliseconds per iteration: medians of rounds, in brackets the least and the most of them.",
    ]
    return "\n".join(lines)


def draw(results: Results, path: Path) -> None:
    """Useful flop/s by number of features, below the roofs."""
    drawn, (axes,) = drawing.figure(width=9.5, height=4.8)
    records = sorted(results["problems"], key=lambda record: int(record["d"]))
    features = [record["d"] for record in records]
    # A dense iteration has n·K exponentials for 2·n·K·d(d+1) operations: one for 2 d(d+1).
    grid = np.geomspace(min(features) / 1.3, max(features) * 1.3, 200)
    by_exp = 2.0 * grid * (grid + 1.0) * results["exp"] / 1e9
    axes.plot(grid, np.minimum(by_exp, results["dgemm"] / 1e9), color="#555555", lw=2)
    axes.plot(grid, 1.0 / (1.0 / by_exp + 1e9 / results["dgemm"]), color="#aaaaaa", lw=1.5, ls="--")
    # Where the two roofs meet, or at the left if dgemm is always the lower.
    corner = grid[np.argmax(by_exp >= results["dgemm"] / 1e9)]
    said = f"dgemm of SciPy's BLAS: {results['dgemm'] / 1e9:.0f} Gflop/s"
    drawing.note(axes, said, (corner, results["dgemm"] / 1e9), (4, 6), color="#555555", fontsize=9.5)
    drawing.note(axes, "exp of NumPy", (grid[0], by_exp[0]), (16, -20), color="#555555", fontsize=9.5)
    ends = {}
    colors = {SERIES[0]: "#0072B2", SERIES[1]: "#009E73", SERIES[2]: "#D55E00"}
    for name in SERIES:
        points = [(record["d"], rates[name] / 1e9) for record in records if name in (rates := rates_of(record))]
        if points:
            axes.plot(*zip(*points), color=colors[name], marker="o", lw=1.8)
            ends[name] = points[-1]
    axes.set(xscale="log", yscale="log")
    at_foot = ("data", "axes fraction")
    for record in records:
        components = record["name"].split("K ")[1].split(",")[0]
        drawing.note(
            axes, f"K {components}", (record["d"], 0.0), (0, 4), xycoords=at_foot, ha="center", color=drawing.QUIET
        )
    drawing.ticks(axes.xaxis, features)
    drawing.number_ticks(axes.yaxis)
    axes.set_xlabel("features d")
    drawing.unit(axes, "useful Gflop/s: 2·n·K·d(d+1) per iteration (logarithmic)")
    drawing.label_lines(axes, ends, colors)
    below = (
        "Dense: all components overlap and nothing is left out. Above the roof: work that is left out counts as done. "
        f"Dashed: dgemm and exp one after the other. {results['threads']} threads. "
    )
    drawing.finish(drawn, path, "Roofline: EM's arithmetic against dgemm and exp", below + caption(results))


if __name__ == "__main__":
    raise SystemExit(run("roofline", __doc__ or "", measure_roofline, None))
