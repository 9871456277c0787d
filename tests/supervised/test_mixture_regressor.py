"""MixtureRegressor: against LinearRegression, loops with SciPy and integration by brute force; as an estimator."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.base import clone, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from emix import GaussianMixture, MixtureRegressor, NotFittedError, load_faithful, select_mixture
from emix.gaussian.structures import STRUCTURES
from estimators.mixtures import each_type
from supervised.curves import CLOSE, Array, curve


def conditional_by_loop(regressor: MixtureRegressor, x: Array) -> tuple[Array, Array, Array]:
    """Weights, means and covariances of the outputs at one x, by SciPy."""
    gm, d = regressor.mixture_, len(x)
    matrices = STRUCTURES[gm.covariance_type].form.to_full(gm.covariances_, len(gm.weights_), gm.n_features_in_)
    weights, means, covariances = [], [], []
    for weight, mean, sigma in zip(gm.weights_, gm.means_, matrices, strict=True):
        weights.append(weight * scipy.stats.multivariate_normal(mean[:d], sigma[:d, :d]).pdf(x))
        slope = np.linalg.solve(sigma[:d, :d], sigma[:d, d:]).T
        means.append(mean[d:] + slope @ (x - mean[:d]))
        covariances.append(sigma[d:, d:] - slope @ sigma[:d, d:])
    return np.array(weights) / np.sum(weights), np.array(means), np.array(covariances)


# Predictions


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_one_component_is_linear_regression(n_outputs: int, weighted: bool) -> None:
    X, Y = curve(n_inputs=4, n_outputs=n_outputs)
    weight = np.random.default_rng(1).random(len(X)) if weighted else None
    regressor = MixtureRegressor(1, reg_covar=0.0).fit(X, Y, weight)
    linear = LinearRegression().fit(X, Y, weight)
    # Rounding of predictions below 10, by normal equations here and by a decomposition of X there.
    np.testing.assert_allclose(regressor.predict(X), linear.predict(X), rtol=0, atol=1e-12)
    assert regressor.score(X, Y, weight) == pytest.approx(linear.score(X, Y, weight), abs=1e-12)
    _, std = regressor.predict(X, return_std=True)
    residuals = np.average(np.square(Y - linear.predict(X)), axis=0, weights=weight)
    np.testing.assert_allclose(std**2, np.broadcast_to(residuals, std.shape), rtol=CLOSE)
    # The default ridge, 1e-8 of the variances, moves slopes by as much.
    np.testing.assert_allclose(MixtureRegressor(1).fit(X, Y, weight).predict(X), linear.predict(X), rtol=0, atol=1e-6)


def test_an_offset_costs_no_accuracy() -> None:
    X, y = curve()
    here = MixtureRegressor(1, reg_covar=0.0).fit(X, y).predict(X)
    there = MixtureRegressor(1, reg_covar=0.0).fit(X + 1e8, y - 1e8).predict(X + 1e8) + 1e8
    # Values near 1e8 are rounded to 1.5e-8.
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-6)


@each_type
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_predictions_are_those_of_a_loop(covariance_type: str, n_outputs: int) -> None:
    X, Y = curve(n_outputs=n_outputs)
    regressor = MixtureRegressor(3, covariance_type=covariance_type, random_state=0).fit(X, Y)
    mean, std = regressor.predict(X[:20], return_std=True)
    same, covariance = regressor.predict(X[:20], return_cov=True)
    density = regressor.predictive_log_density(X[:20], Y[:20])
    every = regressor.conditional(X[:20])
    np.testing.assert_array_equal(mean, same)
    np.testing.assert_array_equal(mean, regressor.predict(X[:20]))
    assert mean.shape == std.shape == Y[:20].shape and covariance.shape == (20, n_outputs, n_outputs)
    for i, x in enumerate(X[:20]):
        weights, means, covariances = conditional_by_loop(regressor, x)
        center = weights @ means
        apart = means - center
        spread = np.einsum("k,kij->ij", weights, covariances) + np.einsum("k,ki,kj->ij", weights, apart, apart)
        np.testing.assert_allclose(np.ravel(mean[i]), center, rtol=CLOSE, atol=CLOSE)
        np.testing.assert_allclose(covariance[i], spread, rtol=CLOSE, atol=CLOSE)
        np.testing.assert_allclose(np.ravel(std[i]), np.sqrt(np.diagonal(spread)), rtol=CLOSE)
        log_parts = [scipy.stats.multivariate_normal(*part).logpdf(Y[i]) for part in zip(means, covariances)]
        assert density[i] == pytest.approx(np.log(weights @ np.exp(log_parts)), rel=CLOSE, abs=CLOSE)
        np.testing.assert_allclose(every.weights[i], weights, rtol=0, atol=CLOSE)
        np.testing.assert_allclose(every.means[i], means, rtol=CLOSE, atol=CLOSE)


def test_predictions_by_integration_of_the_joint_density() -> None:
    X, Y = curve(n_inputs=1)
    regressor = MixtureRegressor(3, random_state=0).fit(X, Y)
    y, step = np.linspace(-30.0, 30.0, 30_001, retstep=True)
    for x in (-2.5, 0.0, 1.0):
        joint = np.exp(regressor.mixture_.score_samples(np.column_stack([np.full(len(y), x), y])))
        marginal = joint.sum() * step
        # The trapezoidal rule converges faster than any power for a sum of Gaussians: what is left is the rounding of
        # sums of 30 001 terms.
        mean = (y * joint).sum() * step / marginal
        variance = ((y - mean) ** 2 * joint).sum() * step / marginal
        found, std = regressor.predict([[x]], return_std=True)
        assert found[0] == pytest.approx(mean, abs=1e-10)
        assert std[0] ** 2 == pytest.approx(variance, rel=1e-10)
        below = joint[y <= 0.5].sum() * step / marginal
        # A sum that ends within the density is only good to half a step times the density.
        assert regressor.conditional([[x]]).cdf([0.5])[0] == pytest.approx(below, abs=step)
        # Linear interpolation errs by step² f″ / 8, 5e-7 f″: f″ / f is near 1/σ², 25, if σ is 0.2.
        at = regressor.predictive_log_density([[x]], [0.5])[0]
        assert at == pytest.approx(np.log(np.interp(0.5, y, joint) / marginal), abs=1e-5)


def test_two_inputs_by_integration_in_two_dimensions() -> None:
    # E[y | x₁] over x₂ and y: the conditional of a marginal, against a grid of the joint density.
    X, Y = curve()
    mixture = MixtureRegressor(2, random_state=0).fit(X, Y).mixture_
    side, step = np.linspace(-15.0, 15.0, 601, retstep=True)
    x2, y = (grid.ravel() for grid in np.meshgrid(side, side))
    joint = np.exp(mixture.score_samples(np.column_stack([np.full(len(y), 0.7), x2, y])))
    expected = (y * joint).sum() / joint.sum()
    found = MixtureRegressor.from_mixture(mixture.marginal([0, 2]), 1).predict([[0.7]])[0]
    assert found == pytest.approx(expected, abs=1e-10)
    assert mixture.marginal(0).score_samples([[0.7]])[0] == pytest.approx(np.log(joint.sum() * step**2), abs=1e-10)


def test_intervals_hold_their_share_of_new_rows() -> None:
    X, y = curve(4000, n_inputs=1)
    regressor = MixtureRegressor(4, random_state=0).fit(X[:2000], y[:2000])
    low, high = regressor.conditional(X[2000:]).quantile([0.05, 0.95]).T
    inside = ((low <= y[2000:]) & (y[2000:] <= high)).mean()
    # Four standard errors, and as much again for what the fit of 2000 rows misses.
    assert abs(inside - 0.9) < 8 * np.sqrt(0.9 * 0.1 / 2000)
    assert regressor.score(X[2000:], y[2000:]) > LinearRegression().fit(X, y).score(X[2000:], y[2000:]) + 0.5


@pytest.mark.parametrize("dtypes", [(np.float64, np.float64), (np.float32, np.float32), (np.float32, np.float64)])
def test_dtypes(dtypes: tuple[Any, Any]) -> None:
    X, y = curve()
    X, y = X.astype(dtypes[0]), y.astype(dtypes[1])
    regressor = MixtureRegressor(3, random_state=0).fit(X, y)
    assert regressor.mixture_.means_.dtype == np.result_type(*dtypes)
    mean, std = regressor.predict(X, return_std=True)
    assert mean.dtype == std.dtype == regressor.predictive_log_density(X, y).dtype == X.dtype
    assert regressor.conditional(X).means.dtype == np.float64
    expected = regressor.predict(X.astype(np.float64))
    np.testing.assert_allclose(mean, expected, rtol=1e-6 if X.dtype == np.float32 else 0, atol=1e-6)


def test_shapes_follow_y_and_rows_come_in_chunks() -> None:
    X, y = curve(n_inputs=1)
    flat = MixtureRegressor(2, random_state=0).fit(X, y)
    column = MixtureRegressor(2, random_state=0).fit(X, y[:, None])
    assert column.predict(X).shape == (300, 1)
    np.testing.assert_array_equal(column.predict(X)[:, 0], flat.predict(X))
    many = np.linspace(-4.0, 4.0, 200_000)[:, None]
    mean, std = flat.predict(many, return_std=True)
    for part in (slice(0, 5), slice(99_990, 100_005), slice(199_990, None)):
        # Blocks of other sizes are summed in another order.
        alone = flat.predict(many[part], return_std=True)
        np.testing.assert_allclose((mean[part], std[part]), alone, rtol=1e-13)


def test_far_rows_are_predicted_by_the_nearest_component() -> None:
    X, y = curve(n_inputs=1)
    regressor = MixtureRegressor(2, random_state=0).fit(X, y)
    found = regressor.predict([[1e200]])
    nearest = int(regressor.mixture_.marginal([0]).predict([[1e200]])[0])
    sigma = regressor.mixture_.covariances_[nearest]
    # The mean and the intercept vanish beside 1e200. A quotient here, a triangular solve there: rounding.
    assert found[0] == pytest.approx(sigma[0, 1] / sigma[0, 0] * 1e200, rel=1e-12)
    with pytest.raises(ValueError, match=r"X has values at which the density is zero \(row 1, 1 of 2\)"):
        regressor.conditional([[0.0], [1e200]])
    assert regressor.predictive_log_density([[1e200]], [0.0])[0] == -np.inf
    steep = GaussianMixture.from_parameters([1.0], [[0.0, 0.0]], [[[1e-200, 0.5], [0.5, 1e200]]])
    with pytest.raises(ValueError, match=r"The prediction of row 1 of X overflows float64\. Leave such rows out\."):
        MixtureRegressor.from_mixture(steep, 1).predict([[0.0], [1e300]])


# Weights


def test_a_weight_of_two_is_a_row_written_twice() -> None:
    X, y = curve()
    weight = np.random.default_rng(0).integers(0, 3, size=len(X))
    repeated = np.repeat(np.arange(len(X)), weight)
    a = MixtureRegressor(2, random_state=0, init_params="hierarchical").fit(X, y, sample_weight=weight)
    b = MixtureRegressor(2, random_state=0, init_params="hierarchical").fit(X[repeated], y[repeated])
    # The hierarchical start is the same for both, and so is each step: sums differ by rounding.
    assert a.n_iter_ == b.n_iter_
    np.testing.assert_allclose(a.predict(X), b.predict(X), rtol=0, atol=1e-12)
    assert a.score(X, y, weight) == pytest.approx(a.score(X[repeated], y[repeated]), rel=1e-12)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_score_is_that_of_scikit_learn(n_outputs: int) -> None:
    X, Y = curve(n_outputs=n_outputs)
    weight = np.random.default_rng(0).random(len(X))
    regressor = MixtureRegressor(2, random_state=0).fit(X, Y)
    for w in (None, weight):
        expected = r2_score(Y, regressor.predict(X), sample_weight=w)
        # The same sums, here in units of the range and of the largest weight: rounding.
        assert regressor.score(X, Y, w) == pytest.approx(expected, rel=1e-12)
    constant = np.full(Y.shape, 3.0)
    assert regressor.score(X, constant) == r2_score(constant, regressor.predict(X)) == 0.0
    with pytest.warns(UserWarning, match="R² is not defined for fewer than two rows"):
        assert np.isnan(regressor.score(X[:1], Y[:1]))


# Mixtures that come from elsewhere


def test_a_chosen_mixture_predicts(tmp_path: Path) -> None:
    faithful = load_faithful().data
    best = select_mixture(faithful, range(1, 4), ["full", "VEE"], random_state=0).best_
    best.save(tmp_path / "model.npz")
    regressor = MixtureRegressor.from_mixture(GaussianMixture.load(tmp_path / "model.npz"), 1)
    assert regressor.n_components == best.n_components and regressor.mixture_ is not best
    given = best.conditional({0: faithful[:5, 0]})
    np.testing.assert_array_equal(regressor.predict(faithful[:5, :1]), given.mean()[:, 0])
    assert MixtureRegressor.from_mixture(best, [1]).predict(faithful[:5, :1]).shape == (5, 1)
    turned = MixtureRegressor.from_mixture(best, 0)
    given = best.conditional({1: faithful[:5, 1]})
    # The same regression, with the columns of the covariances in another order: rounding.
    np.testing.assert_allclose(turned.predict(faithful[:5, 1:]), given.mean()[:, 0], rtol=1e-12)
    assert clone(turned).fit(faithful[:, 1:], faithful[:, 0]).converged_


def test_targets_by_name() -> None:
    X, y = curve()
    frame = pd.DataFrame(np.column_stack([y, X]), columns=["price", "size", "age"])
    gm = GaussianMixture(2, random_state=0).fit(frame)
    regressor = MixtureRegressor.from_mixture(gm, "price")
    assert regressor.feature_names_in_.tolist() == ["size", "age"]
    assert regressor.mixture_.feature_names_in_.tolist() == ["size", "age", "price"]
    regressor.predict(frame[["size", "age"]])
    made: Any = MixtureRegressor.from_mixture
    with pytest.raises(ValueError, match=r"targets has 'prize', .* Did you mean 'price'\?"):
        made(gm, "prize")
    with pytest.raises(ValueError, match=r"targets names all 3 features, expected at least one to be left"):
        made(gm, [0, 1, 2])
    with pytest.raises(TypeError, match=r"mixture is 3, expected a fitted GaussianMixture\."):
        made(3, 1)
    with pytest.raises(NotFittedError, match="This GaussianMixture instance is not fitted yet"):
        made(GaussianMixture(), 0)


# As an estimator of scikit-learn


@pytest.mark.parametrize(
    ("estimator", "may_fail"),
    [
        (MixtureRegressor(), set()),
        (MixtureRegressor(covariance_type="tied", init_params="random"), set()),
        # Starts draw rows by their numbers: with the row twice in place of a weight of 2 they draw others, and 15 rows
        # have several modes. All of scikit-learn's estimators with random starts are excused from this check too.
        (MixtureRegressor(2, covariance_type="tied"), {"check_sample_weight_equivalence_on_dense_data"}),
    ],
    ids=repr,
)
def test_every_check_of_scikit_learn(estimator: MixtureRegressor, may_fail: set[str]) -> None:
    with warnings.catch_warnings():
        # The one thing that is on purpose: emix must not import scikit-learn to define its class.
        warnings.filterwarnings(
            "ignore",
            message=".*does not inherit from `sklearn.base.(BaseEstimator|RegressorMixin)",
            category=UserWarning,
        )
        # Checks fit a dozen rows of ten columns, or y that is a column of X, and say nothing of warnings about that.
        warnings.filterwarnings("ignore", message="The fit is degenerate")
        warnings.filterwarnings("ignore", message="Columns .* are linearly dependent")
        results = check_estimator(estimator, on_fail=None, on_skip=None)
    assert len(results) > 50
    failed = [(result["check_name"], result["exception"]) for result in results if result["status"] == "failed"]
    assert [(name, error) for name, error in failed if name not in may_fail] == []
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    # Skipped by scikit-learn itself unless SCIPY_ARRAY_API is set.
    assert skipped <= {"check_array_api_input"}
    assert not any(result["status"] == "xfail" for result in results)


def test_inside_scikit_learn() -> None:
    X, y = curve(n_inputs=1)
    assert is_regressor(MixtureRegressor())
    pipeline = make_pipeline(StandardScaler(), MixtureRegressor(random_state=0))
    search = GridSearchCV(pipeline, {"mixtureregressor__n_components": [1, 3]}, cv=3).fit(X, y)
    assert search.best_params_ == {"mixtureregressor__n_components": 3}
    assert cross_val_score(MixtureRegressor(3, random_state=0), X, y).min() > 0.5
    mean, std = search.best_estimator_.predict(X, return_std=True)
    assert mean.shape == std.shape == y.shape
    wrapped = TransformedTargetRegressor(MixtureRegressor(2, random_state=0), transformer=StandardScaler()).fit(X, y)
    assert wrapped.predict(X).shape == y.shape


def test_copies_and_parameters() -> None:
    X, y = curve()
    regressor = MixtureRegressor(2, random_state=0, covariance_type="VEE").fit(X, y)
    assert repr(regressor) == "MixtureRegressor(n_components=2, covariance_type='VEE', random_state=0)"
    for other in (copy.deepcopy(regressor), pickle.loads(pickle.dumps(regressor))):
        np.testing.assert_array_equal(other.predict(X), regressor.predict(X))
    assert not hasattr(clone(regressor), "mixture_")
    assert regressor.n_iter_ == regressor.mixture_.n_iter_ and regressor.converged_
    again = regressor.fit(X[:, :1], y).predict(X[:, :1])
    assert regressor.n_features_in_ == 1 and again.shape == y.shape
    parameters = regressor.get_params()
    assert MixtureRegressor(**parameters).get_params() == parameters


def test_importing_and_predicting_needs_no_scikit_learn() -> None:
    code = (
        "import sys, emix; r = emix.MixtureRegressor(1).fit([[0.0], [1.0], [3.0]], [0.0, 1.0, 2.0]); "
        "r.predict([[0.0]]), r.score([[0.0], [1.0]], [0.0, 1.0]), repr(r); "
        "assert not any(m.split('.')[0] in ('sklearn', 'pandas', 'polars') for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
