"""Whitenings against 50-digit arithmetic, and what is refused."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

from emix.kernel.factors import whiten

Array = NDArray[np.float64]
EPS = np.finfo(np.float64).eps


def whitened(covariances: Array) -> tuple[int, Array, Array]:
    K, d, _ = covariances.shape
    whitening, log_det = np.full((K, d, d), np.nan), np.full(K, np.nan)
    failed = whiten(covariances, whitening, log_det, np.full((d, d), np.nan))
    return failed, whitening, log_det


def with_condition(d: int, condition: float, seed: int = 0) -> Array:
    rng = np.random.default_rng([seed, d])
    Q, _ = np.linalg.qr(rng.normal(size=(d, d)))
    covariance = (Q * np.geomspace(1.0, 1.0 / condition, d)) @ Q.T
    return (covariance + covariance.T) / 2


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 8, 12])
@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8, 1e12])
def test_against_fifty_digits(d: int, condition: float) -> None:
    covariance = with_condition(d, condition)
    failed, whitening, log_det = whitened(covariance[np.newaxis])
    assert failed == -1
    assert not np.triu(whitening[0], 1).any()
    with mpmath.workdps(50):
        L = mpmath.cholesky(mpmath.matrix(covariance.tolist()))
        exact = L**-1
        exact_log_det = mpmath.fsum(mpmath.log(exact[j, j]) for j in range(d))
        error = mpmath.norm(mpmath.matrix(whitening[0].tolist()) - exact) / mpmath.norm(exact)
        log_det_error = abs(mpmath.mpf(log_det[0]) - exact_log_det)
    # Cholesky's factor of a matrix perturbed by (d + 1) eps relative to its largest entries: W and log det W move by
    # condition times that, d times for each entry's share (Higham, theorems 10.3 and 10.8).
    bound = 2 * d * (d + 1) * EPS * condition
    assert error <= bound
    assert log_det_error <= bound


def test_diagonal_is_exact_to_an_ulp() -> None:
    variances = np.array([4.0, 1e-300, 1e300, 3.0])
    _, whitening, log_det = whitened(np.diag(variances)[np.newaxis])
    np.testing.assert_allclose(np.diagonal(whitening[0]), 1 / np.sqrt(variances), rtol=2 * EPS)
    assert np.count_nonzero(whitening) == 4
    # The logarithms of 1e±150 cancel: their rounding, some 345 eps each, remains.
    assert log_det[0] == pytest.approx(-0.5 * np.log(12.0), abs=800 * EPS)


def test_each_component_of_several() -> None:
    covariances = np.stack([with_condition(3, 10.0, seed) * scale for seed, scale in enumerate((1.0, 1e-20, 1e20))])
    failed, whitening, log_det = whitened(covariances)
    assert failed == -1
    for k in range(3):
        _, alone, log_det_alone = whitened(covariances[k : k + 1])
        np.testing.assert_array_equal(whitening[k], alone[0])
        assert log_det[k] == log_det_alone[0]
        np.testing.assert_allclose(whitening[k] @ covariances[k] @ whitening[k].T, np.eye(3), atol=100 * EPS)


def test_only_the_lower_triangle_is_read() -> None:
    covariance = with_condition(4, 10.0)
    lower = np.tril(covariance) + np.triu(np.full((4, 4), np.nan), 1)
    for array, expected in zip(whitened(lower[np.newaxis]), whitened(covariance[np.newaxis])):
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((2, 2)),
        -np.eye(2),
        np.array([[1.0, 2.0], [2.0, 1.0]]),
        np.ones((2, 2)),
        np.array([[1.0, 0.0], [0.0, np.nan]]),
        np.array([[np.nan, 0.0], [0.0, 1.0]]),
        np.array([[np.inf, 0.0], [0.0, 1.0]]),
        np.array([[1.0, np.inf], [np.inf, 1.0]]),
    ],
    ids=["zero", "negative", "indefinite", "singular", "NaN last", "NaN first", "infinite", "infinite covariance"],
)
@pytest.mark.parametrize("component", [0, 2])
def test_first_component_that_is_not_positive_definite(bad: Array, component: int) -> None:
    covariances = np.stack([np.eye(2)] * 3)
    covariances[component] = bad
    assert whitened(covariances)[0] == component
    covariances[2] = bad
    assert whitened(covariances)[0] == component


@pytest.mark.parametrize("d", [2, 3, 8, 20])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_a_column_that_repeats_another_is_refused(d: int, scale: float) -> None:
    # Rounding makes the last pivot positive in some of these: a factor would exist, of numbers that mean nothing.
    for seed in range(20):
        covariance = with_condition(d, 10.0, seed) * scale
        covariance[-1] = covariance[:, -1] = covariance[0] * (1 / 3)
        covariance[-1, -1] = covariance[0, 0] * (1 / 3) * (1 / 3)
        assert whitened(covariance[np.newaxis])[0] == 0


@pytest.mark.parametrize("scales", [(1.0, 1e-8), (1e8, 1.0), (1e-8, 1e150), (1e-150, 1.0)])
def test_scale_of_a_column_does_not_count(scales: tuple[float, float]) -> None:
    covariance = np.array([[1.0, 0.9], [0.9, 1.0]]) * np.outer(scales, scales)
    failed, whitening, _ = whitened(covariance[np.newaxis])
    assert failed == -1
    _, unscaled, _ = whitened(np.array([[[1.0, 0.9], [0.9, 1.0]]]))
    # Scaling by a number that is no power of two rounds each entry; 1/(1 − 0.9²) = 5 is the condition it meets.
    np.testing.assert_allclose(whitening[0] * np.array(scales), unscaled[0], rtol=50 * EPS)
