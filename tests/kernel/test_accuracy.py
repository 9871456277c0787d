"""Log-densities against 50-digit arithmetic, and rows so far out that every density underflows.

Everything goes through `score_rows`, so that whitening, centres and offsets have their part in the error.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import Scores, score_rows
from emix.kernel import level
from gaussian.examples import joint_scores
from kernel.naive import each_dtype, each_structure

Array = NDArray[Any]


@pytest.fixture(params=level.available_levels(), autouse=True)
def each_level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(level, "level_in_use", request.param)


def exact_terms(x: Array, parameters: GaussianParameters, k: int) -> tuple[Any, Any, Any]:
    """log p_k(x), Σ_j log W_k[j, j] and ½‖y‖² in 50 digits, of these very numbers."""
    d = parameters.n_features
    K = parameters.n_components
    matrix = parameters.structure.form.to_full(parameters.covariances, K, d)[k]
    with mpmath.workdps(50):
        L = mpmath.cholesky(mpmath.matrix(matrix.tolist()), tol=0)
        z = mpmath.matrix([mpmath.mpf(float(a)) - mpmath.mpf(float(b)) for a, b in zip(x, parameters.means[k])])
        y = mpmath.matrix(d, 1)
        for i in range(d):
            y[i] = (z[i] - mpmath.fsum(L[i, j] * y[j] for j in range(i))) / L[i, i]
        log_det = -mpmath.fsum(mpmath.log(L[i, i]) for i in range(d))
        half_norm = mpmath.fsum(a * a for a in y) / 2
        constant = mpmath.log(mpmath.mpf(float(parameters.weights[k]))) - mpmath.mpf(d) / 2 * mpmath.log(2 * mpmath.pi)
        return constant + log_det - half_norm, log_det, half_norm


def conditioned(structure: str, K: int, d: int, condition: float, seed: int) -> Array:
    """Covariances of a condition number, in the structure's shape."""
    rng = np.random.default_rng([seed, d])
    spectrum = np.geomspace(1.0, 1.0 / condition, d) if d > 1 else np.ones(1)
    if structure == "spherical":
        return rng.uniform(0.5, 2.0, K)
    if structure == "diag":
        return np.stack([rng.permutation(spectrum) for _ in range(K)])
    matrices = []
    for _ in range(K):
        Q, _ = np.linalg.qr(rng.normal(size=(d, d)))
        matrix = (Q * spectrum) @ Q.T
        matrices.append((matrix + matrix.T) / 2)
    return matrices[0] if structure == "tied" else np.stack(matrices)


@cache
def sample(
    structure: str, dtype: str, d: int, condition: float, offset: float, scale: float
) -> tuple[Array, GaussianParameters, list[list[Any]]]:
    """Rows near to and far from two components, their parameters, and the exact terms of each row and component."""
    rng = np.random.default_rng(d)
    means = offset + scale * rng.normal(size=(2, d))
    covariances = conditioned(structure, 2, d, condition, 1) * scale**2
    parameters = GaussianParameters.from_covariances(structure, [0.3, 0.7], means, covariances)
    X = (offset + scale * rng.normal(size=(4, d)) * np.array([[0.01], [1.0], [3.0], [100.0]])).astype(dtype)
    return X, parameters, [[exact_terms(x, parameters, k) for k in range(2)] for x in X]


def assert_accurate(X: Array, parameters: GaussianParameters, exact: list[list[Any]], bound: float) -> None:
    """|error of log p_k| ≤ bound · (1 + |Σ log W_jj| + ½‖y‖²)"""
    joint = joint_scores(X, parameters)
    for found, terms in zip(joint, exact):
        for log_p, (expected, log_det, half_norm) in zip(found, terms):
            assert abs(mpmath.mpf(float(log_p)) - expected) <= bound * (1 + abs(log_det) + half_norm)


