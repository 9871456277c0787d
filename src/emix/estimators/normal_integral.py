"""Probabilities of boxes under a multivariate normal distribution, by SciPy's integration."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from emix.estimators.random_source import RandomState, random_source

Float64Array: TypeAlias = npt.NDArray[np.float64]
FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]


def box_probabilities(
    mean: Float64Array, covariance: Float64Array, lower: Float64Array, upper: FloatArray, random_state: RandomState
) -> FloatArray:
    """Return `box_probability` of each pair of limits, whose shapes (..., d) are broadcast.

    Returns
    -------
    ndarray of shape (...), the dtype of `upper`
        A scalar for a single pair.

    Raises
    ------
    ValueError
        If the shapes do not broadcast; the limits are called what `MultivariateNormal.cdf` calls them.
    """
    try:
        upper, lower = np.broadcast_arrays(upper, lower)
    except ValueError:
        raise ValueError(
            f"lower_limit has shape {lower.shape}, expected one that broadcasts with X, of shape {upper.shape}."
        ) from None
    shape = upper.shape[:-1]
    probability = np.empty(shape, dtype=upper.dtype)
    for point in np.ndindex(shape):
        probability[point] = box_probability(
            mean, covariance, lower[point], upper[point].astype(np.float64), random_state
        )
    return probability[()]


def box_probability(
    mean: Float64Array, covariance: Float64Array, lower: Float64Array, upper: Float64Array, random_state: RandomState
) -> float:
    """Return P(lower < Y ≤ upper) for Y ~ N(mean, covariance), all arrays over the same d features.

    Limits may be infinite. Each pair with lower above upper changes the sign, as in an integral.
    """
    sign = -1.0 if np.count_nonzero(lower > upper) % 2 else 1.0
    lower, upper = np.minimum(lower, upper), np.maximum(lower, upper)
    # A feature without variance is a constant: the box has it or has not. SciPy divides by its zero.
    constant = np.diagonal(covariance) == 0.0
    inside = (lower < mean) & (mean <= upper)
    if np.any(lower == upper) or not inside[constant].all():
        return 0.0
    # SciPy's integration multiplies zero by the infinite limits of an unlimited feature.
    kept = np.flatnonzero(~constant & ~(np.isneginf(lower) & np.isposinf(upper)))
    if not kept.size:
        return sign
    # scipy.stats costs half a second to import, which only this function needs.
    from scipy.stats import multivariate_normal

    # Singularity is no matter for a distribution function; SciPy would refuse condition numbers above 4.5e9.
    normal = multivariate_normal(mean[kept], covariance[np.ix_(kept, kept)], allow_singular=True)
    normal.random_state = random_source(random_state)
    probability = float(normal.cdf(upper[kept], lower_limit=lower[kept]))
    # The error of the integration may lead past the ends.
    return sign * min(max(probability, 0.0), 1.0)
