"""Information criteria of a mixture; smaller is better for all of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import warn
from emix.rows.validation import FloatArray

__all__ = ["WeightFacts", "aic", "bic", "entropies", "icl", "warn_of_n"]

# A sum of weights this many times the number of rows, or less than its inverse, may be in another unit than rows.
FAR = 2.0


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


class WeightFacts(NamedTuple):
    """How many weights are above zero, whether these are all whole numbers, and the least and greatest of them."""

    n_counted: int = 0
    whole: bool = True
    least: float = math.inf
    greatest: float = 0.0

    def plus(self, weight: NDArray[np.float64]) -> WeightFacts:
        """Return the facts of these weights and of others."""
        held = weight[weight > 0.0]
        if not held.size:
            return self
        whole = self.whole and bool(np.all(held == np.floor(held)))
        least, greatest = min(self.least, float(held.min())), max(self.greatest, float(held.max()))
        return WeightFacts(self.n_counted + held.size, whole, least, greatest)


def warn_of_n(
    criterion: str, n: float, weight: NDArray[np.float64] | WeightFacts | None, fit_weight: float | None
) -> None:
    """Warn if n, the total weight of the rows in p log n, may not be what the user means.

    Parameters
    ----------
    criterion : str
        As the user called it.
    n : float
    weight : ndarray of shape (n_samples,), WeightFacts or None
        Weights given for the criterion, or what is known of them. Whole numbers that differ are taken for counts: how
        often a row was seen.
    fit_weight : float or None
        Sum of the weights of the fit; None if it had none, or it is not known.
    """
    if weight is None and fit_weight is not None:
        warn(
            f"{criterion} was called without sample_weight, but the fit had weights, which sum to {fit_weight:.10g}: n "
            f"is the number of rows, {n:.10g}, and the log-likelihood that of rows of weight 1. Pass the rows' weights."
        )
        return
    if weight is None:
        return
    facts = weight if isinstance(weight, WeightFacts) else WeightFacts().plus(weight)
    if facts.whole and facts.least < facts.greatest:
        return
    n_rows = facts.n_counted
    if not n_rows / FAR <= n <= n_rows * FAR:
        warn(
            f"{criterion} takes n to be the sum of sample_weight, {n:.10g}, though there are {n_rows} rows of weight "
            "above 0. That is right if a weight says how often a row counts; else divide the weights by their mean, in "
            "the fit too."
        )
