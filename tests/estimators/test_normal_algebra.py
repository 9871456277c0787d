"""Linear algebra of normals; what MultivariateNormal makes of it is tested there."""

from __future__ import annotations

import numpy as np
import pytest

from emix.estimators.covariance_factor import factorize
from emix.estimators.normal_algebra import chunks, condition, condition_singular, divergence, weighted_moments


@pytest.mark.parametrize(("n_samples", "n_features"), [(1, 1), (1000, 3), (300_000, 2), (5, 300_000)])
def test_chunks_are_the_rows_in_order(n_samples: int, n_features: int) -> None:
    rows = np.broadcast_to(np.arange(n_samples, dtype=float)[:, None], (n_samples, n_features))
    parts = [rows[chunk] for chunk in chunks(rows)]
    np.testing.assert_array_equal(np.concatenate([part[:, 0] for part in parts]), rows[:, 0])
    assert max(part.size for part in parts) <= max(2**18, n_features)


def test_moments_over_several_chunks() -> None:
    rng = np.random.default_rng(0)
    offset = np.array([1e8, 0.0])
    X = rng.standard_normal((300_000, 2)) + offset
    weights = rng.random(len(X)) * (rng.random(len(X)) < 0.5)
    weights[0] = 0.0
    mean, covariance = weighted_moments(X, weights)
    expected = np.average(X - offset, axis=0, weights=weights)
    # The mean itself is rounded at 1e8: 1.5e-8.
    np.testing.assert_allclose(mean - offset, expected, atol=2e-8)
    np.testing.assert_allclose(covariance, np.cov((X - offset).T, aweights=weights, bias=True), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(covariance, covariance.T)


def test_both_ways_to_condition_agree() -> None:
    factor = np.random.default_rng(0).standard_normal((6, 9))
    sigma, values = factor @ factor.T, np.array([1.0, -2.0])
    for found, expected in zip(condition_singular(sigma, values), condition(sigma, values), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_divergence_of_a_shift_is_half_the_squared_distance() -> None:
    factor = factorize(np.diag([4.0, 1.0]), allow_singular=False)
    assert divergence(factor, factor, np.array([2.0, 1.0])) == 1.0
