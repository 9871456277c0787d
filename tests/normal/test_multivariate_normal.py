"""MultivariateNormal: against SciPy, 50-digit arithmetic, closed forms and itself."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from emix.normal.multivariate_normal import MultivariateNormal
from normal.normals import CLOSE, normals, random_normal, scipy_of, singular_normal

# Density


@settings(max_examples=40, deadline=None)
@given(mvn=normals, seed=st.integers(0, 2**32 - 1))
def test_density_and_distance_equal_scipys(mvn: MultivariateNormal, seed: int) -> None:
    points = mvn.rvs(7, seed) * 2
    reference = scipy_of(mvn)
    np.testing.assert_allclose(mvn.logpdf(points), reference.logpdf(points), rtol=CLOSE, atol=CLOSE)
    # The exponential turns the absolute error of a logarithm of some tens into a relative one.
    np.testing.assert_allclose(mvn.pdf(points), reference.pdf(points), rtol=100 * CLOSE)
    centred = points - mvn.mean
    squares = np.einsum("ij,ij->i", centred, np.linalg.solve(mvn.covariance, centred.T).T)
    np.testing.assert_allclose(mvn.mahalanobis(points) ** 2, squares, rtol=CLOSE)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_features=st.integers(2, 5), data=st.data())
def test_singular_density_equals_scipys(seed: int, n_features: int, data: st.DataObject) -> None:
    mvn = singular_normal(seed, n_features, data.draw(st.integers(1, n_features)))
    on = mvn.rvs(5, seed)
    points = np.vstack([on, on + np.arange(5.0)[:, None]])
    reference = scipy_of(mvn)
    # The eigenvalues kept are at least 2e-10 of the largest, found to eps of it: 1e-6 relative at worst. A random
    # factor is nearly always far better conditioned than that.
    np.testing.assert_allclose(mvn.logpdf(points), reference.logpdf(points), rtol=1e-6, atol=1e-6)
    assert np.isfinite(mvn.logpdf(on)).all()
    assert mvn.rank == reference.cov_object.rank
    assert mvn.entropy() == pytest.approx(reference.entropy(), rel=1e-6, abs=1e-6)


def test_outside_the_support_the_density_is_zero_and_the_distance_infinite() -> None:
    mvn = MultivariateNormal([0.0, 1.0], [[1.0, 1.0], [1.0, 1.0]], allow_singular=True)
    points = [[2.0, 3.0], [2.0, 3.1], [1e300, -1e300], [1e308, 1e308]]
    assert mvn.rank == 1
    np.testing.assert_allclose(mvn.logpdf(points), [-0.5 * (math.log(2 * math.pi) + math.log(2) + 4), *[-np.inf] * 3])
    np.testing.assert_array_equal(mvn.pdf(points)[1:], 0.0)
    # The last point is as near to the line as its own rounding lets it be; only its density underflows.
    np.testing.assert_allclose(mvn.mahalanobis(points), [2.0, np.inf, np.inf, 1e308])
    constant = MultivariateNormal([3.0], [[0.0]], allow_singular=True)
    np.testing.assert_array_equal(constant.logpdf([3.0, 4.0]), [0.0, -np.inf])


@pytest.mark.parametrize("rank", [2, 4])
def test_units_do_not_change_what_is_singular(rank: int) -> None:
    mvn = singular_normal(rank, 4, rank)
    on = mvn.rvs(5, 0)
    # A quarter of a standard deviation off; with rank 4 nothing is off.
    points = np.vstack([on, on + np.sqrt(np.diagonal(mvn.covariance)) * [0.25, 0, 0, 0]])
    units = np.array([1e-12, 1.0, 3e4, 1e9])
    scaled = MultivariateNormal(mvn.mean * units, mvn.covariance * np.outer(units, units), allow_singular=True)
    assert scaled.rank == mvn.rank == rank
    np.testing.assert_allclose(scaled.mahalanobis(points * units), mvn.mahalanobis(points), rtol=1e-9)
    assert np.isinf(mvn.mahalanobis(points)).tolist() == [False] * 5 + [rank < 4] * 5
    if rank == 4:
        volume = np.log(units).sum()
        np.testing.assert_allclose(scaled.logpdf(points * units), mvn.logpdf(points) - volume, rtol=1e-9)
    np.testing.assert_allclose(
        np.corrcoef(scaled.rvs(200, 1).T), np.corrcoef((mvn.rvs(200, 1) * units).T), rtol=0, atol=0.4
    )


def test_income_and_a_rate() -> None:
    # Deviations 30 000 and 0.02, correlation 0.6. Relative to the larger variance the smaller is 4e-13.
    covariance = [[30_000.0**2, 0.6 * 600.0], [0.6 * 600.0, 0.02**2]]
    mvn = MultivariateNormal([40_000.0, 0.05], covariance, allow_singular=True)
    regular = MultivariateNormal([40_000.0, 0.05], covariance)
    assert mvn.rank == 2
    # log 2πe + log(30 000 · 0.02 · √(1 − 0.6²)) = 2.8379 + 6.1738
    assert mvn.entropy() == pytest.approx(1 + math.log(2 * math.pi) + math.log(480.0), rel=CLOSE)
    X = mvn.rvs(100_000, 0)
    # Five standard errors: σ/√(2n) of a deviation, (1 − ρ²)/√n of a correlation.
    assert X[:, 1].std() == pytest.approx(0.02, rel=5 / math.sqrt(200_000))
    assert np.corrcoef(X.T)[0, 1] == pytest.approx(0.6, abs=5 * 0.64 / math.sqrt(100_000))
    np.testing.assert_allclose(mvn.logpdf(X[:9]), regular.logpdf(X[:9]), rtol=CLOSE)
    np.testing.assert_allclose(mvn.mahalanobis(X[:9]), regular.mahalanobis(X[:9]), rtol=CLOSE)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rounding_of_points_does_not_take_them_off_the_support(dtype: Any) -> None:
    # Coordinates near 5e6 with a deviation of 2 are rounded to 5e-10 of it, in float32 to a quarter of a unit.
    mvn = MultivariateNormal([5e6, 5e6], [[4.0, 4.0], [4.0, 4.0]], allow_singular=True)
    points = mvn.rvs(100, 0).astype(dtype)
    assert np.isfinite(mvn.logpdf(points)).all()
    far = MultivariateNormal([1e13, -1e13], [[4.0, 4.0], [4.0, 4.0]], allow_singular=True)
    assert np.isfinite(far.logpdf(far.rvs(100, 0).astype(dtype))).all()
    assert far.logpdf([1e13 + 3.0, -1e13]) == -np.inf


def test_rounding_of_a_constant_is_no_variance() -> None:
    # NumPy's mean of a constant is some roundings away from it, which leaves a variance.
    X = np.column_stack([np.random.default_rng(0).standard_normal(1000), np.full(1000, 0.1)])
    covariance = np.cov(X.T)
    assert 0.0 < covariance[1, 1] < 1e-29
    mvn = MultivariateNormal(X.mean(axis=0), covariance, allow_singular=True)
    assert mvn.rank == 1 and np.isfinite(mvn.logpdf(X)).all()
    assert mvn.logpdf([0.0, 0.1001]) == -np.inf
    # Beside a mean of zero a variance of 1e-30 is one.
    assert MultivariateNormal([0.0, 0.0], np.diag([1.0, 1e-30]), allow_singular=True).rank == 2


def exact_logpdf(x: Any, mean: Any, covariance: Any) -> tuple[Any, float]:
    """Log-density with 50 digits, and the scale by which DESIGN's bound measures its error."""
    with mpmath.workdps(50):
        sigma = mpmath.matrix(covariance.tolist())
        centred = mpmath.matrix([mpmath.mpf(float(a)) - mpmath.mpf(float(b)) for a, b in zip(x, mean, strict=True)])
        square = (centred.T * mpmath.lu_solve(sigma, centred))[0]
        log_det = mpmath.log(mpmath.det(sigma))
        return -(len(x) * mpmath.log(2 * mpmath.pi) + log_det + square) / 2, float(1 + abs(log_det) / 2 + square / 2)


