"""Whitenings against 50-digit arithmetic, and what is refused."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

from emix.kernel import factors
from emix.kernel.factors import whiten

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
    weights, means, covariances = np.full(K, np.nan), np.full((K, d), np.nan), np.full(SHAPES[structure], np.nan)
    factors.maximize(
        STRUCTURES[structure],
        reg,
        N,
        center,
        N[:, np.newaxis] * delta,
        in_form(structure, S).reshape(-1),
        weights,
        means,
        covariances.reshape(-1),
    )
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


@each_structure
def test_slots_are_added_in_order_and_made_symmetric(structure: str) -> None:
    rng = np.random.default_rng(6)
    K, d = 3, 4
    shape = SHAPES[structure]
    slots = rng.normal(size=(5, K + K * d + math.prod(shape) + 1)) * 10.0 ** rng.integers(-8, 8, size=(5, 1))
    total = np.full(slots.shape[1], np.nan)
    log_likelihood = factors.add_slots(STRUCTURES[structure], slots, K, d, 4.0, total)
    expected = slots[0]
    for slot in slots[1:]:
        expected = expected + slot
    expected = 4.0 * expected
    scatter = expected[K + K * d : -1].reshape(shape)
    if structure in ("full", "tied"):
        scatter = np.tril(scatter) + np.tril(scatter, -1).swapaxes(-1, -2)
    np.testing.assert_array_equal(total[: K + K * d], expected[: K + K * d])
    np.testing.assert_array_equal(total[K + K * d : -1].reshape(shape), scatter)
    assert log_likelihood == total[-1] == expected[-1]


def test_has_shrunk() -> None:
    assert not factors.has_shrunk(np.array([20.0, 0.0]), np.array([1.0, 0.0]), 20.0)
    assert factors.has_shrunk(np.array([1.0, 20.1]), np.array([1.0, 1.0]), 20.0)


@each_structure
@pytest.mark.parametrize("single", [False, True])
def test_arguments_are_the_formulae(structure: str, single: bool) -> None:
    rng = np.random.default_rng(7)
    K, d = 3, 4
    pi, mu, log_det = np.array([0.5, 0.5, 0.0]), 10.0 + rng.normal(size=(K, d)), rng.normal(size=K)
    W = np.tril(rng.normal(size=(K, d, d)))
    W = {"full": W, "tied": W[0], "diag": W[:, 0], "spherical": W[:, 0, 0]}[structure]
    column_range = np.stack([np.full(d, 9.5), np.full(d, 10.5)])
    before = np.array([8.0, 2.0, 0.0])
    found = np.full(2 * K * d + 2 * K + W.size, np.nan)
    factors.prepare(STRUCTURES[structure], single, 40.0, pi, mu, W.ravel(), log_det, column_range, before, found)
    center = np.clip(mu, *column_range)
    center = center.astype(np.float32).astype(np.float64) if single else center
    away = mu - center
    offset = {
        "full": lambda: np.einsum("kij,kj->ki", W, away),
        "tied": lambda: away @ W.T,
        "diag": lambda: W * away,
        "spherical": lambda: W[:, np.newaxis] * away,
    }[structure]()
    np.testing.assert_array_equal(found[: K * d].reshape(K, d), center)
    np.testing.assert_allclose(found[K * d : 2 * K * d].reshape(K, d), offset, rtol=1e-14, atol=1e-14)
    with np.errstate(divide="ignore"):
        constant = np.log(pi) + log_det - 0.5 * d * np.log(2.0 * np.pi)
    np.testing.assert_allclose(found[2 * K * d : 2 * K * d + K], constant, rtol=1e-15)
    np.testing.assert_allclose(found[2 * K * d + K : 2 * K * d + 2 * K], [40 + np.log(1.25), 40 + np.log(5), np.inf])
    np.testing.assert_array_equal(found[2 * K * d + 2 * K :], W.reshape(-1))
    # Without a range and a pass before: centres are the means, and nothing is left out.
    factors.prepare(STRUCTURES[structure], False, 40.0, pi, mu, W.ravel(), log_det, None, None, found)
    np.testing.assert_array_equal(found[: K * d].reshape(K, d), mu)
    assert not found[K * d : 2 * K * d].any()
    assert np.isposinf(found[2 * K * d + K : 2 * K * d + 2 * K]).all()


@each_structure
def test_cancels_where_a_diagonal_of_the_scatter_is_nearly_all_of_the_mean(structure: str) -> None:
    code = STRUCTURES[structure]
    weight, center = np.array([2.0, 0.0]), np.ones((2, 3))

    def cancels(shift: float, left: float, limit: float = 1e-6, rounding: float = 1e-9) -> bool:
        s = np.array([[0.0, 2.0 * shift, 0.0], [0.0, 0.0, 0.0]])
        moments = np.array([1.0, 2.0 * shift**2 + left, 1.0])  # N δ² and what is left
        if structure == "spherical":
            scatter = np.array([moments[1], 0.0])
        elif structure == "diag":
            scatter = np.stack([moments, np.zeros(3)])
        else:
            scatter = np.stack([np.diag(moments), np.zeros((3, 3))])[: 1 if structure == "tied" else 2]
        return bool(factors.cancels(code, limit, rounding, weight, center, s, scatter.ravel()))

    assert cancels(1.0, 1e-6)
    assert not cancels(1.0, 3e-6)
    assert cancels(-1e5, 1e-6)
    # A shift within rounding of the centre, as of a constant column.
    assert not cancels(1e-10, 0.0)
    assert not cancels(0.0, 0.0)


def prepared(structure: str, K: int, d: int, scale: float) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Weights, means, whitening, covariances and the kernel's arguments of a mixture `scale` across; the centres."""
    rng = np.random.default_rng([K, d])
    pi, mu = rng.dirichlet(np.ones(K)), scale * rng.normal(size=(K, d))
    A = rng.normal(size=(K, d, d))
    sigma = in_form(structure, A @ A.transpose(0, 2, 1) + np.eye(d))
    if structure == "tied":
        sigma = sigma / K
    W, log_det = np.empty(sigma.shape), np.empty(K)
    assert factors.whiten(STRUCTURES[structure], d, sigma.ravel(), W.ravel(), log_det) == -1
    arguments = np.empty(2 * K * d + 2 * K + W.size)
    factors.prepare(STRUCTURES[structure], False, 40.0, pi, mu, W.ravel(), log_det, None, None, arguments)
    return pi, mu, W, sigma, arguments, arguments[: K * d].reshape(K, d).copy()


