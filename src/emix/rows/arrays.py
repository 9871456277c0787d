"""Rows that lie in memory (or in a memory map): an array, and a weight for each row if there are weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.kernel import values
from emix.kernel.factors import Columns
from emix.rows.conversion import column_names
from emix.rows.validation import FloatArray, as_rows, as_sample_weight, check_column_range

__all__ = ["ArraySource", "as_source"]

# Of rows' precisions, by their dtypes' characters.
EPSILON = {character: float(np.finfo(character).eps) for character in "df"}

# Weights are squared so many at one time: nothing as long as the rows is made.
_SLICE = 1 << 16


class ArraySource:
    """Checked rows, as a pass reads them.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features), float64 or float32
        Any strides.
    sample_weight : ndarray of shape (n_rows,), float64, or None
        In `weight_unit`.
    weight_unit : float
        A power of two; 1 unless all weights are very small or large.
    total_weight : float
        Sum of the weights, as they were given; without weights the number of rows.
    """

    def __init__(self, X: FloatArray, sample_weight: NDArray[np.float64] | None = None) -> None:
        self.X = X
        self.n_rows, self.n_features = X.shape
        self.sample_weight, self.weight_unit = _in_moderate_units(sample_weight, self.n_features)
        total = self.n_rows if self.sample_weight is None else np.sum(self.sample_weight)
        self.total_weight = self.weight_unit * float(total)
        self._columns: Columns | None = None
        self._effective_rows: float | None = None

    def without_unit(self) -> ArraySource:
        """Return the same rows, their weights given in `weight_unit`: numbers of moderate size."""
        return self if self.weight_unit == 1.0 else ArraySource(self.X, self.sample_weight)

    @property
    def effective_rows(self) -> float:
        """How many rows of equal weight the rows are worth, (Σw)² / Σw²; taken once."""
        if self._effective_rows is None:
            self._effective_rows = _effective_rows(self.n_rows, self.sample_weight)
        return self._effective_rows

    @property
    def columns(self) -> Columns:
        """Least and greatest value of each column, over rows of weight above zero, and their precision; taken once."""
        # Not a cached_property: before Python 3.12 that has one lock for all instances. Fits of other threads would
        # wait for it, and the child of a fork for ever.
        if self._columns is None:
            extremes, kind = np.empty((2, self.n_features)), self.X.dtype.char
            values.column_range(self.X, self.sample_weight, kind == "f", extremes)
            self._columns = Columns(EPSILON[kind], extremes)
        return self._columns

    @property
    def column_range(self) -> NDArray[np.float64]:
        """Least and greatest value of each column (2, d)."""
        found: NDArray[np.float64] = self.columns.column_range
        return found


def _in_moderate_units(
    sample_weight: NDArray[np.float64] | None, n_features: int
) -> tuple[NDArray[np.float64] | None, float]:
    """Weights whose sums with squares stay within single precision, and their unit, a power of two.

    They are copied only where the largest of them is out of the ordinary.
    """
    if sample_weight is None:
        return None, 1.0
    largest = float(sample_weight.max())
    # Rows go up to 1e15, their distance from an origin up to 2e15 in each of d features, and where ‖z‖² is one number
    # for all features (kernel/origin.pxi), a block of 512 rows adds up 512 w d 4e30 before it is widened: w d ≤ 1.5e5
    # keeps that below 3.1e38, as w ≤ 1e5 does what is summed feature by feature. From 1e-10 up, w r is a normal number
    # of single precision for responsibilities r down to 1e-27.
    if 1e-10 < largest < min(1e5, 1.5e5 / n_features):
        return sample_weight, 1.0
    unit = math.ldexp(0.5, math.frexp(largest)[1])
    return sample_weight / unit, unit


def _effective_rows(n_rows: int, sample_weight: NDArray[np.float64] | None) -> float:
    if sample_weight is None:
        return float(n_rows)
    largest = sample_weight.max()
    slices = (sample_weight[i : i + _SLICE] / largest for i in range(0, n_rows, _SLICE))
    squares = sum(float(scaled @ scaled) for scaled in slices)
    return float((sample_weight.sum() / largest) ** 2 / squares)


def as_source(data: Any) -> ArraySource:
    """Take rows, or a pair of rows and their weights, as a source.

    Parameters
    ----------
    data : array_like of shape (n_rows, n_features), tuple (rows, sample_weight), or ArraySource

    Returns
    -------
    ArraySource

    Raises
    ------
    TypeError, ValueError
        If the rows or weights are not what they should be.
    """
    if isinstance(data, ArraySource):
        return data
    rows, weight = data if isinstance(data, tuple) else (data, None)
    X = as_rows(rows, name="data", caller="GaussianModel", to_fit=True)
    source = ArraySource(X, as_sample_weight(weight, X.shape[0]))
    check_column_range(source.columns, X.dtype.char, column_names(rows), name="data")
    return source
