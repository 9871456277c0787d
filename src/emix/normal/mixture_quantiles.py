"""Probabilities and quantiles of mixtures of normals in one dimension.

Each row of the arguments is a mixture of its own: weights, means and deviations of shape (n, K), where n may be 1.
"""

from __future__ import annotations

import numpy as np

from emix.normal.array_types import Float64Array

__all__ = ["mixture_probabilities", "mixture_quantiles"]


_EPS = float(np.finfo(np.float64).eps)


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def mixture_probabilities(
    limits: Float64Array, weights: Float64Array, means: Float64Array, deviations: Float64Array
) -> Float64Array:
    """Return P(Y ≤ limit) of each mixture; the lower tail keeps its digits."""
    from scipy.special import ndtr

    below = ndtr((limits[:, None] - means) / deviations)
    return np.asarray(np.minimum((weights * below).sum(axis=1) / weights.sum(axis=-1), 1.0))


@np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore")
def mixture_quantiles(
    q: Float64Array, weights: Float64Array, means: Float64Array, deviations: Float64Array
) -> Float64Array:
    """Return x with P(Y ≤ x) = q of each mixture, for q (n,) from 0 to 1: −inf at 0, +inf at 1.

    The root lies between the least and the greatest of the components' quantiles. Newton's method on the logarithm of
    the nearer tail finds it; a step that leaves the bracket, or does not halve the step before, is a bisection.
    """
    from scipy.special import ndtri

    weights, means, deviations = np.broadcast_arrays(weights / weights.sum(axis=-1, keepdims=True), means, deviations)
    shape = (len(q), weights.shape[-1])
    weights, means, deviations = (np.broadcast_to(array, shape) for array in (weights, means, deviations))
    side, tail = np.where(q > 0.5, -1.0, 1.0), np.where(q > 0.5, 1.0 - q, q)
    counted = weights > 0.0
    own = means + deviations * (side * ndtri(tail))[:, None]
    low = np.where(counted, own, np.inf).min(axis=1)
    high = np.where(counted, own, -np.inf).max(axis=1)
    found: Float64Array = 0.5 * low + 0.5 * high
    least_step = _EPS * np.where(counted, deviations, np.inf).min(axis=1)
    step = high - low
    active = np.flatnonzero((tail > 0.0) & (low < high))
    found[tail == 0.0] = np.where(q[tail == 0.0] > 0.5, np.inf, -np.inf)
    while active.size:
        x = found[active]
        excess, density = _excess(x, side[active], tail[active], weights[active], means[active], deviations[active])
        low[active] = np.where(excess <= 0.0, x, low[active])
        high[active] = np.where(excess >= 0.0, x, high[active])
        # log T(x) = log tail for T, the probability of the tail at x: F or, on the other side, 1 − F.
        change = side[active] * excess
        newton = -side[active] * np.log1p(change / tail[active]) * (tail[active] + change) / density
        middle = low[active] + 0.5 * (high[active] - low[active])
        inside = (x + newton > low[active]) & (x + newton < high[active]) & (np.abs(newton) < 0.5 * step[active])
        after = np.where(inside, x + newton, middle)
        step[active] = np.abs(after - x)
        found[active] = after
        near = step[active] <= _EPS * np.abs(after) + least_step[active]
        active = active[~(near | (excess == 0.0))]
    return found


def _excess(
    x: Float64Array,
    side: Float64Array,
    tail: Float64Array,
    weights: Float64Array,
    means: Float64Array,
    deviations: Float64Array,
) -> tuple[Float64Array, Float64Array]:
    """Return F(x) − q and the density at x.

    F(x) − q = (Σ_left π − q) + Σ_right π Φ(z) − Σ_left π Φ(−z), left the components whose means are below x. Each sum
    has only small probabilities where x lies in a tail or in a gap between components. So it keeps the digits that the
    difference of F and q would lose.
    """
    from scipy.special import ndtr

    z = (x[:, None] - means) / deviations
    left = z > 0.0
    small = weights * ndtr(-np.abs(z))
    whole_left, whole_right = np.where(left, weights, 0.0).sum(axis=1), np.where(left, 0.0, weights).sum(axis=1)
    # On the upper side, with q = 1 − tail, the weights at the right are taken: all weights at the left sum to 1.
    whole = np.where(side > 0.0, whole_left - tail, tail - whole_right)
    excess = whole + np.where(left, -small, small).sum(axis=1)
    density = (weights / deviations * np.exp(-0.5 * z * z)).sum(axis=1) / np.sqrt(2.0 * np.pi)
    return excess, density
