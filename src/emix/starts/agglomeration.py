"""Agglomerative clustering of rows: Ward's criterion, and determinants of the clusters' scatters on sphered rows.

An agglomeration is done once, and gives the clusters for every number of them.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.kernel.level import clusters
from emix.rows.arrays import ArraySource
from emix.rows.source import EPSILON

__all__ = [
    "Agglomerated", "Merges", "banfield_raftery", "banfield_raftery_of", "hierarchical", "hierarchical_of", "most_rows",
    "ward", "ward_of",
]  # fmt: skip

Array = NDArray[np.float64]
Places = NDArray[np.intp]

# Rows that are agglomerated by determinants, at most: 2 000, or as many as fill so many numbers, but 500 in any case.
# The work grows with the square of these numbers. 2 000 × 30 and 600 × 100 take a fifth of a second with AVX-512, and
# below a second with SSE2.
MOST_ROWS, MOST_NUMBERS, ENOUGH_ROWS = 2000, 60_000, 500

# Rows that Ward's criterion agglomerates for a candidate, at most: a millisecond with 10 columns.
WARD_ROWS = 500

# Rows × rows × columns, at most: Ward's criterion, which is that of more columns, takes some tenths of a second then.
MOST_DISTANCES = 5e8

# Rows for each column from which on they are sphered. Of fewer, sphered rows lie nearly equally far from each other.
SPHERED_FROM = 4

# Share of the columns' variance below which a direction of them is rounding.
LEAST_DIRECTION = 1e-12

# Share of the mean variance that `banfield_raftery` adds to scatters. It makes them regular, and its part in their
# determinants is far below that of the traces.
LEAST_SCATTER = 1e-10

# A row of less does not count either, but products of two masses are above 0.
LEAST_MASS = 1e-150

# Compiled code does about this many operations between two looks at pending signals: a tenth of a second.
OPERATIONS_PER_CALL = 2e8

# Different samples of one seed; an odd number of 64 bits, far from small ones.
_NEXT_SAMPLE = 0x9E3779B97F4A7C15


class Merges(NamedTuple):
    """The merges of an agglomeration, from one cluster for each row to a single one.

    Attributes
    ----------
    kept, joined : ndarray of shape (n_rows - 1,), intp
        Each merge gives the rows of cluster `joined` to cluster `kept`. A cluster is named by its first row, and
        ``kept < joined``. Rows that are equal to others come first.
    heights : ndarray of shape (n_rows - 1,)
        How much each merge raises the criterion.
    n_distinct : int
        Number of distinct rows of weight above 0. More clusters than that have equal rows in different ones.
    """

    kept: Places
    joined: Places
    heights: Array
    n_distinct: int

    def labels(self, n_clusters: int) -> Places:
        """Return the rows' clusters, numbered in the order of their first rows.

        Parameters
        ----------
        n_clusters : int
            From 1 to the number of rows.

        Returns
        -------
        ndarray of shape (n_rows,), intp

        Raises
        ------
        ValueError
            If there are fewer rows than clusters, or no clusters.
        """
        n_rows = len(self.kept) + 1
        if not 1 <= n_clusters <= n_rows:
            raise ValueError(
                f"n_clusters is {n_clusters}, expected 1 to {n_rows}, the number of rows that were agglomerated"
            )
        labels = np.empty(n_rows, dtype=np.intp)
        clusters.merge_labels(self.kept, self.joined, n_rows - n_clusters, labels)
        return labels


class Agglomerated(NamedTuple):
    """Rows of a source, their weights, and their merges.

    Attributes
    ----------
    X : ndarray of shape (n, n_features)
        All rows of weight above 0, or a sample of them, in their order.
    weight : ndarray of shape (n,)
    merges : Merges
    """

    X: Array
    weight: Array
    merges: Merges


def ward(Z: Array, weight: Array) -> Merges:
    """Agglomerate rows by Ward's criterion: Σ w ‖z − mean of its cluster‖² grows least with each merge.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, n_features)
        Standardized rows, 4 096 at most.
    weight : ndarray of shape (n_rows,)
        A row of weight w counts as w equal rows. Rows of weight 0 go with the first row that counts.

    Returns
    -------
    Merges
        In the order of their heights; heights are growths of the sum.

    Notes
    -----
    O(n² d) operations and O(n d) memory, by a chain of nearest neighbours.

    References
    ----------
    J. H. Ward (1963), Hierarchical grouping to optimize an objective function, Journal of the American Statistical
    Association 58, 236-244. F. Murtagh (1983), A survey of recent advances in hierarchical clustering algorithms, The
    Computer Journal 26, 354-359. D. Müllner (2011), Modern hierarchical, agglomerative clustering algorithms,
    arXiv:1109.2378, section 3.2.
    """
    equals, points, mass = _distinct(np.ascontiguousarray(Z), weight)
    return _ward(np.array(Z[points].T, order="C"), mass, equals, points)


@np.errstate(under="ignore")  # tiny weights
def hierarchical(X: Array, weight: Array, eps: float = EPSILON["d"]) -> Merges:
    """Agglomerate rows by determinants: Σ_k (n_k + ν) log det((W_k + I) / (n_k + ν)) grows least with each merge.

    n_k is the mass of cluster k, and W_k the scatter about its mean of rows that are sphered first: uncorrelated, of
    variance 1. Affine maps of the rows change no merge, but for rounding. I / (n_k + ν), ν = d + 2, comes from an
    inverse Wishart prior with the total covariance as its scale; without it the determinants of small clusters would be
    0. With fewer than four distinct rows for each column, sphered rows lie nearly equally far from each other: Ward's
    criterion on standardized columns takes their place.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        8 192 rows at most. Columns that are constant, or follow from others, do not count.
    weight : ndarray of shape (n_rows,)
        A row of weight w counts as w equal rows. The unit does not matter: masses of distinct rows are w Σw / Σw². Rows
        of weight 0 go with the first row that counts.
    eps : float
        Relative rounding of the rows' values.

    Returns
    -------
    Merges
        In the order in which they were made; heights are growths of the criterion, and need not grow themselves. Equal
        costs are decided by row numbers.

    Notes
    -----
    O(n² d²) operations for the small clusters, of which most are. 8 n² bytes for the costs, which are most of the
    memory: 36 MB in all for 2 000 rows of 30 columns.

    References
    ----------
    J. D. Banfield and A. E. Raftery (1993), Model-based Gaussian and non-Gaussian clustering, Biometrics 49, 803-821:
    the criterion Σ n_k log det(W_k / n_k). C. Fraley (1998), Algorithms for model-based Gaussian hierarchical
    clustering, SIAM Journal on Scientific Computing 20, 270-281. C. Fraley and A. E. Raftery (2007), Bayesian
    regularization for normal mixture estimation and model-based clustering, Journal of Classification 24, 155-181: the
    prior. L. Scrucca and A. E. Raftery (2015), Improved initialisation of model-based clustering using Gaussian
    hierarchical partitions, Advances in Data Analysis and Classification 9, 447-460: sphered rows.
    """
    X = np.ascontiguousarray(X, dtype=np.float64)
    equals, points, mass = _distinct(X, weight)
    n, d = len(points), X.shape[1]
    distinct = X if n == len(X) else X[points]
    mass /= mass.max()
    mass *= mass.sum() / (mass @ mass)
    np.maximum(mass, LEAST_MASS, out=mass)
    features = np.empty((d, n))
    p = clusters.sphere(distinct, mass, eps, n // SPHERED_FROM, features)
    if p > n // SPHERED_FROM:
        clusters.standardize(distinct, mass, features)
        return _ward(features, mass, equals, points)
    return _merges(equals, points, *_merged_by_determinants(features, mass, p, p + 2.0))


def _merged_by_determinants(
    features: Array, mass: Array, p: int, prior: float, share: float = 0.0, floor: float = 0.0
) -> tuple[Places, Places, Array]:
    n = len(mass)
    kept, joined, heights = np.empty(n - 1, dtype=np.intp), np.empty(n - 1, dtype=np.intp), np.empty(n - 1)
    size, line = clusters.merger_workspace(n, p)
    merger = clusters.DeterminantMerges(
        features, mass, p, prior, np.empty((n, line)), np.empty(size), np.empty((8, n + 1), dtype=np.intp),
        kept, joined, heights, share, floor,
    )  # fmt: skip
    at_once = 1 + int(OPERATIONS_PER_CALL / (n * (p**3 / 3.0 + 2.0 * p * p + 40.0)))
    while merger.advance(at_once):
        pass
    return kept, joined, heights


@np.errstate(under="ignore")  # tiny weights
def banfield_raftery(X: Array, weight: Array) -> Merges:
    """Agglomerate rows by determinants without a prior, which is the way of mclust.

    Σ_k n_k log(det (W_k / n_k) + (tr W_k + c) / n_k) grows least with each merge. n_k is the mass of cluster k, W_k the
    scatter about its mean, and c the mean variance of the columns. The traces make it finite for few rows. The first
    clusters draw rows to them, so that it finds what other agglomerations do not: a group of few rows, and one that is
    spread wide. Columns are standardized and turned to their principal axes, of which each is as long as the root of
    its standard deviation (Scrucca and Raftery 2015, "scaled SVD").

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        8 192 rows at most. Columns that are constant, or follow from others, do not count.
    weight : ndarray of shape (n_rows,)
        A row of weight w counts as w equal rows that are one cluster from the start. The unit does not matter, as for
        `hierarchical`.

    Returns
    -------
    Merges
        In the order in which they were made. Of equal costs the last is taken, by row numbers.

    Notes
    -----
    Time and memory are those of `hierarchical`.

    References
    ----------
    J. D. Banfield and A. E. Raftery (1993), Model-based Gaussian and non-Gaussian clustering, Biometrics 49, 803-821.
    C. Fraley (1998), Algorithms for model-based Gaussian hierarchical clustering, SIAM Journal on Scientific Computing
    20, 270-281: the traces. L. Scrucca and A. E. Raftery (2015), Improved initialisation of model-based clustering
    using Gaussian hierarchical partitions, Advances in Data Analysis and Classification 9, 447-460.
    """
    n, d = X.shape
    mass = weight / weight.max()
    mass *= mass.sum() / (mass @ mass)
    np.maximum(mass, LEAST_MASS, out=mass)
    features = np.empty((d, n))
    clusters.standardize(np.ascontiguousarray(X, dtype=np.float64), mass, features)
    # einsum, and not BLAS, whose threads would round sums differently.
    values, axes = np.linalg.eigh(np.einsum("i,ai,bi->ab", mass, features, features))
    used = values > LEAST_DIRECTION * values[-1]
    values, axes = values[used], axes[:, used]
    # X D^(-1/2) of the singular values D, which are the roots of these. Their sum is the trace of the scatter.
    total, p = float(np.sqrt(values).sum()), len(values)
    floor = total / (mass.sum() * p)
    share = LEAST_SCATTER * floor
    turned = np.einsum("ji,jp->pi", features, axes / (values**0.25 * np.sqrt(share)))
    return Merges(*_merged_by_determinants(np.ascontiguousarray(turned), mass, p, 0.0, share, floor), n)


def hierarchical_of(source: ArraySource, seed: int, restart: int = 0) -> Agglomerated:
    """Agglomerate a source's rows by determinants: all of them, or a sample where there are more than `most_rows`.

    Parameters
    ----------
    source : ArraySource
        It keeps the merges for the next call, so that all numbers of components and all structures share them.
    seed, restart : int
        The same pair gives the same sample. They do not count where all rows are taken.

    Returns
    -------
    Agglomerated
    """
    return _agglomerated("hierarchical", source, seed, restart)


def banfield_raftery_of(source: ArraySource, seed: int, restart: int = 0) -> Agglomerated:
    """Agglomerate a source's rows as `banfield_raftery` does; all else is that of `hierarchical_of`."""
    return _agglomerated("banfield-raftery", source, seed, restart)