@each_structure
@pytest.mark.parametrize("d", [1, 3, 12])
@pytest.mark.parametrize("condition", [1.0, 1e6, 1e12])
@pytest.mark.parametrize(("offset", "scale"), [(0.0, 1.0), (1e8, 1.0), (0.0, 1e150), (0.0, 1e-140), (1e150, 1e143)])
def test_float64(structure: str, d: int, condition: float, offset: float, scale: float) -> None:
    X, parameters, exact = sample(structure, "float64", d, condition, offset, scale)
    if structure == "spherical" or d == 1:
        condition = 1.0
    assert_accurate(X, parameters, exact, 1e-12 + condition * d * 1e-15)


@each_structure
@pytest.mark.parametrize("d", [1, 3, 12])
@pytest.mark.parametrize("condition", [1.0, 1e4])
@pytest.mark.parametrize(("offset", "scale"), [(0.0, 1.0), (1e4, 1.0), (0.0, 1e15), (0.0, 1e-15)])
def test_float32(structure: str, d: int, condition: float, offset: float, scale: float) -> None:
    X, parameters, exact = sample(structure, "float32", d, condition, offset, scale)
    # W, the centre's remainder and y are rounded to single: Σ|W z| is at most √κ‖y‖, and (d + 4) eps of it is y's
    # error, twice in the square. The remainder is up to half an ulp of the offset, whitened: for 1e4, 5e-4·√κ.
    assert_accurate(X, parameters, exact, 2 * (d + 4) * np.sqrt(condition) * float(np.finfo(np.float32).eps))


@each_dtype
@each_structure
def test_log_density_and_responsibilities(dtype: str, structure: str) -> None:
    rng = np.random.default_rng(3)
    d, K = 3, 4
    parameters = GaussianParameters.from_covariances(
        structure, [0.1, 0.2, 0.3, 0.4], rng.normal(size=(K, d)), conditioned(structure, K, d, 10.0, 2)
    )
    X = 2.0 * rng.normal(size=(10, d)).astype(dtype)
    scores = score_rows(X, parameters, responsibilities=True)
    assert scores.log_density is not None and scores.responsibilities is not None
    eps = float(np.finfo(dtype).eps)
    for i, x in enumerate(X):
        terms = [exact_terms(x, parameters, k) for k in range(K)]
        density = mpmath.fsum(mpmath.exp(term[0]) for term in terms)
        # The bounds of the components' log-densities at a condition of 10, doubled for the two in a quotient.
        size = 1 + max(abs(term[1]) + term[2] for term in terms)
        bound = 40 * (d + 4) * eps * float(size)
        assert abs(float(scores.log_density[i] - mpmath.log(density))) <= bound
        for k, term in enumerate(terms):
            assert abs(float(scores.responsibilities[i, k] - mpmath.exp(term[0]) / density)) <= 2 * bound


def far_scores(X: Array, parameters: GaussianParameters) -> Scores:
    """Scores of rows in the midst of ordinary ones, which must not notice."""
    near = np.random.default_rng(0).normal(size=(300, X.shape[1])).astype(X.dtype)
    rows = np.insert(near, np.linspace(0, 300, len(X)).astype(int), X, axis=0)
    scores = score_rows(rows, parameters, responsibilities=True, labels=True)
    is_far = np.abs(rows).max(axis=1) > 1e20
    assert is_far.sum() == len(X)
    alone = score_rows(near, parameters, responsibilities=True, labels=True)
    found = []
    for name in ("log_density", "responsibilities", "labels"):
        both = getattr(scores, name)
        np.testing.assert_array_equal(both[~is_far], getattr(alone, name))
        found.append(both[is_far])
    return Scores(*found)


FAR = [("float64", 1e160), ("float64", 1e300), ("float64", 1.7e308), ("float32", 1e25), ("float32", 3e38)]


