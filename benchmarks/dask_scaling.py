"""What a fit over Dask costs beside the fit in memory, and on paper for many machines.

    python benchmarks/dask_scaling.py                                 # 20 000 000 rows: some minutes, 4 GB
    python benchmarks/dask_scaling.py --rows 4000000 --out results/dask.md

Workers are processes of one thread on this machine, and talk over loopback. Times are wall-clock, the least of several:
other work on the machine only adds to them. Overhead is that of a pass over rows so few that nothing else is left. The
processor time of the client and the scheduler, which share a process here, is what grows with the partitions whatever
the number of machines. Bytes are what the loopback device counts during a pass, all that Dask itself says included.
"""

from __future__ import annotations

import argparse
import os
import pickle
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster
from numpy.typing import NDArray

import emix
from emix.distributed.source import DaskSource
from emix.gaussian.sums import LocalSums, PassRequest
from emix.kernel.factors import KernelDensity
from emix.rows.arrays import ArraySource
from machine import machine

Array = NDArray[np.float64]

K, D = 8, 8
FEW_ROWS = 500  # of a partition
ITERATIONS = 10
LOOPBACK = Path("/sys/class/net/lo/statistics/tx_bytes")

# Machines of the table on paper.
CORES, GIGABYTES_PER_SECOND = 16, 1.0


class Overhead(NamedTuple):
    """Least and middle seconds of a pass, processor-seconds of client and scheduler, and bytes over loopback."""

    least: float
    middle: float
    here: float
    n_bytes: float

    @property
    def cells(self) -> list[str]:
        """The times for a table, in milliseconds."""
        return [f"{1e3 * one:.1f}" for one in self[:3]]


def rows_of_block(block_id: tuple[int, ...], n_rows: int) -> Array:
    """Rows of K groups that overlap a little; worker processes make their own."""
    rng = np.random.default_rng(block_id[0])
    means = 2.0 * np.random.default_rng(0).normal(size=(K, D))
    return np.asarray(rng.normal(size=(n_rows, D)) + means[rng.integers(0, K, n_rows)])


def collection(n_partitions: int, n_rows: int) -> Any:
    """A dask array of so many partitions."""
    shape = {"chunks": ((n_rows,) * n_partitions, (D,)), "dtype": float, "meta": np.empty((0, D))}
    return da.map_blocks(rows_of_block, n_rows=n_rows, **shape)


def start() -> emix.GaussianParameters:
    """Parameters near the truth."""
    means = 2.0 * np.random.default_rng(0).normal(size=(K, D)) + 0.3
    return emix.GaussianParameters.from_covariances("full", np.full(K, 1.0 / K), means, [np.eye(D)] * K)


