"""Modes of a sample in the order of all rows, or as many as it takes, where the sample cannot tell the best."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from emix.em.result import EMResult
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import score_rows
from emix.rows.refusals import LARGEST
from emix.rows.source import Batch, RowSource
from emix.starts.exploration import Exploration

__all__ = [
    "MOST_RANKED",
    "in_precision",
    "log_densities",
    "n_near_the_best",
    "order_of",
    "passes_of_ranking",
    "ranked_by_all_rows",
]

Array = NDArray[np.float64]

# Modes of a sample, the best and its rivals, that are ranked at most.
MOST_RANKED = 4

# Nats. Log-densities of a row under two modes differ by about so much (standard deviation): those of two modes of the
# pixels of a photograph by 0.65.
DEVIATION = 0.65

# Rows are looked at in parts of about so many. After each, a mode goes out whose mean log-density is behind by SURE
# standard errors of the difference. The ranking ends once this error is small for all that are left, nats a row: a
# fifth of the lead of the best mode of those pixels. 4 351 of 4 800 fits of them end there with 2 and 0.0007, and 4 342
# with 2.5 and 0.0004, which take a fifth longer. Smaller parts end sooner: with four modes and 100 000 rows, 65 536
# took 5 to 8 ms, 16 384 take 0.6 to 2.6. The last two figures are of single precision, which takes two thirds.
PART_ROWS, SURE, SMALL_ERROR = 16_384, 2.0, 0.0007

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
    """Return what it takes to rank two modes by so many rows in memory, in passes over the sample: two is usual."""
    # After so many rows the error of a difference is small.
    looked_at = 1.0 / ((SMALL_ERROR / DEVIATION) ** 2 + 1.0 / n_rows)
    operations = looked_at * exploration.operations_of_row
    passes: float = 2.0 * LOG_DENSITIES * operations * exploration.time_in_precision / exploration.operations
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
        All rows of the fit. Of those in memory as many are looked at as it takes to tell.
    model : GaussianModel
        That of the fit: its threads take the passes over the rows.
    """
    n = n_near_the_best(found, exploration)
    if n == 1:
        return found
    mixtures = [one.result.parameters for one in found[:n]]
    if rows.whole is None:
        totals = [model.e_step(rows, parameters)[1] for parameters in mixtures]
        order = sorted(range(n), key=lambda i: -totals[i])
    else:
        order = order_of(mixtures, rows.whole, model.n_threads, exploration.source.dtype)
    return [found[i] for i in order] + found[n:]


@np.errstate(over="ignore", under="ignore")
def order_of(
    mixtures: list[GaussianParameters], rows: Batch, n_threads: int | None, dtype: np.dtype[Any] | None = None
) -> list[int]:
    """Return the places of mixtures in the order of their likelihoods of the rows, the highest first.

    A mixture that is behind for sure goes out before all rows were looked at, and the one that did so last stands
    before the others. With weights all rows are looked at: a heavy one could lie among the rest. Log-densities are
    computed in the given precision, that of the rows by default.
    """
    n, left, out = len(mixtures), list(range(len(mixtures))), list[int]()
    # Of y_i = w (log p_i − log p_r), row by row, for each mixture i that is left, and r the first of these. So the
    # variance of a difference, of which products are taken, is one of small numbers.
    totals, products, seen = np.zeros(n), np.zeros((n, n)), 0
    for X, weight in _parts(rows, rows.X.dtype if dtype is None else dtype):
        density = np.empty((len(left), len(X)))
        for place, i in enumerate(left):
            density[place] = log_densities(X, mixtures[i], n_threads)
        if density.min() == -np.inf:
            none = density == -np.inf
            # A row without density under all of them says nothing, and under some of them that they cannot be.
            everywhere = none.all(axis=0)
            impossible = (none & ~everywhere).any(axis=1)
            if impossible.all():  # each of them for another row
                break
            out += [i for i, lost in zip(left, impossible) if lost]
            left = [i for i, lost in zip(left, impossible) if not lost]
            density = density[~impossible]
            density[:, everywhere] = 0.0
        y = density
        y -= density[0].copy()
        if weight is not None:
            y *= weight
        seen += len(X)
        totals[left] += y.sum(axis=1)
        # Not a product of BLAS, whose order of sums depends on its threads.
        products[np.ix_(left, left)] += np.einsum("ir,jr->ij", y, y)
        if rows.weight is not None:
            continue
        best, largest_error = max(left, key=lambda i: totals[i]), 0.0
        for i in list(left):
            mean = float(totals[i] - totals[best]) / seen
            variance = float(products[i, i] - 2.0 * products[i, best] + products[best, best]) / seen - mean * mean
            # Rows that were not looked at are what is uncertain.
            error = math.sqrt(max(variance, 0.0) / seen * (1.0 - seen / len(rows.X)))
            if mean < -SURE * error:
                left.remove(i)
                out.append(i)
            else:
                largest_error = max(largest_error, error)
        if len(left) == 1 or largest_error < SMALL_ERROR:
            break
    return sorted(left, key=lambda i: -totals[i]) + out[::-1]


def _parts(rows: Batch, dtype: np.dtype[Any]) -> Iterator[tuple[NDArray[Any], Array | None]]:
    """Give the rows in parts, each with one row of every run of as many rows as there are parts, at a random place."""
    counted = None if rows.weight is None else np.flatnonzero(rows.weight > 0.0)
    n_rows = len(rows.X) if counted is None else len(counted)
    n_parts = max(1, n_rows // PART_ROWS)
    n_runs = -(-n_rows // n_parts)
    # At a fixed place, rows that repeat in such a period would be taken for all.
    first = np.random.default_rng(0).integers(n_parts, size=n_runs)  # of each run
    run = np.arange(n_runs) * n_parts
    for _ in range(n_parts):
        places = run + first
        first += 1
        first[first == n_parts] = 0
        if places[-1] >= n_rows:  # of the last run, which may be shorter
            places = places[:-1]
        if counted is None or rows.weight is None:
            yield in_precision(rows.X.take(places, axis=0), dtype), None
        else:
            places = counted[places]
            yield in_precision(rows.X.take(places, axis=0), dtype), rows.weight[places]


def in_precision(X: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the rows in a precision that suits a sample of them, or as they are if one of these lies too far out."""
    if X.dtype == dtype or max(X.max(), -X.min()) > LARGEST[dtype.char]:
        return X
    return X.astype(dtype)


def log_densities(X: NDArray[Any], parameters: GaussianParameters, n_threads: int | None) -> NDArray[Any]:
    """Return the log-density of each row under a mixture, in the rows' precision; −∞ without a warning."""
    found = score_rows(X, parameters, n_threads=n_threads, warn_of_zeros=False).log_density
    assert found is not None
    return found
