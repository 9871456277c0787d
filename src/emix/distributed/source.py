"""A dask array or data frame as a source of rows: its partitions stay where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from itertools import accumulate
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from emix.distributed.partitions import Partitions
from emix.distributed.scores import lazy_scores
from emix.distributed.sums import DistributedSums
from emix.distributed.tasks import Checked, Drawing, Known, Place, checked_rows, drawn_rows, rows_of
from emix.kernel.factors import Columns
from emix.rows.pieces import ArrayPiece, check_alike
from emix.rows.refusals import check_total_weight, refusal_of_value, refusal_of_weight
from emix.rows.sampling import LARGEST_KEY, Drawn, Sample, likely_key, sample_size
from emix.rows.source import EPSILON
from emix.rows.streamed import StreamedRows
from emix.rows.summary import RowSummary, weight_unit
from emix.rows.validation import check_column_range

if TYPE_CHECKING:
    from emix.gaussian.scoring import Scores
    from emix.rows.pieces import Piece

__all__ = ["DaskSource"]


class DaskSource(StreamedRows):
    """Rows of a dask array or data frame: a `RowSource` that takes sums where the rows lie.

    Whoever asks for `batches` gets the partitions one after another in this process.

    Parameters
    ----------
    rows : dask array or dask data frame
    sample_weight : dask array, dask series, array_like of shape (n_rows,), or None
    name : str
        Of the rows in messages.

    Attributes
    ----------
    partitions : Partitions
    """

    def __init__(self, rows: Any, sample_weight: Any = None, name: str = "X") -> None:
        super().__init__(None)
        self._name = name
        self.partitions = Partitions(rows, sample_weight, name)
        self._places: list[Place] = []

    def read(self, sample: Sample | None = None) -> RowSummary:
        """Check all rows, once, where they lie, and fill `sample`, which has seen no rows yet.

        Numbers of rows are found in this pass. Where they were not known before, the sample is drawn in one more.

        Raises
        ------
        RuntimeError
            If a worker has no emix, or another version or level of it.
        ValueError
            As `StreamedRows.read`; messages name the partition, and the row within it, from 0.
        """
        summary, drawn = self._summary, None
        if summary is None:
            lengths = self.partitions.lengths
            drawings = None
            if sample is not None and lengths is not None:
                drawings = self._drawings(sample, lengths)
            self.partitions.check_workers()
            each: Sequence[Drawing | None] = drawings or [None] * len(self.partitions)
            own = zip(self.partitions.places(), each)
            tasks = [partial(checked_rows, place=place, drawing=drawing) for place, drawing in own]
            found = self.partitions.each(tasks)
            summary = self._summed(found)
            drawn = None if drawings is None else [one.drawn for one in found]
        if sample is not None:
            self._draw(sample, summary, drawn)
        return summary

    @property
    def header(self) -> tuple[tuple[str, ...] | None, int]:
        """Names of the columns, if they have names, and their number, as the collection has them before any pass."""
        return self.partitions.feature_names, self.partitions.n_features

    @property
    def partition_lengths(self) -> list[int]:
        """Numbers of rows of the partitions, by which sums are added: other ones give other bits."""
        return [place.known.n_rows for place in self.places() if place.known is not None]

    def with_weights(self, sample_weight: Any) -> DaskSource:
        """Return a source of the same rows with these weights: partitions of theirs go with those of the rows."""
        return DaskSource(self.partitions.rows, sample_weight, self._name)

    def places(self) -> Sequence[Place]:
        """Return the places of the partitions, with what the first pass found."""
        self.read()
        return self._places

    def sums(self, n_components: int, packing: bool) -> DistributedSums:
        """Return the sums over these rows for fits of so many components."""
        return DistributedSums(self, n_components, packing)

    def scores(self, parameters: Any, names: Any, caller: str, **what: bool) -> Scores:
        """Return scores of the rows as dask collections; nothing is computed."""
        return lazy_scores(self.partitions.rows, parameters, names, caller, **what)

    def summed(self, function: Callable[[Any], Any], plus: Callable[[Any, Any], Any]) -> Any:
        """Return the sum over partitions of a function of a `Batch`, computed where they lie; None without rows."""
        self.partitions.check_workers()
        return self.partitions.summed(function, plus)

    def pieces(self, most: int) -> Iterator[Piece]:
        """Hand out the partitions one after another."""
        for place in self.partitions.places():
            X, weight, layout = rows_of(*self.partitions.one(place.number), place)
            yield ArrayPiece(layout, _always(place.called), 0, X, weight)

    def _summed(self, found: Sequence[Checked]) -> RowSummary:
        """Check what was found in the partitions, in their order, and remember it."""
        layout, first, summaries = None, "", []
        for number, (own, summary, bad_weight, _, refusal) in enumerate(found):
            if refusal is not None:
                raise refusal
            if own is None:
                continue
            called = f"partition {number}"
            if layout is None:
                layout, first = own, called
            check_alike(layout, ArrayPiece(own, _always(called), 0, np.empty((0, 0))), first)
            if bad_weight is not None:
                row, value = bad_weight
                raise ValueError(refusal_of_weight(value, row, f"{called} of sample_weight"))
            assert summary is not None
            if summary.first_bad is not None:
                name = f"{called} of {self._name}"
                raise ValueError(refusal_of_value(summary.first_bad, own.dtype.char, own.feature_names, name=name))
            summaries.append(summary)
        if layout is None:
            raise ValueError(
                f"{self._name}: Found array with 0 sample(s) while a minimum of 1 is required: none of the "
                f"{len(found)} partitions has rows. Pass at least one row."
            )
        total, divisor = reduce(add, summaries), 1.0
        if self.partitions.weighted:
            check_total_weight(total.total_weight, total.largest_weight, total.n_rows, "sample_weight")
            divisor = weight_unit(total.largest_weight, layout.n_features)
        columns = Columns(EPSILON[layout.dtype.char], total.column_range)
        check_column_range(columns, layout.dtype.char, layout.feature_names, name=self._name)
        sizes = [(0, 0.0) if one.summary is None else (one.summary.n_rows, one.summary.total_weight) for one in found]
        build = self.partitions.build
        places = [Place(number, build, Known(layout, first, *size)) for number, size in enumerate(sizes)]
        # All at once, when nothing can fail any more: another thread may read the same source.
        self.__dict__.update(
            n_rows=total.n_rows,
            n_features=layout.n_features,
            dtype=layout.dtype,
            feature_names=layout.feature_names,
            _layout=layout,
            _divisor=divisor,
            _columns=columns,
            _places=places,
            _summary=total,
        )
        return total

    def _drawings(self, sample: Sample, lengths: Sequence[int], highest: int | None = None) -> list[Drawing]:
        """The sample's part for each partition."""
        size = sample_size(self.partitions.n_features) if sample.size is None else sample.size
        n_rows = sum(lengths)
        if highest is None:
            highest = likely_key(max(1, n_rows), size)
        return [Drawing(sample.seed, size, highest, first) for first in accumulate(lengths[:-1], initial=0)]

    def _drawn(self, sample: Sample, lengths: Sequence[int], highest: int | None = None) -> list[Drawn | None]:
        own = zip(self._places, self._drawings(sample, lengths, highest))
        return self.partitions.each([partial(drawn_rows, place=place, drawing=drawing) for place, drawing in own])

    def _draw(self, sample: Sample, summary: RowSummary, drawn: Sequence[Any] | None) -> None:
        """Fill a sample, in one more pass if `drawn` was not yet; again if many rows have the weight 0."""
        lengths = self.partition_lengths
        if drawn is None:
            drawn = self._drawn(sample, lengths)
        size = sample_size(self.n_features) if sample.size is None else sample.size
        n_drawn = sum(len(one.rows) for one in drawn if one is not None)
        if n_drawn < min(size, summary.n_counted):
            drawn = self._drawn(sample, lengths, LARGEST_KEY)
        for one in drawn:
            if one is not None and len(one.rows):
                sample.add_drawn(one)
        sample.divide_weights(self._divisor)

    def _called(self) -> str:
        return f"the dask collection {self._name}"


def _always(called: str) -> Callable[[int], str]:
    """Return the name of a piece's rows as a function of the row: a partition has one for all of them."""
    return lambda row: called
