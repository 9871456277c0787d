"""Fits of rows that do not lie in memory: the bits of a fit in memory without shortcuts, whatever the batches."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import emix
from emix.gaussian.parameters import GaussianParameters
from emix.parallel import threads
from emix.rows.arrays import ArraySource
from emix.rows.source import Batch, RowSource
from gaussian.examples import clusters, each_structure, start
from rows.streams import BatchSource

# A fixed number of iterations is meant.
pytestmark = pytest.mark.filterwarnings("ignore:EM did not converge:emix.ConvergenceWarning")

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
K = 3


def rows(n: int, d: int, dtype: str, weighted: bool) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
    X = clusters(n, d, K).astype(dtype)
    weight = np.random.default_rng(n).uniform(0.0, 2.0, n) if weighted else None
    return X, weight


def bits_of_fit(
    source: RowSource,
    structure: str,
    theta: GaussianParameters,
    n_threads: int | None = None,
    shortcuts: Any = (),
    max_iter: int = 5,
) -> bytes:
    """Parameters after some iterations, and the log-likelihoods on the way."""
    model = emix.GaussianModel(
        theta.n_components, source.n_features, structure, "auto", n_threads=n_threads, shortcuts=shortcuts
    )
    result = emix.fit_em(model, source, theta, tol=0.0, max_iter=max_iter)
    history = np.array([record.log_likelihood for record in result.history])
    return result.parameters.packed.tobytes() + history.tobytes()


# About the super-block of 512 rows, in steps of it: a batch is a super-block, several, all but a few rows, and all.
@each_structure
@each_dtype
@pytest.mark.parametrize("weighted", [False, True])
def test_same_bits_as_in_memory_whatever_the_batches(structure: str, dtype: str, weighted: bool) -> None:
    X, weight = rows(5 * 512 + 77, 4, dtype, weighted)
    theta = start(structure, X, K)
    expected = bits_of_fit(ArraySource(X, weight), structure, theta)
    for step in (1, 2, 3, 5, 6):
        for n_threads in (None, 1, 2):
            source = BatchSource(X, weight, step)
            assert bits_of_fit(source, structure, theta, n_threads) == expected, (step, n_threads)
            # The E-steps of five iterations, and the closing one. Rows are read by nothing else, unless sums cancel.
            assert source.n_reads == 6


@pytest.mark.parametrize("n", [1, 300, 511, 512, 513, 33 * 512, 70 * 512 + 5])
@each_dtype
def test_same_bits_for_few_rows_and_for_more_than_there_are_slots(n: int, dtype: str) -> None:
    X, weight = rows(n, 2, dtype, True)
    if weight is not None and n == 1:
        weight[:] = 1.0
    theta = start("diag", clusters(600, 2, K), K)
    expected = bits_of_fit(ArraySource(X, weight), "diag", theta)
    for step in (1, 7, 32):
        for n_threads in (1, 2):
            assert bits_of_fit(BatchSource(X, weight, step), "diag", theta, n_threads) == expected


def rows_for_shared_slots() -> tuple[NDArray[np.float64], GaussianParameters]:
    """Slots of 11 MB, which all threads of a pass empty and add."""
    X = np.random.default_rng(0).normal(size=(17_000, 64))
    covariances = np.tile(np.eye(64), (20, 1, 1))
    return X, GaussianParameters.from_covariances("full", np.full(20, 0.05), 0.3 * X[::850], covariances)


@pytest.mark.parametrize("step", [1, 9])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_same_bits_where_threads_share_the_slots(step: int, n_threads: int) -> None:
    X, theta = rows_for_shared_slots()
    assert emix.GaussianModel(20, 64).begin(X).sums.buffers.shared
    expected = bits_of_fit(ArraySource(X), "full", theta, max_iter=2)
    assert bits_of_fit(BatchSource(X, None, step), "full", theta, n_threads, max_iter=2) == expected


@each_dtype
def test_same_bits_with_weights_of_any_unit(dtype: str) -> None:
    X, weight = rows(2000, 3, dtype, True)
    assert weight is not None
    theta = start("full", X, K)
    for unit in (2.0**-1000, 2.0**900):
        source = BatchSource(X, unit * weight)
        assert source.weight_unit != 1.0
        assert bits_of_fit(source, "full", theta) == bits_of_fit(ArraySource(X, unit * weight), "full", theta)


@each_structure
@each_dtype
def test_with_its_defaults_a_stream_ends_where_an_array_does(structure: str, dtype: str) -> None:
    X, weight = rows(6000, 6, dtype, True)
    theta = start(structure, X, K)
    model = emix.GaussianModel(K, 6, structure)
    found, expected = (
        emix.fit_em(model, source, theta, tol=0.0, max_iter=8)
        for source in (BatchSource(X, weight), ArraySource(X, weight))
    )
    # As the README promises; in single precision sums are of other rows, and rounding of 1e-7 grows.
    of_log_likelihood, of_parameters = (1e-12, 1e-9) if dtype == "float64" else (1e-6, 1e-3)
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=of_log_likelihood)
    for name in ("weights", "means", "covariances"):
        one, other = getattr(found.parameters, name), getattr(expected.parameters, name)
        np.testing.assert_allclose(one, other, rtol=0, atol=of_parameters * np.abs(other).max())


def test_a_row_without_a_density_is_named_in_whatever_batch_it_is() -> None:
    X, _ = rows(2000, 2, "float64", False)
    theta = start("full", X, K)
    X[1700] = 1e200
    with pytest.raises(ValueError, match="not finite: row 1700 lies so far from every component"):
        emix.GaussianModel(K, 2).begin(BatchSource(X)).e_step(theta)


# Parquet


@each_structure
@each_dtype
@pytest.mark.parametrize("weighted", [False, True])
def test_parquet_files_give_the_bits_of_a_fit_in_memory(
    structure: str, dtype: str, weighted: bool, tmp_path: Path
) -> None:
    X, weight = rows(4 * 512 + 300, 4, dtype, weighted)
    theta = start(structure, X, K)
    # Files and row groups end anywhere; batches of the source do not.
    for number, (first, last) in enumerate([(0, 700), (700, 701), (701, 2348)]):
        columns: dict[str, Any] = {f"x{j}": X[first:last, j] for j in range(4)}
        if weight is not None:
            columns["w"] = weight[first:last]
        pq.write_table(pa.table(columns), tmp_path / f"{number}.parquet", row_group_size=300)
    source = emix.ParquetSource(tmp_path, weight="w" if weighted else None)
    assert source.dtype == np.dtype(dtype)
    assert source.whole is None
    expected = bits_of_fit(ArraySource(X, weight), structure, theta)
    for n_threads in (1, 2):
        assert bits_of_fit(source, structure, theta, n_threads) == expected


def test_parquet_batches_end_where_super_blocks_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # More rows than a batch has, and a call of compiled code for each super-block.
    monkeypatch.setattr(threads, "OPERATIONS_PER_CALL", 1.0)
    X, weight = rows(150_000, 2, "float64", True)
    theta = start("diag", X, K)
    pq.write_table(pa.table({"a": X[:, 0], "b": X[:, 1], "w": weight}), tmp_path / "rows.parquet")
    source = emix.ParquetSource(tmp_path / "rows.parquet", weight="w")
    assert len(list(source.batches(512))) > 2
    expected = bits_of_fit(ArraySource(X, weight), "diag", theta, max_iter=3)
    assert bits_of_fit(source, "diag", theta, max_iter=3) == expected
    # Without weights the weight's column is one of three.
    assert emix.ParquetSource(tmp_path / "rows.parquet", ["a", "b"]).n_features == 2


# Errors in the middle of a pass


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("error", [OSError("the disk is gone"), KeyboardInterrupt(), MemoryError()], ids=repr)
def test_an_error_of_the_source_leaves_a_run_that_works(error: BaseException, n_threads: int) -> None:
    X, weight = rows(3000, 4, "float64", True)
    theta = start("full", X, K)
    source = BatchSource(X, weight)
    source.error = error
    model = emix.GaussianModel(K, 4, n_threads=n_threads, shortcuts=())
    run, fresh = model.begin(source), model.begin(BatchSource(X, weight))
    expected = fresh.e_step(theta)[0].packed
    for fail_at in (0, 1, 4):
        source.fail_at = fail_at
        with pytest.raises(type(error)):
            run.e_step(theta)
        with pytest.raises(type(error)):
            emix.fit_em(model, source, theta)
        source.fail_at = None
        # The pass after it leaves nothing out, as the first of a run.
        np.testing.assert_array_equal(run.e_step(theta)[0].packed, expected)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_ctrl_c_in_the_middle_of_a_pass(n_threads: int) -> None:
    class Interrupted(BatchSource):
        armed = True

        def batches(self, unit: int) -> Any:
            for number, batch in enumerate(super().batches(unit)):
                if number == 2 and self.n_reads == 3 and self.armed:
                    signal.raise_signal(signal.SIGINT)
                yield batch

    X, weight = rows(5000, 4, "float64", True)
    theta = start("tied", X, K)
    source = Interrupted(X, weight)
    with pytest.raises(KeyboardInterrupt):
        bits_of_fit(source, "tied", theta, n_threads)
    assert source.n_reads == 3
    source.armed = False
    assert bits_of_fit(source, "tied", theta, n_threads) == bits_of_fit(ArraySource(X, weight), "tied", theta)


def test_an_error_in_a_pass_over_shared_slots() -> None:
    """What the pass had added to slots is emptied by the next one."""
    X, theta = rows_for_shared_slots()
    source = BatchSource(X, None, 3)
    model = emix.GaussianModel(20, 64, n_threads=2, shortcuts=())
    run = model.begin(source)
    assert run.sums.buffers.shared
    source.fail_at = 4
    with pytest.raises(OSError, match="the disk is gone"):
        run.e_step(theta)
    source.fail_at = None
    np.testing.assert_array_equal(run.e_step(theta)[0].packed, model.e_step(X, theta)[0].packed)


def without(batches: list[Batch], number: int) -> list[Batch]:
    return batches[:number] + batches[number + 1 :]


@pytest.mark.parametrize("size", [(2, 3), (64, 20)], ids=["small slots", "slots that threads share"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda batches: batches[:-1], "rows, expected 3000"),
        (lambda batches: without(batches, 1), "a batch that begins at row"),
        (lambda batches: batches + batches, "a batch that begins at row 0, expected row 3000"),
        (lambda batches: [], "gave 0 rows, expected 3000"),
    ],
    ids=["short", "a gap", "twice", "none"],
)
def test_batches_that_are_not_the_rows_are_refused(size: tuple[int, int], change: Any, message: str) -> None:
    d, K = size
    X = np.random.default_rng(6).normal(size=(3000, d))
    theta = GaussianParameters.from_covariances("full", np.full(K, 1 / K), X[:K], np.array([np.eye(d)] * K))

    class Changed(BatchSource):
        changed = False

        def batches(self, unit: int) -> Iterator[Batch]:
            found = [batch._replace(X=batch.X.copy()) for batch in super().batches(unit)]
            return iter(change(found) if self.changed else found)

    source = Changed(X)
    run = emix.GaussianModel(K, d, shortcuts=()).begin(source)
    source.changed = True
    with pytest.raises(ValueError, match=message):
        run.e_step(theta)


def test_batches_without_rows_are_passed_over() -> None:
    class WithEmpty(BatchSource):
        def batches(self, unit: int) -> Iterator[Batch]:
            for batch in super().batches(unit):
                yield Batch(batch.first_row, batch.X[:0], None)
                yield Batch(batch.first_row, batch.X.copy(), None)

    X = np.random.default_rng(6).normal(size=(3000, 2))
    theta = GaussianParameters.from_covariances("diag", [0.5, 0.5], X[:2], np.ones((2, 2)))
    model = emix.GaussianModel(2, 2, "diag", shortcuts=())
    found, expected = (model.begin(rows).e_step(theta)[0].packed for rows in (WithEmpty(X), X))
    assert found.tobytes() == expected.tobytes()
    with pytest.raises(ValueError, match="data have 0 rows, expected at least one"):
        model.begin(BatchSource(X[:0]))
