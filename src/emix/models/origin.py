"""One origin for components of whitened distances that are moderate: when it is used, and what it saves.

kernel/origin.pxi has the forms that are cheaper about an origin m, and the error bounds in which a component's reach
appears, ‖ |W_k| |μ_k − m| ‖. Whether they are used follows from the parameters, and from the sums that came of it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import DegenerateCovarianceError
from emix.kernel.level import kernel_for
from emix.rows.arrays import ArraySource
from emix.rows.threads import run_in_threads

from .covariance import CovarianceStructure
from .statistics import GaussianStatistics

__all__ = ["MAX_REACH", "CommonOrigin", "may_pay"]

Array = NDArray[np.float64]

# By precision, float64 first. The largest reach²: ½‖y‖² then errs by 0.71 n eps/2 · 128 = 1e-14 n at most, relative to
# 1 + ½‖y‖² (n = 2, and d + 2 for tied), where plain evaluation may err by (d + 2) eps κ; in single precision by 7e-7 n.
# Sums about the origin lose reach² eps = 4e-12 (3e-5) of a covariance.
MAX_REACH = {"d": 128.0**2, "f": 16.0**2}

# The largest share of a sum about the origin to what the M-step leaves of it: 2e-11 and 1e-4 in roundings. Where it is
# more, a component shrank at once, or rows lie far from all means.
MAX_RATIO = {"d": 2.0**16, "f": 2.0**10}

# For tied, whatever its covariance's condition: so many times the error of sums for each component is allowed.
HARMLESS_RATIO = 16.0

# A scatter about the middle of the columns is moved to their mean where it is at most this many times the one about the
# mean: 2e-13 in roundings.
FAR_MIDDLE = 2.0**10

# Features of all components, d K, below which the tiles are hardly filled, and with the rows, n d K, below which the
# calls cost more than is saved (measured: at d K = 15 and n d K = 20 000 both ways are alike).
MIN_WIDTH, MIN_WORK = 15, 50_000

# Passes that had to be repeated before a run leaves it.
MAX_FAILURES = 2


def may_pay(structure: CovarianceStructure, n_components: int, n_features: int) -> bool:
    """Whether forms about an origin are there and faster."""
    return structure.uses_origin and n_components * n_features >= MIN_WIDTH


class CommonOrigin:
    """What a run knows of its origin: where it is, whether to use it, and for tied the scatter of all rows about it.

    Parameters
    ----------
    source : ArraySource
    sample_weight : ndarray of shape (n_rows,) or None
        As the kernel gets them.
    structure : CovarianceStructure
    n_components : int
    n_slots, n_threads, rows_per_call : int
        As for other passes.
    """

    def __init__(
        self,
        source: ArraySource,
        sample_weight: Array | None,
        structure: CovarianceStructure,
        n_components: int,
        n_slots: int,
        n_threads: int,
        rows_per_call: int,
    ) -> None:
        self._source, self._sample_weight, self._is_shared = source, sample_weight, structure.is_shared
        self._n_slots, self._n_threads, self._rows_per_call = n_slots, n_threads, rows_per_call
        self._code = source.X.dtype.char
        d = source.n_features
        pays = may_pay(structure, n_components, d) and source.n_rows * n_components * d >= MIN_WORK
        self._failures = 0 if pays else MAX_FAILURES
        self._fixed: Array | None = None
        self.scatter: Array | None = None
        """Σ w (x − m)(x − m)ᵀ of all rows (d, d), the lower triangle, float64; tied only."""

    @property
    def in_use(self) -> bool:
        """Whether passes may use one."""
        return self._failures < MAX_FAILURES

    @property
    def fixed(self) -> Array | None:
        """Where it must be for the scatter to hold: the rows' mean, rounded to their precision. None: anywhere.

        The first call takes a pass over the rows.
        """
        if self._is_shared and self.in_use and self._fixed is None:
            self._fixed, self.scatter = self._total_scatter()
            if not np.isfinite(self.scatter).all():
                self._failures = MAX_FAILURES
        return self._fixed

    def _total_scatter(self) -> tuple[Array, Array]:
        # About the middle of the columns first. Where their mean lies many standard deviations from there, because some
        # rows are far out, once more about the mean.
        middle = self._source.column_range.mean(axis=0)
        for _ in range(2):
            weight, shift, scatter = self._moments(middle)
            # Divided before they are squared, for sums of rows of 1e150
            away = shift / weight
            mean = middle + away
            if (away * away <= np.diagonal(scatter) / weight * (1.0 - 1.0 / FAR_MIDDLE)).all():
                break
            middle = mean
        origin = mean.astype(self._source.X.dtype).astype(np.float64)
        moved = middle - origin
        cross = np.outer(shift, moved)
        return origin, scatter + cross + cross.T + weight * np.outer(moved, moved)

    def holds(self, ratio: float, statistics: GaussianStatistics, reg_covar: float) -> bool:
        """Whether the statistics are exact enough, by the ratio that `factors.leave_origin` found."""
        if self._is_shared:
            exact = ratio <= HARMLESS_RATIO or self._scatter_is_exact(statistics, reg_covar)
        else:
            exact = ratio <= MAX_RATIO[self._code]
        self._failures += not exact
        return exact

    def _scatter_is_exact(self, statistics: GaussianStatistics, reg_covar: float) -> bool:
        # Each T_ij errs by eps √(T_ii T_jj) at most, so that W T Wᵀ errs by eps ‖ |W| √diag T ‖²; sums for each
        # component have the diagonal of the scatter within components in its place.
        assert self.scatter is not None
        structure = statistics.structure
        _, means, covariances = structure.maximize(statistics, reg_covar)
        try:
            whitening, _ = structure.whiten(covariances, *means.shape)
        except DegenerateCovarianceError:
            return False
        N, s = statistics.weight, statistics.shift
        away = s / np.where(N > 0.0, N, 1.0)[:, np.newaxis]
        within = np.diagonal(statistics.scatter) - np.sum(s * away, axis=0)
        common, own = (
            np.sum((np.abs(whitening) @ np.sqrt(diagonal / N.sum())) ** 2)
            for diagonal in (np.diagonal(self.scatter), np.maximum(within, 0.0))
        )
        return bool(common <= max(MAX_RATIO[self._code], HARMLESS_RATIO * own))

    def _moments(self, origin: Array) -> tuple[float, Array, Array]:
        # In double precision whatever the rows are: a scatter about one point holds the distances between components.
        source, d, n_slots, n_threads = self._source, self._source.n_features, self._n_slots, self._n_threads
        kernel: Any = kernel_for(np.dtype(np.float64))
        size, unit = kernel.workspace_size(1, d), kernel.super_block_rows
        slots = np.zeros((n_slots, 1 + d + d * d))

        def accumulate(thread: int, stop: NDArray[np.int32]) -> None:
            workspace = np.empty(size)
            if source.X.dtype.char == "d":
                for first in range(0, source.n_rows, self._rows_per_call):
                    last = min(first + self._rows_per_call, source.n_rows)
                    rows = (source.X, self._sample_weight, first, last, thread, n_threads)
                    kernel.accumulate_scatter(*rows, origin, workspace, slots, stop)
                return
            # Others are widened by the super-block.
            for block in range(math.ceil(source.n_rows / unit)):
                slot = block % n_slots
                if slot % n_threads == thread and not stop[0]:
                    part = slice(block * unit, (block + 1) * unit)
                    wide = source.X[part].astype(np.float64)
                    weight = None if self._sample_weight is None else self._sample_weight[part]
                    own = slots[slot : slot + 1]
                    kernel.accumulate_scatter(wide, weight, 0, len(wide), 0, 1, origin, workspace, own, stop)

        run_in_threads(accumulate, n_threads)
        total = slots[0].copy()
        for slot in slots[1:]:
            total += slot
        return float(total[0]), total[1 : 1 + d], _symmetric(total[1 + d :].reshape(d, d))


def _symmetric(lower: Array) -> Array:
    return np.tril(lower) + np.tril(lower, -1).T
