"""Each covariance structure against what it means for matrices."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from emix.exceptions import DegenerateCovarianceError
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import STRUCTURES
from gaussian.examples import Array, each_structure, in_form, scatter_of

each_size = pytest.mark.parametrize(("K", "d"), [(1, 1), (2, 1), (1, 3), (3, 4)])


def matrices_in_form(structure: str, K: int, d: int, seed: int = 0) -> Array:
    """Random covariances in the structure's shape."""
    rng = np.random.default_rng([seed, K, d])
    roots = rng.normal(size=(K, d, d + 2))
    return np.array(in_form(structure, roots @ roots.transpose(0, 2, 1), np.ones(K)))


def as_full(structure: str, values: Array, K: int, d: int) -> Array:
    """Matrices of a structure's values, by a loop."""
    full = np.zeros((K, d, d))
    for k in range(K):
        for i in range(d):
            for j in range(d):
                if structure == "full":
                    full[k, i, j] = values[k, i, j]
                elif structure == "tied":
                    full[k, i, j] = values[i, j]
                elif i == j:
                    full[k, i, j] = values[k, i] if structure == "diag" else values[k]
    return full


def maximized(statistics: GaussianStatistics, reg_covar: float) -> tuple[Array, Array, Array]:
    """Weights, means and covariances of the M-step."""
    packed, _ = statistics.structure.maximize(statistics, reg_covar)
    found = GaussianParameters(statistics.structure, statistics.n_components, statistics.n_features, packed)
    return found.weights, found.means, found.covariances


@each_structure
@each_size
def test_m_step_is_the_weighted_covariance(structure: str, K: int, d: int) -> None:
    rng = np.random.default_rng([K, d])
    form = STRUCTURES[structure]
    X = rng.normal(size=(40, d))
    r = rng.dirichlet(np.ones(K), size=40)
    center = rng.normal(size=(K, d))
    z = [X - c for c in center]
    weight = r.sum(axis=0)
    shift = np.stack([r[:, k] @ z[k] for k in range(K)])
    statistics = GaussianStatistics.of(
        form, center, weight, shift, scatter_of(form, z, list(r.T)), 40.0, 40, 0.0, taken_under=None
    )
    expected = [np.atleast_2d(np.cov(X, rowvar=False, aweights=r[:, k], bias=True)) for k in range(K)]
    weights, means, found = maximized(statistics, 0.0)
    np.testing.assert_allclose(weights, weight / 40.0, rtol=1e-15)
    np.testing.assert_allclose(means, r.T @ X / weight[:, np.newaxis], rtol=1e-13, atol=1e-13)
    assert found.shape == form.shape(K, d)
    # Centres a few spreads away cancel a digit.
    np.testing.assert_allclose(found, in_form(structure, np.stack(expected), weight), rtol=1e-13, atol=1e-13)


@each_structure
def test_component_that_holds_nothing_has_no_covariance(structure: str) -> None:
    form = STRUCTURES[structure]
    shape = form.shape(2, 2)
    weight, shift = np.array([0.0, 2.0]), np.zeros((2, 2))
    center, scatter = np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros(shape)
    statistics = GaussianStatistics.of(form, center, weight, shift, scatter, 2.0, 2, 0.0, taken_under=None)
    weights, means, covariances = maximized(statistics, 0.0)
    np.testing.assert_array_equal(weights, [0.0, 1.0])
    np.testing.assert_array_equal(means, center)
    np.testing.assert_array_equal(covariances, np.zeros(shape))


@pytest.mark.parametrize(("structure", "expected"), [("full", 3 * 10), ("tied", 10), ("diag", 3 * 4), ("spherical", 3)])
def test_free_parameters(structure: str, expected: int) -> None:
    assert STRUCTURES[structure].n_parameters(3, 4) == expected


@each_structure
@each_size
def test_to_full(structure: str, K: int, d: int) -> None:
    values = matrices_in_form(structure, K, d)
    np.testing.assert_array_equal(STRUCTURES[structure].to_full(values, K, d), as_full(structure, values, K, d))


@each_structure
@each_size
def test_reg_covar_is_added_to_the_diagonal(structure: str, K: int, d: int) -> None:
    form = STRUCTURES[structure]
    scatter, zeros = matrices_in_form(structure, K, d), np.zeros((K, d))
    statistics = GaussianStatistics.of(form, zeros, np.ones(K), zeros, scatter, float(K), K, 0.0, taken_under=None)
    _, _, without = maximized(statistics, 0.0)
    _, _, added = maximized(statistics, 0.25)
    expected = as_full(structure, without, K, d) + 0.25 * np.eye(d)
    np.testing.assert_array_equal(as_full(structure, added, K, d), expected)


@each_structure
@each_size
def test_whitening(structure: str, K: int, d: int) -> None:
    values = matrices_in_form(structure, K, d)
    whitening, log_det = STRUCTURES[structure].whiten(values, K, d)
    assert whitening.shape == STRUCTURES[structure].shape(K, d)
    W = as_full(structure, whitening, K, d)
    full = as_full(structure, values, K, d)
    assert not np.triu(W, 1).any()
    # Condition numbers of these are below 1e4.
    np.testing.assert_allclose(W @ full @ W.transpose(0, 2, 1), np.broadcast_to(np.eye(d), W.shape), rtol=0, atol=1e-11)
    np.testing.assert_allclose(log_det, -0.5 * np.linalg.slogdet(full)[1], rtol=1e-11, atol=1e-11)


