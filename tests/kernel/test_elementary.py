"""The kernel's exponential and logarithm against mpmath's, by log-densities that are known in advance."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

from kernel.naive import Case, each_dtype, each_level, score


def elementary_case(dtype: str, x: Any, n_flat: int) -> Case:
    """log p = 0 of `n_flat` components whatever the row, and −½x² of the last."""
    K = n_flat + 1
    whitening = np.zeros(K, dtype)
    whitening[-1] = 1
    zeros = np.zeros((K, 1), dtype)
    return Case(
        x[:, None].astype(dtype), None, "spherical", zeros, zeros, whitening, zeros[:, 0], np.full(K, np.inf, dtype)
    )


@each_level
@each_dtype
def test_exponential(level: str, dtype: str) -> None:
    lowest = 707.0 if dtype == "float64" else 86.9
    exponents = np.concatenate([np.linspace(0, lowest, 1500), np.geomspace(1e-12, 1, 300)])
    case = elementary_case(dtype, np.sqrt(2 * exponents), 1)
    x = case.X[:, 0]
    eps = float(np.finfo(dtype).eps)
    for actual, t in zip(score(level, case)[1][:, 1], x * x / 2):
        e = mpmath.exp(-mpmath.mpf(float(t)))
        # An ulp or two for the exponential, one each for the sum, the division and the product.
        assert abs(mpmath.mpf(float(actual)) / (e / (1 + e)) - 1) <= 4 * eps, t


@each_level
@each_dtype
def test_exponential_vanishes_where_it_would_underflow(level: str, dtype: str) -> None:
    case = elementary_case(dtype, np.sqrt(2 * np.array([745.5, 1e4, 1e8, 1e30])), 1)
    log_density, responsibilities, *_ = score(level, case)
    np.testing.assert_array_equal(responsibilities, [[1, 0]] * 4)
    np.testing.assert_array_equal(log_density, 0)


@each_level
@each_dtype
def test_logarithm(level: str, dtype: str) -> None:
    x = np.sqrt(2 * np.geomspace(1e-9, 30, 400))
    eps = float(np.finfo(dtype).eps)
    for n_flat in (1, 2, 3, 5, 90, 181, 1000):
        case = elementary_case(dtype, x, n_flat)
        t = case.X[:, 0] * case.X[:, 0] / 2
        for actual, exponent in zip(score(level, case)[0], t):
            total = n_flat + mpmath.exp(-mpmath.mpf(float(exponent)))
            # The sum is rounded once, half an eps, and the logarithm to an ulp or so.
            assert abs(mpmath.mpf(float(actual)) - mpmath.log(total)) <= eps * (1 + mpmath.log(total)), exponent
