"""One covariance matrix, checked and factorized once: what a multivariate normal needs of it.

Two classes with the same few members. `CholeskyFactor` holds Σ = L Lᵀ and is for positive definite matrices.
`EigenFactor` holds the eigenvectors of a positive semidefinite one and keeps those whose eigenvalues are not
negligible, by the rule of ``scipy.stats.multivariate_normal``. Its cost is some ten times that of Cholesky, and
it has a cutoff relative to the largest eigenvalue, which Cholesky, indifferent to the scale of a feature, has not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from emix.rows.conversion import as_numbers

Float64Array: TypeAlias = npt.NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)
# Σ_ij and Σ_ji may differ by this part of √(Σ_ii Σ_jj): the rounding of a covariance that was computed in float32
# (eps 1.2e-7) by the usual sums. More is a mistake, such as a Cholesky factor given in place of the covariance.
_ASYMMETRY = 1e-6
# Beyond this a whitened coordinate could overflow although the distance does not.
_FAR = 1e100


class CovarianceFactor(Protocol):
    """What both factorizations have. Rows are points less the mean, shape (n, d)."""

    @property
    def columns(self) -> Float64Array:
        """F of shape (d, rank) with F Fᵀ = Σ."""

    @property
    def log_det(self) -> float:
        """Logarithm of the product of the eigenvalues that are kept."""

    @property
    def rank(self) -> int:
        """Number of eigenvalues that are kept."""

    def whiten(self, rows: Float64Array) -> Float64Array:
        """Return y of shape (n, rank) with ‖y‖² = rows Σ⁺ rowsᵀ."""

    def outside_support(self, rows: Float64Array) -> npt.NDArray[np.bool_]:
        """Return which rows do not lie in the column space of Σ."""


@dataclass(frozen=True)
class CholeskyFactor:
    """Σ = L Lᵀ."""

    columns: Float64Array

    @classmethod
    def of(cls, covariance: Float64Array) -> CholeskyFactor:
        """Factorize; ValueError if not positive definite beyond rounding."""
        n_features = len(covariance)
        try:
            lower = np.linalg.cholesky(covariance).astype(np.float64, copy=False)
        except np.linalg.LinAlgError:
            raise _not_positive_definite(covariance) from None
        # Whether Cholesky can be trusted does not depend on the features' scales: what matters is the smallest
        # eigenvalue of the correlation matrix (Higham 2002, theorem 10.7). Rounding alone moves it by some d·eps.
        scale = 1.0 / np.sqrt(np.diagonal(covariance))
        smallest = np.linalg.eigvalsh(covariance * scale[:, None] * scale)[0]
        if not smallest > 4 * n_features * _EPS:
            raise _not_positive_definite(covariance)
        return cls(lower)

    @property
    def log_det(self) -> float:
        """See `CovarianceFactor`."""
        return 2.0 * float(np.log(np.diagonal(self.columns)).sum())

    @property
    def rank(self) -> int:
        """See `CovarianceFactor`."""
        return len(self.columns)

    def whiten(self, rows: Float64Array) -> Float64Array:
        """See `CovarianceFactor`."""
        # y = L⁻¹ x by substitution, for all rows at once.
        return solve_lower(self.columns, rows.T).T

    def outside_support(self, rows: Float64Array) -> npt.NDArray[np.bool_]:
        """See `CovarianceFactor`."""
        return np.zeros(len(rows), dtype=bool)


@dataclass(frozen=True)
class EigenFactor:
    """Σ = V diag(λ) Vᵀ over the eigenvalues λ > cutoff, and the basis of the null space."""

    eigenvalues: Float64Array
    eigenvectors: Float64Array
    null_space: Float64Array
    cutoff: float

    @classmethod
    def of(cls, covariance: Float64Array) -> EigenFactor:
        """Factorize; ValueError if an eigenvalue is negative beyond rounding."""
        eigenvalues, eigenvectors = np.linalg.eigh(covariance)
        # SciPy's rule (scipy.stats, _eigvalsh_to_eps): negligible is 1e6 eps of the largest in absolute value.
        cutoff = 1e6 * _EPS * float(np.abs(eigenvalues).max())
        if eigenvalues[0] < -cutoff:
            raise ValueError(
                f"covariance is not positive semidefinite: its eigenvalues are between {eigenvalues[0]:.6g} and "
                f"{eigenvalues[-1]:.6g}, expected none below zero. Check how it was computed, or add a multiple of the "
                "identity to it."
            )
        kept = eigenvalues > cutoff
        return cls(eigenvalues[kept], eigenvectors[:, kept], eigenvectors[:, ~kept], cutoff)

    @property
    def columns(self) -> Float64Array:
        """See `CovarianceFactor`."""
        return self.eigenvectors * np.sqrt(self.eigenvalues)

    @property
    def log_det(self) -> float:
        """See `CovarianceFactor`."""
        return float(np.log(self.eigenvalues).sum())

    @property
    def rank(self) -> int:
        """See `CovarianceFactor`."""
        return len(self.eigenvalues)

    def whiten(self, rows: Float64Array) -> Float64Array:
        """See `CovarianceFactor`."""
        whitened: Float64Array = rows @ (self.eigenvectors / np.sqrt(self.eigenvalues))
        return whitened

    def outside_support(self, rows: Float64Array) -> npt.NDArray[np.bool_]:
        """See `CovarianceFactor`."""
        # SciPy's tolerance too (_PSD._support_mask), except that a distance of zero is always inside: SciPy finds
        # even the mean outside the support of an all-zero covariance. NaN, from overflow far out, is outside.
        inside: npt.NDArray[np.bool_] = np.linalg.norm(rows @ self.null_space, axis=1) <= 1e3 * self.cutoff
        return ~inside


def factorize(covariance: Float64Array, allow_singular: bool) -> CovarianceFactor:
    """Factorize a symmetric, finite covariance matrix of shape (d, d).

    Raises
    ------
    ValueError
        If it is not positive definite or, with `allow_singular`, not positive semidefinite.
    """
    return EigenFactor.of(covariance) if allow_singular else CholeskyFactor.of(covariance)


def mahalanobis_distance(factor: CovarianceFactor, rows: Float64Array) -> Float64Array:
    """Return √(x Σ⁺ xᵀ) for each row x, a point less the mean: at least 0, +inf outside the support, never NaN."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
        scale: Any = 1.0
        if largest.max(initial=0.0) > _FAR:
            # By a power of two, so that no bit of a row changes that did not need it.
            scale = np.where(largest > _FAR, np.ldexp(1.0, np.frexp(largest)[1] - 1), 1.0)
            rows = rows / scale
        distance: Float64Array = np.linalg.norm(factor.whiten(rows), axis=1) * np.ravel(scale)
        # NaN can only come of inf − inf: a point whose distance overflows.
        distance[np.isnan(distance) | np.isinf(largest[:, 0])] = np.inf
        distance[factor.outside_support(rows * scale)] = np.inf
    return distance


