"""Rows in memory as the source of a pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from emix.rows.arrays import ArraySource, as_source
from emix.rows.sampling import Sample, sample_rows
from emix.rows.source import RowSource

X = np.random.default_rng(0).normal(size=(50, 3))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, lambda rows: np.repeat(rows, 2, 0)[::2]])
def test_column_range(layout: Any, dtype: Any) -> None:
    rows = layout(X.astype(dtype))
    rows[49, 1] = 1e30  # the last row counts
    source = ArraySource(rows)
    least, greatest = source.column_range
    np.testing.assert_array_equal(least, rows.min(axis=0))
    np.testing.assert_array_equal(greatest, rows.max(axis=0))
    assert source.column_range is source.column_range  # taken once


def test_rows_of_weight_zero_have_no_part_in_the_column_range() -> None:
    rows, weight = X.copy(), np.ones(50)
    rows[[0, 7, 8, 9, 49]] = 1e30
    weight[[0, 7, 8, 9, 49]] = 0.0
    least, greatest = ArraySource(rows, weight).column_range
    np.testing.assert_array_equal(least, rows[weight > 0.0].min(axis=0))
    np.testing.assert_array_equal(greatest, rows[weight > 0.0].max(axis=0))


def test_column_range_leaves_the_rows_alone() -> None:
    rows = X.copy()
    assert not np.shares_memory(ArraySource(rows).column_range, rows)
    np.testing.assert_array_equal(rows, X)


def test_total_weight() -> None:
    assert ArraySource(X).total_weight == 50.0
    assert ArraySource(X, np.full(50, 0.25)).total_weight == 12.5


def test_rows_are_taken_as_they_are() -> None:
    weight = np.linspace(0.0, 1.0, 50)
    for rows in (X, np.asfortranarray(X), X[::-1], X.astype(np.float32)):
        assert as_source(rows).X is rows
        assert as_source(rows).sample_weight is None
        source = as_source((rows, weight))
        assert source.X is rows and source.sample_weight is weight
        assert as_source(source) is source
    assert as_source((X, None)).sample_weight is None
    assert as_source([[1, 2], [3, 4]]).X.dtype == np.float64


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (np.array([[1.0, np.nan]]), ValueError, "data contains NaN: the first is in row 0, column 1"),
        (np.arange(3.0), ValueError, "data"),
        ((X, np.ones(7)), ValueError, "sample_weight"),
        (np.float32(X * 1e-20), ValueError, "data contains a column too small to fit: column 0 varies by"),
        ((X, -np.ones(50)), ValueError, "Negative values in sample_weight"),
    ],
)
def test_what_is_wrong_is_refused(data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        as_source(data)


def effective_rows(n_rows: int, weight: NDArray[np.float64] | None) -> float:
    return ArraySource(np.zeros((n_rows, 1)), weight).effective_rows


def test_effective_rows() -> None:
    assert effective_rows(7, None) == 7.0
    # Equal weights, whatever their unit, and rows that do not count.
    assert effective_rows(4, np.full(4, 1e-200)) == pytest.approx(4.0, rel=1e-15)
    assert effective_rows(4, np.array([0.0, 3.0, 3.0, 0.0])) == pytest.approx(2.0, rel=1e-15)
    many = np.random.default_rng(0).uniform(size=150_000)  # more than are taken at one time
    assert effective_rows(150_000, many) == pytest.approx(many.sum() ** 2 / (many @ many), rel=1e-12)
    assert effective_rows(2, np.array([1.0, 3.0])) == pytest.approx(16.0 / 10.0, rel=1e-15)


@pytest.mark.parametrize("size", [2.0**-1074, 3e-320, 2.0**-1000, 1e-11, 1e6, 1e300])
def test_extreme_weights_are_kept_in_a_unit(size: float) -> None:
    weight = size * np.array([1.0, 2.0, 0.0])
    source = ArraySource(np.zeros((3, 2)), weight)
    assert source.sample_weight is not None
    assert 1.0 <= source.sample_weight.max() < 2.0
    assert np.frexp(source.weight_unit)[0] == 0.5  # a power of two
    np.testing.assert_array_equal(source.sample_weight * source.weight_unit, weight)
    assert source.total_weight == weight.sum()
    moderate = source.without_unit()
    assert moderate.weight_unit == 1.0
    assert moderate.sample_weight is source.sample_weight


def test_ordinary_weights_are_not_copied() -> None:
    weight = np.array([0.5, 3.0, 7.0])
    source = ArraySource(np.zeros((3, 2)), weight)
    assert source.sample_weight is weight
    assert source.without_unit() is source


def test_the_largest_weight_there_is_has_a_unit() -> None:
    source = ArraySource(np.zeros((1, 1)), np.array([np.finfo(np.float64).max]))
    assert source.weight_unit == 2.0**1023
    assert source.total_weight == np.finfo(np.float64).max


@pytest.mark.parametrize("size", [1.0, 1e-200])
def test_it_is_a_row_source(size: float) -> None:
    weight = size * np.linspace(0.0, 1.0, 50)
    source: RowSource = as_source((X, weight))
    assert (source.n_rows, source.n_features, source.dtype, source.feature_names) == (50, 3, np.float64, None)
    (batch,) = source.batches(512)
    assert batch is source.whole
    assert batch.first_row == 0 and batch.X is X and batch.noise is None and batch.weight is not None
    np.testing.assert_array_equal(batch.weight * source.weight_unit, weight)
    sample = Sample(5, 10)
    summary = source.read(sample)
    assert source.read() is summary
    assert summary.n_rows == 50 and summary.n_counted == 49 and summary.first_bad is None
    assert summary.total_weight == weight.sum() and summary.largest_weight == weight.max()
    np.testing.assert_array_equal(summary.observed, [50, 50, 50])
    drawn = sample.drawn()
    np.testing.assert_array_equal(drawn.rows, sample_rows(50, 5, 10, weight))
    np.testing.assert_array_equal(drawn.weight, batch.weight[drawn.rows])


def test_names_of_columns() -> None:
    assert as_source(pd.DataFrame(X, columns=["a", "b", "c"])).feature_names == ("a", "b", "c")
    assert as_source(pd.DataFrame(X)).feature_names is None


def test_total_of_many_weights_is_summed_in_slices() -> None:
    weight = np.random.default_rng(0).uniform(size=200_000)
    total = 0.0
    for first in range(0, 200_000, 65_536):
        total += float(np.sum(weight[first : first + 65_536]))
    assert ArraySource(np.zeros((200_000, 1)), weight).total_weight == total


def test_any_source_is_taken_as_it_is() -> None:
    class Rows:
        def read(self, sample: Sample | None = None) -> Any: ...

        def batches(self, unit: int) -> Any: ...

    rows: Any = Rows()
    assert as_source(rows) is rows
