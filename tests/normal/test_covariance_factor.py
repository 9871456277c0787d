"""Factors of a covariance: both give the same numbers, and neither takes what it should not."""

from __future__ import annotations

import numpy as np
import pytest

from emix.normal.covariance_factor import (
    CholeskyFactor,
    CovarianceFactor,
    EigenFactor,
    checked_covariance,
    factorize,
    mahalanobis_distance,
    solve_lower,
)


def covariance(seed: int, n_features: int) -> np.ndarray:
    factor = np.random.default_rng(seed).standard_normal((n_features, n_features + 3))
    return factor @ factor.T


@pytest.mark.parametrize("allow_singular", [False, True])
@pytest.mark.parametrize("n_features", [1, 2, 7, 40])
def test_a_factor_is_one_of_its_covariance(n_features: int, allow_singular: bool) -> None:
    sigma = covariance(n_features, n_features)
    factor: CovarianceFactor = factorize(sigma, allow_singular)
    assert isinstance(factor, EigenFactor if allow_singular else CholeskyFactor)
    assert factor.rank == n_features
    # Rounding of a product of 40 terms, relative to the largest variance.
    np.testing.assert_allclose(factor.columns @ factor.columns.T, sigma, rtol=1e-12, atol=1e-13 * sigma.max())
    assert factor.log_det == pytest.approx(np.linalg.slogdet(sigma).logabsdet, rel=1e-11)
    rows = np.random.default_rng(0).standard_normal((5, n_features))
    squares = np.einsum("ij,ij->i", rows, np.linalg.solve(sigma, rows.T).T)
    # Times a condition number of up to some thousands.
    np.testing.assert_allclose(np.square(factor.whiten(rows)).sum(axis=1), squares, rtol=1e-10)
    np.testing.assert_allclose(mahalanobis_distance(factor, rows) ** 2, squares, rtol=1e-10)
    assert not factor.outside_support(rows).any()


@pytest.mark.parametrize("power", [-500, 0, 300, 500])
def test_distance_does_not_overflow_before_it_must(power: int) -> None:
    factor = factorize(covariance(1, 3), allow_singular=False)
    rows = np.random.default_rng(0).standard_normal((4, 3))
    # Powers of two scale exactly, so nothing but the exponent may change.
    np.testing.assert_array_equal(
        mahalanobis_distance(factor, np.ldexp(rows, power)), np.ldexp(mahalanobis_distance(factor, rows), power)
    )


def test_a_triangle_solves_to_itself() -> None:
    lower = np.linalg.cholesky(covariance(3, 9))
    # Some BLAS multiply by the reciprocal of the diagonal: a rounding error or two.
    np.testing.assert_allclose(solve_lower(lower, lower), np.eye(9), rtol=1e-15, atol=1e-15)


def test_numerically_singular_is_refused_whatever_the_scale() -> None:
    rng = np.random.default_rng(0)
    for scale in (1e-100, 1.0, 1e100):
        factor = rng.standard_normal((6, 5)) * scale
        sigma = checked_covariance(factor @ factor.T, 6)
        # Rounding alone may make the last pivot positive.
        with pytest.raises(ValueError, match="covariance is not positive definite"):
            CholeskyFactor.of(sigma)
        assert EigenFactor.of(sigma).rank == 5


def test_the_proposed_remedy_helps_in_any_unit() -> None:
    for units in (np.array([1.0, 1.0]), np.array([1e-9, 1e9])):
        sigma = np.outer(units, units)
        with pytest.raises(ValueError, match="not positive definite") as caught:
            CholeskyFactor.of(sigma)
        remedy = str(caught.value).split("as in ")[1].removesuffix(".")
        widened = eval(remedy, {"np": np, "covariance": sigma})
        CholeskyFactor.of(widened)
        np.testing.assert_allclose(np.diagonal(widened), units**2, rtol=1e-5)
