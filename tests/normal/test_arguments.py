"""Arguments of a normal's methods: their shapes and kinds, and what is said of bad ones."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.stats

from emix.normal.multivariate_normal import MultivariateNormal
from normal.normals import CLOSE, random_normal


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
    with pytest.raises(TypeError, match=r"given has 'a', expected features by number, from 0 to 2"):
        mvn.conditional({"a": 1})
    with pytest.raises(TypeError, match=r"indices has 'a', expected features by number, from 0 to 2"):
        mvn.marginal("a")
    with pytest.raises(ValueError, match=r"given has inf for feature 1, expected a finite number"):
        mvn.conditional({0: 0, -2: np.inf})
    with pytest.raises(ValueError, match=r"given has an array of shape \(2, 1\) for feature 0, expected a number or a"):
        mvn.conditional({0: np.zeros((2, 1))})
    with pytest.raises(ValueError, match=r"given has an array of shape \(3,\) for feature 1, expected 2 numbers as b"):
        mvn.conditional({0: np.zeros(2), 1: np.zeros(3)})
    with pytest.raises(ValueError, match=r"given has nan for feature 0, row 1, expected a finite number"):
        mvn.conditional({0: [0.0, np.nan]})
    with pytest.raises(ValueError, match=r"given has nan for feature 2, expected a finite number"):
        mvn.conditional({2: pd.NA})
    with pytest.raises(ValueError, match=r"given, for feature 0, has dtype <U3, expected numbers"):
        mvn.conditional({0: "1.5"})
    with pytest.raises(ValueError, match=r"given, for feature 0, holds a number too large for float64"):
        mvn.conditional({0: 10**400})
    with pytest.raises(TypeError, match=r"given has True, expected features by number, from 0 to 2"):
        mvn.conditional({True: 1.0})
    with pytest.raises(ValueError, match=r"other has 2 features, expected 3"):
        mvn.kl_divergence(random_normal(0, 2))
    with pytest.raises(TypeError, match=r"other is a tuple, expected a MultivariateNormal"):
        mvn.kl_divergence((0, 1))
    with pytest.raises(ValueError, match=r"Input X contains NaN"):
        MultivariateNormal.fit([[1.0], [np.nan]])
    with pytest.raises(ValueError, match=r"Negative values in sample_weight"):
        MultivariateNormal.fit([[1.0], [2.0]], [1.0, -1.0])


def test_a_mask_is_a_mask() -> None:
    mvn = random_normal(0, 2)
    assert mvn.marginal([True, False]) == mvn.marginal(0)
    assert mvn.marginal(np.array([False, True])) == mvn.marginal(1)
    assert mvn.marginal([True, True]) == mvn.marginal([0, 1]) == mvn
    with pytest.raises(ValueError, match=r"indices is a mask of 3 features, expected one for each of 2"):
        mvn.marginal([True, False, True])
    with pytest.raises(ValueError, match=r"indices is empty"):
        mvn.marginal([False, False])
    for wrong in ([True, 0], [0, np.True_]):
        with pytest.raises(TypeError, match=r"indices has (np\.)?True_?, expected features by number, from 0 to 1"):
            mvn.marginal(wrong)


def test_frames_are_taken() -> None:
    X = random_normal(0, 2).rvs(20, 0)
    frame = pd.DataFrame(X, columns=["a", "b"])
    fitted = MultivariateNormal.fit(X)
    # A frame's memory order is another, and with it the order of sums.
    np.testing.assert_allclose(MultivariateNormal.fit(frame).covariance, fitted.covariance, rtol=CLOSE)
    np.testing.assert_allclose(fitted.logpdf(frame), fitted.logpdf(X), rtol=CLOSE)
    assert not hasattr(fitted, "feature_names_in_")


# Names

X = random_normal(0, 3).rvs(20, 0)
NAMES = ["height", "weight", "age"]
COLUMNS = {name: X[:, j] for j, name in enumerate(NAMES)}


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table, pa.record_batch])
def test_names_of_a_frame_are_kept(make: Any) -> None:
    mvn = MultivariateNormal.fit(make(COLUMNS))
    assert mvn.feature_names_in_.tolist() == NAMES
    with pytest.raises(ValueError, match="read-only"):
        mvn.feature_names_in_[0] = "depth"
    points = make(COLUMNS)
    np.testing.assert_allclose(mvn.logpdf(points), mvn.logpdf(X), rtol=CLOSE)
    turned = make({name: COLUMNS[name] for name in reversed(NAMES)})
    for method in (mvn.logpdf, mvn.pdf, mvn.mahalanobis, mvn.cdf):
        with pytest.raises(ValueError, match=r"Feature names must be in the same order as they were in fit"):
            method(turned)
    with pytest.raises(ValueError, match=r"Feature names must be in the same order"):
        mvn.cdf(X[:1], lower_limit=turned)
    with pytest.raises(ValueError, match=r"Feature names unseen at fit time:\n- depth\n"):
        mvn.logpdf(make({"depth": X[:, 0], "weight": X[:, 1], "age": X[:, 2]}))


def test_features_by_name() -> None:
    mvn = MultivariateNormal.fit(pd.DataFrame(COLUMNS))
    pair = mvn.marginal(["age", "height"])
    assert pair == mvn.marginal([2, 0]) and pair.feature_names_in_.tolist() == ["age", "height"]
    assert mvn.marginal("weight") == mvn.marginal(1) == mvn.marginal([False, True, False])
    left = mvn.conditional({"weight": 0.5})
    assert left == mvn.conditional({1: 0.5}) == mvn.conditional({-2: 0.5})
    assert left.feature_names_in_.tolist() == ["height", "age"]
    assert repr(left).endswith("feature_names=['height', 'age'])")
    unnamed = MultivariateNormal.fit(X)
    np.testing.assert_allclose(left.mean, unnamed.conditional({1: 0.5}).mean, rtol=CLOSE)
    assert mvn != MultivariateNormal(mvn.mean, mvn.covariance)
    for other in (pickle.loads(pickle.dumps(mvn)), copy.deepcopy(mvn), eval(repr(pair.marginal("age")), NAMESPACE)):
        assert other.feature_names_in_.flags.writeable is False
    assert pickle.loads(pickle.dumps(mvn)) == mvn and hash(pickle.loads(pickle.dumps(mvn))) == hash(mvn)


NAMESPACE = {"MultivariateNormal": MultivariateNormal}


def test_names_that_do_not_fit() -> None:
    mvn = MultivariateNormal.fit(pd.DataFrame(COLUMNS))
    with pytest.raises(ValueError, match=r"indices has 'depth', which no feature has as a name: they are \['height', "):
        mvn.marginal(["depth"])
    with pytest.raises(ValueError, match=r"given has 'depth', which no feature has as a name"):
        mvn.conditional({"depth": 1.0})
    with pytest.raises(ValueError, match=r"given has 'Heigth', .* 'weight', 'age'\]\. Did you mean 'height'\?"):
        mvn.conditional({"Heigth": 1.0})
    with pytest.raises(ValueError, match=r"given names a feature twice: \['age', 2\]"):
        mvn.conditional({"age": 1.0, 2: 1.0})
    with pytest.raises(ValueError, match=r"given has inf for feature 2 \('age'\), expected a finite number"):
        mvn.conditional({"age": np.inf})
    with pytest.raises(
        TypeError, match=r"indices has 1.5, expected features by name, 'height', 'weight', 'age', or num"
    ):
        mvn.marginal([1.5])
    with pytest.raises(ValueError, match=r"Input X contains NaN: the first is in row 0, column 1 \('weight'\)"):
        mvn.logpdf(pd.DataFrame({"height": [1.0], "weight": [np.nan], "age": [1.0]}))
    with pytest.raises(ValueError, match=r"column 1 \('b'\) varies by 1e-160"):
        MultivariateNormal.fit(pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [0.0, 1e-160, 0.0]}))
    with pytest.raises(
        ValueError, match=r"other has the features \['age', 'weight', 'height'\], expected \['height', "
    ):
        mvn.kl_divergence(mvn.marginal(["age", "weight", "height"]))
    with pytest.raises(ValueError, match=r"X cannot be fitted: .* Column 1 \('b'\) is constant\."):
        MultivariateNormal.fit(pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [0.1, 0.1, 0.1]}))
    assert mvn.kl_divergence(MultivariateNormal(mvn.mean, mvn.covariance)) == 0.0
    with pytest.raises(ValueError, match=r"feature_names is \['a'\], expected 2 names, each once"):
        MultivariateNormal([0, 0], np.eye(2), feature_names="a")
    with pytest.raises(ValueError, match=r"feature_names is \['a', 'a'\], expected 2 names, each once"):
        MultivariateNormal([0, 0], np.eye(2), feature_names=["a", "a"])
    with pytest.raises(TypeError, match=r"feature_names is \[0, 1\], expected strings"):
        MultivariateNormal([0, 0], np.eye(2), feature_names=[0, 1])


def test_moments_of_pandas_have_names() -> None:
    frame = pd.DataFrame(COLUMNS)
    mvn = MultivariateNormal(frame.mean(), frame.cov())
    assert mvn.feature_names_in_.tolist() == NAMES
    assert MultivariateNormal(frame.mean(), frame.cov().to_numpy()) == mvn
    assert MultivariateNormal(np.zeros(3), frame.cov()).feature_names_in_.tolist() == NAMES
    turned = frame[["age", "height", "weight"]]
    with pytest.raises(
        ValueError, match=r"columns of covariance has the names \['age', 'height', 'weight'\], mean \['he"
    ):
        MultivariateNormal(frame.mean(), turned.cov())
    with pytest.raises(ValueError, match=r"rows of covariance has the names"):
        MultivariateNormal(X.mean(0), frame.cov().loc[["age", "height", "weight"]])
    with pytest.raises(
        ValueError, match=r"mean has the names \['height', .*\], feature_names \['a', 'b', 'c'\], expected"
    ):
        MultivariateNormal(frame.mean(), np.eye(3), feature_names=["a", "b", "c"])
