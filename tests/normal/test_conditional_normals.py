"""Conditionals of a normal for many values at once: against one at a time, and what is refused."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from emix.normal.multivariate_normal import MultivariateNormal
from normal.normals import CLOSE, random_normal, singular_normal


@pytest.mark.parametrize("n_features", [2, 5])
def test_many_conditions_are_those_one_at_a_time(n_features: int) -> None:
    mvn = random_normal(n_features, n_features)
    points = mvn.rvs(6, 0)
    many = mvn.conditional({-1: points[:, -1], 0: 0.5} if n_features > 2 else {-1: points[:, -1]})
    assert len(many) == 6 and many.means.shape == (6, n_features - (2 if n_features > 2 else 1))
    rest = points[:, 1:-1] if n_features > 2 else points[:, :1]
    density = many.logpdf(rest)
    for i, point in enumerate(points):
        one = mvn.conditional({-1: point[-1], 0: 0.5} if n_features > 2 else {-1: point[-1]})
        np.testing.assert_allclose(many[i].mean, one.mean, rtol=CLOSE)
        np.testing.assert_allclose(many[i].covariance, one.covariance, rtol=CLOSE)
        np.testing.assert_allclose(many.std, one.std, rtol=CLOSE)
        assert density[i] == pytest.approx(one.logpdf(rest[i]), rel=CLOSE, abs=CLOSE)
    assert [normal.mean.tolist() for normal in many] == many.means.tolist()
    assert many[-1] == many[5]
    with pytest.raises(IndexError):
        many[6]


def test_an_offset_costs_no_accuracy() -> None:
    mvn = random_normal(3, 4)
    moved = MultivariateNormal(mvn.mean + 1e8, mvn.covariance)
    given = np.array([1.0, -3.0, 7.0])
    here = mvn.conditional({1: given}).means
    # Means and values near 1e8 are rounded to 1.5e-8; coefficients are of order one.
    np.testing.assert_allclose(moved.conditional({1: given + 1e8}).means - 1e8, here, rtol=0, atol=1e-7)


def test_names_and_dtypes_are_kept() -> None:
    mvn = MultivariateNormal.fit(pd.DataFrame(random_normal(0, 3).rvs(20, 0), columns=["a", "b", "c"]))
    many = mvn.conditional({"b": pd.Series([0.0, 1.0], dtype=np.float32)})
    assert many.feature_names is not None and many.feature_names.tolist() == ["a", "c"]
    assert many[0].feature_names_in_.tolist() == ["a", "c"]
    assert many.logpdf(np.zeros((2, 2), np.float32)).dtype == np.float32
    with pytest.raises(ValueError, match=r"Feature names unseen at fit time:\n- b\n"):
        many.logpdf(pd.DataFrame({"a": [0.0, 0.0], "b": [0.0, 0.0]}))
    for other in (copy.deepcopy(many), pickle.loads(pickle.dumps(many))):
        np.testing.assert_array_equal(other.means, many.means)
    assert len(mvn.conditional({"b": []})) == 0


def test_far_rows_have_the_log_density_minus_infinity() -> None:
    many = MultivariateNormal([1e308, 0.0], [[1.0, 0.5], [0.5, 1.0]]).conditional({1: [0.0, 1.0]})
    np.testing.assert_array_equal(many.logpdf([-1.7e308, 1.7e308]), -np.inf)
    near = MultivariateNormal([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]]).conditional({1: [0.0, 1.0]})
    found = near.logpdf(np.float32([1e30, 0.5]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [-np.inf, scipy.stats.norm(0.5, near.std[0]).logpdf(0.5)], rtol=1e-6)  # float32


def test_singular_distributions() -> None:
    mvn = singular_normal(0, 4, 2)
    on = mvn.rvs(5, 1)
    many = mvn.conditional({0: on[:, 0], 1: on[:, 1]})
    # Two of four features on a plane determine the others.
    np.testing.assert_allclose(many.means, on[:, 2:], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(many.covariance, 0.0)
    np.testing.assert_array_equal(many.logpdf(many.means), 0.0)
    np.testing.assert_array_equal(many.logpdf(many.means + 1.0), -np.inf)
    with pytest.raises(ValueError, match=r"given has values that are impossible together in row 3: the dist"):
        mvn.conditional({0: on[:, 0], 1: on[:, 1], 2: on[:, 2] + [0, 0, 0, 1, 1]})


def test_bad_arguments_are_named() -> None:
    many = random_normal(0, 3).conditional({0: [0.0, 1.0]})
    with pytest.raises(ValueError, match=r"Y has shape \(3, 2\), expected \(2, 2\): one row for each condition"):
        many.logpdf(np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"Y has shape \(2, 3\), expected \(\.\.\., 2\)"):
        many.logpdf(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"Input Y contains NaN"):
        many.logpdf([[0.0, 0.0], [0.0, np.nan]])
    steep = MultivariateNormal([0.0, 0.0], [[1e-100, 0.5], [0.5, 1e100]])
    with pytest.raises(ValueError, match=r"given has values in row 1 so far from the mean that the conditional mean"):
        steep.conditional({0: [0.0, 1e300]})


# What the distribution has beside: scipy.stats.norm is the reference


def test_moments_under_other_names() -> None:
    mvn = random_normal(1, 4)
    np.testing.assert_array_equal(mvn.cov, mvn.covariance)
    np.testing.assert_array_equal(mvn.std, np.sqrt(np.diagonal(mvn.covariance)))
    np.testing.assert_allclose(mvn.correlation * np.outer(mvn.std, mvn.std), mvn.covariance, rtol=CLOSE)
    constant = MultivariateNormal([0.0, 1.0], [[4.0, 0.0], [0.0, 0.0]], allow_singular=True)
    np.testing.assert_array_equal(constant.correlation, np.eye(2))
    np.testing.assert_array_equal(constant.std, [2.0, 0.0])


def test_logarithm_of_the_distribution_function() -> None:
    mvn = MultivariateNormal([1.0], [[4.0]])
    points = np.array([-np.inf, -1e6, -80.0, -3.0, 0.0, 1.0, 4.0, 11.0, 30.0, np.inf])
    expected = scipy.stats.norm(1.0, 2.0).logcdf(points)
    np.testing.assert_allclose(mvn.logcdf(points), expected, rtol=CLOSE)
    # log Φ(z) ≈ −(1 − Φ(z)) far above, of which 1 − Φ itself keeps the digits.
    assert mvn.logcdf(1.0 + 2.0 * 12.0) == pytest.approx(-scipy.stats.norm.sf(12.0), rel=CLOSE)
    np.testing.assert_allclose(np.exp(mvn.logcdf(points)), mvn.cdf(points), rtol=CLOSE)
    assert mvn.logcdf(points[3:6].astype(np.float32)).dtype == np.float32
    assert mvn.logcdf(points[:, None, None]).shape == (10, 1)
    np.testing.assert_array_equal(mvn.logcdf(np.float32([-1e30, 1e30])), np.float32([-np.inf, 0.0]))
    constant = MultivariateNormal([1.0], [[0.0]], allow_singular=True)
    np.testing.assert_array_equal(constant.logcdf([0.0, 1.0, 2.0]), [-np.inf, 0.0, 0.0])
    with pytest.raises(ValueError, match=r"logcdf is for one feature, and this distribution has 2\."):
        random_normal(0, 2).logcdf([0.0, 0.0])
    with pytest.raises(ValueError, match=r"Input X contains NaN"):
        mvn.logcdf(np.nan)


def test_independent_features_need_no_integration() -> None:
    mvn = MultivariateNormal([0.0, 1.0, 2.0], np.diag([1.0, 4.0, 9.0]))
    points = np.array([[-30.0, -20.0, 2.0], [1.0, 1.0, 1.0], [np.inf, -5.0, np.inf]])
    expected = scipy.stats.norm([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]).cdf(points).prod(axis=1)
    # The integration's absolute error is 1e-5: the first probability is 1e-222.
    np.testing.assert_allclose(mvn.cdf(points), expected, rtol=CLOSE)
