"""The same bits from any number of threads, at once, after a fork and for any layout of rows; Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import emix.gaussian.sums
import emix.kernel.level
from emix import GaussianMixture, GaussianModel, GaussianParameters, fit_em
from emix.gaussian.scoring import score_rows
from emix.gaussian.structures import STRUCTURES
from emix.kernel.level import available_levels, kernel_for

LONG = 120.0  # seconds that only a defect would last


def rows(n_rows: int, d: int = 3, dtype: Any = np.float64) -> Any:
    rng = np.random.default_rng([n_rows, d])
    X = rng.normal(size=(n_rows, d))
    X[: n_rows // 2] += 2.5
    return X.astype(dtype)


def fit(X: Any, structure: str = "full", n_threads: int | None = None, weight: Any = None, **settings: Any) -> bytes:
    """The bits of a mixture's attributes after a few iterations from a k-means start."""
    gm = GaussianMixture(
        **{"n_components": 3, "covariance_type": structure, "tol": 0.0, "max_iter": 4, "random_state": 0} | settings,
        n_threads=n_threads,
    )
    gm.fit(X, sample_weight=weight)
    arrays = [gm.weights_, gm.means_, gm.covariances_, np.array(gm.lower_bounds_), gm.score_samples(X[:300])]
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


@pytest.fixture(autouse=True)
def few_iterations_are_meant() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emix.ConvergenceWarning)
        yield


# Threads

# About the super-block of 512 rows and the 32 slots that super-blocks go to in turn.
SIZES = [1, 511, 512, 513, 3 * 512 + 7, 31 * 512 + 255, 32 * 512, 32 * 512 + 1, 69 * 512 + 300]


@pytest.mark.parametrize("level", available_levels())
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_statistics_and_scores_have_the_same_bits_from_any_number_of_threads(
    structure: str, dtype: str, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emix.kernel.level, "level_in_use", level)
    everything = rows(SIZES[-1], dtype=dtype)
    theta = GaussianParameters.from_covariances(
        structure, [0.2, 0.3, 0.5], everything[:3], STRUCTURES[structure].form.from_pooled(np.eye(3), 3)
    )
    for n_rows in SIZES:
        X = everything[:n_rows]
        weight = np.linspace(0.5, 1.5, n_rows)
        found = []
        for n_threads in (1, 2, 3, 5):
            run = GaussianModel(3, 3, structure, n_threads=n_threads).begin((X, weight))
            for _ in range(2):  # the second pass leaves out what is negligible
                statistics, log_likelihood = run.e_step(theta)
            scores = score_rows(X, theta, responsibilities=True, labels=True, n_threads=n_threads)
            arrays = (
                statistics.weight, statistics.shift, statistics.scatter, np.array(log_likelihood),
                scores.log_density, scores.responsibilities, scores.labels,
            )  # fmt: skip
            found.append(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays))
        assert len(set(found)) == 1, f"{n_rows} rows"


@pytest.mark.parametrize("separation", [0.5, 10.0], ids=["overlap", "bounds carry"])
def test_iterations_have_the_same_bits_where_threads_share_more_than_the_rows(separation: float) -> None:
    # 50 features: slots of 26 MB and 40 matrices, which threads factorize and carry over.
    n_rows, d, K = 17_000, 50, 40
    rng = np.random.default_rng(4)
    means = separation * rng.normal(size=(K, d)) / d**0.5
    X = rng.normal(size=(n_rows, d)) + means[rng.integers(K, size=n_rows)]
    start = GaussianParameters.from_covariances("full", np.full(K, 1 / K), means + 0.1, np.stack([2 * np.eye(d)] * K))
    found = []
    for n_threads in (1, 2, 3, 5):
        model = GaussianModel(K, d, reg_covar=1e-3, n_threads=n_threads)
        assert (model.structure.form.threads_of_matrices(K, d, n_threads) > 1) == (n_threads > 1)
        assert model.begin(X).sums.buffers.shared
        result = fit_em(model, X, start, tol=0.0, max_iter=6)
        history = np.array([record.log_likelihood for record in result.history])
        found.append(result.parameters.packed.tobytes() + history.tobytes())
    assert len(set(found)) == 1


