"""A mixture as scikit-learn's GaussianMixture and back: both score alike."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.mixture
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

import emix
from emix import GaussianMixture
from emix.gaussian.structures import STRUCTURES
from estimators.mixtures import X, each_type, quietly

FOUR = ("full", "tied", "diag", "spherical")
ATTRIBUTES = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
each_of_four = pytest.mark.parametrize("covariance_type", FOUR)


def tolerance(dtype: Any) -> dict[str, float]:
    # scikit-learn sums the squares of a row in another order; in single precision it has log-densities to some 1e-5.
    return {"rtol": 1e-5, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-11}


def assert_alike(one: Any, other: Any, rows: NDArray[Any]) -> None:
    tolerances = tolerance(rows.dtype)
    np.testing.assert_allclose(one.score_samples(rows), other.score_samples(rows), **tolerances)
    np.testing.assert_allclose(one.predict_proba(rows), other.predict_proba(rows), **tolerances)
    np.testing.assert_array_equal(one.predict(rows), other.predict(rows))


# To scikit-learn


@each_type
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_scores_of_scikit_learn_are_alike(covariance_type: str, dtype: type) -> None:
    rows = X.astype(dtype)
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(rows)
    theirs = gm.to_sklearn()
    assert type(theirs) is sklearn.mixture.GaussianMixture
    check_is_fitted(theirs)
    assert theirs.covariance_type == STRUCTURES[covariance_type].form.name
    assert_alike(theirs, gm, rows)
    assert theirs.score(rows) == pytest.approx(gm.score(rows), rel=1e-5 if dtype is np.float32 else 1e-13)
    for name in ATTRIBUTES:
        array = getattr(theirs, name)
        assert array.dtype == dtype
        np.testing.assert_array_equal(array, getattr(gm, name))
        assert array.flags.writeable and not np.shares_memory(array, getattr(gm, name))


@each_of_four
def test_what_scikit_learn_has_after_a_fit_is_there(covariance_type: str) -> None:
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    theirs = gm.to_sklearn()
    fitted = clone(theirs).fit(X)
    assert set(vars(theirs)) == {*vars(fitted), "lower_bounds_"}  # which scikit-learn has from 1.7 on
    for name, value in vars(fitted).items():
        assert isinstance(getattr(theirs, name), type(value)), name
        if isinstance(value, np.ndarray):
            assert getattr(theirs, name).shape == value.shape
    assert theirs.n_iter_ == gm.n_iter_ == len(theirs.lower_bounds_)
    assert theirs.lower_bound_ == gm.lower_bound_ == theirs.lower_bounds_[-1]
    assert theirs.bic(X) == pytest.approx(gm.bic(X), rel=1e-13)
    assert theirs.aic(X) == pytest.approx(gm.aic(X), rel=1e-13)
    rows, labels = theirs.sample(10)
    assert rows.shape == (10, 3) and labels.shape == (10,)
    again = pickle.loads(pickle.dumps(theirs))
    np.testing.assert_array_equal(again.score_samples(X), theirs.score_samples(X))


def test_a_fit_of_scikit_learn_goes_on_from_there() -> None:
    gm = quietly(GaussianMixture(3, max_iter=5, init_params="random", random_state=0, warm_start=True), X)
    theirs = gm.to_sklearn().set_params(max_iter=1, tol=10.0)
    theirs.fit(X)
    gm.max_iter, gm.reg_covar = 1, theirs.reg_covar
    quietly(gm, X)
    np.testing.assert_allclose(theirs.means_, gm.means_, rtol=1e-9)  # one step of each, from the same parameters


def test_settings_are_kept_where_scikit_learn_has_them() -> None:
    settings: dict[str, Any] = {
        "n_components": 2,
        "covariance_type": "tied",
        "tol": 1e-4,
        "reg_covar": 1e-3,
        "max_iter": 50,
        "n_init": 3,
        "init_params": "k-means++",
        "random_state": 7,
        "warm_start": True,
        "verbose_interval": 5,
    }
    parameters = GaussianMixture(**settings).fit(X).to_sklearn().get_params()
    assert {name: parameters[name] for name in settings} == settings
    defaults = GaussianMixture(2, random_state=np.random.default_rng(0)).fit(X).to_sklearn().get_params()
    own = sklearn.mixture.GaussianMixture().get_params()
    assert {name: defaults[name] for name in ("reg_covar", "init_params", "random_state")} == {
        name: own[name] for name in ("reg_covar", "init_params", "random_state")
    }
    clone(GaussianMixture(2, init_params="hierarchical").fit(X).to_sklearn()).fit(X)  # all its settings are valid


def test_mixture_of_known_parameters_goes_over() -> None:
    gm = GaussianMixture.from_parameters([0.25, 0.75], [[0.0, 1.0], [3.0, 3.0]], [2.0, 0.5], "spherical")
    theirs = gm.to_sklearn()
    assert_alike(theirs, gm, np.array([[0.0, 0.0], [2.0, 5.0]]))
    assert (theirs.converged_, theirs.n_iter_, theirs.lower_bound_, theirs.lower_bounds_) == (True, 0, -np.inf, [])


def test_arrays_that_were_replaced_go_over() -> None:
    gm = GaussianMixture(3, random_state=0).fit(X)
    gm.means_ = gm.means_ + 1.0
    assert_alike(gm.to_sklearn(), gm, X)


def test_unfitted_mixture_does_not_go_over() -> None:
    with pytest.raises(emix.NotFittedError, match="This GaussianMixture instance is not fitted yet"):
        GaussianMixture().to_sklearn()


# From scikit-learn


@each_of_four
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_scores_of_emix_are_alike(covariance_type: str, dtype: type) -> None:
    rows = X.astype(dtype)
    theirs = sklearn.mixture.GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(rows)
    gm = GaussianMixture.from_sklearn(theirs)
    assert type(gm) is GaussianMixture
    assert_alike(gm, theirs, rows)
    for name in ATTRIBUTES:
        assert getattr(gm, name).dtype == getattr(theirs, name).dtype
        # Weights are divided by their sum, precisions multiplied from the factors anew, in double precision.
        rtol = 1e-5 if dtype is np.float32 else 1e-13
        np.testing.assert_allclose(getattr(gm, name), getattr(theirs, name), rtol=rtol, atol=rtol)
    # Single precision: scikit-learn rounds each log-density, and sums them in it.
    assert gm.bic(rows) == pytest.approx(theirs.bic(rows), rel=1e-5)
    assert gm.n_features_in_ == 3


@each_of_four
def test_there_and_back_changes_no_bit(covariance_type: str) -> None:
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    back = GaussianMixture.from_sklearn(gm.to_sklearn())
    for name in ATTRIBUTES:
        np.testing.assert_array_equal(getattr(back, name), getattr(gm, name))
    np.testing.assert_array_equal(back.score_samples(X), gm.score_samples(X))


def test_factors_count_where_covariances_do_not_belong_to_them() -> None:
    theirs = sklearn.mixture.GaussianMixture(3, random_state=0).fit(X)
    theirs.precisions_cholesky_ = 2.0 * theirs.precisions_cholesky_
    gm = GaussianMixture.from_sklearn(theirs)
    assert_alike(gm, theirs, X)
    np.testing.assert_allclose(gm.covariances_, theirs.covariances_ / 4.0, rtol=1e-11)
    # scikit-learn scores without covariances, too.
    del theirs.covariances_
    assert_alike(GaussianMixture.from_sklearn(theirs), theirs, X)


def test_settings_and_names_come_over() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    theirs = sklearn.mixture.GaussianMixture(2, tol=1e-5, max_iter=30, init_params="random", random_state=3)
    empty = GaussianMixture.from_sklearn(theirs)
    assert repr(empty) == (
        "GaussianMixture(n_components=2, tol=1e-05, reg_covar=1e-06, max_iter=30, init_params='random', random_state=3)"
    )
    with pytest.raises(emix.NotFittedError):
        empty.predict(X)
    gm = GaussianMixture.from_sklearn(quietly(theirs, frame))
    assert gm.feature_names_in_.tolist() == ["a", "b", "c"]
    assert gm.predict(frame).shape == (len(X),)
    assert gm.set_params(warm_start=True).fit(frame).score(frame) >= theirs.score(frame)


def test_saved_and_loaded(tmp_path: Any) -> None:
    theirs = sklearn.mixture.GaussianMixture(3, random_state=0).fit(X)
    gm = GaussianMixture.from_sklearn(theirs)
    gm.save(tmp_path / "mixture.npz")
    np.testing.assert_array_equal(GaussianMixture.load(tmp_path / "mixture.npz").score_samples(X), gm.score_samples(X))


@pytest.mark.parametrize(
    "foreign", [GaussianMixture(), sklearn.mixture.BayesianGaussianMixture(), 3], ids=["emix", "Bayes", "int"]
)
def test_other_objects_are_refused(foreign: Any) -> None:
    with pytest.raises(TypeError, match=r"estimator is a \w+ \w+, expected a sklearn\.mixture\.GaussianMixture"):
        GaussianMixture.from_sklearn(foreign)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weights_", [0.5, 0.4, 0.3], "weights_ sum to 1.2, expected 1"),
        ("weights_", [0.5, 0.5], r"weights has shape \(2,\), expected \(3,\)"),
        ("means_", np.full((3, 3), np.nan), r"means_\[0, 0\] is nan, expected finite numbers"),
        ("precisions_cholesky_", np.ones((3, 3, 3)), r"precisions_cholesky_\[0, 1, 0\] is 1, expected 0"),
        ("covariances_", np.ones((3, 3)), r"covariances_ has shape \(3, 3\), expected \(3, 3, 3\)"),
    ],
)
def test_arrays_that_are_no_mixture_are_refused(name: str, value: Any, message: str) -> None:
    theirs = sklearn.mixture.GaussianMixture(3, random_state=0).fit(X)
    setattr(theirs, name, value)
    with pytest.raises(ValueError, match=message):
        GaussianMixture.from_sklearn(theirs)


def test_without_scikit_learn_the_error_names_it() -> None:
    code = (
        "import sys, emix; sys.modules['sklearn'] = None\n"
        "gm = emix.GaussianMixture.from_parameters([1.0], [[0.0]], [1.0], 'spherical')\n"
        "for method in (gm.to_sklearn, lambda: gm.from_sklearn(gm)):\n"
        "    try:\n"
        "        method()\n"
        "    except ImportError as error:\n"
        "        print(error)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("need scikit-learn, which is not installed: pip install scikit-learn\n") == 2