def solve_lower(lower: Float64Array, right: Float64Array) -> Float64Array:
    """Return L⁻¹ B by forward substitution."""
    # scipy.linalg costs 90 ms to import, which `import emix` shall not pay.
    from scipy.linalg import solve_triangular

    solution: Float64Array = solve_triangular(lower, right, lower=True, check_finite=False)
    return solution


def _not_positive_definite(covariance: Float64Array) -> ValueError:
    eigenvalues = np.linalg.eigvalsh(covariance)
    exponent = math.ceil(math.log10(max(float(np.abs(eigenvalues).max()), 1e-300))) - 6
    return ValueError(
        f"covariance is not positive definite: its eigenvalues are between {eigenvalues[0]:.6g} and "
        f"{eigenvalues[-1]:.6g}, expected all above zero by more than rounding. Pass allow_singular=True or add a "
        f"multiple of the identity, as in covariance + 1e{exponent} * np.eye({len(covariance)})."
    )


def as_float64(name: str, values: Any) -> Float64Array:
    """Return a new float64 array; ValueError if there is anything but finite real numbers."""
    array = as_numbers(values, name).astype(np.float64)
    if not np.isfinite(array).all():
        index = [int(i) for i in np.argwhere(~np.isfinite(array))[0]]
        raise ValueError(f"{name} has {array[tuple(index)]} at {index}, expected finite numbers.")
    return array


def checked_mean(mean: npt.ArrayLike) -> Float64Array:
    """Return a new array of shape (n_features,), or raise ValueError."""
    array = as_float64("mean", mean)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"mean has shape {array.shape}, expected (n_features,) with at least one feature.")
    return array


def checked_covariance(covariance: npt.ArrayLike, n_features: int) -> Float64Array:
    """Return a new, exactly symmetric array of shape (n_features, n_features), or raise ValueError."""
    array = as_float64("covariance", covariance)
    if array.shape != (n_features, n_features):
        raise ValueError(
            f"covariance has shape {array.shape}, expected ({n_features}, {n_features}) for a mean of {n_features} "
            "features. Make a vector of variances a matrix with np.diag."
        )
    deviations = np.sqrt(np.abs(np.diagonal(array)))
    asymmetry = np.abs(array - array.T)
    wrong = asymmetry > _ASYMMETRY * np.outer(deviations, deviations)
    if wrong.any():
        i, j = (int(index) for index in np.unravel_index(np.argmax(np.where(wrong, asymmetry, -1.0)), array.shape))
        raise ValueError(
            f"covariance is not symmetric: {array[i, j]} at [{i}, {j}] and {array[j, i]} at [{j}, {i}]. If that is "
            "rounding, pass (covariance + covariance.T) / 2."
        )
    return 0.5 * array + 0.5 * array.T
