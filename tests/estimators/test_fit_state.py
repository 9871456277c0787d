"""Fitted attributes: stored and copied mixtures are the same mixtures; what is put in an attribute's place counts."""

from __future__ import annotations

import copy
import io
import os
import pickle
import re
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.stats

from emix import GaussianMixture
from emix.estimators.fit_state import attributes_of, parameters_of
from emix.gaussian.structures import STRUCTURES

ARRAYS = ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"]
each_type = pytest.mark.parametrize("covariance_type", STRUCTURES)
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])

RNG = np.random.default_rng(0)
X = np.vstack([RNG.normal(size=(150, 3)), RNG.normal(size=(150, 3)) @ np.diag([1.0, 2.0, 0.5]) + 4.0])


def by_joblib(estimator: Any) -> Any:
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


def by_pickle(estimator: Any) -> Any:
    return pickle.loads(pickle.dumps(estimator))


each_way = pytest.mark.parametrize("way", [by_joblib, by_pickle, copy.copy, copy.deepcopy])


def fitted(covariance_type: str, dtype: type) -> GaussianMixture:
    return GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X.astype(dtype))


@each_way
@each_type
@each_dtype
def test_stored_mixture_scores_to_the_same_bits(way: Any, covariance_type: str, dtype: type) -> None:
    mixture = fitted(covariance_type, dtype)
    other = way(mixture)
    rows = X.astype(dtype)
    np.testing.assert_array_equal(other.score_samples(rows), mixture.score_samples(rows))
    np.testing.assert_array_equal(way(other).predict_proba(rows), mixture.predict_proba(rows))
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(other, name), getattr(mixture, name))
    assert vars(other).keys() == vars(mixture).keys()


@each_way
def test_stored_mixture_may_be_nearly_singular_in_float32(way: Any) -> None:
    covariance = np.array([[1.0, 1.0 - 1e-9], [1.0 - 1e-9, 1.0]])
    mixture = GaussianMixture.from_parameters([1.0], np.zeros((1, 2)), covariance[np.newaxis])
    vars(mixture).update(attributes_of(parameters_of(vars(mixture)), np.dtype(np.float32)))
    assert np.linalg.matrix_rank(mixture.covariances_[0]) == 1
    rows = X[:, :2].astype(np.float32)
    np.testing.assert_array_equal(way(mixture).score_samples(rows), mixture.score_samples(rows))
    # The covariances stay in float64 where only means are replaced.
    mixture.means_ = np.zeros((1, 2))
    np.testing.assert_array_equal(way(mixture).score_samples(rows), mixture.score_samples(rows))


@each_way
def test_stored_mixture_keeps_what_was_replaced(way: Any) -> None:
    mixture = fitted("full", np.float64)
    mixture.means_ = mixture.means_ + 1.0
    other = way(mixture)
    np.testing.assert_array_equal(other.score_samples(X), mixture.score_samples(X))
    other.means_ = other.means_ - 1.0
    np.testing.assert_allclose(other.score_samples(X), fitted("full", np.float64).score_samples(X), rtol=1e-12)


@each_way
def test_mixture_that_is_not_fitted(way: Any) -> None:
    assert way(GaussianMixture(5)).n_components == 5


@each_way
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_read_only(way: Any, name: str) -> None:
    # What was written into them would not be seen.
    for mixture in (fitted("diag", np.float64), way(fitted("diag", np.float64))):
        with pytest.raises(ValueError, match="read-only"):
            getattr(mixture, name)[0] += 100.0
        assert getattr(mixture, name).copy().flags.writeable


def mixture_density(weights: Any, means: Any, covariances: Any) -> Any:
    """Log-density of the rows by SciPy."""
    normals = [scipy.stats.multivariate_normal(m, c).pdf(X) for m, c in zip(means, covariances, strict=True)]
    return np.log(np.asarray(weights) @ normals)


def as_full(covariance_type: str, values: Any) -> Any:
    return STRUCTURES[covariance_type].form.to_full(values, 2, 3)