@contextmanager
def cluster(n_workers: int) -> Iterator[None]:
    """Worker processes of one thread each."""
    settings = {"n_workers": n_workers, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(**settings) as workers, Client(workers):
        yield


def seconds(call: Callable[[], Any], repeats: int) -> list[float]:
    """Seconds of each call."""
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return found


def overhead(n_partitions: int, repeats: int) -> Overhead:
    """That of one pass over few rows, which lie on the workers."""
    run = emix.GaussianModel(K, D).begin(DaskSource(collection(n_partitions, FEW_ROWS).persist()))
    theta = start()
    run.e_step(theta)
    before = int(LOOPBACK.read_text()) if LOOPBACK.exists() else 0
    began = time.process_time()
    times = seconds(lambda: run.e_step(theta), repeats)
    here = (time.process_time() - began) / repeats
    n_bytes = (int(LOOPBACK.read_text()) - before) / repeats if LOOPBACK.exists() else float("nan")
    return Overhead(min(times), float(np.median(times)), here, n_bytes)


def of_nothing(n_tasks: int, repeats: int) -> float:
    """Processor-seconds of client and scheduler for tasks that do nothing."""
    client = Client.current()
    began = time.process_time()
    for repeat in range(repeats):
        client.gather(client.map(abs, range(n_tasks), key=f"nothing-{repeat}"))
    return (time.process_time() - began) / repeats


def pickled_sizes() -> tuple[int, int, int]:
    """Bytes of a request, of an outcome, and of K·(1 + d + d(d + 1)/2) numbers."""
    theta, source = start(), ArraySource(rows_of_block((0,), 1000))
    request = PassRequest(KernelDensity(theta.structure.form.code, K, D, theta.density), None, None, source.columns)
    outcome = LocalSums(source, theta.structure.form.code, K, 1).take(request)
    least = 8 * K * (1 + D + D * (D + 1) // 2)
    return len(pickle.dumps(request)), len(pickle.dumps(outcome)), least


def fit(data: Any, **settings: Any) -> tuple[float, float]:
    """Seconds of an iteration, and the log-likelihood after ITERATIONS."""
    model, found = emix.GaussianModel(K, D, **settings), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emix.ConvergenceWarning)
        result = emix.fit_em(
            model, data, start(), tol=0.0, max_iter=ITERATIONS, callback=lambda _: found.append(time.perf_counter())
        )
    return (found[-1] - found[0]) / (len(found) - 1), result.log_likelihood


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def overheads(workers: Sequence[int], partitions: Sequence[int], repeats: int) -> tuple[str, float, float]:
    """Two tables, and the seconds of a pass and of each of its partitions."""
    by_workers, by_partitions, nothing = [], [], 0.0
    for n_workers in workers:
        with cluster(n_workers):
            one = overhead(16, repeats)
            by_workers.append([str(n_workers), *one.cells])
            if n_workers == 2:
                by_partitions = [(n, overhead(n, repeats)) for n in partitions]
                nothing = of_nothing(partitions[-1], repeats)
    with dask.config.set(scheduler="threads"):
        one = overhead(16, repeats)
        by_workers.append(["threads of this process", *one.cells])
    _, outcome, least = pickled_sizes()
    lines = [
        [str(n), *one.cells, f"{one.n_bytes / 1e3:.0f}", f"{one.n_bytes / n / least:.1f}"] for n, one in by_partitions
    ]
    numbers, times = zip(*[(n, one.here) for n, one in by_partitions])
    slope, intercept = np.polyfit(numbers, times, 1)
    head = ["least, ms", "median, ms", "client and scheduler, processor-ms"]
    text = f"""## Overhead of an iteration

16 partitions of {FEW_ROWS} × {D}, K = {K}, full:

{table(["workers", *head], by_workers)}

Two workers, by the number of partitions; the last column is in units of K·(1 + d + d(d + 1)/2)·8 = {least} bytes a
partition:

{table(["partitions", *head, "kB over loopback", "of the least bytes"], lines)}

Client and scheduler take about {1e3 * max(intercept, 0.0):.0f} ms + {1e3 * slope:.2f} ms a partition: Dask's own work.
{partitions[-1]} tasks that do nothing take {1e3 * nothing:.0f} processor-ms there. An outcome, as it is sent, has
{outcome} bytes, {outcome / least:.2f} of the least: whole matrices, and the centres."""
    return text, max(float(intercept), 0.0), float(slope)


def times_of_fits(n_rows: int) -> tuple[str, float]:
    """The table, and processor-seconds of a row in one iteration."""
    n_partitions = 16
    n_rows -= n_rows % n_partitions
    data, lines = collection(n_partitions, n_rows // n_partitions), list[list[str]]()
    X = data.compute(scheduler="synchronous")
    run, theta = emix.GaussianModel(K, D, n_threads=1, shortcuts=()).begin(X), start()
    began = time.process_time()
    run.e_step(theta)
    cost = (time.process_time() - began) / n_rows

    def add(name: str, found: tuple[float, float], expected: float) -> None:
        took, log_likelihood = found
        lines.append([name, f"{took:.3f}", f"{1e9 * took / n_rows:.1f}", f"{abs(log_likelihood / expected - 1.0):.0e}"])

    in_memory = fit(X, n_threads=2)
    expected = in_memory[1]
    add("in memory", in_memory, expected)
    add("in memory, without shortcuts", fit(X, n_threads=2, shortcuts=()), expected)
    in_parts = da.from_array(X, chunks=(n_rows // n_partitions, D))
    with dask.config.set(scheduler="threads", num_workers=2):
        add("Dask, 2 threads", fit(in_parts), expected)
    del X, in_parts
    with cluster(2):
        add("Dask, 2 workers", fit(data.persist()), expected)
    head = ["fit", "s an iteration", "ns a row", "difference of log L"]
    text = f"""## {n_rows:,} × {D} beside the fit in memory

K = {K}, full, {ITERATIONS} iterations from one start, two cores, {n_partitions} partitions that lie in memory. One
thread takes {1e9 * cost:.0f} processor-ns a row for an E-step:

{table(head, lines)}"""
    return text.replace(f"{n_rows:,}", f"{n_rows:,}".replace(",", " ")), cost


def on_paper(cost: float, fixed: float, for_partition: float) -> str:
    """The table for many machines, and what it assumes."""
    _, outcome, _ = pickled_sizes()
    lines = []
    for n_rows in (10**9, 10**12):
        for n_machines in (100, 1000):
            n_partitions = n_machines * CORES
            compute = n_rows * cost / n_partitions
            schedule = fixed + for_partition * n_partitions
            network = n_partitions * outcome / (GIGABYTES_PER_SECOND * 1e9)
            total = compute + schedule + network
            memory = n_rows * D * 8 / n_machines / 1e9
            lines.append(
                [
                    f"10^{round(np.log10(n_rows))}", n_machines, f"{memory:.3g}", f"{compute:.3g}", f"{schedule:.2g}",
                    f"{n_partitions * outcome / 1e6:.0f}", f"{total:.3g}", f"{100 * total / 60:.0f}",
                ]
            )  # fmt: skip
    head = [
        "rows",
        "machines",
        "GB each",
        "computing, s",
        "Dask, s",
        "MB of sums",
        "s an iteration",
        "100 iterations, min",
    ]
    return f"""## On paper: many machines

{table(head, lines)}

Assumed, and not measured: machines of {CORES} cores like those of this machine, with the rows in memory and a partition
for each core; client and scheduler take the processor time for a partition that was measured, one partition after the
other; outcomes pass one link of {GIGABYTES_PER_SECOND:g} GB/s, as if they all came to one machine, which the tree of
additions avoids. K = {K}, d = {D}, full, nothing left out. Rows that do not stay in memory are read in each iteration,
which comes on top. The load of the machine is that of other work, which makes times longer."""


def main() -> None:
    """Print the tables, or write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--partitions", type=int, nargs="+", default=[4, 16, 64, 256])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path, help="relative to this folder")
    arguments = parser.parse_args()
    facts = machine() | {"load": f"{os.getloadavg()[0]:.1f}", "emix": emix.__version__, "dask": dask.__version__}
    first, fixed, for_partition = overheads(arguments.workers, arguments.partitions, arguments.repeats)
    second, cost = times_of_fits(arguments.rows)
    about = ", ".join(f"{name} {value}" for name, value in facts.items())
    parts = ["# Fits over Dask", f"`benchmarks/dask_scaling.py`; {about}.", first, second]
    text = "\n\n".join([*parts, on_paper(cost, fixed, for_partition)]) + "\n"
    if arguments.out is None:
        print(text)
    else:
        (Path(__file__).parent / arguments.out).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
