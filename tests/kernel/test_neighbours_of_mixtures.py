"""Components merged and split in compiled code, beside the formulae in NumPy."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emix.gaussian.structures import STRUCTURES
from emix.kernel import factors

Array = NDArray[np.float64]

FORMS = {name: STRUCTURES[name].form.code for name in ("full", "tied", "diag", "spherical")}
SHARING = [name for name, structure in STRUCTURES.items() if not structure.is_linear]


def components(K: int, d: int, seed: int = 0) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(K, d, d))
    return rng.dirichlet(np.ones(K)), 2.0 * rng.normal(size=(K, d)), roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(d)


def united(mixture: tuple[Array, Array, Array], i: int, j: int) -> tuple[Array, Array, Array]:
    """The mixture with the moments of two components together at the place of the first."""
    weights, means, covariances = (part.copy() for part in mixture)
    weight = weights[i] + weights[j]
    mean = (weights[i] * means[i] + weights[j] * means[j]) / weight
    second = sum(weights[k] * (covariances[k] + np.outer(means[k], means[k])) for k in (i, j)) / weight
    weights[i], means[i], covariances[i] = weight, mean, second - np.outer(mean, mean)
    return np.delete(weights, j), np.delete(means, j, axis=0), np.delete(covariances, j, axis=0)


def q(form: str, mixture: tuple[Array, Array, Array]) -> float:
    """Q up to a constant, each component with a covariance of its own in the form."""
    weights, _, covariances = mixture
    d = covariances.shape[1]
    if form in ("full", "tied"):
        log_det = np.linalg.slogdet(covariances)[1]
    else:
        variances = np.diagonal(covariances, axis1=1, axis2=2)
        log_det = np.log(variances).sum(axis=1) if form == "diag" else d * np.log(variances.mean(axis=1))
    return float(weights @ np.log(weights) - 0.5 * weights @ log_det)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("K", "d"), [(2, 1), (3, 2), (7, 4), (12, 3)])
def test_unions_in_the_order_of_what_they_lose(form: str, K: int, d: int) -> None:
    mixture = components(K, d)
    pairs = sorted(combinations(range(K), 2), key=lambda pair: -q(form, united(mixture, *pair)))
    for most in (1, 4, 100):
        assert factors.best_unions(FORMS[form], *mixture, most) == pairs[:most]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("K", "n_left"), [(2, 1), (9, 4), (12, 1), (5, 5)])
def test_merging_is_one_best_union_after_another(form: str, K: int, n_left: int) -> None:
    mixture = expected = components(K, 3)
    while len(expected[0]) > n_left:
        pairs = combinations(range(len(expected[0])), 2)
        expected = max((united(expected, *pair) for pair in pairs), key=lambda one: q(form, one))
    found = tuple(part.copy() for part in mixture)
    factors.merge(FORMS[form], n_left, *found)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one[:n_left], other, rtol=1e-10, atol=1e-12)  # some unions, each rounded


def test_a_pair_is_merged() -> None:
    mixture = components(6, 2)
    found = tuple(part.copy() for part in mixture)
    factors.merge_pair(*found, 1, 4)
    for one, other in zip(found, united(mixture, 1, 4), strict=True):
        np.testing.assert_allclose(one[:5], other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("K", "d"), [(2, 1), (2, 3), (5, 3), (4, 1)])
@pytest.mark.parametrize("name", SHARING)
def test_q_of_a_union_is_that_of_the_structure(name: str, K: int, d: int) -> None:
    structure, mixture = STRUCTURES[name], components(K, d)
    for pair in combinations(range(K), 2):
        weights, means, covariances = united(mixture, *pair)
        own = covariances if structure.form.has_matrices else np.diagonal(covariances, axis1=1, axis2=2).copy()
        shared = structure.project(own, weights)
        matrices = structure.form.to_full(shared, K - 1, d)
        expected = q("full", (weights, means, matrices))
        found = factors.q_of_union(structure.m_step, *mixture, *pair)
        assert found == pytest.approx(expected, rel=1e-9)  # the structure's own search ends within rounding


def test_singular_components_are_merged_last_and_weights_may_be_zero() -> None:
    weights, means, covariances = components(4, 2)
    covariances[0] = 0.0
    weights[3] = 0.0
    total = weights.sum()
    pairs = factors.best_unions(FORMS["full"], weights, means, covariances, 6)
    assert sorted(pairs) == list(combinations(range(4), 2))
    assert all(0 in pair for pair in pairs[-2:])
    factors.merge(FORMS["full"], 1, weights, means, covariances)
    assert weights[0] == pytest.approx(total, rel=1e-12)
    assert np.isfinite(covariances[0]).all()


@pytest.mark.parametrize(("K", "d"), [(1, 1), (2, 3), (5, 4), (8, 2)])
def test_the_widest_component_is_cut_across_its_longest_axis(K: int, d: int) -> None:
    units = 10.0 ** np.arange(d)
    weights, means, covariances = components(K, d)
    means, covariances = means * units, covariances * units[:, np.newaxis] * units
    found = np.empty(K + 1), np.empty((K + 1, d)), np.empty((K + 1, d, d))
    factors.split(weights, means, covariances, 0.8, *found)
    away = means - weights @ means
    scale = np.sqrt(weights @ (np.diagonal(covariances, axis1=1, axis2=2) + away * away))
    values, vectors = np.linalg.eigh(covariances / scale / scale[:, np.newaxis])
    k = int(np.argmax(weights * values[:, -1]))
    step = 0.8 * np.sqrt(values[k, -1]) * vectors[k, :, -1] * scale
    np.testing.assert_allclose(found[0][[k, K]], weights[k] / 2.0, rtol=1e-12)
    # The axis has no direction.
    apart = found[1][K] - found[1][k]
    np.testing.assert_allclose(apart * np.sign(apart @ step), 2.0 * step, rtol=1e-9, atol=1e-12 * scale.max())
    np.testing.assert_allclose(found[1][[k, K]].mean(axis=0), means[k], rtol=1e-12, atol=1e-12 * scale.max())
    unit = scale * scale[:, np.newaxis]
    half = (covariances[k] - np.outer(step, step)) / unit
    for place in (k, K):
        # Eigenvectors are exact to rounding over the gap of their values.
        np.testing.assert_allclose(found[2][place] / unit, half, rtol=0.0, atol=1e-9)
    others = [i for i in range(K) if i != k]
    for one, other in zip(found, (weights, means, covariances), strict=True):
        np.testing.assert_array_equal(one[others], other[others])


@pytest.mark.parametrize("reverse", [False, True])
def test_a_component_of_no_weight_leaves_the_other_as_it_is(reverse: bool) -> None:
    weights, means, covariances = np.array([0.5, 0.5, 0.0]), np.zeros((3, 2)), np.stack([np.eye(2)] * 3)
    means[:, 0] = [0.0, 9.0, 1.0]
    covariances[2] *= 1e20
    if reverse:
        weights, means, covariances = (part[::-1].copy() for part in (weights, means, covariances))
    factors.merge(FORMS["full"], 2, weights, means, covariances)
    np.testing.assert_array_equal(covariances[:2], [np.eye(2)] * 2)


def test_unions_without_a_covariance_come_last() -> None:
    weights, means, covariances = np.full(3, 1 / 3), np.array([[0.0], [1.0], [1e160]]), np.ones((3, 1, 1))
    assert factors.best_unions(FORMS["full"], weights, means, covariances, 1) == [(0, 1)]
    for name in SHARING:
        flat = np.zeros((3, 1, 1))
        assert factors.q_of_union(STRUCTURES[name].m_step, weights, means[[0, 0, 0]].copy(), flat, 0, 1) == -np.inf


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    weights, means, covariances = components(4, 2)
    with pytest.raises(ValueError, match="n_left is 5, expected 1 to 4"):
        factors.merge(0, 5, weights, means, covariances)
    with pytest.raises(ValueError, match="components 3 and 2 are to be merged"):
        factors.merge_pair(weights, means, covariances, 3, 2)
    with pytest.raises(ValueError, match="means"):
        factors.best_unions(0, weights, means[:3].copy(), covariances, 1)
    with pytest.raises(ValueError, match="covariances are of 3 components"):
        factors.best_unions(0, weights, means, covariances[:3].copy(), 1)
    more = np.empty(5), np.empty((5, 2)), np.empty((5, 2, 2))
    with pytest.raises(ValueError, match="new_weights"):
        factors.split(weights, means, covariances, 0.8, more[0][:4].copy(), *more[1:])
    with pytest.raises(ValueError, match="new_covariances are of 4 components, expected 5"):
        factors.split(weights, means, covariances, 0.8, *more[:2], more[2][:4].copy())
    with pytest.raises(ValueError, match="shares no part"):
        factors.q_of_union(0, weights, means, covariances, 0, 1)


@pytest.mark.parametrize("K", [1, 2, 9, 40])  # the lock is kept, and released
def test_distances_between_components(K: int) -> None:
    _, means, covariances = components(K, 4)
    unit = np.array([1e100, 1e-100, 0.0, 1.0])  # the third column is constant
    scale = np.where(unit > 0.0, unit, 1.0)
    found = np.full((K, K), np.nan)
    for first, last in ((0, K // 2), (K // 2, K)):
        factors.distances(means * scale, covariances * scale * scale[:, np.newaxis], unit, first, last, found)
    varies = np.flatnonzero(unit)
    away = (means[:, np.newaxis] - means)[..., varies]
    both = (covariances[:, np.newaxis] + covariances)[..., varies[:, np.newaxis], varies]
    expected = np.einsum("klj,klj->kl", away, np.linalg.solve(both, away[..., np.newaxis])[..., 0])
    np.fill_diagonal(expected, -1.0)
    # The sums of two random covariances have condition numbers of some hundreds.
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_distances_where_a_covariance_is_none() -> None:
    _, means, covariances = components(3, 2)
    covariances[0] = -np.eye(2) - covariances[1]
    found = np.empty((3, 3))
    factors.distances(means, covariances, np.ones(2), 0, 3, found)
    assert found[0, 1] == found[1, 0] == np.inf
    assert np.isfinite(found[1, 2])


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"covariances": np.ones((4, 2, 2))}, "covariances has 4 numbers, expected 3"),
        ({"covariances": np.ones((3, 1, 2))}, "a covariance has 1 numbers, expected 2"),
        ({"covariances": np.ones((3, 2, 1))}, "a row of a covariance has 1 numbers, expected 2"),
        ({"unit": np.ones(3)}, "unit has 3 numbers, expected 2"),
        ({"last": 4}, "the components are 0 to 4"),
        ({"first": -1}, "the components are -1 to 3"),
        ({"out": np.empty((2, 3))}, "out has 2 numbers, expected 3"),
        ({"out": np.empty((3, 2))}, "a row of out has 2 numbers, expected 3"),
        ({"means": np.ones((0, 2)), "covariances": np.ones((0, 2, 2)), "out": np.empty((0, 0))}, r"shape \(0, 2\)"),
    ],
)
def test_distances_refuse_what_does_not_fit(changed: dict[str, Any], text: str) -> None:
    fits = {
        "means": np.ones((3, 2)), "covariances": np.ones((3, 2, 2)), "unit": np.ones(2), "first": 0, "last": 3,
        "out": np.empty((3, 3)),
    }  # fmt: skip
    with pytest.raises(ValueError, match=text):
        factors.distances(*(fits | changed).values())