@pytest.mark.parametrize("exponent", [0, 4, 8, 12])
@pytest.mark.parametrize("n_features", [2, 5, 12])
def test_density_with_ill_conditioned_covariance(n_features: int, exponent: int) -> None:
    rng = np.random.default_rng(n_features)
    basis = np.linalg.qr(rng.standard_normal((n_features, n_features))).Q
    covariance = (basis * np.logspace(0, -exponent, n_features)) @ basis.T
    covariance = (covariance + covariance.T) / 2
    mean = rng.standard_normal(n_features) * 100
    mvn = MultivariateNormal(mean, covariance)
    points = np.vstack([mvn.rvs(4, rng), mean + rng.standard_normal((2, n_features)), mean + 1e8])
    # |error| ≤ (1e-12 + κ·d·1e-15)(1 + |Σ log W_jj| + ½‖y‖²): the accuracy that emix promises for its densities.
    bound = 1e-12 + np.linalg.cond(covariance) * n_features * 1e-15
    for x, found in zip(points, mvn.logpdf(points), strict=True):
        exact, scale = exact_logpdf(x, mean, covariance)
        assert abs(float(exact - mpmath.mpf(float(found)))) <= bound * scale


def test_scales_of_features_do_not_matter() -> None:
    # Condition number 1e240: SciPy's rule, relative to the largest eigenvalue, would call it singular.
    mvn = MultivariateNormal([0.0, 0.0], np.diag([1e-120, 1e120]))
    expected = -math.log(2 * math.pi) - 1.0
    np.testing.assert_allclose(mvn.logpdf([1e-60, 1e60]), expected, rtol=CLOSE)


