"""Covariance forms: how the covariances of K components are stored, whitened and summed.

There are four, which the compiled kernel knows by the codes of kernel/layout.py. A structure (gaussian/structures.py)
says which covariances of its form the M-step may fit.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import DegenerateCovarianceError
from emix.kernel import factors
from emix.kernel.layout import DIAG, FULL, SPHERICAL, TIED
from emix.parallel.threads import plan_parts

__all__ = ["FORMS", "CovarianceForm"]

Array = NDArray[np.float64]


class CovarianceForm(ABC):
    """One way to store the covariances of K components in d dimensions, their whitenings and their scatter.

    Attributes
    ----------
    name : str
    code : int
        The form's number in the compiled kernel.
    has_matrices : bool
        The covariances are stored as matrices; else as variances, for which W, Σ and Σ⁻¹ are arithmetic on numbers.
    has_directions : bool
        A covariance may differ from one direction to another; else it is one number times the identity.
    is_shared : bool
        One covariance is stored for all components.
    uses_origin : bool
        The kernel has cheaper loops for components about one origin.
    """

    name: ClassVar[str]
    code: ClassVar[int]
    has_matrices: ClassVar[bool]
    has_directions: ClassVar[bool] = True
    is_shared: ClassVar[bool] = False
    uses_origin: ClassVar[bool] = True

    def __reduce__(self) -> tuple[Any, ...]:
        return _form_named, (self.name,)

    def __repr__(self) -> str:
        return f"<covariance form {self.name}>"

    @abstractmethod
    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Shape of the covariances, of their whitenings and of the scatter."""

    def threads_of_matrices(self, n_components: int, n_features: int, n_threads: int | None) -> int:
        """Return the number of threads that factorize, or multiply, the matrices of all components."""
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
        """Scatter of N_k rows about means, with these covariances, in this form."""

    @abstractmethod
    def to_full(self, covariances: Array, n_components: int, n_features: int) -> Array:
        """Covariances as matrices (K, d, d)."""

    @abstractmethod
    def from_pooled(self, covariance: Array, n_components: int) -> Array:
        """One covariance matrix (d, d) for every component, in this form."""


class Full(CovarianceForm):
    """A covariance matrix for each component: (K, d, d)."""

    name = "full"
    code = FULL
    has_matrices = True
    uses_origin = False

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_components, n_features, n_features

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


class Tied(CovarianceForm):
    """One covariance matrix for all components: (d, d)."""

    name = "tied"
    code = TIED
    has_matrices = True
    is_shared = True

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_features, n_features

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


class Diag(CovarianceForm):
    """A variance for each component and feature: (K, d)."""

    name = "diag"
    code = DIAG
    has_matrices = False

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_components, n_features

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


class Spherical(CovarianceForm):
    """A variance for each component: (K,)."""

    name = "spherical"
    code = SPHERICAL
    has_matrices = False
    has_directions = False

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components,)

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


FORMS: dict[str, CovarianceForm] = {form.name: form for form in (Full(), Tied(), Diag(), Spherical())}
"""The forms by name."""


def _form_named(name: str) -> CovarianceForm:
    """Return the one object of a form, for pickle and copy."""
    return FORMS[name]
