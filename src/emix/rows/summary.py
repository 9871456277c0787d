"""Numbers that a fit has to know of all rows before it begins: they add, and so are taken batch by batch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.kernel import values
from emix.rows.refusals import BadValue, first_bad_value

if TYPE_CHECKING:
    from emix.rows.source import Batch

__all__ = ["Reading", "RowSummary", "WeightSums", "weight_unit"]

# Weights are summed in slices of so many rows, counted from the first row of the source. The totals of an array and of
# a stream of its rows have the same bits, and nothing as long as the rows is made.
_SLICE = 1 << 16


@dataclass(frozen=True, eq=False)
class RowSummary:
    """Numbers of a range of rows; those of two ranges add to those of both.

    Addition is associative, up to the rounding of sums. It is commutative, up to the row of `first_bad`: the rows of
    the second range come after those of the first.

    Attributes
    ----------
    n_rows : int
    n_counted : int
        Rows of weight above zero.
    total_weight, largest_weight : float
        Of the weights as they were given; each weight is 1 where there are none.
    squared_weight : float
        Σ (w / `largest_weight`)²: squares of very small or large weights would not be numbers.
    column_range : ndarray of shape (2, n_features), float64
        Least and greatest value of each column, over rows of weight above zero; +inf and −inf where there are none.
    observed : ndarray of shape (n_features,), int64
        How many values of each column are not NaN.
    first_bad : BadValue or None
        The first value that no complete row may have: NaN, infinite or too large. Its row counts from the first row of
        the range.
    """

    n_rows: int
    n_counted: int
    total_weight: float
    largest_weight: float
    squared_weight: float
    column_range: NDArray[np.float64]
    observed: NDArray[np.int64]
    first_bad: BadValue | None = None

    @classmethod
    def of(cls, batch: Batch) -> RowSummary:
        """Return the summary of one batch, as if it were the whole source."""
        reading = Reading(batch.X.shape[1])
        reading.add(batch)
        return reading.summary()

    def __add__(self, other: RowSummary) -> RowSummary:
        if not isinstance(other, RowSummary):
            return NotImplemented
        if self.column_range.shape != other.column_range.shape:
            raise ValueError(
                f"summaries of rows of {len(self.observed)} and of {len(other.observed)} columns were added, expected "
                "the same columns."
            )
        first_bad = self.first_bad
        if first_bad is None and other.first_bad is not None:
            first_bad = other.first_bad._replace(row=self.n_rows + other.first_bad.row)
        weights = _weights_of(self) + _weights_of(other)
        return RowSummary(
            self.n_rows + other.n_rows,
            *weights,
            _wider(self.column_range, other.column_range),
            self.observed + other.observed,
            first_bad,
        )

    @property
    def effective_rows(self) -> float:
        """Number of rows of equal weight that the rows are worth, (Σw)² / Σw²."""
        return _weights_of(self).effective_rows

    def in_unit(self, unit: float) -> RowSummary:
        """Return the summary of the same rows, their weights divided by `unit`, a power of two."""
        return replace(self, total_weight=self.total_weight / unit, largest_weight=self.largest_weight / unit)


class WeightSums(NamedTuple):
    """The part of a summary that follows from the weights alone; see `RowSummary`."""

    n_counted: int
    total: float
    largest: float
    squared: float

    @classmethod
    def of(cls, weight: NDArray[np.float64]) -> WeightSums:
        """Sums over weights, slice by slice."""
        found = cls(0, 0.0, 0.0, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused elsewhere
            for start in range(0, len(weight), _SLICE):
                found += cls._of_slice(weight[start : start + _SLICE])
        return found

    @classmethod
    def of_equal(cls, n_rows: int) -> WeightSums:
        """Sums over rows without weights: each has the weight 1."""
        return cls(n_rows, float(n_rows), 1.0 if n_rows > 0 else 0.0, float(n_rows))

    @classmethod
    def _of_slice(cls, weight: NDArray[np.float64]) -> WeightSums:
        largest = float(np.maximum.reduce(weight))
        if largest == 0.0:
            return cls(0, 0.0, 0.0, 0.0)
        scaled = weight / largest
        return cls(int(np.count_nonzero(weight)), float(np.add.reduce(weight)), largest, float(scaled @ scaled))

    def __add__(self, other: object) -> WeightSums:  # of tuples, it would put one behind the other
        if not isinstance(other, WeightSums):
            return NotImplemented
        largest = max(self.largest, other.largest)
        squared = 0.0
        if largest > 0.0:
            squared = self.squared * (self.largest / largest) ** 2 + other.squared * (other.largest / largest) ** 2
        return WeightSums(self.n_counted + other.n_counted, self.total + other.total, largest, squared)

    @property
    def effective_rows(self) -> float:
        """(Σw)² / Σw²; 0 without weight."""
        if self.largest == 0.0:
            return 0.0
        equal = self.total / self.largest
        # Not equal² / squared: n rows of equal weight come to n, also where n² needs more than 53 bits.
        return equal * (equal / self.squared)


class Reading:
    """Takes the summary of rows that come in batches, in the order of the rows.

    Parameters
    ----------
    n_features : int
    """

    def __init__(self, n_features: int) -> None:
        self.n_rows = 0
        self.first_bad: BadValue | None = None
        self._column_range = np.array([[math.inf], [-math.inf]]).repeat(n_features, axis=1)
        self._observed = np.zeros(n_features, dtype=np.int64)
        self._weights = WeightSums(0, 0.0, 0.0, 0.0)
        self._n_waiting, self._waiting = 0, np.empty(0)

    def add(self, batch: Batch) -> None:
        """Add the rows of the next batch."""
        n_rows = len(batch.X)
        if n_rows == 0:
            return
        X, kind = batch.X, batch.X.dtype.char
        bad = first_bad_value(X)
        if bad is not None and self.first_bad is None:
            self.first_bad = bad._replace(row=self.n_rows + bad.row)
        self._observed += n_rows if bad is None else np.count_nonzero(~np.isnan(X), axis=0)
        extremes = np.empty_like(self._column_range)
        values.column_range(X, batch.weight, kind == "f", extremes)
        self._column_range = _wider(self._column_range, extremes)
        if batch.weight is None:
            self._weights += WeightSums.of_equal(n_rows)
        else:
            self._add_weights(batch.weight)
        self.n_rows += n_rows

    def summary(self) -> RowSummary:
        """Return the summary of all rows so far."""
        weights = self._weights
        if self._n_waiting > 0:
            weights += WeightSums.of(self._waiting[: self._n_waiting])
        return RowSummary(self.n_rows, *weights, self._column_range, self._observed.copy(), self.first_bad)

    def _add_weights(self, weight: NDArray[np.float64]) -> None:
        """Sum whole slices; the rows of the last one, which may not be whole, wait for the next batch."""
        if len(self._waiting) == 0:
            self._waiting = np.empty(_SLICE)
        start = 0
        while start < len(weight):
            count = min(_SLICE - self._n_waiting, len(weight) - start)
            self._waiting[self._n_waiting : self._n_waiting + count] = weight[start : start + count]
            start, self._n_waiting = start + count, self._n_waiting + count
            if self._n_waiting == _SLICE:
                self._weights += WeightSums.of(self._waiting)
                self._n_waiting = 0


def weight_unit(largest: float, n_features: int) -> float:
    """Return the power of two in which sums of weights with squares stay within single precision.

    It is 1 unless the largest weight is out of the ordinary.
    """
    # kernel/shared/limits.pxi has the reason for these limits.
    if values.least_weight < largest < min(values.most_weight, values.most_weight_all_features / n_features):
        return 1.0
    return math.ldexp(0.5, math.frexp(largest)[1])


def _weights_of(summary: RowSummary) -> WeightSums:
    return WeightSums(summary.n_counted, summary.total_weight, summary.largest_weight, summary.squared_weight)


def _wider(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """The range of both ranges of columns (2, d)."""
    return np.stack([np.minimum(first[0], second[0]), np.maximum(first[1], second[1])])
