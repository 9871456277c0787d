"""Modes of a sample in the order of all rows, where the sample cannot tell which is the best."""

from __future__ import annotations

import math
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from emix.em.result import EMResult
from emix.gaussian.model import GaussianModel
from emix.gaussian.operations import operations_of_pass
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import score_rows
from emix.rows.source import Batch, RowSource
from emix.starts.exploration import Exploration

__all__ = ["MOST_RANKED", "compared", "n_near_the_best", "passes_of_ranking", "ranked_by_all_rows"]

Array = NDArray[np.float64]

# Modes of a sample, the best and its rivals, that are ranked by all rows at most.
MOST_RANKED = 4

# Nats. Log-densities of a row under two modes differ by about so much (standard deviation): those of two modes of the
# pixels of a photograph by 0.65.
DEVIATION = 0.65

# Rows are looked at in parts of about so many, spread over all of them. After each, a mode goes out whose mean
# log-density is behind by SURE standard errors of the difference. It ends once this error is small for all that are
# left: nats a row, a third of the lead of the best mode of those pixels.
PART_ROWS, SURE, SMALL_ERROR = 65_536, 2.5, 0.0004

# Log-densities of rows take so much of the time of a pass that sums as well (three columns, K 6).
LOG_DENSITIES = 0.8


class HasResult(Protocol):
    """A candidate or a mode: anything that holds the result of a run on the sample."""

    @property
    def result(self) -> EMResult:
        """Result of the run on the sample."""


T = TypeVar("T", bound=HasResult)


def n_near_the_best(found: list[T], exploration: Exploration) -> int:
    """Return how many of the first may be the best of all rows; `found` begins with the best of the sample."""
    least = found[0].result.log_likelihood - exploration.noise * exploration.source.total_weight
    return sum(one.result.log_likelihood >= least for one in found[:MOST_RANKED])


def passes_of_ranking(exploration: Exploration, n_rows: int) -> float:
    """Return what it takes to rank two modes by so many rows, in passes over the sample."""
    # After so many rows the error of a difference is small.
    looked_at = 1.0 / ((SMALL_ERROR / DEVIATION) ** 2 + 1.0 / n_rows)
    model = exploration.model
    operations = looked_at * operations_of_pass(model.n_components, model.n_features)
    passes: float = 2.0 * LOG_DENSITIES * operations / exploration.operations
    return passes


def ranked_by_all_rows(found: list[T], exploration: Exploration, rows: RowSource, model: GaussianModel) -> list[T]:
    """Return what was found on a sample, those that are near the best in the order of their likelihood of all rows.

    Parameters
    ----------
    found : list
        The best of the sample first; not empty.
    exploration : Exploration
        Of the sample.
    rows : RowSource
        All rows of the fit.
    model : GaussianModel
        That of the fit: its threads take the pass over the rows.
    """
    n = n_near_the_best(found, exploration)
    if n == 1:
        return found
    mixtures = [one.result.parameters for one in found[:n]]
    if rows.whole is None:
        order_by = [model.e_step(rows, parameters)[1] for parameters in mixtures]
    else:
        order_by = compared(rows.whole, mixtures, model.n_threads)
    order = sorted(range(n), key=lambda i: -order_by[i])
    return [found[i] for i in order] + found[n:]


@np.errstate(invalid="ignore", over="ignore", under="ignore")  # a row may have density 0 under all mixtures
def compared(rows: Batch, mixtures: list[GaussianParameters], n_threads: int | None) -> list[float]:
    """Return the mean log-density of rows under each mixture, less that under the best; the best has the largest, 0.

    As many of the rows are looked at as it takes to tell which is the best, or that there is little between two.
    −∞ if all have density 0 for some row.
    """
    n = len(mixtures)
    behind, left = [-math.inf] * n, list(range(n))
    # Of x = w log p, row by row, under each mixture that is left.
    totals, products, seen = np.zeros(n), np.zeros((n, n)), 0
    parts = max(1, len(rows.X) // PART_ROWS)
    small = SMALL_ERROR if rows.weight is None else SMALL_ERROR * float(rows.weight.mean())
    for part in range(parts):
        X = rows.X[part::parts]
        weight = None if rows.weight is None else rows.weight[part::parts]
        x = np.array([_weighted_log_densities(X, weight, mixtures[i], n_threads) for i in left])
        seen += x.shape[1]
        totals[left] += x.sum(axis=1)
        # Not a product of BLAS, whose order of sums depends on its threads.
        products[np.ix_(left, left)] += np.einsum("ir,jr->ij", x, x)
        best, largest_error = max(left, key=lambda i: totals[i]), 0.0
        for i in list(left):
            mean = float(totals[i] - totals[best]) / seen
            behind[i] = -math.inf if math.isnan(mean) else mean
            variance = float(products[i, i] - 2.0 * products[i, best] + products[best, best]) / seen - mean * mean
            # Rows that were not looked at are what is uncertain.
            error = math.sqrt(max(variance, 0.0) / seen * (1.0 - seen / len(rows.X)))
            if mean < -SURE * error:
                left.remove(i)
            else:
                largest_error = max(largest_error, error)
        if len(left) == 1 or largest_error < small:
            break
    return behind


def _weighted_log_densities(
    X: NDArray[np.floating], weight: Array | None, parameters: GaussianParameters, n_threads: int | None
) -> Array:
    """Return w log p for each row; 0 where w is 0."""
    found = score_rows(X, parameters, n_threads=n_threads, warn_of_zeros=False).log_density
    assert found is not None
    if weight is None:
        return found.astype(np.float64, copy=False)
    return np.where(weight > 0.0, weight * found, 0.0)
