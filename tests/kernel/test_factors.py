"""Whitenings against 50-digit arithmetic, and what is refused."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

from emix.kernel import factors
from emix.kernel.factors import whiten
from emix.models import covariance

Array = NDArray[np.float64]
EPS = np.finfo(np.float64).eps
FULL = 0


def whitened(covariances: Array) -> tuple[int, Array, Array]:
    K, d, _ = covariances.shape
    whitening, log_det = np.full((K, d, d), np.nan), np.full(K, np.nan)
    failed = whiten(FULL, d, covariances.reshape(-1), whitening.reshape(-1), log_det)
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


STRUCTURES = {"full": 0, "tied": 1, "diag": 2, "spherical": 3}
SHAPES = {"full": (3, 4, 4), "tied": (4, 4), "diag": (3, 4), "spherical": (3,)}
each_structure = pytest.mark.parametrize("structure", STRUCTURES)


def in_form(structure: str, matrices: Array) -> Array:
    """Scatter matrices (K, d, d) as a structure holds them."""
    if structure == "full":
        return matrices
    if structure == "tied":
        return np.asarray(matrices.sum(axis=0))
    variances = np.diagonal(matrices, axis1=1, axis2=2)
    return variances.copy() if structure == "diag" else np.asarray(variances.sum(axis=1))


def packed(*parts: Array) -> Array:
    return np.concatenate([part.ravel() for part in parts])


@each_structure
@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize("empty", [False, True], ids=["all held", "one empty"])
def test_maximize_is_the_formula(structure: str, offset: float, empty: bool) -> None:
    rng = np.random.default_rng(5)
    K, d, reg = 3, 4, 0.125
    N = np.array([0.0 if empty else 5.0, 7.0, 11.0])
    center, delta = offset + rng.normal(size=(K, d)), rng.normal(size=(K, d)) * (N > 0.0)[:, np.newaxis]
    roots = rng.normal(size=(K, d, d + 2))
    spread = roots @ roots.transpose(0, 2, 1) * (N > 0.0)[:, np.newaxis, np.newaxis]
    S = N[:, np.newaxis, np.newaxis] * (spread + delta[:, :, np.newaxis] * delta[:, np.newaxis, :])
    statistics = packed(N, N[:, np.newaxis] * delta, in_form(structure, S), center)
    size = math.prod(SHAPES[structure])
    found = np.full(K * (2 + d) + 2 * size, np.nan)
    failed = factors.maximize(STRUCTURES[structure], K, d, reg, statistics, found)
    weights, means, covariances = found[:K], found[K : K + K * d].reshape(K, d), found[K + K * d :][:size]
    assert failed == -1
    whitening, log_det = np.full(size, np.nan), np.full(K, np.nan)
    whiten(STRUCTURES[structure], d, covariances, whitening, log_det)
    np.testing.assert_array_equal(found[K + K * d + size :], packed(whitening, log_det))
    covariances = covariances.reshape(SHAPES[structure])
    expected = {
        "full": lambda: spread + reg * np.eye(d),
        "tied": lambda: np.einsum("k,kij->ij", N / N.sum(), spread) + reg * np.eye(d),
        "diag": lambda: np.diagonal(spread, axis1=1, axis2=2) + reg,
        "spherical": lambda: np.trace(spread, axis1=1, axis2=2) / d + reg,
    }[structure]()
    np.testing.assert_allclose(weights, N / N.sum(), rtol=EPS)
    np.testing.assert_allclose(means, center + delta, rtol=2 * EPS, atol=2 * EPS)
    # S/N and δδᵀ are some 10 times the difference at most; an offset plays no part.
    np.testing.assert_allclose(covariances, expected, rtol=1e-13, atol=1e-13)


@each_structure
def test_whitening_of_each_structure(structure: str) -> None:
    K, d = 3, 4
    matrices = np.stack([with_condition(d, 100.0, seed) for seed in range(K)])
    covariances = in_form(structure, matrices)
    whitening, log_det = np.full(covariances.shape, np.nan), np.full(K, np.nan)
    failed = whiten(STRUCTURES[structure], d, covariances.reshape(-1), whitening.reshape(-1), log_det)
    assert failed == -1
    if structure in ("full", "tied"):
        expected = np.linalg.inv(np.linalg.cholesky(covariances))
        diagonals = np.broadcast_to(np.diagonal(expected, axis1=-2, axis2=-1), (K, d))
    else:
        expected = 1.0 / np.sqrt(covariances)
        diagonals = np.broadcast_to(expected.reshape(K, -1), (K, d))
    # The condition number, 100, is the error's factor.
    np.testing.assert_allclose(whitening, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det, np.log(diagonals).sum(axis=1), rtol=1e-12)


class Between:
    """An Exchange and its arrays."""

    def __init__(
        self,
        structure: str,
        K: int,
        d: int,
        column_range: Array,
        n_slots: int = 1,
        unit: float = 1.0,
        single: bool = False,
    ) -> None:
        size = math.prod(in_form(structure, np.zeros((K, d, d))).shape)
        self.arguments = np.full(2 * K * (1 + d) + size + d, np.nan)
        self.rounded = np.full(len(self.arguments), np.nan, np.float32) if single else None
        self.slots = np.full((n_slots, K * (1 + d) + size + 1), np.nan)
        eps = np.finfo(np.float32 if single else np.float64).eps
        self.exchange = factors.Exchange(
            STRUCTURES[structure], K, d, 40.0, float(eps), unit, column_range, self.arguments, self.rounded, self.slots
        )
        self.statistics = np.full(K * (1 + 2 * d) + size, np.nan)
        self.parameters = np.zeros(K * (2 + d) + 2 * size)

    def end(self, before: Array | None = None) -> tuple[float, bool, bool, float]:
        return self.exchange.end(before, self.statistics)


@each_structure
def test_slots_are_added_in_order_and_made_symmetric(structure: str) -> None:
    rng = np.random.default_rng(6)
    K, d = 3, 4
    shape = SHAPES[structure]
    between = Between(structure, K, d, np.zeros((2, d)), n_slots=5, unit=4.0)
    slots = rng.normal(size=between.slots.shape) * 10.0 ** rng.integers(-8, 8, size=(5, 1))
    between.slots[:] = slots
    between.arguments[: K * d] = rng.normal(size=K * d)
    log_likelihood, _, _, growth = between.end()
    expected = slots[0]
    for slot in slots[1:]:
        expected = expected + slot
    expected = 4.0 * expected
    scatter = expected[K + K * d : -1].reshape(shape)
    if structure in ("full", "tied"):
        scatter = np.tril(scatter) + np.tril(scatter, -1).swapaxes(-1, -2)
    np.testing.assert_array_equal(
        between.statistics, packed(expected[: K + K * d], scatter, between.arguments[: K * d])
    )
    assert log_likelihood == expected[-1]
    assert growth == 1.0


def test_shrinking_twentyfold_is_told() -> None:
    between = Between("spherical", 2, 1, np.zeros((2, 1)))
    between.arguments[:] = 0.0
    between.slots[:] = [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]
    before = np.zeros(len(between.statistics))
    for weights, shrunk in (([20.0, 0.0], False), ([1.0, 20.1], True)):
        before[:2] = weights
        assert between.end(before)[1] is shrunk
    assert between.end(None)[1] is False


@each_structure
@pytest.mark.parametrize("single", [False, True])
def test_arguments_are_the_formulae(structure: str, single: bool) -> None:
    rng = np.random.default_rng(7)
    K, d = 3, 4
    pi, mu, log_det = np.array([0.5, 0.5, 0.0]), 10.0 + rng.normal(size=(K, d)), rng.normal(size=K)
    W = np.tril(rng.normal(size=(K, d, d)))
    W = {"full": W, "tied": W[0], "diag": W[:, 0], "spherical": W[:, 0, 0]}[structure]
    column_range = np.stack([np.full(d, 9.5), np.full(d, 10.5)])
    between = Between(structure, K, d, column_range, single=single)
    parameters = packed(pi, mu, np.full(W.shape, np.nan), W, log_det)
    before = np.zeros(len(between.statistics))
    before[:K] = [8.0, 2.0, 0.0]
    elsewhere = 10.0 + rng.normal(size=(K, d)) / 10.0
    for given in (None, elsewhere):
        between.exchange.begin(parameters, before, given)
        found = between.arguments
        center = np.clip(mu, *column_range) if given is None else given
        center = center.astype(np.float32).astype(np.float64) if single else center
        away = mu - center
        offset = covariance.STRUCTURES[structure].whitened(W, away)
        np.testing.assert_array_equal(found[: K * d].reshape(K, d), center)
        np.testing.assert_allclose(found[K * d : 2 * K * d].reshape(K, d), offset, rtol=1e-14, atol=1e-14)
        with np.errstate(divide="ignore"):
            constant = np.log(pi) + log_det - 0.5 * d * np.log(2.0 * np.pi)
        np.testing.assert_allclose(found[2 * K * d : 2 * K * d + K], constant, rtol=1e-15)
        np.testing.assert_allclose(
            found[2 * K * d + K : 2 * K * d + 2 * K], [40 + np.log(1.25), 40 + np.log(5), np.inf]
        )
        np.testing.assert_array_equal(found[2 * K * d + 2 * K : -d], W.reshape(-1))
        assert np.isnan(found[-d:]).all()
        if between.rounded is not None:
            np.testing.assert_array_equal(between.rounded, found.astype(np.float32))
        assert not between.slots.any()
    # For scores: no range and no pass before. Centres are the means, and nothing is left out.
    factors.prepare(STRUCTURES[structure], K, d, False, 0.0, parameters, found)
    np.testing.assert_array_equal(found[: K * d].reshape(K, d), mu)
    assert not found[K * d : 2 * K * d].any()
    assert np.isposinf(found[2 * K * d + K : 2 * K * d + 2 * K]).all()


@each_structure
def test_cancels_where_a_diagonal_of_the_scatter_is_nearly_all_of_the_mean(structure: str) -> None:
    weight, center = np.array([2.0, 0.0]), np.ones((2, 3))
    between = Between(structure, 2, 3, np.ones((2, 3)))
    between.arguments[:6] = center.ravel()

    def cancels(shift: float, left: float) -> bool:
        """With 2⁻²⁶ of a moment for the limit, and 16 eps of the centre for rounding."""
        s = np.array([[0.0, 2.0 * shift, 0.0], [0.0, 0.0, 0.0]])
        moments = np.array([1.0, 2.0 * shift**2 + left, 1.0])  # N δ² and what is left
        if structure == "spherical":
            scatter = np.array([moments[1], 0.0])
        elif structure == "diag":
            scatter = np.stack([moments, np.zeros(3)])
        else:
            scatter = np.stack([np.diag(moments), np.zeros((3, 3))])[: 1 if structure == "tied" else 2]
        between.slots[0] = packed(weight, s, scatter, np.zeros(1))
        return between.end()[2]

    assert cancels(1.0, 2.0**-26)
    assert not cancels(1.0, 2.0**-24)
    assert cancels(-1e5, 2.0**-26)
    # A shift within rounding of the centre, as of a constant column.
    assert not cancels(8 * EPS, 0.0)
    assert cancels(32 * EPS, 0.0)
    assert not cancels(0.0, 0.0)


def test_arrays_of_another_length_are_refused() -> None:
    between = Between("diag", 2, 3, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="an array has 21 numbers, expected 22"):
        between.exchange.begin(between.parameters[1:], None, None)
    with pytest.raises(ValueError, match="an array has 1 numbers, expected 20"):
        between.exchange.end(None, np.zeros(1))
    with pytest.raises(ValueError, match="an array has 19 numbers, expected 20"):
        factors.maximize(STRUCTURES["diag"], 2, 3, 0.0, between.statistics[1:], between.parameters)


@each_structure
def test_largest_trace_relative_to_the_pooled_covariance(structure: str) -> None:
    K, d = 3, 4
    matrices = np.stack([with_condition(d, 100.0, seed) * 4.0**seed for seed in range(K)])
    covariances, pi = in_form(structure, matrices), np.array([0.5, 0.3, 0.2])
    form = covariance.STRUCTURES[structure]
    whitening, log_det = form.whiten(covariances, K, d)
    pooled = np.einsum("k,kij->ij", pi, form.to_full(covariances, K, d))
    W = form.to_full(whitening, K, d)
    parameters = packed(pi, np.zeros((K, d)), covariances, whitening, log_det)

    def found() -> float:
        return factors.largest_trace(STRUCTURES[structure], K, d, parameters, np.full(d * (d + 1), np.nan))

    # A sum of squares of condition 100 at most.
    assert found() == pytest.approx(max(np.trace(w @ pooled @ w.T) for w in W), rel=1e-12)
    parameters[K + K * d] = np.nan
    assert math.isnan(found())


def mixture(structure: str, K: int, d: int, scale: float) -> tuple[Array, Array, Array, Array]:
    """Weights, means, whitening and packed parameters of a mixture `scale` across."""
    rng = np.random.default_rng([K, d])
    pi, mu = rng.dirichlet(np.ones(K)), scale * rng.normal(size=(K, d))
    A = rng.normal(size=(K, d, d))
    sigma = in_form(structure, A @ A.transpose(0, 2, 1) + np.eye(d))
    W, log_det = covariance.STRUCTURES[structure].whiten(sigma, K, d)
    return pi, mu, W, packed(pi, mu, sigma, W, log_det)


def squared_reaches(structure: str, W: Array, away: Array) -> Array:
    magnitudes = covariance.STRUCTURES[structure].whitened(np.abs(W), np.abs(away))
    return np.asarray(np.sum(magnitudes**2, axis=1))


@pytest.mark.parametrize("structure", ["tied", "diag", "spherical"])
@pytest.mark.parametrize("single", [False, True])
def test_components_within_reach_move_to_the_origin(structure: str, single: bool) -> None:
    K, d = 4, 3
    pi, mu, W, parameters = mixture(structure, K, d, 5.0)
    m = np.full(d, 0.25) if structure == "tied" else pi @ mu
    m = m.astype(np.float32).astype(np.float64) if single else m
    reach = squared_reaches(structure, W, mu - m)
    # Of tied either all move or none.
    limit = 1.01 * reach.max() if structure == "tied" else np.sort(reach)[1:3].mean()
    between = Between(structure, K, d, np.stack([mu.min(axis=0), mu.max(axis=0)]), single=single)
    between.exchange.begin(parameters, None, None, True)
    plain = between.arguments.copy()
    assert np.isnan(plain[-d:]).all()  # before it is allowed
    fixed = (m, np.zeros(d * d)) if structure == "tied" else (None, None)
    between.exchange.allow_origin(limit, 0.0, np.empty(K * d), *fixed)
    between.exchange.begin(parameters, None, None, True)
    found = between.arguments
    moved = (reach <= limit)[:, np.newaxis]
    assert moved.sum() == (4 if structure == "tied" else 2)
    # Σ π c, of centres that single precision has rounded
    np.testing.assert_allclose(found[-d:], m, rtol=1e-6 if single else 1e-14)
    center, offset = plain[: K * d].reshape(K, d), plain[K * d : 2 * K * d].reshape(K, d)
    np.testing.assert_array_equal(found[: K * d].reshape(K, d), np.where(moved, found[-d:], center))
    away = covariance.STRUCTURES[structure].whitened(W, mu - found[-d:])
    np.testing.assert_allclose(
        found[K * d : 2 * K * d].reshape(K, d), np.where(moved, away, offset), rtol=1e-13, atol=1e-14
    )
    np.testing.assert_array_equal(found[2 * K * d : -d], plain[2 * K * d : -d])
    if between.rounded is not None:
        np.testing.assert_array_equal(between.rounded, found.astype(np.float32))
    for forbidden in ((None, False), (mu, True)):
        between.exchange.begin(parameters, None, *forbidden)
        np.testing.assert_array_equal(between.arguments, plain)
    if structure != "tied" and not single:
        scores = np.empty(len(found))
        factors.prepare(STRUCTURES[structure], K, d, False, limit, parameters, scores)
        between.exchange.begin(parameters, None, None, True)
        scores[2 * K * d + K : 2 * K * d + 2 * K] = found[2 * K * d + K : 2 * K * d + 2 * K]
        np.testing.assert_array_equal(scores, found)


def test_tied_stays_where_one_component_is_out_of_reach() -> None:
    K, d = 4, 3
    pi, mu, W, parameters = mixture("tied", K, d, 5000.0)
    plain, found = np.empty((2, 2 * K * (1 + d) + d * d + d))
    factors.prepare(STRUCTURES["tied"], K, d, False, 0.0, parameters, plain)
    factors.prepare(STRUCTURES["tied"], K, d, False, 1.0, parameters, found)
    np.testing.assert_array_equal(found, plain)
    # What any evaluation loses is allowed, whatever the limit.
    sigma = parameters[K + K * d : K + K * d + d * d].reshape(d, d)
    limit = 16.0 * np.sum((np.abs(W) @ np.sqrt(np.diagonal(sigma))) ** 2)
    factor = 0.9 * math.sqrt(limit / squared_reaches("tied", W, mu - pi @ mu).max())
    parameters[K : K + K * d] = (mu * factor).ravel()
    factors.prepare(STRUCTURES["tied"], K, d, False, 1.0, parameters, found)
    np.testing.assert_allclose(found[: K * d].reshape(K, d), np.tile(factor * (pi @ mu), (K, 1)), rtol=1e-12)


@pytest.mark.parametrize("structure", ["tied", "diag", "spherical"])
def test_sums_about_the_origin_are_recentred(structure: str) -> None:
    rng = np.random.default_rng(5)
    n, K, d = 500, 3, 4
    X, r = rng.normal(size=(n, d)), rng.dirichlet(np.ones(K), n)
    _, mu, _, parameters = mixture(structure, K, d, 1.0)

    def sums(c: Array) -> tuple[Array, Array, Array]:
        z = X[:, np.newaxis] - c
        S = np.einsum("ik,ikj,ikl->kjl", r, z, z)
        S = {"tied": S.sum(axis=0), "spherical": np.trace(S, axis1=1, axis2=2)}.get(structure, in_form("diag", S))
        return r.sum(axis=0), np.einsum("ik,ikj->kj", r, z), S

    between = Between(structure, K, d, np.stack([mu.min(axis=0), mu.max(axis=0)]), unit=4.0)
    m = rng.normal(size=d)
    fixed = (m, 4.0 * sums(np.tile(m, (K, 1)))[2].ravel()) if structure == "tied" else (None, None)
    between.exchange.allow_origin(1e6, 0.5, np.empty(K * d), *fixed)
    between.exchange.begin(parameters, None, None, True)
    about = sums(np.tile(between.arguments[-d:], (K, 1)))
    scatter = np.zeros((d, d)) if structure == "tied" else about[2]
    between.slots[0] = packed(about[0], about[1], scatter, np.array([7.0]))
    log_likelihood, _, cancels, growth = between.end()
    assert log_likelihood == 28.0
    assert not cancels
    N, s, S = (4.0 * part for part in sums(mu))
    np.testing.assert_allclose(between.statistics, packed(N, s, S, mu), rtol=1e-12, atol=1e-11)
    if structure == "tied":
        kept = np.diagonal(S) - np.sum(s * s / N[:, np.newaxis], axis=0) + 0.5 * 4.0 * n
        before = np.diagonal(4.0 * about[2])
    elif structure == "diag":
        kept, before = S - s * s / N[:, np.newaxis] + 0.5 * N[:, np.newaxis], 4.0 * about[2]
    else:
        kept, before = S - np.sum(s * s, axis=1) / N + 0.5 * d * N, 4.0 * about[2]
    assert growth == pytest.approx(max(1.0, float(np.max(before / kept))), rel=1e-12)
