"""Statistics of rows that are given to labels, such as clusters: the same bits from any number of threads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.forms import CovarianceForm
from emix.kernel.layout import statistics_layout
from emix.kernel.level import clusters
from emix.parallel.chunks import Chunks

__all__ = ["statistics_of_labels"]

Array = NDArray[np.float64]

# Chunks of rows are added up in one slot each, or in as many as fit into so many bytes.
SLOT_BYTES = 64 << 20


def statistics_of_labels(
    form: CovarianceForm,
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
    form : CovarianceForm
        The form of the sums S.
    X : ndarray of shape (n_rows, n_features), in C order
    weight : ndarray of shape (n_rows,)
    labels : ndarray of shape (n_rows,), intp, or None
        From 0 on; None gives all rows to one.
    centers : ndarray of shape (n_labels, n_features) or None
        Centres of the sums. By default the labels' means; for a label without rows, the mean of all rows.
    n_threads : int or None
    n_labels : int
        Number of labels; not used with `centers`.

    Returns
    -------
    ndarray
    """
    n_rows, d = X.shape
    K = n_labels if centers is None else len(centers)
    at = statistics_layout(form.code, K, d)
    width = at.center.start
    chunks = Chunks(n_rows, d * d if form.has_matrices else 4.0 * d, n_threads, max(1, SLOT_BYTES // (8 * width)))
    slots = np.zeros((chunks.n_slots, width))
    work = np.empty((chunks.n_slots, clusters.label_workspace(K, d)))
    about = centers
    if about is None:
        # Means are sums about the first row: a large offset is not rounded n times. The final sums are about the means.
        about = np.empty((K, d))
        about[:] = X[0]
    sums = clusters.LabelSums(form.code, X, weight, labels, about, slots, work)
    if centers is None:
        chunks.each(sums.add_means)
        sums.center()
    chunks.each(sums.add_up)
    packed = np.empty(at.size)
    sums.finish(packed)
    return packed
