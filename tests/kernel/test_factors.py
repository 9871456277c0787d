"""Whitenings against 50-digit arithmetic, the M-step against its formula, and what is refused."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from emix.kernel import factors
from emix.kernel.factors import whiten
from emix.kernel.layout import parameters_layout
from kernel.buffers import SHAPES, Array, density, in_form, packed
from kernel.naive import STRUCTURES, each_structure

EPS = np.finfo(np.float64).eps
FULL, TIED = STRUCTURES.index("full"), STRUCTURES.index("tied")


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
        np.testing.assert_allclose(whitening[k] @ covariances[k] @ whitening[k].T, np.eye(3), rtol=0, atol=100 * EPS)


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
    at = parameters_layout(STRUCTURES.index(structure), K, d)
    found = np.full(at.size, np.nan)
    failed = factors.maximize(STRUCTURES.index(structure), K, d, reg, None, statistics, found)
    weights, means, covariances = found[at.weights], found[at.means].reshape(K, d), found[at.covariances]
    assert failed == -1
    whitening, log_det = np.full(covariances.shape, np.nan), np.full(K, np.nan)
    whiten(STRUCTURES.index(structure), d, covariances, whitening, log_det)
    covariances = covariances.reshape(SHAPES[structure])
    # The logarithms of two libraries may differ in their last bit.
    expected_density = density(structure, weights, means, covariances, whitening, log_det)
    np.testing.assert_allclose(found[at.density], expected_density, rtol=EPS)
    completed = found.copy()
    completed[at.density][:K] = np.nan
    factors.complete(STRUCTURES.index(structure), K, d, completed)
    assert completed.tobytes() == found.tobytes()
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
    failed = whiten(STRUCTURES.index(structure), d, covariances.reshape(-1), whitening.reshape(-1), log_det)
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


def some_statistics(K: int, d: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    root = rng.normal(size=(K, d, 2 * d))
    return np.concatenate(
        [part.ravel() for part in (np.arange(2.0, K + 2), rng.normal(size=(K, d)), 9.0 * root @ root.swapaxes(1, 2))]
        + [rng.normal(size=K * d)]
    )


@pytest.mark.parametrize(("K", "d"), [(5, 3), (5, 40)], ids=["short", "long"])
def test_maximize_in_parts(K: int, d: int) -> None:
    statistics = some_statistics(K, d)
    whole, parts = (np.full(parameters_layout(FULL, K, d).size, np.nan) for _ in range(2))
    assert factors.maximize(FULL, K, d, 0.5, None, statistics, whole) == -1
    for first, last in ((3, 5), (0, 1), (2, 2), (1, 3)):
        assert factors.maximize(FULL, K, d, 0.5, None, statistics, parts, first, last) == -1
    assert parts.tobytes() == whole.tobytes()


def test_first_component_of_a_part_that_is_not_positive_definite() -> None:
    K, d = 5, 3
    statistics, parameters = some_statistics(K, d), np.empty(parameters_layout(FULL, K, d).size)
    for component in (1, 3):
        statistics[K * (1 + d) :].reshape(-1)[component * d * d] = -1.0
    found = [
        factors.maximize(FULL, K, d, 0.0, None, statistics, parameters, *part) for part in ((0, 5), (0, 1), (2, 5))
    ]
    assert found == [1, -1, 3]


@pytest.mark.parametrize("part", [(-1, 2), (3, 2), (0, 6)])
def test_parts_that_are_none_are_refused(part: tuple[int, int]) -> None:
    statistics, parameters = some_statistics(5, 3), np.empty(parameters_layout(FULL, 5, 3).size)
    with pytest.raises(ValueError, match=f"components {part[0]} to {part[1]} are asked for, of 5"):
        factors.maximize(FULL, 5, 3, 0.0, None, statistics, parameters, *part)


def test_a_matrix_of_all_components_has_no_parts() -> None:
    with pytest.raises(ValueError, match="components 0 to 1 are asked for, of 5"):
        factors.maximize(TIED, 5, 3, 0.0, None, np.ones(5 * 7 + 9), np.empty(parameters_layout(TIED, 5, 3).size), 0, 1)


@pytest.mark.parametrize("code", [-1, 14])
def test_unknown_forms_and_structures_are_refused_everywhere(code: int) -> None:
    K, d, few = 2, 3, np.zeros(4)
    calls = {
        "whiten": (code, d, few, few, np.zeros(K)),
        "maximize": (code, K, d, 0.0, None, few, few),
        "prepare": (code, K, d, False, 0.0, few, few),
        "complete": (code, K, d, few),
        "layouts": (code, K, d),
        "is_regular": (code, K, d, 0.0, None, few),
        "ridge": (code, False, K, d, 0.0, None, few, few),
        "carry": (code, K, d, few, few, 0, K, np.zeros(K, np.float32), np.zeros(K, np.float32), np.zeros(d)),
        "KernelDensity": (code, K, d, few),
        "PassBuffers": (code, K, d, 40.0, few, None, np.zeros((1, 4))),
    }
    for name, arguments in calls.items():
        kind, last = ("structure", 13) if name in ("maximize", "is_regular") else ("form", 3)
        with pytest.raises(ValueError, match=f"the covariance {kind} has the code {code}, expected 0 to {last}"):
            getattr(factors, name)(*arguments)


def test_whiten_refuses_arrays_of_another_length() -> None:
    fits = [FULL, 3, np.tile(np.eye(3).ravel(), 2), np.empty(18), np.empty(2)]
    assert whiten(*fits) == -1
    for place, text in ((2, "covariances has 17 numbers, expected 18"), (3, "whitening has 17 numbers, expected 18")):
        short = [*fits]
        short[place] = short[place][1:]
        with pytest.raises(ValueError, match=text):
            whiten(*short)
    with pytest.raises(ValueError, match="there are 0 components and 3 features, expected 1 or more of each"):
        whiten(FULL, 3, np.empty(0), np.empty(0), np.empty(0))


def test_numbers_below_a_limit() -> None:
    numbers = np.array([9.0, -1.0, 0.5, -2.0])
    for first, limit, expected in ((0, 9.5, True), (0, 9.0, False), (1, 2.5, True), (1, 2.0, False), (4, 0.0, True)):
        assert factors.all_below(numbers, first, 4, limit) is expected
    assert factors.all_below(numbers, 0, 9, 9.5) and not factors.all_below(numbers, 0, 1, 9.0)
    for wrong in (np.nan, np.inf):
        assert not factors.all_below(np.array([0.0, wrong, 0.0]), 0, 3, np.inf)