def test_first_component_that_collapses_is_named_by_any_number_of_threads() -> None:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(900, 60)) + 8.0 * np.repeat(np.arange(30.0), 30)[:, np.newaxis]
    start = GaussianParameters.from_covariances("full", np.full(30, 1 / 30), X[::30], np.stack([np.eye(60)] * 30))
    messages = set()
    for n_threads in (1, 2, 3):
        with pytest.raises(emix.DegenerateCovarianceError) as caught:
            fit_em(GaussianModel(30, 60, n_threads=n_threads), X, start, tol=0.0, max_iter=1)
        messages.add(str(caught.value))
    assert len(messages) == 1


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data", "hierarchical"])
def test_whole_fits_have_the_same_bits_from_any_number_of_threads(init_params: str) -> None:
    X = rows(20_000, 4)
    assert len({fit(X, n_threads=n, init_params=init_params) for n in (1, 2, 3, 5, None)}) == 1


# Layout of the rows


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n_rows", [700, 70_000], ids=["few", "more than a start looks at"])
def test_layout_of_the_rows_does_not_matter(n_rows: int, dtype: str, tmp_path: Path) -> None:
    X = rows(n_rows, dtype=dtype)
    spaced = np.zeros((2 * n_rows, 7), dtype=dtype)
    spaced[::2, 1::2] = X
    locked = X.copy()
    locked.flags.writeable = False
    file = np.memmap(tmp_path / "rows", dtype=dtype, mode="w+", shape=X.shape)
    file[:] = X
    file.flush()
    layouts = {
        "Fortran order": np.asfortranarray(X),
        "strided": spaced[::2, 1::2],
        "backwards": X[::-1, ::-1].copy()[::-1, ::-1],
        "read-only": locked,
        "memory map": np.memmap(tmp_path / "rows", dtype=dtype, mode="r", shape=X.shape),
    }
    weight = np.random.default_rng(0).uniform(size=2 * n_rows)
    for init_params in ("kmeans", "random") if n_rows < 1000 else ("kmeans",):
        expected = fit(X, weight=weight[::2].copy(), init_params=init_params)
        for name, layout in layouts.items():
            assert fit(layout, weight=weight[::2], init_params=init_params) == expected, f"{name}, {init_params}"


# Many at once


@pytest.mark.parametrize("n_threads", [1, 2])
def test_fits_from_seven_threads_at_once(n_threads: int) -> None:
    cases = [(rows(3000 + i), structure) for i, structure in enumerate(STRUCTURES)]
    expected = [fit(X, structure, n_threads=1) for X, structure in cases]
    together = threading.Barrier(7)  # of 14 structures: two rounds

    def one(case: tuple[Any, str]) -> list[bytes]:
        together.wait(LONG)
        return [fit(*case, n_threads=n_threads) for _ in range(3)]

    with ThreadPoolExecutor(7) as pool:
        for found, alone in zip(pool.map(one, cases, timeout=LONG), expected):
            assert found == [alone] * 3


def test_one_estimator_scores_from_eight_threads_at_once() -> None:
    X = rows(20_000)
    gm = GaussianMixture(3, random_state=0, n_threads=2).fit(X)
    expected = gm.predict_proba(X)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: gm.predict_proba(X), range(16), timeout=LONG):
            np.testing.assert_array_equal(found, expected)


def test_single_rows_are_scored_from_eight_threads_at_once() -> None:
    X = rows(800)
    gm = GaussianMixture(3, random_state=0).fit(X)
    expected, labels = gm.score_samples(X), gm.predict(X)

    def share(thread: int) -> None:
        for i in range(thread, 800, 8):
            # Each call has a workspace of its own, though the parameters are prepared once for all.
            assert gm.score_samples(X[i : i + 1])[0] == expected[i]
            assert gm.predict(X[i : i + 1])[0] == labels[i]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(share, range(8), timeout=LONG))


def test_error_in_a_worker_thread_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel: Any = kernel_for(np.dtype(np.float64))

    class Broken(kernel.Accumulator):
        def accumulate(self, rows: Any, thread: int, *arguments: Any) -> None:
            if thread == 1:
                raise MemoryError("in thread 1")
            super().accumulate(rows, thread, *arguments)

    broken = ModuleType("broken")
    vars(broken).update({**vars(kernel), "Accumulator": Broken})
    monkeypatch.setattr(emix.gaussian.sums, "kernel_for", lambda dtype: broken)
    start = GaussianParameters.from_covariances("spherical", [1.0], [[0.0] * 3], [1.0])
    with pytest.raises(MemoryError, match="in thread 1"):
        fit_em(GaussianModel(1, 3, "spherical", n_threads=2), rows(2000), start, tol=0.0, max_iter=1)


