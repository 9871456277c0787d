"""k-means++ and k-means on standardized rows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emix.kernel.level import clusters
from emix.parallel.chunks import Chunks
from emix.starts.uniforms import RandomNumbers

__all__ = ["by_features", "candidates_of", "draw_rows", "kmeans", "kmeans_plus_plus"]

Array = NDArray[np.float64]

# A start needs clusters, not their last digits. Lloyd's iterations end when the centres' squared steps add up to
# SQUARED_STEP or less, or after MAX_ITERATIONS. This is scikit-learn's criterion: 1e-4 of the columns' mean variance,
# which is 1 here.
SQUARED_STEP = 1e-4
MAX_ITERATIONS = 100


def draw_rows(weight: Array, size: int, source: RandomNumbers) -> NDArray[np.intp]:
    """Draw rows with probabilities proportional to their weights, by inverting the cumulative weights.

    If a row is split into two rows of half the weight, all draws of other rows stay the same.
    """
    rows = np.empty(size, dtype=np.intp)
    clusters.draw(np.ascontiguousarray(weight), source.random(size), np.empty(len(weight)), rows)
    return rows


def candidates_of(n_clusters: int) -> int:
    """Return the number of rows drawn for a centre of k-means++, of which the best is kept."""
    return 2 + int(math.log(n_clusters))


def kmeans_plus_plus(Z: Array, weight: Array, n_clusters: int, source: RandomNumbers) -> NDArray[np.intp]:
    """Draw rows as first centres, each with probability proportional to w·D².

    D is a row's distance to the nearest centre so far. Of 2 + log K candidates for a centre, the one that lowers
    Σ w D² most is kept.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, n_features)
        Standardized rows.
    weight : ndarray of shape (n_rows,)
    n_clusters : int
    source : RandomNumbers

    Returns
    -------
    ndarray of shape (n_clusters,), intp
        Distinct rows, as long as there are distinct values.

    References
    ----------
    D. Arthur and S. Vassilvitskii (2007), k-means++: the advantages of careful seeding, Proceedings of the 18th
    ACM-SIAM Symposium on Discrete Algorithms, 1027-1035.
    """
    plus_plus = clusters.PlusPlus(by_features(Z), weight, np.empty(len(Z)), np.empty(len(Z)))
    chosen = np.empty(n_clusters, dtype=np.intp)
    for k in range(n_clusters):
        row = plus_plus.draw(source.random(candidates_of(n_clusters))) if k else draw_rows(weight, 1, source)[0]
        if row < 0:
            # Every row coincides with a centre. Any row will do, but none twice while there are others.
            unused = weight.copy()
            unused[chosen[:k]] = 0.0
            row = draw_rows(unused if unused.any() else weight, 1, source)[0]
        chosen[k] = row
        plus_plus.add(row)
    return chosen


def kmeans(
    Z: Array,
    weight: Array,
    centers: Array,
    n_threads: int | None,
    distances: Array | None = None,
    most: int = MAX_ITERATIONS,
) -> tuple[Array, NDArray[np.intp]]:
    """Lloyd's algorithm from given centres.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, n_features)
        Standardized rows.
    weight : ndarray of shape (n_rows,)
    centers : ndarray of shape (n_clusters, n_features)
    n_threads : int or None
    distances : ndarray of shape (n_rows,), optional
        Filled with each row's squared distance to its centre.
    most : int
        Iterations at most.

    Returns
    -------
    centers : ndarray of shape (n_clusters, n_features)
    labels : ndarray of shape (n_rows,), intp

    References
    ----------
    S. P. Lloyd (1982), Least squares quantization in PCM, IEEE Transactions on Information Theory 28, 129-137.
    """
    n_clusters, n_features = centers.shape
    features, centers = by_features(Z), np.array(centers)
    chunks = Chunks(len(Z), 3.0 * centers.size, n_threads)
    sums, held = np.empty((chunks.n_slots, n_clusters, 1 + n_features)), np.empty(n_clusters)
    labels = np.empty(len(Z), dtype=np.intp)
    distances = np.empty(len(Z)) if distances is None else distances
    lloyd = clusters.Lloyd(features, weight, centers, sums, held, np.empty(len(Z)))

    for _ in range(most):
        chunks.each(lloyd.add_up)
        step, n_empty = lloyd.move()
        if n_empty < 0:  # rounding errors of rows that left a sum may count in it
            chunks.each(lloyd.add_up)
            step, n_empty = lloyd.move()
        if n_empty:
            # Centres without rows move onto the rows that are furthest from their own centres.
            chunks.each(lambda _, first, last: clusters.assign(features, centers, first, last, None, distances))
            distances[weight == 0.0] = 0.0
            furthest = Z[np.argsort(distances, kind="stable")[::-1][:n_empty]]
            step += float(np.sum((furthest - centers[held == 0.0]) ** 2))
            centers[held == 0.0] = furthest
        if step <= SQUARED_STEP:
            break
    chunks.each(lambda _, first, last: clusters.assign(features, centers, first, last, labels, distances))
    return centers, labels


def by_features(Z: Array) -> Array:
    """Return rows in the layout of the compiled code: (n_features, n_rows), the rows next to each other."""
    features = Z.T
    return features if features.strides[1] == features.itemsize else np.ascontiguousarray(features)