def test_far_rows_are_minus_infinity_never_nan() -> None:
    mvn = MultivariateNormal([1.0, -1.0, 2.0], [[2.0, 0.9, 0.1], [0.9, 1.0, -0.2], [0.1, -0.2, 3.0]])
    largest = np.finfo(float).max
    points = np.array([[1e160, -1e160, 1e160], [largest, -largest, largest], [1e160, 0.0, 0.0], [1e100, 1e100, 1e100]])
    np.testing.assert_array_equal(mvn.logpdf(points)[:3], -np.inf)
    assert np.isfinite(mvn.logpdf(points)[3])
    np.testing.assert_array_equal(mvn.pdf(points), 0.0)
    # Distances below the largest float are still right: the distance scales with the point.
    near = mvn.mahalanobis(mvn.mean + np.eye(3)[0])
    np.testing.assert_allclose(mvn.mahalanobis(points[2]), 1e160 * near, rtol=CLOSE)
    assert not np.isnan(mvn.mahalanobis(points)).any()
    single = np.array([[3e38, -3e38, 3e38], [1e15, 0, 0]], dtype=np.float32)
    np.testing.assert_array_equal(mvn.logpdf(single) < -1e29, True)
    away = MultivariateNormal([-largest], [[1.0]])
    np.testing.assert_array_equal(away.logpdf([[largest]]), -np.inf)
    np.testing.assert_array_equal(away.mahalanobis([[largest]]), np.inf)


def test_float32_in_float32_out() -> None:
    mvn = random_normal(3, 4)
    points = mvn.rvs(50, 0).astype(np.float32)
    for method in (mvn.logpdf, mvn.pdf, mvn.mahalanobis, mvn.cdf):
        found = method(points[:3])
        assert found.dtype == np.float32
        # Against the same points in float64: eps is 1.2e-7, and the exponential amplifies by the logarithm. The
        # integral has an error of 1e-5 of its own.
        integral = 3e-5 * (method == mvn.cdf)
        np.testing.assert_allclose(found, method(points[:3].astype(np.float64)), rtol=1e-5, atol=integral)
    assert mvn.logpdf(points[0]).dtype == np.float32
    assert mvn.logpdf(np.round(points).astype(int)).dtype == np.float64


