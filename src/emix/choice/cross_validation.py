"""Held-out log-likelihood of mixtures: a sweep without a fold of the rows, which then are scored."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.choice.fits import Fitter
from emix.choice.request import Cell
from emix.choice.sweep import Sweep
from emix.gaussian.scoring import score_rows
from emix.rows.arrays import ArraySource

__all__ = ["HeldOut", "cross_validate", "folds_of"]

Array = NDArray[np.float64]


class HeldOut(NamedTuple):
    """Held-out log-likelihood per unit of weight, nats; its standard error; the fold without which a fit collapsed."""

    mean: float | None = None
    error: float | None = None
    collapsed_without: int | None = None


def folds_of(source: ArraySource, n_folds: int, seed: int) -> NDArray[np.intp]:
    """Return the fold of each row, −1 for rows of weight 0; folds differ by at most one row."""
    held = np.arange(source.n_rows) if source.sample_weight is None else np.flatnonzero(source.sample_weight > 0.0)
    folds = np.full(source.n_rows, -1, dtype=np.intp)
    folds[np.random.default_rng(seed).permutation(held)] = np.arange(len(held)) % n_folds
    return folds


def cross_validate(
    cells: list[Cell],
    source: ArraySource,
    make_fitter: Callable[[ArraySource], Fitter],
    n_folds: int,
    seed: int,
    n_threads: int | None,
) -> dict[Cell, HeldOut]:
    """Return the held-out log-likelihood of each cell.

    Parameters
    ----------
    cells : list of Cell
    source : ArraySource
        All rows.
    make_fitter : callable
        The rows of all folds but one -> what fits cells to them.
    n_folds : int
    seed : int
        The same seed gives the same folds.
    n_threads : int or None

    Returns
    -------
    dict of Cell to HeldOut
        The mean over all rows by weight. With W_f and m_f a fold's weight and mean, W and m those of all, the standard
        error is √(k/(k−1) Σ (W_f/W)² (m_f − m)²): for folds of equal weight the deviation of their means over √k.
    """
    folds = folds_of(source, n_folds, seed)
    weight = np.ones(source.n_rows) if source.sample_weight is None else source.sample_weight
    fold_weight = np.array([weight[folds == fold].sum() for fold in range(n_folds)])
    totals = {cell: np.full(n_folds, math.nan) for cell in cells}
    for fold in range(n_folds):
        training, held_out = (folds != fold) & (folds >= 0), folds == fold
        kept = None if source.sample_weight is None else weight[training]
        # One copy of the rows at a time.
        fitter = make_fitter(ArraySource(np.ascontiguousarray(source.X[training]), kept))
        X, w = np.ascontiguousarray(source.X[held_out]), weight[held_out]
        sweep = Sweep(cells, fitter, n_threads)
        sweep.run()
        for cell, fit in sweep.fits.items():
            if fit.is_sound:
                assert fit.runs is not None
                density = score_rows(X, fit.runs.result.parameters, n_threads=n_threads).log_density
                assert density is not None
                totals[cell][fold] = float(w @ density.astype(np.float64))
    return {cell: _held_out(total, fold_weight) for cell, total in totals.items()}


def _held_out(totals: Array, fold_weight: Array) -> HeldOut:
    """Return the mean and its standard error of the folds' totals; NaN marks a fold whose fit collapsed."""
    collapsed = np.isnan(totals)
    if collapsed.any():
        return HeldOut(collapsed_without=int(np.argmax(collapsed)))
    all_weight, n_folds = float(fold_weight.sum()), len(totals)
    mean = float(totals.sum()) / all_weight
    if not math.isfinite(mean):
        return HeldOut(mean)
    squares = float(np.sum(((totals - mean * fold_weight) / all_weight) ** 2))
    return HeldOut(mean, math.sqrt(n_folds / (n_folds - 1.0) * squares))
