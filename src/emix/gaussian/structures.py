"""Covariance structures: for each, the M-step from statistics, whitening, and the number of free parameters.

A structure is all that sets one kind of Gaussian mixture apart from another. Nothing else asks which one it is, but the
compiled kernel by its `code`, and messages and pictures, which call things by their names.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emix.arguments import choice_of
from emix.exceptions import DegenerateCovarianceError
from emix.gaussian.statistics import GaussianStatistics
from emix.kernel import factors
from emix.kernel.layout import parameters_layout
from emix.parallel.threads import part_of_thread, plan_parts, run_in_threads

__all__ = ["STRUCTURES", "CovarianceStructure", "RegCovar", "shown_ridge", "structure_of"]

Array = NDArray[np.float64]

RegCovar: TypeAlias = "float | Literal['auto']"
"""What an M-step adds to the variances: a number, or the ridge of kernel/ridge.pxi."""


def _number(reg_covar: RegCovar) -> float:
    """What compiled code takes: the number, or NaN for "auto"."""
    return math.nan if reg_covar == "auto" else reg_covar


def shown_ridge(reg_covar: RegCovar) -> str:
    """Write it as a user would: 1e-06, or 'auto'."""
    return repr(reg_covar) if isinstance(reg_covar, str) else f"{reg_covar:g}"


class CovarianceStructure(ABC):
    """One kind of covariances of K components in d dimensions.

    Attributes
    ----------
    name : str
    code : int
        What the compiled kernel calls it.
    has_matrices : bool
        Its covariances are matrices; else they are variances, for which W, Σ and Σ⁻¹ are arithmetic on numbers.
    is_shared : bool
        All components have one covariance.
    mixes_columns : bool
        A variance is that of several columns: their units have to be one unit.
    uses_origin : bool
        The kernel has cheaper forms for components about one origin.
    """

    name: str
    code: int
    has_matrices: bool
    is_shared = False
    mixes_columns = False
    uses_origin = True

    def __reduce__(self) -> tuple[Any, ...]:
        return _structure_named, (self.name,)

    def __repr__(self) -> str:
        return f"<covariance structure {self.name}>"

    @abstractmethod
    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Shape of the covariances, of their whitenings and of the scatter."""

    @abstractmethod
    def least_rows(self, n_features: int) -> int:
        """Rows that a component must exceed for its covariance to mean something.

        A matrix is regular from d + 1 rows on, but of the many planes near d rows some are close by chance: twice as
        many are asked for. A variance needs two.
        """

    @abstractmethod
    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Free parameters of the covariances."""

    def maximize(self, statistics: GaussianStatistics, reg_covar: RegCovar, n_threads: int = 1) -> tuple[Array, int]:
        """M-step: packed parameters, with the ridge R on the diagonals; and a component without a whitening, or −1.

        π_k = N_k/ΣN, μ_k = c_k + δ_k, Σ_k = S_k/N_k − δδᵀ + R in the structure's form, δ_k = s_k/N_k. Tied: each
        component counts by N_k. Where N_k = 0 the mean is c_k and the covariance R. A component whose covariance is not
        positive definite to working precision, and those behind it, may have no whitening; all else is there.
        """
        K, d, sums = statistics.n_components, statistics.n_features, statistics.packed
        packed = np.empty(parameters_layout(self.code, K, d).size)
        number, columns = _number(reg_covar), statistics.columns
        if n_threads == 1:
            return packed, factors.maximize(self.code, K, d, number, columns, sums, packed)
        failed = [-1] * n_threads

        def share(thread: int, stop: NDArray[np.int32] | None) -> None:
            part = part_of_thread(thread, n_threads, K)
            failed[thread] = factors.maximize(self.code, K, d, number, columns, sums, packed, *part)

        run_in_threads(share, n_threads)
        return packed, min((component for component in failed if component >= 0), default=-1)

    def ridge(self, statistics: GaussianStatistics, reg_covar: RegCovar, *, mixes_columns: bool | None = None) -> Array:
        """R of the M-step with these statistics: (d,); spherical (1,).

        `mixes_columns`: as the structure that the statistics are for; by default this one.
        """
        K, d = statistics.n_components, statistics.n_features
        found = np.empty(self.ridge_size(d))
        mixes = self.mixes_columns if mixes_columns is None else mixes_columns
        factors.ridge(self.code, mixes, K, d, _number(reg_covar), statistics.columns, statistics.packed, found)
        return found

    def ridge_size(self, n_features: int) -> int:
        """How many numbers R has."""
        return n_features

    def is_regular(self, statistics: GaussianStatistics, reg_covar: RegCovar) -> bool:
        """True if no component is near a collapse, nor held up by R (kernel/regularity.pxi); False is no verdict."""
        return factors.is_regular(
            self.code,
            statistics.n_components,
            statistics.n_features,
            _number(reg_covar),
            statistics.columns,
            statistics.packed,
        )

    def threads_of_matrices(self, n_components: int, n_features: int, n_threads: int | None) -> int:
        """How many threads should factorize, or multiply, the matrices of all components."""
        if not self.has_matrices or self.is_shared:
            return 1
        return plan_parts(n_components, float(n_features) ** 3, n_threads)

    def whiten(self, covariances: Array, n_components: int, n_features: int) -> tuple[Array, Array]:
        """W with Σ⁻¹ = WᵀW, lower triangular, and log det W of each component (K,).

        Raises
        ------
        DegenerateCovarianceError
            If a covariance is not positive definite to working precision.
        """
        return self._whiten(covariances, n_components, n_features, "covariance")

    def _whiten(self, covariances: Array, n_components: int, n_features: int, what: str) -> tuple[Array, Array]:
        whitening, log_det = np.empty(covariances.shape), np.empty(n_components)
        failed = factors.whiten(self.code, n_features, covariances.ravel(), whitening.ravel(), log_det)
        if failed >= 0:
            raise DegenerateCovarianceError(
                f"the {what} of component {failed} is not positive definite to working precision", failed
            )
        return whitening, log_det

    @abstractmethod
    def from_precisions(self, precisions: Array) -> Array:
        """Covariances from precisions.

        Raises
        ------
        DegenerateCovarianceError
            If a precision is not positive definite.
        """

    def precisions_cholesky(self, whitening: Array) -> Array:
        """U = Wᵀ with Σ⁻¹ = U Uᵀ; inverse standard deviations where there are variances."""
        return whitening.swapaxes(-1, -2).copy() if self.has_matrices else whitening

    def precisions(self, whitening: Array) -> Array:
        """Σ⁻¹ = WᵀW, exactly symmetric."""
        if not self.has_matrices:
            with np.errstate(over="ignore"):
                return np.square(whitening)
        found = np.empty(whitening.shape)
        factors.precisions(whitening.shape[-1], whitening.ravel(), found.ravel())
        return found

    def permute(self, covariances: Array, order: NDArray[np.intp]) -> Array:
        """Covariances of components in another order."""
        return covariances if self.is_shared else covariances[order]

    @abstractmethod
    def color(self, noise: Array, counts: NDArray[Any], covariances: Array) -> Array:
        """L_k z with L_k L_kᵀ = Σ_k for rows z of white noise, the first counts[0] of them the first component's."""

    @abstractmethod
    def recenter(self, scatter: Array, weight: Array, shift: Array, moved: Array) -> Array:
        """S + s eᵀ + e sᵀ + N e eᵀ with e = `moved` (K, d)."""

    @abstractmethod
    def whitened(self, whitening: Array, vectors: Array) -> Array:
        """W_k v_k for vectors of each component (…, K, d)."""

    @abstractmethod
    def whitened_norms(self, whitening: Array, differences: Array, n_features: int) -> Array:
        """‖W_k Δ_k W_kᵀ‖ (Frobenius) of a symmetric change of each covariance."""

    @abstractmethod
    def mahalanobis(self, whitening: Array, scatter: Array) -> float:
        """Σ_k tr(W_k S_k W_kᵀ): the sum of squared Mahalanobis distances that a scatter about the means holds."""

    @abstractmethod
    def scatter_of(self, covariances: Array, weight: Array, n_features: int) -> Array:
        """Scatter of N_k rows about means, with these covariances, in the structure's form."""

    @abstractmethod
    def to_full(self, covariances: Array, n_components: int, n_features: int) -> Array:
        """Covariances as matrices (K, d, d)."""

    @abstractmethod
    def from_pooled(self, covariance: Array, n_components: int) -> Array:
        """One covariance matrix (d, d) for every component, in the structure's form."""


