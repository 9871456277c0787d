"""Integrals under a Gaussian mixture that have no closed form, by rows drawn from it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.drawing import draw
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import score_rows
from emix.random_source import RandomSource

__all__ = ["DivergenceEstimate", "divergence_by_draws", "log_densities_of_draws"]

Array = NDArray[np.float64]

# Numbers that are drawn at a time: 8 MB.
_NUMBERS = 1 << 20


class DivergenceEstimate(NamedTuple):
    """A Kullback-Leibler divergence, estimated by Monte Carlo, nats.

    Attributes
    ----------
    estimate : float
        Unbiased; may be a little below 0 if the divergence is about 0.
    standard_error : float
        Standard deviation of the estimate.
    """

    estimate: float
    standard_error: float


def divergence_by_draws(
    ours: GaussianParameters, theirs: GaussianParameters, n_samples: int, source: RandomSource
) -> DivergenceEstimate:
    """Return the mean of log p − log q over draws of p, and its standard error; +inf where q is zero at a draw."""
    ratios = [_log_density(rows, ours) - _log_density(rows, theirs) for rows in _draws(ours, n_samples, source)]
    ratio = np.concatenate(ratios)
    if np.isinf(ratio).any():
        return DivergenceEstimate(math.inf, math.inf)
    return DivergenceEstimate(float(ratio.mean()), float(ratio.std(ddof=1)) / math.sqrt(n_samples))


def log_densities_of_draws(parameters: GaussianParameters, n_samples: int, source: RandomSource) -> Array:
    """Return log p(x) of rows that are drawn from p, shape (n_samples,)."""
    return np.concatenate([_log_density(rows, parameters) for rows in _draws(parameters, n_samples, source)])


def _draws(parameters: GaussianParameters, n_samples: int, source: RandomSource) -> Iterator[Array]:
    step = max(1, _NUMBERS // parameters.n_features)
    return (draw(parameters, min(step, n_samples - at), source)[0] for at in range(0, n_samples, step))


def _log_density(rows: Array, parameters: GaussianParameters) -> Array:
    density = score_rows(rows, parameters).log_density
    assert density is not None
    return density.astype(np.float64, copy=False)
