"""The sweep of `select_mixture` beside that of R's mclust: time, every BIC, and which of the two is better.

    python benchmarks/sweep.py [--only iris wine] [--repeats 3]

mclust's `mclustBIC` fits 14 structures with 1 to 9 components, timed inside R with the library loaded and its
hierarchical start counted. emix does the same, by turns with it. BIC is in mclust's sign here, larger is better. A BIC
of emix that lies more than 0.05 below mclust's is looked at: mclust's own parameters may be a collapse, or be no fit of
the structure.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import emix
from emix.gaussian.collapse import judge_fit
from emix.gaussian.structures import STRUCTURES
from results import OUTPUT, Results, caption, conclude
from start_data import data_set

NUMBERS = range(1, 10)

#: BIC that mclust may be ahead: its fits stop a little below the mode, ours as well.
AS_GOOD = 0.05

_MCLUST = """
suppressPackageStartupMessages(library(mclust))
arguments <- commandArgs(trailingOnly = TRUE)
x <- as.matrix(read.csv(arguments[1], header = FALSE))
seconds <- system.time(found <- mclustBIC(x, G = 1:9, verbose = FALSE))[["elapsed"]]
cat(seconds, "\\n")
write.csv(unclass(found)[, , drop = FALSE], arguments[2])
"""

_ONE = """
suppressPackageStartupMessages(library(mclust))
arguments <- commandArgs(trailingOnly = TRUE)
x <- as.matrix(read.csv(arguments[1], header = FALSE))
m <- Mclust(x, G = as.integer(arguments[2]), modelNames = arguments[3], verbose = FALSE)
p <- m$parameters
s <- p$variance$sigma
writeLines(format(c(m$loglik, p$pro, p$mean, s), digits = 17), arguments[4])
"""

SETS = ("faithful", "iris", "wine", "breast cancer", "made-up 1", "made-up 4", "made-up 9", "made-up 17")


def mclust_name(name: str) -> str:
    """The name that mclust has for a structure."""
    return STRUCTURES[name].alias or name


def run_r(script: str, *arguments: str | Path) -> str:
    """Run a script in R; what it printed."""
    with tempfile.NamedTemporaryFile("w", suffix=".R") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(["Rscript", file.name, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def sweep_of_mclust(rows: Path, folder: Path) -> tuple[float, dict[tuple[str, int], float]]:
    """Seconds and BIC values of mclust."""
    found = folder / "bic.csv"
    seconds = float(run_r(_MCLUST, rows, found).split()[0])
    lines = [line.replace('"', "").split(",") for line in found.read_text(encoding="utf-8").splitlines()]
    values = {}
    for line in lines[1:]:
        for name, value in zip(lines[0][1:], line[1:], strict=True):
            values[name, int(line[0])] = np.nan if value in ("NA", "") else float(value)
    return seconds, values


def sweep_of_emix(X: NDArray[np.float64], threads: int) -> tuple[float, dict[tuple[str, int], tuple[float, bool]]]:
    """Seconds, and BIC in mclust's sign with whether the fit collapsed."""
    began = time.perf_counter()
    selection = emix.select_mixture(X, NUMBERS, random_state=0, n_threads=threads)
    seconds = time.perf_counter() - began
    return seconds, {
        (mclust_name(row.covariance_type), row.n_components): (-row.bic, row.degenerate) for row in selection.table_
    }


def verdict_on_mclust(X: NDArray[np.float64], rows: Path, folder: Path, name: str, K: int) -> str:
    """Why mclust's BIC is higher: its own parameters as emix judges them."""
    found = folder / "one.txt"
    run_r(_ONE, rows, str(K), name, found)
    numbers = np.loadtxt(found)
    d = X.shape[1]
    log_likelihood, pro = numbers[0], numbers[1 : 1 + K]
    means = numbers[1 + K : 1 + K + K * d].reshape(K, d)
    sigma = numbers[1 + K + K * d :].reshape(K, d, d)  # R's matrices are symmetric, so their order does not matter
    structure = next(one for one in STRUCTURES.values() if (one.alias or one.name) == name)
    form = structure.form
    if form.is_shared:
        own = sigma[0]
    else:
        own = np.concatenate([form.from_pooled(one, 1) for one in sigma])
    theta = emix.GaussianParameters.of(structure, pro / pro.sum(), means, structure.project(own, pro))
    model = emix.GaussianModel(K, d, structure, "auto")
    statistics, there = model.e_step(X, theta)
    collapse = judge_fit(statistics, "auto", len(X)).collapse
    if collapse is not None:
        return f"a collapse: {collapse.message()}"
    return f"no collapse: log-likelihood {log_likelihood:.4f} in mclust, {there:.4f} of its parameters"


