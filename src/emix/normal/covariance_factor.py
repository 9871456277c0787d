"""Factors of the covariance matrix of a multivariate normal, which is checked and factorized once.

Two classes have the same few members. `CholeskyFactor` holds Σ = L Lᵀ and is for positive definite matrices.
`EigenFactor` is for positive semidefinite matrices and holds the eigenvectors whose eigenvalues are not negligible. It
judges eigenvalues in units in which the diagonal is 1. So the scales of the features do not matter; they do not matter
to Cholesky either. `EigenFactor` costs some ten times as much as `CholeskyFactor`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from emix.arguments import first_not_finite
from emix.gaussian.covariance_checks import asymmetric_element, correlations, least_eigenvalue
from emix.normal.array_types import Float64Array
from emix.rows.conversion import as_numbers

_EPS = float(np.finfo(np.float64).eps)
# Σ_ij and Σ_ji may differ by this part of √(Σ_ii Σ_jj): the rounding of a covariance that was computed in float32
# (eps 1.2e-7) by the usual sums. A larger difference is a mistake, such as a Cholesky factor given as the covariance.
_ASYMMETRY = 1e-6
# Eigenvalues of a correlation matrix below this part of the largest are negligible. The number is SciPy's; SciPy uses
# it for the covariance matrix itself (scipy.stats, _eigvalsh_to_eps).
_NEGLIGIBLE = 1e6 * _EPS
# A point on the support is at most this far from it, in standard deviations. The 1e3 is SciPy's (_PSD._support_mask).
_ON_SUPPORT = 1e3 * _NEGLIGIBLE
# A standard deviation below this part of the mean counts as zero. A plain sum over a constant column leaves as much by
# rounding (NumPy's covariance of 1 000 times 0.1: 64 eps).
_CONSTANT = 1e-13
# Part of a diagonal that a message proposes to add to it.
_ENLARGE = 1e-6
# Coordinates beyond this could overflow when whitened, although the distance does not.
_FAR = 1e100


class CovarianceFactor(Protocol):
    """Members of both factorizations. Rows have shape (n, d) and are points minus the mean."""

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

    def outside_support(self, rows: Float64Array, eps: float = _EPS) -> npt.NDArray[np.bool_]:
        """Return a mask of the rows outside the column space of Σ; eps is that of the points' dtype."""

    def spans(self, directions: Float64Array) -> bool:
        """True if the columns of directions (d, m) lie in the column space of Σ."""


@dataclass(frozen=True)
class CholeskyFactor:
    """Σ = L Lᵀ."""

    columns: Float64Array

    @classmethod
    def of(cls, covariance: Float64Array) -> CholeskyFactor:
        """Factorize a covariance; ValueError if it is not positive definite beyond rounding."""
        n_features = len(covariance)
        _check_diagonal(covariance)
        if not np.diagonal(covariance).all():
            raise _not_positive_definite(covariance)
        try:
            lower = np.linalg.cholesky(covariance).astype(np.float64, copy=False)
        except np.linalg.LinAlgError:
            raise _not_positive_definite(covariance) from None
        # The features' scales do not affect the accuracy of Cholesky. It depends on the smallest eigenvalue of the
        # correlation matrix (Higham 2002, theorem 10.7), which rounding alone moves by some d·eps.
        if not least_eigenvalue(correlations(covariance)) > 4 * n_features * _EPS:
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

    def outside_support(self, rows: Float64Array, eps: float = _EPS) -> npt.NDArray[np.bool_]:
        """See `CovarianceFactor`."""
        return np.zeros(len(rows), dtype=bool)

    def spans(self, directions: Float64Array) -> bool:
        """See `CovarianceFactor`."""
        return True


