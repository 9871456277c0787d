"""Means, covariances and deviations of mixtures of normals.

Each row i of the weights (n, K) and the means (n, K, d) is a mixture of its own; the covariances (K, d, d) are those of
all.
"""

from __future__ import annotations

import numpy as np

from emix.normal.array_types import Float64Array

__all__ = ["mixture_covariances", "mixture_deviations", "mixture_means"]


@np.errstate(under="ignore")
def mixture_means(weights: Float64Array, means: Float64Array) -> Float64Array:
    """Return Σ_k w_k m_k of each mixture, (n, d)."""
    return np.asarray(np.einsum("nk,nkj->nj", weights, means))


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def mixture_covariances(weights: Float64Array, means: Float64Array, covariances: Float64Array) -> Float64Array:
    """Return Σ_k w_k (S_k + (m_k − m)(m_k − m)ᵀ) of each mixture, (n, d, d), m its mean.

    Raises
    ------
    ValueError
        If a covariance overflows.
    """
    apart = means - mixture_means(weights, means)[:, np.newaxis]
    within = np.tensordot(weights, covariances, axes=1)
    found: Float64Array = within + (apart * weights[:, :, np.newaxis]).swapaxes(1, 2) @ apart
    finite = np.isfinite(found)
    if not finite.all():
        feature = int(np.argwhere(~finite)[0, 1])
        raise ValueError(
            f"The covariance of the mixture overflows at feature {feature}: the square of the distance of its means "
            "is more than a float64 holds. Divide this feature by a constant before the fit."
        )
    return 0.5 * found + 0.5 * found.swapaxes(1, 2)


@np.errstate(over="ignore", under="ignore")
def mixture_deviations(weights: Float64Array, means: Float64Array, covariances: Float64Array) -> Float64Array:
    """Return the standard deviation of each feature of each mixture, (n, d); inf only where it overflows itself."""
    apart = means - mixture_means(weights, means)[:, np.newaxis]
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    # Distances are squared in a unit, a power of two, in which the largest is about 1.
    largest = np.maximum(np.abs(apart), np.sqrt(variances)).max(axis=1)
    unit = np.ldexp(1.0, np.clip(np.frexp(largest)[1], -1000, 1000))
    z = apart / unit[:, np.newaxis]
    squares = variances / unit[:, np.newaxis] / unit[:, np.newaxis] + z * z
    return np.asarray(unit * np.sqrt(np.einsum("nk,nkj->nj", weights, squares)))
