"""GaussianMixture: scikit-learn's results from the same start, and what holds for every fit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import sklearn.mixture

from emix import ConvergenceWarning, DegenerateCovarianceError, GaussianMixture
from emix.gaussian.structures import STRUCTURES
from estimators.mixtures import X, blobs, each_type, quietly, start

# The same as scikit-learn


# Ten iterations carry the rounding of each on: half of the digits of float64, and some fewer of float32.
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-8), (np.float32, 1e-4)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_parameters_equal_those_of_scikit_learn(covariance_type: str, dtype: type, rtol: float, order: Any) -> None:
    data = np.asarray(X, dtype=dtype, order=order)
    settings = start(data, covariance_type) | {"reg_covar": 1e-6}
    gm = quietly(GaussianMixture(**settings, tol=0.0, max_iter=10), data)
    # scikit-learn in float64: its float32 is not a reference for the fourth digit.
    peer = quietly(sklearn.mixture.GaussianMixture(**settings, tol=0.0, max_iter=10), data.astype(np.float64))
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        found, expected = getattr(gm, name), getattr(peer, name)
        assert found.shape == expected.shape
        assert found.dtype == dtype
        # Relative to the largest: small elements of a matrix carry the rounding of the large ones.
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())
    assert gm.n_iter_ == peer.n_iter_
    assert gm.score(data) == pytest.approx(peer.score(data.astype(np.float64)), rel=rtol)
    if dtype is np.float64:
        np.testing.assert_allclose(gm.score_samples(data), peer.score_samples(data), rtol=1e-8)
        np.testing.assert_allclose(gm.predict_proba(data), peer.predict_proba(data), rtol=1e-6, atol=1e-10)
        np.testing.assert_array_equal(gm.predict(data), peer.predict(data))
        assert gm.bic(data) == pytest.approx(peer.bic(data), rel=1e-8)
        assert gm.aic(data) == pytest.approx(peer.aic(data), rel=1e-8)


@each_type
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_offset_of_the_data_changes_nothing(covariance_type: str, dtype: type) -> None:
    # What float32 keeps of data at 1000 is 1e-4 of their spread, and of data at 1e8 float64 keeps 1e-8.
    offset, tolerance = (1e8, 1e-6) if dtype is np.float64 else (1e3, 1e-3)
    centred, moved = X.astype(dtype), (X + offset).astype(dtype)
    a = quietly(GaussianMixture(**start(centred, covariance_type), tol=0.0, max_iter=10), centred)
    b = quietly(GaussianMixture(**start(moved, covariance_type), tol=0.0, max_iter=10), moved)
    np.testing.assert_allclose(b.covariances_, a.covariances_, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(b.weights_, a.weights_, rtol=tolerance)
    np.testing.assert_allclose(b.means_ - offset, a.means_, rtol=0, atol=tolerance + np.spacing(dtype(offset)))


# What a fit reports


@each_type
def test_log_likelihood_belongs_to_the_parameters_returned(covariance_type: str) -> None:
    weight = np.random.default_rng(1).uniform(0.0, 3.0, size=len(X))
    gm = GaussianMixture(3, covariance_type=covariance_type, init_params="kmeans", max_iter=5, random_state=0)
    quietly(gm, X, sample_weight=weight)
    # Sums of 300 terms in another order.
    assert gm.log_likelihood_ == pytest.approx(float(weight @ gm.score_samples(X)), rel=1e-12)
    assert gm.lower_bound_ == pytest.approx(gm.score(X, sample_weight=weight), rel=1e-12)
    assert gm.lower_bounds_[-1] == gm.lower_bound_
    assert len(gm.history_) == len(gm.lower_bounds_) == gm.n_iter_ + 1 == 6
    assert [record.iteration for record in gm.history_] == list(range(6))
    assert np.all(np.diff(gm.lower_bounds_) > 0.0)
    assert not gm.converged_
    assert gm.stopped_by_ == "max_iter"
    assert gm.fit_time_ > 0.0


def test_fit_that_converged() -> None:
    gm = GaussianMixture(3, init_params="kmeans", random_state=0).fit(X)
    assert gm.converged_
    assert gm.stopped_by_ == "log_likelihood"
    assert abs(gm.history_[-1].change) <= 1e-6 * len(X) < abs(gm.history_[-2].change)
    assert gm.n_features_in_ == 3
    assert not hasattr(gm, "feature_names_in_")


def test_warning_where_a_fit_did_not_converge() -> None:
    text = r"Best performing initialization did not converge\. Try different init parameters, or increase max_iter"
    with pytest.warns(ConvergenceWarning, match=text) as caught:
        GaussianMixture(3, max_iter=1, random_state=0).fit(X)
    assert caught[0].filename == __file__


def test_no_iterations_leave_the_start() -> None:
    settings = start(X, "full")
    gm = GaussianMixture(**settings, max_iter=0).fit(X)
    np.testing.assert_array_equal(gm.means_, settings["means_init"])
    np.testing.assert_array_equal(gm.covariances_, settings["precisions_init"])
    assert gm.n_iter_ == 0
    assert not gm.converged_
    assert gm.log_likelihood_ == pytest.approx(gm.score_samples(X).sum(), rel=1e-12)


@each_type
def test_precisions_agree_with_covariances(covariance_type: str) -> None:
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    # Products of three terms; an inverse loses the condition number, below 1e4 here.
    if STRUCTURES[covariance_type].form.has_matrices:
        identity = np.eye(3)
        factor = gm.precisions_cholesky_
        np.testing.assert_allclose(
            gm.precisions_ @ gm.covariances_, np.zeros_like(gm.covariances_) + identity, rtol=0, atol=1e-10
        )
        np.testing.assert_allclose(factor @ factor.swapaxes(-1, -2), gm.precisions_, rtol=1e-12)
        assert np.all(np.tril(factor, -1) == 0.0)
    else:
        np.testing.assert_allclose(gm.precisions_ * gm.covariances_, 1.0, rtol=1e-14)
        np.testing.assert_allclose(gm.precisions_cholesky_**2, gm.precisions_, rtol=1e-14)


# Weights


@each_type
def test_weights_equal_repetition(covariance_type: str) -> None:
    weight = np.random.default_rng(2).integers(0, 4, size=len(X))
    repeated = np.repeat(X, weight, axis=0)
    settings = start(X, covariance_type)
    a = quietly(GaussianMixture(**settings, tol=0.0, max_iter=20), X, sample_weight=weight)
    b = quietly(GaussianMixture(**settings, tol=0.0, max_iter=20), repeated)
    # The sums are the same up to their order, in each of 20 iterations.
    np.testing.assert_allclose(a.means_, b.means_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(a.covariances_, b.covariances_, rtol=1e-8, atol=1e-9)
    assert a.log_likelihood_ == pytest.approx(b.log_likelihood_, rel=1e-12)
    assert a.lower_bound_ == pytest.approx(b.lower_bound_, rel=1e-12)
    assert a.bic(X, sample_weight=weight) == pytest.approx(b.bic(repeated), rel=1e-12)
    assert a.icl(X, sample_weight=weight) == pytest.approx(b.icl(repeated), rel=1e-12)
    assert a.score(X, sample_weight=weight) == pytest.approx(b.score(repeated), rel=1e-12)


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data", "hierarchical"])
def test_unit_of_the_weights_does_not_matter(init_params: str) -> None:
    weight = np.random.default_rng(3).uniform(size=len(X))
    # A power of two: every product is exact.
    a = GaussianMixture(3, init_params=init_params, n_init=2, random_state=0).fit(X, sample_weight=weight)
    b = GaussianMixture(3, init_params=init_params, n_init=2, random_state=0).fit(X, sample_weight=weight / 1024.0)
    assert b.n_iter_ == a.n_iter_
    np.testing.assert_allclose(b.means_, a.means_, rtol=1e-12)
    assert b.log_likelihood_ == pytest.approx(a.log_likelihood_ / 1024.0, rel=1e-12)


def test_row_of_weight_zero_may_be_anywhere() -> None:
    far = np.vstack([X, [[1e140, -1e140, 0.0]]])
    weight = np.append(np.ones(len(X)), 0.0)
    settings = start(X, "full")
    a = GaussianMixture(**settings).fit(far, sample_weight=weight)
    b = GaussianMixture(**settings).fit(X)
    # A row of weight zero moves others to other places in the sums.
    np.testing.assert_allclose(a.means_, b.means_, rtol=1e-10)
    assert math.isfinite(a.score(far, sample_weight=weight))


# Starts and runs


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data", "hierarchical"])
def test_same_seed_gives_the_same_bits(init_params: str) -> None:
    fits = [GaussianMixture(3, init_params=init_params, random_state=5).fit(X) for _ in range(2)]
    np.testing.assert_array_equal(fits[0].means_, fits[1].means_)
    other = quietly(GaussianMixture(3, init_params=init_params, random_state=6, max_iter=0), X)
    again = quietly(GaussianMixture(3, init_params=init_params, random_state=5, max_iter=0), X)
    assert init_params in ("kmeans", "hierarchical") or not np.array_equal(other.means_, again.means_)


def test_generators_are_drawn_from() -> None:
    for make in (np.random.default_rng, np.random.RandomState):
        source = make(0)
        settings: dict[str, Any] = {"n_components": 3, "init_params": "random", "max_iter": 0}
        first, second = (GaussianMixture(**settings, random_state=source).fit(X) for _ in range(2))
        assert not np.array_equal(first.means_, second.means_)
        again = GaussianMixture(**settings, random_state=make(0)).fit(X)
        np.testing.assert_array_equal(again.means_, first.means_)


def test_first_of_many_runs_is_the_single_run_and_the_best_is_kept() -> None:
    settings: dict[str, Any] = {"n_components": 4, "init_params": "random_from_data", "random_state": 1}
    one = GaussianMixture(**settings).fit(X)
    many = GaussianMixture(**settings, n_init=6).fit(X)
    assert len(many.runs_) == 6
    assert many.runs_[0].log_likelihood == one.log_likelihood_
    assert [report.chosen for report in many.runs_].count(True) == 1
    sound = [report.log_likelihood for report in many.runs_ if not report.degenerate]
    assert many.log_likelihood_ == max(sound)


def test_run_that_collapses_does_not_end_the_fit() -> None:
    # 10 rows that coincide: a component that starts on them has no variance.
    data = np.vstack([np.zeros((10, 2)), X[:, :2] + 10.0])
    gm = GaussianMixture(2, reg_covar=0.0, n_init=12, init_params="random_from_data", random_state=0).fit(data)
    collapsed = [report for report in gm.runs_ if report.log_likelihood is None]
    assert collapsed
    assert all(report.degenerate and "not positive definite" in report.message for report in collapsed)
    assert math.isfinite(gm.log_likelihood_)


def test_parts_of_a_start_may_be_given() -> None:
    whole = start(X, "full")
    for given in (["means_init"], ["weights_init"], ["precisions_init"], ["means_init", "precisions_init"]):
        parts = {name: whole[name] for name in given}
        gm = GaussianMixture(3, **parts, max_iter=0, random_state=0).fit(X)
        if "means_init" in given:
            np.testing.assert_array_equal(gm.means_, parts["means_init"])
            # Not the weights of some clusters that have other means.
            np.testing.assert_allclose(gm.weights_, 1.0 / 3.0, rtol=1e-15)
        if "weights_init" in given:
            np.testing.assert_array_equal(gm.weights_, parts["weights_init"])
        if "precisions_init" in given:
            np.testing.assert_allclose(gm.precisions_, parts["precisions_init"], rtol=1e-15)


@each_type
def test_a_start_may_lie_in_columns(covariance_type: str) -> None:
    # As data frames give it
    for names in (["means_init"], ["means_init", "precisions_init"]):
        parts = {name: start(X, covariance_type)[name] for name in names}
        expected = quietly(GaussianMixture(3, covariance_type=covariance_type, **parts, max_iter=3), X)
        columns = {name: np.asfortranarray(value) for name, value in parts.items()}
        found = quietly(GaussianMixture(3, covariance_type=covariance_type, **columns, max_iter=3), X)
        np.testing.assert_array_equal(found.means_, expected.means_)


def test_warm_start_goes_on() -> None:
    settings = start(X, "full")
    whole = quietly(GaussianMixture(**settings, tol=0.0, max_iter=6), X)
    steps = GaussianMixture(**settings, tol=0.0, max_iter=2, warm_start=True)
    for _ in range(3):
        quietly(steps, X)
    np.testing.assert_array_equal(steps.means_, whole.means_)
    np.testing.assert_array_equal(steps.covariances_, whole.covariances_)
    assert steps.n_iter_ == 2


def test_warm_start_of_known_parameters() -> None:
    gm = GaussianMixture.from_parameters([0.5, 0.5], X[[0, -1]], np.stack([np.eye(3)] * 2))
    gm.set_params(warm_start=True, max_iter=0).fit(X)
    np.testing.assert_array_equal(gm.means_, X[[0, -1]])


# Threads


@each_type
def test_same_bits_from_any_number_of_threads(covariance_type: str) -> None:
    data = blobs(6000, 4, seed=4)
    fits = [
        quietly(GaussianMixture(**start(data, covariance_type), tol=0.0, max_iter=5, n_threads=n_threads), data)
        for n_threads in (1, 2, 3)
    ]
    for other in fits[1:]:
        np.testing.assert_array_equal(other.means_, fits[0].means_)
        np.testing.assert_array_equal(other.covariances_, fits[0].covariances_)
        assert other.log_likelihood_ == fits[0].log_likelihood_
        np.testing.assert_array_equal(other.predict_proba(data), fits[0].predict_proba(data))


def test_collapse_names_component_weight_and_rows() -> None:
    data = np.vstack([np.zeros((10, 2)), X[:90, :2] + 50.0])
    gm = GaussianMixture(2, reg_covar=0.0, means_init=[[0.0, 0.0], [50.0, 50.0]])
    with pytest.raises(DegenerateCovarianceError, match="ill-defined empirical covariance") as caught:
        gm.fit(data)
    assert caught.value.component == 0
    assert "component 0, of weight 0.1 (the equivalent of 10 rows" in str(caught.value)
    assert not hasattr(gm, "means_")


@pytest.mark.parametrize("seed", [3, 5])
def test_a_component_may_leave_all_rows_but_one_far_outlier(seed: int) -> None:
    # In one step it moves by 1e4 of its new standard deviations, of which one is 1e-6 of another.
    X = np.vstack([np.random.default_rng(seed).normal(size=(300, 2)), [[1e7, -5e6]]])
    start = {"means_init": X[[0, 1]], "weights_init": [0.5, 0.5], "precisions_init": [np.diag(1.0 / X.var(axis=0))] * 2}
    gm = quietly(GaussianMixture(2, reg_covar=1e-6, **start), X)
    # Then the outlier is alone, with reg_covar for its variances.
    rest = np.cov(X[:300], rowvar=False, bias=True) + 1e-6 * np.eye(2)
    expected = 300.0 * (np.log(300.0 / 301.0) - np.log(2.0 * np.pi) - 0.5 * np.linalg.slogdet(rest)[1])
    expected -= 150.0 * np.trace(np.linalg.solve(rest, rest - 1e-6 * np.eye(2)))
    expected += -np.log(301.0) - np.log(2.0 * np.pi) - np.log(1e-6)
    assert gm.log_likelihood_ == pytest.approx(expected, rel=1e-9)
