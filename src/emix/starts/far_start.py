"""A start with one component on rows that lie far from all others: a wide group of few rows, such as background.

A sample of some thousand rows holds too few of such a group for a component of their own: its covariance would be that
of a handful of rows, and count as a collapse. So more rows are asked whether some lie where the mixture found on the
sample has no rows at all.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters, full_covariances
from emix.gaussian.scoring import score_rows
from emix.rows.arrays import ArraySource
from emix.starts.dense_start import start_on_rows
from emix.starts.exploration import Exploration, Mode

__all__ = ["ROWS", "far_start", "higher_with_far_rows"]

Array = NDArray[np.float64]

# Rows that are asked. One in a thousand is then some thirty rows.
ROWS = 32_768

# Iterations of EM from the start and from what the sample gave, which tell which of them leads higher.
ITERATIONS = 10

# A row is far if one so far from its component is expected exp(−CHANCE) times among all that are asked, or less often.
CHANCE = 7.0


def higher_with_far_rows(
    source: ArraySource, exploration: Exploration, parameters: GaussianParameters, seed: int
) -> Mode | None:
    """Return a mixture with a component on far rows, if it is higher than the one that the sample gave.

    Parameters
    ----------
    source : ArraySource
        All rows of the fit, or those that are in memory. At most `ROWS` of them are looked at.
    exploration : Exploration
        Of a sample of them.
    parameters : GaussianParameters
        The best mixture of the sample.
    seed : int
        Of the rows that are looked at.
    """
    if source.n_rows > ROWS:
        drawn = source.draw(seed, ROWS)
        weight = None if source.sample_weight is None else source.sample_weight[drawn]
        source = ArraySource(source.X.take(drawn, axis=0), weight, source.feature_names)
    start = far_start(source, exploration.model, parameters)
    if start is None:
        return None
    found = exploration.run_on(source, start, ITERATIONS)
    before = exploration.run_on(source, parameters, ITERATIONS)
    if found is None or (before is not None and found.log_likelihood <= before.log_likelihood):
        return None
    return Mode(start, found)


def far_start(source: ArraySource, model: GaussianModel, parameters: GaussianParameters) -> GaussianParameters | None:
    """Return a start with one component on the far rows, and the others as they are after a merger.

    Parameters
    ----------
    source : ArraySource
        The rows that are asked.
    model : GaussianModel
        Of two components or more.
    parameters : GaussianParameters
        A mode of a sample, or a mixture on the way to one.

    Returns
    -------
    GaussianParameters or None
        None if fewer rows are far than a component needs.
    """
    rows = _far_rows(source, parameters)
    # Twice the rows that make a covariance regular, below which a component counts as collapsed.
    enough = len(rows) > 2 * (parameters.n_features + 1)
    return start_on_rows(source, model, parameters, rows) if enough else None


@np.errstate(over="ignore", under="ignore", divide="ignore")  # rows that are very far, components of no weight
def _far_rows(source: ArraySource, parameters: GaussianParameters) -> NDArray[np.intp]:
    """The rows that no component of the mixture would hold by chance."""
    X, (K, d) = source.X, parameters.means.shape
    density = score_rows(X, parameters, n_threads=1, warn_of_zeros=False).log_density
    assert density is not None
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
