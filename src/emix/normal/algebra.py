"""The linear algebra of multivariate normals: moments and densities of rows, conditioning, entropy, divergence."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from emix.gaussian.total_scatter import scatter_about
from emix.normal.array_types import Float64Array, FloatArray
from emix.normal.covariance_factor import (
    CholeskyFactor,
    CovarianceFactor,
    EigenFactor,
    mahalanobis_distance,
    solve_lower,
)
from emix.rows.arrays import ArraySource

# Values in a chunk of rows: 2 MB of float64, about a second-level cache, whatever n_samples is.
_CHUNK_VALUES = 2**18
_LOG_2PI = math.log(2.0 * math.pi)


def chunks(rows: FloatArray) -> Iterator[slice]:
    """Return slices that cover all rows in order, each small enough for a temporary array of its size."""
    step = max(1, _CHUNK_VALUES // rows.shape[1])
    return (slice(start, start + step) for start in range(0, len(rows), step))


@np.errstate(under="ignore", over="ignore")
def weighted_moments(rows: FloatArray, weights: Float64Array | None) -> tuple[Float64Array, Float64Array]:
    """Return Σwx / Σw of shape (d,) and Σw(x − mean)(x − mean)ᵀ / Σw of shape (d, d).

    Nothing cancels: differences from the middle of the columns give the mean, and differences from the mean the
    scatter. The last line corrects the rounding error of that mean.
    """
    source = ArraySource(rows, weights)
    least, greatest = source.column_range
    middle = least + 0.5 * (greatest - least)
    shift, weight = np.zeros_like(middle), source.sample_weight
    for chunk in chunks(rows):
        centred = rows[chunk] - middle
        shift += centred.sum(axis=0) if weight is None else weight[chunk] @ centred
    center = np.clip(middle + shift / (source.total_weight / source.weight_unit), least, greatest)
    # S = Σw(x − c)(x − c)ᵀ; with δ = Σw(x − c)/Σw, the true mean is c + δ and its scatter S − Σw·δδᵀ.
    total, shift, scatter = scatter_about(source, center)
    delta = shift / total
    return center + delta, (scatter + np.tril(scatter, -1).T) / total - np.outer(delta, delta)


def distances(factor: CovarianceFactor, rows: FloatArray, mean: Float64Array) -> FloatArray:
    """Return √((x − μ)ᵀ Σ⁺ (x − μ)) of rows (n, d), shape (n,), in the dtype of `rows`; +inf outside the support."""
    result = np.empty(len(rows), dtype=rows.dtype)
    with np.errstate(over="ignore", under="ignore"):
        for chunk in chunks(rows):
            result[chunk] = mahalanobis_distance(factor, rows[chunk] - mean, _eps(rows))
    return result


def log_densities(factor: CovarianceFactor, rows: FloatArray, mean: Float64Array) -> FloatArray:
    """Return log-densities on the support for rows (n, d), shape (n,), in the dtype of `rows`; −inf outside it."""
    constant = factor.rank * _LOG_2PI + factor.log_det
    result = np.empty(len(rows), dtype=rows.dtype)
    with np.errstate(over="ignore", under="ignore"):
        for chunk in chunks(rows):
            distance = mahalanobis_distance(factor, rows[chunk] - mean, _eps(rows))
            result[chunk] = -0.5 * (constant + np.square(distance))
    return result


def entropy(factor: CovarianceFactor) -> float:
    """Return the differential entropy in nats, ½ (rank · log 2πe + log det)."""
    return 0.5 * (factor.rank * (1.0 + _LOG_2PI) + factor.log_det)


def condition(covariance: Float64Array, values: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return mean and covariance of the other features, given values (…, b) of the first ones, if all means are zero.

    Let b be the first features and a the others. Then Σ_ab Σ_bb⁻¹ x_b and Σ_aa − Σ_ab Σ_bb⁻¹ Σ_ba are L_ab L_bb⁻¹ x_b
    and L_aa L_aaᵀ in the Cholesky factor of Σ: no difference is taken, and the result is positive definite.
    """
    lower, n_given = CholeskyFactor.of(covariance).columns, values.shape[-1]
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        mean = values @ regression_coefficients(lower, n_given).T
    return mean, conditional_covariance(lower, n_given)


@np.errstate(under="ignore", over="ignore")
def regression_coefficients(lower: Float64Array, n_given: int) -> Float64Array:
    """Return Σ_ab Σ_bb⁻¹ = L_ab L_bb⁻¹, shape (a, b), where the first features are given."""
    # Not imported at the top: scipy.linalg takes 90 ms, too long for `import emix`.
    from scipy.linalg import solve_triangular

    inner, cross = lower[:n_given, :n_given], lower[n_given:, :n_given]
    return np.asarray(solve_triangular(inner, cross.T, lower=True, trans="T", check_finite=False).T)


@np.errstate(under="ignore")
def conditional_covariance(lower: Float64Array, n_given: int) -> Float64Array:
    """Return L_aa L_aaᵀ, shape (a, a), where the first features are given."""
    remaining = lower[n_given:, n_given:]
    return np.asarray(remaining @ remaining.T)