class Full(CovarianceStructure):
    """A covariance matrix for each component."""

    name = "full"
    code = 0
    has_matrices = True
    uses_origin = False

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_components, n_features, n_features

    def least_rows(self, n_features: int) -> int:
        return 2 * n_features

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features * (n_features + 1) // 2

    def from_precisions(self, precisions: Array) -> Array:
        whitening, _ = self._whiten(precisions, len(precisions), precisions.shape[1], "precision")
        result: Array = whitening.transpose(0, 2, 1) @ whitening
        return result

    def color(self, noise: Array, counts: NDArray[Any], covariances: Array) -> Array:
        parts = np.split(noise, np.cumsum(counts)[:-1])
        return np.concatenate([z @ np.linalg.cholesky(sigma).T for z, sigma in zip(parts, covariances)])

    def recenter(self, scatter: Array, weight: Array, shift: Array, moved: Array) -> Array:
        cross = shift[:, :, np.newaxis] * moved[:, np.newaxis, :]
        square = weight[:, np.newaxis, np.newaxis] * moved[:, :, np.newaxis] * moved[:, np.newaxis, :]
        result: Array = scatter + cross + cross.transpose(0, 2, 1) + square
        return result

    def whitened(self, whitening: Array, vectors: Array) -> Array:
        result: Array = (whitening @ vectors[..., np.newaxis])[..., 0]
        return result

    def whitened_norms(self, whitening: Array, differences: Array, n_features: int) -> Array:
        result: Array = np.linalg.norm(whitening @ differences @ whitening.transpose(0, 2, 1), axis=(1, 2))
        return result

    def mahalanobis(self, whitening: Array, scatter: Array) -> float:
        return float(np.sum((whitening @ scatter) * whitening))

    def scatter_of(self, covariances: Array, weight: Array, n_features: int) -> Array:
        return np.asarray(weight[:, np.newaxis, np.newaxis] * covariances)

    def to_full(self, covariances: Array, n_components: int, n_features: int) -> Array:
        return covariances

    def from_pooled(self, covariance: Array, n_components: int) -> Array:
        return np.repeat(covariance[np.newaxis], n_components, axis=0)


