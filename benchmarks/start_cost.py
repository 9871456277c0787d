"""What the search of `init_params="auto"` takes from 100 000 rows on, in EM iterations of the same fit.

    python benchmarks/start_cost.py                  # a photograph and made-up mixtures, one thread and two
    python benchmarks/start_cost.py --threads 1 --only china --seeds 20

An iteration is timed as the fit does it after the search: from the start that the search gives, the time of 12
iterations less that of 2. The search is the start of that fit, by itself. Both are the least of some rounds, in which
they take turns; the figure of a data set is the median over seeds.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data import MAIN_PROBLEMS, MORE_PROBLEMS, Problem, make_data
from emix import GaussianModel
from emix.em.loop import iterate
from emix.rows.arrays import ArraySource
from emix.starts.auto import AutoStarts
from results import OUTPUT, Results, caption, conclude
from start_data import data_set

#: Iterations of the short and of the long run, whose difference is taken.
_FEW, _MANY = 2, 12


#: Columns, components and separation of made-up mixtures of 100 000 rows.
_SHAPES = ((2, 5, 0.4), (3, 8, 1.4), (5, 5, 1.6), (3, 6, 0.7), (2, 8, 0.8), (8, 6, 0.9), (4, 10, 1.0))
MADE_UP = (
    *(
        Problem(100_000, d, K, structure, separation=separation)
        for structure in ("full", "tied", "diag", "spherical")
        for d, K, separation in _SHAPES
    ),
    *(
        Problem(100_000, d, K, structure, "float32", separation)
        for structure in ("full", "tied", "diag", "spherical")
        for d, K, separation in ((2, 5, 0.4), (7, 6, 0.9))
    ),
    *MAIN_PROBLEMS[:4],
    *MORE_PROBLEMS,
)


def _iterations(source: ArraySource, model: GaussianModel, start: Any, n: int) -> tuple[float, int]:
    """Seconds of a run of so many iterations, and how many there were: fewer if the mode was reached."""
    began = time.perf_counter()
    result = iterate(model, source, start, tol=0.0, max_iter=n)
    return time.perf_counter() - began, result.n_iter


def measure_set(
    X: NDArray[Any], n_components: int, structure: str, threads: int, seeds: int, rounds: int
) -> dict[str, Any]:
    """Least seconds of the search and of an iteration, for each seed."""
    model = GaussianModel(n_components, X.shape[1], structure, "auto", n_threads=threads)
    searches, iterations = [], []
    for seed in range(seeds):
        search, few, many = [], [], []
        for _ in range(rounds):
            source = ArraySource(X)  # anew, so that nothing is known of the rows
            began = time.perf_counter()
            start = AutoStarts(source, model, seed, 1e-6, 1000).start(0).parameters
            search.append(time.perf_counter() - began)
            few.append(_iterations(source, model, start, _FEW))
            many.append(_iterations(source, model, start, _MANY))
        searches.append(min(search))
        (short, few_done), (long, many_done) = min(few), min(many)
        if many_done > few_done:
            iterations.append((long - short) / (many_done - few_done))
    if not iterations:
        raise RuntimeError("each fit reached its mode within two iterations, expected some more to time")
    # One disturbed difference would spoil the ratio of a seed.
    iteration = float(np.median(iterations))
    costs = [search / iteration for search in searches]
    return {"iteration": iteration, "searches": searches, "costs": costs}


def table(results: Results) -> str:
    """Cost of the search in iterations: median over seeds, and the dearest, for each number of threads."""
    threads = sorted({record["threads"] for record in results["records"]})
    names = list(dict.fromkeys(record["data"] for record in results["records"]))
    heads = " | ".join(f"{n} thread{'s' * (n > 1)}: median | most | iteration, ms" for n in threads)
    lines = [f"| data | {heads} |", "|---|" + "---|" * (3 * len(threads))]
    for name in names:
        cells = []
        for n in threads:
            [record] = [r for r in results["records"] if r["data"] == name and r["threads"] == n]
            cells += [
                f"{np.median(record['costs']):.1f}",
                f"{max(record['costs']):.1f}",
                f"{1e3 * record['iteration']:.2f}",
            ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(results: Results, path: Path) -> None:
    """Cost of the search, two bars for each data set, and the line of ten iterations."""
    import drawing

    drawn, (axes,) = drawing.figure(width=8.5, height=10.0)
    names = list(dict.fromkeys(record["data"] for record in results["records"]))
    threads = sorted({record["threads"] for record in results["records"]})
    for place, n in enumerate(threads):
        costs = [float(np.median(r["costs"])) for r in results["records"] if r["threads"] == n]
        places = np.arange(len(names)) + 0.38 * (place - 0.5 * (len(threads) - 1))
        axes.barh(places, costs, height=0.36, color=drawing.COLORS[place], label=f"{n} thread{'s' * (n > 1)}")
    axes.axvline(10.0, color="0.4", linewidth=1.0)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    drawing.unit(axes, "time of the search, in EM iterations")
    drawing.finish(drawn, path, "The default start of many rows", caption(results))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="data sets whose names hold one of these (default: all)")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder (%(default)s)")
    options = parser.parse_args(argv)
    options.quick, options.repeats = False, options.rounds  # as `header` knows them
    warnings.simplefilter("ignore")
    sets: dict[str, Problem | None] = {"china": None, **{one.name: one for one in MADE_UP}}
    records = []
    for name, made_up in sets.items():
        if options.only and not any(part in name for part in options.only):
            continue
        X, K = data_set("china")[:2] if made_up is None else (make_data(made_up), made_up.n_components)
        for threads in options.threads:
            structure = "full" if made_up is None else made_up.structure
            record = measure_set(X, K, structure, threads, options.seeds, options.rounds)
            records.append({"data": name, "threads": threads, **record})
            costs = record["costs"]
            print(
                f"{name}, {threads} thread(s): {np.median(costs):.1f} iterations ({min(costs):.1f} to {max(costs):.1f})"
                f" of {1e3 * record['iteration']:.2f} ms",
                flush=True,
            )
    conclude("start_cost", options, records=records)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