@np.errstate(under="ignore")
def condition_singular(
    covariance: Float64Array, values: Float64Array, mean: Float64Array | float = 0.0
) -> tuple[Float64Array, Float64Array]:
    """Return mean and covariance as `condition` does, by the pseudo-inverse of Σ_bb; ValueError for impossible values.

    Units are those in which the diagonal of Σ is 1. The mean is already subtracted from the values; the argument `mean`
    only gives the size of its rounding error.
    """
    n_given = values.shape[-1]
    mean = np.broadcast_to(mean, len(covariance))
    whole = EigenFactor.of(covariance, mean)
    given = EigenFactor.of(covariance[:n_given, :n_given], mean[:n_given])
    outside = given.outside_support(np.atleast_2d(values))
    if outside.any():
        place = f" in row {int(outside.argmax())}" if values.ndim > 1 else ""
        raise ValueError(
            f"given has values that are impossible together{place}: the distribution is singular, and they lie outside "
            "its support. Change them, or leave out features that the others determine."
        )
    deviations = whole.deviations[n_given:]
    unit = np.where(deviations > 0.0, deviations, 1.0)
    # Two products with U_b, where U_b U_bᵀ = Σ_bb⁺: rows U_bᵀ Σ_ba, in units of the features a, and U_bᵀ x_b.
    cross = given.whiten(covariance[n_given:, :n_given] / unit[:, None])
    shift = unit * (given.whiten(values) @ cross.T)
    correlation = covariance[n_given:, n_given:] / unit[:, None] / unit
    eigenvalues, eigenvectors = np.linalg.eigh(correlation - cross @ cross.T)
    # If the given features explain a whole variance, the difference is only rounding error. It is negligible beside
    # the original variance, but would count as a variance of its own.
    eigenvalues[eigenvalues <= whole.cutoff] = 0.0
    remaining = (eigenvectors * eigenvalues) @ eigenvectors.T
    explained = (np.diagonal(remaining) <= whole.cutoff) | (deviations == 0.0)
    remaining[explained] = remaining[:, explained] = 0.0
    return shift, unit[:, None] * remaining * unit


@np.errstate(over="ignore", under="ignore", divide="ignore")
def divergence(ours: CovarianceFactor, theirs: CovarianceFactor, shift: Float64Array) -> float:
    """Return KL(N(shift, Σ₁) ‖ N(0, Σ₂)) in nats; inf if the supports differ.

    With M = L₂⁻¹ L₁, lower triangular, 2 KL = Σ_j (M_jj² − 1 − log M_jj²) + Σ_{i>j} M_ij² + ‖L₂⁻¹ shift‖². No term is
    negative, so small divergences keep the digits that the difference of a trace and the rank would lose. In triangular
    factors, unlike in eigenvectors, the unit of one feature does not affect the rounding of another.
    """
    if ours.rank != theirs.rank or theirs.outside_support(shift[None])[0] or not theirs.spans(ours.columns):
        return math.inf
    # On a common support of r dimensions, r features determine the others. Their divergence is that of all features.
    if not ours.rank:
        return 0.0
    features = _determining(theirs)
    our_lower, their_lower = (_triangle(factor.columns[features]) for factor in (ours, theirs))
    whitened = solve_lower(their_lower, np.column_stack([shift[features], our_lower]))
    ratio = whitened[:, 1:]
    squares = np.square(np.tril(ratio, -1)).sum() + np.square(whitened[:, 0]).sum()
    return float(0.5 * (_stretch(np.abs(np.diagonal(ratio))).sum() + squares))


def _eps(rows: FloatArray) -> float:
    return float(np.finfo(rows.dtype).eps)


def _stretch(ratio: Float64Array) -> Float64Array:
    """Return r² − 1 − log r² for ratios r > 0 of standard deviations: at least 0, inf where r² overflows."""
    excess = (ratio - 1.0) * (ratio + 1.0)
    near = np.abs(excess) < 0.5
    # Far from 1, only log r itself keeps the digits of a small r. Near 1, only log1p keeps the digits of r² − 1.
    logarithm = np.where(near, np.log1p(np.where(near, excess, 0.0)), 2.0 * np.log(ratio))
    # Rounding may make t − log(1 + t) a little less than zero.
    return np.where(np.isinf(excess), math.inf, np.maximum(excess - logarithm, 0.0))


def _determining(factor: CovarianceFactor) -> npt.NDArray[np.intp]:
    """Return `rank` features that determine the others on the support: all features if it is the whole space."""
    n_features = len(factor.columns)
    if not isinstance(factor, EigenFactor) or factor.rank == n_features:
        return np.arange(n_features)
    from scipy.linalg import qr

    pivots = qr((factor.eigenvectors * np.sqrt(factor.eigenvalues)).T, mode="r", pivoting=True, check_finite=False)[1]
    return np.sort(pivots[: factor.rank])


def _triangle(columns: Float64Array) -> Float64Array:
    """Return a lower triangular L with L Lᵀ = F Fᵀ, for a square F."""
    if not np.triu(columns, 1).any():
        return columns
    # F = L Qᵀ; the rounding of each row stays relative to that row.
    return np.linalg.qr(columns.T).R.T