class Tied(CovarianceStructure):
    """One covariance matrix for all components."""

    name = "tied"
    code = 1
    has_matrices = True
    is_shared = True

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_features, n_features

    def least_rows(self, n_features: int) -> int:
        return 0

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_features * (n_features + 1) // 2

    def from_precisions(self, precisions: Array) -> Array:
        whitening, _ = self._whiten(precisions, 1, len(precisions), "precision")
        result: Array = whitening.T @ whitening
        return result

    def color(self, noise: Array, counts: NDArray[Any], covariances: Array) -> Array:
        return np.asarray(noise @ np.linalg.cholesky(covariances).T)

    def recenter(self, scatter: Array, weight: Array, shift: Array, moved: Array) -> Array:
        cross = shift.T @ moved
        result: Array = scatter + cross + cross.T + (moved.T * weight) @ moved
        return result

    def whitened(self, whitening: Array, vectors: Array) -> Array:
        result: Array = vectors @ whitening.T
        return result

    def whitened_norms(self, whitening: Array, differences: Array, n_features: int) -> Array:
        return np.array([np.linalg.norm(whitening @ differences @ whitening.T)])

    def mahalanobis(self, whitening: Array, scatter: Array) -> float:
        return float(np.sum((whitening @ scatter) * whitening))

    def scatter_of(self, covariances: Array, weight: Array, n_features: int) -> Array:
        return np.asarray(weight.sum() * covariances)

    def to_full(self, covariances: Array, n_components: int, n_features: int) -> Array:
        return np.repeat(covariances[np.newaxis], n_components, axis=0)

    def from_pooled(self, covariance: Array, n_components: int) -> Array:
        return np.array(covariance)