@each_type
@each_dtype
@pytest.mark.parametrize("replaced", [["weights_"], ["means_"], ["covariances_"], ["weights_", "means_"], ARRAYS[:3]])
def test_attributes_that_are_replaced_are_used(covariance_type: str, dtype: type, replaced: list[str]) -> None:
    mixture = fitted(covariance_type, dtype)
    new = {"weights_": np.array([0.3, 0.7]), "means_": np.asarray(X[:2]), "covariances_": 2.0 * mixture.covariances_}
    for name in replaced:
        setattr(mixture, name, new[name])
    covariances = as_full(covariance_type, np.asarray(mixture.covariances_, dtype=np.float64))
    expected = mixture_density(mixture.weights_, mixture.means_, covariances)
    # The reference has covariances that were rounded to the dtype, condition number 16; emix's own are in float64.
    rtol = 1e-10 if dtype is np.float64 else 2e-5
    np.testing.assert_allclose(mixture.score_samples(X), expected, rtol=rtol)


@each_type
@each_dtype
def test_factors_of_precisions_that_are_replaced_are_used(covariance_type: str, dtype: type) -> None:
    mixture = fitted(covariance_type, dtype)
    mixture.precisions_cholesky_ = 2.0 * mixture.precisions_cholesky_
    covariances = as_full(covariance_type, np.asarray(mixture.covariances_, dtype=np.float64)) / 4.0
    expected = mixture_density(mixture.weights_, mixture.means_, covariances)
    # As above.
    np.testing.assert_allclose(mixture.score_samples(X), expected, rtol=1e-10 if dtype is np.float64 else 2e-5)


def test_replaced_attributes_of_other_shapes_are_refused() -> None:
    mixture = fitted("diag", np.float64)
    mixture.means_ = np.zeros((2, 6))
    with pytest.raises(ValueError, match=r"covariances_ has shape \(2, 3\), expected \(2, 6\)"):
        mixture.score(X)
    mixture.covariances_ = np.ones((2, 6))
    with pytest.raises(ValueError, match="X has 3 columns, expected 6, as the parameters have"):
        mixture.score(X)
    mixture = fitted("diag", np.float64)
    mixture.weights_ = [1.0]
    with pytest.raises(ValueError, match=r"weights has shape \(1,\), expected \(2,\)"):
        mixture.predict(X)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("weights_", [1.5, -0.5], "weights_[1] is -0.5, expected 0 or more"),
        ("weights_", [0.5, 0.4], "weights_ sum to 0.9, expected 1: divide them by their sum."),
        ("weights_", [np.nan, 1.0], "weights_[0] is nan, expected finite numbers."),
        ("means_", [[0.0, 0.0, np.nan], [1.0, 1.0, 1.0]], "means_[0, 2] is nan, expected finite numbers."),
        ("covariances_", [np.eye(3), np.full((3, 3), np.inf)], "covariances_[1, 0, 0] is inf, expected finite"),
        ("covariances_", [np.eye(3), np.triu(np.ones((3, 3)))], "covariances_[1, 0, 1] is 1 and covariances_[1, 1, 0]"),
        ("precisions_cholesky_", [np.eye(3), np.nan * np.eye(3)], "precisions_cholesky_[1, 0, 0] is nan, expected"),
        ("precisions_cholesky_", [np.eye(3), np.tri(3)], "precisions_cholesky_[1, 1, 0] is 1, expected 0: below the"),
        (
            "precisions_cholesky_",
            [np.eye(3), -np.eye(3)],
            "precisions_cholesky_[1, 0, 0] is -1, expected numbers",
        ),
    ],
)
def test_replaced_attributes_that_cannot_be_those_of_a_mixture_are_refused(name: str, value: Any, text: str) -> None:
    mixture = fitted("full", np.float64)
    setattr(mixture, name, value)
    for use in (
        lambda: mixture.score_samples(X),
        lambda: mixture.predict(X[:1]),
        lambda: mixture.bic(X),
        lambda: mixture.sample(2),
        lambda: mixture.n_parameters_,
        lambda: mixture.set_params(warm_start=True).fit(X),
        lambda: mixture.save(os.devnull),
    ):
        with pytest.raises(ValueError, match=re.escape(text)):
            use()


@pytest.mark.parametrize("value", [[0.0, 1.0], [np.nan, 1.0], [-1.0, 1.0]])
def test_replaced_factors_of_spherical_precisions(value: Any) -> None:
    mixture = fitted("spherical", np.float64)
    mixture.precisions_cholesky_ = value
    with pytest.raises(ValueError, match=re.escape(f"precisions_cholesky_[0] is {value[0]:g}, expected ")):
        mixture.score(X)