def test_many_rows_equal_few() -> None:
    mvn = random_normal(1, 2)
    points = mvn.rvs(300_000, 0)  # more than one chunk
    found = mvn.logpdf(points)
    np.testing.assert_allclose(found[-5:], mvn.logpdf(points[-5:]), rtol=CLOSE)
    np.testing.assert_allclose(found[::9973], scipy_of(mvn).logpdf(points[::9973]), rtol=CLOSE)


# Estimation


def test_fit_is_the_maximum_likelihood_estimate() -> None:
    X = random_normal(5, 3).rvs(500, 1)
    fitted = MultivariateNormal.fit(X)
    np.testing.assert_allclose(fitted.mean, X.mean(axis=0), rtol=CLOSE)
    np.testing.assert_allclose(fitted.covariance, np.cov(X.T, bias=True), rtol=1e-11)
    best = fitted.logpdf(X).sum()
    rng = np.random.default_rng(0)
    for _ in range(20):
        change = 0.02 * rng.standard_normal((3, 3))
        other = MultivariateNormal(fitted.mean + change[0], fitted.covariance + change @ change.T)
        assert other.logpdf(X).sum() < best


def test_weights_equal_repetition() -> None:
    rng = np.random.default_rng(2)
    X = rng.standard_normal((60, 3)) * [1, 10, 100]
    weights = rng.integers(0, 4, 60)
    weights[0] = 0
    repeated = MultivariateNormal.fit(np.repeat(X, weights, axis=0))
    for scale in (1, 1e-9):
        weighted = MultivariateNormal.fit(X, weights * scale)
        np.testing.assert_allclose(weighted.mean, repeated.mean, rtol=1e-11)
        np.testing.assert_allclose(weighted.covariance, repeated.covariance, rtol=1e-10, atol=1e-12)


def test_a_power_of_two_in_all_weights_changes_no_bit() -> None:
    rng = np.random.default_rng(3)
    X, weights = rng.standard_normal((40, 2)) * 1e-30, rng.random(40)
    fitted = MultivariateNormal.fit(X, weights)
    for exponent in (-1000, -60, 900):
        assert MultivariateNormal.fit(X, np.ldexp(weights, exponent)) == fitted


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_fit_at_an_offset_is_the_fit_of_centred_data(dtype: Any, weighted: bool) -> None:
    # Integers, so that the shift itself rounds nothing; beyond 2^24 float32 has only even ones.
    offset, step = (2.0**30, 1) if dtype is np.float64 else (2.0**24, 2)
    rng = np.random.default_rng(0)
    centred = step * rng.integers(-50, 50, (150_000, 2)).astype(np.float64)
    weights = rng.random(len(centred)) if weighted else None
    X = np.abs(centred + offset) if step == 1 else np.abs(centred) + offset
    expected = MultivariateNormal.fit(X - offset, weights)
    found = MultivariateNormal.fit(X.astype(dtype), weights)
    np.testing.assert_allclose(found.mean - offset, expected.mean, rtol=0, atol=2e-16 * offset)
    # The unavoidable rounding of the mean, eps·offset, adds 1e-17 of it to a variance of 800 and more.
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-12, atol=1e-10)


def test_fit_of_huge_and_tiny_values() -> None:
    X = np.random.default_rng(0).standard_normal((100, 2)) * [1e150 / 5, 1e-150]
    fitted = MultivariateNormal.fit(X)
    np.testing.assert_allclose(
        fitted.covariance,
        np.cov((X * [5e-150, 1e150]).T, bias=True) * np.outer([2e149, 1e-150], [2e149, 1e-150]),
        rtol=1e-10,
    )
    assert np.isfinite(fitted.logpdf(X)).all()


def test_fit_of_singular_data_says_what_to_do() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 2))
    for singular in (np.column_stack([X, X[:, 0] + X[:, 1]]), np.column_stack([X, np.ones(30)])):
        with pytest.raises(ValueError, match=r"X cannot be fitted: the estimated covariance is not positive definite"):
            MultivariateNormal.fit(singular)
        assert MultivariateNormal.fit(singular, allow_singular=True).rank == 2
    with pytest.raises(
        ValueError, match=r"X has 2 rows of positive weight, expected at least 3: .*allow_singular=True"
    ):
        MultivariateNormal.fit(X[:3], [1.0, 0.0, 2.0])
    assert MultivariateNormal.fit(X[:2], allow_singular=True).rank == 1


