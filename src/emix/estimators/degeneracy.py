"""Which fits to distrust: those with a component that shrank onto a few rows.

The likelihood of a Gaussian mixture has no upper bound: a component on few rows raises it for ever as its covariance
shrinks. Such a fit may have the highest log-likelihood of all runs and says least about the data.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emix.kernel import factors
from emix.models.parameters import GaussianParameters

__all__ = ["degeneracy", "effective_rows"]

# Of the pooled covariance, in any direction: a component 10 000 times narrower than the mean of all.
_LEAST_VARIANCE = 1e-8

# Weights are squared so many at one time: nothing as long as the rows is made.
_SLICE = 1 << 16


def effective_rows(n_rows: int, sample_weight: NDArray[np.float64] | None) -> float:
    """Return how many rows of equal weight the rows are worth, (Σw)² / Σw²; the unit of the weights does not matter."""
    if sample_weight is None:
        return float(n_rows)
    largest = sample_weight.max()
    slices = (sample_weight[i : i + _SLICE] / largest for i in range(0, n_rows, _SLICE))
    squares = sum(float(scaled @ scaled) for scaled in slices)
    return float((sample_weight.sum() / largest) ** 2 / squares)


def degeneracy(parameters: GaussianParameters, n_effective: float) -> str | None:
    """Say why a fit should be set aside, None if it should not.

    Parameters
    ----------
    parameters : GaussianParameters
    n_effective : float
        Effective rows of the data.

    Returns
    -------
    str or None
        A component holds no row, or too few rows for a covariance of its own to mean something (`least_rows` of the
        structure), or it is in some direction far narrower than the components are on average.
    """
    structure, n_features = parameters.structure, parameters.n_features
    least = structure.least_rows(n_features)
    # As Python's numbers: of few, NumPy's argmin takes three times as long.
    weights = parameters.weights.tolist()
    rows = min(weights) * n_effective
    smallest = weights.index(min(weights))
    if rows <= 1e-6:
        return f"component {smallest} holds no rows"
    if rows <= least:
        return f"component {smallest} holds {rows:.3g} rows, too few for its covariance: {least} or less"
    if structure.is_shared:
        # No component has a covariance of its own to shrink: the likelihood is bounded.
        return None
    n_components = parameters.n_components
    # With Σ_k⁻¹ = WᵀW: the largest eigenvalue of W pooled Wᵀ is one over the smallest relative variance of component k,
    # and no larger than the trace. That settles all but suspicious cases, in a small part of the time.
    scratch = np.empty(n_features * (n_features + 1))
    trace = factors.largest_trace(structure.code, n_components, n_features, parameters.packed, scratch)
    if trace <= 1.0 / _LEAST_VARIANCE:  # not so for NaN, nor for infinite covariances
        return None
    covariances = structure.to_full(parameters.covariances, n_components, n_features)
    with np.errstate(over="ignore", invalid="ignore"):
        pooled = (parameters.weights @ covariances.reshape(n_components, -1)).reshape(n_features, n_features)
    if not np.isfinite(pooled).all():
        return "the pooled covariance is not finite"
    # Variances relative to the pooled ones, in every direction: the eigenvalues of L⁻¹ Σ_k L⁻ᵀ with L Lᵀ pooled.
    try:
        inverse = np.linalg.inv(np.linalg.cholesky(pooled))
    except np.linalg.LinAlgError:
        return "the pooled covariance is not positive definite to working precision"
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = inverse @ covariances @ inverse.T
    # LAPACK may never return from a matrix with infinities.
    if not np.isfinite(scaled).all():
        return "covariances relative to the pooled one are not finite"
    relative = np.linalg.eigvalsh(scaled)[:, 0]
    narrowest = int(np.argmin(relative))
    if relative[narrowest] < _LEAST_VARIANCE:
        return f"component {narrowest} has shrunk to {relative[narrowest]:.1g} of the pooled variance in a direction"
    return None
