"""A start with one component on rows that lie far from all others: a wide group of few rows, such as background.

A sample of some thousand rows holds too few of such a group for a component of their own: its covariance would be that
of a handful of rows, and count as a collapse. So more rows are asked whether some lie where the mixture found on the
sample has no rows at all.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emix.em.loop import Goal
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters, full_covariances
from emix.rows.arrays import ArraySource
from emix.starts.dense_start import start_on_rows
from emix.starts.exploration import FORESIGHT, Exploration, Mode
from emix.starts.neighbours import merged_to
from emix.starts.ranking import in_precision, log_densities

__all__ = ["ROWS", "far_start", "higher_with_far_rows", "rows_to_ask"]

Array = NDArray[np.float64]

# Rows that are asked. One in a thousand is then some thirty rows.
ROWS = 32_768

# Iterations of EM from the start and from what the sample gave, which tell which of them leads higher. After the first
# few the start is given up if FORESIGHT more steps like its last would not come as high: where the structure does not
# suit the rows, some are far that no component can hold.
ITERATIONS, PLAIN = 5, 2

# A start is tried if far rows gain so much of what the merger costs: EM wins back a part of it. Else two runs on these
# rows, five iterations of 100 000, would be made for nothing where a structure does not suit the rows.
PART_OF_COST = 0.3

# A row is far if one so far from its component is expected exp(−CHANCE) times among all that are asked, or less often.
CHANCE = 7.0


def rows_to_ask(source: ArraySource, exploration: Exploration, seed: int) -> ArraySource:
    """Return `ROWS` of all rows of the fit, or of those that are in memory; all, if they are fewer.

    Parameters
    ----------
    source : ArraySource
    exploration : Exploration
        Of a sample of them, in whose precision those that are drawn are.
    seed : int
    """
    if source.n_rows <= ROWS:
        return source
    drawn = source.draw(seed, ROWS)
    weight = None if source.sample_weight is None else source.sample_weight[drawn]
    X = in_precision(source.X.take(drawn, axis=0), exploration.source.dtype)
    return ArraySource(X, weight, source.feature_names)


def higher_with_far_rows(source: ArraySource, exploration: Exploration, parameters: GaussianParameters) -> Mode | None:
    """Return a mixture with a component on far rows, if it is higher than the one that the sample gave.

    Parameters
    ----------
    source : ArraySource
        Of `rows_to_ask`.
    exploration : Exploration
        Of a sample of the rows of the fit.
    parameters : GaussianParameters
        The best mixture of the sample.
    """
    start = far_start(source, exploration.model, parameters, exploration.source)
    if start is None:
        return None
    before = exploration.run_on(source, parameters, ITERATIONS)
    level = -math.inf if before is None else before.log_likelihood
    found = exploration.run_on(source, start, ITERATIONS, Goal(level, FORESIGHT, PLAIN))
    return Mode(start, found) if found is not None and found.log_likelihood > level else None


def far_start(
    source: ArraySource, model: GaussianModel, parameters: GaussianParameters, sample: ArraySource | None = None
) -> GaussianParameters | None:
    """Return a start with one component on the far rows, and the others as they are after a merger.

    Parameters
    ----------
    source : ArraySource
        The rows that are asked.
    model : GaussianModel
        Of two components or more.
    parameters : GaussianParameters
        A mode of a sample, or a mixture on the way to one.
    sample : ArraySource, optional
        Rows by which the cost of the merger is estimated.

    Returns
    -------
    GaussianParameters or None
        None if fewer rows are far than a component needs, or if they gain too little beside what the merger costs.
    """
    rows = _far_rows(source, parameters)
    # Twice the rows that make a covariance regular, below which a component counts as collapsed.
    if len(rows) <= 2 * (parameters.n_features + 1):
        return None
    if sample is not None and not _may_gain(source, sample, parameters, rows):
        return None
    return start_on_rows(source, model, parameters, rows)


@np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore")  # rows that are very far
def _may_gain(source: ArraySource, sample: ArraySource, parameters: GaussianParameters, rows: NDArray[np.intp]) -> bool:
    """True if far rows gain at least a part of what the merger costs that leaves a component for them."""
    K, d = parameters.means.shape
    if K == 2:
        return True
    X = source.X[rows].astype(np.float64)
    weights = np.ones(source.n_rows) if source.sample_weight is None else source.sample_weight
    weight = weights[rows]
    share = weight.sum() / weights.sum()  # not of the total, which is in the user's unit
    before = log_densities(source.X[rows], parameters, 1)
    unit = np.abs(X).max(axis=0)
    unit[unit == 0.0] = 1.0
    spread = np.atleast_2d(np.cov((X / unit).T, aweights=weight, ddof=0))
    # The mean log-density of rows under the Gaussian with their moments, and the weight of its component.
    log_det = np.linalg.slogdet(spread)[1] + 2.0 * np.log(unit).sum()
    after = math.log(share) - 0.5 * (d * math.log(2.0 * math.pi * math.e) + log_det)
    gain = share * (after - np.average(before, weights=weight))
    others = merged_to(parameters, parameters.structure, K - 1)
    cost = log_densities(sample.X, parameters, 1).astype(np.float64) - log_densities(sample.X, others, 1)
    return not gain < PART_OF_COST * np.average(cost, weights=sample.sample_weight)


@np.errstate(over="ignore", under="ignore", divide="ignore")  # rows that are very far, components of no weight
def _far_rows(source: ArraySource, parameters: GaussianParameters) -> NDArray[np.intp]:
    """The rows that no component of the mixture would hold by chance."""
    X, (K, d) = source.X, parameters.means.shape
    density = log_densities(X, parameters, 1)
    covariances = full_covariances(parameters)
    # In units of the columns, so that nothing overflows.
    unit = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2).max(axis=0))
    covariances = covariances / unit / unit[:, np.newaxis]
    least = _least_distance(d, source.n_rows)
    # log p ≤ log K + max_k (log π_k − ½ log det 2πΣ_k) − ½ t for a row that is √t from the nearest component.
    highest = (np.log(parameters.weights) - 0.5 * np.linalg.slogdet(2.0 * np.pi * covariances)[1]).max()
    highest -= np.log(unit).sum()
    may_be = density <= math.log(K) + highest - 0.5 * least
    if source.sample_weight is not None:
        may_be &= source.sample_weight > 0.0
    places = np.flatnonzero(may_be)
    for mean, covariance in zip(parameters.means, covariances):
        away = (X[places].astype(np.float64) - mean) / unit
        squares = np.einsum("ij,ij->i", away, np.linalg.solve(covariance, away.T).T)
        places = places[~(squares < least)]
    return places


def _least_distance(d: int, n_rows: int) -> float:
    """Return the squared distance from a component beyond which one row in exp(CHANCE) n lies, or fewer.

    By Chernoff's bound, log P(χ² ≥ t) ≤ ½ (d log(t / d) + d − t) for t above the d degrees of freedom.
    """
    t, wanted = float(d), 2.0 * (CHANCE + math.log(n_rows))
    for _ in range(30):  # t := d + wanted + d log(t / d) rises to its fixed point
        t = d + wanted + d * math.log(t / d)
    return t
