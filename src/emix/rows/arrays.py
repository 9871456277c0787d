"""Rows that lie in memory (or in a memory map): an array, and a weight for each row if there are weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from emix.kernel import values
from emix.kernel.factors import Columns
from emix.rows.conversion import column_names
from emix.rows.opening import stream_of
from emix.rows.sampling import Drawn, Sample, sample_rows
from emix.rows.source import EPSILON, Batch, RowSource, is_source
from emix.rows.summary import RowSummary, WeightSums, weight_unit
from emix.rows.validation import FloatArray, as_rows, as_sample_weight, check_column_range

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ArraySource", "SampledRows", "as_source"]


class ArraySource:
    """Checked rows in memory: a `RowSource` that has them whole.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features), float64 or float32
        Any strides; not copied.
    sample_weight : ndarray of shape (n_rows,), float64, or None
        Copied only where all weights are very small or large.
    feature_names : tuple of str or None
    columns : Columns or None
        Ranges of the columns, where they are known.
    weight_sums : WeightSums or None
        Of `sample_weight`, where they are known.

    Attributes
    ----------
    X, feature_names
        As they were passed.
    n_rows, n_features : int
    dtype : dtype
        Of the rows.
    sample_weight : ndarray of shape (n_rows,), float64, or None
        In `weight_unit`.
    weight_unit : float
        A power of two; 1 unless all weights are very small or large.
    total_weight : float
        Sum of the weights, as they were given; without weights the number of rows.
    kept : dict
        Results that belong to the rows and their weights, kept by whoever found them for the next run.
    whole : Batch
        All rows.
    """

    _columns: Columns | None = None
    _weights: WeightSums | None = None
    _summary: RowSummary | None = None

    def __init__(
        self,
        X: FloatArray,
        sample_weight: NDArray[np.float64] | None = None,
        feature_names: tuple[str, ...] | None = None,
        columns: Columns | None = None,
        weight_sums: WeightSums | None = None,
    ) -> None:
        self._columns = columns
        self.kept: dict[str, Any] = {}
        self.X, self.dtype, self.feature_names = X, X.dtype, feature_names
        self.n_rows, self.n_features = X.shape
        self.sample_weight, self.weight_unit = sample_weight, 1.0
        self.total_weight = float(self.n_rows)
        if sample_weight is not None:
            self._weights = WeightSums.of(sample_weight) if weight_sums is None else weight_sums
            self.total_weight = self._weights.total
            self.weight_unit = weight_unit(self._weights.largest, self.n_features)
            if self.weight_unit != 1.0:
                self.sample_weight = sample_weight / self.weight_unit
        self.whole = Batch(0, X, self.sample_weight)

    def without_unit(self) -> ArraySource:
        """Return the same rows, their weights given in `weight_unit`: numbers of moderate size."""
        return (
            self
            if self.weight_unit == 1.0
            else ArraySource(self.X, self.sample_weight, self.feature_names, self._columns)
        )

    @property
    def effective_rows(self) -> float:
        """Number of rows of equal weight that the rows are worth, (Σw)² / Σw²."""
        return float(self.n_rows) if self._weights is None else self._weights.effective_rows

    @property
    def columns(self) -> Columns:
        """Least and greatest value of each column, over rows of weight above zero, and their precision; taken once."""
        # Not a cached_property: before Python 3.12 that has one lock for all instances. Fits of other threads would
        # wait for it, and the child of a fork for ever.
        if self._columns is None:
            extremes, kind = np.empty((2, self.n_features)), self.dtype.char
            values.column_range(self.X, self.sample_weight, kind == "f", extremes)
            self._columns = Columns(EPSILON[kind], extremes)
        return self._columns

    @property
    def column_range(self) -> NDArray[np.float64]:
        """Least and greatest value of each column (2, d)."""
        found: NDArray[np.float64] = self.columns.column_range
        return found

    @property
    def summary(self) -> RowSummary:
        """The summary of the rows; taken once."""
        if self._summary is None:
            observed = np.full(self.n_features, self.n_rows, dtype=np.int64)
            weights = self._weights or WeightSums.of_equal(self.n_rows)
            self._summary = RowSummary(self.n_rows, *weights, self.column_range, observed)
        return self._summary

    @property
    def all_rows(self) -> RowSource:
        """The source of all rows that are counted in `n_rows`."""
        return self

    @property
    def is_sample(self) -> bool:
        """True if `X` has not all the rows that are counted in `n_rows`."""
        return bool(len(self.X) < self.n_rows)

    def draw(self, seed: int, size: int) -> NDArray[np.intp]:
        """Return the places in `X` of a sample of `sample_rows`, ascending."""
        return sample_rows(self.n_rows, seed, size, self.sample_weight)

    def read(self, sample: Sample | None = None) -> RowSummary:
        """Return the summary of the rows, which were checked before, and fill `sample`."""
        if sample is not None:
            sample.add(self.whole)
        return self.summary

    def batches(self, unit: int) -> Iterator[Batch]:
        """Hand out all rows at once."""
        yield self.whole


class SampledRows(ArraySource):
    """Rows of a source that is not in memory, of which a fit makes its starts; all rows, if they are few.

    Parameters
    ----------
    drawn : Drawn
    source : RowSource
        Its weights have the unit 1.
    seed : int
        Of the sample.

    Attributes
    ----------
    n_rows : int
        Of the source: so many rows has the fit.
    """

    def __init__(self, drawn: Drawn, source: RowSource, seed: int) -> None:
        super().__init__(drawn.X, None, source.feature_names)
        self.whole = Batch(0, drawn.X, drawn.weight)
        self.sample_weight, self.n_rows = drawn.weight, source.n_rows
        self.total_weight, self._columns, self._summary = source.total_weight, source.columns, source.read()
        self._seed, self._keys, self._all_rows = seed, drawn.keys, source

    @property
    def all_rows(self) -> RowSource:
        """The source from which the rows were drawn; this one, if it has them all."""
        return self._all_rows if self.is_sample else self

    @property
    def effective_rows(self) -> float:
        """Number of rows of equal weight that all rows of the source are worth, (Σw)² / Σw²."""
        return self.summary.effective_rows

    def draw(self, seed: int, size: int) -> NDArray[np.intp]:
        """Return the places in `X` of a sample; under the seed of this one, of the rows that all rows would give."""
        if not self.is_sample:
            return super().draw(seed, size)
        if seed % 2**64 != self._seed % 2**64:
            return sample_rows(len(self.X), seed, size)
        if size >= len(self.X):
            return np.arange(len(self.X))
        return np.sort(np.argpartition(self._keys, size - 1)[:size])


@overload
def as_source(data: RowSource) -> RowSource: ...
@overload
def as_source(data: Any) -> Any: ...
def as_source(data: Any) -> RowSource:
    """Take rows, or a pair of rows and their weights, as a source.

    Parameters
    ----------
    data : array_like of shape (n_rows, n_features), tuple (rows, sample_weight), RowSource, or what `stream_of` takes

    Returns
    -------
    RowSource
        `data` itself if it is one, else an `ArraySource`, or a stream of rows that do not lie in memory.

    Raises
    ------
    TypeError, ValueError
        If the rows or weights are not what they should be.
    """
    # The tests for other kinds of data take half a microsecond of four. An array, the usual case, skips them.
    if type(data) is ArraySource or (type(data) is not np.ndarray and is_source(data)):
        source: RowSource = data
        return source
    rows, weight = data if isinstance(data, tuple) else (data, None)
    if (stream := stream_of(rows, weight, name="data")) is not None:
        return stream
    X = as_rows(rows, name="data", caller="GaussianModel", to_fit=True)
    names = column_names(rows)
    named = names is not None and all(isinstance(name, str) for name in names)
    in_memory = ArraySource(X, as_sample_weight(weight, X.shape[0]), tuple(names) if names and named else None)
    check_column_range(in_memory.columns, X.dtype.char, names, name="data")
    return in_memory
