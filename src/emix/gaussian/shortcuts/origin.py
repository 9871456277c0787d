"""One origin for components of whitened distances that are moderate: when it is used, and what it saves.

kernel/estep/origin.pxi has the forms that are cheaper about an origin m, and the error bounds in which a component's
reach appears, ‖ |W_k| |μ_k − m| ‖. The parameters decide if they are used, and so do the sums that came of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.shortcuts import LEAST_WORK
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import CovarianceStructure
from emix.gaussian.sums import OriginPart, PassOutcome, PassRequest
from emix.gaussian.total_scatter import total_scatter
from emix.rows.source import RowSource

if TYPE_CHECKING:
    from emix.gaussian.model import GaussianModel

__all__ = ["MAX_REACH", "Origin", "may_pay"]

Array = NDArray[np.float64]

# By precision, float64 first. The largest reach²: ½‖y‖² then errs by 0.71 n eps/2 · 128 = 1e-14 n at most, relative to
# 1 + ½‖y‖² (n = 2, and d + 2 for tied), where plain evaluation may err by (d + 2) eps κ; in single precision by 7e-7 n.
# Sums about the origin lose reach² eps = 4e-12 (3e-5) of a covariance.
MAX_REACH = {"d": 128.0**2, "f": 16.0**2}

# The largest share of a sum about the origin to what the M-step leaves of it: 2e-11 and 1e-4 in roundings. Where it is
# more, a component shrank at once, or rows lie far from all means.
MAX_RATIO = {"d": 2.0**16, "f": 2.0**10}

# For tied, whatever its covariance's condition: the error of sums about the origin may be this many times the error of
# sums for each component.
HARMLESS_RATIO = 16.0

# Features of all components, d K, below which the tiles are hardly filled.
MIN_WIDTH = 15

# Passes that had to be repeated before a run leaves it.
MAX_FAILURES = 2


def may_pay(structure: CovarianceStructure, n_components: int, n_features: int) -> bool:
    """True if loops about an origin are there for this shape, and faster."""
    return structure.form.uses_origin and n_components * n_features >= MIN_WIDTH


class Origin:
    """The common origin of one run: when passes use it, and for tied where it lies.

    Parameters
    ----------
    source : RowSource
    model : GaussianModel

    Attributes
    ----------
    failures : int
        Passes that had to be taken again without the origin.
    """

    name: ClassVar[str] = "origin"
    room: NDArray[np.float32] | None = None

    def __init__(self, source: RowSource, model: GaussianModel) -> None:
        self._source, self._model, self._structure = source, model, model.structure
        self._code = source.dtype.char
        self._largest_ratio = HARMLESS_RATIO if model.structure.form.is_shared else MAX_RATIO[self._code]
        self._scatter: Array | None = None  # tied: of all rows about the origin (d, d), the lower triangle
        self._part: OriginPart | None = None
        self._prepared = False
        self.failures = 0

    @classmethod
    def for_run(cls, source: RowSource, model: GaussianModel) -> Self | None:
        """Return the origin of a run, None where it could not pay."""
        K, d, n_rows = model.n_components, model.n_features, source.n_rows
        if n_rows * K * d < LEAST_WORK or not may_pay(model.structure, K, d):
            return None
        return cls(source, model)

    def before(self, request: PassRequest) -> PassRequest:
        """Ask for sums about the origin. For tied the first call finds the scatter of all rows."""
        if not self._prepared:
            self._prepare()
        if self.failures >= MAX_FAILURES or request.center is not None:
            return request
        return request._replace(parts={**request.parts, "origin": self._part})

    def holds(self, request: PassRequest, outcome: PassOutcome) -> bool:
        """True if roundings have not grown too much in sums about the origin."""
        growth = outcome.growth
        if growth <= self._largest_ratio:
            return True
        exact = self._structure.form.is_shared and self._scatter_is_exact(outcome, request)
        self.failures += not exact
        return exact

    def after(self, request: PassRequest, outcome: PassOutcome) -> None:
        """Nothing is learnt from a pass whose sums were exact enough."""

    def _prepare(self) -> None:
        self._prepared = True
        source, origin, scatter = self._source, None, None
        if self._structure.form.is_shared:
            # Σ_k S_k is the scatter of all rows, whatever the parameters are, about the one origin for which it was
            # taken: their mean, rounded to their precision.
            origin, self._scatter = total_scatter(source, self._model.n_threads)
            if not np.isfinite(self._scatter).all():
                self.failures = MAX_FAILURES
                return
            scatter = self._scatter.ravel()
        own_centers = np.empty(self._model.n_components * source.n_features)
        self._part = OriginPart(MAX_REACH[self._code], self._least_ridge(), own_centers, origin, scatter)

    def _least_ridge(self) -> Array:
        """A lower bound of what the M-step adds to the variances, whatever the statistics are."""
        source, reg_covar = self._source, self._model.reg_covar
        if reg_covar != "auto":
            return np.full(source.n_features, float(reg_covar))
        # The part for the rows' rounding; a column of zeros gets 1.
        largest = np.abs(source.columns.column_range).max(axis=0)
        of_zeros = 0.0 if self._structure.mixes_columns else 1.0
        return np.where(largest > 0.0, (source.columns.epsilon * largest) ** 2 / 12.0, of_zeros)

    def _scatter_is_exact(self, outcome: PassOutcome, request: PassRequest) -> bool:
        # T is the scatter of all rows about the origin. Each T_ij errs by eps √(T_ii T_jj) at most, so that W T Wᵀ errs
        # by eps ‖ |W| √diag T ‖². Sums for each component have the scatter within components in the place of T.
        assert self._scatter is not None
        K, d = request.density.n_components, request.density.n_features
        statistics = GaussianStatistics(self._structure, K, d, outcome.packed, 0.0, 0, 0.0, None, 1.0, request.columns)
        packed, failed = self._structure.maximize(statistics, self._model.reg_covar)
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