@each_structure
@each_size
def test_precisions_and_back(structure: str, K: int, d: int) -> None:
    form = STRUCTURES[structure]
    values = matrices_in_form(structure, K, d)
    full = as_full(structure, values, K, d)
    precisions = in_form(structure, np.linalg.inv(full), np.ones(K))
    covariances = form.from_precisions(np.ascontiguousarray(precisions))
    # Two inversions at condition numbers below 1e4.
    np.testing.assert_allclose(covariances, values, rtol=1e-10, atol=1e-10)


@each_structure
@each_size
def test_norms_of_whitened_changes_and_vectors(structure: str, K: int, d: int) -> None:
    form = STRUCTURES[structure]
    whitening, _ = form.whiten(matrices_in_form(structure, K, d), K, d)
    W = as_full(structure, whitening, K, d)
    change = matrices_in_form(structure, K, d, seed=1) - matrices_in_form(structure, K, d, seed=2)
    vectors = np.random.default_rng(3).normal(size=(K, d))
    np.testing.assert_allclose(form.whitened(whitening, vectors), np.einsum("kij,kj->ki", W, vectors), rtol=1e-12)
    full = W @ as_full(structure, change, K, d) @ W.transpose(0, 2, 1)
    expected = np.linalg.norm(full, axis=(1, 2))
    found = form.whitened_norms(whitening, change, d)
    np.testing.assert_allclose(found, expected[: 1 if structure == "tied" else K], rtol=1e-12)


@each_structure
@each_size
def test_mahalanobis_of_a_scatter(structure: str, K: int, d: int) -> None:
    rng = np.random.default_rng([K, d])
    form = STRUCTURES[structure]
    whitening, _ = form.whiten(matrices_in_form(structure, K, d), K, d)
    z, w = [rng.normal(size=(20, d)) for _ in range(K)], [rng.uniform(0, 1, 20) for _ in range(K)]
    W = as_full(structure, whitening, K, d)
    expected = sum(np.sum(w[k] * ((z[k] @ W[k].T) ** 2).sum(axis=1)) for k in range(K))
    assert form.mahalanobis(whitening, scatter_of(form, z, w)) == pytest.approx(expected, rel=1e-12)


@each_structure
@each_size
def test_precisions_and_their_factors(structure: str, K: int, d: int) -> None:
    form = STRUCTURES[structure]
    values = matrices_in_form(structure, K, d)
    whitening, _ = form.whiten(values, K, d)
    factors = form.precisions_cholesky(whitening)
    assert factors.shape == values.shape
    if form.has_matrices:
        assert np.all(np.tril(factors, -1) == 0.0)
        assert factors.flags.c_contiguous
    expected = np.linalg.inv(as_full(structure, values, K, d))
    precisions = as_full(structure, form.precisions(whitening), K, d)
    # Condition numbers of these matrices are below 1e4.
    np.testing.assert_allclose(precisions, expected, rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(precisions, precisions.swapaxes(-1, -2))


@each_structure
def test_permuted_components_keep_their_covariances(structure: str) -> None:
    values, order = matrices_in_form(structure, 3, 2), np.array([2, 0, 1])
    found = as_full(structure, STRUCTURES[structure].permute(values, order), 3, 2)
    np.testing.assert_array_equal(found, as_full(structure, values, 3, 2)[order])


@each_structure
@each_size
def test_colored_noise_is_the_factor_times_each_row(structure: str, K: int, d: int) -> None:
    values, counts = matrices_in_form(structure, K, d), np.arange(K) * 2  # the first component has no row
    noise = np.random.default_rng(0).normal(size=(counts.sum(), d))
    L = np.linalg.cholesky(as_full(structure, values, K, d))[np.repeat(np.arange(K), counts)]
    found = STRUCTURES[structure].color(noise, counts, values)
    # d products, summed in another order.
    np.testing.assert_allclose(found, (L @ noise[:, :, np.newaxis])[:, :, 0], rtol=1e-12, atol=1e-14)


@each_structure
def test_from_pooled(structure: str) -> None:
    pooled = np.array([[4.0, 1.0], [1.0, 2.0]])
    values = STRUCTURES[structure].from_pooled(pooled, 3)
    expected = {"full": [pooled] * 3, "tied": pooled, "diag": [[4.0, 2.0]] * 3, "spherical": [3.0] * 3}
    np.testing.assert_array_equal(values, expected[structure])
    values[:] = 0.0  # theirs: the pooled matrix stays as it is
    assert pooled[0, 0] == 4.0


@each_structure
@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_degenerate_covariances_and_precisions_are_refused(structure: str, bad: float) -> None:
    form = STRUCTURES[structure]
    values = matrices_in_form(structure, 3, 2)
    component = 0 if structure == "tied" else 1
    if structure == "tied":
        values[1, 1] = bad
    else:
        values[(1, *[1] * (values.ndim - 1))] = bad
    text = f"the covariance of component {component} is not positive definite to working precision"
    with pytest.raises(DegenerateCovarianceError, match=text) as error:
        form.whiten(values, 3, 2)
    assert error.value.component == component
    with pytest.raises(DegenerateCovarianceError, match=text.replace("covariance", "precision")):
        form.from_precisions(values)


@each_structure
def test_a_structure_is_one_object(structure: str) -> None:
    form = STRUCTURES[structure]
    assert pickle.loads(pickle.dumps(form)) is form
    assert copy.deepcopy(form) is form
    assert repr(form) == f"<covariance structure {structure}>"
