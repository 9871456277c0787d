"""Quantiles of mixtures in one dimension: against 400-digit arithmetic, in tails and gaps, and as an inverse."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from emix.normal.mixture_quantiles import mixture_probabilities, mixture_quantiles

Q = np.array([1e-300, 1e-20, 1e-5, 0.1, 0.3, 0.5, 0.7, 0.99, 1 - 1e-9, 1 - 2**-53])


def random_mixtures(seed: int, n: int, n_components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(n_components), size=n)
    scale = 10 ** rng.uniform(-1, 4, size=(n, 1))
    return weights, scale * rng.normal(size=(n, n_components)), 10 ** rng.uniform(-3, 2, size=(n, n_components))


def exact_error(q: float, x: float, weights: np.ndarray, means: np.ndarray, deviations: np.ndarray) -> float:
    """Error of a quantile as a part of |x| plus the least deviation, or of the tail's probability, if smaller."""
    triples = [[mpmath.mpf(float(number)) for number in row] for row in zip(weights, means, deviations, strict=True)]
    total = sum(w for w, _, _ in triples)
    probability = sum(w * mpmath.ncdf((x - m) / s) for w, m, s in triples) / total
    density = sum(w / s * mpmath.npdf((x - m) / s) for w, m, s in triples) / total
    excess = abs(probability - q)
    return float(min(excess / density / (abs(x) + deviations.min()), excess / min(mpmath.mpf(q), 1 - mpmath.mpf(q))))


@pytest.mark.parametrize("n_components", [1, 2, 4])
def test_quantiles_are_exact_to_rounding(n_components: int) -> None:
    parts = random_mixtures(n_components, 6, n_components)
    with mpmath.workdps(400):
        for weights, means, deviations in zip(*parts, strict=True):
            found = mixture_quantiles(Q, weights[None], means[None], deviations[None])
            assert (np.diff(found) >= 0.0).all()
            for q, x in zip(Q, found, strict=True):
                # Some roundings of z, Φ and the sum of weights: found were up to 6e-16.
                assert exact_error(q, x, weights, means, deviations) < 5e-15


def test_every_row_is_a_mixture_of_its_own() -> None:
    weights, means, deviations = random_mixtures(0, 50, 3)
    q = np.random.default_rng(1).random(50)
    together = mixture_quantiles(q, weights, means, deviations)
    for i in range(50):
        one = slice(i, i + 1)
        np.testing.assert_array_equal(mixture_quantiles(q[one], weights[one], means[one], deviations[one]), together[i])
    # F rises by at most f |x| eps from one number to the next: 1e3/1e-3 deviations here.
    np.testing.assert_allclose(mixture_probabilities(together, weights, means, deviations), q, rtol=1e-8)


def test_a_gap_between_components_is_halved() -> None:
    # F is ½ to rounding from 40 to 1e6 − 40; by symmetry the median is in the middle.
    found = mixture_quantiles(np.array([0.5]), np.array([[0.5, 0.5]]), np.array([[0.0, 1e6]]), np.ones((1, 2)))
    np.testing.assert_allclose(found, 5e5, rtol=1e-15)


def test_ends_and_components_without_weight() -> None:
    arguments = np.array([[0.5, 0.0, 0.5]]), np.array([[0.0, np.inf, 1.0]]), np.ones((1, 3))
    ends = mixture_quantiles(np.array([0.0, 1.0]), *arguments)
    np.testing.assert_array_equal(ends, [-np.inf, np.inf])
    weights, means, deviations = np.array([[0.5, 0.0, 0.5]]), np.array([[0.0, 1e9, 1.0]]), np.ones((1, 3))
    np.testing.assert_allclose(mixture_quantiles(np.array([0.5]), weights, means, deviations), 0.5, rtol=1e-15)
    least = mixture_quantiles(np.array([5e-324, 1e-310]), weights, means, deviations)
    assert np.isfinite(least).all() and least[0] < least[1] < -37
