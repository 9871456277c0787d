"""Tasks of a worker on one partition: its rows are checked, sampled, summed, scored where they lie.

Dask runs these functions on its workers; nothing here knows of dask. Each takes the partition's rows, their weights or
None, what is the same for all partitions, and by name what is the partition's own.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import score_rows
from emix.gaussian.sums import LocalSums, PassOutcome, PassRequest
from emix.kernel.level import level_in_use
from emix.rows.arrays import ArraySource
from emix.rows.conversion import as_numbers, column_names, is_frame
from emix.rows.pieces import ArrayPiece, Layout, check_alike
from emix.rows.refusals import first_bad_value, first_bad_weight, refusal_of_value, refusal_of_weight
from emix.rows.sampling import Drawn, Sample
from emix.rows.source import Batch
from emix.rows.summary import RowSummary, WeightSums
from emix.rows.validation import FloatArray, rows_to_score

__all__ = [
    "Build", "Checked", "Drawing", "Known", "Place", "add_all", "add_requested", "block_scores", "check_build",
    "checked_rows", "drawn_rows", "mapped_rows", "number_of_rows", "rows_of", "summed_rows",
]  # fmt: skip

# Sums of the same weights differ by rounding where they are added in another order, but by less than this share.
_ROUNDING_OF_WEIGHTS = 1e-9


class Build(NamedTuple):
    """Version and level of a process: of two builds, sums differ in their last digits."""

    version: str
    level: str

    @classmethod
    def here(cls) -> Build:
        """Return those of this process."""
        from emix import __version__

        return cls(__version__, level_in_use)


class Known(NamedTuple):
    """Facts of the first pass, to which later ones are held.

    Attributes
    ----------
    layout : Layout
        Of all partitions.
    first : str
        Name of the first partition with rows.
    n_rows : int
        Of this partition.
    total_weight : float
        Of this partition.
    """

    layout: Layout
    first: str
    n_rows: int
    total_weight: float


class Place(NamedTuple):
    """Number of a partition, the build of the client, and what is known of the partition, None in the first pass."""

    number: int
    build: Build
    known: Known | None = None

    @property
    def called(self) -> str:
        """Name of the partition in messages."""
        return f"partition {self.number}"


class Drawing(NamedTuple):
    """The start's sample, of which a partition draws its part (`Sample`); the number of the partition's first row."""

    seed: int
    size: int
    highest: int
    first_row: int


class Checked(NamedTuple):
    """Facts of a partition, found in the first pass.

    Attributes
    ----------
    layout : Layout or None
        None without rows.
    summary : RowSummary or None
        None without rows.
    bad_weight : tuple of (int, float) or None
        The first row whose weight is none, and the weight.
    drawn : Drawn or None
        The partition's part of the sample, if one was asked for.
    refusal : Exception or None
        Of a partition that is not made of numbers: returned and not raised, so that the first of several is told.
    """

    layout: Layout | None
    summary: RowSummary | None
    bad_weight: tuple[int, float] | None = None
    drawn: Drawn | None = None
    refusal: Exception | None = None


def check_build(expected: Build, found: Build, where: str) -> None:
    """Refuse a process of another version or level than the client.

    Raises
    ------
    RuntimeError
        With both.
    """
    if found.version != expected.version:
        raise RuntimeError(
            f"{where} has emix {found.version}, but this fit was called with emix {expected.version}. Sums of two "
            "versions are not those of one fit: install the same version everywhere."
        )
    if found.level != expected.level:
        raise RuntimeError(
            f"{where} computes at the instruction-set level {found.level!r}, but this fit was called at "
            f"{expected.level!r}. Sums of two levels differ by rounding: set EMIX_LEVEL to a level that all have, in "
            "the environment of the workers and of this process."
        )


def number_of_rows(rows: Any, weight: Any) -> int:
    """Return the length of a partition."""
    return len(rows)


def checked_rows(rows: Any, weight: Any, *, place: Place, drawing: Drawing | None) -> Checked:
    """Check a partition and draw its part of the sample."""
    _check_here(place)
    try:
        X, w, layout = rows_of(rows, weight, place)
    except (TypeError, ValueError) as error:
        return Checked(None, None, refusal=error)
    if len(X) == 0:
        return Checked(None, None)
    if w is not None and (row := first_bad_weight(w)) is not None:
        return Checked(layout, None, (row, float(w[row])))
    summary = RowSummary.of(Batch(0, X, w))
    return Checked(layout, summary, None, None if drawing is None else _drawn(X, w, drawing))


def drawn_rows(rows: Any, weight: Any, *, place: Place, drawing: Drawing) -> Drawn | None:
    """Return a partition's part of the sample."""
    X, w, _ = _same_rows(rows, weight, place)
    return _drawn(X, w, drawing)


def summed_rows(
    rows: Any, weight: Any, request: PassRequest, *, place: Place, n_components: int, packing: bool, divisor: float
) -> PassOutcome | None:
    """Return the sums over a partition; None if it has no rows. Weights are divided by `divisor`."""
    X, w, _ = _same_rows(rows, weight, place)
    if len(X) == 0:
        return None
    if w is not None and divisor != 1.0:
        w = w / divisor
    # One thread: dask has as many tasks as threads at one time.
    local = LocalSums(_RowsOfPartition(X, w, request.weight_unit), request.density.form, n_components, 1, packing)
    return local.take(request)


