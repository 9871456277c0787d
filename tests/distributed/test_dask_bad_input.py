"""Dask collections that cannot be fitted: the error names the partition, and the estimator stays as it was."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import emix
from emix.distributed.tasks import Build, Place, checked_rows, drawn_rows, mapped_rows, summed_rows
from emix.kernel.level import level_in_use
from emix.rows.sampling import SAMPLE_ROWS
from gaussian.examples import clusters
from partitioned import array_of, cut

K, D = 2, 3
X = clusters(2000, D, K)
W = np.random.default_rng(0).uniform(0.5, 2.0, 2000)
LENGTHS = (500, 500, 500, 500)
START = emix.GaussianParameters.from_covariances("full", [0.5, 0.5], X[:2], np.stack([np.cov(X.T)] * 2))
MODEL = emix.GaussianModel(K, D)


def fails(data: Any, message: str, error: type[Exception] = ValueError, **keywords: Any) -> None:
    gm = emix.GaussianMixture(K, random_state=0).fit(X)
    before = dict(vars(gm))
    with pytest.raises(error, match=message):
        gm.fit(data, **keywords)
    assert all(vars(gm)[name] is value for name, value in before.items())


def with_value(value: float, row: int) -> NDArray[Any]:
    bad = X.copy()
    bad[row, 1] = value
    return bad


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinity"), (1e200, "a value too large")])
def test_bad_values_are_named_by_partition_and_row(value: float, kind: str) -> None:
    bad = with_value(value, 1503)
    fails(array_of(cut(bad, LENGTHS)), f"Input partition 3 of X contains {kind}.* in row 3, column 1")
    frame = dd.from_pandas(pd.DataFrame(bad, columns=list("abc")), npartitions=4)
    fails(frame, rf"Input partition 3 of X contains {kind}.* in row 3, column 1 \('b'\)")


def test_the_first_of_several_bad_values() -> None:
    bad = with_value(np.nan, 700)
    bad[1999, 0] = np.nan
    fails(array_of(cut(bad, LENGTHS)), "Input partition 1 of X contains NaN: the first is in row 200, column 1")


def test_bad_weights() -> None:
    data, bad = array_of(cut(X, LENGTHS)), W.copy()
    bad[1001] = -1.0
    fails(data, "Negative values in partition 2 of sample_weight: -1 in row 1", sample_weight=bad)
    bad[1001] = np.nan
    fails(data, "Input partition 2 of sample_weight contains NaN in row 1", sample_weight=bad)
    fails(data, "all 2000 values of sample_weight are zero", sample_weight=np.zeros(2000))
    fails(data, r"sample_weight.shape == \(1999,\), expected \(2000,\)", sample_weight=W[:-1])
    fails(data, r"sample_weight.shape == \(1999,\), expected \(2000,\)", sample_weight=da.from_array(W[:-1]))
    fails(data, "sample_weight has shape .*expected one weight", sample_weight=W[:, np.newaxis])
    two = da.from_array(W[:, np.newaxis])
    fails(data, "Sample weights must be 1D: sample_weight is a dask Array", sample_weight=two)
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abc")), npartitions=4)
    fails(frame, r"such as frame\['a'\]", TypeError, sample_weight="a")
    fails(frame, "sample_weight has 2 partitions, expected 4", sample_weight=array_of(cut(W, (1000, 1000))))
    message = (
        r"partition 1 of sample_weight has shape \(501,\), expected \(500,\): one weight for each row of partition 1"
    )
    fails(frame, message, sample_weight=array_of(cut(W, (500, 501, 499, 500))))


def test_partitions_without_rows() -> None:
    empty = [X[:0]] * 3
    fails(array_of(empty), "X: Found array with 0 sample.*none of the 3 partitions has rows")
    fails(array_of(empty, known=False), "X: Found array with 0 sample.*none of the 3 partitions has rows")
    with pytest.raises(ValueError, match="data: Found array with 0 sample"):
        emix.fit_em(MODEL, array_of(empty), START)


def test_fewer_rows_than_components() -> None:
    fails(array_of([X[:1], X[:0]]), r"Expected n_samples >= n_components but got n_components = 2, n_samples = 1")


def test_partitions_unlike_the_first() -> None:
    parts = cut(X, LENGTHS)
    fails(array_of([*parts[:2], parts[2][:, :2]]), "partition 2 has 2 columns, expected 3, as partition 0 has")
    single = [X[:0], *parts[:2], parts[2].astype(np.float32)]
    fails(array_of(single), "partition 3 has rows of float32, expected float64, as partition 1 has")
    fails(array_of([parts[0], parts[1].astype(str)]), "partition 1 of X has dtype <U.*expected numbers")
    fails(array_of([parts[0], parts[1][:, 0]]), "Expected 2D array, got 1D array instead: partition 1 of X")
    frames = [pd.DataFrame(part, columns=list("abc")) for part in parts]
    frames[1] = frames[1][["b", "a", "c"]]
    delayed = [dask.delayed(frame) for frame in frames]
    other = dd.from_delayed(delayed, meta=frames[0], verify_meta=False)
    fails(other, "partition 1 has the columns 'b', 'a', 'c', expected the columns 'a', 'b', 'c', as partition 0 has")


def test_collections_of_another_kind() -> None:
    fails(da.from_array(X[:, 0]), "Expected 2D array, got 1D array instead: X is a dask array of shape")
    series = dd.from_pandas(pd.DataFrame(X), npartitions=2)[0]
    for data, name in ((db.from_sequence([1, 2]), "Bag"), (dask.delayed(X), "Delayed.*"), (series, "Series")):
        fails(data, f"X is a dask {name}, expected a dask array or data frame", TypeError)


def changing(later: Callable[[NDArray[Any]], NDArray[Any]], rows: NDArray[Any] = X) -> da.Array:
    """A collection whose partition 2 is another from the third time on that it is made."""
    times = [0]

    def change(block: NDArray[Any], block_id: tuple[int, ...]) -> NDArray[Any]:
        times[0] += block_id[0] == 2
        return later(block) if block_id[0] == 2 and times[0] > 2 else block

    return array_of(cut(rows, LENGTHS)).map_blocks(change, dtype=float, meta=rows[:0])


def test_collections_that_change_between_passes() -> None:
    for later, message in (
        (lambda block: block[:-1], "partition 2 has 499 rows, expected 500, as in the first pass"),
        (lambda block: block[:0], "partition 2 has 0 rows, expected 500, as in the first pass"),
        (lambda block: block[:, :2], "partition 2 has 2 columns, expected 3, as partition 0 has"),
    ):
        with pytest.raises(ValueError, match=message):
            emix.fit_em(MODEL, changing(later), START)
    weight = changing(lambda block: block * 1.001, W)
    with pytest.raises(ValueError, match=r"partition 2 has weights with the sum .* as in the first pass"):
        emix.fit_em(MODEL, (array_of(cut(X, LENGTHS)), weight), START)


def test_a_bad_value_of_a_later_pass_is_named_with_its_partition() -> None:
    def spoil(block: NDArray[Any]) -> NDArray[Any]:
        bad = block.copy()
        bad[7, 1] = np.nan
        return bad

    message = r"The rows changed between passes\. Input partition 2 contains NaN: the first is in row 7, column 1\."
    with pytest.raises(ValueError, match=message):
        emix.fit_em(MODEL, changing(spoil), START)


def test_a_partition_that_raises() -> None:
    def broken(block: NDArray[Any]) -> NDArray[Any]:
        raise OSError("the file is gone")

    fails(array_of(cut(X, LENGTHS)).map_blocks(broken, meta=X[:0]), "the file is gone", OSError)


@pytest.mark.parametrize("build", [Build("0.0.9", level_in_use), Build(emix.__version__, "another")])
def test_a_task_refuses_the_request_of_another_build(build: Build) -> None:
    place = Place(0, build)
    for task in (partial(checked_rows, drawing=None), partial(drawn_rows, drawing=None)):
        with pytest.raises(RuntimeError, match=r"The worker process \d+ on .* but this fit was called"):
            task(X, None, place=place)
    sums = partial(summed_rows, n_components=K, packing=False, divisor=1.0)
    for task in (sums, mapped_rows):
        with pytest.raises(RuntimeError, match=f"{build.version if build.level == level_in_use else 'another'}"):
            task(X, None, None, place=place)


def test_a_row_without_density() -> None:
    far = X.copy()
    far[1200] = 1e149
    narrow = emix.GaussianParameters.from_covariances("full", [0.5, 0.5], X[:2], [1e-16 * np.eye(D)] * 2)
    with pytest.raises(ValueError, match="The log-likelihood is not finite: row 1200 lies so far"):
        emix.fit_em(MODEL, array_of(cut(far, LENGTHS)), narrow)


def test_an_interrupt_ends_a_fit() -> None:
    waits = threading.Event()

    def slow(block: NDArray[Any], block_id: tuple[int, ...]) -> NDArray[Any]:
        if waits.is_set() and block_id[0] == 1:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # type: ignore[arg-type]
            waits.wait(0.1)
        return block

    rows = clusters(SAMPLE_ROWS + 10_000, D, K)
    data = da.from_array(rows, chunks=20_000).map_blocks(slow, meta=rows[:0])
    gm = emix.GaussianMixture(K, random_state=0, tol=0.0).fit(X)
    before = gm.means_

    def begin(run: int, record: Any) -> None:
        if record.iteration == 2:
            waits.set()

    with pytest.raises(KeyboardInterrupt):
        gm.fit(data, callback=begin)
    assert gm.means_ is before
