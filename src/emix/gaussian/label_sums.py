"""Statistics of rows that are given to labels, such as clusters: the same bits from any number of threads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.structures import CovarianceStructure
from emix.kernel.layout import statistics_layout
from emix.kernel.level import clusters
from emix.parallel.chunks import Chunks

__all__ = ["statistics_of_labels"]

Array = NDArray[np.float64]

# Chunks of rows are added up in one slot each, or in as many as fit into so many bytes.
SLOT_BYTES = 64 << 20


def statistics_of_labels(
    structure: CovarianceStructure,
    X: Array,
    weight: Array,
    labels: NDArray[np.intp] | None,
    centers: Array | None,
    n_threads: int | None,
    n_labels: int = 1,
) -> Array:
    """Sums over the rows of each label, as `GaussianStatistics.packed` has them: [N | s | S | c].

    Parameters
    ----------
    structure : CovarianceStructure
    X : ndarray of shape (n_rows, n_features), in C order
    weight : ndarray of shape (n_rows,)
    labels : ndarray of shape (n_rows,), intp, or None
        From 0 on; None gives all rows to one.
    centers : ndarray of shape (n_labels, n_features) or None
        What the sums are taken about; by default the labels' means, and where one holds nothing the mean of all rows.
    n_threads : int or None
    n_labels : int
        How many labels there are; not asked for if there are `centers`.

    Returns
    -------
    ndarray
    """
    n_rows, d = X.shape
    K = n_labels if centers is None else len(centers)
    at = statistics_layout(structure.code, K, d)
    width = at.center.start
    chunks = Chunks(n_rows, d * d if structure.has_matrices else 4.0 * d, n_threads, max(1, SLOT_BYTES // (8 * width)))
    slots = np.zeros((chunks.n_slots, width))
    work = np.empty((chunks.n_slots, clusters.label_workspace(K, d)))
    about = centers
    if about is None:
        # First about the first row, so that a large offset is not rounded n times; then about the means.
        about = np.empty((K, d))
        about[:] = X[0]
    sums = clusters.LabelSums(structure.code, X, weight, labels, about, slots, work)
    if centers is None:
        chunks.each(sums.add_means)
        sums.center()
    chunks.each(sums.add_up)
    packed = np.empty(at.size)
    sums.finish(packed)
    return packed