def test_another_mixture_may_be_put_in_the_place_of_all() -> None:
    mixture = fitted("diag", np.float64)
    mixture.weights_, mixture.means_, mixture.covariances_ = [0.2, 0.3, 0.5], X[:3], np.full((3, 3), 2.0)
    expected = mixture_density([0.2, 0.3, 0.5], X[:3], [2.0 * np.eye(3)] * 3)
    np.testing.assert_allclose(mixture.score_samples(X), expected, rtol=1e-12)


# One estimator, fitted in one thread and used in another


class Interrupting:
    """Rows that, as they are asked for, do something: what another thread might do in the middle of a call."""

    def __init__(self, rows: Any, act: Any) -> None:
        self.rows, self.act = rows, act
        self.shape = rows.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        self.act()
        return np.array(self.rows, dtype=dtype)


USES = {
    "score_samples": lambda gm, rows: gm.score_samples(rows),
    "predict": lambda gm, rows: gm.predict(rows),
    "predict_proba": lambda gm, rows: gm.predict_proba(rows),
    "score_rows": lambda gm, rows: gm.score_rows(rows).log_density,
    "score": lambda gm, rows: gm.score(rows),
    "bic": lambda gm, rows: gm.bic(rows),
    "aic": lambda gm, rows: gm.aic(rows),
    "icl": lambda gm, rows: gm.icl(rows),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_a_call_is_of_one_fit_whatever_happens_meanwhile(use: Any) -> None:
    # Another number of components and of features: if anything of the other fit came in, the call could not even end.
    mixture = fitted("full", np.float64)
    expected = use(mixture, X)
    wider = np.hstack([X, X[:, :1] ** 2])

    def refit() -> None:
        mixture.set_params(n_components=3, covariance_type="diag").fit(wider)

    np.testing.assert_array_equal(use(mixture, Interrupting(X, refit)), expected)
    assert mixture.n_features_in_ == 4
    assert not np.array_equal(use(mixture, wider), expected)


def test_a_fit_and_its_labels_are_of_one_fit() -> None:
    class Refitted(GaussianMixture):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "__dict__" and self.n_components == 2:
                self.set_params(n_components=1).fit(X)

    mixture = Refitted(2, random_state=0)
    np.testing.assert_array_equal(mixture.fit_predict(X), fitted("full", np.float64).predict(X))
    assert mixture.weights_.shape == (1,)


def test_fitted_attributes_are_replaced_in_one_assignment() -> None:
    # A look at them is at those of one fit for ever: what another thread read before is not changed.
    mixture = fitted("full", np.float64)
    before = vars(mixture)
    kept = dict(before)
    mixture.set_params(n_components=3).fit(pd.DataFrame(X, columns=["a", "b", "c"]))
    assert before.keys() == kept.keys()
    assert all(before[name] is value for name, value in kept.items() if name != "n_components")
    assert list(mixture.feature_names_in_) == ["a", "b", "c"]
    mixture.fit(X)
    assert not hasattr(mixture, "feature_names_in_")


def test_a_saved_mixture_is_of_one_fit(tmp_path: Any) -> None:
    class Refitted(GaussianMixture):
        def get_params(self, deep: bool = True) -> dict[str, Any]:
            mixture.fit(X[:, :2].astype(np.float32))  # in the middle of saving
            return super().get_params(deep)

    mixture = Refitted(2, random_state=0)
    mixture.fit(X)
    mixture.save(tmp_path / "model")
    assert mixture.n_features_in_ == 2
    saved, expected = GaussianMixture.load(tmp_path / "model"), fitted("full", np.float64)
    assert saved.means_.dtype == np.float64
    assert saved.log_likelihood_ == expected.log_likelihood_
    assert saved.lower_bounds_ == expected.lower_bounds_
    np.testing.assert_array_equal(saved.score_samples(X), expected.score_samples(X))


@pytest.mark.parametrize(("value", "text"), [(None, "weights has shape"), ("ab", "weights_"), ([0.5, "x"], "weights_")])
def test_what_is_no_array_is_refused_by_its_name_also_by_save(value: Any, text: str, tmp_path: Any) -> None:
    gm = GaussianMixture(2, random_state=0).fit(X)
    gm.weights_ = value
    for call in (lambda: gm.score(X), lambda: gm.save(tmp_path / "model"), lambda: copy.copy(gm).score(X)):
        with pytest.raises((TypeError, ValueError), match=text):
            call()
    assert not (tmp_path / "model").exists()
