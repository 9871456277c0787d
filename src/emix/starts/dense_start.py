"""A start with a component on rows that lie closer together than a mixture has them.

Starts that spread over the rows miss a narrow group inside a wide one: it is near no centre of k-means, and few random
draws hit it. In a mode without it, though, far too many rows lie in a short interval of some column.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import DegenerateFitError
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters, full_covariances
from emix.gaussian.scoring import score_rows
from emix.rows.arrays import ArraySource
from emix.starts.exploration import Exploration
from emix.starts.neighbours import merged_to
from emix.starts.starting_parameters import start_of_labels

__all__ = ["dense_start", "probability_of_interval", "shortest_interval"]

Array = NDArray[np.float64]

# Rows of an interval: this part of those of an average component, but enough for a covariance.
PART_OF_COMPONENT = 1.0 / 16.0

# An interval counts if so many rows fall into one of the n intervals of one of the d columns in one of e^7 = 1 100
# samples of the mixture.
LOG_ODDS = 7.0


def dense_start(exploration: Exploration, parameters: GaussianParameters) -> GaussianParameters | None:
    """Return a start with one component on the densest rows, and the others as they are after a merger.

    Parameters
    ----------
    exploration : Exploration
        Of its rows.
    parameters : GaussianParameters
        A mode, or a mixture on the way to one, of two components or more.

    Returns
    -------
    GaussianParameters or None
        None if no interval holds more rows than the mixture explains.
    """
    source = exploration.source
    rows = _dense_rows(exploration, parameters)
    if rows is None:
        return None
    return start_on_rows(source, exploration.model, parameters, rows)


def start_on_rows(
    source: ArraySource, model: GaussianModel, parameters: GaussianParameters, rows: NDArray[np.intp]
) -> GaussianParameters | None:
    """Return a start with the last component on some rows, and the others as they are after a merger.

    Parameters
    ----------
    source : ArraySource
    model : GaussianModel
    parameters : GaussianParameters
        Of two components or more.
    rows : ndarray of intp
        Numbers of rows of the source.

    Returns
    -------
    GaussianParameters or None
        None if the components after the merger, or the rows, have no covariance.
    """
    K = parameters.n_components
    labels = np.zeros(source.n_rows, dtype=np.intp)
    try:
        if K > 2:
            others = merged_to(parameters, parameters.structure, K - 1)
            found = score_rows(source.X, others, log_density=False, labels=True, n_threads=1).labels
            assert found is not None
            labels[:] = found
        labels[rows] = K - 1
        weight = np.ones(source.n_rows) if source.sample_weight is None else source.sample_weight
        return start_of_labels(source, model, weight, labels)
    except DegenerateFitError:
        return None


def _dense_rows(exploration: Exploration, parameters: GaussianParameters) -> NDArray[np.intp] | None:
    """The interval of one column that the mixture explains least: the half of its rows nearest to their median."""
    source, (K, d) = exploration.source, parameters.means.shape
    X, weight = source.X, source.sample_weight
    n = source.effective_rows
    wanted = max(2.0 * (d + 1), PART_OF_COMPONENT * n / K)  # rows of an interval
    if n < 4.0 * wanted:
        return None
    deviations = np.sqrt(np.diagonal(full_covariances(parameters), axis1=1, axis2=2))
    best, interval = LOG_ODDS + math.log(n * d), None
    for j in range(d):
        values = exploration.ordered[j] if weight is None else np.asarray(X[:, j], dtype=np.float64)
        first, last, step = shortest_interval(values, weight, wanted / n)
        # Equal values are what a component would collapse on.
        if not last > first:
            continue
        # Values that were rounded stand for all within half a step of them.
        ends = first - 0.5 * step, last + 0.5 * step
        expected = n * probability_of_interval(parameters.weights, parameters.means[:, j], deviations[:, j], *ends)
        # Chernoff's bound of log P(N ≥ wanted) for N of a Poisson distribution.
        odds = wanted * math.log(wanted / max(expected, 1e-300)) - wanted + expected if expected < wanted else 0.0
        if weight is not None:
            # A few heavy rows next to each other are no more than few.
            heavy = weight[(X[:, j] >= first) & (X[:, j] <= last)]
            odds *= min(1.0, heavy.sum() ** 2 / np.square(heavy).sum() / wanted)
        if odds > best:
            best, interval = odds, (j, first, last)
    if interval is None:
        return None
    j, first, last = interval
    inside = (X[:, j] >= first) & (X[:, j] <= last)
    if weight is not None:
        inside &= weight > 0.0
    rows = np.flatnonzero(inside)
    # In the other columns rows of wide components lie there too, further from the middle.
    Z = X[rows] / exploration.unit
    distances = np.square(Z - np.median(Z, axis=0)).sum(axis=1)
    return rows[np.argsort(distances, kind="stable")[: max(d + 2, len(rows) // 2)]]


def shortest_interval(values: Array, weight: Array | None, share: float) -> tuple[float, float, float]:
    """Return the ends of the shortest interval that holds a share of the weight, and the usual step of values in it.

    Values without weights are in ascending order.
    """
    if weight is None:
        ordered = values
        count = math.ceil(share * len(ordered))
        firsts, lasts = ordered[: len(ordered) - count + 1], ordered[count - 1 :]
    else:
        values, weight = values[weight > 0.0], weight[weight > 0.0]
        order = np.argsort(values, kind="stable")
        ordered, total = values[order], np.cumsum(weight[order])
        before = total - weight[order]
        ends = np.searchsorted(total, before + share * total[-1])
        firsts, lasts = ordered[ends < len(ordered)], ordered[ends[ends < len(ordered)]]
    place = int(np.argmin(lasts - firsts))
    first, last = float(firsts[place]), float(lasts[place])
    steps = np.diff(ordered[np.searchsorted(ordered, first) : np.searchsorted(ordered, last, side="right")])
    steps = np.sort(steps[steps > 0.0])  # np.median takes several times as long where these are few
    return first, last, float(steps[len(steps) // 2]) if len(steps) else 0.0


def probability_of_interval(weights: Array, means: Array, deviations: Array, first: float, last: float) -> float:
    """Return the probability of an interval under a mixture in one column."""
    total = 0.0
    for weight, mean, deviation in zip(weights.tolist(), means.tolist(), deviations.tolist()):
        scale = 1.0 / (deviation * math.sqrt(2.0))
        total += 0.5 * weight * (math.erf((last - mean) * scale) - math.erf((first - mean) * scale))
    return total
