"""Each covariance form against what it means for matrices."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from emix.exceptions import DegenerateCovarianceError
from emix.gaussian.forms import FORMS
from gaussian.examples import Array, each_form, in_form, scatter_of

each_size = pytest.mark.parametrize(("K", "d"), [(1, 1), (2, 1), (1, 3), (3, 4)])


def matrices_in_form(name: str, K: int, d: int, seed: int = 0) -> Array:
    """Random covariances in a form's shape."""
    rng = np.random.default_rng([seed, K, d])
    roots = rng.normal(size=(K, d, d + 2))
    return np.array(in_form(name, roots @ roots.transpose(0, 2, 1), np.ones(K)))


def as_full(name: str, values: Array, K: int, d: int) -> Array:
    """Matrices of a form's values, by a loop."""
    full = np.zeros((K, d, d))
    for k in range(K):
        for i in range(d):
            for j in range(d):
                if name == "full":
                    full[k, i, j] = values[k, i, j]
                elif name == "tied":
                    full[k, i, j] = values[i, j]
                elif i == j:
                    full[k, i, j] = values[k, i] if name == "diag" else values[k]
    return full


@each_form
@each_size
def test_to_full(name: str, K: int, d: int) -> None:
    values = matrices_in_form(name, K, d)
    np.testing.assert_array_equal(FORMS[name].to_full(values, K, d), as_full(name, values, K, d))


@each_form
@each_size
def test_whitening(name: str, K: int, d: int) -> None:
    values = matrices_in_form(name, K, d)
    whitening, log_det = FORMS[name].whiten(values, K, d)
    assert whitening.shape == FORMS[name].shape(K, d)
    W = as_full(name, whitening, K, d)
    full = as_full(name, values, K, d)
    assert not np.triu(W, 1).any()
    # Condition numbers of these are below 1e4.
    np.testing.assert_allclose(W @ full @ W.transpose(0, 2, 1), np.broadcast_to(np.eye(d), W.shape), rtol=0, atol=1e-11)
    np.testing.assert_allclose(log_det, -0.5 * np.linalg.slogdet(full)[1], rtol=1e-11, atol=1e-11)


@each_form
@each_size
def test_precisions_and_back(name: str, K: int, d: int) -> None:
    form = FORMS[name]
    values = matrices_in_form(name, K, d)
    full = as_full(name, values, K, d)
    precisions = in_form(name, np.linalg.inv(full), np.ones(K))
    covariances = form.from_precisions(np.ascontiguousarray(precisions))
    # Two inversions at condition numbers below 1e4.
    np.testing.assert_allclose(covariances, values, rtol=1e-10, atol=1e-10)


@each_form
@each_size
def test_norms_of_whitened_changes_and_vectors(name: str, K: int, d: int) -> None:
    form = FORMS[name]
    whitening, _ = form.whiten(matrices_in_form(name, K, d), K, d)
    W = as_full(name, whitening, K, d)
    change = matrices_in_form(name, K, d, seed=1) - matrices_in_form(name, K, d, seed=2)
    vectors = np.random.default_rng(3).normal(size=(K, d))
    np.testing.assert_allclose(form.whitened(whitening, vectors), np.einsum("kij,kj->ki", W, vectors), rtol=1e-12)
    full = W @ as_full(name, change, K, d) @ W.transpose(0, 2, 1)
    expected = np.linalg.norm(full, axis=(1, 2))
    found = form.whitened_norms(whitening, change, d)
    np.testing.assert_allclose(found, expected[: 1 if name == "tied" else K], rtol=1e-12)


@each_form
@each_size
def test_mahalanobis_of_a_scatter(name: str, K: int, d: int) -> None:
    rng = np.random.default_rng([K, d])
    form = FORMS[name]
    whitening, _ = form.whiten(matrices_in_form(name, K, d), K, d)
    z, w = [rng.normal(size=(20, d)) for _ in range(K)], [rng.uniform(0, 1, 20) for _ in range(K)]
    W = as_full(name, whitening, K, d)
    expected = sum(np.sum(w[k] * ((z[k] @ W[k].T) ** 2).sum(axis=1)) for k in range(K))
    assert form.mahalanobis(whitening, scatter_of(form, z, w)) == pytest.approx(expected, rel=1e-12)


@each_form
@each_size
def test_precisions_and_their_factors(name: str, K: int, d: int) -> None:
    form = FORMS[name]
    values = matrices_in_form(name, K, d)
    whitening, _ = form.whiten(values, K, d)
    factors = form.precisions_cholesky(whitening)
    assert factors.shape == values.shape
    if form.has_matrices:
        assert np.all(np.tril(factors, -1) == 0.0)
        assert factors.flags.c_contiguous
    expected = np.linalg.inv(as_full(name, values, K, d))
    precisions = as_full(name, form.precisions(whitening), K, d)
    # Condition numbers of these matrices are below 1e4.
    np.testing.assert_allclose(precisions, expected, rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(precisions, precisions.swapaxes(-1, -2))


@each_form
def test_permuted_components_keep_their_covariances(name: str) -> None:
    values, order = matrices_in_form(name, 3, 2), np.array([2, 0, 1])
    found = as_full(name, FORMS[name].permute(values, order), 3, 2)
    np.testing.assert_array_equal(found, as_full(name, values, 3, 2)[order])


@each_form
@each_size
def test_colored_noise_is_the_factor_times_each_row(name: str, K: int, d: int) -> None:
    values, counts = matrices_in_form(name, K, d), np.arange(K) * 2  # the first component has no row
    noise = np.random.default_rng(0).normal(size=(counts.sum(), d))
    L = np.linalg.cholesky(as_full(name, values, K, d))[np.repeat(np.arange(K), counts)]
    found = FORMS[name].color(noise, counts, values)
    # d products, summed in another order.
    np.testing.assert_allclose(found, (L @ noise[:, :, np.newaxis])[:, :, 0], rtol=1e-12, atol=1e-14)


@each_form
def test_from_pooled(name: str) -> None:
    pooled = np.array([[4.0, 1.0], [1.0, 2.0]])
    values = FORMS[name].from_pooled(pooled, 3)
    expected = {"full": [pooled] * 3, "tied": pooled, "diag": [[4.0, 2.0]] * 3, "spherical": [3.0] * 3}
    np.testing.assert_array_equal(values, expected[name])
    values[:] = 0.0  # theirs: the pooled matrix stays as it is
    assert pooled[0, 0] == 4.0


@each_form
@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_degenerate_covariances_and_precisions_are_refused(name: str, bad: float) -> None:
    form = FORMS[name]
    values = matrices_in_form(name, 3, 2)
    component = 0 if name == "tied" else 1
    if name == "tied":
        values[1, 1] = bad
    else:
        values[(1, *[1] * (values.ndim - 1))] = bad
    text = f"the covariance of component {component} is not positive definite to working precision"
    with pytest.raises(DegenerateCovarianceError, match=text) as error:
        form.whiten(values, 3, 2)
    assert error.value.component == component
    with pytest.raises(DegenerateCovarianceError, match=text.replace("covariance", "precision")):
        form.from_precisions(values)


@each_form
def test_a_form_is_one_object(name: str) -> None:
    form = FORMS[name]
    assert pickle.loads(pickle.dumps(form)) is form
    assert copy.deepcopy(form) is form
    assert repr(form) == f"<covariance form {name}>"
