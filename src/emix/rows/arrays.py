"""Rows that lie in memory (or in a memory map): an array, and a weight for each row if there are weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.kernel import values

from .conversion import column_names
from .validation import FloatArray, as_rows, as_sample_weight, check_column_range

__all__ = ["ArraySource", "as_source"]


class ArraySource:
    """Checked rows, as a pass reads them.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features), float64 or float32
        Any strides.
    sample_weight : ndarray of shape (n_rows,), float64, or None
    total_weight : float
        Sum of the weights; without weights the number of rows.
    """

    def __init__(self, X: FloatArray, sample_weight: NDArray[np.float64] | None = None) -> None:
        self.X = X
        self.sample_weight = sample_weight
        self.n_rows, self.n_features = X.shape
        self.total_weight = float(self.n_rows if sample_weight is None else np.sum(sample_weight))
        self._column_range: NDArray[np.float64] | None = None

    @property
    def column_range(self) -> NDArray[np.float64]:
        """Least and greatest value of each column (2, d), over rows of weight above zero; taken once."""
        # Not a cached_property: before Python 3.12 that has one lock for all instances. Fits of other threads would
        # wait for it, and the child of a fork for ever.
        if self._column_range is None:
            extremes = np.empty((2, self.n_features))
            values.column_range(self.X, self.sample_weight, self.X.dtype.char == "f", extremes)
            self._column_range = extremes
        return self._column_range


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
    check_column_range(source.column_range, X.dtype.char, column_names(rows), name="data")
    return source