def measure(name: str, threads: int, repeats: int) -> dict[str, Any]:
    """Both sweeps by turns, and every cell in which mclust is ahead."""
    X = data_set(name).X
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        rows = folder / "rows.csv"
        np.savetxt(rows, X, delimiter=",", fmt="%.17g")
        times: dict[str, list[float]] = {"emix": [], "mclust": []}
        for _ in range(repeats):
            seconds, ours = sweep_of_emix(X, threads)
            times["emix"].append(seconds)
            seconds, theirs = sweep_of_mclust(rows, folder)
            times["mclust"].append(seconds)
        behind = []
        for cell, value in theirs.items():
            mine, collapsed = ours[cell] if cell[1] > 1 or cell in ours else (np.nan, False)
            if np.isnan(value) or (mine >= value - AS_GOOD and not collapsed):
                continue
            verdict = verdict_on_mclust(X, rows, folder, *cell)
            behind.append({"cell": cell, "emix": mine, "collapsed": collapsed, "mclust": value, "why": verdict})
    counted = {cell: value for cell, value in theirs.items() if not np.isnan(value)}
    ahead = sum(ours[cell][0] > value + AS_GOOD and not ours[cell][1] for cell, value in counted.items())
    sound = {cell: value for cell, (value, collapsed) in ours.items() if not collapsed}
    return {
        "data": name, "rows": len(X), "features": X.shape[1], "seconds": times, "cells": len(counted), "ahead": ahead,
        "behind": behind, "chosen": {
            "emix": [*max(sound, key=lambda cell: sound[cell]), max(sound.values())],
            "mclust": [*max(counted, key=lambda cell: counted[cell]), max(counted.values())],
        },
    }  # fmt: skip


def table(results: Results) -> str:
    """Times and counts, a row for each data set; then every cell in which mclust is ahead."""
    heads = (
        "data", "rows × columns", "mclust, s", "emix, s", "times as fast", "BIC higher than mclust's", "lower",
        "of these mclust's a collapse", "chosen by mclust", "by emix",
    )  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    total = {"emix": 0.0, "mclust": 0.0}
    notes = []
    for record in results["records"]:
        least = {name: min(times) for name, times in record["seconds"].items()}
        for name in total:
            total[name] += least[name]
        collapses = sum(entry["why"].startswith("a collapse") for entry in record["behind"])
        chosen = {who: f"{name} {K}, {bic:.3f}" for who, (name, K, bic) in record["chosen"].items()}
        lines.append(
            f"| {record['data']} | {record['rows']} × {record['features']} | {least['mclust']:.2f} "
            f"({max(record['seconds']['mclust']):.2f}) | {least['emix']:.3f} ({max(record['seconds']['emix']):.3f}) "
            f"| {least['mclust'] / least['emix']:.1f} | {record['ahead']} of {record['cells']} "
            f"| {len(record['behind'])} | {collapses} | {chosen['mclust']} | {chosen['emix']} |"
        )
        notes += [
            f"- {record['data']}, {name} {K}: mclust {entry['mclust']:.3f}, emix {entry['emix']:.3f}"
            f"{' (collapsed)' if entry['collapsed'] else ''}; {entry['why']}"
            for entry in record["behind"]
            for name, K in [entry["cell"]]
        ]
    lines.append(
        f"| sum | | {total['mclust']:.2f} | {total['emix']:.3f} | {total['mclust'] / total['emix']:.1f} | | | | | |"
    )
    text = "\n".join(lines)
    if notes:
        text += "\n\nCells in which mclust's BIC is higher by more than 0.05:\n\n" + "\n".join(notes)
    return f"Seconds: the least of the rounds (the most in brackets).\n\n{text}"


def draw(results: Results, path: Path) -> None:
    """Seconds of both sweeps, two bars for each data set."""
    import drawing

    drawn, (axes,) = drawing.figure(width=8.5, height=4.5)
    names = [record["data"] for record in results["records"]]
    for place, who in enumerate(("mclust", "emix")):
        seconds = [min(record["seconds"][who]) for record in results["records"]]
        places = np.arange(len(names)) + 0.38 * (place - 0.5)
        axes.barh(places, seconds, height=0.36, color=drawing.style(who)[0], label=who)
    axes.set_xscale("log")
    drawing.number_ticks(axes.xaxis)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.legend()
    drawing.unit(axes, "seconds for 14 structures × 9 numbers of components (logarithmic)")
    drawing.finish(drawn, path, "Choice of a mixture", caption(results))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="data sets (default: all)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder (%(default)s)")
    options = parser.parse_args(argv)
    options.quick = False
    if shutil.which("Rscript") is None:
        raise SystemExit("Rscript is not on the path: install R and its package mclust")
    warnings.simplefilter("ignore")
    records = []
    for name in options.only or SETS:
        record = measure(name, options.threads, options.repeats)
        records.append(record)
        least = {who: min(times) for who, times in record["seconds"].items()}
        print(
            f"{name}: mclust {least['mclust']:.2f} s, emix {least['emix']:.3f} s; {record['ahead']} of "
            f"{record['cells']} higher, {len(record['behind'])} lower",
            flush=True,
        )
    conclude("sweep", options, records=records)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
