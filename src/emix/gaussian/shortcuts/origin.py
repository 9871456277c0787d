"""One origin for components of whitened distances that are moderate: when it is used, and what it saves.

kernel/origin.pxi has the forms that are cheaper about an origin m, and the error bounds in which a component's reach
appears, ‖ |W_k| |μ_k − m| ‖. Whether they are used follows from the parameters, and from the sums that came of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import CovarianceStructure, RegCovar
from emix.kernel import factors
from emix.kernel.layout import arguments_layout, slot_layout
from emix.kernel.level import kernel_for
from emix.parallel.threads import run_in_threads
from emix.rows.arrays import ArraySource

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
    """What a run knows of its origin: whether to use it, and for tied where it is.

    Parameters
    ----------
    exchange : Exchange
        What the run's passes take and give; it is told what it needs for an origin before the first of them.
    source : ArraySource
    structure : CovarianceStructure
    n_components : int
    reg_covar : float or "auto"
        Of the M-step.
    n_slots, n_threads, rows_per_call : int
        As for other passes.
    """

    def __init__(
        self,
        exchange: factors.Exchange,
        source: ArraySource,
        structure: CovarianceStructure,
        n_components: int,
        reg_covar: RegCovar,
        n_slots: int,
        n_threads: int,
        rows_per_call: int,
    ) -> None:
        self._exchange, self._source = exchange, source
        self._structure, self._reg_covar = structure, reg_covar
        self._n_slots, self._n_threads, self._rows_per_call = n_slots, n_threads, rows_per_call
        self._code = source.X.dtype.char
        self._largest_ratio = HARMLESS_RATIO if structure.is_shared else MAX_RATIO[self._code]
        self._own_centers = np.empty(n_components * source.n_features)
        self._scatter: Array | None = None  # tied: of all rows about the origin (d, d), the lower triangle
        self._prepared = False
        self._failures = 0

    @staticmethod
    def may_pay(structure: CovarianceStructure, n_rows: int, n_components: int, n_features: int) -> bool:
        """Whether it is worth having."""
        return may_pay(structure, n_components, n_features) and n_rows * n_components * n_features >= MIN_WORK

    def begin_pass(self) -> bool:
        """Whether the next pass may be about an origin. For tied the first call takes a pass of its own."""
        if not self._prepared:
            self._prepare()
        return self._failures < MAX_FAILURES

    def holds(self, ratio: float, statistics: GaussianStatistics) -> bool:
        """Whether sums are exact enough, by the ratio that `Exchange.end` found; if not, they are to be taken anew."""
        exact = ratio <= self._largest_ratio or (self._structure.is_shared and self._scatter_is_exact(statistics))
        self._failures += not exact
        return exact

    def _prepare(self) -> None:
        self._prepared = True
        origin = scatter = None
        if self._structure.is_shared:
            # Σ_k S_k is the scatter of all rows, whatever the parameters are, about the one origin for which it was
            # taken: their mean, rounded to their precision.
            with np.errstate(over="ignore", invalid="ignore"):
                origin, lower = self._total_scatter()
                self._scatter = lower
            if not np.isfinite(self._scatter).all():
                self._failures = MAX_FAILURES
                return
            scatter = self._scatter.ravel()
        self._exchange.allow_origin(MAX_REACH[self._code], self._least_ridge(), self._own_centers, origin, scatter)

    def _least_ridge(self) -> Array:
        """At most what the M-step adds to the variances, whatever the statistics are."""
        if self._reg_covar != "auto":
            return np.full(self._source.n_features, float(self._reg_covar))
        # The part for the rows' rounding; a column of zeros gets 1.
        largest = np.abs(self._source.column_range).max(axis=0)
        of_zeros = 0.0 if self._structure.mixes_columns else 1.0
        return np.where(largest > 0.0, (self._source.columns.epsilon * largest) ** 2 / 12.0, of_zeros)

    def _total_scatter(self) -> tuple[Array, Array]:
        # About the middle of the columns first. Where their mean lies many standard deviations from there, because some
        # rows are far out, once more about the mean.
        middle = self._source.column_range.mean(axis=0)
        weight, shift, scatter = self._moments(middle)
        # Divided before they are squared, for sums of rows of 1e150
        away = shift / weight
        if not (away * away <= np.diagonal(scatter) / weight * (1.0 - 1.0 / FAR_MIDDLE)).all():
            middle = middle + away
            weight, shift, scatter = self._moments(middle)
        mean = middle + shift / weight
        origin = mean.astype(self._source.X.dtype).astype(np.float64)
        moved = middle - origin
        cross = np.outer(shift, moved)
        return origin, scatter + cross + cross.T + weight * np.outer(moved, moved)

    def _moments(self, origin: Array) -> tuple[float, Array, Array]:
        """Σ w, Σ w z and the lower triangle of Σ w z zᵀ, z = x − origin; NaN where a row cannot be taken.

        These are the sums of a single component, whose responsibilities are the weights. In double precision whatever
        the rows are: a scatter about one point holds the distances between components.
        """
        source, d, n_threads = self._source, self._source.n_features, self._n_threads
        kernel: Any = kernel_for(np.dtype(np.float64))
        code = self._structure.code
        at = slot_layout(code, 1, d)
        slots = np.zeros((self._n_slots, at.size))
        workspaces = np.empty((n_threads, kernel.workspace_size(1, d)))
        # W = 0 and a = 0: densities are 1.
        of = arguments_layout(code, 1, d)
        arguments = np.zeros(of.size)
        arguments[of.center], arguments[of.margin], arguments[of.origin] = origin, np.inf, np.nan
        # Others are widened, as many at a time as have a slot each.
        step = source.n_rows if source.X.dtype.char == "d" else self._n_slots * kernel.super_block_rows(d)
        accumulator = kernel.Accumulator(self._structure.code, 1, d, arguments, workspaces, slots)
        for start in range(0, source.n_rows, step):
            X = source.X[start : start + step].astype(np.float64, copy=False)
            weight = None if source.sample_weight is None else source.sample_weight[start : start + step]
            self._accumulate(accumulator, kernel.Rows(X, weight, start), start, start + len(X))
        total = slots.sum(axis=0)
        # Of densities that are not 1 the logarithms are not 0.
        found = total[at.scatter].reshape(d, d)
        scatter = np.tril(found) if total[at.log_likelihood] == 0.0 else np.full((d, d), np.nan)
        return float(total[0]), total[at.shift], scatter

    def _accumulate(self, accumulator: Any, rows: Any, first_row: int, last_row: int) -> None:
        step = self._rows_per_call

        def share(thread: int, stop: NDArray[np.int32] | None) -> None:
            for first in range(first_row, last_row, step):
                accumulator.accumulate(rows, thread, first, min(first + step, last_row), stop)

        run_in_threads(share, self._n_threads)

    def _scatter_is_exact(self, statistics: GaussianStatistics) -> bool:
        # Each T_ij errs by eps √(T_ii T_jj) at most, so that W T Wᵀ errs by eps ‖ |W| √diag T ‖²; sums for each
        # component have the diagonal of the scatter within components in its place.
        assert self._scatter is not None
        K, d = statistics.n_components, statistics.n_features
        packed, failed = self._structure.maximize(statistics, self._reg_covar)
        if failed >= 0:
            return False
        whitening = GaussianParameters(self._structure, K, d, packed).whitening
        N, s, scatter = statistics.in_unit
        away = s / np.where(N > 0.0, N, 1.0)[:, np.newaxis]
        within = np.diagonal(scatter) - np.sum(s * away, axis=0)
        common, own = (
            np.sum((np.abs(whitening) @ np.sqrt(diagonal / N.sum())) ** 2)
            for diagonal in (np.diagonal(self._scatter), np.maximum(within, 0.0))
        )
        return bool(common <= max(MAX_RATIO[self._code], HARMLESS_RATIO * own))
