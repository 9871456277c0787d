"""An object of many conditional mixtures: its moments, densities and quantiles against those of one mixture a time."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

from emix import GaussianMixture
from emix.estimators.conditional_mixtures import ConditionalMixtures
from emix.estimators.conditioning import Conditioning
from emix.exceptions import DegenerateCovarianceError
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.structures import STRUCTURES
from estimators.mixtures import X, each_type

ROWS = X[::25]


@each_type
def test_many_are_one_at_a_time(covariance_type: str) -> None:
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    many = gm.conditional({1: ROWS[:, 1]})
    assert (len(many), many.n_features) == (len(ROWS), 2)
    density = many.logpdf(ROWS[:, [0, 2]])
    mean, covariance, deviations = many.mean(), many.covariance(), many.std()
    for i, one in enumerate(many):
        assert one.covariance_type == many.covariance_type
        # Two ways to sum, of terms of order one.
        np.testing.assert_allclose(one.mean(), mean[i], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(one.covariance(), covariance[i], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(one.score_samples(ROWS[i : i + 1, [0, 2]]), density[i], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(deviations**2, np.diagonal(covariance, axis1=1, axis2=2), rtol=1e-12)
    again = pickle.loads(pickle.dumps(many))
    np.testing.assert_array_equal(again.mean(), mean)
    with pytest.raises(IndexError):
        many[len(ROWS)]
    some = many[-2:0:-2]
    assert len(some) == len(range(len(ROWS))[-2:0:-2])
    np.testing.assert_array_equal(some.mean(), mean[-2:0:-2])
    with pytest.raises(TypeError, match=r"the condition is 'a', expected an int or a slice"):
        many["a"]  # type: ignore[call-overload]


def test_moments_are_those_of_draws() -> None:
    gm = GaussianMixture(3, random_state=0).fit(X)
    many = gm.conditional({0: X[:1, 0]})
    drawn, _ = many[0].set_params(random_state=0).sample(100_000)
    # Four standard errors of the mean; a covariance's is √2 to some times the product of the deviations over √n.
    np.testing.assert_allclose(many.mean()[0], drawn.mean(axis=0), rtol=0, atol=4 * many.std().max() / 316)
    np.testing.assert_allclose(many.covariance()[0], np.cov(drawn.T), rtol=0, atol=8 * many.std().max() ** 2 / 316)


def test_functions_of_one_feature_are_those_of_the_mixtures() -> None:
    gm = GaussianMixture(3, random_state=0).fit(X[:, :2])
    many = gm.conditional({0: ROWS[:, 0]})
    q = [0.0, 0.05, 0.5, 1.0 - 1e-12]
    limits = many.quantile(q)
    assert limits.shape == (len(ROWS), 4) and many.quantile(0.5).shape == (len(ROWS),)
    np.testing.assert_array_equal(many.quantile(0.5), limits[:, 2])
    for i, one in enumerate(many):
        np.testing.assert_allclose(one.quantile(q), limits[i], rtol=1e-13, atol=1e-13)
    # A limit is some deviations from 0. Its rounding, 1e-16 of it, changes a probability of 0.05 by 2e-16 of that for
    # each of these deviations; sums of three components add as much.
    np.testing.assert_allclose(many.cdf(limits[:, 1]), 0.05, rtol=1e-13)
    assert many.cdf(limits[:, 1].astype(np.float32)).dtype == np.float32
    assert many.logpdf(limits[:, 1].astype(np.float32)).dtype == np.float32
    # ∫ p(y | x) dy = 1
    y, step = np.linspace(-60.0, 60.0, 6001, retstep=True)
    every = gm.conditional({0: np.full(len(y), 1.5)})
    assert np.exp(every.logpdf(y)).sum() * step == pytest.approx(1.0, rel=1e-12)


def test_a_density_that_underflows_is_minus_infinity() -> None:
    many = GaussianMixture(2, random_state=0).fit(X).conditional({0: [0.0], 1: [0.0]})
    np.testing.assert_array_equal(many.logpdf([1e200]), -np.inf)
    assert np.isfinite(many.logpdf([1e100])).all()


def test_a_covariance_without_a_factor_is_named_by_its_component() -> None:
    eye, flat = np.eye(2), np.array([[1.0, 1.0], [1.0, 1.0]])
    many = ConditionalMixtures(np.full((1, 3), 1 / 3), np.zeros((1, 3, 2)), np.array([eye, eye, flat]))
    text = r"the covariance of component 2 is not positive definite to working precision: there is no density"
    with pytest.raises(DegenerateCovarianceError, match=text) as caught:
        many.logpdf([[0.0, 0.0]])
    assert caught.value.component == 2
    matrices = np.array([eye, flat])
    parameters = GaussianParameters.of_arrays(
        STRUCTURES["full"], np.full(2, 0.5), np.zeros((2, 2)), matrices, matrices, np.zeros(2)
    )
    text = r"the covariance of component 1 is not positive definite to working precision: no feature can be given"
    with pytest.raises(DegenerateCovarianceError, match=text) as caught:
        Conditioning(parameters, [1])
    assert caught.value.component == 1


def test_means_far_apart_have_deviations_and_a_covariance_that_overflows_is_refused() -> None:
    gm = GaussianMixture.from_parameters([0.5, 0.5], [[-1e200, 0.0], [1e200, 0.0]], [np.eye(2)] * 2)
    many = gm.conditional({1: [0.0, 1.0]})
    np.testing.assert_allclose(many.std(), [[1e200]] * 2, rtol=1e-15)
    with pytest.raises(ValueError, match=r"The covariance of the mixture overflows at feature 0: .* Divide this"):
        many.covariance()


def test_bad_arguments_are_named() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    many: Any = GaussianMixture(2, random_state=0).fit(frame).conditional({"a": [0.0, 1.0]})
    with pytest.raises(ValueError, match=r"Y has shape \(3, 2\), expected \(2, 2\): one row for each condition"):
        many.logpdf(np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"Feature names must be in the same order"):
        many.logpdf(frame[["c", "b"]][:2])
    for method in (many.cdf, many.quantile):
        with pytest.raises(ValueError, match=r"(cdf|quantile) is for mixtures of one feature, and these have 2\."):
            method([0.5, 0.5])
    one: Any = GaussianMixture(2, random_state=0).fit(X[:, :2]).conditional({0: [0.0, 1.0]})
    with pytest.raises(ValueError, match=r"q\[1\] is 1\.5, expected a probability from 0 to 1\."):
        one.quantile([0.5, 1.5])
    with pytest.raises(ValueError, match=r"q is nan, expected a probability from 0 to 1\."):
        one.quantile(np.nan)
    with pytest.raises(ValueError, match=r"q has shape \(1, 1\), expected a number or a 1-D array\."):
        one.quantile([[0.5]])
    with pytest.raises(ValueError, match=r"Input Y contains NaN"):
        one.logpdf([0.0, np.nan])
