"""Probabilities of boxes under a multivariate normal distribution, by SciPy's integration."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from emix.normal.array_types import Float64Array, FloatArray
from emix.random_source import RandomState, random_source

# Correlations this near to ±1 count as ±1: the features differ by 4.5e-6 of their deviation, and the probability by
# less than the integration's error. Eigenvalues up to this count as 0. For two features SciPy is exact, so that the
# tolerance is only rounding.
_SAME = 1e-11
_SAME_OF_TWO = 16.0 * float(np.finfo(np.float64).eps)
# No probability lies farther out: Φ(−40) is below the smallest float64.
_BEYOND = 40.0
_SQRT_HALF = math.sqrt(0.5)


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
        If the shapes do not broadcast; the message uses the argument names of `MultivariateNormal.cdf`.
    """
    try:
        upper, lower = np.broadcast_arrays(upper, lower)
    except ValueError:
        raise ValueError(
            f"lower_limit has shape {lower.shape}, expected one that broadcasts with X, of shape {upper.shape}."
        ) from None
    if len(mean) == 1:
        ends = lower[..., 0], upper[..., 0].astype(np.float64)
        return _interval_probabilities(float(mean[0]), float(np.sqrt(covariance[0, 0])), *ends, upper.dtype)
    shape = upper.shape[:-1]
    probability = np.empty(shape, dtype=upper.dtype)
    # Limits may be far from the mean, and probabilities too small for the dtype.
    with np.errstate(all="ignore"):
        for point in np.ndindex(shape):
            limits = lower[point], upper[point].astype(np.float64)
            probability[point] = box_probability(mean, covariance, *limits, random_state)
    return probability[()]


def box_probability(
    mean: Float64Array, covariance: Float64Array, lower: Float64Array, upper: Float64Array, random_state: RandomState
) -> float:
    """Return P(lower < Y ≤ upper) for Y ~ N(mean, covariance), all arrays over the same d features.

    Limits may be infinite. A box with lower above upper in a feature is empty.
    """
    # A feature without variance is a constant, inside or outside the box. SciPy would divide by its variance of 0.
    constant = np.diagonal(covariance) == 0.0
    inside = (lower < mean) & (mean <= upper)
    if np.any(lower >= upper) or not inside[constant].all():
        return 0.0
    # Unlimited features are left out: SciPy's integration would multiply zero by their infinite limits.
    kept = np.flatnonzero(~constant & ~(np.isneginf(lower) & np.isposinf(upper)))
    deviations = np.sqrt(np.diagonal(covariance)[kept])
    low, high = (lower[kept] - mean[kept]) / deviations, (upper[kept] - mean[kept]) / deviations
    correlation = covariance[np.ix_(kept, kept)] / deviations[:, None] / deviations
    # Features are reflected so that the box lies at small values, not at large ones: SciPy takes differences of
    # distribution functions, which are exact where the functions are small.
    mirror = np.where(low + high > 0.0, -1.0, 1.0)
    low, high = np.where(mirror < 0.0, -high, low), np.where(mirror < 0.0, -low, high)
    low, high, correlation = _without_copies(low, high, mirror[:, None] * correlation * mirror)
    if np.any(low >= high):
        return 0.0
    if len(low) < 2:
        return _interval(float(low[0]), float(high[0])) if len(low) else 1.0
    if np.count_nonzero(correlation) == len(low):  # independent features: no integration, and tails keep their digits
        return math.prod(_interval(*ends) for ends in zip(low.tolist(), high.tolist(), strict=True))
    if len(low) > 2 and (plane := _plane(correlation)) is not None:
        return _polygon(low, high, plane)
    # Not imported at the top: scipy.stats takes half a second, and only this function needs it.
    from scipy.stats import multivariate_normal

    # A singular matrix has a distribution function too, but SciPy would refuse condition numbers above 4.5e9.
    normal = multivariate_normal(np.zeros(len(low)), correlation, allow_singular=True)
    normal.random_state = random_source(random_state)
    probability = float(normal.cdf(high, lower_limit=low))
    # The error of the integration may take the result below 0 or above 1.
    return min(max(probability, 0.0), 1.0)


@np.errstate(all="ignore")  # limits may be far from the mean, or infinite
def _interval_probabilities(
    mean: float, deviation: float, lower: Float64Array, upper: Float64Array, dtype: np.dtype[Any]
) -> FloatArray:
    """Return `box_probability` for one feature and limits of one shape."""
    if deviation == 0.0:
        return np.where((lower < mean) & (mean <= upper), 1.0, 0.0).astype(dtype)[()]
    from scipy.special import ndtr

    low, high = (lower - mean) / deviation, (upper - mean) / deviation
    # Φ(high) − Φ(low) is computed in the lower tail, where no digit is lost. −inf + inf is NaN, and not above 0.
    mirrored = low + high > 0.0
    low, high = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    probability: FloatArray = np.where(lower >= upper, 0.0, ndtr(high) - ndtr(low)).astype(dtype)[()]
    return probability


