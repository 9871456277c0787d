"""Names of covariance types, and the types that scikit-learn does not have: one covariance for all components."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_iris

import emix
from emix import GaussianMixture
from emix.gaussian.structures import STRUCTURES
from emix.rows.arrays import ArraySource
from emix.summary.summary import summary

Array = NDArray[np.float64]

IRIS = load_iris().data
N, D = IRIS.shape

each_common = pytest.mark.parametrize("covariance_type", ["EEI", "EII"])


def within(gm: GaussianMixture, X: Array) -> Array:
    """Σ_k N_k Ŵ_k / n of the responsibilities of a mixture, by a loop."""
    r = gm.predict_proba(X)
    total = np.zeros((X.shape[1], X.shape[1]))
    for k in range(r.shape[1]):
        z = X - np.average(X, axis=0, weights=r[:, k])
        total += (z.T * r[:, k]) @ z
    return total / len(X)


# Names


@pytest.mark.parametrize(("alias", "name"), [("VVV", "full"), ("EEE", "tied"), ("VVI", "diag"), ("VII", "spherical")])
def test_an_alias_is_the_same_fit_and_stays_the_users_word(alias: str, name: str, tmp_path: Path) -> None:
    plain, other = (GaussianMixture(2, covariance_type=word, random_state=0).fit(IRIS) for word in (name, alias))
    for attribute in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        np.testing.assert_array_equal(getattr(other, attribute), getattr(plain, attribute))
    assert other.get_params()["covariance_type"] == alias
    assert summary(other).splitlines()[0] == f"Gaussian mixture: 2 components, {alias} covariances"
    other.save(tmp_path / "model")
    loaded = GaussianMixture.load(tmp_path / "model")
    assert loaded.covariance_type == alias
    np.testing.assert_array_equal(loaded.score_samples(IRIS), plain.score_samples(IRIS))
    # One structure by two names: a fit goes on from either.
    loaded.set_params(covariance_type=name, warm_start=True).fit(IRIS)
    assert loaded.converged_
    with pytest.raises(ValueError, match=r"these have \(covariance_type, n_components, n_features\) = .*'EII'"):
        loaded.set_params(covariance_type="EII").fit(IRIS)


@pytest.mark.parametrize(("letter", "name"), [("E", "tied"), ("V", "full")])
def test_one_letter_is_a_structure_of_one_column(letter: str, name: str, tmp_path: Path) -> None:
    x = IRIS[:, :1]
    plain, other = (GaussianMixture(2, covariance_type=word, random_state=0).fit(x) for word in (name, letter))
    np.testing.assert_array_equal(other.covariances_, plain.covariances_)
    assert other.covariance_type == letter
    other.save(tmp_path / "model")
    np.testing.assert_array_equal(GaussianMixture.load(tmp_path / "model").score_samples(x), plain.score_samples(x))
    made = GaussianMixture.from_parameters(plain.weights_, plain.means_, plain.covariances_, letter)
    np.testing.assert_array_equal(made.predict(x), plain.predict(x))
    before = dict(vars(other))
    with pytest.raises(
        ValueError, match=f"has '{letter}', a structure of data in one column, but X has 4 columns: use"
    ):
        other.fit(IRIS)
    assert vars(other) == before
    with pytest.raises(ValueError, match=f"has '{letter}', a structure of data in one column"):
        GaussianMixture.from_parameters([1.0], [[0.0, 0.0]], np.eye(2) if letter == "E" else [np.eye(2)], letter)


@pytest.mark.parametrize("covariance_type", ["EEI", STRUCTURES["EEI"], None])
def test_a_covariance_type_is_a_name(covariance_type: Any) -> None:
    gm = GaussianMixture(2, covariance_type=covariance_type, random_state=0)
    if isinstance(covariance_type, str):
        gm.fit(IRIS)
        return
    with pytest.raises(ValueError, match="The 'covariance_type' parameter of GaussianMixture must be a str among"):
        gm.fit(IRIS)


# The M-step


@each_common
def test_one_component_has_a_closed_form(covariance_type: str) -> None:
    gm = GaussianMixture(1, covariance_type=covariance_type, reg_covar=0.0).fit(IRIS)
    variances = IRIS.var(axis=0)
    # 150 terms
    np.testing.assert_allclose(
        gm.covariances_[0], variances if covariance_type == "EEI" else variances.mean(), rtol=1e-13
    )
    assert gm.n_parameters_ == D + (D if covariance_type == "EEI" else 1)
    assert gm.bic(IRIS) == pytest.approx(-2.0 * gm.log_likelihood_ + gm.n_parameters_ * np.log(N), rel=1e-14)


@each_common
@pytest.mark.parametrize("reg_covar", [0.0, 1e-4])
def test_all_components_have_the_pooled_covariance(covariance_type: str, reg_covar: float) -> None:
    settings: dict[str, Any] = {"covariance_type": covariance_type, "reg_covar": reg_covar, "random_state": 0}
    gm = GaussianMixture(3, tol=1e-14, max_iter=5000, **settings).fit(IRIS)
    kind = STRUCTURES[covariance_type]
    assert gm.covariances_.shape == kind.form.shape(3, D)
    assert (gm.covariances_ == gm.covariances_[0]).all()
    expected = kind.form.from_pooled(within(gm, IRIS) + reg_covar * np.eye(D), 3)
    # EM that gains less than 1e-14 nats per row stands still to the root of that.
    np.testing.assert_allclose(gm.covariances_, expected, rtol=1e-6)


@each_common
def test_auto_is_the_ridge_before_pooling(covariance_type: str) -> None:
    """R_j = 1e-8 · within_j + 1e-14 · total_j + (eps · max|x_j|)² / 12, and EII its mean over the columns."""
    X = IRIS * [1.0, 1e3, 1.0, 1.0]
    kind, means = STRUCTURES[covariance_type], X[[25, 75, 125]]
    start = emix.GaussianParameters.from_covariances(
        covariance_type, np.full(3, 1 / 3), means, kind.form.from_pooled(np.cov(X.T), 3)
    )
    statistics, _ = emix.GaussianModel(3, D, covariance_type).begin(ArraySource(X)).e_step(start)
    r = GaussianMixture.from_parameters(start.weights, start.means, start.covariances, covariance_type)
    spread = np.diagonal(within(r, X))
    eps = np.finfo(np.float64).eps
    R = 1e-8 * spread + 1e-14 * X.var(axis=0) + (eps * np.abs(X).max(axis=0)) ** 2 / 12.0
    auto, bare = (kind.maximize(statistics, reg_covar)[0] for reg_covar in ("auto", 0.0))
    sizes = 3, D, covariance_type
    found, without = (emix.GaussianParameters(kind, 3, D, packed).covariances for packed in (auto, bare))
    np.testing.assert_allclose(without, kind.form.from_pooled(np.diag(spread), 3), rtol=1e-12)
    # The difference of two numbers that are equal to eight digits.
    np.testing.assert_allclose(found - without, kind.form.from_pooled(np.diag(R), 3), rtol=1e-6)
    # Its price in Q, by the definition.
    model = emix.GaussianModel(*sizes, reg_covar=0.25)
    kept = model.m_step(statistics)
    best = emix.GaussianParameters(kind, 3, D, bare)
    lost = emix.gaussian.model.q_function(best, statistics) - emix.gaussian.model.q_function(kept, statistics)
    assert model.shortfall(statistics) == pytest.approx(lost, rel=1e-9)


# Starts


@each_common
def test_given_precisions_that_differ_start_from_their_mean_covariance(covariance_type: str) -> None:
    kind = STRUCTURES[covariance_type]
    weights, means = np.array([0.2, 0.8]), IRIS[[10, 100]]
    precisions = np.array([[1.0, 2.0, 4.0, 8.0], [2.0, 2.0, 2.0, 0.5]])
    if covariance_type == "EII":
        precisions = precisions[:, 0]
    given = {"weights_init": weights, "means_init": means, "covariance_type": covariance_type, "max_iter": 0}
    gm = GaussianMixture(2, precisions_init=precisions, **given).fit(IRIS)
    expected = np.average(1.0 / precisions, axis=0, weights=weights)
    np.testing.assert_allclose(gm.covariances_, np.stack([expected] * 2), rtol=1e-15)
    assert gm.covariances_.shape == kind.form.shape(2, D)


@each_common
def test_twins_are_found_whatever_their_precisions(covariance_type: str) -> None:
    precisions = np.array([[1.0] * D, [2.0] * D])
    gm = GaussianMixture(
        2,
        covariance_type=covariance_type,
        means_init=IRIS[[3, 3]],
        precisions_init=precisions if covariance_type == "EEI" else precisions[:, 0],
        reg_covar=0.0,
    )
    with pytest.warns(UserWarning, match=r"means_init\[0\] and means_init\[1\] are equal"):
        gm.fit(IRIS)


@each_common
def test_warm_start_goes_on(covariance_type: str) -> None:
    settings: dict[str, Any] = {
        "covariance_type": covariance_type, "init_params": "kmeans", "random_state": 0, "tol": 0.0,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emix.ConvergenceWarning)  # few iterations are meant
        whole = GaussianMixture(3, max_iter=6, **settings).fit(IRIS)
        steps = GaussianMixture(3, max_iter=2, warm_start=True, **settings)
        for _ in range(3):
            steps.fit(IRIS)
    np.testing.assert_array_equal(steps.covariances_, whole.covariances_)
    np.testing.assert_array_equal(steps.means_, whole.means_)


# Known parameters


def test_known_covariances_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="covariances are not of the covariance structure 'EII', one variance for all"):
        GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [3.0]], [1.0, 2.0], "EII")
    gm = GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [3.0]], [2.0, 2.0], "EII")
    gm.covariances_ = np.array([1.0, 2.0])
    with pytest.raises(ValueError, match="not of the covariance structure 'EII'"):
        gm.predict([[0.0]])