# Samples


@pytest.mark.parametrize("singular", [False, True])
def test_samples_have_the_moments(singular: bool) -> None:
    mvn = singular_normal(1, 4, 2) if singular else random_normal(1, 4)
    n = 20_000
    X = mvn.rvs(n, random_state=0)
    assert X.shape == (n, 4)
    variances = np.diagonal(mvn.covariance)
    # Five standard errors: a mean's is σ/√n, a covariance's √((Σ_ii Σ_jj + Σ_ij²)/n). The seed is fixed.
    assert (np.abs(X.mean(axis=0) - mvn.mean) < 5 * np.sqrt(variances / n)).all()
    error = np.sqrt((np.outer(variances, variances) + mvn.covariance**2) / n)
    assert (np.abs(np.cov(X.T) - mvn.covariance) < 5 * error).all()
    assert np.isfinite(mvn.logpdf(X)).all()
    # Squared distances are χ² with as many degrees of freedom as the rank.
    assert scipy.stats.kstest(mvn.mahalanobis(X) ** 2, scipy.stats.chi2(mvn.rank).cdf).pvalue > 1e-3


def test_samples_follow_the_random_state() -> None:
    mvn = random_normal(0, 2)
    np.testing.assert_array_equal(mvn.rvs(3, 1), mvn.rvs(3, np.random.default_rng(1)))
    legacy = mvn.rvs(3, np.random.RandomState(1))
    np.testing.assert_array_equal(legacy, mvn.rvs(3, np.random.RandomState(1)))
    assert (mvn.rvs(3, 1) != mvn.rvs(3, 2)).all() and (mvn.rvs(3) != mvn.rvs(3)).all()
    assert mvn.rvs().shape == (1, 2) and mvn.rvs(0).shape == (0, 2)


# The object


def test_it_is_immutable_and_comes_back_from_pickle_and_copy() -> None:
    mean, covariance = np.array([1.0, 2.0]), np.array([[2.0, 0.5], [0.5, 1.0]])
    mvn: Any = MultivariateNormal(mean, covariance)
    mean[0], covariance[0, 0] = 9, 9
    assert mvn.mean[0] == 1 and mvn.covariance[0, 0] == 2
    for array in (mvn.mean, mvn.covariance):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        mvn.mean = mean
    for other in (pickle.loads(pickle.dumps(mvn)), copy.copy(mvn), copy.deepcopy(mvn)):
        assert other == mvn and hash(other) == hash(mvn) and not other.mean.flags.writeable
    assert mvn != MultivariateNormal(mvn.mean, mvn.covariance, allow_singular=True)
    assert mvn != MultivariateNormal([1.0, 2.5], mvn.covariance) and mvn != "mvn"
    zero, minus = MultivariateNormal([0.0], [[1.0]]), MultivariateNormal([-0.0], [[1.0]])
    assert zero == minus and hash(zero) == hash(minus)


def test_repr() -> None:
    mvn = MultivariateNormal([1.0, 2.0], [[2.0, 0.5], [0.5, 1.0]])
    assert repr(mvn) == "MultivariateNormal(mean=[1., 2.], covariance=[[2. , 0.5], [0.5, 1. ]])"
    assert repr(MultivariateNormal([0], [[0]], True)) == (
        "MultivariateNormal(mean=[0.], covariance=[[0.]], allow_singular=True)"
    )
    assert len(repr(random_normal(0, 50))) < 300


def test_float32_rounding_of_a_covariance_is_accepted() -> None:
    X = np.random.default_rng(0).standard_normal((1000, 3)).astype(np.float32) * np.float32([1, 100, 1e-3])
    covariance = np.cov(X.T, dtype=np.float32)
    covariance[0, 1] = np.nextafter(covariance[0, 1], np.float32(np.inf))
    mvn = MultivariateNormal(X.mean(axis=0), covariance)
    np.testing.assert_array_equal(mvn.covariance, mvn.covariance.T)