@np.errstate(over="ignore", under="ignore")
def log_probabilities_below(limits: FloatArray, mean: float, deviation: float) -> Float64Array:
    """Return log P(Y ≤ limit) of a normal in one dimension for each limit; with no deviation, Y is its mean."""
    if deviation == 0.0:
        return np.where(limits >= mean, 0.0, -np.inf)
    from scipy.special import log_ndtr

    return np.asarray(log_ndtr((limits.astype(np.float64) - mean) / deviation))


def _without_copies(
    low: Float64Array, high: Float64Array, correlation: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Keep the first of perfectly correlated features, within the limits of all of them; leave the others out.

    From three features on, SciPy's integration has errors of 2e-4 where one feature determines another.
    """
    tolerance = _SAME if len(low) > 2 else _SAME_OF_TWO
    low, high = low.copy(), high.copy()
    left: list[int] = []
    for j in range(len(low)):
        twin = next((i for i in left if 1.0 - abs(correlation[i, j]) <= tolerance), None)
        if twin is None:
            left.append(j)
            continue
        ends = (low[j], high[j]) if correlation[twin, j] > 0.0 else (-high[j], -low[j])
        low[twin], high[twin] = max(low[twin], ends[0]), min(high[twin], ends[1])
    return low[left], high[left], correlation[np.ix_(left, left)]


def _interval(low: float, high: float) -> float:
    """Return Φ(high) − Φ(low), computed in the lower tail, where no digit is lost."""
    if low + high > 0.0:
        low, high = -high, -low
    # Φ(x) = ½ erfc(−x/√2)
    return 0.5 * (math.erfc(-high * _SQRT_HALF) - math.erfc(-low * _SQRT_HALF))


def _plane(correlation: Float64Array) -> Float64Array | None:
    """Return F of shape (d, 2) with F Fᵀ = R, the correlation matrix; None if the rank of R is not 2."""
    eigenvalues, eigenvectors = np.linalg.eigh(correlation)
    if eigenvalues[-3] > _SAME:
        return None
    plane: Float64Array = eigenvectors[:, -2:] * np.sqrt(eigenvalues[-2:])
    return plane


def _polygon(low: Float64Array, high: Float64Array, plane: Float64Array) -> float:
    """Return P(low < F z ≤ high), all features together, for two independent standard normals z.

    SciPy's integration errs by 3e-4 here: its integrand has steps if one feature determines another. The limits form a
    polygon in the plane of z, the sum of the triangles between the origin and its edges. The function T of D. B. Owen
    (1956) gives a triangle's probability.
    """
    from scipy.special import owens_t

    corners = _BEYOND * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    for normal, limit in zip(np.vstack([plane, -plane]), np.concatenate([high, -low]), strict=True):
        corners = _clipped(corners, normal, limit)
    edges = np.roll(corners, -1, axis=0) - corners
    lengths = np.linalg.norm(edges, axis=1)
    along = edges / np.where(lengths > 0.0, lengths, 1.0)[:, None]
    # Signed distance of the edge's line from the origin, and the positions on the line where the edge begins and ends.
    distance = corners[:, 0] * along[:, 1] - corners[:, 1] * along[:, 0]
    begin = (corners * along).sum(axis=1)
    through = (distance == 0.0) | (lengths == 0.0)
    height = np.where(through, 1.0, np.abs(distance))
    ends = np.vstack([begin, begin + lengths]) / height
    angle, owen = np.arctan(ends) / (2.0 * math.pi), owens_t(height, ends)
    triangles = np.where(through, 0.0, np.sign(distance) * np.diff(angle - owen, axis=0)[0])
    return min(max(float(triangles.sum()), 0.0), 1.0)


def _clipped(corners: Float64Array, normal: Float64Array, limit: float) -> Float64Array:
    """Return the corners of the part of a convex polygon (m, 2) in which normal · z ≤ limit."""
    excess = corners @ normal - limit
    left: list[Float64Array] = []
    for i in range(len(corners)):
        j = (i + 1) % len(corners)
        if excess[i] <= 0.0:
            left.append(corners[i])
        if (excess[i] < 0.0 < excess[j]) or (excess[j] < 0.0 < excess[i]):
            part = excess[i] / (excess[i] - excess[j])
            left.append(corners[i] + part * (corners[j] - corners[i]))
    return np.array(left).reshape(-1, 2)
