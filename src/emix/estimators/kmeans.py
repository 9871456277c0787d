"""k-means++ and k-means on standardized rows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emix.estimators.uniforms import RandomNumbers
from emix.kernel.level import clusters
from emix.rows.threads import plan, run_in_threads

__all__ = ["by_features", "draw_rows", "kmeans", "kmeans_plus_plus"]

Array = NDArray[np.float64]

# A start needs clusters, not their last digits: Lloyd's iterations end when the centres' squared steps add up to this
# or less, or after so many. It is scikit-learn's criterion: 1e-4 of the columns' mean variance, which is 1 here.
SQUARED_STEP = 1e-4
MAX_ITERATIONS = 100

# Rows whose sums are taken at one time, by one thread: sums do not depend on the number of threads.
CHUNK = 8192


def draw_rows(weight: Array, size: int, source: RandomNumbers) -> NDArray[np.intp]:
    """Draw rows with probabilities proportional to their weights, by inverting the cumulative weights.

    Two rows of half the weight in the place of one leave every other draw as it was.
    """
    rows = np.empty(size, dtype=np.intp)
    clusters.draw(np.ascontiguousarray(weight), None, source.random(size), np.empty(len(weight)), rows)
    return rows


def kmeans_plus_plus(Z: Array, weight: Array, n_clusters: int, source: RandomNumbers) -> NDArray[np.intp]:
    """Draw rows as first centres, each with probability proportional to w·D², its squared distance to those before it.

    Of 2 + log K candidates for a centre the one is kept that lowers Σ w D² most.

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
    features = by_features(Z)
    chosen = np.empty(n_clusters, dtype=np.intp)
    chosen[0] = draw_rows(weight, 1, source)[0]
    candidates = np.empty(2 + int(math.log(n_clusters)), dtype=np.intp)
    potential = np.empty(len(candidates))
    nearest, cumulative = np.full(len(Z), np.inf), np.empty(len(Z))
    clusters.add_center(features, chosen[0], nearest)
    for k in range(1, n_clusters):
        if clusters.draw(weight, nearest, source.random(len(candidates)), cumulative, candidates):
            clusters.potentials(features, weight, nearest, candidates, potential)
            chosen[k] = candidates[potential.argmin()]
        else:
            # Every row coincides with a centre: any will do, but not twice the same while there are others.
            unused = weight.copy()
            unused[chosen[:k]] = 0.0
            chosen[k] = draw_rows(unused if unused.any() else weight, 1, source)[0]
        clusters.add_center(features, chosen[k], nearest)
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
    features, centers = by_features(Z), np.array(centers)
    n_chunks = -(-len(Z) // CHUNK)
    sums, held = np.empty((n_chunks, n_clusters, 1 + n_features)), np.empty(n_clusters)
    threads, _ = plan(len(Z), 3.0 * centers.size, CHUNK, n_threads, n_chunks)

    def assign(labels: NDArray[np.intp] | None, distances: Array | None, sums: Array | None) -> None:
        def share(thread: int, stop: NDArray[np.int32] | None) -> None:
            for chunk in range(thread, n_chunks, threads):
                if stop is not None and stop[0]:
                    return
                first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, len(Z))
                chunk_sums = None if sums is None else sums[chunk]
                clusters.assign(features, weight, centers, first, last, labels, distances, chunk_sums)

        run_in_threads(share, threads)

    for _ in range(MAX_ITERATIONS):
        old = centers.copy()
        assign(None, None, sums)
        step, n_empty = clusters.move(sums, centers, held)
        if n_empty:
            # Centres that no row is nearest to move onto the rows that are furthest from theirs.
            distances = np.empty(len(Z))
            assign(None, distances, None)
            distances[weight == 0.0] = 0.0
            centers[held == 0.0] = Z[np.argsort(distances, kind="stable")[::-1][:n_empty]]
            step = np.sum((centers - old) ** 2)
        if step <= SQUARED_STEP:
            break
    labels = np.empty(len(Z), dtype=np.intp)
    assign(labels, None, None)
    return centers, labels


def by_features(Z: Array) -> Array:
    """Return rows as the compiled code takes them, (n_features, n_rows) with the rows next to each other."""
    features = Z.T
    return features if features.strides[1] == features.itemsize else np.ascontiguousarray(features)
