"""Linear algebra of normals, and what MultivariateNormal makes of it: marginals, conditionals, information."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emix.normal.algebra import chunks, condition, condition_singular, divergence, weighted_moments
from emix.normal.covariance_factor import factorize
from emix.normal.multivariate_normal import MultivariateNormal
from normal.normals import CLOSE, normals, random_normal, scipy_of


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
    np.testing.assert_allclose(mean - offset, expected, rtol=0, atol=2e-8)
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


# Marginal and conditional


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_features=st.integers(2, 6), data=st.data())
def test_conditional_times_marginal_is_the_joint(seed: int, n_features: int, data: st.DataObject) -> None:
    mvn = random_normal(seed, n_features)
    order = data.draw(st.permutations(range(n_features)))
    known = order[: data.draw(st.integers(1, n_features - 1))]
    rest = sorted(set(range(n_features)) - set(known))
    x = mvn.rvs(1, seed)[0]
    conditional = mvn.conditional({j: x[j] for j in known})
    joint = conditional.logpdf(x[rest]) + mvn.marginal(known).logpdf(x[known])
    np.testing.assert_allclose(joint, mvn.logpdf(x), rtol=1e-11, atol=1e-11)
    schur = mvn.covariance[np.ix_(rest, rest)] - mvn.covariance[np.ix_(rest, known)] @ np.linalg.solve(
        mvn.covariance[np.ix_(known, known)], mvn.covariance[np.ix_(known, rest)]
    )
    np.testing.assert_allclose(conditional.covariance, schur, rtol=1e-10, atol=1e-11)


def test_marginal_of_a_conditional_is_a_conditional_of_a_marginal() -> None:
    mvn = random_normal(9, 5)
    # Given feature 3, features 0, 1, 2, 4 are left: the third of them is 2.
    a = mvn.conditional({3: 1.5}).marginal([2, 0])
    b = mvn.marginal([2, 0, 3]).conditional({-1: 1.5})
    np.testing.assert_allclose(a.mean, b.mean, rtol=CLOSE)
    np.testing.assert_allclose(a.covariance, b.covariance, rtol=CLOSE)
    assert mvn.marginal(range(5)) == mvn
    assert mvn.marginal(3) == mvn.marginal([-2])
    assert mvn.conditional({}) == mvn


def test_conditional_in_two_steps_is_the_same() -> None:
    mvn = random_normal(11, 4)
    once = mvn.conditional({1: 0.5, 3: -1.0})
    twice = mvn.conditional({3: -1.0}).conditional({1: 0.5})
    np.testing.assert_allclose(once.mean, twice.mean, rtol=1e-11)
    np.testing.assert_allclose(once.covariance, twice.covariance, rtol=1e-11)


def test_a_nearly_determined_feature_keeps_a_positive_variance() -> None:
    # Σ_aa − Σ_ab Σ_bb⁻¹ Σ_ba cancels all but four digits here.
    noise = 1e-6
    mvn = MultivariateNormal([0.0, 0.0], [[1.0, 1.0], [1.0, 1.0 + noise**2]])
    conditional = mvn.conditional({0: 3.0})
    # The entry 1 + 1e-12 is itself stored with an error of eps/2, 1e-4 of the noise's variance.
    np.testing.assert_allclose(conditional.covariance, noise**2, rtol=2e-4)
    np.testing.assert_allclose(conditional.mean, 3.0, rtol=CLOSE)


def test_conditional_of_a_singular_distribution() -> None:
    # z = x + y: given x and y it is certain, given z and x so is y, given x one dimension is left.
    mvn = MultivariateNormal([1.0, 2.0, 3.0], [[1, 0, 1], [0, 4, 4], [1, 4, 5]], allow_singular=True)
    certain = mvn.conditional({0: 2.0, 1: 5.0})
    np.testing.assert_allclose(certain.mean, [7.0], rtol=CLOSE)
    assert certain.rank == 0 and certain.logpdf(certain.mean) == 0.0
    np.testing.assert_array_equal(certain.rvs(2), [certain.mean] * 2)
    line = mvn.conditional({0: 2.0})
    assert line.rank == 1
    np.testing.assert_allclose(line.mean, [2.0, 4.0], rtol=CLOSE)
    np.testing.assert_allclose(line.covariance, 4.0, rtol=CLOSE)
    np.testing.assert_allclose(mvn.conditional({}).covariance, mvn.covariance, rtol=CLOSE)
    with pytest.raises(ValueError, match=r"given has values that are impossible together.*outside its support"):
        MultivariateNormal([0, 0, 0], [[1, 1, 1]] * 3, allow_singular=True).conditional({0: 1.0, 1: 2.0})


def test_conditional_of_a_singular_distribution_does_not_depend_on_units() -> None:
    # Income in euros and a rate, correlation 0.6; the variance of the rate that is left is 0.02² (1 − 0.6²).
    covariance = np.array([[30_000.0**2, 0.6 * 600.0], [0.6 * 600.0, 0.02**2]])
    mvn = MultivariateNormal([40_000.0, 0.05], covariance, allow_singular=True)
    assert mvn.rank == 2
    given = mvn.conditional({0: 45_000.0})
    np.testing.assert_allclose(given.covariance, 0.0160**2, rtol=CLOSE)
    np.testing.assert_allclose(given.mean, 0.05 + 0.6 * 0.02 / 6, rtol=CLOSE)
    np.testing.assert_allclose(mvn.marginal(1).covariance, 0.02**2, rtol=CLOSE)


def test_what_is_determined_has_no_variance_left_in_any_unit() -> None:
    # z = x + y in units of 1e-9 and 1e9 of theirs; what rounding leaves of z's variance must not be taken for one.
    units = np.array([1.0, 1e-9, 1e9, 1e-9])
    sigma = np.array([[1, 0, 1, 0.5], [0, 4, 4, 1], [1, 4, 5, 1.5], [0.5, 1, 1.5, 2]]) * np.outer(units, units)
    mvn = MultivariateNormal(np.array([1.0, 2.0, 3.0, 4.0]) * units, sigma, allow_singular=True)
    assert mvn.rank == 3
    left = mvn.conditional({0: 2.0, 1: 5.0 * units[1]})
    assert left.rank == 1
    np.testing.assert_array_equal(left.covariance[0], 0.0)
    # 2 − (0.5² + 1²/4)
    np.testing.assert_allclose(left.covariance[1, 1], 1.5 * units[3] ** 2, rtol=CLOSE)
    np.testing.assert_allclose(left.mean, np.array([7.0, 4.0 + 0.5 + 0.75]) * units[2:], rtol=CLOSE)
    with pytest.raises(ValueError, match=r"given has values that are impossible together"):
        mvn.conditional({0: 2.0, 1: 5.0 * units[1], 2: 7.1 * units[2]})
    np.testing.assert_allclose(
        mvn.conditional({0: 2.0, 1: 5.0 * units[1], 2: 7.0 * units[2]}).mean, left.mean[1:], rtol=CLOSE
    )


# Information


@settings(max_examples=20, deadline=None)
@given(mvn=normals)
def test_entropy_equals_scipys(mvn: MultivariateNormal) -> None:
    assert mvn.entropy() == pytest.approx(scipy_of(mvn).entropy(), rel=CLOSE, abs=CLOSE)
    assert mvn.log_det == pytest.approx(np.linalg.slogdet(mvn.covariance).logabsdet, rel=CLOSE, abs=CLOSE)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_features=st.integers(1, 6))
def test_divergence_equals_the_trace_formula(seed: int, n_features: int) -> None:
    a, b = random_normal(seed, n_features), random_normal(seed + 1, n_features)
    shift = a.mean - b.mean
    trace = np.trace(np.linalg.solve(b.covariance, a.covariance))
    square = shift @ np.linalg.solve(b.covariance, shift)
    expected = 0.5 * (trace + square - n_features + b.log_det - a.log_det)
    assert a.kl_divergence(b) == pytest.approx(expected, rel=1e-10)
    assert a.kl_divergence(a) == 0.0
    assert a.kl_divergence(MultivariateNormal(a.mean, a.covariance.copy())) == 0.0
    # The eigenvectors' form gives the same.
    c, d = (MultivariateNormal(m.mean, m.covariance, allow_singular=True) for m in (a, b))
    for other in (c.kl_divergence(d), a.kl_divergence(d), c.kl_divergence(b)):
        assert other == pytest.approx(expected, rel=1e-9)
    assert c.kl_divergence(c) == 0.0
    assert a.kl_divergence(c) == pytest.approx(0.0, abs=1e-20)


@pytest.mark.parametrize("allow_singular", [False, True])
@pytest.mark.parametrize("deviation", [0.5, 1e-3, 1e-6, 1e-9, 1e-12, 1e-100, 1e-150, 1e100, 1e150])
def test_divergence_keeps_its_digits_however_narrow_a_distribution(deviation: float, allow_singular: bool) -> None:
    narrow = MultivariateNormal([0.0], [[deviation**2]], allow_singular)
    unit = MultivariateNormal([0.0], [[1.0]], allow_singular)
    for ours, theirs, square in (
        (narrow, unit, mpmath.mpf(deviation**2)),
        (unit, narrow, 1 / mpmath.mpf(deviation**2)),
    ):
        exact = float((square - 1 - mpmath.log(square)) / 2)
        # A few roundings; what is lost near a ratio of 1 is in test_small_divergences_keep_their_digits.
        assert ours.kl_divergence(theirs) == pytest.approx(exact, rel=1e-14)


def test_divergence_whose_squares_overflow_is_infinite() -> None:
    wide, narrow = MultivariateNormal([0.0], [[1e300]]), MultivariateNormal([0.0], [[1e-300]])
    assert wide.kl_divergence(narrow) == math.inf
    # (1e-600 − 1)/2 + 300 log 10 · 2 / 2
    assert narrow.kl_divergence(wide) == pytest.approx(-0.5 + 600 * math.log(10) / 2, rel=1e-14)
    far = MultivariateNormal([1e200], [[1.0]])
    assert far.kl_divergence(MultivariateNormal([0.0], [[1.0]])) == math.inf


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_divergence_and_entropy_of_singular_distributions_in_any_unit(rank: int) -> None:
    rng = np.random.default_rng(rank)
    # Both on the column space of one basis.
    basis, ours, theirs = rng.standard_normal((4, rank)), *rng.standard_normal((2, rank, rank))
    mean = basis @ rng.standard_normal(rank)

    def normal(units: np.ndarray, mean: np.ndarray, inner: np.ndarray) -> MultivariateNormal:
        factor = basis @ inner * units[:, None]
        return MultivariateNormal(mean * units, factor @ factor.T, allow_singular=True)

    # In coordinates of the basis both are positive definite, and a divergence does not depend on coordinates.
    shift = np.linalg.lstsq(basis, mean)[0]
    expected = MultivariateNormal(shift, ours @ ours.T).kl_divergence(MultivariateNormal(0 * shift, theirs @ theirs.T))
    for units in (np.ones(4), np.array([1e-4, 1.0, 1e4, 1e2]), np.array([1e-150, 1.0, 1e100, 1e-7])):
        a, b = normal(units, mean, ours), normal(units, 0 * mean, theirs)
        assert a.rank == b.rank == rank
        # Two eigendecompositions of condition numbers up to 1e4.
        assert a.kl_divergence(b) == pytest.approx(expected, rel=1e-9)
        if units.min() < 1e-100 and rank < 4:
            continue  # The small coordinates' part of the support is lost in the rounding of the others'.
        with mpmath.workdps(700):
            factor = mpmath.matrix(units.tolist())
            matrix = mpmath.matrix((basis @ ours).tolist())
            for i in range(4):
                for j in range(rank):
                    matrix[i, j] *= factor[i]
            log_det = mpmath.log(mpmath.det(matrix.T * matrix))
            exact = float((rank * (1 + mpmath.log(2 * mpmath.pi)) + log_det) / 2)
        # The entries of F Fᵀ are rounded before they are given, times the square of the units' range on the support.
        assert a.entropy() == pytest.approx(exact, rel=1e-9, abs=1e-9)


def test_divergence_by_quadrature() -> None:
    a, b = MultivariateNormal([0.5], [[2.0]]), MultivariateNormal([-1.0], [[0.7]])
    x, step = np.linspace(-30, 30, 6001, retstep=True)
    log_ratio = a.logpdf(x) - b.logpdf(x)
    # The trapezoidal rule converges faster than any power for a function like this.
    assert a.kl_divergence(b) == pytest.approx(float((a.pdf(x) * log_ratio).sum() * step), rel=1e-10)


def test_small_divergences_keep_their_digits() -> None:
    # KL = ½(t − log(1 + t)) ≈ t²/4 = 2.5e-15 for variances 1 + t and 1; a trace less the rank would leave no digit.
    t = 2.0**-24
    found = MultivariateNormal([0.0, 0.0], np.diag([1 + t, 1.0])).kl_divergence(MultivariateNormal([0, 0], np.eye(2)))
    # diag(L) = √(1 + t) rounds, and t comes back from it with an error of some eps.
    assert found == pytest.approx(float((mpmath.mpf(t) - mpmath.log1p(t)) / 2), rel=1e-7)


def test_divergence_between_different_supports_is_infinite() -> None:
    line = MultivariateNormal([0, 0], [[1, 1], [1, 1]], allow_singular=True)
    across = MultivariateNormal([0, 0], [[1, -1], [-1, 1]], allow_singular=True)
    beside = MultivariateNormal([0, 1], [[1, 1], [1, 1]], allow_singular=True)
    along = MultivariateNormal([1, 1], [[4, 4], [4, 4]], allow_singular=True)
    plane = MultivariateNormal([0, 0], np.eye(2))
    # A direction is told from another whatever the lengths: a millionth of their deviation across is across.
    thin = MultivariateNormal([0, 0], np.array([[1, -1], [-1, 1]]) * 1e-20, allow_singular=True)
    assert thin.kl_divergence(line) == line.kl_divergence(thin) == math.inf
    for other in (across, beside, plane):
        assert line.kl_divergence(other) == math.inf and other.kl_divergence(line) == math.inf
    # Along the line these are N(0, 2) and N(√2, 8).
    assert line.kl_divergence(along) == pytest.approx(0.5 * (0.25 + 0.25 - 1 + math.log(4)), rel=CLOSE)


def test_affine_maps_change_neither_divergence_nor_distance() -> None:
    a, b = random_normal(20, 4), random_normal(21, 4)
    rng = np.random.default_rng(0)
    linear, offset = rng.standard_normal((4, 4)) + 3 * np.eye(4), rng.standard_normal(4) * 10
    mapped = [MultivariateNormal(linear @ m.mean + offset, linear @ m.covariance @ linear.T) for m in (a, b)]
    assert mapped[0].kl_divergence(mapped[1]) == pytest.approx(a.kl_divergence(b), rel=1e-10)
    X = a.rvs(5, 0)
    np.testing.assert_allclose(mapped[0].mahalanobis(X @ linear.T + offset), a.mahalanobis(X), rtol=1e-10)


def test_divergence_of_constants() -> None:
    a, b, c = (
        MultivariateNormal([1.0, x], np.diag([y, 0.0]), allow_singular=True) for x, y in ((2, 1), (2, 4), (3, 1))
    )
    assert a.kl_divergence(b) == pytest.approx((0.25 - 1 + math.log(4)) / 2, rel=CLOSE)
    assert a.kl_divergence(c) == math.inf
    point = a.conditional({0: 1.0})
    assert point.kl_divergence(b.marginal(1)) == 0.0 and point.kl_divergence(c.marginal(1)) == math.inf
