"""Starts of a fit: from k-means, from k-means++, from random responsibilities or rows, from an agglomeration.

A start looks at no more than `sample_size` rows and works on standardized columns, so that units do not matter.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import DegenerateCovarianceError
from emix.gaussian.label_sums import statistics_of_labels
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.reg_covar import shown_ridge
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import STRUCTURES, CovarianceStructure
from emix.kernel import factors
from emix.kernel.level import clusters
from emix.parallel.chunks import Chunks
from emix.parallel.threads import LEAST_OPERATIONS_OF_RUNS, resolve_n_threads, run_in_threads
from emix.rows.arrays import ArraySource
from emix.rows.sampling import sample_size
from emix.starts.agglomeration import banfield_raftery_of, hierarchical_of, ward_of
from emix.starts.kmeans import (
    MAX_ITERATIONS,
    SQUARED_STEP,
    candidates_of,
    draw_rows,
    kmeans,
    kmeans_plus_plus,
)
from emix.starts.uniforms import RandomNumbers, Uniforms

__all__ = ["STARTS", "make_cells", "make_start", "start_of_labels"]

Array = NDArray[np.float64]

STARTS = ("kmeans", "k-means++", "random", "random_from_data", "hierarchical")

# For 10 overlapping clusters in 10 dimensions, k-means from one k-means++ start ends in a poor optimum half of the time
# (5 seeds of 10). From the best of 8 on 4 096 rows it never does (0 of 10), in 25 ms instead of 19 for 30 000 rows.
TRIES, TRIED_ROWS = 8, 4096

# Rows × features × (components + features) up to which a start from k-means is one call of compiled code. The call
# takes no more than 22 ms (SSE2, all iterations of k-means), so it need not look at signals. Cells of drawn rows, which
# take few iterations, are one call up to the second number.
SMALL, SMALL_OF_CELLS = 200_000, 2_000_000

# Iterations of k-means for a candidate. Of 224 fits 36 miss the best mode known with 8, 34 with 15, 35 without limit.
ITERATIONS_OF_CELLS = 10


def make_start(
    init_params: str,
    source: ArraySource,
    model: GaussianModel,
    seed: int,
    restart: int,
    means: Array | None = None,
) -> GaussianParameters:
    """Return parameters to start EM from.

    Parameters
    ----------
    init_params : {"kmeans", "k-means++", "random", "random_from_data", "hierarchical", "ward", "banfield-raftery"}
        "kmeans", "random" and those that agglomerate, the last three, take the weights, means and covariances of the
        clusters or of the responsibilities. From 8 192 rows on (2 to 256 components) k-means begins at the best of
        several tries on a part of the rows. "hierarchical" and "banfield-raftery" agglomerate up to 2 000 rows and
        "ward" up to 500, once for a source; with fewer distinct rows than components these three are "kmeans". The
        others give only means. Weights are then equal, and all covariances are the pooled covariance of the rows about
        their nearest means.
    source : ArraySource
    model : GaussianModel
        The model that the parameters are for.
    seed, restart : int
        The same pair gives the same start. "hierarchical" does not depend on them where it takes all rows.
    means : ndarray of shape (n_components, n_features), optional
        Means to start from. `init_params` is then not used.

    Returns
    -------
    GaussianParameters

    Raises
    ------
    DegenerateCovarianceError
        If the rows' covariance itself is not positive definite.
    """
    if init_params in ("hierarchical", "ward", "banfield-raftery") and means is None:
        if init_params == "ward":
            found = ward_of(source, seed)
        else:
            found = (hierarchical_of if init_params == "hierarchical" else banfield_raftery_of)(source, seed, restart)
        if model.n_components <= found.merges.n_distinct:
            # Structures of one form begin with the same sums, from any number of threads; a sweep has four forms.
            key = f"sums of {init_params} {seed} {restart} {model.n_components} {model.structure.form.code}"
            sums = source.kept.get(key)
            if sums is None:
                labels = found.merges.labels(model.n_components)
                sums = _sums_of_clusters(found.X, found.weight, labels, model)
                if len(sums) <= SMALL:
                    source.kept[key] = sums
            return _of_statistics(found.X, found.weight, source, sums, model)
        init_params = "kmeans"
    X, sample_weight = source.X, source.sample_weight
    size = sample_size(source.n_features)
    if len(X) > size or sample_weight is not None:
        drawn = source.draw(seed, size)
        X = X if len(drawn) == len(X) else X[drawn]
        sample_weight = None if sample_weight is None else sample_weight[drawn]
    # Always in the same order of memory: BLAS rounds sums differently in another order.
    sample = np.ascontiguousarray(X, dtype=np.float64)
    work = sample.size * (model.n_components + model.n_features)
    if init_params == "kmeans" and means is None and len(sample) < 2 * TRIED_ROWS and work <= SMALL:
        settings = candidates_of(model.n_components), MAX_ITERATIONS, SQUARED_STEP
        packed = _statistics_of_few(sample, sample_weight, model, seed, restart, settings)
        if packed is not None:
            return _of_statistics(sample, sample_weight, source, packed, model)
    return _start_by_steps(init_params, _Rows(sample, sample_weight, source), means, model, seed, restart)


@np.errstate(under="ignore")  # of tiny weights
def make_cells(
    init_params: str, source: ArraySource, model: GaussianModel, seed: int, restart: int
) -> GaussianParameters:
    """Return one M-step with each row given whole to the nearest of drawn rows, or of means after a few iterations.

    Distances are of standardized columns. It costs a third to a tenth of `make_start` with the same draws, and is as
    good a candidate.

    Parameters
    ----------
    init_params : {"k-means++", "random_from_data", "kmeans"}
        How rows are drawn; "kmeans" as for k-means++, of which a few iterations follow.
    source : ArraySource
        All its rows are taken.
    model : GaussianModel
    seed, restart : int

    Returns
    -------
    GaussianParameters

    Raises
    ------
    DegenerateCovarianceError
        If the rows' covariance itself is not positive definite.
    """
    X, weight, K = np.ascontiguousarray(source.X, dtype=np.float64), source.sample_weight, model.n_components
    n_candidates = 0 if init_params == "random_from_data" else candidates_of(K)
    most = ITERATIONS_OF_CELLS if init_params == "kmeans" else 0
    if len(X) < 2 * TRIED_ROWS and X.size * (K + X.shape[1]) <= SMALL_OF_CELLS:
        packed = _statistics_of_few(X, weight, model, seed, restart, (n_candidates, most, SQUARED_STEP))
        if packed is not None:
            return _of_statistics(X, weight, source, packed, model)
    weight = np.ones(len(X)) if weight is None else weight
    numbers = Uniforms(seed, restart)
    Z = standardized_rows(X, weight)
    drawn = kmeans_plus_plus(Z, weight, K, numbers) if n_candidates else _distinct_rows(weight, K, numbers)
    _, labels = kmeans(Z, weight, Z.take(drawn, axis=0), model.n_threads, most=most)
    return _of_clusters(_Rows(X, weight, source), labels, model)


def start_of_labels(
    source: ArraySource, model: GaussianModel, weight: Array, labels: NDArray[np.intp]
) -> GaussianParameters:
    """Return one M-step with each row of a source given whole to the component of its label.

    Parameters
    ----------
    source : ArraySource
    model : GaussianModel
    weight : ndarray of shape (n_rows,)
        Those of the source; ones if it has none.
    labels : ndarray of shape (n_rows,), intp

    Returns
    -------
    GaussianParameters

    Raises
    ------
    DegenerateCovarianceError
        If the rows' covariance itself is not positive definite.
    """
    return _of_clusters(_Rows(np.ascontiguousarray(source.X, dtype=np.float64), weight, source), labels, model)


@np.errstate(under="ignore")  # tiny weights underflow, and values tiny beside the scale of their column
def _start_by_steps(
    init_params: str, rows: _Rows, means: Array | None, model: GaussianModel, seed: int, restart: int
) -> GaussianParameters:
    """Return a start from many rows, or of another kind than k-means."""
    sample, n_components, n_threads = rows.X, model.n_components, model.n_threads
    weight = np.ones(len(sample)) if rows.weight is None else rows.weight
    rows = rows._replace(weight=weight)
    numbers = Uniforms(seed, restart)

    if means is not None:
        return _of_means(rows, means, model)
    if init_params == "random":
        return _of_random_responsibilities(rows, model, seed, restart)
    if init_params == "random_from_data":
        return _of_means(rows, sample[_distinct_rows(weight, n_components, numbers)], model)
    standardized = standardized_rows(sample, weight)
    if init_params == "kmeans" and len(sample) >= 2 * TRIED_ROWS and 1 < n_components <= TRIED_ROWS // 16:
        centers = best_of_tries(standardized, weight, n_components, numbers, n_threads)
    else:
        chosen = kmeans_plus_plus(standardized, weight, n_components, numbers)
        if init_params == "k-means++":
            return _of_means(rows, sample[chosen], model)
        centers = standardized.take(chosen, axis=0)
    _, labels = kmeans(standardized, weight, centers, n_threads)
    return _of_clusters(rows, labels, model)


class _Rows(NamedTuple):
    """The rows that a start looks at, their weights (None: each counts once), and the source that holds them."""

    X: Array
    weight: Array | None
    source: ArraySource

    def statistics(self, structure: CovarianceStructure, n_components: int, packed: Array) -> GaussianStatistics:
        """Return statistics whose sums over these rows are `packed`."""
        return _statistics(self.source, len(self.X), structure, n_components, packed)


def _statistics(
    source: ArraySource, n_rows: int, structure: CovarianceStructure, n_components: int, packed: Array
) -> GaussianStatistics:
    """Return statistics with the sums `packed` over some rows of a source, and the column ranges of all its rows."""
    # Summed as Python's numbers: for few, NumPy's sum is one of the longest steps of a start.
    total = sum(packed[:n_components].tolist())
    return GaussianStatistics(
        structure, n_components, source.n_features, packed, total, n_rows, 0.0, None, 1.0, source.columns
    )


def standardized_rows(X: Array, weight: Array) -> Array:
    """Return columns with mean 0 and variance 1, stored one after another; a constant column becomes 0."""
    features = _features(*X.shape)
    clusters.standardize(X, weight, features)
    return features.T


def _features(n_rows: int, n_features: int) -> Array:
    """Return memory for columns, stored one after another, each from the beginning of a cache line on.

    With AVX-512 the start of 65 536 × 10, K 10, takes 15 ms in such memory, and 20 if columns begin anywhere.
    """
    # With 65 536 rows, columns without a gap between them would share a few sets of the cache.
    step = (n_rows + 7) // 8 * 8 + 16
    numbers = np.empty(n_features * step + 8)
    first = -numbers.ctypes.data // 8 % 8
    return numbers[first : first + n_features * step].reshape(n_features, step)[:, :n_rows]


def best_of_tries(Z: Array, weight: Array, n_clusters: int, numbers: RandomNumbers, n_threads: int | None) -> Array:
    """Return the best centres from TRIES runs of k-means on TRIED_ROWS rows, which are drawn by their weights.

    The best centres have the least Σ ‖z − c‖². Their descent on all rows is short, which pays for the tries.
    """
    drawn = _features(TRIED_ROWS, Z.shape[1]).T
    drawn[:] = Z[draw_rows(weight, TRIED_ROWS, numbers)]
    ones = np.ones(TRIED_ROWS)
    # Numbers are drawn here, in the order of the tries, so that they do not depend on the threads.
    centers = [drawn[kmeans_plus_plus(drawn, ones, n_clusters, numbers)] for _ in range(TRIES)]
    inertia = [math.inf] * TRIES
    operations = 3.0 * TRIED_ROWS * centers[0].size
    # Unlike in `plan_runs`, threads cannot share a pass, however long it is: all rows of a try are one chunk.
    threads = min(TRIES, resolve_n_threads(n_threads)) if operations >= LEAST_OPERATIONS_OF_RUNS else 1

    def share(thread: int, stop: NDArray[np.int32] | None) -> None:
        for i in range(thread, TRIES, threads):
            if stop is not None and stop[0]:
                return
            distances = np.empty(TRIED_ROWS)
            centers[i], _ = kmeans(drawn, ones, centers[i], 1, distances)
            inertia[i] = float(np.sum(distances))

    run_in_threads(share, threads)
    return centers[inertia.index(min(inertia))]


def _distinct_rows(weight: Array, size: int, numbers: RandomNumbers) -> NDArray[np.intp]:
    """Draw rows by weight, without replacement."""
    left = weight.copy()
    rows = np.empty(size, dtype=np.intp)
    for k in range(size):
        rows[k] = draw_rows(left if left.any() else weight, 1, numbers)[0]
        left[rows[k]] = 0.0
    return rows


@np.errstate(under="ignore")
def _of_means(rows: _Rows, means: Array, model: GaussianModel) -> GaussianParameters:
    """Return these means, equal weights, and for every component the pooled covariance within groups.

    The covariance has the structure's form. A row belongs to the group of its nearest mean on standardized columns, and
    deviates from that mean. If the pooled covariance is not positive definite, as with hardly more distinct rows than
    means, the covariance of all rows takes its place.
    """
    X, tied = rows.X, STRUCTURES["tied"]
    weight = np.ones(len(X)) if rows.weight is None else rows.weight
    total = weight.sum()
    whole = rows.statistics(tied, 1, statistics_of_labels(tied.form, X, weight, None, None, model.n_threads))
    variances = whole.scatter.diagonal() / total
    scale = np.where(variances > 0.0, np.sqrt(variances), 1.0)
    features = _features(*X.shape)
    clusters.scale_columns(X, whole.center[0], scale, features)
    nearest_to = (means - whole.center) / scale
    labels = np.empty(len(X), dtype=np.intp)
    Chunks(len(X), 3.0 * means.size, model.n_threads).each(
        lambda _, first, last: clusters.assign(features, nearest_to, first, last, labels, None)
    )
    sums = statistics_of_labels(tied.form, X, weight, labels, np.array(means), model.n_threads)
    within = rows.statistics(tied, model.n_components, sums)
    weights = np.full(model.n_components, 1.0 / model.n_components)
    for statistics in (within, whole):
        covariance = statistics.scatter / total
        ridge = tied.ridge(statistics, model.reg_covar, mixes_columns=model.structure.mixes_columns)
        covariance[np.diag_indices_from(covariance)] += ridge
        pooled = model.structure.form.from_pooled(covariance, model.n_components)
        with suppress(DegenerateCovarianceError):
            return GaussianParameters.from_covariances(model.structure, weights, means, pooled)
    raise DegenerateCovarianceError(
        f"Ill-defined empirical covariance: that of all {len(X)} rows, with which every one of {model.n_components} "
        f"components would start, is not positive definite with reg_covar={shown_ridge(model.reg_covar)}. Columns that "
        "are constant or depend on each other make it so: leave them out, increase reg_covar, or choose a "
        "covariance_type with fewer parameters.",
        0,
        float(total) / model.n_components,
    )


def _statistics_of_few(
    X: Array, weight: Array | None, model: GaussianModel, seed: int, restart: int, settings: tuple[int, int, float]
) -> Array | None:
    """Return the statistics of clusters from one compiled call; None if separate steps must do the start.

    The settings are the number of candidates for a centre, and the iterations and the squared step of k-means.
    """
    d, K, form = X.shape[1], model.n_components, model.structure.form.code
    _, n_statistics, _ = factors.sizes_of_pass(form, K, d)
    packed = np.empty(n_statistics)
    found = clusters.small_start(form, X, weight, K, seed % 2**64, restart, *settings, packed)
    return packed if found else None


def _of_clusters(rows: _Rows, labels: NDArray[np.intp], model: GaussianModel) -> GaussianParameters:
    """Return one M-step with each row given whole to its cluster; `_of_means` if a cluster has too few rows."""
    assert rows.weight is not None
    return _of_statistics(*rows, _sums_of_clusters(rows.X, rows.weight, labels, model), model)


def _sums_of_clusters(X: Array, weight: Array, labels: NDArray[np.intp], model: GaussianModel) -> Array:
    return statistics_of_labels(model.structure.form, X, weight, labels, None, model.n_threads, model.n_components)


def _of_statistics(
    X: Array, weight: Array | None, source: ArraySource, packed: Array, model: GaussianModel
) -> GaussianParameters:
    """Return one M-step with the clusters' statistics; `_of_means` if a cluster has too few rows."""
    statistics = _statistics(source, len(X), model.structure, model.n_components, packed)
    try:
        return model.m_step(statistics)
    except DegenerateCovarianceError:
        return _of_means(_Rows(X, weight, source), statistics.center, model)


def _of_random_responsibilities(rows: _Rows, model: GaussianModel, seed: int, restart: int) -> GaussianParameters:
    """Return one M-step with uniform numbers for each row and component, divided by their sum over components."""
    K, d, structure = model.n_components, model.n_features, model.structure
    X, weight = rows.X, rows.weight
    assert weight is not None

    def uniform(k: int) -> Array:
        # Each component has a stream, drawn twice: once for the sums, once for use. Keeping all K would take n × K.
        return Uniforms(seed, restart, k + 1).random(len(X))

    total = np.zeros(len(X))
    for k in range(K):
        total += uniform(k)
    scale = weight / total
    # Row k holds [N | s | S | c] of component k alone.
    sums = np.array(
        [statistics_of_labels(structure.form, X, scale * uniform(k), None, None, model.n_threads) for k in range(K)]
    )
    held, shift, scatter, center = np.split(sums, [1, 1 + d, -d], axis=1)
    if structure.form.is_shared:
        scatter = scatter.sum(axis=0)
    packed = np.concatenate([part.ravel() for part in (held, shift, scatter, center)])
    return model.m_step(rows.statistics(structure, K, packed))
