"""Arguments of a normal's methods: their shapes and kinds, and what is said of bad ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from emix.estimators.multivariate_normal import MultivariateNormal
from estimators.normals import CLOSE, random_normal


def test_shapes_follow_the_leading_axes() -> None:
    mvn = random_normal(0, 3)
    points = mvn.rvs(24, 0)
    flat = mvn.logpdf(points)
    assert flat.shape == (24,)
    for method in (mvn.logpdf, mvn.pdf, mvn.mahalanobis):
        np.testing.assert_array_equal(method(points.reshape(2, 3, 4, 3)), method(points).reshape(2, 3, 4))
        one = method(points[0])
        assert np.ndim(one) == 0 and isinstance(one, np.float64)
        assert one == pytest.approx(method(points)[0], rel=CLOSE)
        assert method(points[:1]).shape == (1,)
        assert method(np.empty((0, 3))).shape == (0,)
        np.testing.assert_array_equal(method(np.asfortranarray(points)), method(points))
        np.testing.assert_array_equal(method(points[::-2]), method(points)[::-2])
        np.testing.assert_array_equal(method(points.tolist()), method(points))
    assert mvn.cdf(points.reshape(4, 6, 3)[:2, :1]).shape == (2, 1)


def test_one_feature_takes_points_as_scalars_too() -> None:
    mvn = MultivariateNormal([1.0], [[4.0]])
    reference = scipy.stats.norm(1, 2)
    points = np.linspace(-5, 5, 7)
    for found in (mvn.logpdf(points), mvn.logpdf(points[:, None]), mvn.logpdf(points[None, :, None])[0]):
        np.testing.assert_allclose(found, reference.logpdf(points), rtol=CLOSE)
    assert np.ndim(mvn.logpdf(2.0)) == 0
    assert mvn.logpdf([2.0]).shape == (1,)


def test_bad_arguments_are_named() -> None:
    mvn: Any = random_normal(0, 3)
    for method in (mvn.logpdf, mvn.pdf, mvn.mahalanobis, mvn.cdf):
        with pytest.raises(ValueError, match=r"X has shape \(2,\), expected \(\.\.\., 3\): the last axis holds the 3"):
            method([1.0, 2.0])
        with pytest.raises(ValueError, match=r"Input X contains NaN.*row 1, column 2"):
            method([[1.0, 2.0, 3.0], [1.0, 2.0, np.nan]])
        with pytest.raises(ValueError, match=r"Complex data not supported"):
            method([[1.0, 2.0, 3j]])
    with pytest.raises(ValueError, match=r"Input X contains infinity.*row 0, column 1"):
        mvn.logpdf([[1.0, np.inf, 3.0]])
    with pytest.raises(ValueError, match=r"lower_limit has shape \(2, 3\), expected one that broadcasts with X"):
        mvn.cdf(np.zeros((3, 3)), lower_limit=np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"Input lower_limit contains NaN"):
        mvn.cdf(np.zeros((3, 3)), lower_limit=[0, 0, np.nan])
    with pytest.raises(ValueError, match=r"size is -1, expected at least 0"):
        mvn.rvs(-1)
    with pytest.raises(TypeError, match=r"size is \(2, 3\), expected an int"):
        mvn.rvs((2, 3))
    with pytest.raises(ValueError, match=r"indices has feature 3, expected one from 0 to 2"):
        mvn.marginal([0, 3])
    with pytest.raises(ValueError, match=r"indices names a feature twice: \[0, -3\]"):
        mvn.marginal([0, -3])
    with pytest.raises(ValueError, match=r"indices is empty"):
        mvn.marginal([])
    with pytest.raises(ValueError, match=r"given names all 3 features, expected at least one to be left out"):
        mvn.conditional({0: 0, 1: 0, 2: 0})
    with pytest.raises(TypeError, match=r"given is \[0\], expected a mapping of features to values"):
        mvn.conditional([0])
    with pytest.raises(TypeError, match=r"given is \{'a': 1\}, expected features by number, from 0 to 2"):
        mvn.conditional({"a": 1})
    with pytest.raises(TypeError, match=r"indices is 'a', expected features by number, from 0 to 2"):
        mvn.marginal("a")
    with pytest.raises(ValueError, match=r"given has inf at \[1\], expected finite numbers"):
        mvn.conditional({0: 0, 1: np.inf})
    with pytest.raises(ValueError, match=r"other has 2 features, expected 3"):
        mvn.kl_divergence(random_normal(0, 2))
    with pytest.raises(TypeError, match=r"other is a tuple, expected a MultivariateNormal"):
        mvn.kl_divergence((0, 1))
    with pytest.raises(ValueError, match=r"Input X contains NaN"):
        MultivariateNormal.fit([[1.0], [np.nan]])
    with pytest.raises(ValueError, match=r"Negative values in sample_weight"):
        MultivariateNormal.fit([[1.0], [2.0]], [1.0, -1.0])


def test_frames_are_taken() -> None:
    X = random_normal(0, 2).rvs(20, 0)
    frame = pd.DataFrame(X, columns=["a", "b"])
    fitted = MultivariateNormal.fit(X)
    # A frame's memory order is another, and with it the order of sums.
    np.testing.assert_allclose(MultivariateNormal.fit(frame).covariance, fitted.covariance, rtol=CLOSE)
    np.testing.assert_allclose(fitted.logpdf(frame), fitted.logpdf(X), rtol=CLOSE)
