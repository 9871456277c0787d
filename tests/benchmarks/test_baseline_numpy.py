"""The pure-NumPy EM is the reference of other tests, so it is held to scikit-learn, SciPy and EM's own theorem."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

import baseline_numpy
from data import Problem, Start, make_data, make_start

Array = NDArray[np.float64]


@pytest.fixture(scope="module", params=[(600, 1, 2), (900, 3, 4), (1500, 7, 3)], ids=str)
def problem(request: pytest.FixtureRequest) -> tuple[Array, Start]:
    n_samples, n_features, n_components = request.param
    shape = Problem(n_samples, n_features, n_components)
    X = make_data(shape).astype(np.float64)
    return X, make_start(shape, X)


def test_agrees_with_scikit_learn_after_fixed_iterations(problem: tuple[Array, Start]) -> None:
    X, start = problem
    ours = baseline_numpy.fit(X, *start, n_iter=12, reg_covar=1e-6)
    theirs = GaussianMixture(
        len(start.weights),
        tol=0.0,
        max_iter=12,
        reg_covar=1e-6,
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=start.covariances,  # unit matrices: their own inverses
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of iterations is what is wanted
        theirs.fit(X)
    assert ours.n_iter == theirs.n_iter_ == 12
    # The same arithmetic in another order: rounding, carried on by 12 iterations.
    np.testing.assert_allclose(ours.weights, theirs.weights_, rtol=1e-8)
    np.testing.assert_allclose(ours.means, theirs.means_, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.covariances, theirs.covariances_, rtol=1e-8, atol=1e-10)
    assert ours.log_likelihood == pytest.approx(theirs.score(X) * len(X), rel=1e-12)


def test_log_joint_is_scipys_density_times_weight(problem: tuple[Array, Start]) -> None:
    X, start = problem
    weights, means, covariances = baseline_numpy.fit(X, *start, n_iter=3)[:3]
    expected = np.column_stack(
        [np.log(w) + multivariate_normal(m, c).logpdf(X) for w, m, c in zip(weights, means, covariances, strict=True)]
    )
    # Two factorizations of well-conditioned matrices.
    np.testing.assert_allclose(baseline_numpy.log_joint(X, weights, means, covariances), expected, rtol=1e-10)
    responsibilities, log_likelihood = baseline_numpy.e_step(X, weights, means, covariances)
    assert log_likelihood == pytest.approx(logsumexp(expected, axis=1).sum(), rel=1e-12)
    np.testing.assert_allclose(responsibilities.sum(axis=1), 1.0, rtol=1e-14)


def test_log_likelihood_never_falls_and_is_of_the_parameters_returned(problem: tuple[Array, Start]) -> None:
    X, start = problem
    result = baseline_numpy.fit(X, *start, n_iter=30)
    # A sum of 1e3 terms is exact to about 1e-13 of its size.
    assert np.diff(result.history).min() >= -1e-12 * abs(result.log_likelihood)
    assert len(result.history) == 31
    _, again = baseline_numpy.e_step(X, result.weights, result.means, result.covariances)
    assert result.log_likelihood == again == result.history[-1]


def test_weights_equal_repetition(problem: tuple[Array, Start]) -> None:
    X, start = problem
    counts = np.random.default_rng(3).integers(0, 4, len(X))
    weighted = baseline_numpy.fit(X, *start, sample_weight=counts.astype(np.float64), n_iter=5)
    repeated = baseline_numpy.fit(np.repeat(X, counts, axis=0), *start, n_iter=5)
    # The same sums in another order.
    np.testing.assert_allclose(weighted.means, repeated.means, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(weighted.covariances, repeated.covariances, rtol=1e-9, atol=1e-11)
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-12)


def test_offset_changes_nothing_but_the_means() -> None:
    shape = Problem(800, 3, 2)
    X = make_data(shape).astype(np.float64)
    # Multiples of 1/1024 stay exact when 2²⁰ is added.
    X = np.round(X * 1024.0) / 1024.0
    start = make_start(shape, X)
    moved = start._replace(means=start.means + 2.0**20)
    here = baseline_numpy.fit(X, *start, n_iter=10)
    there = baseline_numpy.fit(X + 2.0**20, *moved, n_iter=10)
    # The mean is rounded at 2²⁰·eps = 2e-10, which enters the log-density to first order.
    np.testing.assert_allclose(there.covariances, here.covariances, rtol=1e-6, atol=1e-8)


def test_tol_stops_before_the_last_iteration() -> None:
    shape = Problem(500, 2, 2)
    X = make_data(shape).astype(np.float64)
    result = baseline_numpy.fit(X, *make_start(shape, X), n_iter=1000, tol=1e-6)
    assert result.n_iter < 1000
    assert abs(result.history[-1] - result.history[-2]) <= 1e-6 * len(X) < abs(result.history[-2] - result.history[-3])


def test_far_rows_keep_finite_log_densities() -> None:
    start = Start(np.array([0.5, 0.5]), np.array([[-1.0], [1.0]]), np.ones((2, 1, 1)))
    responsibilities, log_likelihood = baseline_numpy.e_step(np.array([[1e6], [-1e6]]), *start)
    assert np.isfinite(log_likelihood)
    np.testing.assert_array_equal(responsibilities, [[0.0, 1.0], [1.0, 0.0]])


def test_empty_component_is_named() -> None:
    responsibilities = np.array([[1.0, 0.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match="component 1 has no rows left"):
        baseline_numpy.m_step(np.array([[0.0], [1.0]]), responsibilities)
