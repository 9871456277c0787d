"""k-means++ and Lloyd's algorithm by the kernel."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.stats
import sklearn.cluster
from numpy.typing import NDArray

from emix.starts import kmeans as module
from emix.starts.kmeans import draw_rows, kmeans, kmeans_plus_plus

Array = NDArray[np.float64]

# Seeds are fixed, so a test that passes once passes always. Right draws fail at a new seed with this probability.
ERROR = 1e-6


def blobs(n_rows: int = 400, d: int = 3, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, d)) + 2.0 * rng.normal(size=(4, d))[rng.integers(4, size=n_rows)]
    return (X - X.mean(axis=0)) / X.std(axis=0)


def squared_distances(Z: Array, centers: Array) -> Array:
    return np.sum((Z[:, None] - centers) ** 2, axis=2)


def source(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def assert_drawn_with(counts: Any, p: Any) -> None:
    counts, p = np.asarray(counts), np.asarray(p)
    assert (counts[p == 0.0] == 0).all()
    assert scipy.stats.chisquare(counts[p > 0.0], counts.sum() * p[p > 0.0]).pvalue > ERROR


# Draws


def test_draws_follow_the_weights() -> None:
    weight = np.array([0.0, 3.0, 1.0, 0.0, 0.5, 5.5, 0.0])
    assert_drawn_with(np.bincount(draw_rows(weight, 20_000, source()), minlength=7), weight / weight.sum())


def test_rows_of_weight_zero_are_never_drawn() -> None:
    class Edge:
        """Draws that lie on the boundaries themselves, and 1, to which rounding can lift a product."""

        def random(self, size: int) -> Array:
            return np.array([0.0, 0.25, 0.5, 1.0 - 2.0**-53, 1.0])[:size]

    weight = np.array([0.0, 1.0, 0.0, 1.0, 2.0, 0.0])
    edge: Any = Edge()
    np.testing.assert_array_equal(draw_rows(weight, 5, edge), [1, 3, 4, 4, 4])


def test_weights_equal_repeated_rows() -> None:
    weight = np.array([2.0, 0.0, 1.0, 3.0])
    row = np.repeat(np.arange(4), weight.astype(int))
    # Sums of small integers are exact.
    repeated = row[draw_rows(np.ones(6), 1000, source(3))]
    np.testing.assert_array_equal(draw_rows(weight, 1000, source(3)), repeated)


# k-means++


def greedy_probabilities(Z: Array, weight: Array, first: int) -> Array:
    """Probability of each row as the second centre: two are drawn with w·D², and the better one is kept."""
    distance = squared_distances(Z, Z)
    p = weight * distance[first]
    p /= p.sum()
    left = [weight @ np.minimum(distance[first], distance[c]) for c in range(len(Z))]
    result = np.zeros(len(Z))
    for a, b in product(range(len(Z)), repeat=2):
        result[a if left[a] <= left[b] else b] += p[a] * p[b]
    return result


def test_centres_are_drawn_with_weighted_squared_distances() -> None:
    Z = np.array([[0.0, 0.0], [1.0, 0.2], [-0.5, 2.0], [3.0, 1.0], [0.3, -1.0], [-2.0, 0.5]])
    weight = np.array([1.0, 2.0, 0.5, 0.3, 0.0, 1.5])
    generator = source(1)
    pairs = np.array([kmeans_plus_plus(Z, weight, 2, generator) for _ in range(3000)])
    assert_drawn_with(np.bincount(pairs[:, 0], minlength=6), weight / weight.sum())
    for first in (0, 1, 5):
        seconds = np.bincount(pairs[pairs[:, 0] == first, 1], minlength=6)
        assert_drawn_with(seconds, greedy_probabilities(Z, weight, first))


def test_weighted_rows_give_the_centres_of_repeated_rows() -> None:
    Z = blobs(60)
    weight = np.random.default_rng(1).integers(0, 4, 60)
    repeated = np.repeat(Z, weight, axis=0)
    for seed in range(10):
        a = Z[kmeans_plus_plus(Z, weight.astype(float), 6, source(seed))]
        b = repeated[kmeans_plus_plus(repeated, np.ones(len(repeated)), 6, source(seed))]
        np.testing.assert_array_equal(a, b)


def test_centres_are_distinct_while_rows_are() -> None:
    Z = np.repeat(blobs(5), 4, axis=0)
    weight = np.ones(20)
    weight[::4] = 0.0
    for seed in range(20):
        chosen = kmeans_plus_plus(Z, weight, 9, source(seed))
        assert len(np.unique(Z[chosen[:5]], axis=0)) == 5
        assert len(set(chosen)) == 9  # no row twice, though values must be
        assert (weight[chosen] > 0.0).all()
    assert len(kmeans_plus_plus(Z[:2], np.ones(2), 5, source())) == 5


# Lloyd's algorithm


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_clusters", [1, 2, 5])
def test_same_as_scikit_learn_from_the_same_centres(
    n_clusters: int, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    Z = blobs()
    weight = np.random.default_rng(2).uniform(0.0, 2.0, len(Z)) if weighted else np.ones(len(Z))
    start = Z[:n_clusters]
    monkeypatch.setattr(module, "SQUARED_STEP", 0.0)
    centers, labels = kmeans(Z, weight, start, 1)
    reference = sklearn.cluster.KMeans(n_clusters, init=start, n_init=1, tol=0.0, max_iter=300).fit(
        Z, sample_weight=weight
    )
    # Both end where no row changes its cluster; means of 400 rows are rounded to 1e-13 or so.
    np.testing.assert_allclose(centers, reference.cluster_centers_, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(labels, reference.labels_)


@pytest.mark.parametrize("seed", [0, 1, 3, 4])
def test_same_end_as_scikit_learn_before_the_last_row_has_settled(seed: int) -> None:
    Z = blobs(3000, seed=seed)
    start = Z[:6]
    centers, _ = kmeans(Z, np.ones(len(Z)), start, 1)
    # Its tol is relative to the columns' mean variance, 1 here.
    reference = sklearn.cluster.KMeans(6, init=start, n_init=1, tol=1e-4, algorithm="lloyd").fit(Z)
    settled = sklearn.cluster.KMeans(6, init=start, n_init=1, tol=0.0, algorithm="lloyd").fit(Z)
    np.testing.assert_allclose(centers, reference.cluster_centers_, rtol=0, atol=1e-12)  # means of 3000 rows
    assert np.abs(centers - settled.cluster_centers_).max() > 1e-6


@pytest.mark.parametrize("seed", range(5))
def test_inertia_never_rises(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    Z = blobs(seed=seed)
    weight = np.random.default_rng(seed).uniform(0.0, 2.0, len(Z))
    start = np.random.default_rng(seed).normal(size=(6, 3))
    inertia = [weight @ squared_distances(Z, start).min(axis=1)]
    for iterations in range(1, 30):
        monkeypatch.setattr(module, "MAX_ITERATIONS", iterations)
        centers, labels = kmeans(Z, weight, start, 1)
        distance = squared_distances(Z, centers)
        np.testing.assert_array_equal(labels, distance.argmin(axis=1))
        inertia.append(weight @ distance.min(axis=1))
    # 400 terms, rounded to 400 eps at worst.
    assert (np.diff(inertia) <= 1e-13 * inertia[0]).all()
    assert inertia[-1] < inertia[0]


def test_empty_cluster_moves_to_the_row_furthest_from_its_centre() -> None:
    Z = np.vstack([blobs(50, 2), [[40.0, 40.0], [0.0, -30.0]]])
    start = np.array([[0.0, 0.0], [500.0, 500.0], [-900.0, 0.0]])
    centers, labels = kmeans(Z, np.ones(52), start, 1)
    assert sorted(np.bincount(labels, minlength=3)) == [1, 1, 50]
    np.testing.assert_array_equal(centers[labels[50:]], Z[50:])


def test_empty_cluster_does_not_move_to_a_row_of_weight_zero() -> None:
    Z = np.vstack([blobs(50, 2), [[40.0, 40.0]]])
    weight = np.append(np.ones(50), 0.0)
    centers, _ = kmeans(Z, weight, np.array([[0.0, 0.0], [500.0, -500.0]]), 1)
    assert np.abs(centers).max() < 10.0


@pytest.mark.parametrize("distinct", [1, 2, 3])
def test_fewer_distinct_rows_than_clusters(distinct: int) -> None:
    Z = np.repeat(blobs(distinct, 2, seed=3) if distinct > 1 else np.zeros((1, 2)), 10, axis=0)
    weight = np.ones(len(Z))
    start = Z[kmeans_plus_plus(Z, weight, 5, source())]
    centers, labels = kmeans(Z, weight, start, 1)
    np.testing.assert_allclose(centers[labels], Z, rtol=0, atol=1e-15)  # means of ten equal numbers
    assert len(np.unique(labels)) == distinct


def test_one_row() -> None:
    centers, labels = kmeans(np.array([[1.0, 2.0]]), np.ones(1), np.array([[0.0, 0.0]]), 1)
    np.testing.assert_array_equal(centers, [[1.0, 2.0]])
    np.testing.assert_array_equal(labels, [0])
