"""Fitted attributes: stored and copied mixtures are the same mixtures; what is put in an attribute's place counts."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import joblib
import numpy as np
import pytest
import scipy.stats

from emix import GaussianMixture
from emix.estimators.fit_state import attributes_of

TYPES = ["full", "tied", "diag", "spherical"]
ARRAYS = ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"]
each_type = pytest.mark.parametrize("covariance_type", TYPES)
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
    vars(mixture).update(attributes_of(mixture._fitted(), np.dtype(np.float32)))
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
    return {
        "full": lambda: values,
        "tied": lambda: np.stack([values] * 2),
        "diag": lambda: values[:, :, np.newaxis] * np.eye(3),
        "spherical": lambda: values[:, np.newaxis, np.newaxis] * np.eye(3),
    }[covariance_type]()


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
    with pytest.raises(ValueError, match=r"covariances has shape \(2, 3\), expected \(2, 6\)"):
        mixture.score(X)
    mixture.covariances_ = np.ones((2, 6))
    with pytest.raises(ValueError, match="X has 3 columns, expected 6, as the parameters have"):
        mixture.score(X)
    mixture = fitted("diag", np.float64)
    mixture.weights_ = [1.0]
    with pytest.raises(ValueError, match=r"weights has shape \(1,\), expected \(2,\)"):
        mixture.predict(X)
