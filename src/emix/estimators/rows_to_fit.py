"""The rows of a fit: an array, a memory map or a stream, checked, and the rows of which starts are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.estimators.parameters_check import Settings
from emix.gaussian.structures import OF_ONE_COLUMN, check_one_column
from emix.kernel.factors import Columns
from emix.rows.arrays import ArraySource, SampledRows
from emix.rows.conversion import as_numbers
from emix.rows.opening import is_mapped, stream_of
from emix.rows.refusals import refusal_of_value
from emix.rows.sampling import Drawn, Sample, sample_size
from emix.rows.source import EPSILON, Batch, RowSource, without_unit
from emix.rows.summary import Reading
from emix.rows.validation import (
    FloatArray,
    as_rows,
    as_sample_weight,
    check_column_range,
    check_enough_rows,
    feature_names,
)

__all__ = ["RowsToFit", "rows_to_fit", "source_to_fit"]

# Rows of a memory map that are checked at one time.
_ROWS = 1 << 14


class RowsToFit(NamedTuple):
    """Checked rows of a fit.

    Attributes
    ----------
    rows : ndarray or RowSource
        To score after the fit.
    source : RowSource
        With the weights as they were given.
    moderate : RowSource
        With the weights in the source's `weight_unit`: for EM.
    names : ndarray of str or None
        Of the columns.
    sampled : SampledRows or None
        For the starts, where the rows do not lie in memory.
    seed : int or None
        Of `sampled`.
    """

    rows: FloatArray | RowSource
    source: RowSource
    moderate: RowSource
    names: NDArray[np.object_] | None
    sampled: SampledRows | None = None
    seed: int | None = None


def rows_to_fit(X: Any, sample_weight: Any, settings: Settings, caller: str, seed: Callable[[], int]) -> RowsToFit:
    """Check the rows of a fit; a stream is read once.

    Parameters
    ----------
    X, sample_weight : object
        As given to `fit`.
    settings : Settings
    caller : str
        The estimator's name in messages.
    seed : callable
        Draws the seed of a sample. It is called for streams only.

    Raises
    ------
    TypeError, ValueError
        If they are not what they should be.
    """
    if (stream := stream_of(X, sample_weight)) is not None:
        return _of_stream(stream, settings, caller, seed())
    source, names = source_to_fit(X, sample_weight, settings, caller)
    return RowsToFit(source.X, source, source if source.weight_unit == 1.0 else source.without_unit(), names)


def source_to_fit(X: Any, sample_weight: Any, settings: Settings, caller: str) -> tuple[ArraySource, Any]:
    """Return rows in memory or in a memory map as a source, and the names of their columns, None if they have none.

    Raises
    ------
    TypeError, ValueError
        If `X` or `sample_weight` is not what it should be, or there are fewer rows than components.
    """
    names = feature_names(X)
    source = _of_map(X, sample_weight) if is_mapped(X) else None
    if source is None:
        rows = as_rows(X, caller=caller, to_fit=True)
        source = ArraySource(rows, as_sample_weight(sample_weight, rows.shape[0]))
    if settings.covariance_type in OF_ONE_COLUMN:
        check_one_column(settings.covariance_type, source.n_features, caller)
    check_enough_rows(source.n_rows, settings.n_components, source.sample_weight)
    check_column_range(source.columns, source.dtype.char, names)
    return source, names


def _of_map(X: Any, sample_weight: Any) -> ArraySource | None:
    """A memory map whose file is read once for all checks; None if `as_rows` would not take it as it is."""
    rows = as_numbers(X, "X")
    if rows.ndim != 2 or 0 in rows.shape or not is_mapped(rows):
        return None
    weight = as_sample_weight(sample_weight, len(rows))
    reading, kind = Reading(rows.shape[1]), rows.dtype.char
    for first in range(0, len(rows), _ROWS):
        part = slice(first, first + _ROWS)
        reading.add(Batch(first, rows[part], None if weight is None else weight[part]))
        if reading.first_bad is not None:
            raise ValueError(refusal_of_value(reading.first_bad, kind, None, name="X"))
    return ArraySource(rows, weight, None, Columns(EPSILON[kind], reading.summary().column_range))


def _of_stream(stream: RowSource, settings: Settings, caller: str, seed: int) -> RowsToFit:
    sample = Sample(seed)
    summary = stream.read(sample)
    check_one_column(settings.covariance_type, stream.n_features, caller)
    check_enough_rows(summary.n_rows, settings.n_components, None, summary.n_counted)
    moderate = without_unit(stream)
    drawn = sample.drawn()
    if len(drawn.rows) < summary.n_rows <= sample_size(stream.n_features):
        drawn = _all_rows(moderate)
    sampled = SampledRows(drawn, moderate, seed)
    names = None
    if stream.feature_names is not None:
        names = np.empty(len(stream.feature_names), dtype=object)
        names[:] = stream.feature_names
    # Few rows are all in the sample, and need not be read again.
    return RowsToFit(stream, stream, moderate if sampled.is_sample else sampled, names, sampled, seed)


def _all_rows(source: RowSource) -> Drawn:
    """All rows of a small stream, those of weight 0 too, which no sample has."""
    batches = list(source.batches(1))
    weights = [batch.weight for batch in batches if batch.weight is not None]
    n_rows = source.n_rows
    X = np.concatenate([batch.X for batch in batches])
    return Drawn(np.arange(n_rows), X, np.concatenate(weights) if weights else None, np.empty(0, np.uint64))
