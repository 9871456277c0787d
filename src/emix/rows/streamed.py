"""Rows that are read anew in each pass, in pieces of any length, and handed out in batches of equal length."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from emix.kernel.factors import Columns
from emix.rows.pieces import check_alike
from emix.rows.reading_ahead import read_ahead
from emix.rows.refusals import (
    check_total_weight,
    first_bad_value,
    first_bad_weight,
    refusal_of_value,
    refusal_of_weight,
)
from emix.rows.source import EPSILON, Batch, SummarizedRows
from emix.rows.summary import Reading, weight_unit
from emix.rows.validation import check_column_range
from emix.rows.watching import watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from emix.rows.pieces import Layout, Piece
    from emix.rows.sampling import Sample
    from emix.rows.summary import RowSummary

__all__ = ["StreamedRows"]

# A batch has at most so many rows, and so many bytes. Three of them are held: one is computed, one is ready, one is
# being read.
_BATCH_ROWS = 1 << 16
_BATCH_BYTES = 8 << 20

# Sums of the same weights in blocks of another length differ by rounding, but by less than this share.
_ROUNDING_OF_WEIGHTS = 1e-9


class _Origin(NamedTuple):
    """Where rows of a batch come from: row `at` of the batch is row `row` of its file or block."""

    at: int
    called: Callable[[int], str]
    row: int


class _Filled(NamedTuple):
    batch: Batch
    layout: Layout
    origins: list[_Origin]

    def place(self, row: int) -> tuple[str, int]:
        """The file or block of a row of the batch, and the row's number there."""
        origin = next(origin for origin in reversed(self.origins) if origin.at <= row)
        row += origin.row - origin.at
        return origin.called(row), row


