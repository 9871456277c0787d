"""Information criteria of a mixture; smaller is better for all of them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emix.rows.validation import FloatArray

__all__ = ["aic", "bic", "entropies", "icl"]


def bic(log_likelihood: float, n_parameters: int, total_weight: float) -> float:
    """−2 log L + p log n, n the total weight of the rows."""
    return -2.0 * log_likelihood + n_parameters * math.log(total_weight)


def aic(log_likelihood: float, n_parameters: int) -> float:
    """−2 log L + 2 p."""
    return -2.0 * log_likelihood + 2.0 * n_parameters


def icl(log_likelihood: float, n_parameters: int, total_weight: float, entropy: float) -> float:
    """BIC + 2 × the responsibilities' entropy, summed over the rows."""
    return bic(log_likelihood, n_parameters, total_weight) + 2.0 * entropy


def entropies(responsibilities: FloatArray) -> NDArray[np.float64]:
    """−Σ_k r_k log r_k of each row, nats; 0 log 0 is 0."""
    r = responsibilities.astype(np.float64)
    with np.errstate(under="ignore"):
        return np.asarray(-np.sum(r * np.log(np.where(r > 0.0, r, 1.0)), axis=1))
