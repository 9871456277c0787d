"""Box probabilities, where SciPy's integration needs help: infinite limits, constants, signs."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from emix.estimators.normal_integral import box_probability

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
