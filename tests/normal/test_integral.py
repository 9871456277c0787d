"""Box probabilities, where SciPy's integration needs help: infinite limits, constants, empty boxes; and `cdf`."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy
import scipy.stats

from emix.normal.integral import box_probability
from emix.normal.multivariate_normal import MultivariateNormal
from normal.normals import random_normal, scipy_of

INF = np.inf
MEAN, COVARIANCE = np.array([0.0, 1.0, 2.0]), np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 1.5]])


def box(lower: list[float], upper: list[float], covariance: np.ndarray = COVARIANCE) -> float:
    n = len(lower)
    return box_probability(MEAN[:n], covariance[:n, :n], np.array(lower), np.array(upper), 0)


def test_one_limited_feature_is_a_difference_of_two_values() -> None:
    normal = scipy.stats.norm(1.0, 1.0)
    assert box([-INF, 0.5, -INF], [INF, 2.0, INF]) == pytest.approx(normal.cdf(2.0) - normal.cdf(0.5), rel=1e-12)
    assert box([-INF] * 3, [INF] * 3) == 1.0


def test_a_box_of_swapped_limits_is_empty() -> None:
    assert 0.0 < box([-1.0, 0.0], [1.0, 2.0]) < 1.0
    assert box([1.0, 0.0], [-1.0, 2.0]) == box([1.0, 2.0], [-1.0, 0.0]) == box([INF] * 3, [-INF] * 3) == 0.0
    normal = MultivariateNormal([0.0], [[1.0]])
    np.testing.assert_array_equal(normal.cdf([-1.0, 0.0, 3.0], lower_limit=3.0), [0.0, 0.0, 0.0])
    constant = MultivariateNormal([0.0], [[0.0]], allow_singular=True)
    assert (constant.cdf(-1.0, lower_limit=1.0), constant.cdf(1.0, lower_limit=-1.0)) == (0.0, 1.0)


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
    assert box([-INF, -INF], [0.3, 1.1], np.ones((2, 2))) == pytest.approx(scipy.stats.norm.cdf(0.1), rel=1e-14)


@pytest.mark.parametrize("n_features", [2, 3, 4, 8])
def test_rank_one_is_an_interval(n_features: int) -> None:
    rng = np.random.default_rng(n_features)
    for _ in range(10):
        # Features of any unit, f z with one z: each limits z on one side.
        factor = rng.standard_normal(n_features) * 10.0 ** rng.integers(-6, 6, n_features)
        upper = np.abs(factor) * (rng.standard_normal(n_features) + 1.0)
        z = upper / factor
        above, below = z[factor > 0.0].min(initial=np.inf), z[factor < 0.0].max(initial=-np.inf)
        expected = max(scipy.stats.norm.cdf(above) - scipy.stats.norm.cdf(below), 0.0)
        mvn = MultivariateNormal(np.zeros(n_features), np.outer(factor, factor), allow_singular=True)
        assert mvn.cdf(upper) == pytest.approx(expected, rel=0, abs=1e-14)


@pytest.mark.parametrize("n_features", [3, 5])
def test_rank_two_is_a_polygon(n_features: int) -> None:
    rng = np.random.default_rng(n_features)
    for _ in range(5):
        plane, upper = rng.standard_normal((n_features, 2)), rng.standard_normal(n_features) + 1.0
        lower = upper - rng.choice([1.0, 3.0, np.inf], n_features)

        # Along z₁ the box is an interval of z₂.
        x, step = np.linspace(-9.0, 9.0, 18_001, retstep=True)
        ends = np.sort((np.stack([lower, upper])[..., None] - plane[:, :1] * x) / plane[:, 1:], axis=0)
        strips = scipy.stats.norm.cdf(ends[1].min(axis=0)) - scipy.stats.norm.cdf(ends[0].max(axis=0))
        expected = float(np.maximum(strips, 0.0) @ scipy.stats.norm.pdf(x) * step)
        mvn = MultivariateNormal(np.zeros(n_features), plane @ plane.T, allow_singular=True)
        # The sum's error at a kink of the strip's length is a part of the squared step, 1e-6.
        assert mvn.cdf(upper, lower_limit=lower) == pytest.approx(expected, rel=0, abs=1e-6)


def test_a_copy_among_others_is_taken_out() -> None:
    mvn = random_normal(4, 2)
    spread = np.array([[1.0, 0.0], [0.0, 1.0], [-1e6, 0.0], [0.0, 1e-6]])
    copies = MultivariateNormal(spread @ mvn.mean, spread @ mvn.covariance @ spread.T, allow_singular=True)
    point = mvn.mean + np.array([0.5, -0.3])
    # −1e6 Y₀ ≤ −1e6 (point₀ − 1) and 1e-6 Y₁ ≤ 1e-6 (point₁ − 0.2)
    found = copies.cdf([*point, -1e6 * (point[0] - 1.0), 1e-6 * (point[1] - 0.2)])
    expected = mvn.cdf(point - [0.0, 0.2], lower_limit=[point[0] - 1.0, -np.inf])
    assert found == pytest.approx(expected, rel=0, abs=1e-14)


def test_upper_tails_have_their_digits() -> None:
    standard = MultivariateNormal([0.0], [[1.0]])
    # P(10 < Y ≤ 40) = ½ erfc(10/√2) − ½ erfc(40/√2)
    exact = float((mpmath.erfc(10 / mpmath.sqrt(2)) - mpmath.erfc(40 / mpmath.sqrt(2))) / 2)
    assert 7.6e-24 < exact < 7.7e-24
    # 10/√2 is rounded, and erfc there multiplies a relative error by 2 x² = 100.
    assert standard.cdf(40.0, lower_limit=10.0) == pytest.approx(exact, rel=100 * 2.3e-16)
    assert standard.cdf(-10.0, lower_limit=-40.0) == standard.cdf(40.0, lower_limit=10.0)
    scaled = MultivariateNormal([5.0, 1.0], [[1e-8, 0.0], [0.0, 4.0]])
    assert scaled.cdf([5.0 + 40e-4, np.inf], lower_limit=[5.0 + 10e-4, -np.inf]) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("n_features", [2, 3])
def test_boxes_of_large_values_are_reflected(n_features: int) -> None:
    mvn = MultivariateNormal(np.zeros(n_features), 0.5 * np.eye(n_features) + 0.5)
    lower = np.full(n_features, 3.0)
    below = mvn.cdf(-lower)
    assert 1e-7 < below < 1e-3
    assert mvn.cdf(np.full(n_features, 40.0), lower_limit=lower) == pytest.approx(below, rel=1e-12)


def test_numpys_error_state_has_no_part_in_it() -> None:
    for n_features in (1, 2, 3, 4):
        mvn = random_normal(n_features, n_features)
        points = np.concatenate(
            [mvn.rvs(2, 0), mvn.mean[None] - 38.0, mvn.mean[None] + [[1e300]], mvn.mean[None] - 1e300]
        )
        expected = mvn.cdf(points)
        with np.errstate(all="raise"):
            np.testing.assert_allclose(mvn.cdf(points), expected, rtol=0, atol=3e-5)
            mvn.cdf(np.float32(mvn.mean - 36.0))


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
