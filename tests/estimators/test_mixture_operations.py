"""Moments, distribution function, quantiles, distances, divergence and thresholds of a whole mixture."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn.mixture

from emix import GaussianMixture
from estimators.mixtures import X, each_type

each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def line(dtype: Any = np.float64) -> GaussianMixture:
    return GaussianMixture(3, random_state=0).fit(X[:, :1].astype(dtype))


# Moments


@each_type
@pytest.mark.parametrize(("dtype", "offset"), [(np.float64, 0.0), (np.float64, 1e8), (np.float32, 0.0)])
def test_moments_of_a_fit_with_free_covariances_are_those_of_the_rows(
    covariance_type: str, dtype: Any, offset: float
) -> None:
    rows = (X + offset).astype(dtype)
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=0, reg_covar=0.0).fit(rows)
    assert gm.mean().dtype == gm.covariance().dtype == np.float64
    # Σ_k N_k μ_k = Σ x after every M-step, to the rounding of the column's values.
    np.testing.assert_allclose(gm.mean() - offset, rows.mean(axis=0, dtype=float) - offset, rtol=0, atol=1e-6)
    if covariance_type in ("full", "tied"):
        # So is the total scatter, where the structure does not restrict it. A step of EM moves it by less than this.
        np.testing.assert_allclose(gm.covariance(), np.cov(rows.T.astype(float), bias=True), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(gm.covariance(), gm.covariance().T)


def test_a_covariance_that_overflows_is_refused() -> None:
    gm = GaussianMixture.from_parameters([0.5, 0.5], [[0.0, -1e200], [0.0, 1e200]], [np.eye(2)] * 2)
    np.testing.assert_array_equal(gm.mean(), [0.0, 0.0])
    with pytest.raises(ValueError, match=r"The covariance of the mixture overflows at feature 1: .* Divide this"):
        gm.covariance()


# Distribution function and quantiles


@each_dtype
def test_distribution_function_is_the_sum_of_the_components(dtype: Any) -> None:
    gm, points = line(dtype), np.linspace(-12.0, 12.0, 25, dtype=dtype)
    deviations = np.sqrt(gm.covariances_[:, 0, 0].astype(float))
    expected = scipy.stats.norm(gm.means_[:, 0].astype(float), deviations).cdf(points[:, None]) @ gm.weights_
    found = gm.cdf(points)
    assert found.dtype == dtype
    # A rounding ε of z deviations changes a tail by z² ε of it. Of the widest component, which is the whole mixture far
    # out, z is at most 10; ε is 1e-16, and 6e-8 in float32.
    np.testing.assert_allclose(found, expected, rtol=1e-12 if dtype is np.float64 else 1e-5)
    np.testing.assert_allclose(gm.cdf(points[:, None]), found, rtol=0)
    assert np.ndim(gm.cdf(0.0)) == 0
    # Three weights, each rounded, sum to 1 within as many roundings.
    np.testing.assert_allclose(gm.cdf([-np.inf, np.inf]), [0.0, 1.0], rtol=3 * np.finfo(dtype).eps)
    box = gm.cdf(points[1:], lower_limit=points[:-1])
    # Some roundings of probabilities of at most 1.
    np.testing.assert_allclose(box, np.diff(expected), rtol=0, atol=1e-14 if dtype is np.float64 else 1e-6)
    np.testing.assert_array_equal(gm.cdf(points[:-1], lower_limit=points[1:]), 0.0)  # empty boxes


@each_type
def test_distribution_function_in_two_dimensions_by_integration(covariance_type: str) -> None:
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X[:, :2])
    corner = X[:, :2].mean(axis=0)
    # Gauss-Legendre in 16 panels of 20 points each: a box of 8 deviations holds all but 1e-15 of the mass.
    nodes, weights = np.polynomial.legendre.leggauss(20)
    sides = []
    for j in range(2):
        least = (gm.means_[:, j] - 8 * np.sqrt(np.diagonal(gm.covariance())[j])).min()
        edges = np.linspace(least, corner[j], 17)
        half = np.diff(edges) / 2
        sides.append(((edges[:-1] + half)[:, None] + half[:, None] * nodes, half[:, None] * weights))
    grid = np.stack(np.meshgrid(sides[0][0].ravel(), sides[1][0].ravel(), indexing="ij"), axis=-1).reshape(-1, 2)
    mass = np.exp(gm.score_samples(grid)) @ np.outer(sides[0][1].ravel(), sides[1][1].ravel()).ravel()
    assert gm.cdf(corner) == pytest.approx(mass, abs=1e-9)


def test_distribution_function_against_draws() -> None:
    gm = GaussianMixture(3, random_state=0).fit(X)
    drawn, _ = gm.sample(50_000)
    points = X[::60]
    share = (drawn[:, None] <= points).all(axis=2).mean(axis=0)
    # Four standard errors of a share, at most 0.5/√50 000.
    np.testing.assert_allclose(gm.cdf(points), share, rtol=0, atol=4 * 0.5 / math.sqrt(50_000))
    np.testing.assert_array_equal(gm.cdf(points[0]), gm.cdf(points)[0])


@each_dtype
def test_quantiles_invert_the_distribution_function(dtype: Any) -> None:
    gm, q = line(dtype), np.array([[1e-200, 1e-3, 0.2], [0.5, 0.8, 1.0 - 1e-12]])
    found = gm.quantile(q)
    assert found.shape == (2, 3) and found.dtype == np.float64
    np.testing.assert_allclose(gm.cdf(found.ravel()).reshape(2, 3), q, rtol=1e-11)
    assert isinstance(gm.quantile(0.5), np.float64)
    np.testing.assert_array_equal(gm.quantile([0, 1]), [-np.inf, np.inf])
    one = GaussianMixture.from_parameters([1.0], [[1.0]], [4.0], "spherical")
    np.testing.assert_allclose(one.quantile(q), scipy.stats.norm(1.0, 2.0).ppf(q), rtol=1e-13)


def test_a_thin_component_has_a_distribution_function() -> None:
    thin = GaussianMixture.from_parameters([1.0], [[0.0, 0.0]], [[[1.0, 1.0], [1.0, 1.0 + 1.3e-15]]])
    assert thin.cdf([0.0, 0.0]) == pytest.approx(0.5, abs=1e-7)


# Distances


@each_type
@each_dtype
def test_distances_are_those_of_the_components(covariance_type: str, dtype: Any) -> None:
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X.astype(dtype))
    rows = X[::7].astype(dtype)
    found = gm.mahalanobis(rows)
    assert found.dtype == dtype
    expected = np.column_stack([gm.component(k).mahalanobis(rows) for k in range(3)])
    # One way multiplies by an inverse factor, the other solves with the factor: their difference is 1e-16 times the
    # condition of the factor, at most some hundred. In float32 each result is rounded by 6e-8.
    np.testing.assert_allclose(found, expected, rtol=1e-12 if dtype is np.float64 else 1.2e-7)


def test_distances_of_far_rows() -> None:
    gm = GaussianMixture.from_parameters([0.5, 0.5], [[0.0, 0.0], [1.0, 0.0]], np.eye(2), "tied")
    far = [[3e200, 4e200], [1e308, -1e308]]
    np.testing.assert_allclose(gm.mahalanobis(far), [[5e200] * 2, [math.sqrt(2) * 1e308] * 2], rtol=1e-14)
    moved = GaussianMixture.from_parameters([1.0], [[1e8, -1e8]], [1.0], "spherical")
    np.testing.assert_array_equal(moved.mahalanobis([[1e8 + 3, -1e8 + 4]]), [[5.0]])


# Divergence


def test_divergence_by_quadrature_in_one_dimension() -> None:
    ours, theirs = line(), GaussianMixture(2, random_state=0).fit(X[:, :1] + 1.0)
    x, step = np.linspace(-80.0, 80.0, 16_001, retstep=True)
    log_p, log_q = ours.score_samples(x[:, None]), theirs.score_samples(x[:, None])
    exact = float((np.exp(log_p) * (log_p - log_q)).sum() * step)
    found = ours.kl_divergence(theirs)
    assert abs(found.estimate - exact) < 4 * found.standard_error < 0.1
    finer = ours.kl_divergence(theirs, n_samples=400_000)
    # The error halves with four times the draws; its own error is a few parts in a hundred.
    assert finer.standard_error == pytest.approx(found.standard_error / 2, rel=0.1)
    assert ours.kl_divergence(theirs, 1000, 1) == ours.kl_divergence(theirs, 1000, 1)
    assert ours.kl_divergence(theirs, 1000, 1) != ours.kl_divergence(theirs, 1000, 2)
    assert ours.kl_divergence(ours) == (0.0, 0.0)


def test_divergence_of_single_components_is_exact() -> None:
    one, two = GaussianMixture(1).fit(X), GaussianMixture(1, covariance_type="diag").fit(X + 1.0)
    expected = one.component(0).kl_divergence(two.component(0))
    assert one.kl_divergence(two) == (expected, 0.0)


def test_bad_divergences_are_named() -> None:
    gm: Any = GaussianMixture(2, random_state=0).fit(pd.DataFrame(X, columns=["a", "b", "c"]))
    with pytest.raises(TypeError, match=r"other is a MultivariateNormal of emix.*, expected a fitted GaussianMixture"):
        gm.kl_divergence(gm.component(0))
    theirs = sklearn.mixture.GaussianMixture(1).fit(X)
    with pytest.raises(
        TypeError, match=r"GaussianMixture of sklearn\.mixture.*: GaussianMixture\.from_sklearn\(other\)"
    ):
        gm.kl_divergence(theirs)
    assert gm.kl_divergence(GaussianMixture.from_sklearn(theirs)).estimate > 0.0
    with pytest.raises(ValueError, match=r"other has 1 features, expected 3\."):
        gm.kl_divergence(line())
    with pytest.raises(ValueError, match=r"other has the features \['b', 'a', 'c'\], expected \['a', 'b', 'c'\] in"):
        gm.kl_divergence(gm.marginal(["b", "a", "c"]))
    with pytest.raises(ValueError, match=r"The 'n_samples' parameter of kl_divergence must be an int in the range \[2"):
        gm.kl_divergence(gm, n_samples=1)


# Thresholds


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_threshold_has_its_share_of_the_mass_below(share: float) -> None:
    gm = GaussianMixture(3, random_state=0).fit(X)
    threshold = gm.density_threshold(share, n_samples=50_000, random_state=1)
    assert isinstance(threshold, float)
    drawn, _ = gm.set_params(random_state=2).sample(50_000)
    below = (gm.score_samples(drawn) < threshold).mean()
    # Two independent shares of 50 000 rows each, four standard errors of their difference.
    assert abs(below - share) < 4 * math.sqrt(2 * share * (1 - share) / 50_000)


@each_type
def test_threshold_of_one_component_is_exact(covariance_type: str) -> None:
    gm = GaussianMixture(1, covariance_type=covariance_type).fit(X)
    shares = np.array([1e-9, 0.01, 0.5])
    normal = gm.component(0)
    expected = normal.logpdf(normal.mean) - 0.5 * scipy.stats.chi2(3).isf(shares)
    # SciPy's quantiles of χ² by two functions, which are good to about 1e-13.
    np.testing.assert_allclose(gm.density_threshold(shares), expected, rtol=1e-12)


def test_bad_arguments_are_named() -> None:
    gm: Any = GaussianMixture(2, random_state=0).fit(pd.DataFrame(X, columns=["a", "b", "c"]))
    with pytest.raises(ValueError, match=r"share is 0, expected a probability between 0 and 1, without these\."):
        gm.density_threshold(0.0)
    with pytest.raises(ValueError, match=r"share\[1\] is nan, expected a probability between 0 and 1, without these\."):
        gm.density_threshold([0.5, np.nan])
    with pytest.raises(ValueError, match=r"share is 1e-05, .*: 1 rows are expected below .* Pass n_samples=1000000 or"):
        gm.density_threshold(1e-5)
    with pytest.raises(
        ValueError, match=r"quantile is for a mixture of one feature, and this one has 3\. Take it of a"
    ):
        gm.quantile(0.5)
    with pytest.raises(ValueError, match=r"q is 1\.5, expected a probability from 0 to 1\."):
        gm.marginal(0).quantile(1.5)
    with pytest.raises(ValueError, match=r"q has dtype <U1, expected numbers"):
        gm.marginal(0).quantile("a")
    with pytest.raises(ValueError, match=r"X has shape \(2,\), expected \(\.\.\., 3\)"):
        gm.cdf([0.0, 0.0])
    with pytest.raises(ValueError, match=r"Input X contains NaN"):
        gm.cdf([0.0, np.nan, 0.0])
    with pytest.raises(ValueError, match=r"X has 2 features, but GaussianMixture is expecting 3 features as input"):
        GaussianMixture(1).fit(X).mahalanobis(X[:, :2])
    with pytest.raises(ValueError, match=r"Feature names must be in the same order"):
        gm.mahalanobis(pd.DataFrame(X, columns=["b", "a", "c"]))