def _agglomerated(kind: str, source: ArraySource, seed: int, restart: int) -> Agglomerated:
    size = most_rows(source.n_features)
    sampled = source.n_rows > size
    seed_of_sample = (seed + restart * _NEXT_SAMPLE) % 2**64 if sampled else 0
    key = f"{kind} {seed_of_sample}"
    # Two runs may both come here: they find the same bits.
    rows, merges = source.kept.get(key, (None, None))
    if rows is None:
        rows = source.draw(seed_of_sample, size)
    X = np.ascontiguousarray(source.X if len(rows) == source.n_rows else source.X[rows], dtype=np.float64)
    weight = np.ones(len(rows)) if source.sample_weight is None else source.sample_weight[rows]
    if merges is None:
        if kind == "banfield-raftery":
            # In dozens of columns (digits) rounding may leave no merge a finite cost.
            with contextlib.suppress(ValueError):
                merges = banfield_raftery(X, weight)
        if merges is None:
            merges = hierarchical(X, weight, EPSILON[source.dtype.char])
        source.kept[key] = rows, merges
    return Agglomerated(X, weight, merges)


def ward_of(source: ArraySource, seed: int) -> Agglomerated:
    """Agglomerate a source's rows by Ward's criterion on standardized columns: all, or a sample of `WARD_ROWS`.

    Parameters
    ----------
    source : ArraySource
        It keeps the merges for the next call.
    seed : int
        Of the sample. It does not count where all rows are taken.

    Returns
    -------
    Agglomerated
    """
    key = f"ward {seed if source.n_rows > WARD_ROWS else 0}"
    kept = source.kept.get(key)
    if kept is None:
        rows = source.draw(seed, WARD_ROWS)
        X = np.ascontiguousarray(source.X[rows], dtype=np.float64)
        weight = np.ones(len(rows)) if source.sample_weight is None else source.sample_weight[rows]
        features = np.empty((X.shape[1], len(X)))
        clusters.standardize(X, weight, features)
        # Two runs may both come here: they find the same bits.
        kept = source.kept[key] = Agglomerated(X, weight, ward(features.T, weight))
    return kept


