"""k-means++ and k-means on standardized rows, by the kernel: a hard E-step of spherical components of one variance."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emix.models.gaussian import GaussianModel
from emix.models.parameters import GaussianParameters
from emix.models.scoring import score_rows
from emix.rows.arrays import ArraySource

__all__ = ["draw_rows", "kmeans", "kmeans_plus_plus"]

Array = NDArray[np.float64]

# A start needs clusters, not their last digits: Lloyd's iterations end when the centres' squared steps add up to this
# or less, or after so many. It is scikit-learn's criterion: 1e-4 of the columns' mean variance, which is 1 here.
SQUARED_STEP = 1e-4
MAX_ITERATIONS = 100


def draw_rows(weight: Array, size: int, source: np.random.Generator) -> NDArray[np.intp]:
    """Draw rows with probabilities proportional to their weights, by inverting the cumulative weights.

    Two rows of half the weight in the place of one leave every other draw as it was.
    """
    cumulative = np.cumsum(weight)
    place = np.searchsorted(cumulative, source.random(size) * cumulative[-1], side="right")
    # Rounding can lift u · total to the total itself.
    last = int(np.flatnonzero(weight)[-1])
    rows: NDArray[np.intp] = np.minimum(place, last)
    return rows


def kmeans_plus_plus(
    Z: Array, weight: Array, n_clusters: int, source: np.random.Generator, n_threads: int | None
) -> NDArray[np.intp]:
    """Draw rows as first centres, each with probability proportional to w·D², its squared distance to those before it.

    Of 2 + log K candidates for a centre the one is kept that lowers Σ w D² most.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, n_features)
        Standardized rows.
    weight : ndarray of shape (n_rows,)
    n_clusters : int
    source : Generator
    n_threads : int or None

    Returns
    -------
    ndarray of shape (n_clusters,), intp
        Distinct rows, as long as there are distinct values.

    References
    ----------
    D. Arthur and S. Vassilvitskii (2007), k-means++: the advantages of careful seeding, Proceedings of the 18th
    ACM-SIAM Symposium on Discrete Algorithms, 1027-1035.
    """
    n_candidates = 2 + int(math.log(n_clusters))
    chosen = np.empty(n_clusters, dtype=np.intp)
    chosen[0] = draw_rows(weight, 1, source)[0]
    nearest = _squared_distances(Z, chosen[:1], n_threads)[:, 0]
    for k in range(1, n_clusters):
        mass = weight * nearest
        if not mass.any():
            # Every row coincides with a centre: any will do, but not twice the same while there are others.
            unused = weight.copy()
            unused[chosen[:k]] = 0.0
            chosen[k] = draw_rows(unused if unused.any() else weight, 1, source)[0]
            continue
        candidates = draw_rows(mass, n_candidates, source)
        distances = np.minimum(_squared_distances(Z, candidates, n_threads), nearest[:, np.newaxis])
        best = int(np.argmin(weight @ distances))
        chosen[k] = candidates[best]
        nearest = distances[:, best]
        nearest[chosen[k]] = 0.0
    return chosen


def kmeans(Z: Array, weight: Array, centers: Array, n_threads: int | None) -> tuple[Array, NDArray[np.intp]]:
    """Lloyd's algorithm from given centres.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, n_features)
        Standardized rows.
    weight : ndarray of shape (n_rows,)
    centers : ndarray of shape (n_clusters, n_features)
    n_threads : int or None

    Returns
    -------
    centers : ndarray of shape (n_clusters, n_features)
    labels : ndarray of shape (n_rows,), intp

    References
    ----------
    S. P. Lloyd (1982), Least squares quantization in PCM, IEEE Transactions on Information Theory 28, 129-137.
    """
    n_clusters, n_features = centers.shape
    run = GaussianModel(n_clusters, n_features, "spherical", n_threads=n_threads).begin(ArraySource(Z, weight))
    for _ in range(MAX_ITERATIONS):
        statistics, _ = run.hard_step(_clusters(centers))
        held = statistics.weight
        moved = statistics.shift / np.where(held > 0.0, held, 1.0)[:, np.newaxis]
        old, centers = centers, statistics.center + moved
        if not held.all():
            centers = _refill(Z, weight, centers, held, n_threads)
        if np.sum((centers - old) ** 2) <= SQUARED_STEP:
            break
    labels = score_rows(Z, _clusters(centers), log_density=False, labels=True, n_threads=n_threads).labels
    assert labels is not None
    return centers, labels


def _clusters(centers: Array) -> GaussianParameters:
    """Centres as a mixture in which the most probable component is the nearest centre."""
    ones = np.ones(len(centers))
    return GaussianParameters.from_covariances("spherical", ones, centers, ones)


def _squared_distances(Z: Array, rows: NDArray[np.intp], n_threads: int | None) -> Array:
    """‖z − z_c‖² for each row and each centre c, (n_rows, len(rows))."""
    joint = score_rows(Z, _clusters(Z[rows]), log_density=False, joint=True, n_threads=n_threads).joint
    assert joint is not None
    distances: Array = -2.0 * joint.astype(np.float64) - Z.shape[1] * math.log(2.0 * math.pi)
    return np.maximum(distances, 0.0)


def _refill(Z: Array, weight: Array, centers: Array, held: Array, n_threads: int | None) -> Array:
    """Move centres that no row is nearest to onto the rows that are furthest from theirs."""
    labels = score_rows(Z, _clusters(centers), log_density=False, labels=True, n_threads=n_threads).labels
    distances = np.sum((Z - centers[labels]) ** 2, axis=1) * (weight > 0.0)
    empty = np.flatnonzero(held == 0.0)
    furthest = np.argsort(distances, kind="stable")[::-1][: len(empty)]
    centers = centers.copy()
    centers[empty] = Z[furthest]
    return centers
