"""Modes of a sample in the order of all rows, where the sample cannot tell which is the best."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np

from emix.em.result import EMResult
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import score_rows
from emix.rows.sampling import CHUNK_ROWS
from emix.rows.source import RowSource
from emix.starts.exploration import Exploration

__all__ = ["MOST_RANKED", "n_near_the_best", "ranked_by_all_rows"]

# Modes of a sample, the best and its rivals, that are ranked by all rows at most.
MOST_RANKED = 3


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
    return sorted(found[:n], key=lambda one: -_log_likelihood(rows, model, one.result.parameters)) + found[n:]


def _log_likelihood(rows: RowSource, model: GaussianModel, parameters: GaussianParameters) -> float:
    if rows.whole is None:
        return model.e_step(rows, parameters)[1]
    # The log-densities alone take half of the time of an E-step. Those of some rows at a time take little memory.
    X, weight, total = rows.whole.X, rows.whole.weight, 0.0
    for first in range(0, len(X), CHUNK_ROWS):
        part = slice(first, first + CHUNK_ROWS)
        log_density = score_rows(X[part], parameters, n_threads=model.n_threads).log_density
        assert log_density is not None
        if weight is not None:
            counts = weight[part] > 0.0  # 0 · −∞ is no number
            log_density = weight[part][counts] * log_density[counts]
        total += float(log_density.sum(dtype=np.float64))
    return total
