"""Weighted scatter of all rows about a point; about their mean, taken once for a source and its weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.sums import KernelDensity, LocalSums, PassRequest
from emix.kernel import factors
from emix.kernel.layout import TIED, density_layout, statistics_layout
from emix.rows.source import Batch, RowSource

__all__ = ["scatter_about", "total_scatter"]

Array = NDArray[np.float64]

# A scatter about the middle of the columns is moved to their mean where it is at most this many times the one about the
# mean: 2e-13 in roundings.
FAR_MIDDLE = 2.0**10

# Rows of single precision are widened as many super-blocks at a time.
WIDENED = 32


def total_scatter(source: RowSource, n_threads: int | None) -> tuple[Array, Array]:
    """Return the rows' mean, rounded to their precision, and Σ w z zᵀ about it.

    Parameters
    ----------
    source : RowSource
        It keeps the result for the next call.
    n_threads : int or None

    Returns
    -------
    origin : ndarray of shape (n_features,)
    scatter : ndarray of shape (n_features, n_features)
        The lower triangle; NaN where a row is too far out.
    """
    kept = source.kept.get("total scatter")
    if kept is None:
        with np.errstate(over="ignore", invalid="ignore"):
            # Two runs may both come here: they find the same bits.
            kept = source.kept["total scatter"] = _find(source, n_threads)
    return kept


def _find(source: RowSource, n_threads: int | None) -> tuple[Array, Array]:
    # About the middle of the columns first. Where their mean lies many standard deviations from there, because some
    # rows are far out, once more about the mean.
    middle = source.columns.column_range.mean(axis=0)
    weight, shift, scatter = scatter_about(source, middle, n_threads)
    # Divided before they are squared, for sums of rows of 1e150
    away = shift / weight
    if not (away * away <= np.diagonal(scatter) / weight * (1.0 - 1.0 / FAR_MIDDLE)).all():
        middle = middle + away
        weight, shift, scatter = scatter_about(source, middle, n_threads)
    mean = middle + shift / weight
    origin = mean.astype(source.dtype).astype(np.float64)
    moved = middle - origin
    cross = np.outer(shift, moved)
    return origin, np.tril(scatter + cross + cross.T + weight * np.outer(moved, moved))


def scatter_about(source: RowSource, center: Array, n_threads: int | None = None) -> tuple[float, Array, Array]:
    """Return the sums of all rows about a point within their range: the weighted scatter, and those before it.

    They are the sums of a single component of density 1, whose responsibilities are the weights. They are taken in
    double precision whatever the rows are: a scatter about one point holds the distances between components.

    Parameters
    ----------
    source : RowSource
    center : ndarray of shape (n_features,)
    n_threads : int or None

    Returns
    -------
    weight : float
        Σ w, of weights in the source's `weight_unit`.
    shift : ndarray of shape (n_features,)
        Σ w z, z = x − center.
    scatter : ndarray of shape (n_features, n_features)
        The lower triangle of Σ w z zᵀ. All three are NaN where a row is too far out.
    """
    d = source.n_features
    of, at = density_layout(TIED, 1, d), statistics_layout(TIED, 1, d)
    # W = 0, and a logarithm of the determinant that makes the density 1.
    packed = np.zeros(of.size)
    packed[of.means], packed[of.log_det] = center, 0.5 * d * math.log(2.0 * math.pi)
    columns = factors.Columns(float(np.finfo(np.float64).eps), source.columns.column_range)
    request = PassRequest(KernelDensity(TIED, 1, d, packed), None, center[np.newaxis], columns, source.weight_unit)
    rows: RowSource = source if source.dtype.char == "d" else _Widened(source)
    outcome = LocalSums(rows, TIED, 1, n_threads).take(request)
    # The sum of logarithms of 1 is 0 but for rounding; a row that is too far out has the density 0.
    sums = outcome.packed if math.isfinite(outcome.log_likelihood) else np.full(at.size, np.nan)
    return float(sums[at.weight][0]), sums[at.shift], np.tril(sums[at.scatter].reshape(d, d))


class _Widened:
    """The rows of a source in double precision, some at a time."""

    dtype = np.dtype(np.float64)
    whole = None

    def __init__(self, source: RowSource) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def batches(self, unit: int) -> Iterator[Batch]:
        """Hand out all rows in order."""
        step = WIDENED * unit
        for batch in self._source.batches(unit):
            for start in range(0, len(batch.X), step):
                X = batch.X[start : start + step].astype(np.float64)
                weight = None if batch.weight is None else batch.weight[start : start + step]
                yield Batch(batch.first_row + start, X, weight)