def most_rows(n_features: int) -> int:
    """Return how many rows are agglomerated for a start, at most: 2 000, fewer from 31 columns on, 600 of 100."""
    by_distances = int((MOST_DISTANCES / n_features) ** 0.5)
    return max(1, min(MOST_ROWS, max(MOST_NUMBERS // n_features, ENOUGH_ROWS), by_distances))


def _ward(features: Array, mass: Array, equals: Places, points: Places) -> Merges:
    """Return Ward's merges of distinct rows, which lie feature by feature and are overwritten."""
    n = len(points)
    kept, joined, heights = np.empty(n - 1, dtype=np.intp), np.empty(n - 1, dtype=np.intp), np.empty(n - 1)
    clusters.ward(features, mass, np.empty((2, n)), np.empty((3, n), dtype=np.intp), kept, joined, heights)
    order = np.argsort(heights, kind="stable")
    return _merges(equals, points, kept[order], joined[order], heights[order])


@np.errstate(under="ignore")  # tiny weights
def _distinct(X: Array, weight: Array) -> tuple[Places, Places, Array]:
    """Return each row's first equal row, those of the rows that have none before, and the weights of these.

    Rows of weight 0 are equal to the first row that counts.
    """
    n = len(X)
    equals = np.empty(n, dtype=np.intp)
    n_distinct = clusters.distinct_rows(X, np.empty(1 << (n + n // 2).bit_length(), dtype=np.intp), equals)
    counts = weight > 0.0
    if n_distinct == n and counts.all():
        return equals, equals, np.array(weight, dtype=np.float64)
    if not counts.all():
        # The first row that counts stands for its equals, not one of weight 0 before it.
        counting = np.flatnonzero(counts)
        if len(counting) == 0:
            raise ValueError("no weight is above 0: there are no rows to agglomerate")
        first = np.full(n, n, dtype=np.intp)
        np.minimum.at(first, equals[counting], counting)
        equals = np.where(counts, first[equals], counting[0])
    mass: Array = np.bincount(equals, weights=weight, minlength=n).astype(np.float64, copy=False)
    points = np.flatnonzero(equals == np.arange(n))
    return equals, points, mass[points]


def _merges(equals: Places, points: Places, kept: Places, joined: Places, heights: Array) -> Merges:
    """Return merges of all rows, from those of distinct ones."""
    n = len(equals)
    if equals is points:
        others, first, second = 0, kept, joined
    else:
        other = np.flatnonzero(equals != np.arange(n))
        others = len(other)
        first, second = np.concatenate([equals[other], points[kept]]), np.concatenate([other, points[joined]])
        heights = np.concatenate([np.zeros(others), heights])
    in_kept, in_joined = np.empty(n - 1, dtype=np.intp), np.empty(n - 1, dtype=np.intp)
    clusters.named_merges(first, second, np.empty(n, dtype=np.intp), in_kept, in_joined)
    return Merges(in_kept, in_joined, heights, n - others)