# Processes

has_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
# Python 3.12 and later warn of a fork of a process with threads, which is what is tested.
warned_of_forks = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def _fit_and_send(pipe: Any, X: Any) -> None:
    pipe.send([fit(X, n_threads=n_threads) for n_threads in (1, 2)])
    pipe.close()


def fit_in_a_fork(X: Any) -> list[bytes]:
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_fit_and_send, args=(there, X))
    child.start()
    try:
        assert here.poll(LONG), "the fit in the child of a fork hangs"
        found: list[bytes] = here.recv()
        child.join(LONG)
        assert child.exitcode == 0
    finally:
        child.kill()
        child.join()
    return found


@has_fork
@warned_of_forks
def test_fit_after_a_fork() -> None:
    X = rows(5000)
    expected = fit(X, n_threads=2)  # the pool of threads is made
    assert fit_in_a_fork(X) == [expected, expected]
    assert fit(X, n_threads=2) == expected  # and still serves the parent


@has_fork
@warned_of_forks
def test_fork_while_other_threads_fit() -> None:
    # Whatever lock a fit takes may be taken when the fork comes: it must not stay so in the child.
    X = rows(5000)
    expected = fit(X, n_threads=2)
    enough = threading.Event()

    def keep_fitting() -> None:
        while not enough.is_set():
            fit(X, n_threads=2)

    with ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(keep_fitting) for _ in range(2)]
        try:
            for _ in range(20):
                assert fit_in_a_fork(X) == [expected, expected]
        finally:
            enough.set()
        for future in busy:
            future.result(LONG)


FRESH = """
import sys
sys.path[:0] = {path!r}
from test_concurrency import fit, rows
print(fit(rows(5000), n_threads=2, max_iter=40, tol=1e-7).hex())
"""


def test_fit_in_a_fresh_process() -> None:
    # As a worker that is spawned: another order of addresses, hashes and threads.
    code = FRESH.format(path=[str(Path(__file__).parent)])
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=LONG)
    assert found.stdout.strip() == fit(rows(5000), n_threads=1, max_iter=40, tol=1e-7).hex()


# Ctrl-C

INTERRUPTED = """
import warnings
import numpy as np
from emix import GaussianMixture
warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size={shape})
gm = GaussianMixture({n_components}, max_iter=1, random_state=0, init_params="{init_params}", n_threads={n_threads})
gm.fit(X)
before = dict(vars(gm))
endless = dict(max_iter=10**9, tol=0.0, n_init={n_init})
vars(gm).update(endless)
before.update(endless)
try:
    print("ready", flush=True)
    gm.fit(X)
except KeyboardInterrupt:
    same = vars(gm).keys() == before.keys() and all(vars(gm)[key] is value for key, value in before.items())
    print("as it was" if same else "altered", gm.predict(X[:5]).shape)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(
    "work",
    [
        {"shape": (100_000, 16), "n_components": 64, "n_init": 1},
        {"shape": (5000, 4), "n_components": 8, "n_init": 10**5},  # side by side if there are threads for it
        {"shape": (50_000, 6), "n_components": 12, "n_init": 1, "init_params": "auto"},  # a search of four seconds
    ],
    ids=["long passes", "many runs", "search"],
)
def test_interrupted_fit_ends_soon_and_leaves_the_estimator_as_it_was(work: dict[str, Any], n_threads: int) -> None:
    settings = {"init_params": "random_from_data", "n_threads": n_threads, **work}
    command = [sys.executable, "-c", INTERRUPTED.format(**settings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.7)  # into the iterations
            sent = time.monotonic()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=LONG)
            waited = time.monotonic() - sent
        finally:
            process.kill()
    assert (out, err) == ("as it was (5,)\n", "")
    # A tenth of a second as a rule; a pass of all rows would take some, on a busy machine, and the fit years.
    assert waited < 5.0