@dataclass(frozen=True)
class EigenFactor:
    """Σ = D V diag(λ) Vᵀ D, with the eigenvalues λ that are not negligible and the standard deviations D.

    Attributes
    ----------
    size : ndarray of shape (d,)
        Absolute values of the mean: the rounding error of points is at least that of the mean.
    deviations : ndarray of shape (d,)
        Diagonal of D; 0 for a constant feature.
    eigenvalues : ndarray of shape (rank,)
    eigenvectors : ndarray of shape (d, rank)
        V, eigenvectors of the correlation matrix; zeros for a constant feature.
    null_space : ndarray of shape (d, d - rank - number of constants)
        The other eigenvectors.
    cutoff : float
        Eigenvalues of the correlation matrix up to this are negligible.
    """

    size: Float64Array
    deviations: Float64Array
    eigenvalues: Float64Array
    eigenvectors: Float64Array
    null_space: Float64Array
    cutoff: float

    @classmethod
    def of(cls, covariance: Float64Array, mean: Float64Array | float = 0.0) -> EigenFactor:
        """Factorize a covariance; ValueError if an eigenvalue is negative beyond rounding."""
        variances = np.diagonal(covariance)
        size = np.broadcast_to(np.abs(mean), variances.shape)
        _check_diagonal(covariance)
        deviations = np.sqrt(variances)
        deviations[deviations <= _CONSTANT * size] = 0.0
        varying = np.flatnonzero(deviations)
        unit = deviations[varying]
        correlation = correlations(covariance[np.ix_(varying, varying)], unit)
        eigenvalues, vectors = np.linalg.eigh(correlation)
        cutoff = _NEGLIGIBLE * float(np.abs(eigenvalues).max(initial=0.0))
        if varying.size and eigenvalues[0] < -cutoff:
            raise ValueError(
                f"covariance is not positive semidefinite: the eigenvalues of its correlation matrix are between "
                f"{eigenvalues[0]:.6g} and {eigenvalues[-1]:.6g}, expected none below zero. Check how it was computed, "
                "or enlarge its diagonal."
            )
        eigenvectors = np.zeros((len(variances), varying.size))
        eigenvectors[varying] = vectors
        kept = eigenvalues > cutoff
        return cls(size, deviations, eigenvalues[kept], eigenvectors[:, kept], eigenvectors[:, ~kept], cutoff)

    @property
    def columns(self) -> Float64Array:
        """See `CovarianceFactor`."""
        return self.deviations[:, None] * (self.eigenvectors * np.sqrt(self.eigenvalues))

    @property
    def log_det(self) -> float:
        """See `CovarianceFactor`."""
        if self.rank == len(self.deviations):
            return 2.0 * float(np.log(self.deviations).sum()) + float(np.log(self.eigenvalues).sum())
        # The non-zero eigenvalues of F Fᵀ are those of FᵀF = RᵀR. With the largest rows first and with pivoting, the
        # rounding of a row stays relative to that row, whatever its unit (Cox and Higham 1998).
        from scipy.linalg import qr

        order = np.argsort(-self.deviations, kind="stable")
        triangle = qr(self.columns[order], mode="r", pivoting=True, check_finite=False)[0]
        return 2.0 * float(np.log(np.abs(np.diagonal(triangle))).sum())

    @property
    def rank(self) -> int:
        """See `CovarianceFactor`."""
        return len(self.eigenvalues)

    def whiten(self, rows: Float64Array) -> Float64Array:
        """See `CovarianceFactor`."""
        whitened: Float64Array = (rows / self._unit) @ (self.eigenvectors / np.sqrt(self.eigenvalues))
        return whitened

    def outside_support(self, rows: Float64Array, eps: float = _EPS) -> npt.NDArray[np.bool_]:
        """See `CovarianceFactor`.

        The rounding error of x = μ + row is eps (|row| + |μ|), and that of the mean adds eps |μ|.
        """
        varies = self.deviations > 0.0
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            size = np.abs(rows)
            rounding = eps * (size + 2.0 * self.size)
            constant = (size <= rounding + _ON_SUPPORT * self.size)[:, ~varies].all(axis=1)
            scaled, allowed = rows / self._unit, (rounding / self._unit)[:, varies]
            # Lengths are in units of the largest coordinate, so that their squares do not overflow.
            reach = np.abs(scaled).max(axis=1, keepdims=True, initial=1.0)
            distance = np.linalg.norm((scaled / reach) @ self.null_space, axis=1)
            # A far point may overflow to NaN: the comparison is then false, so the point is outside.
            near = distance <= _ON_SUPPORT / reach[:, 0] + np.linalg.norm(allowed / reach, axis=1)
        inside: npt.NDArray[np.bool_] = near & constant
        return ~inside

    def spans(self, directions: Float64Array) -> bool:
        """See `CovarianceFactor`."""
        # Only angles are compared, in units of the standard deviations: the lengths of directions do not matter.
        varies = self.deviations > 0.0
        if directions[~varies].any():
            return False
        scaled = directions / self._unit[:, None]
        lengths = np.linalg.norm(scaled, axis=0)
        return bool((np.linalg.norm(self.null_space.T @ scaled, axis=0) <= _ON_SUPPORT * lengths).all())

    @property
    def _unit(self) -> Float64Array:
        return np.where(self.deviations > 0.0, self.deviations, 1.0)


