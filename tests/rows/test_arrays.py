"""Rows in memory as the source of a pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emix.rows.arrays import ArraySource, as_source

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
