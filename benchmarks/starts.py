"""How often a fit ends in the best mode known, over seeds: `init_params="auto"` beside `"kmeans"`, the default of 0.1.

    python benchmarks/starts.py                    # 100 seeds on every data set
    python benchmarks/starts.py --only iris wine --seeds 20
    python benchmarks/starts.py --find             # find the best modes anew: an hour
    python benchmarks/starts.py --find --kinds auto     # with this kind of start only, and keep what is higher

The best mode known is the best of 200 runs of each kind of start to convergence ("auto" among them), of a run from the
labels of mclust (where R has it) and, for made-up data, of a run from the true parameters; runs in which a component
collapsed do not count. Modes are found once and kept in ``results/modes.json``. A fit has reached the best mode if its
log-likelihood is at most 1e-4 nats a row below it. It may be higher: the table says how often, and by how much.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import emix
from emix.em.loop import iterate
from emix.gaussian.collapse import judge_fit
from emix.rows.arrays import ArraySource
from results import OUTPUT, Results, caption, conclude
from start_data import NAMES, DataSet, data_set

MODES = Path(__file__).parent / "results" / "modes.json"

#: Nats a row.
AS_GOOD = 1e-4

_KINDS = ("kmeans", "k-means++", "random", "random_from_data", "auto")


def find_mode(found: DataSet, n_runs: int, kinds: Sequence[str] = _KINDS) -> dict[str, Any]:
    """The best mode of many runs, nats a row, and where it came from."""
    X, K, truth = found
    best: dict[str, Any] = {"log_likelihood": -math.inf}
    for kind in kinds:
        gm = emix.GaussianMixture(K, init_params=kind, n_init=n_runs, random_state=1, tol=1e-8, max_iter=5000).fit(X)
        for run in gm.runs_:
            if not run.degenerate and run.log_likelihood is not None and run.log_likelihood > best["log_likelihood"]:
                best = {"log_likelihood": run.log_likelihood, "from": kind}
    starts = {"the truth": truth, "mclust's labels": _from_labels(X, K)}
    source, model = ArraySource(X), emix.GaussianModel(K, X.shape[1], "full", "auto")
    for name, start in starts.items():
        if start is None:
            continue
        result = iterate(model, source, start, tol=1e-8, max_iter=5000)
        sound = judge_fit(result.statistics, "auto", len(X)).collapse is None
        if sound and result.log_likelihood > best["log_likelihood"]:
            best = {"log_likelihood": result.log_likelihood, "from": name}
    return {"log_likelihood": best["log_likelihood"] / len(X), "from": best.get("from", "")}


def _from_labels(X: np.ndarray[Any, Any], K: int) -> emix.GaussianParameters | None:
    """Parameters of the clusters that mclust's VVV ends with; None without mclust, or if it has none."""
    if shutil.which("Rscript") is None or len(X) > 5000:
        return None
    with tempfile.TemporaryDirectory() as folder:
        rows, labels = Path(folder) / "rows.csv", Path(folder) / "labels.csv"
        np.savetxt(rows, X, delimiter=",", fmt="%.17g")
        script = (
            f"suppressPackageStartupMessages(library(mclust)); x <- as.matrix(read.csv('{rows}', header=FALSE)); "
            f"m <- Mclust(x, G={K}, modelNames='VVV', verbose=FALSE); "
            f"if (!is.null(m)) write(m$classification, '{labels}', ncolumns=1)"
        )
        done = subprocess.run(["Rscript", "-e", script], capture_output=True, check=False)
        if done.returncode or not labels.exists():
            return None
        found = np.loadtxt(labels, dtype=int) - 1
    try:
        parts = [X[found == k] for k in range(K)]
        return emix.GaussianParameters.from_covariances(
            "full", [len(part) / len(X) for part in parts], [part.mean(axis=0) for part in parts],
            [np.cov(part.T, bias=True).reshape(X.shape[1], -1) for part in parts],
        )  # fmt: skip
    except ValueError:
        return None


def measure_set(name: str, mode: dict[str, Any], init_params: str, seeds: int) -> dict[str, Any]:
    """Fits over seeds: how many reach the mode, how many end collapsed, which seeds miss, milliseconds."""
    X, K, _ = data_set(name)
    reached, collapsed, missed, higher, times = 0, 0, {}, [], []
    for seed in range(seeds):
        began = time.perf_counter()
        gm = emix.GaussianMixture(K, init_params=init_params, random_state=seed).fit(X)
        times.append(time.perf_counter() - began)
        [run] = gm.runs_
        collapsed += run.degenerate
        below = mode["log_likelihood"] - gm.lower_bound_
        if not run.degenerate and below <= AS_GOOD:
            reached += 1
            if below < -AS_GOOD:
                higher.append(round(-below, 5))
        else:
            missed[seed] = "collapsed" if run.degenerate else round(below, 5)
    return {
        "data": name, "rows": len(X), "features": X.shape[1], "n_components": K, "init_params": init_params,
        "seeds": seeds, "reached": reached, "collapsed": collapsed, "missed": missed,
        "higher": sorted(higher),
        "milliseconds": {"least": 1e3 * min(times), "median": 1e3 * float(np.median(times))},
    }  # fmt: skip


