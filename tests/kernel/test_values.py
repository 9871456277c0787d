"""Questions about the values of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emix.kernel.values import column_range, within

ORDERS = {
    "C": lambda X: X,
    "Fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
}
each_order = pytest.mark.parametrize("order", ORDERS)
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def rows(dtype: Any, order: str) -> NDArray[Any]:
    X: NDArray[Any] = np.random.default_rng(0).normal(size=(7, 3)).astype(dtype)
    return np.asarray(ORDERS[order](X))


@each_order
@each_dtype
def test_values_within_a_limit(dtype: Any, order: str) -> None:
    for place in ((0, 0), (3, 1), (6, 2)):
        for value, expected in ((10.0, True), (-10.0, True), (10.5, False), (-10.5, False)):
            X = rows(dtype, order)
            X[place] = value
            X.flags.writeable = False
            assert within(X, dtype is np.float32, 10.0) is expected
        for value in (np.nan, np.inf, -np.inf):
            X = rows(dtype, order)
            X[place] = value
            assert not within(X, dtype is np.float32, float(np.finfo(dtype).max))


@each_dtype
@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0])
def test_no_value_is_overlooked(dtype: Any, value: float) -> None:
    X = np.ones((4, 5), dtype)
    assert within(X, dtype is np.float32, 1.0)
    for place in np.ndindex(X.shape):
        other = X.copy()
        other[place] = value
        assert not within(other, dtype is np.float32, 1.0)


@each_order
@each_dtype
def test_range_of_more_rows_than_a_block(dtype: Any, order: str) -> None:
    X = ORDERS[order](np.random.default_rng(1).normal(size=(601, 2)).astype(dtype))
    extremes = np.full((2, 2), np.nan)
    column_range(X, None, dtype is np.float32, extremes)
    np.testing.assert_array_equal(extremes, [X.min(axis=0), X.max(axis=0)])


@each_order
@each_dtype
def test_column_range(dtype: Any, order: str) -> None:
    X = rows(dtype, order)
    for n_rows in (1, 2, 7):
        extremes = np.full((2, 3), np.nan)
        column_range(X[:n_rows], None, dtype is np.float32, extremes)
        np.testing.assert_array_equal(extremes, [X[:n_rows].min(axis=0), X[:n_rows].max(axis=0)])
    weight = np.array([0.0, 1.0, 0.0, 2.0, 1e-300, 0.0, 0.0])
    column_range(X, weight, dtype is np.float32, extremes)
    np.testing.assert_array_equal(extremes, [X[[1, 3, 4]].min(axis=0), X[[1, 3, 4]].max(axis=0)])


def test_what_does_not_belong_to_the_rows_is_refused() -> None:
    X = np.zeros((5, 3))
    with pytest.raises(ValueError, match="extremes are 2 × 2, expected 2 × 3"):
        column_range(X, None, False, np.empty((2, 2)))
    with pytest.raises(ValueError, match="extremes are 1 × 3, expected 2 × 3"):
        column_range(X.astype(np.float32), None, True, np.empty((1, 3)))
    with pytest.raises(ValueError, match="weight has 4 numbers, expected 5"):
        column_range(X, np.ones(4), False, np.empty((2, 3)))
