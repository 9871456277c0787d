"""Covariance structures whose components share a part of their covariances Σ_k = λ_k D_k A_k D_kᵀ, and not all of it.

λ_k is a component's volume, A_k its shape (diagonal, of determinant 1) and D_k its orientation. Their M-steps are
compiled: kernel/mstep/shared_parts.pxi and kernel/mstep/orientation.pxi.

References
----------
G. Celeux and G. Govaert (1995), Gaussian parsimonious clustering models, Pattern Recognition 28, 781-793.
B. N. Flury and W. Gautschi (1986), An algorithm for simultaneous orthogonal transformation of several positive definite
symmetric matrices to nearly diagonal form, SIAM Journal on Scientific and Statistical Computing 7, 169-184.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.forms import FORMS
from emix.gaussian.reg_covar import RegCovar, ridge_of
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structure import STRUCTURES, CompiledStructure
from emix.kernel import factors, layout

if TYPE_CHECKING:
    from emix.gaussian.parameters import GaussianParameters

__all__ = ["SHARING_A_PART"]

Array = NDArray[np.float64]

# Covariances are of a structure if none of their elements is further from it than this, as a part of the variances of
# its two columns; where a structure mixes columns, of the largest variance. It is some hundred times what putting a
# covariance together from its parts leaves.
ROUNDED_PART = 1e-12


class _Sharing(CompiledStructure):
    """A structure whose components share a part of their covariances.

    Attributes
    ----------
    is_iterated : bool
        The maximum has no closed form: an M-step goes on from the parameters before, a few sweeps nearer to it.
    """

    is_iterated: ClassVar[bool] = False

    def maximize(self, statistics: GaussianStatistics, reg_covar: RegCovar, n_threads: int = 1) -> tuple[Array, int]:
        K, d, sums = statistics.n_components, statistics.n_features, statistics.packed
        packed = np.empty(factors.parameters_size(self.form.code, K, d))
        ridge, previous = ridge_of(reg_covar), self._before(statistics)
        return packed, factors.maximize(self.m_step, K, d, ridge, statistics.columns, sums, packed, 0, K, previous)

    def _before(self, statistics: GaussianStatistics) -> Array | None:
        """Packed parameters at which a search may begin, or None."""
        before = statistics.taken_under
        if not self.is_iterated or before is None or before.structure != self:
            return None
        return before.packed

    def gain_left(self, statistics: GaussianStatistics, reg_covar: RegCovar, parameters: GaussianParameters) -> float:
        if not self.is_iterated:
            return 0.0
        K, d, columns = statistics.n_components, statistics.n_features, statistics.columns
        found = factors.gain_left(self.m_step, K, d, ridge_of(reg_covar), columns, statistics.packed, parameters.packed)
        return statistics.unit * found

    def is_regular(self, statistics: GaussianStatistics, reg_covar: RegCovar) -> bool:
        if self.judged_by is not None:
            return STRUCTURES[self.judged_by].is_regular(statistics, reg_covar)
        K, d, ridge, columns = statistics.n_components, statistics.n_features, ridge_of(reg_covar), statistics.columns
        return factors.is_regular(self.m_step, K, d, ridge, columns, statistics.packed, self._before(statistics))

    def project(self, covariances: Array, weights: Array) -> Array:
        nearest = np.array(covariances, dtype=np.float64, order="C")
        d = nearest.shape[1]
        factors.project(self.m_step, d, np.ascontiguousarray(weights, dtype=np.float64), nearest.reshape(-1))
        variances = np.abs(np.diagonal(covariances, axis1=1, axis2=2) if self.form.has_matrices else covariances)
        if self.mixes_columns:
            scale = variances.max(axis=1)[:, np.newaxis, np.newaxis]
        elif self.form.has_matrices:
            deviations = np.sqrt(variances)
            scale = deviations[:, :, np.newaxis] * deviations[:, np.newaxis, :]
        else:
            scale = variances
        # The comparison is false for NaN.
        return covariances if (np.abs(nearest - covariances) <= ROUNDED_PART * scale).all() else nearest


class _CommonShape(_Sharing):
    """Covariances λ_k C, alike but for their size: a component has nothing but a volume of its own."""

    is_iterated = True

    def least_rows(self, n_features: int) -> int:
        return 2


class VEI(_CommonShape):
    """Variances of one shape, with a volume for each component: Σ_k = λ_k B with B diagonal, det B = 1."""

    name = "VEI"
    description = "variances in the same proportions for all components"
    form = FORMS["diag"]
    m_step = layout.VEI

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components + n_features - 1


class EVI(_Sharing):
    """Variances with the same product for all components: Σ_k = λ B_k with B_k diagonal, det B_k = 1."""

    name = "EVI"
    description = "variances with the same product for all components"
    form = FORMS["diag"]
    m_step = layout.EVI
    judged_by = "diag"

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return 1 + n_components * (n_features - 1)


class VEE(_CommonShape):
    """Multiples of one covariance matrix: Σ_k = λ_k C, det C = 1."""

    name = "VEE"
    description = "multiples of one covariance matrix"
    form = FORMS["full"]
    m_step = layout.VEE

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components - 1 + n_features * (n_features + 1) // 2


class EVE(_Sharing):
    """Covariances with the same axes and the same determinant: Σ_k = λ D A_k Dᵀ, det A_k = 1."""

    name = "EVE"
    description = "covariances with the same axes and the same determinant"
    form = FORMS["full"]
    mixes_columns = True
    is_iterated = True
    cost = 4000.0  # several sweeps over pairs of axes, where the axes are far from those before
    m_step = layout.EVE
    judged_by = "full"

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return 1 + n_components * (n_features - 1) + n_features * (n_features - 1) // 2


class VVE(_Sharing):
    """Covariances with the same axes: Σ_k = D Λ_k Dᵀ with Λ_k diagonal."""

    name = "VVE"
    description = "covariances with the same axes"
    form = FORMS["full"]
    mixes_columns = True
    is_iterated = True
    cost = 4000.0
    m_step = layout.VVE

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features + n_features * (n_features - 1) // 2


class EEV(_Sharing):
    """Covariances with the same eigenvalues: Σ_k = D_k Λ D_kᵀ."""

    name = "EEV"
    description = "covariances with the same eigenvalues"
    form = FORMS["full"]
    shares_eigenvalues = True
    mixes_columns = True
    m_step = layout.EEV

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_features + n_components * n_features * (n_features - 1) // 2


class VEV(_Sharing):
    """Covariances with eigenvalues in the same proportions: Σ_k = λ_k D_k A D_kᵀ, det A = 1."""

    name = "VEV"
    description = "covariances with eigenvalues in the same proportions"
    form = FORMS["full"]
    mixes_columns = True
    is_iterated = True
    m_step = layout.VEV

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components + n_features - 1 + n_components * n_features * (n_features - 1) // 2


class EVV(_Sharing):
    """Covariances with the same determinant: Σ_k = λ C_k, det C_k = 1."""

    name = "EVV"
    description = "covariances with the same determinant"
    form = FORMS["full"]
    m_step = layout.EVV
    judged_by = "full"

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return 1 + n_components * (n_features * (n_features + 1) // 2 - 1)


SHARING_A_PART = (VEI(), EVI(), VEE(), EVE(), VVE(), EEV(), VEV(), EVV())
"""The structures, in the order of their numbers in the compiled kernel."""
