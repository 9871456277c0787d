"""Starts of a fit."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from emix import ConvergenceWarning, DegenerateCovarianceError, GaussianMixture, GaussianParameters
from emix.gaussian.model import GaussianModel
from emix.gaussian.scoring import score_rows
from emix.gaussian.structures import STRUCTURES
from emix.rows import sampling
from emix.rows.arrays import ArraySource
from emix.starts import starting_parameters as starts
from emix.starts.starting_parameters import STARTS, make_cells, make_start

Array = NDArray[np.float64]

# An agglomeration has nothing random where it takes all rows.
RANDOM_STARTS = tuple(init_params for init_params in STARTS if init_params != "hierarchical")

each_start = pytest.mark.parametrize("init_params", STARTS)
each_random_start = pytest.mark.parametrize("init_params", RANDOM_STARTS)
each_structure = pytest.mark.parametrize("structure", STRUCTURES)


def blobs(n_rows: int = 300, d: int = 3, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, d)) + 4.0 * rng.normal(size=(3, d))[rng.integers(3, size=n_rows)]


def start(
    init_params: str, X: Any, weight: Any = None, structure: str = "full", K: int = 3, **changed: Any
) -> GaussianParameters:
    arguments = {"reg_covar": 0.0, "seed": 0, "restart": 0, "n_threads": 1} | changed
    model = GaussianModel(K, X.shape[1], structure, arguments.pop("reg_covar"), arguments.pop("n_threads"))
    return make_start(init_params, ArraySource(X, weight), model, **arguments)


def labels(X: Array, theta: GaussianParameters) -> NDArray[np.intp]:
    found = score_rows(X, theta, labels=True).labels
    assert found is not None
    return found


def assert_same(a: GaussianParameters, b: GaussianParameters, **tolerance: float) -> None:
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), **({"rtol": 0.0} | tolerance), err_msg=name)


X = blobs()


@each_start
def test_tiny_weights_in_any_error_state(init_params: str) -> None:
    rows = blobs(20, 2)
    with np.errstate(all="raise"):
        theta = start(init_params, rows, np.full(20, 2.0**-1070), "diag")
    assert np.isfinite(theta.means).all() and (theta.weights > 0.0).all()


# Valid parameters


@each_start
@each_structure
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_start_is_a_mixture(structure: str, init_params: str, dtype: Any) -> None:
    weight = np.random.default_rng(1).uniform(0.0, 2.0, len(X))
    theta = start(init_params, X.astype(dtype), weight, structure)
    shape = theta.structure.form.shape(3, 3)
    assert (theta.weights.shape, theta.means.shape, theta.covariances.shape) == ((3,), (3, 3), shape)
    assert theta.weights.sum() == pytest.approx(1.0, abs=1e-15) and (theta.weights > 0.0).all()
    assert (theta.means >= X.min(axis=0)).all() and (theta.means <= X.max(axis=0)).all()
    full = theta.structure.form.to_full(theta.covariances, 3, 3)
    np.testing.assert_allclose(full, full.swapaxes(1, 2), rtol=1e-13)  # sums of 300 terms
    assert (np.linalg.eigvalsh(full) > 0.0).all()


@pytest.mark.parametrize("init_params", ["k-means++", "random_from_data"])
def test_means_only_take_equal_weights_and_the_pooled_covariance_within_groups(init_params: str) -> None:
    weight = np.random.default_rng(1).uniform(0.0, 2.0, len(X))
    deviation = np.sqrt(np.cov(X.T, aweights=weight, bias=True).diagonal())
    for structure in STRUCTURES:
        theta = start(init_params, X, weight, structure, reg_covar=0.25)
        np.testing.assert_array_equal(theta.weights, np.full(3, 1 / 3))
        assert (X[:, None] == theta.means).all(axis=2).any(axis=0).all()  # means are rows
        group = (((X[:, None] - theta.means) / deviation) ** 2).sum(axis=2).argmin(axis=1)
        Z = X - theta.means[group]
        covariance = (Z.T * weight) @ Z / weight.sum()
        expected = theta.structure.form.from_pooled(covariance + 0.25 * np.eye(3), 3)
        # 300 terms, and the covariances' entries are not small beside their variances.
        np.testing.assert_allclose(theta.covariances, expected, rtol=1e-11)


def test_clusters_give_their_weights_means_and_covariances() -> None:
    weight = np.random.default_rng(1).uniform(0.0, 2.0, len(X))
    theta = start("kmeans", X, weight)
    # Each row is nearest to its cluster's mean in standardized columns: clusters follow from the means.
    deviation = np.sqrt(np.diag(np.cov(X.T, aweights=weight, bias=True)))
    nearest = np.sum(((X[:, None] - theta.means) / deviation) ** 2, axis=2).argmin(axis=1)
    for k in range(3):
        rows, w = X[nearest == k], weight[nearest == k]
        assert theta.weights[k] == pytest.approx(w.sum() / weight.sum(), rel=1e-13)  # 300 terms
        np.testing.assert_allclose(theta.means[k], np.average(rows, axis=0, weights=w), rtol=1e-12)
        np.testing.assert_allclose(theta.covariances[k], np.cov(rows.T, aweights=w, bias=True), rtol=1e-11, atol=1e-13)


def test_rows_are_drawn_by_weight_without_replacement() -> None:
    data = np.arange(5.0)[:, None]
    weight = np.array([4.0, 1.0, 0.0, 2.0, 3.0])
    firsts = []
    for restart in range(2000):
        drawn = start("random_from_data", data, weight, "spherical", 4, restart=restart).means[:, 0]
        assert sorted(drawn) == [0.0, 1.0, 3.0, 4.0]
        firsts.append(int(drawn[0]))
    counts = np.bincount(firsts, minlength=5)
    assert counts[2] == 0
    # Fails at new seeds with a probability of 1e-6 for right draws.
    assert scipy.stats.chisquare(counts[weight > 0], 2000 * weight[weight > 0] / 10.0).pvalue > 1e-6


# Random responsibilities


def test_random_responsibilities_belong_to_the_row() -> None:
    # Statistics of n rows and of n + 1 differ by the responsibilities of the last row, whatever n.
    def held(n_rows: int) -> Array:
        return start("random", X[:n_rows], structure="spherical", K=4).weights * n_rows

    one_more = np.diff([held(n_rows) for n_rows in range(2, 200)], axis=0)
    # Differences of numbers below 200, which are rounded to 3e-14.
    assert (one_more > -1e-12).all() and (one_more < 1.0).all()
    np.testing.assert_allclose(one_more.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    assert np.unique(one_more.round(9)).size == one_more.size  # no row or component like another
    # Divided uniform numbers: each component's mean is 1/4; the standard deviation of one is 0.13.
    np.testing.assert_allclose(one_more.mean(axis=0), 0.25, rtol=0, atol=5 * 0.13 / np.sqrt(198))


# Scale


@pytest.mark.parametrize("seed", range(5))
def test_strips_of_very_different_scales_are_found(seed: int) -> None:
    # Standard deviations 100 along the strips and 0.22 across both: k-means without standardizing cuts across them.
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1], 500)
    across = np.where(truth, 0.218, -0.218) + rng.normal(0.0, 0.03, 1000)
    data = np.column_stack([rng.normal(0.0, 100.0, 1000), across])
    np.testing.assert_allclose(data.std(axis=0), [100.0, 0.22], rtol=0.1)
    assert adjusted_rand_score(truth, labels(data, start("kmeans", data, K=2, seed=seed))) == 1.0
    gm = GaussianMixture(2, reg_covar=0.0, random_state=seed).fit(data)
    assert adjusted_rand_score(truth, gm.predict(data)) == 1.0


@each_start
def test_units_of_the_columns_do_not_matter(init_params: str) -> None:
    expected = start(init_params, X)
    # Powers of two change no rounding; others, and origins, change the last digits.
    for scale, origin, tolerance in (
        ([2.0**40, 1.0, 2.0**-40], 0.0, 1e-14),
        ([1e6, 3.0, 1e-7], 0.0, 1e-10),
        ([1e6, 3.0, 1e-7], [5.0, 0.0, 1e-7], 1e-10),
    ):
        scale = np.array(scale)
        moved = start(init_params, X * scale + origin)
        np.testing.assert_array_equal(labels(X * scale + origin, moved), labels(X, expected))
        np.testing.assert_allclose((moved.means - origin) / scale, expected.means, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(
            moved.covariances / np.outer(scale, scale), expected.covariances, rtol=tolerance, atol=tolerance
        )


@each_start
def test_constant_column(init_params: str) -> None:
    for value in (0.0, 0.1, 1e8):
        data = np.column_stack([X, np.full(len(X), value)])
        theta = start(init_params, data, structure="diag", reg_covar=1e-6)
        np.testing.assert_allclose(theta.means[:, 3], value, rtol=1e-14)
        # Sums of 300 rows are rounded in another order where there is another column.
        np.testing.assert_allclose(
            theta.means[:, :3], start(init_params, X, structure="diag", reg_covar=1e-6).means, rtol=1e-11
        )


# Weights


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++"])
def test_weights_equal_repeated_rows(init_params: str) -> None:
    weight = np.random.default_rng(2).integers(0, 4, len(X))
    for restart in range(5):
        a = start(init_params, X, weight.astype(float), restart=restart)
        b = start(init_params, np.repeat(X, weight, axis=0), restart=restart)
        assert_same(a, b, rtol=1e-11, atol=1e-13)  # 600 terms in another order


@each_start
def test_rows_of_weight_zero_are_as_good_as_not_there(init_params: str) -> None:
    weight = np.tile([0.0, 1.0, 2.0], 100)
    data = X.copy()
    data[::3] = [1e140, -1e140, 0.0]
    assert_same(start(init_params, data, weight), start(init_params, X[weight > 0], weight[weight > 0]))


@each_start
def test_few_rows_of_weight_among_many_are_found(init_params: str) -> None:
    n_rows = 300_000
    data = np.full((n_rows, 3), 7.0)
    weight = np.zeros(n_rows)
    data[::1000], weight[::1000] = X, 1.0
    assert_same(start(init_params, data, weight), start(init_params, X))


# Streams


@each_random_start
def test_seed_and_restart_decide(init_params: str) -> None:
    data = np.random.default_rng(5).normal(size=(200, 3))  # without clusters, so that starts differ
    expected = start(init_params, data)
    assert_same(start(init_params, data), expected)
    assert_same(start(init_params, data, n_threads=3), expected)
    for other in ({"seed": 1}, {"restart": 1}):
        assert not np.array_equal(start(init_params, data, **other).means, expected.means)


@each_random_start
def test_first_of_many_runs_is_the_single_run(init_params: str) -> None:
    data = np.random.default_rng(5).normal(size=(200, 3))
    settings: dict[str, Any] = {"init_params": init_params, "random_state": 3, "tol": 0.0, "max_iter": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        one = GaussianMixture(3, **settings).fit(data)
        many = GaussianMixture(3, n_init=3, **settings).fit(data)
    assert many.runs_[0].log_likelihood == one.log_likelihood_
    assert len({run.log_likelihood for run in many.runs_}) == 3


def test_start_looks_at_a_sample_only() -> None:
    data = np.random.default_rng(0).normal(size=(sampling.SAMPLE_ROWS + 5000, 2))
    rows = sampling.sample_rows(len(data), 0)
    for init_params in RANDOM_STARTS:  # an agglomeration has a smaller sample of its own
        assert_same(start(init_params, data), start(init_params, data[rows]))


@pytest.mark.parametrize("seed", range(6))
def test_on_many_rows_every_cluster_is_found(seed: int) -> None:
    # Twelve clusters: from a single k-means++ start Lloyd's algorithm leaves two of them to one centre for some seeds.
    rng = np.random.default_rng(7)
    corners = rng.uniform(-30.0, 30.0, (12, 3))
    label = rng.integers(12, size=9_000)
    X = corners[label] + rng.normal(size=(9_000, 3))
    means = make_start("kmeans", ArraySource(X), GaussianModel(12, 3, "full", 1e-6), seed, 0).means
    distances = np.linalg.norm(corners[:, None] - means, axis=2)
    # 750 rows a cluster: their mean is within 5 standard errors of the corner.
    assert np.all(distances.min(axis=1) < 5.0 * np.sqrt(3.0 / 700.0))


# Degenerate rows


@each_start
@each_structure
def test_fewer_distinct_rows_than_components(structure: str, init_params: str) -> None:
    data = np.repeat([[0.0, 0.0], [1.0, 3.0]], 10, axis=0)
    theta = start(init_params, data, None, structure, 4, reg_covar=1e-3)
    assert np.isfinite(theta.means).all()
    assert theta.weights.sum() == pytest.approx(1.0)
    assert (theta.means >= 0.0).all() and (theta.means <= [1.0, 3.0]).all()


def test_cluster_too_small_for_its_covariance_takes_that_of_the_groups() -> None:
    data = np.vstack([X, [[300.0, 300.0, 300.0]]])
    theta = start("kmeans", data, K=2)
    assert [300.0, 300.0, 300.0] in theta.means.tolist()
    np.testing.assert_array_equal(theta.weights, [0.5, 0.5])
    # About the two means: the one of X, and the row itself. 301 terms.
    np.testing.assert_allclose(theta.covariances, [np.cov(X.T, bias=True) * 300 / 301] * 2, rtol=1e-11)


@each_start
def test_rows_that_coincide_are_an_error_without_reg_covar(init_params: str) -> None:
    with pytest.raises(DegenerateCovarianceError, match="not positive definite"):
        start(init_params, np.ones((20, 2)), K=2)


# Threads


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("init_params", ["kmeans", "k-means++"])
def test_cells_in_one_call_and_in_steps(init_params: str, weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = np.random.default_rng(1).uniform(0.5, 2.0, len(X)) if weighted else None
    model, source = GaussianModel(5, 3, "full", 0.0, 1), ArraySource(X, weight)
    one = make_cells(init_params, source, model, 0, 1)
    monkeypatch.setattr(starts, "SMALL_OF_CELLS", 0)
    # Sums are taken in another order.
    assert_same(one, make_cells(init_params, source, model, 0, 1), rtol=1e-10)


def test_cells_of_kmeans_end_early() -> None:
    def spread(theta: GaussianParameters) -> float:
        """Mean squared distance to the mean of a row's cell, on standardized columns."""
        variances = np.diagonal(theta.covariances, axis1=1, axis2=2)
        return float((theta.weights @ (variances / X.var(axis=0))).sum())

    model, source = GaussianModel(8, 3, "full", 0.0, 1), ArraySource(X)
    for seed in range(10):
        first, some = (spread(make_cells(kind, source, model, seed, 0)) for kind in ("k-means++", "kmeans"))
        # Lloyd's algorithm from the same draws never raises it, and goes on where it was ended.
        assert some < first
        assert spread(make_start("kmeans", source, model, seed, 0)) <= some * (1.0 + 1e-12)