class StreamedRows(SummarizedRows):
    """Base of sources that read their rows in each pass: a `RowSource`, of which a derived class gives the pieces.

    Parameters
    ----------
    sample_weight : ndarray of shape (n_rows,), float64, or None
        Weights of the rows, where the pieces have none.
    weight_name : str
        Of the weights, in messages.

    Attributes
    ----------
    whole : None
        The rows do not lie in memory.
    """

    n_rows: int
    feature_names: tuple[str, ...] | None
    whole = None
    _summary: RowSummary | None = None
    _layout: Layout | None = None  # of all pieces; None until it is known
    _divisor = 1.0

    def __init__(self, sample_weight: NDArray[np.float64] | None = None, weight_name: str = "sample_weight") -> None:
        super().__init__()
        self.sample_weight, self._weight_name = sample_weight, weight_name

    def __getattr__(self, name: str) -> Any:
        # A derived class that does not know them before the first pass makes it when they are asked for.
        if name in ("n_rows", "n_features", "dtype", "feature_names"):
            self.read()
            return self.__dict__[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def pieces(self, most: int) -> Iterator[Piece]:
        """Hand out all rows in order, in pieces of any length; `most` is the length of a batch.

        A thread of its own asks for them, one after another.
        """
        raise NotImplementedError

    def with_weights(self, sample_weight: NDArray[np.float64] | None) -> Self:
        """Return a source of the same rows with these weights."""
        weighted = copy.copy(self)
        weighted.sample_weight, weighted._weight_name = sample_weight, "sample_weight"
        weighted.kept, weighted._summary, weighted._columns, weighted._divisor = {}, None, None, 1.0
        return weighted

    @property
    def summary(self) -> RowSummary:
        """The summary of the rows, which are read if they were not yet."""
        return self.read()

    @property
    def weight_unit(self) -> float:
        """A power of two, in which batches have their weights; 1 unless all weights are very small or large."""
        self.read()
        return self._divisor

    def read(self, sample: Sample | None = None) -> RowSummary:
        """Check all rows, once, and fill `sample`, which has seen no rows yet.

        Raises
        ------
        ValueError
            If there are no rows, a value is missing, NaN, infinite or too large, a weight is not one, or a column is
            too small; or if a piece has other columns or types than the first. Messages name the file or block, and the
            row within it, from 0.
        """
        if self._summary is None:
            return self._read(sample)
        if sample is not None:
            for batch in self.batches(1):
                sample.add(batch)
        return self._summary

    def batches(self, unit: int) -> Iterator[Batch]:
        """Hand out all rows in order, in arrays that are the caller's to keep; the next is read meanwhile.

        Parameters
        ----------
        unit : int
            Each batch but the last has a multiple of so many rows: no more than 65 536, or than 8 MB of them, unless
            `unit` is more.

        Raises
        ------
        ValueError
            If the rows are not those of the first pass, by their number or by the sum of their weights.
        """
        self.read()
        return watched(read_ahead(self._again(unit)), lambda batch: len(batch.X), self._expected_rows)

    def once(self) -> Iterator[tuple[Batch, tuple[str, ...] | None]]:
        """Hand out all rows and the columns' names, weights as they were given, each checked to be a finite number.

        Unlike `batches` this needs no pass before it.
        """
        for batch, layout, _ in self._first_pass(to_fit=False):
            yield batch, layout.feature_names

    def check_again(self) -> None:
        """Check all values once more, where a later pass has found that there must be one that no fit can take.

        Raises
        ------
        ValueError
            With the first value of the rows, as they are now, that is missing, NaN, infinite or too large.
        """
        try:
            for _ in self._checked(to_fit=True):
                pass
        except ValueError as error:
            raise ValueError(
                f"The rows changed between passes. {error} The first pass found no such fault, and each pass must "
                "give the same rows in the same order."
            ) from error

    def _first_pass(self, *, to_fit: bool) -> Iterator[_Filled]:
        return watched(read_ahead(self._checked(to_fit)), lambda filled: len(filled.batch.X), self._expected_rows)

    def _expected_rows(self) -> float | None:
        """Number of rows of a pass, None while it is not known: for whoever shows how far a pass is."""
        return self.__dict__.get("n_rows")

    def _checked(self, to_fit: bool) -> Iterator[_Filled]:
        for filled in self._fill(1):
            batch, layout, _ = filled
            if (bad := first_bad_value(batch.X, to_fit=to_fit)) is not None:
                name, row = filled.place(bad.row)
                bad = bad._replace(row=row)
                raise ValueError(refusal_of_value(bad, layout.dtype.char, layout.feature_names, name=name))
            if batch.weight is not None and (found := first_bad_weight(batch.weight)) is not None:
                name, row = filled.place(found)
                given = self.sample_weight is not None
                name, row = (self._weight_name, batch.first_row + found) if given else (self._weight_of(name), row)
                raise ValueError(refusal_of_weight(batch.weight[found], row, name))
            yield filled

    def _weight_of(self, name: str) -> str:
        """Name of the weights of a file or block, for messages."""
        return f"the weights of {name}"

    def _read(self, sample: Sample | None) -> RowSummary:
        reading, layout = None, None
        for batch, layout, _ in self._first_pass(to_fit=True):
            reading = reading or Reading(layout.n_features)
            reading.add(batch)
            if sample is not None:
                sample.add(batch)
        if reading is None or layout is None:
            raise ValueError(
                f"{self._called()}: Found array with 0 sample(s) while a minimum of 1 is required. Pass at least one "
                "row."
            )
        summary, divisor = reading.summary(), 1.0
        if self.sample_weight is not None and len(self.sample_weight) != summary.n_rows:
            raise self._other_length(summary.n_rows)
        if layout.weighted or self.sample_weight is not None:
            total, largest = summary.total_weight, summary.largest_weight
            check_total_weight(total, largest, summary.n_rows, self._weight_name, self._weight_argument())
            divisor = weight_unit(summary.largest_weight, layout.n_features)
        kind = layout.dtype.char
        columns = Columns(EPSILON[kind], summary.column_range)
        check_column_range(columns, kind, layout.feature_names, name=self._called())
        if sample is not None:
            sample.divide_weights(divisor)
        # All at once, when nothing can fail any more: another thread may read the same source.
        known = {"n_rows": summary.n_rows, "n_features": layout.n_features, "dtype": layout.dtype}
        self.__dict__.update(
            known,
            feature_names=layout.feature_names,
            _layout=layout,
            _divisor=divisor,
            _columns=columns,
            _summary=summary,
        )
        return summary

    def _again(self, unit: int) -> Iterator[Batch]:
        """Batches of a later pass, whose rows have to be those of the first."""
        summary = self.read()
        divisor, n_rows, total, last = self._divisor, 0, 0.0, ""
        for filled in self._fill(unit):
            batch = filled.batch
            n_rows += len(batch.X)
            last, _ = filled.place(len(batch.X) - 1)
            if n_rows > summary.n_rows:
                raise self._changed(f"more than {summary.n_rows} rows, which are exceeded in {last}", summary)
            if batch.weight is not None:
                total += float(np.sum(batch.weight))
                if divisor != 1.0:
                    batch = batch._replace(weight=batch.weight / divisor)
            yield batch
        if n_rows != summary.n_rows:
            raise self._changed(f"{n_rows} rows" + (f", the last in {last}" if last else ""), summary)
        if total and abs(total - summary.total_weight) > _ROUNDING_OF_WEIGHTS * summary.total_weight:
            raise self._changed(f"weights with the sum {total:.10g}", summary)

    def _changed(self, found: str, summary: RowSummary) -> ValueError:
        expected = f"{summary.n_rows} rows"
        if found.startswith("weights"):
            expected = f"{summary.total_weight:.10g}"
        return ValueError(
            f"{self._called()} gave {found}, expected {expected}, as in the first pass: each pass must hand out the "
            "same rows in the same order, from the first on."
        )

    def _other_length(self, n_rows: int) -> ValueError:
        assert self.sample_weight is not None
        return ValueError(
            f"sample_weight.shape == {self.sample_weight.shape}, expected ({n_rows},): one weight for each row of "
            f"{self._called()}, of which there are {n_rows}."
        )

    def _called(self) -> str:
        """Name of the rows, for messages."""
        return type(self).__name__

    def _weight_argument(self) -> str:
        """Name of the argument that leaves out the weights with None, for messages."""
        return "sample_weight"

    def _fill(self, unit: int) -> Iterator[_Filled]:
        """Batches that begin and end without regard to pieces."""
        layout, first = self._layout, "the first pass"
        length = _BATCH_ROWS if layout is None else _length_of(unit, layout)
        first_row = filled = 0
        X: Any = None
        weight: NDArray[np.float64] | None = None
        origins: list[_Origin] = []
        for piece in self.pieces(length):
            if piece.n_rows == 0:
                continue
            if layout is None:
                layout, first = piece.layout, piece.called(piece.first_row)
                length = _length_of(unit, layout)
            elif piece.layout is not layout:
                check_alike(layout, piece, first)
            taken = 0
            while taken < piece.n_rows:
                if X is None:
                    X, weight = self._room(length, first_row, layout)
                count = min(len(X) - filled, piece.n_rows - taken)
                part = slice(filled, filled + count)
                piece.put(taken, X[part], None if weight is None else weight[part])
                origins.append(_Origin(filled, piece.called, piece.first_row + taken))
                taken, filled = taken + count, filled + count
                if filled == len(X):
                    yield self._filled(first_row, X, weight, layout, origins)
                    first_row, filled, X, origins = first_row + filled, 0, None, []
        if filled and layout is not None:
            yield self._filled(first_row, X[:filled], None if weight is None else weight[:filled], layout, origins)

    def _room(self, length: int, first_row: int, layout: Layout) -> tuple[Any, NDArray[np.float64] | None]:
        """Arrays for the next batch: new ones cost a tenth of what PyArrow's reading takes, and can be kept."""
        n_rows: int | None = self.__dict__.get("n_rows")
        if n_rows is not None and n_rows > first_row:
            length = min(length, n_rows - first_row)
        X = np.empty((length, layout.n_features), layout.dtype, order=layout.order)
        return X, np.empty(length) if layout.weighted else None

    def _filled(
        self, first_row: int, X: Any, weight: NDArray[np.float64] | None, layout: Layout, origins: list[_Origin]
    ) -> _Filled:
        if self.sample_weight is not None:
            weight = self.sample_weight[first_row : first_row + len(X)]
            if len(weight) < len(X):
                raise ValueError(
                    f"sample_weight.shape == {self.sample_weight.shape}, expected one weight for each row, but "
                    f"{origins[-1].called(origins[-1].row)} has rows up to number {first_row + len(X) - 1}."
                )
        return _Filled(Batch(first_row, X, weight), layout, origins)


def _length_of(unit: int, layout: Layout) -> int:
    """Number of rows of a batch."""
    most = min(_BATCH_ROWS, _BATCH_BYTES // (layout.n_features * layout.dtype.itemsize))
    return max(unit, most - most % unit)
