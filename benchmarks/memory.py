"""Memory: how far the peak of a fit lies above the process with its data, emix beside scikit-learn.

Each fit is in a fresh process: the rows are drawn, then the peak resident memory after the fit is compared with that
before it. Rows in C order, Fortran order, float32 and strided must be read in place.

    python benchmarks/memory.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import drawing
import fresh
from libraries import gaussian_mixture
from results import Results, caption, run

ORDERS = ("C", "Fortran", "float32", "strided")

_D, _K = 10, 10


def peak_of_fit(library: str, n_samples: int, order: str) -> dict[str, float]:
    """Megabytes of the data and of the peak above them, in a fit of three iterations from given means."""
    import resource

    def peak() -> float:
        # Kilobytes on Linux, bytes on macOS.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1e-6 if sys.platform == "darwin" else 1.024e-3)

    mixture = gaussian_mixture(library)
    rng = np.random.default_rng(0)
    means = rng.normal(scale=3.0, size=(_K, _D))

    def fit(X: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # three iterations are not convergence
            mixture(_K, tol=0.0, max_iter=3, means_init=means).fit(X)

    # Code and thread pools that are loaded once are not the fit's.
    fit(rng.normal(size=(2_000, _D)))
    dtype = np.float32 if order == "float32" else np.float64
    held = np.empty((n_samples, 2 * _D if order == "strided" else _D), dtype, order="F" if order == "Fortran" else "C")
    X = held[:, ::2] if order == "strided" else held
    # In blocks, so that drawing the data does not itself raise the peak.
    for first in range(0, n_samples, 65_536):
        block = X[first : first + 65_536]
        block[:] = rng.normal(size=block.shape) + means[rng.integers(_K, size=len(block))]
    if order == "strided":
        held[:, 1::2] = 0.0  # the gaps are in memory, too
    before = peak()
    fit(X)
    return {"data": held.nbytes / 1e6, "above": peak() - before}


def measure_memory(options: argparse.Namespace) -> Results:
    sizes = [30_000, 60_000] if options.quick else [100_000, 300_000, 1_000_000, 2_000_000, 10_000_000]
    # scikit-learn's n × K and n × d temporaries would take a while, and 5 GB, beyond this.
    most = {"emix": sizes[-1], "sklearn": sizes[-1] if options.quick else 2_000_000}
    found: Results = {"by_n": {}, "by_order": {}, "missing": {}}
    for name, library in (("emix", "emix"), ("scikit-learn", "sklearn")):
        try:
            by_n = {}
            for n in sizes:
                if n <= most[library]:
                    by_n[str(n)] = fresh.call("memory:peak_of_fit", library=library, n_samples=n, order="C")
                    print(f"    {name}, {drawing.plain(n)} rows: {by_n[str(n)]['above']:.0f} MB", flush=True)
            found["by_n"][name] = by_n
            size = sizes[-1] if options.quick else 2_000_000
            found["by_order"][name] = {
                order: fresh.call("memory:peak_of_fit", library=library, n_samples=size, order=order)
                for order in ORDERS
            }
        except RuntimeError as error:
            found["missing"][name] = str(error)
            print(f"{name} is missing: {error}", flush=True)
    return found


def table(results: Results) -> str:
    """Megabytes above the data."""
    lines = []
    for part, what in (("by_n", f"rows × {_D}, K {_K}, C order"), ("by_order", "order of the rows")):
        names = list(results[part])
        lines += [
            f"| {what} (MB above the data) | {' | '.join(names)} | data, MB |",
            "|---|" + "---:|" * (len(names) + 1),
        ]
        for key, values in results[part]["emix"].items():
            cells = [f"{results[part][n][key]['above']:.0f}" if key in results[part][n] else "–" for n in names]
            label = drawing.plain(int(key)) if key.isdecimal() else key
            lines.append(f"| {label} | {' | '.join(cells)} | {values['data']:.0f} |")
        lines.append("")
    return "\n".join([*lines, *(f"- {name} is missing: {why}" for name, why in results["missing"].items())])


def draw(results: Results, path: Path) -> None:
    """Peak above the data by number of rows, and the data themselves."""
    drawn, (axes,) = drawing.figure(width=8.5, height=4.4)
    colors = {"emix": "#D55E00", "scikit-learn": "#E69F00", "the data themselves": "#999999"}
    data = [(int(n), values["data"]) for n, values in results["by_n"]["emix"].items()]
    axes.plot(*zip(*data), color=colors["the data themselves"], ls="--")
    ends = {"the data themselves": data[-1]}
    for name, by_n in results["by_n"].items():
        # The logarithmic axis has no zero.
        points = [(int(n), max(values["above"], 0.1)) for n, values in by_n.items()]
        if points:
            axes.plot(*zip(*points), color=colors[name], marker="o")
            axes.annotate(
                f"{points[-1][1]:.0f} MB",
                points[-1],
                xytext=(-4, 8),
                textcoords="offset points",
                ha="right",
                color=colors[name],
            )
            ends[name] = points[-1]
    axes.set(xscale="log", yscale="log", xlabel=f"rows (× {_D} features, K = {_K})")
    drawing.unit(axes, "megabytes that a fit takes above its data (logarithmic)")
    drawing.number_ticks(axes.xaxis)
    drawing.number_ticks(axes.yaxis)
    drawing.label_lines(axes, ends, colors)
    drawing.finish(drawn, path, "Memory of a fit", caption(results))


if __name__ == "__main__":
    raise SystemExit(run("memory", __doc__ or "", measure_memory, None))
