"""Box probabilities, where SciPy's integration needs help: infinite limits, constants, signs; and `cdf`."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
import scipy.stats

from emix.estimators.multivariate_normal import MultivariateNormal
from emix.estimators.normal_integral import box_probability
from estimators.normals import random_normal, scipy_of

INF = np.inf
MEAN, COVARIANCE = np.array([0.0, 1.0, 2.0]), np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 1.5]])


def box(lower: list[float], upper: list[float], covariance: np.ndarray = COVARIANCE) -> float:
    n = len(lower)
    return box_probability(MEAN[:n], covariance[:n, :n], np.array(lower), np.array(upper), 0)


def test_one_limited_feature_is_a_difference_of_two_values() -> None:
    normal = scipy.stats.norm(1.0, 1.0)
    assert box([-INF, 0.5, -INF], [INF, 2.0, INF]) == pytest.approx(normal.cdf(2.0) - normal.cdf(0.5), rel=1e-12)
    assert box([-INF] * 3, [INF] * 3) == 1.0


def test_swapped_limits_change_the_sign() -> None:
    positive = box([-1.0, 0.0], [1.0, 2.0])
    assert 0.0 < positive < 1.0
    assert box([1.0, 0.0], [-1.0, 2.0]) == -positive
    assert box([1.0, 2.0], [-1.0, 0.0]) == positive
    assert box([INF] * 3, [-INF] * 3) == -1.0


def test_empty_boxes_have_no_probability() -> None:
    for limit in (0.0, INF, -INF):
        assert box([limit, -INF], [limit, INF]) == 0.0


def test_a_constant_is_inside_or_not() -> None:
    covariance = np.diag([1.0, 0.0])
    half = scipy.stats.norm.cdf(0.0)
    for upper, expected in ((1.0, half), (1.5, half), (0.5, 0.0)):
        assert box([-INF, -INF], [0.0, upper], covariance) == pytest.approx(expected)
    assert box([-INF, 1.0], [0.0, 2.0], covariance) == 0.0


def test_perfect_correlation() -> None:
    assert box([-INF, -INF], [0.3, 1.1], np.ones((2, 2))) == pytest.approx(scipy.stats.norm.cdf(0.1), abs=1e-8)


# The distribution function


def test_cdf_equals_scipys() -> None:
    mvn = random_normal(4, 3)
    points = mvn.rvs(3, 0)
    # Both integrate to an absolute error of 1e-5, three standard errors of the randomized sum.
    np.testing.assert_allclose(mvn.cdf(points), scipy_of(mvn).cdf(points), rtol=0, atol=3e-5)
    lower = points - [1.0, 2.0, 3.0]
    expected = scipy_of(mvn).cdf(points, lower_limit=lower)
    np.testing.assert_allclose(mvn.cdf(points, lower_limit=lower), expected, rtol=0, atol=3e-5)
    one = mvn.cdf(points[0], lower_limit=lower)
    np.testing.assert_allclose(one, mvn.cdf(np.broadcast_to(points[0], (3, 3)), lower_limit=lower), rtol=0, atol=3e-5)


def test_cdf_is_reproducible() -> None:
    # SciPy before 1.16 integrates with a generator of its own: it repeats itself to within three standard errors only.
    error = 0.0 if np.lib.NumpyVersion(scipy.__version__) >= "1.16.0" else 3e-5
    mvn = random_normal(4, 3)
    points = mvn.rvs(3, 0)
    found = mvn.cdf(points)
    np.testing.assert_allclose(mvn.cdf(points), found, rtol=0.0, atol=error)
    np.testing.assert_allclose(mvn.cdf(points[2]), found[2], rtol=0.0, atol=error)
    a, b = (mvn.cdf(points, random_state=np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_allclose(a, b, rtol=0.0, atol=error)
    assert (a != found).any()


def test_cdf_with_infinite_limits() -> None:
    mvn = random_normal(4, 3)
    inf = np.inf
    assert mvn.cdf([inf, inf, inf]) == 1.0
    assert mvn.cdf([0.0, -inf, inf]) == 0.0
    # An unlimited feature is one less: two features are exact.
    assert mvn.cdf([0.0, inf, 1.0]) == pytest.approx(float(mvn.marginal([0, 2]).cdf([0.0, 1.0])), rel=1e-12)


def test_one_feature_cdf_is_exact() -> None:
    points = np.linspace(-6, 6, 9)
    found = MultivariateNormal([1.0], [[4.0]]).cdf(points)
    np.testing.assert_allclose(found, scipy.stats.norm(1, 2).cdf(points), rtol=1e-12)
