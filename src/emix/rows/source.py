"""Where the rows of a fit come from: an array, a file, anything that can hand them out in batches, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from emix.kernel.factors import Columns
from emix.rows.sampling import Sample
from emix.rows.summary import RowSummary
from emix.rows.validation import FloatArray

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EPSILON", "Batch", "RowSource", "RowSummary", "Sample", "SummarizedRows", "is_source", "without_unit"]

# Machine epsilon, by the character of the rows' dtype.
EPSILON = {character: float(np.finfo(character).eps) for character in "df"}


class Batch(NamedTuple):
    """Rows that follow one another in their source.

    Attributes
    ----------
    first_row : int
        The place of the first of them in the whole source.
    X : ndarray of shape (n, n_features), float64 or float32
        Any strides.
    weight : ndarray of shape (n,), float64, or None
        In the `weight_unit` of the source.
    noise : ndarray or None
        Kept for rows with noise of their own; None.
    """

    first_row: int
    X: FloatArray
    weight: NDArray[np.float64] | None
    noise: FloatArray | None = None


class RowSource(Protocol):
    """Rows that can be read as often as a fit has passes; each time they are the same rows in the same order."""

    @property
    def n_features(self) -> int:
        """Number of columns."""

    @property
    def n_rows(self) -> int:
        """Number of rows. A source that has to read all of them to tell does so once."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of all batches, float64 or float32."""

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Names of the columns, None if they have none."""

    @property
    def whole(self) -> Batch | None:
        """All rows, if they lie in memory; None if they do not, and only `batches` has them."""

    @property
    def weight_unit(self) -> float:
        """A power of two, in which batches have their weights; 1 unless all weights are very small or large."""

    @property
    def total_weight(self) -> float:
        """Sum of the weights, as they were given; without weights the number of rows."""

    @property
    def effective_rows(self) -> float:
        """Number of rows of equal weight that the rows are worth, (Σw)² / Σw²."""

    @property
    def columns(self) -> Columns:
        """Least and greatest value of each column, over rows of weight above zero, and their precision."""

    @property
    def kept(self) -> dict[str, Any]:
        """Results that belong to the rows and their weights, kept by whoever found them for the next run."""

    def read(self, sample: Sample | None = None) -> RowSummary:
        """Check all rows and fill `sample`.

        A source does the checks once, and remembers the summary. `sample` is one that has seen no rows yet; its
        weights are in `weight_unit`.

        Raises
        ------
        ValueError
            If a row or a weight is not one that can be fitted, or a column is too small.
        """

    def batches(self, unit: int) -> Iterator[Batch]:
        """Hand out all rows in order; each call begins again at the first row.

        Parameters
        ----------
        unit : int
            Each batch but the last has a multiple of so many rows. Batches without rows are passed over.
        """


class SummarizedRows:
    """Base of sources: the numbers that a fit takes from the summary of the rows."""

    n_features: int
    dtype: np.dtype[Any]

    def __init__(self) -> None:
        self._columns: Columns | None = None
        self.kept: dict[str, Any] = {}

    @property
    def summary(self) -> RowSummary:
        """The summary of the rows, which are read if they were not yet; weights as they were given."""
        raise NotImplementedError

    @property
    def total_weight(self) -> float:
        """Sum of the weights, as they were given; without weights the number of rows."""
        return self.summary.total_weight

    @property
    def effective_rows(self) -> float:
        """Number of rows of equal weight that the rows are worth, (Σw)² / Σw²."""
        return self.summary.effective_rows

    @property
    def columns(self) -> Columns:
        """Least and greatest value of each column, over rows of weight above zero, and their precision; taken once."""
        if self._columns is None:
            self._columns = Columns(EPSILON[self.dtype.char], self.summary.column_range)
        return self._columns

    def without_unit(self: Any) -> Any:
        """Return the same rows, their weights given in `weight_unit`: numbers of moderate size."""
        return self if self.weight_unit == 1.0 else RowsInUnit(self)

    @property
    def column_range(self) -> NDArray[np.float64]:
        """Least and greatest value of each column (2, d)."""
        found: NDArray[np.float64] = self.columns.column_range
        return found


class RowsInUnit:
    """The rows of a source, their weights given in its `weight_unit`: numbers of moderate size. A `RowSource`."""

    weight_unit = 1.0

    def __init__(self, source: RowSource) -> None:
        self.source, self.kept = source, dict[str, Any]()
        self.total_weight = source.total_weight / source.weight_unit

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "source":  # asked for before there is a source, by a copy or a pickle
            raise AttributeError(name)
        return getattr(self.source, name)

    def read(self, sample: Sample | None = None) -> RowSummary:
        """Return the summary of the rows and fill `sample`."""
        return self.source.read(sample).in_unit(self.source.weight_unit)

    def batches(self, unit: int) -> Iterator[Batch]:
        """Hand out all rows, as the source does."""
        return self.source.batches(unit)


def without_unit(source: RowSource) -> RowSource:
    """Return the same rows, their weights given in `weight_unit`."""
    if source.weight_unit == 1.0:
        return source
    own = getattr(source, "without_unit", None)
    moderate: RowSource = RowsInUnit(source) if own is None else own()
    return moderate


def is_source(data: Any) -> bool:
    """True if `data` is a `RowSource`: its class has the two methods that no array or table has."""
    return callable(getattr(type(data), "batches", None)) and callable(getattr(type(data), "read", None))