@each_structure
@pytest.mark.parametrize(("dtype", "size"), FAR)
def test_rows_out_of_reach_belong_to_the_nearest(structure: str, dtype: str, size: float) -> None:
    # Under each structure the second component is the widest in the direction of most rows, but for the common one.
    covariances = {
        "full": [[[1.0, 0.5], [0.5, 1.0]], [[4.0, -1.0], [-1.0, 2.0]], [[0.5, 0.1], [0.1, 3.0]]],
        "tied": [[1.0, 0.5], [0.5, 2.0]],
        "diag": [[1.0, 1.0], [4.0, 2.0], [0.5, 3.0]],
        "spherical": [1.0, 4.0, 2.0],
    }[structure]
    parameters = GaussianParameters.from_covariances(
        structure, [0.3, 0.2, 0.5], [[0.0, 0.0], [1.0, 1.0], [-1.0, 2.0]], covariances
    )
    directions = np.array([[1.0, 0.0], [0.0, -1.0], [1.0, 1.0], [-1.0, 0.3], [0.2, 1.0]])
    X = (directions * size).astype(dtype)
    scores = far_scores(X, parameters)
    assert (scores.log_density == -np.inf).all()
    for i, x in enumerate(X):
        norms = [exact_terms(x, parameters, k)[2] for k in range(3)]
        # A common covariance: distances differ by less than rounding of the row, and the largest weight decides.
        nearest = 2 if structure == "tied" else int(np.argmin([float(norm / max(norms)) for norm in norms]))
        assert scores.labels[i] == nearest
        np.testing.assert_array_equal(scores.responsibilities[i], np.eye(3)[nearest])


@pytest.mark.parametrize(("dtype", "size"), FAR)
@pytest.mark.parametrize(("weights", "expected"), [([0.2, 0.5, 0.3], 1), ([0.4, 0.4, 0.2], 0), ([0.0, 0.1, 0.9], 2)])
def test_ties_of_rows_out_of_reach(dtype: str, size: float, weights: list[float], expected: int) -> None:
    parameters = GaussianParameters.from_covariances("spherical", weights, np.zeros((3, 2)), np.ones(3))
    scores = far_scores(np.array([[size, size]], dtype), parameters)
    assert scores.labels.tolist() == [expected]
    np.testing.assert_array_equal(scores.responsibilities, [np.eye(3)[expected]])


@each_dtype
def test_a_component_of_weight_zero_holds_no_row_however_near(dtype: str) -> None:
    parameters = GaussianParameters.from_covariances("full", [0.0, 1.0], [[0.0], [1.0]], [[[9.0]], [[1.0]]])
    scores = far_scores(np.array([[1e25 if dtype == "float32" else 1e200]], dtype), parameters)
    assert scores.labels.tolist() == [1]


@each_structure
@each_dtype
def test_nothing_is_nan_between_near_and_far(structure: str, dtype: str) -> None:
    """Norms that overflow on the way, infinities that meet, and distances either side of the largest number."""
    rng = np.random.default_rng(5)
    d = 3
    parameters = GaussianParameters.from_covariances(
        structure, [0.5, 0.5], rng.normal(size=(2, d)), conditioned(structure, 2, d, 1e6, 3)
    )
    largest = np.log10(np.finfo(dtype).max)
    # Half of the values within a factor of 1000 of the largest number, where W x overflows with either sign.
    exponent = np.where(rng.random((500, d)) < 0.5, rng.uniform(0, largest, (500, d)), largest - rng.uniform(0, 3))
    X = (rng.choice([-1.0, 0.0, 1.0], (500, d)) * 10.0**exponent).astype(dtype)
    scores = score_rows(X, parameters, responsibilities=True, labels=True)
    for values in (scores.log_density, joint_scores(X, parameters)):
        assert not np.isnan(values).any() and not (values == np.inf).any()
    assert (scores.log_density == -np.inf).any() and np.isfinite(scores.log_density).any()
    np.testing.assert_allclose(scores.responsibilities.sum(axis=1), 1.0, rtol=8 * np.finfo(dtype).eps)
    assert np.isin(scores.labels, [0, 1]).all()
    np.testing.assert_array_equal(scores.labels, scores.responsibilities.argmax(axis=1))