def factorize(covariance: Float64Array, allow_singular: bool, mean: Float64Array | float = 0.0) -> CovarianceFactor:
    """Factorize a symmetric, finite covariance matrix of shape (d, d).

    The rounding error of `mean` must not put points outside the support of a singular distribution.

    Raises
    ------
    ValueError
        If it is not positive definite or, with `allow_singular`, not positive semidefinite.
    """
    return EigenFactor.of(covariance, mean) if allow_singular else CholeskyFactor.of(covariance)


def mahalanobis_distance(factor: CovarianceFactor, rows: Float64Array, eps: float = _EPS) -> Float64Array:
    """Return √(x Σ⁺ xᵀ) for each row x, a point minus the mean: at least 0, +inf outside the support, never NaN.

    `eps` is that of the points' dtype.
    """
    distance = whitened_length(factor.whiten, rows)
    distance[factor.outside_support(rows, eps)] = np.inf
    return distance


def whitened_length(whiten: Callable[[Float64Array], Float64Array], rows: Float64Array) -> Float64Array:
    """Return ‖whiten(x)‖ for each row x, where `whiten` is linear: +inf only where it overflows, never NaN."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        size = np.abs(rows)
        if size.max(initial=0.0) <= _FAR:
            length: Float64Array = np.linalg.norm(whiten(rows), axis=1)
        else:
            # Scaling by a power of two changes no bit; only far rows are scaled.
            largest = size.max(axis=1, keepdims=True)
            scale = np.where(largest > _FAR, np.ldexp(1.0, np.frexp(largest)[1] - 1), 1.0)
            length = np.linalg.norm(whiten(rows / scale), axis=1) * np.ravel(scale)
            length[np.isinf(largest[:, 0])] = np.inf
        # NaN can only come from inf − inf, at a point whose distance overflows.
        length[np.isnan(length)] = np.inf
    return length


def solve_lower(lower: Float64Array, right: Float64Array) -> Float64Array:
    """Return L⁻¹ B by forward substitution."""
    # Not imported at the top: scipy.linalg takes 90 ms, too long for `import emix`.
    from scipy.linalg import solve_triangular

    solution: Float64Array = solve_triangular(lower, right, lower=True, check_finite=False)
    return solution


def _check_diagonal(covariance: Float64Array) -> None:
    """Refuse negative variances, and non-zero covariances of a feature without variance."""
    variances = np.diagonal(covariance)
    if variances.min() > 0.0:
        return
    if variances.min() < 0.0:
        j = int(variances.argmin())
        raise ValueError(
            f"covariance is not positive semidefinite: it has the variance {variances[j]:.6g} at [{j}, {j}], expected "
            "none below zero. Check how it was computed."
        )
    wrong = (variances == 0.0)[:, None] & (covariance != 0.0)
    if wrong.any():
        i, j = (int(index) for index in np.argwhere(wrong)[0])
        raise ValueError(
            f"covariance is not positive semidefinite: it has {covariance[i, j]:.6g} at [{i}, {j}], expected 0 beside "
            f"the variance 0 at [{i}, {i}]. Check how it was computed."
        )


def _not_positive_definite(covariance: Float64Array) -> ValueError:
    """Return the error; its eigenvalues are in units in which the diagonal is 1, as in the test."""
    variances = np.diagonal(covariance)
    if not variances.all():
        j = int(variances.argmin())
        return ValueError(
            f"covariance is not positive definite: it has the variance 0 at [{j}, {j}], expected all above zero. "
            "Pass allow_singular=True or leave out features that do not vary."
        )
    eigenvalues = np.linalg.eigvalsh(correlations(covariance))
    return ValueError(
        f"covariance is not positive definite: the eigenvalues of its correlation matrix are between "
        f"{eigenvalues[0]:.6g} and {eigenvalues[-1]:.6g}, expected all above zero by more than rounding. Pass "
        f"allow_singular=True or enlarge the diagonal, as in covariance + {_ENLARGE:g} * np.diag(np.diag(covariance))."
    )


def as_float64(name: str, values: Any) -> Float64Array:
    """Return a new float64 array; ValueError if a value is not a finite real number."""
    array = as_numbers(values, name).astype(np.float64)
    place = first_not_finite(array)
    if place is not None:
        raise ValueError(f"{name} has {array[place]} at {list(place)}, expected finite numbers.")
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
    places = asymmetric_element(array, _ASYMMETRY)
    if places is not None:
        (i, j), _ = places
        raise ValueError(
            f"covariance is not symmetric: {array[i, j]} at [{i}, {j}] and {array[j, i]} at [{j}, {i}]. If that is "
            "rounding, pass (covariance + covariance.T) / 2."
        )
    return 0.5 * array + 0.5 * array.T
