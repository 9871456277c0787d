"""The linear algebra of multivariate normals: moments and densities of rows, conditioning, entropy, divergence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from emix.estimators.covariance_factor import (
    CholeskyFactor,
    CovarianceFactor,
    EigenFactor,
    mahalanobis_distance,
    solve_lower,
)

Float64Array: TypeAlias = npt.NDArray[np.float64]
FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]

# Values in a chunk of rows: 2 MB of float64, about a second-level cache, whatever n_samples is.
_CHUNK_VALUES = 2**18
_LOG_2PI = math.log(2.0 * math.pi)


def chunks(rows: FloatArray) -> Iterator[slice]:
    """Ranges of rows, in order, that together are all of them; each is small enough for a temporary of its size."""
    step = max(1, _CHUNK_VALUES // rows.shape[1])
    return (slice(start, start + step) for start in range(0, len(rows), step))


def weighted_moments(rows: FloatArray, weights: Float64Array | None) -> tuple[Float64Array, Float64Array]:
    """Return Σwx / Σw of shape (d,) and Σw(x − mean)(x − mean)ᵀ / Σw of shape (d, d).

    Nothing cancels: the first pass sums differences from a row, the second differences from the mean, and what rounding
    has left between that mean and the true one is put right at the end.
    """
    if weights is None:
        total, first = float(len(rows)), 0
    else:
        total, first = float(weights.sum()), int(np.argmax(weights > 0.0))
    # mean = c + Σw(x − c)/Σw, c a row of the data
    centre = rows[first].astype(np.float64)
    shift = np.zeros_like(centre)
    for chunk in chunks(rows):
        centred = rows[chunk] - centre
        shift += centred.sum(axis=0) if weights is None else weights[chunk] @ centred
    mean = centre + shift / total
    # S = Σw(x − mean)(x − mean)ᵀ; with δ = Σw(x − mean)/Σw, the true mean is mean + δ and its scatter S − Σw·δδᵀ.
    scatter = np.zeros((len(mean), len(mean)))
    shift = np.zeros_like(mean)
    for chunk in chunks(rows):
        centred = rows[chunk] - mean
        if weights is None:
            shift += centred.sum(axis=0)
        else:
            shift += weights[chunk] @ centred
            centred *= np.sqrt(weights[chunk])[:, None]
        # One array with its own transpose: BLAS syrk, exactly symmetric.
        scatter += centred.T @ centred
    delta = shift / total
    return mean + delta, scatter / total - np.outer(delta, delta)


def distances(factor: CovarianceFactor, rows: FloatArray, mean: Float64Array) -> FloatArray:
    """Return √((x − μ)ᵀ Σ⁺ (x − μ)) of rows (n, d): shape (n,), the dtype of `rows`; +inf outside the support."""
    result = np.empty(len(rows), dtype=rows.dtype)
    with np.errstate(over="ignore", under="ignore"):
        for chunk in chunks(rows):
            result[chunk] = mahalanobis_distance(factor, rows[chunk] - mean)
    return result


def log_densities(factor: CovarianceFactor, rows: FloatArray, mean: Float64Array) -> FloatArray:
    """Return log-densities on the support of rows (n, d): shape (n,), the dtype of `rows`; −inf outside of it."""
    constant = factor.rank * _LOG_2PI + factor.log_det
    result = np.empty(len(rows), dtype=rows.dtype)
    with np.errstate(over="ignore", under="ignore"):
        for chunk in chunks(rows):
            distance = mahalanobis_distance(factor, rows[chunk] - mean)
            result[chunk] = -0.5 * (constant + np.square(distance))
    return result


def entropy(factor: CovarianceFactor) -> float:
    """Return the differential entropy in nats, ½ (rank · log 2πe + log det)."""
    return 0.5 * (factor.rank * (1.0 + _LOG_2PI) + factor.log_det)


def condition(covariance: Float64Array, values: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return mean and covariance of the other features, given the first ones; all means are zero.

    With b the first features and a the others, Σ_ab Σ_bb⁻¹ x_b and Σ_aa − Σ_ab Σ_bb⁻¹ Σ_ba are L_ab L_bb⁻¹ x_b and
    L_aa L_aaᵀ in the Cholesky factor of Σ: no difference is taken, and the result is positive definite.
    """
    n_given = len(values)
    lower = CholeskyFactor.of(covariance).columns
    mean = lower[n_given:, :n_given] @ solve_lower(lower[:n_given, :n_given], values)
    remaining = lower[n_given:, n_given:]
    return mean, remaining @ remaining.T


def condition_singular(covariance: Float64Array, values: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return as `condition` does, with the pseudo-inverse of Σ_bb; ValueError if the values are impossible."""
    n_given = len(values)
    given = EigenFactor.of(covariance[:n_given, :n_given])
    if given.outside_support(values[None])[0]:
        raise ValueError(
            "given has values that are impossible together: the distribution is singular, and they lie outside its "
            "support. Change them, or leave out features that the others determine."
        )
    # Rows U_bᵀ Σ_ba and U_bᵀ x_b with U_b U_bᵀ = Σ_bb⁺
    cross = given.whiten(covariance[n_given:, :n_given])
    mean = cross @ given.whiten(values[None])[0]
    eigenvalues, eigenvectors = np.linalg.eigh(covariance[n_given:, n_given:] - cross @ cross.T)
    # What is left of a variance that the given features explain is the rounding of the difference. It is negligible
    # beside the covariance it came from, but would not be beside itself.
    eigenvalues[eigenvalues <= EigenFactor.of(covariance).cutoff] = 0.0
    return mean, (eigenvectors * eigenvalues) @ eigenvectors.T


def divergence(ours: CovarianceFactor, theirs: CovarianceFactor, shift: Float64Array) -> float:
    """Return KL(N(shift, Σ₁) ‖ N(0, Σ₂)) in nats; inf if the supports differ.

    With M = L₂⁻¹ L₁, lower triangular, 2 KL = Σ_j (M_jj² − 1 − log M_jj²) + Σ_{i>j} M_ij² + ‖L₂⁻¹ shift‖². No term is
    negative, so small divergences keep the digits that a trace less the rank would lose.
    """
    # Our mean and a standard deviation along each of our axes, as points about their mean.
    points = np.vstack([shift, ours.columns.T])
    if ours.rank != theirs.rank or theirs.outside_support(points).any():
        return float("inf")
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        whitened = theirs.whiten(points)
        ratio = whitened[1:].T
        if not (isinstance(ours, CholeskyFactor) and isinstance(theirs, CholeskyFactor)):
            # A triangle of the same singular values, on which alone the first two sums depend.
            ratio = np.linalg.qr(ratio).R.T
        diagonal = np.abs(np.diagonal(ratio))
        excess = (diagonal - 1.0) * (diagonal + 1.0)
        # Rounding may take t − log(1 + t) a little below zero.
        stretch = np.maximum(excess - np.log1p(excess), 0.0).sum()
        return float(0.5 * (stretch + np.square(np.tril(ratio, -1)).sum() + np.square(whitened[0]).sum()))
