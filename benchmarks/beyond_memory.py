"""A file that need not fit into memory, fitted in every way: out of core, over Dask, as a stream, and a sample of it.

    python benchmarks/beyond_memory.py                                     # 20 000 000 rows × 8: 1.3 GB of Parquet
    python benchmarks/beyond_memory.py --rows 1000000 --folder /data

The rows are those of a mixture with known parameters. They are written to a Parquet file in row groups, once: a file
that is there is taken. Each way is a process of its own, which begins with the same settings and seed:

- a sample of `--sample` rows, read into memory;
- the file out of core, ``GaussianMixture.fit(path)``;
- the same through Dask, with two worker processes on this machine;
- the file as a stream, once through, ``partial_fit`` of a block at a time.

Printed are seconds from the open file to the fitted mixture, steps of EM, the most memory that the process (with its
workers) held above what it held with everything imported, and the log-likelihood of all rows of the file under the
mixture, nats a row, beside that of the parameters from which the rows come.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import emix
import fresh
from machine import machine

#: Rows of a row group, and of a block that is drawn or streamed.
BLOCK = 100_000

K = 5


def truth(d: int) -> emix.GaussianMixture:
    """The mixture from which the rows come: its components overlap a little."""
    rng = np.random.default_rng(20)
    means = rng.normal(scale=2.0, size=(K, d))
    axes = np.stack([np.linalg.qr(rng.normal(size=(d, d)))[0] * rng.uniform(0.6, 1.5, d) for _ in range(K)])
    return emix.GaussianMixture.from_parameters(rng.dirichlet(np.full(K, 5.0)), means, axes @ axes.swapaxes(1, 2))


def generate(path: str, n_rows: int, d: int) -> None:
    """Write the rows to a Parquet file, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    mixture, names = truth(d), [f"x{j}" for j in range(d)]
    unfinished = Path(f"{path}.part")
    with pq.ParquetWriter(unfinished, pa.schema([(name, pa.float64()) for name in names])) as writer:
        for number, first in enumerate(range(0, n_rows, BLOCK)):
            mixture.random_state = number
            X, _ = mixture.sample(min(BLOCK, n_rows - first))
            # A component after the other, as `sample` draws them, would make blocks that are unlike.
            X = np.random.default_rng(number).permutation(X)
            writer.write_table(pa.table(list(X.T), names=names), row_group_size=BLOCK)
    unfinished.rename(path)


def _peak(who: int = resource.RUSAGE_SELF) -> float:
    """Most memory so far, MB; kilobytes are counted on Linux, bytes on macOS."""
    return resource.getrusage(who).ru_maxrss * (1e-6 if sys.platform == "darwin" else 1.024e-3)


def mixture() -> emix.GaussianMixture:
    return emix.GaussianMixture(K, random_state=0)


def _measured(fit: Callable[[], emix.GaussianMixture], path: str, others: Callable[[], float] = lambda: 0.0) -> Any:
    before, began = _peak() + others(), time.perf_counter()
    gm = fit()
    seconds, above = time.perf_counter() - began, _peak() + others() - before
    return {"seconds": seconds, "above": above, "n_iter": gm.n_iter_, "score": gm.score(path)}


def fit_sample(path: str, n_rows: int) -> Any:
    """A fit of the first rows, which are like all others, in memory."""
    import pyarrow.parquet as pq

    def fit() -> emix.GaussianMixture:
        groups = range(-(-n_rows // BLOCK))
        table = pq.ParquetFile(path).read_row_groups(list(groups))[:n_rows]
        return mixture().fit(np.column_stack([column.to_numpy() for column in table.columns]))

    return _measured(fit, path)


def fit_file(path: str) -> Any:
    """A fit of all rows, which are read in each pass."""
    import pyarrow.dataset  # noqa: F401 (counted with what is imported)

    return _measured(lambda: mixture().fit(path), path)


def fit_dask(path: str) -> Any:
    """The same by two worker processes, which hold the rows in their memory."""
    import dask.dataframe as dd
    from distributed import Client, LocalCluster

    def held() -> float:
        return float(sum(client.run(_peak).values()))

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        client.run(_import_all)

        def fit() -> emix.GaussianMixture:
            return mixture().fit(dd.read_parquet(path, split_row_groups=10).persist())

        return _measured(fit, path, held)


def _import_all() -> None:
    import dask.dataframe  # noqa: F401
    import pyarrow.dataset  # noqa: F401

    emix.GaussianMixture(2, random_state=0).fit(np.random.default_rng(0).normal(size=(100, 2)))


def fit_stream(path: str) -> Any:
    """`partial_fit` of a block at a time, each row once."""
    import pyarrow.parquet as pq

    def fit() -> emix.GaussianMixture:
        gm = mixture()
        for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(BLOCK):  # a buffer would hold the file
            gm.partial_fit(np.column_stack([column.to_numpy() for column in batch.columns]))
        return gm

    return _measured(fit, path)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000, help="(%(default)s)")
    parser.add_argument("--features", type=int, default=8, help="(%(default)s)")
    parser.add_argument("--sample", type=int, default=200_000, help="rows of the fit in memory (%(default)s)")
    parser.add_argument("--folder", type=Path, default=Path("build/benchmarks"), help="of the file (%(default)s)")
    options = parser.parse_args(argv)
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / f"rows-{options.rows}x{options.features}.parquet"
    if not path.exists():
        print(f"writing {path}", flush=True)
        fresh.call("beyond_memory:generate", path=str(path), n_rows=options.rows, d=options.features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the file names its columns, and the truth does not
        exact = truth(options.features).score(str(path))
    print(f"{options.rows} x {options.features} rows, K = {K}; {path.stat().st_size / 1e6:.0f} MB of Parquet")
    print(", ".join(f"{key} {value}" for key, value in machine().items()) + f", emix {emix.__version__}")
    print(f"\n{'':34} {'s':>8} {'steps':>11} {'MB above':>9} {'nats a row':>13} {'- truth':>10}")
    print(f"{'the parameters of the rows':34} {'':8} {'':11} {'':9} {exact:13.7f}")
    n_sample = min(options.sample, options.rows)
    ways: tuple[tuple[str, str, dict[str, Any]], ...] = (
        (f"{n_sample} rows in memory", "fit_sample", {"n_rows": n_sample}),
        ("the file, out of core", "fit_file", {}),
        ("Dask, two workers", "fit_dask", {}),
        ("partial_fit, once through", "fit_stream", {}),
    )
    for name, function, more in ways:
        found = fresh.call(f"beyond_memory:{function}", path=str(path), **more)
        print(
            f"{name:34} {found['seconds']:8.1f} {found['n_iter']:11} {found['above']:9.0f} {found['score']:13.7f} "
            f"{found['score'] - exact:10.2e}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