_PRINT_DIGESTS = """
import hashlib
import numpy as np
from emix.starts.starting_parameters import STARTS, make_start
from emix.gaussian.model import GaussianModel
from emix.gaussian.structures import STRUCTURES
from emix.rows.arrays import ArraySource
for n_rows, d in ((20_000, 10), (3_000, 64)):
    X = 3.0 * np.random.default_rng(0).normal(size=(n_rows, d)) + 1.0
    for structure in STRUCTURES:
        for init_params in STARTS:
            theta = make_start(init_params, ArraySource(X), GaussianModel(5, d, structure, 1e-6), 0, 0)
            print(structure, init_params, hashlib.sha256(theta.packed.tobytes()).hexdigest())
"""


def test_same_bits_whatever_number_of_threads_the_environment_allows() -> None:
    # Libraries look at it only when they are loaded.
    one, two = (
        subprocess.run(
            [sys.executable, "-c", _PRINT_DIGESTS],
            env=os.environ | {"OMP_NUM_THREADS": number, "OPENBLAS_NUM_THREADS": number},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for number in ("1", "2")
    )
    assert one.count("\n") == 140  # shapes, structures, starts
    assert one == two


@pytest.mark.parametrize(("n_rows", "tried"), [(8191, False), (8192, True)])
def test_tries_are_made_from_8192_rows_on(n_rows: int, tried: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    whole = starts.best_of_tries
    monkeypatch.setattr(starts, "best_of_tries", lambda *arguments: made.append(arguments) or whole(*arguments))
    data = ArraySource(np.random.default_rng(0).normal(size=(n_rows, 1)))
    make_start("kmeans", data, GaussianModel(2, 1), 0, 0)
    assert bool(made) == tried


def test_tries_have_the_same_bits_from_any_number_of_threads() -> None:
    # 20 clusters in 12 dimensions: enough work for the tries to go side by side.
    data = blobs(9_000, 12)
    one, two, three = (start("kmeans", data, K=20, n_threads=n_threads) for n_threads in (1, 2, 3))
    np.testing.assert_array_equal(one.packed, two.packed)
    np.testing.assert_array_equal(one.packed, three.packed)