BAD = [
    (([[0.0]], [[1.0]]), r"mean has shape \(1, 1\), expected \(n_features,\)"),
    (([], np.empty((0, 0))), r"mean has shape \(0,\), expected \(n_features,\) with at least one feature"),
    (([0.0, np.nan], np.eye(2)), r"mean has nan at \[1\], expected finite numbers"),
    (([0.0, "a"], np.eye(2)), r"mean has dtype .*, expected numbers"),
    (([0.0, 1j], np.eye(2)), r"Complex data not supported: mean has dtype"),
    (
        ([0.0, 0.0], [1.0, 2.0]),
        r"covariance has shape \(2,\), expected \(2, 2\).*Make a vector of variances .* np\.diag",
    ),
    (([0.0, 0.0], np.eye(3)), r"covariance has shape \(3, 3\), expected \(2, 2\) for a mean of 2 features"),
    (([0.0, 0.0], [[1.0, np.inf], [np.inf, 1.0]]), r"covariance has inf at \[0, 1\], expected finite numbers"),
    (([0.0, 0.0], [[1.0, 0.2], [0.3, 1.0]]), r"covariance is not symmetric: 0\.2 at \[0, 1\] and 0\.3 at \[1, 0\]"),
    (
        ([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]),
        r"covariance is not positive definite: the eigenvalues of its correlation matrix are between -1 and 3, ",
    ),
    (([0.0, 0.0], [[1.0, 1.0], [1.0, 1.0]]), r"Pass allow_singular=True or enlarge the diagonal, as in"),
    (
        ([0.0, 0.0], [[1.0, 0.0], [0.0, 0.0]]),
        r"not positive definite: it has the variance 0 at \[1, 1\], expected all above zero. Pass allow_singular",
    ),
    (([0.0], [[-1.0]]), r"not positive semidefinite: it has the variance -1 at \[0, 0\], expected none below zero"),
    (([0.0], [[-1.0]], True), r"not positive semidefinite: it has the variance -1 at \[0, 0\], expected none below"),
    (([0.0, 0.0], [[0.0, 1e-9], [1e-9, 1.0]], True), r"it has 1e-09 at \[0, 1\], expected 0 beside the variance 0"),
    (([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]], True), r"covariance is not positive semidefinite: .* between -1 and 3"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_parameters_are_named(arguments: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        MultivariateNormal(*arguments)


def test_making_one_imports_no_scipy() -> None:
    # Importing scipy.linalg takes longer than NumPy; scipy.stats takes half a second.
    code = (
        "import sys; from emix.normal.multivariate_normal import MultivariateNormal;"
        "MultivariateNormal([0.0], [[1.0]]).entropy();"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'scipy']"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("allow_singular", [False, True])
@pytest.mark.parametrize("unit", [1e-149, 1e-75, 1.0, 1e75, 1e149])
def test_numpys_error_state_has_no_part_in_it(unit: float, allow_singular: bool) -> None:
    rows = random_normal(2, 3).rvs(30, 0) * [unit, 1.0, 1.0 / unit]
    with np.errstate(all="raise"):
        mvn = MultivariateNormal.fit(rows, np.full(30, 1e-300), allow_singular=allow_singular)
        other = MultivariateNormal(mvn.mean * 2, mvn.covariance / 2, allow_singular)
        far = np.vstack([rows, rows * 1e3, [[1e300, -1e300, 1e300]]])
        for method in (mvn.logpdf, mvn.pdf, mvn.mahalanobis):
            assert not np.isnan(method(far)).any()
        assert np.isfinite(mvn.rvs(9, 0)).all()
        assert math.isfinite(mvn.entropy()) and mvn.kl_divergence(other) > 0.0 < other.kl_divergence(mvn)
        assert np.isfinite(mvn.marginal([2, 0]).conditional({0: rows[0, 2]}).mean).all()
        assert mvn == mvn.marginal(range(3)) and "mean" in repr(mvn)