def table(results: Results) -> str:
    """Shares and times, a row for each data set; the misses below."""
    by_name: dict[str, dict[str, Any]] = {}
    for record in results["records"]:
        by_name.setdefault(record["data"], {})[record["init_params"]] = record
    lines = [
        "| data | rows × columns, K | best mode from | kmeans | auto | auto collapsed | kmeans, ms | auto, ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    misses = []
    for name, both in by_name.items():
        auto, kmeans = both["auto"], both["kmeans"]
        shares = [f"{100 * record['reached'] / record['seeds']:.0f} %" for record in (kmeans, auto)]
        times = [f"{record['milliseconds']['median']:.2g}" for record in (kmeans, auto)]
        lines.append(
            f"| {name} | {auto['rows']} × {auto['features']}, {auto['n_components']} "
            f"| {results['modes'][name]['from']} | {shares[0]} | {shares[1]} | {auto['collapsed']} "
            f"| {times[0]} | {times[1]} |"
        )
        if auto["missed"]:
            listed = ", ".join(f"{seed}: {below}" for seed, below in auto["missed"].items())
            misses.append(f"- {name}: {listed}")
    text = "\n".join(lines)
    higher = [f"- {name}: {', '.join(map(str, both['auto']['higher']))}" for name, both in by_name.items()
              if both["auto"]["higher"]]  # fmt: skip
    if higher:
        text += "\n\nSeeds with which `auto` ends higher than the best mode known, by so many nats a row:\n\n"
        text += "\n".join(higher)
    if misses:
        text += "\n\nSeeds with which `auto` misses the mode, and by how many nats a row:\n\n" + "\n".join(misses)
    return text


def draw(results: Results, path: Path) -> None:
    """The share of seeds that reach the best mode, two bars for each data set."""
    import drawing

    drawn, (axes,) = drawing.figure(width=8.5, height=7.0)
    names = list(dict.fromkeys(record["data"] for record in results["records"]))
    for place, init_params in enumerate(("kmeans", "auto")):
        shares = [100.0 * r["reached"] / r["seeds"] for r in results["records"] if r["init_params"] == init_params]
        places = np.arange(len(names)) + 0.38 * (place - 0.5)
        axes.barh(places, shares, height=0.36, color=drawing.COLORS[1 - place], label=init_params)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    drawing.unit(axes, "% of seeds that end in the best mode known, within 1e-4 nats a row")
    drawing.finish(drawn, path, "Starts", caption(results))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="data sets (default: all)")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--find", action="store_true", help="find the best modes of these data sets anew")
    parser.add_argument("--runs", type=int, default=200, help="runs of each kind for --find (%(default)s)")
    parser.add_argument("--kinds", nargs="*", choices=_KINDS, default=[], help="kinds of start for --find (all)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder (%(default)s)")
    options = parser.parse_args(argv)
    options.threads, options.quick, options.repeats = None, False, None
    warnings.simplefilter("ignore")
    names = options.only or NAMES
    modes: dict[str, Any] = json.loads(MODES.read_text(encoding="utf-8")) if MODES.exists() else {}
    if options.find:
        for name in names:
            found = find_mode(data_set(name), options.runs, options.kinds or _KINDS)
            if options.kinds and name in modes and found["log_likelihood"] <= modes[name]["log_likelihood"] + AS_GOOD:
                found = modes[name]
            modes[name] = found
            print(f"{name}: {modes[name]['log_likelihood']:.6f} nats a row, from {modes[name]['from']}", flush=True)
            MODES.write_text(json.dumps(modes, indent=1) + "\n", encoding="utf-8")
        return 0
    records = []
    for name in names:
        for init_params in ("kmeans", "auto"):
            record = measure_set(name, modes[name], init_params, options.seeds)
            records.append(record)
            print(
                f"{name}, {init_params}: {record['reached']} of {record['seeds']}, {record['collapsed']} collapsed, "
                f"{record['milliseconds']['median']:.2f} ms",
                flush=True,
            )
    conclude("starts", options, records=records, modes=modes)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