@pytest.mark.parametrize("structure", ["tied", "diag", "spherical"])
@pytest.mark.parametrize("keep", [False, True])
def test_move_to_origin(structure: str, keep: bool) -> None:
    K, d = 4, 3
    pi, mu, W, sigma, arguments, center = prepared(structure, K, d, 5.0)
    origin, own = np.full(d, 0.25), np.empty((K, d))
    m = origin.copy() if keep else pi @ mu
    each = {"tied": lambda: np.repeat(W[np.newaxis], K, axis=0), "diag": lambda: W[:, :, np.newaxis] * np.eye(d)}
    matrices = each.get(structure, lambda: W[:, np.newaxis, np.newaxis] * np.eye(d))()
    reach = np.sum((np.abs(matrices) @ np.abs(mu - m)[:, :, np.newaxis])[:, :, 0] ** 2, axis=1)
    # Of tied either all move or none.
    limit = 1.01 * reach.max() if structure == "tied" else np.sort(reach)[1:3].mean()
    arrays = (pi, mu, W.ravel(), sigma.ravel(), keep, origin, arguments, own)
    n_moved = factors.move_to_origin(STRUCTURES[structure], False, limit, *arrays)
    moved = reach <= limit
    assert n_moved == moved.sum() == (4 if structure == "tied" else 2)
    np.testing.assert_allclose(origin, m, rtol=1e-14)
    np.testing.assert_array_equal(own, center)
    np.testing.assert_array_equal(arguments[: K * d].reshape(K, d), np.where(moved[:, np.newaxis], origin, center))
    offset = (matrices @ (mu - origin)[:, :, np.newaxis])[:, :, 0] * moved[:, np.newaxis]
    np.testing.assert_allclose(arguments[K * d : 2 * K * d].reshape(K, d), offset, rtol=1e-13, atol=1e-14)


def test_tied_stays_where_one_component_is_out_of_reach() -> None:
    pi, mu, W, sigma, arguments, _ = prepared("tied", 4, 3, 5000.0)
    before = arguments.copy()
    arrays = (pi, mu, W.ravel(), sigma.ravel(), True, np.zeros(3), arguments, np.empty((4, 3)))
    assert factors.move_to_origin(STRUCTURES["tied"], False, 1.0, *arrays) == 0
    np.testing.assert_array_equal(arguments, before)
    # What any evaluation loses is allowed, whatever the limit.
    limit = 16.0 * np.sum((np.abs(W) @ np.sqrt(np.diagonal(sigma))) ** 2)
    mu[:] = 0.9 * np.sqrt(limit) / np.sqrt(np.sum((np.abs(W) @ np.ones(3)) ** 2)) * np.array([[1], [-1], [1], [-1]])
    assert factors.move_to_origin(STRUCTURES["tied"], False, 1.0, *arrays) == 4


@pytest.mark.parametrize("structure", ["tied", "diag", "spherical"])
def test_leave_origin_is_recentring(structure: str) -> None:
    rng = np.random.default_rng(5)
    n, K, d = 500, 3, 4
    X, r, m, center = rng.normal(size=(n, d)), rng.dirichlet(np.ones(K), n), rng.normal(size=d), rng.normal(size=(K, d))

    def sums(c: Array) -> tuple[Array, Array, Array]:
        z = X[:, np.newaxis] - c
        S = np.einsum("ik,ikj,ikl->kjl", r, z, z)
        return r.sum(axis=0), np.einsum("ik,ikj->kj", r, z), in_form(structure, S)

    about, expected = sums(np.tile(m, (K, 1))), sums(center)
    total = np.concatenate([*(a.ravel() for a in about), [7.0]])
    scatter = None
    if structure == "tied":
        scatter = about[2].copy()
        total[K + K * d : -1] = 0.0
    ratio = factors.leave_origin(STRUCTURES[structure], 0.5, np.tile(m, (K, 1)), center, scatter, total)
    for found, wanted in zip(np.split(total[:-1], [K, K + K * d]), expected):
        np.testing.assert_allclose(found, wanted.ravel(), rtol=1e-12, atol=1e-11)
    assert total[-1] == 7.0
    N, s, S = expected
    if structure == "tied":
        kept = np.diagonal(S) - np.sum(s * s / N[:, np.newaxis], axis=0) + 0.5 * n
        before = np.diagonal(about[2])
    elif structure == "diag":
        kept, before = S - s * s / N[:, np.newaxis] + 0.5 * N[:, np.newaxis], about[2]
    else:
        kept, before = S - np.sum(s * s, axis=1) / N + 0.5 * d * N, about[2]
    assert ratio == pytest.approx(max(1.0, float(np.max(before / kept))), rel=1e-12)
