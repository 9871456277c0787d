"""Fits by workers of dask.distributed: processes of their own, on this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

import emix
from emix.kernel.level import available_levels, level_in_use
from emix.rows.sampling import SAMPLE_ROWS
from partitioned import made

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*did not converge:emix.ConvergenceWarning"),
    # Sockets and files of a cluster that is closed, or of a worker that was killed, are found by the collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

N_PARTITIONS, N_ROWS = 11, 500
MODEL = emix.GaussianModel(2, 2, shortcuts=())
START = emix.GaussianParameters.from_covariances("full", [0.5, 0.5], [[0.0, 0.0], [3.0, 3.0]], [np.eye(2)] * 2)


@contextmanager
def cluster_of(n_workers: int) -> Iterator[Client]:
    """A cluster of processes of one thread each; it has time, for machines with much else to do."""
    settings = {"distributed.comm.timeouts.connect": "60s", "distributed.comm.timeouts.tcp": "120s"}
    with (
        # A nanny sets its workers' environment variables in this process too, and leaves them: later tests would
        # run with OMP_NUM_THREADS=1, or start processes at another level.
        mock.patch.dict(os.environ),
        dask.config.set(settings),
        LocalCluster(n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Client(cluster, timeout="120s") as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with cluster_of(2) as client:
        yield client


def fitted(data: Any, n: int = 5, **keywords: Any) -> Any:
    return emix.fit_em(MODEL, data, START, tol=0.0, max_iter=n, **keywords)


def assert_same_bits(one: Any, other: Any) -> None:
    assert one.log_likelihood == other.log_likelihood
    np.testing.assert_array_equal(one.parameters.packed, other.parameters.packed)


def test_workers_do_not_change_the_bits(client: Client) -> None:
    data = made(N_PARTITIONS, N_ROWS)
    two = fitted(data)
    with dask.annotate(workers=[next(iter(client.scheduler_info()["workers"]))], allow_other_workers=False):
        assert_same_bits(fitted(data), two)
    with dask.config.set(scheduler="threads"):
        assert_same_bits(fitted(data), two)
    assert_same_bits(fitted(data.persist()), two)
    # The promise: sums of the same rows, added in another order, to rounding.
    in_memory = fitted(data.compute())
    assert two.log_likelihood == pytest.approx(in_memory.log_likelihood, rel=1e-12)
    np.testing.assert_allclose(two.parameters.packed, in_memory.parameters.packed, rtol=1e-9, atol=1e-9)


def test_an_estimator_fits_and_scores(client: Client) -> None:
    data = made(9, SAMPLE_ROWS // 8).persist()  # more rows than a start looks at
    settings = {"random_state": 1, "n_init": 2, "tol": 1e-4}
    weight = np.random.default_rng(0).uniform(0.5, 2.0, data.shape[0])
    gm = emix.GaussianMixture(2, **settings).fit(data, sample_weight=weight)
    with dask.config.set(scheduler="threads"):
        same = emix.GaussianMixture(2, **settings).fit(made(9, SAMPLE_ROWS // 8), sample_weight=weight)
    np.testing.assert_array_equal(gm.means_, same.means_)
    rows = data.compute()
    assert gm.n_iter_ == emix.GaussianMixture(2, **settings).fit(rows, sample_weight=weight).n_iter_
    labels = gm.predict(data)
    assert isinstance(labels, da.Array)
    np.testing.assert_array_equal(labels.compute(), gm.predict(rows))
    assert gm.bic(data, sample_weight=weight) == pytest.approx(gm.bic(rows, sample_weight=weight), rel=1e-12)


def test_a_killed_worker_changes_nothing(client: Client, tmp_path: Path) -> None:
    deadly = tmp_path / "deadly"
    data = made(N_PARTITIONS, N_ROWS, str(deadly))
    expected = fitted(data)

    def kill(record: Any) -> None:
        if record.iteration == 3:
            deadly.touch()  # the next worker that makes partition 3 is killed

    assert_same_bits(fitted(data, callback=kill), expected)
    assert not deadly.exists()


def test_lost_partitions_are_made_again(client: Client) -> None:
    data = made(N_PARTITIONS, N_ROWS).persist()
    weight = np.random.default_rng(0).uniform(0.5, 2.0, N_PARTITIONS * N_ROWS)
    expected = fitted((data, weight))
    killed = []

    def kill(record: Any) -> None:
        if record.iteration == 3:
            process_of = client.run(os.getpid)
            address, pid = next(iter(process_of.items()))
            killed.append(address)
            os.kill(pid, signal.SIGKILL)

    assert_same_bits(fitted((data, weight), callback=kill), expected)
    assert killed


@pytest.fixture
def odd_worker() -> Iterator[Callable[[dict[str, Any]], None]]:
    """Start a cluster of one worker with settings of its own, and use it until the end of the test."""
    with ExitStack() as stack:

        def begin(settings: dict[str, Any]) -> None:
            stack.enter_context(dask.config.set(settings))
            stack.enter_context(cluster_of(1))

        yield begin


def preloaded(folder: Path, text: str) -> dict[str, Any]:
    """Settings of a worker that runs this at its start."""
    path = folder / "at_its_start.py"
    path.write_text(text)
    return {"distributed.worker.preload": [str(path)]}


def test_a_worker_of_another_version_is_refused(odd_worker: Any, tmp_path: Path) -> None:
    odd_worker(preloaded(tmp_path, "import emix\nemix.__version__ = '0.0.9'\n"))
    message = rf"The worker tcp://\S+ has emix 0\.0\.9, but this fit was called with emix {emix.__version__}"
    with pytest.raises(RuntimeError, match=message):
        fitted(made(N_PARTITIONS, N_ROWS))


def test_a_worker_of_another_level_is_refused(odd_worker: Any) -> None:
    other = next(level for level in available_levels() if level != level_in_use)
    odd_worker({"distributed.nanny.pre-spawn-environ.EMIX_LEVEL": other})
    message = rf"The worker tcp://\S+ computes at the instruction-set level '{other}', but .* at '{level_in_use}'"
    with pytest.raises(RuntimeError, match=message):
        fitted(made(N_PARTITIONS, N_ROWS))


def test_a_worker_without_emix_is_refused(odd_worker: Any, tmp_path: Path) -> None:
    odd_worker(preloaded(tmp_path, "import sys\nsys.modules['emix'] = None\n"))
    message = rf"The worker tcp://\S+ cannot import emix \(ModuleNotFoundError.*Install emix {emix.__version__}"
    with pytest.raises(RuntimeError, match=message):
        fitted(made(N_PARTITIONS, N_ROWS))
    with pytest.raises(RuntimeError, match=message):
        emix.GaussianMixture(2).fit(made(N_PARTITIONS, N_ROWS))
