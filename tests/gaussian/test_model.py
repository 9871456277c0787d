"""The two steps of EM for Gaussian mixtures: against other programs, in any units, and in any number of threads."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

import baseline_numpy
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.run import GaussianRun
from emix.gaussian.structures import STRUCTURES
from emix.parallel import threads
from gaussian.examples import (
    Recorder,
    after,
    assert_same_mixture,
    clusters,
    each_of_scikit_learn,
    each_structure,
    in_form,
    naive_joint,
    naive_responsibilities,
    start,
)
from gaussian.shared_parts import ITERATED


def scikit_learn(structure: str, X: Any, theta: GaussianParameters, n_iter: int) -> GaussianParameters:
    precisions = theta.structure.form.from_precisions(theta.covariances)  # an inverse, whichever way
    model = GaussianMixture(
        theta.n_components,
        covariance_type=structure,
        tol=0.0,
        max_iter=n_iter,
        reg_covar=0.0,
        weights_init=theta.weights.astype(X.dtype),
        means_init=theta.means.astype(X.dtype),
        precisions_init=precisions.astype(X.dtype),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of iterations is what is asked for
        model.fit(X)
    assert model.n_iter_ == n_iter
    return GaussianParameters.from_covariances(structure, model.weights_, model.means_, model.covariances_)


@each_of_scikit_learn
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-8), ("float32", 1e-4)])
@pytest.mark.parametrize(("d", "K"), [(1, 2), (2, 3), (7, 4)])
def test_same_as_scikit_learn(structure: str, dtype: str, rtol: float, d: int, K: int) -> None:
    # From some starts EM leaves a saddle, and rounding with it, a hundredfold in ten iterations; not from this one.
    X = clusters(900, d, K, seed=1).astype(dtype)
    theta = start(structure, X, K)
    found, _ = after(15, structure, X, theta)
    # 1e-8 and 1e-4: what is promised. Rounding grows a little with each of 15 iterations. scikit-learn gets the float32
    # rows as float64: in float32 its own variances, E[x²] - μ², are off by 1e-4 on some processors.
    assert_same_mixture(found, scikit_learn(structure, X.astype(np.float64), theta, 15), rtol)


@pytest.mark.parametrize("weighted", [False, True])
def test_same_as_the_numpy_baseline(weighted: bool) -> None:
    X = clusters(900, 3, 4)
    weight = np.random.default_rng(0).uniform(0, 2, 900) if weighted else None
    theta = start("full", X, 4)
    expected = baseline_numpy.fit(
        X, theta.weights, theta.means, theta.covariances, sample_weight=weight, reg_covar=1e-3, n_iter=30
    )
    found, history = after(30, "full", X if weight is None else (X, weight), theta, reg_covar=1e-3)
    expected_theta = GaussianParameters.from_covariances("full", *expected[:3])
    # Rounding of 30 iterations.
    assert_same_mixture(found, expected_theta, 1e-10)
    np.testing.assert_allclose(history, expected.history, rtol=1e-12)


@each_structure
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_log_likelihood_is_the_formula_s(structure: str, dtype: str) -> None:
    X = clusters(300, 3, 2).astype(dtype)
    theta = start(structure, X, 2)
    found = GaussianModel(2, 3, structure).e_step(X, theta)[1]
    # Of a sum of 300 terms of some nats, each to a few eps of its dtype.
    rtol = 20 * float(np.finfo(dtype).eps)
    assert found == pytest.approx(np.logaddexp.reduce(naive_joint(X, theta), axis=1).sum(), rel=rtol)


@each_structure
def test_far_from_the_origin_the_fit_is_that_of_centred_data(structure: str) -> None:
    offset = 1e8 * np.array([1.0, -1.0, 1.0])
    far = clusters(600, 3, 3) + offset
    X = far - offset  # exact: the same rows, moved
    theta = start(structure, X, 3)
    moved = GaussianParameters.from_covariances(structure, theta.weights, theta.means + offset, theta.covariances)
    found, history = after(40, structure, far, moved)
    expected, expected_history = after(40, structure, X, theta)
    # Means near 1e8 are rounded to 1.5e-8 in every iteration: 1e-8 of the spread, a few times over.
    back = GaussianParameters.from_covariances(structure, found.weights, found.means - offset, found.covariances)
    assert_same_mixture(back, expected, 1e-7)
    # At a change of means by 1e-8 the log-likelihood changes by its gradient, some 1e-8 of a nat a row.
    np.testing.assert_allclose(history, expected_history, rtol=0, atol=600 * 1e-8)


@each_structure
@pytest.mark.parametrize(("dtype", "scale"), [("float64", 1e150), ("float64", 1e-150), ("float32", 1e15)])
def test_huge_and_tiny_units(structure: str, dtype: str, scale: float) -> None:
    X = clusters(400, 2, 2).astype(dtype)
    factor = 2.0 ** np.floor(np.log2(scale / np.abs(X).max()))  # exact
    theta = start(structure, X, 2)
    scaled = GaussianParameters.from_covariances(
        structure, theta.weights, theta.means * factor, theta.covariances * factor**2
    )
    expected, _ = after(10, structure, X, theta)
    found, _ = after(10, structure, (X * np.asarray(factor, dtype)), scaled)
    back = GaussianParameters.from_covariances(
        structure, found.weights, found.means / factor, found.covariances / factor**2
    )
    # log-densities are larger by d log factor, some 700, and rounded accordingly.
    assert_same_mixture(back, expected, 1e4 * float(np.finfo(dtype).eps))


@each_structure
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("unit", [2.0**-1030, 2.0**-140, 2.0**-70, 2.0**50, 2.0**130, 2.0**1000])
def test_unit_of_the_weights_does_not_count(structure: str, dtype: str, unit: float) -> None:
    X = clusters(300, 2, 2).astype(dtype)
    weight = np.random.default_rng(0).uniform(0.5, 2, 300)
    theta = start(structure, X, 2)
    found, history = after(3, structure, (X, weight * unit), theta)
    expected, ordinary = after(3, structure, (X, weight), theta)
    # The smallest unit leaves 44 bits of a number below the normal ones, and single precision rounds weights to 24.
    rtol = 1e-11 if dtype == "float64" else 1e-6
    assert_same_mixture(found, expected, rtol)
    np.testing.assert_allclose(history / unit, ordinary, rtol=rtol)


@each_structure
def test_mean_outside_of_the_data(structure: str) -> None:
    """Centres are clamped to the range of the columns; the statistics are those of the mean as it is."""
    X = clusters(300, 2, 2)
    theta = start(structure, X, 2)
    far = GaussianParameters.from_covariances(
        structure, theta.weights, theta.means + np.array([[0.0, 0.0], [30.0, -30.0]]), theta.covariances
    )
    model = GaussianModel(2, 2, structure)
    statistics, log_likelihood = model.e_step(X, far)
    assert (statistics.center <= X.max(axis=0)).all() and (statistics.center >= X.min(axis=0)).all()
    assert log_likelihood == pytest.approx(np.logaddexp.reduce(naive_joint(X, far), axis=1).sum(), rel=1e-12)
    np.testing.assert_allclose(statistics.weight, naive_responsibilities(X, far).sum(axis=0), rtol=1e-10)


# What a run keeps between passes


@each_structure
def test_component_that_shrinks_is_counted_in_full(structure: str) -> None:
    """Beside its old weight what is left of the second component is negligible; it is not beside its new weight."""
    X = np.random.default_rng(0).uniform(-1, 1, (600, 2))
    ones = STRUCTURES[structure].form.from_pooled(np.eye(2), 2)
    near = GaussianParameters.from_covariances(structure, [0.5, 0.5], [[0.0, 0.0], [0.5, 0.0]], ones)
    away = GaussianParameters.from_covariances(structure, [0.5, 0.5], [[0.0, 0.0], [11.0, 0.0]], ones)
    run = GaussianModel(2, 2, structure).begin(X)
    assert run.e_step(near)[0].weight.min() > 200
    found = run.e_step(away)[0]
    assert 0.0 < found.weight[1] < 600 * np.exp(-40)
    np.testing.assert_allclose(found.weight, naive_responsibilities(X, away).sum(axis=0), rtol=1e-12)
    fresh = GaussianModel(2, 2, structure).e_step(X, away)[0]
    for name in ("weight", "shift", "scatter", "log_likelihood"):
        np.testing.assert_array_equal(getattr(found, name), getattr(fresh, name))


@each_structure
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_is_left_out_is_rounding(structure: str, dtype: str) -> None:
    X = clusters(2000, 2, 6, spread=8.0).astype(dtype)
    theta, _ = after(5, structure, X, start(structure, X, 6), reg_covar=1e-3)
    run = GaussianModel(6, 2, structure).begin(X)
    run.e_step(theta)
    found, fresh = run.e_step(theta)[0], GaussianModel(6, 2, structure).e_step(X, theta)[0]
    rtol = 100 * float(np.finfo(dtype).eps)  # sums of the same rows, gathered or not
    for name in ("weight", "shift", "scatter", "log_likelihood"):
        a, b = np.asarray(getattr(found, name)), np.asarray(getattr(fresh, name))
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


@each_structure
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_same_bits_in_any_number_of_threads(structure: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    X = clusters(5000, 3, 3).astype(dtype)
    weight = np.random.default_rng(0).uniform(0, 2, 5000)
    theta = start(structure, X, 3)
    expected, log_likelihood = GaussianModel(3, 3, structure, n_threads=1).e_step((X, weight), theta)
    for n_threads, operations in ((2, 2e9), (3, 2e9), (10, 2e9), (2, 1.0), (1, 2e5)):
        monkeypatch.setattr(threads, "OPERATIONS_PER_CALL", operations)  # how often signals are looked at
        found, again = GaussianModel(3, 3, structure, n_threads=n_threads).e_step((X, weight), theta)
        assert again == log_likelihood
        for name in ("weight", "shift", "scatter"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_fits_at_once_in_eight_threads() -> None:
    data = [clusters(3000, 3, 3, seed) for seed in range(8)]
    starts = [start("full", X, 3) for X in data]
    expected = [after(5, "full", X, theta)[0] for X, theta in zip(data, starts)]
    found: list[Any] = [None] * 8

    def fit(i: int) -> None:
        found[i] = after(5, "full", data[i], starts[i])[0]

    threads = [threading.Thread(target=fit, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [theta.digest for theta in found] == [theta.digest for theta in expected]


def test_run_keeps_the_rows_where_they_are() -> None:
    X = np.asfortranarray(clusters(100, 2, 2))
    X.flags.writeable = False
    run = GaussianModel(2, 2).begin(X)
    assert isinstance(run, GaussianRun)
    assert run.source.X is X


# Jumps


@each_structure
def test_start_far_from_the_rows_costs_no_digits(structure: str) -> None:
    z = np.random.default_rng(0).normal(size=(300, 2))
    X = np.vstack([1e8 + z, [[0.0, 0.0]]])  # the last row has no weight
    z = X[:-1] - 1e8  # exact
    K, kind = 1, STRUCTURES[structure]
    theta = GaussianParameters.from_covariances(kind, [1.0], [[0.0, 0.0]], kind.form.from_pooled(np.eye(2) * 1e10, K))
    model = GaussianModel(1, 2, kind)
    found = model.m_step(model.e_step((X, np.append(np.ones(300), 0.0)), theta)[0])
    expected = in_form(structure, np.cov(z, rowvar=False, bias=True)[np.newaxis], np.ones(1))
    # 300 terms about a centre that is at most a few spreads off.
    np.testing.assert_allclose(found.covariances, expected, rtol=1e-12, atol=1e-12)


@each_structure
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_components_that_jump_a_long_way_keep_their_digits(structure: str, dtype: str) -> None:
    rng = np.random.default_rng(1)
    # Both clusters within the columns' range, both starts in the gap between: 3e7 (2e4) new deviations away.
    away, variance = (1e8, 1e10) if dtype == "float64" else (5e4, 1e4)
    X = np.vstack([rng.normal(size=(200, 2)), away + rng.normal(size=(300, 2))]).astype(dtype)
    z = [X[:200].astype(np.float64), X[200:].astype(np.float64) - away]
    kind = STRUCTURES[structure]
    means = np.array([[0.3, 0.3], [0.7, 0.7]]) * away
    theta = GaussianParameters.from_covariances(kind, [0.5, 0.5], means, kind.form.from_pooled(np.eye(2) * variance, 2))
    model = GaussianModel(2, 2, kind)
    found = model.m_step(model.e_step(X, theta)[0])
    each = np.stack([np.cov(part, rowvar=False, bias=True) for part in z])
    expected = in_form(structure, each, np.array([200.0, 300.0]))
    rtol = 1e-12 if dtype == "float64" else 1e-5  # float32 rows: squares in single precision
    if structure in ITERATED:  # a search ends where Q is exact
        rtol = max(rtol, 1e-6)
    np.testing.assert_allclose(found.covariances, expected, rtol=rtol, atol=rtol)
    # Means near 0 of rows of deviation 1 in single precision: to 1e-7 of the deviation.
    expected_means = [part.mean(axis=0) for part in z] + np.array([[0.0], [away]])
    np.testing.assert_allclose(found.means, expected_means, rtol=1e-7, atol=1e-7)


@each_structure
def test_rows_are_read_once_where_nothing_cancels(structure: str) -> None:
    X = clusters(500, 3, 2)
    X[:, 1] = 1.0 / 3.0  # a constant column has no variance, wherever the centre is
    theta = start(structure, X + 1e-3 * np.random.default_rng(0).normal(size=X.shape), 2)
    run, model = GaussianModel(2, 3, structure, 1e-6).begin(X), GaussianModel(2, 3, structure, 1e-6)
    theta = model.m_step(run.e_step(theta)[0])
    recorder = Recorder(lambda request, outcome: (request.before is None, request.center is None))
    run.shortcuts.insert(0, recorder)
    for _ in range(10):
        theta = model.m_step(run.e_step(theta)[0])
    # One pass each, which leaves out what is negligible, about the means
    assert recorder.taken == [(False, True)] * 10