def mapped_rows(rows: Any, weight: Any, function: Callable[[Batch], Any], *, place: Place) -> Any:
    """Return the function's result for a partition, whose values are finite; None if it has no rows."""
    _check_here(place)
    X, w, layout = rows_of(rows, weight, place)
    if len(X) == 0:
        return None
    if (bad := first_bad_value(X, to_fit=False)) is not None:
        raise ValueError(refusal_of_value(bad, X.dtype.char, layout.feature_names, name=f"{place.called} of X"))
    if w is not None and (row := first_bad_weight(w)) is not None:
        raise ValueError(refusal_of_weight(w[row], row, f"{place.called} of sample_weight"))
    return function(Batch(0, X, w))


def add_requested(request: PassRequest, *outcomes: PassOutcome | None) -> PassOutcome | None:
    """Return the outcome of several partitions by one request, added in their order."""
    total: PassOutcome | None = add_all(lambda one, other: one.plus(other, request.density), *outcomes)
    return total


def add_all(add: Callable[[Any, Any], Any], *results: Any) -> Any:
    """Add results in their order; those of partitions without rows are None, and so is the sum of none."""
    total = None
    for result in results:
        if result is not None:
            total = result if total is None else add(total, result)
    return total


def block_scores(
    rows: Any,
    *,
    what: str,
    parameters: GaussianParameters,
    dtype: np.dtype[Any],
    names: NDArray[np.object_] | None,
    caller: str,
    block_id: tuple[int, ...] | None = None,
    partition_info: dict[str, Any] | None = None,
) -> Any:
    """Return one of the scores of a partition; a data frame's are a series with its index, if they are a column.

    Dask tells the place of a block of an array by `block_id`, and that of a partition of a data frame by
    `partition_info`; messages name it.
    """
    number = block_id[0] if block_id else None if partition_info is None else partition_info["number"]
    called = "X" if number is None else f"partition {number} of X"
    if len(rows) == 0:
        shape = (0, parameters.n_components) if what == "responsibilities" else (0,)
        found: Any = np.empty(shape, np.intp if what == "labels" else dtype)
    else:
        X = rows_to_score(rows, parameters.n_features, names, caller=caller, name=called).astype(dtype, copy=False)
        found = getattr(score_rows(X, parameters, **{"log_density": False, what: True}, n_threads=1), what)
    if is_frame(rows) and found.ndim == 1:
        from pandas import Series  # the rows' own library

        return Series(found, index=rows.index, name=what)
    return found


def rows_of(rows: Any, weight: Any, place: Place) -> tuple[FloatArray, NDArray[np.float64] | None, Layout]:
    """Return a partition as arrays.

    Raises
    ------
    TypeError, ValueError
        If it is not made of numbers, not two-dimensional, or has not one weight for each row; they name the partition.
    """
    names = column_names(rows) if is_frame(rows) else None
    X = as_numbers(rows, f"{place.called} of X")
    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D array instead: {place.called} of X has shape {X.shape}. A partition has "
            "one row for each sample, one column for each feature."
        )
    w = None
    if weight is not None:
        found = as_numbers(weight, f"{place.called} of sample_weight")
        if found.shape != (len(X),):
            raise ValueError(
                f"{place.called} of sample_weight has shape {found.shape}, expected ({len(X)},): one weight for each "
                f"row of {place.called} of X."
            )
        w = np.ascontiguousarray(found, dtype=np.float64)
    return X, w, Layout.of(X, names, w is not None)


class _RowsOfPartition(ArraySource):
    """Rows of a partition, whose weights are in the unit of all."""

    def __init__(self, X: FloatArray, weight: NDArray[np.float64] | None, unit: float) -> None:
        super().__init__(X)
        self.sample_weight, self.weight_unit, self.whole = weight, unit, Batch(0, X, weight)


def _check_here(place: Place) -> None:
    here = Build.here()
    if here != place.build:  # the text for a message takes longer than the comparison
        check_build(place.build, here, f"The worker process {os.getpid()} on {platform.node()}")


def _same_rows(rows: Any, weight: Any, place: Place) -> tuple[FloatArray, NDArray[np.float64] | None, Layout]:
    """Rows of a later pass, which have to be those of the first."""
    _check_here(place)
    X, w, layout = rows_of(rows, weight, place)
    known, n_rows = place.known, len(X)
    assert known is not None  # after the first pass
    if n_rows != known.n_rows:
        raise _changed(place, f"{n_rows} rows", f"{known.n_rows}")
    if n_rows:
        check_alike(known.layout, ArrayPiece(layout, lambda _: place.called, 0, X), known.first)
    if w is not None:
        total = WeightSums.of(w).total
        if not abs(total - known.total_weight) <= _ROUNDING_OF_WEIGHTS * known.total_weight:
            raise _changed(place, f"weights with the sum {total:.10g}", f"{known.total_weight:.10g}")
    return X, w, layout


def _changed(place: Place, found: str, expected: str) -> ValueError:
    return ValueError(
        f"{place.called} has {found}, expected {expected}, as in the first pass: each pass must find the same rows. "
        "Persist the collection, or make it of data that do not change."
    )


def _drawn(X: FloatArray, weight: NDArray[np.float64] | None, drawing: Drawing) -> Drawn | None:
    if len(X) == 0:
        return None
    sample = Sample(drawing.seed, drawing.size, drawing.highest)
    sample.add(Batch(drawing.first_row, X, weight))
    return sample.drawn()
