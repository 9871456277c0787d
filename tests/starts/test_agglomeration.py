"""Agglomerations: Ward's against SciPy, by determinants against properties, and the start of a fit from them."""

from __future__ import annotations

import signal
import threading
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.cluster.hierarchy
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.metrics import adjusted_rand_score

from emix import ConvergenceWarning, GaussianMixture, load_faithful
from emix.gaussian.model import GaussianModel
from emix.rows.arrays import ArraySource
from emix.rows.sampling import sample_rows
from emix.starts import agglomeration as module
from emix.starts.agglomeration import Merges, hierarchical, hierarchical_of, most_rows, ward
from emix.starts.starting_parameters import make_start, standardized_rows
from row_groups import Array, assert_same_partition, blobs, ones

BOTH = pytest.mark.parametrize("agglomerate", [ward, hierarchical])


def assert_same_merges(a: Merges, b: Merges) -> None:
    np.testing.assert_array_equal(a.kept, b.kept)
    np.testing.assert_array_equal(a.joined, b.joined)
    np.testing.assert_array_equal(a.heights, b.heights)


# Ward


@pytest.mark.parametrize(("n", "d"), [(2, 1), (5, 2), (60, 1), (131, 4), (300, 2), (500, 12)])
def test_ward_is_that_of_scipy(n: int, d: int) -> None:
    Z = standardized_rows(blobs(n, d), np.ones(n))
    found = ward(Z, np.ones(n))
    linkage = scipy.cluster.hierarchy.linkage(Z, "ward")
    # Its heights are distances. Growths are taken from means here, and updated there: n roundings.
    np.testing.assert_allclose(np.sqrt(2.0 * found.heights), linkage[:, 2], rtol=1e-11)
    for n_clusters in {1, 2, min(n, 7), n // 2, n}:
        labels = scipy.cluster.hierarchy.fcluster(linkage, n_clusters, "maxclust")
        assert_same_partition(found.labels(n_clusters), labels)


def test_ward_of_rows_with_ties() -> None:
    Z = np.stack(np.meshgrid(np.arange(8.0), np.arange(9.0)), axis=-1).reshape(-1, 2)
    found = ward(Z, ones(Z))
    assert (np.diff(found.heights) >= -1e-9).all()  # costs of clusters that rounding parts
    # The growths of the sum of squares add up to the whole sum.
    assert found.heights.sum() == pytest.approx(np.sum((Z - Z.mean(axis=0)) ** 2), rel=1e-12)
    for n_clusters in (2, 6, 30):
        labels = found.labels(n_clusters)
        within = sum(np.sum((Z[labels == k] - Z[labels == k].mean(axis=0)) ** 2) for k in range(n_clusters))
        assert within == pytest.approx(found.heights[: len(Z) - n_clusters].sum(), rel=1e-12)


# Both


@BOTH
def test_weights_equal_repetition(agglomerate: Any) -> None:
    X = blobs(80, 3)
    weight = np.random.default_rng(1).integers(0, 4, size=80)
    row = np.repeat(np.arange(80), weight)
    found, repeated = agglomerate(X, weight.astype(float)), agglomerate(X[row], np.ones(len(row)))
    assert found.n_distinct == repeated.n_distinct == np.count_nonzero(weight)
    for n_clusters in range(1, found.n_distinct + 1):
        np.testing.assert_array_equal(found.labels(n_clusters)[row], repeated.labels(n_clusters))


@BOTH
def test_rows_in_another_order_are_in_the_same_clusters(agglomerate: Any) -> None:
    X, order = blobs(), np.random.default_rng(2).permutation(120)
    found, moved = agglomerate(X, ones(X)), agglomerate(X[order], ones(X))
    for n_clusters in (2, 5, 20, 100):
        assert_same_partition(found.labels(n_clusters)[order], moved.labels(n_clusters))


@BOTH
def test_unit_of_the_weights_does_not_matter(agglomerate: Any) -> None:
    X, weight = blobs(), np.random.default_rng(3).uniform(size=120)
    found = agglomerate(X, weight)
    with np.errstate(all="raise"):
        for unit in (1024.0, 2.0**-900, 2.0**900):
            other = agglomerate(X, unit * weight)
            np.testing.assert_array_equal(other.kept, found.kept)
            np.testing.assert_array_equal(other.joined, found.joined)


@BOTH
def test_weights_far_below_the_others(agglomerate: Any) -> None:
    X, weight = blobs(60), np.ones(60)
    weight[5:9] = 1e-300
    weight[9:12] = 2.0**-1070
    counts = weight == 1.0
    with np.errstate(all="raise"):
        found, alone = agglomerate(X, weight), agglomerate(X[counts], weight[counts])
    for n_clusters in range(1, 6):
        assert_same_partition(found.labels(n_clusters)[counts], alone.labels(n_clusters))


@BOTH
def test_labels_of_one_cluster_and_of_all_rows(agglomerate: Any) -> None:
    X = blobs(30)
    found = agglomerate(X, ones(X))
    np.testing.assert_array_equal(found.labels(1), np.zeros(30))
    np.testing.assert_array_equal(found.labels(30), np.arange(30))
    for wrong in (0, 31):
        with pytest.raises(ValueError, match=f"n_clusters is {wrong}, expected 1 to 30, the number of rows"):
            found.labels(wrong)


@BOTH
def test_one_row_and_two(agglomerate: Any) -> None:
    one = agglomerate(np.array([[3.0, 1.0]]), np.ones(1))
    assert one.n_distinct == 1 and one.labels(1).tolist() == [0]
    two = agglomerate(np.array([[3.0, 1.0], [2.0, 1.0]]), np.ones(2))
    assert two.labels(2).tolist() == [0, 1] and two.labels(1).tolist() == [0, 0]


@BOTH
def test_equal_rows_merge_first(agglomerate: Any) -> None:
    X = np.array([[1.0, 2.0], [0.0, 5.0], [1.0, 2.0], [3.0, 3.0], [0.0, 5.0], [1.0, 2.0]])
    found = agglomerate(X, np.ones(6))
    assert found.n_distinct == 3
    assert found.labels(3).tolist() == [0, 1, 0, 2, 1, 0]
    assert len(set(found.labels(5).tolist())) == 5
    all_equal = agglomerate(np.ones((4, 2)), np.ones(4))
    assert all_equal.n_distinct == 1 and all_equal.labels(1).tolist() == [0, 0, 0, 0]


@BOTH
def test_rows_of_weight_zero_do_not_count(agglomerate: Any) -> None:
    X = blobs(40)
    weight = np.ones(40)
    weight[[0, 7, 30]] = 0.0
    X[7] = X[8]  # the first of equal rows does not count, the second does
    counts = weight > 0.0
    found, alone = agglomerate(X, weight), agglomerate(X[counts], weight[counts])
    assert found.n_distinct == 37
    for n_clusters in (1, 3, 37):
        assert_same_partition(found.labels(n_clusters)[counts], alone.labels(n_clusters))
    with pytest.raises(ValueError, match="no weight is above 0"):
        agglomerate(X, np.zeros(40))


# By determinants


@pytest.mark.parametrize("data", [load_iris().data, load_wine().data, blobs(300, 6)], ids=["iris", "wine", "blobs"])
def test_affine_maps_do_not_matter(data: Array) -> None:
    rng = np.random.default_rng(0)
    d = data.shape[1]
    A = np.linalg.qr(rng.normal(size=(d, d)))[0] * rng.uniform(0.1, 10.0, d) + 0.1 * rng.normal(size=(d, d))
    found, mapped = hierarchical(data, ones(data)), hierarchical(data @ A + 5.0, ones(data))
    for n_clusters in range(1, 12):
        np.testing.assert_array_equal(found.labels(n_clusters), mapped.labels(n_clusters))


def test_powers_of_two_change_no_bit() -> None:
    X = blobs()
    assert_same_merges(hierarchical(X * [2.0**300, 0.25, 2.0**-500], ones(X)), hierarchical(X, ones(X)))


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_extreme_scales(scale: float) -> None:
    X = blobs()
    with np.errstate(all="raise"):
        found = hierarchical(scale * X, ones(X))
    for n_clusters in range(1, 12):
        np.testing.assert_array_equal(found.labels(n_clusters), hierarchical(X, ones(X)).labels(n_clusters))


def test_columns_that_tell_nothing_do_not_count() -> None:
    X = blobs()
    more = np.column_stack([np.full(120, 1e9), X, X @ [1.0, -2.0, 0.5]])
    found = hierarchical(more, ones(X))
    for n_clusters in range(1, 12):
        np.testing.assert_array_equal(found.labels(n_clusters), hierarchical(X, ones(X)).labels(n_clusters))


def test_few_rows_for_each_column_are_not_sphered() -> None:
    rng = np.random.default_rng(0)
    label = np.arange(60) % 3
    X = rng.normal(size=(60, 16)) + 4.0 * rng.normal(size=(3, 16))[label]
    found = hierarchical(X, ones(X))
    assert_same_merges(found, ward(standardized_rows(X, ones(X)), ones(X)))
    assert adjusted_rand_score(label, found.labels(3)) == 1.0
    fewer = X[:, :15].copy()
    assert not np.array_equal(hierarchical(fewer, ones(X)).kept, ward(standardized_rows(fewer, ones(X)), ones(X)).kept)


def test_parallel_stripes_are_told_apart() -> None:
    # Across the stripes the rows vary least: standardized columns do not show it.
    rng = np.random.default_rng(0)
    label = np.arange(300) % 2
    along, across = 10.0 * rng.normal(size=300), 0.3 * rng.normal(size=300) + 3.0 * label
    X = np.column_stack([along, along + across])
    assert adjusted_rand_score(label, hierarchical(X, ones(X)).labels(2)) == 1.0
    assert adjusted_rand_score(label, ward(standardized_rows(X, ones(X)), ones(X)).labels(2)) < 0.5


# Of a source


def test_a_source_keeps_its_merges() -> None:
    source = ArraySource(blobs())
    first = hierarchical_of(source, 0)
    for again in (hierarchical_of(source, 0), hierarchical_of(source, 5, restart=2)):  # all rows: nothing is drawn
        assert again.merges is first.merges
    np.testing.assert_array_equal(first.X, source.X)
    np.testing.assert_array_equal(first.weight, 1.0)


def test_many_rows_are_sampled() -> None:
    X, weight = blobs(5000, 2), np.random.default_rng(1).uniform(size=5000)
    weight[::3] = 0.0
    source = ArraySource(X, weight)
    found = hierarchical_of(source, 4)
    rows = sample_rows(5000, 4, most_rows(2), weight)
    np.testing.assert_array_equal(found.X, X[rows])
    np.testing.assert_array_equal(found.weight, weight[rows])
    assert len(rows) == 2000 and (found.weight > 0.0).all()
    assert hierarchical_of(source, 4).merges is found.merges
    others = [hierarchical_of(source, 4, restart=1), hierarchical_of(source, 5)]
    assert not any(np.array_equal(other.X, found.X) for other in others)


def test_fewer_rows_of_many_columns() -> None:
    assert [most_rows(d) for d in (1, 30, 100, 120, 2_000, 10**6)] == [2000, 2000, 600, 500, 500, 22]
    sizes = [most_rows(d) for d in range(1, 200)]
    assert sizes == sorted(sizes, reverse=True) and most_rows(10**10) == 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_single_precision(dtype: Any) -> None:
    X = blobs().astype(dtype)
    X = np.column_stack([X, X[:, 0] + X[:, 1]])  # dependent, but for the rounding of this dtype
    found = hierarchical_of(ArraySource(X), 0)
    expected = hierarchical(X[:, :3].astype(np.float64), np.ones(120))
    assert found.X.dtype == np.float64
    for n_clusters in range(1, 12):
        np.testing.assert_array_equal(found.merges.labels(n_clusters), expected.labels(n_clusters))


# The start


def test_start_is_an_m_step_of_the_clusters() -> None:
    X = blobs()
    theta = make_start("hierarchical", ArraySource(X), GaussianModel(4, 3, "full", 0.0), 0, 0)
    labels = hierarchical(X, ones(X)).labels(4)
    np.testing.assert_allclose(theta.weights, np.bincount(labels) / 120, rtol=1e-14)
    np.testing.assert_allclose(theta.means, [X[labels == k].mean(axis=0) for k in range(4)], rtol=1e-12)
    covariances = [np.cov(X[labels == k].T, bias=True) for k in range(4)]
    np.testing.assert_allclose(theta.covariances, covariances, rtol=1e-11, atol=1e-12)


def test_one_agglomeration_for_all_numbers_of_components(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*given: Any) -> Merges:
        calls.append(given)
        return hierarchical(*given)

    monkeypatch.setattr(module, "hierarchical", counted)
    source = ArraySource(blobs())
    for covariance_type in ("full", "diag"):
        for K in range(1, 6):
            make_start("hierarchical", source, GaussianModel(K, 3, covariance_type), 0, 0)
    assert len(calls) == 1


def test_fewer_distinct_rows_than_components_start_from_kmeans() -> None:
    X = np.repeat(blobs(3), 5, axis=0)
    model = GaussianModel(4, 3, "diag", 1e-3)
    starts = [make_start(kind, ArraySource(X), model, 0, 0) for kind in ("hierarchical", "kmeans")]
    np.testing.assert_array_equal(starts[0].packed, starts[1].packed)


def test_clusters_too_small_for_their_covariance_take_that_of_the_groups() -> None:
    X = blobs()
    theta = make_start("hierarchical", ArraySource(X), GaussianModel(60, 3, "full", 0.0), 0, 0)
    labels = hierarchical(X, ones(X)).labels(60)
    np.testing.assert_allclose(theta.means, [X[labels == k].mean(axis=0) for k in range(60)], rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(theta.weights, 1 / 60)
    np.testing.assert_array_equal(theta.covariances[1:], theta.covariances[:-1])


def test_runs_differ_where_rows_are_sampled() -> None:
    X = blobs(3000, 2, groups=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        settings: dict[str, Any] = {"init_params": "hierarchical", "n_init": 3, "max_iter": 2, "random_state": 0}
        many = GaussianMixture(3, **settings).fit(X)
        few = GaussianMixture(3, **settings).fit(X[:500])
    assert len({run.log_likelihood for run in many.runs_}) == 3
    assert len({run.log_likelihood for run in few.runs_}) == 1


@pytest.mark.parametrize(
    ("X", "log_likelihood"),
    # mclust 6.0.0, Mclust(x, 2, "VVV"), prints these values; it starts from an agglomeration by determinants too.
    [(load_iris().data, -214.35), (load_faithful().data, -1130.26)],
    ids=["iris", "faithful"],
)
def test_known_modes_are_reached(X: Array, log_likelihood: float) -> None:
    gm = GaussianMixture(2, init_params="hierarchical").fit(X)
    assert gm.log_likelihood_ == pytest.approx(log_likelihood, abs=0.01)  # two decimals


# Interrupts


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system sends no signals to threads")
def test_interrupts_arrive_between_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPERATIONS_PER_CALL", 1.0)  # a call for each merge
    X = load_breast_cancer().data[:, :10]
    advances = []

    class Interrupted(module.clusters.DeterminantMerges):  # type: ignore[misc]
        def advance(self, n_merges: int) -> int:
            advances.append(n_merges)
            if len(advances) == 5:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            return int(super().advance(n_merges))

    monkeypatch.setattr(module.clusters, "DeterminantMerges", Interrupted)
    source = ArraySource(X)
    with pytest.raises(KeyboardInterrupt):
        hierarchical_of(source, 0)
    assert 5 <= len(advances) < 20
    assert not source.kept  # nothing that is half done