class Diag(CovarianceStructure):
    """A variance for each component and feature."""

    name = "diag"
    code = 2
    has_matrices = False

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_components, n_features

    def least_rows(self, n_features: int) -> int:
        return 2

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features

    def from_precisions(self, precisions: Array) -> Array:
        self._whiten(precisions, len(precisions), precisions.shape[1], "precision")
        result: Array = 1.0 / precisions
        return result

    def color(self, noise: Array, counts: NDArray[Any], covariances: Array) -> Array:
        return np.asarray(noise * np.repeat(np.sqrt(covariances), counts, axis=0))

    def recenter(self, scatter: Array, weight: Array, shift: Array, moved: Array) -> Array:
        result: Array = scatter + 2.0 * shift * moved + weight[:, np.newaxis] * moved * moved
        return result

    def whitened(self, whitening: Array, vectors: Array) -> Array:
        return whitening * vectors

    def whitened_norms(self, whitening: Array, differences: Array, n_features: int) -> Array:
        result: Array = np.linalg.norm(whitening * whitening * differences, axis=1)
        return result

    def mahalanobis(self, whitening: Array, scatter: Array) -> float:
        return float(np.sum(whitening * whitening * scatter))

    def scatter_of(self, covariances: Array, weight: Array, n_features: int) -> Array:
        return weight[:, np.newaxis] * covariances

    def to_full(self, covariances: Array, n_components: int, n_features: int) -> Array:
        return np.asarray(covariances[:, :, np.newaxis] * np.eye(n_features))

    def from_pooled(self, covariance: Array, n_components: int) -> Array:
        return np.repeat(np.diagonal(covariance)[np.newaxis], n_components, axis=0)


class Spherical(CovarianceStructure):
    """A variance for each component."""

    name = "spherical"
    code = 3
    has_matrices = False
    mixes_columns = True

    def ridge_size(self, n_features: int) -> int:
        return 1

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components,)

    def least_rows(self, n_features: int) -> int:
        return 2

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components

    def from_precisions(self, precisions: Array) -> Array:
        self._whiten(precisions, len(precisions), 1, "precision")
        result: Array = 1.0 / precisions
        return result

    def color(self, noise: Array, counts: NDArray[Any], covariances: Array) -> Array:
        return np.asarray(noise * np.repeat(np.sqrt(covariances), counts)[:, np.newaxis])

    def recenter(self, scatter: Array, weight: Array, shift: Array, moved: Array) -> Array:
        result: Array = scatter + 2.0 * np.sum(shift * moved, axis=1) + weight * np.sum(moved * moved, axis=1)
        return result

    def whitened(self, whitening: Array, vectors: Array) -> Array:
        return whitening[:, np.newaxis] * vectors

    def whitened_norms(self, whitening: Array, differences: Array, n_features: int) -> Array:
        # Frobenius, as for the others: √d for a multiple of the identity.
        return np.asarray(math.sqrt(n_features) * np.abs(whitening * whitening * differences))

    def mahalanobis(self, whitening: Array, scatter: Array) -> float:
        return float(np.sum(whitening * whitening * scatter))

    def scatter_of(self, covariances: Array, weight: Array, n_features: int) -> Array:
        return np.asarray(n_features * weight * covariances)

    def to_full(self, covariances: Array, n_components: int, n_features: int) -> Array:
        return np.asarray(covariances[:, np.newaxis, np.newaxis] * np.eye(n_features))

    def from_pooled(self, covariance: Array, n_components: int) -> Array:
        return np.full(n_components, np.trace(covariance) / covariance.shape[0])


STRUCTURES: dict[str, CovarianceStructure] = {
    structure.name: structure for structure in (Full(), Tied(), Diag(), Spherical())
}
"""The structures by name."""


# By names and by themselves: to ask the abstract class what it knows takes three times as long.
_KNOWN: dict[Any, CovarianceStructure] = {**STRUCTURES, **{structure: structure for structure in STRUCTURES.values()}}


def structure_of(structure: str | CovarianceStructure, caller: str) -> CovarianceStructure:
    """Return a structure, or that of a name.

    Raises
    ------
    ValueError
        If there is none of the name.
    """
    try:
        return _KNOWN[structure]
    except (KeyError, TypeError):  # unknown, or not even hashable
        if isinstance(structure, CovarianceStructure):
            return structure
        return STRUCTURES[choice_of("structure", structure, STRUCTURES, caller)]


def _structure_named(name: str) -> CovarianceStructure:
    return STRUCTURES[name]
