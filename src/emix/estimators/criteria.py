"""Information criteria of a mixture; smaller is better for all of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import warn
from emix.rows.validation import FloatArray

__all__ = [
    "TOTAL_OVERFLOWS",
    "WeightFacts",
    "aic",
    "bic",
    "entropies",
    "icl",
    "unit_of",
    "warn_of_n",
    "weighted_sum",
    "weighted_total",
]

# A sum of weights this many times the number of rows, or less than its inverse, may be in another unit than rows.
FAR = 2.0


TOTAL_OVERFLOWS = (
    "The log-likelihood is not finite, though that of every row is: the sum overflows. Divide sample_weight by its "
    "largest value."
)


def weighted_total(values: FloatArray, weight: NDArray[np.float64] | None) -> tuple[float, float]:
    """Return Σ w·v over rows, and Σ w; −inf if a row's value is.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        Log-densities.
    weight : ndarray of shape (n_samples,) or None
        A weight of zero leaves a row out even at v = −inf. The sum of all is finite.

    Raises
    ------
    ValueError
        If all values are finite, and the sum, or twice it, as criteria have it, is not.
    """
    if weight is None:
        return float(np.sum(values, dtype=np.float64)), float(len(values))
    unit = unit_of(weight)
    total = weighted_sum(values, weight / unit)
    if math.isfinite(total) and math.isinf(2.0 * unit * total):
        raise ValueError(TOTAL_OVERFLOWS)
    return unit * total, float(np.sum(weight))


def unit_of(weight: NDArray[np.float64]) -> float:
    """Return a power of two near the largest weight: in this unit no sum over rows overflows."""
    return math.ldexp(0.5, math.frexp(float(weight.max()))[1])


@np.errstate(under="ignore")  # of weights that are tiny beside the largest
def weighted_sum(values: FloatArray, weight: NDArray[np.float64]) -> float:
    """Return Σ w·v over rows, where a weight of zero leaves a row out even at v = −inf."""
    return float(np.sum(np.where(weight > 0.0, values, 0.0) * weight))


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

    def joined(self, other: WeightFacts) -> WeightFacts:
        """Return the facts of the weights of both."""
        whole, least = self.whole and other.whole, min(self.least, other.least)
        return WeightFacts(self.n_counted + other.n_counted, whole, least, max(self.greatest, other.greatest))


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
