"""Each covariance structure: its M-step, its free parameters, its names."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import emix
from emix.em.loop import iterate
from emix.gaussian.collapse import judge_fit
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import NAMES, STRUCTURES, structure_of
from gaussian.examples import Array, UnitVolume, clusters, each_structure, in_form, scatter_of, start
from gaussian.shared_parts import ITERATED

each_size = pytest.mark.parametrize(("K", "d"), [(1, 1), (2, 1), (1, 3), (3, 4)])


def matrices_in_form(structure: str, K: int, d: int, seed: int = 0) -> Array:
    """Random covariances of the structure."""
    rng = np.random.default_rng([seed, K, d])
    roots = rng.normal(size=(K, d, d + 2))
    return np.array(in_form(structure, roots @ roots.transpose(0, 2, 1), np.ones(K)))


def maximized(statistics: GaussianStatistics, reg_covar: float) -> tuple[Array, Array, Array]:
    """Weights, means and covariances of the M-step; one that iterates goes on until it has nothing to gain."""
    kind = statistics.structure
    while True:
        packed, failed = kind.maximize(statistics, reg_covar)
        found = GaussianParameters(kind, statistics.n_components, statistics.n_features, packed)
        if failed >= 0 or kind.gain_left(statistics, reg_covar, found) <= 1e-15:
            return found.weights, found.means, found.covariances
        statistics = replace(statistics, taken_under=found)


@each_structure
@each_size
def test_m_step_is_the_weighted_covariance(structure: str, K: int, d: int) -> None:
    rng = np.random.default_rng([K, d])
    kind = STRUCTURES[structure]
    X = rng.normal(size=(40, d))
    r = rng.dirichlet(np.ones(K), size=40)
    center = rng.normal(size=(K, d))
    z = [X - c for c in center]
    weight = r.sum(axis=0)
    shift = np.stack([r[:, k] @ z[k] for k in range(K)])
    statistics = GaussianStatistics.of(
        kind, center, weight, shift, scatter_of(kind.form, z, list(r.T)), 40.0, 40, 0.0, taken_under=None
    )
    expected = [np.atleast_2d(np.cov(X, rowvar=False, aweights=r[:, k], bias=True)) for k in range(K)]
    weights, means, found = maximized(statistics, 0.0)
    np.testing.assert_allclose(weights, weight / 40.0, rtol=1e-15)
    np.testing.assert_allclose(means, r.T @ X / weight[:, np.newaxis], rtol=1e-13, atol=1e-13)
    assert found.shape == kind.form.shape(K, d)
    # Centres a few spreads away cancel a digit. A search ends where Q is exact, and parameters to the root of that.
    rounding = 1e-6 if structure in ITERATED else 1e-13
    np.testing.assert_allclose(found, in_form(structure, np.stack(expected), weight), rtol=rounding, atol=rounding)


@each_structure
def test_component_that_holds_nothing_has_no_covariance(structure: str) -> None:
    kind = STRUCTURES[structure]
    shape = kind.form.shape(2, 2)
    weight, shift = np.array([0.0, 2.0]), np.zeros((2, 2))
    center, scatter = np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros(shape)
    statistics = GaussianStatistics.of(kind, center, weight, shift, scatter, 2.0, 2, 0.0, taken_under=None)
    weights, means, covariances = maximized(statistics, 0.0)
    np.testing.assert_array_equal(weights, [0.0, 1.0])
    np.testing.assert_array_equal(means, center)
    np.testing.assert_array_equal(covariances, np.zeros(shape))


@pytest.mark.parametrize("structure", [name for name, kind in STRUCTURES.items() if kind.is_linear])
@each_size
def test_reg_covar_is_added_to_the_diagonal(structure: str, K: int, d: int) -> None:
    kind = STRUCTURES[structure]
    scatter, zeros = matrices_in_form(structure, K, d), np.zeros((K, d))
    statistics = GaussianStatistics.of(kind, zeros, np.ones(K), zeros, scatter, float(K), K, 0.0, taken_under=None)
    _, _, without = maximized(statistics, 0.0)
    _, _, added = maximized(statistics, 0.25)
    to_full = kind.form.to_full
    np.testing.assert_array_equal(to_full(added, K, d), to_full(without, K, d) + 0.25 * np.eye(d))


@each_structure
def test_a_structure_is_one_object(structure: str) -> None:
    kind = STRUCTURES[structure]
    assert pickle.loads(pickle.dumps(kind)) is kind
    assert copy.deepcopy(kind) is kind
    assert repr(kind) == f"<covariance structure {structure}>"


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        *(("full", 3 * 10), ("tied", 10), ("diag", 3 * 4), ("spherical", 3), ("EEI", 4), ("EII", 1)),
        # As mclust counts them: nMclustParams less means and weights.
        *(("VEI", 6), ("EVI", 10), ("VEE", 12), ("EVE", 16), ("VVE", 18), ("EEV", 22), ("VEV", 24), ("EVV", 28)),
    ],
)
def test_free_parameters(structure: str, expected: int) -> None:
    assert STRUCTURES[structure].n_parameters(3, 4) == expected


def test_names() -> None:
    aliases = {"VVV": "full", "EEE": "tied", "VVI": "diag", "VII": "spherical"}
    for alias, name in aliases.items():
        assert structure_of(alias, "GaussianModel") is STRUCTURES[name]
    assert sorted(NAMES) == sorted([*STRUCTURES, *aliases])


@each_structure
def test_given_covariances_are_projected_as_the_m_step_pools_them(structure: str) -> None:
    rng = np.random.default_rng(0)
    kind, weights = STRUCTURES[structure], np.array([0.2, 0.3, 0.5])
    roots = rng.normal(size=(3, 4, 6))
    matrices = roots @ roots.transpose(0, 2, 1)
    # Each component's own covariance, in the form alone.
    own = in_form({"EEI": "diag", "EII": "spherical"}.get(structure, structure), matrices, weights)
    # Weighted means of three numbers.
    rounding = 1e-6 if structure in ITERATED else 1e-14
    np.testing.assert_allclose(kind.project(own, weights), in_form(structure, matrices, weights), rtol=rounding)


@each_structure
def test_covariances_of_the_structure_are_projected_to_themselves(structure: str) -> None:
    values = matrices_in_form(structure, 3, 4)
    assert STRUCTURES[structure].project(values, np.array([0.2, 0.3, 0.5])) is values


@pytest.mark.parametrize("structure", ["EEI", "EII"])
def test_covariances_that_are_not_of_the_structure_are_refused(structure: str) -> None:
    values = np.array([[1.0, 1.0], [1.0, 3.0]]) if structure == "EEI" else np.array([1.0, 3.0])
    text = f"covariances are not of the covariance structure '{structure}', {STRUCTURES[structure].description}"
    with pytest.raises(ValueError, match=text):
        GaussianParameters.from_covariances(structure, [0.5, 0.5], np.zeros((2, 2)), values)
    with pytest.raises(ValueError, match=f"inverses of precisions are not of the covariance structure '{structure}'"):
        GaussianParameters.from_precisions(structure, [0.5, 0.5], np.zeros((2, 2)), values)
    nearest = GaussianParameters.from_precisions(structure, [0.5, 0.5], np.zeros((2, 2)), values, project=True)
    pooled = STRUCTURES[structure].project(1.0 / values, np.array([0.5, 0.5]))
    np.testing.assert_array_equal(nearest.covariances, pooled)


def test_rounding_of_given_covariances_is_taken_out() -> None:
    values = np.array([[1.0, 2.0], [1.0 + 1e-9, 2.0]])
    found = GaussianParameters.from_covariances("EEI", [0.5, 0.5], np.zeros((2, 2)), values).covariances
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found, values, rtol=1e-9)  # as far apart as what was given


def test_a_structure_of_a_users_own() -> None:
    X = clusters(300, 2, 2)
    begin = start("diag", X, 2)
    kind = UnitVolume()
    model = emix.GaussianModel(2, 2, kind)
    theta = GaussianParameters.of(kind, begin.weights, begin.means, np.ones((2, 2)))
    result = emix.fit_em(model, X, theta, tol=1e-10)
    assert result.converged
    np.testing.assert_allclose(result.parameters.covariances.prod(axis=1), 1.0, rtol=1e-15)  # a root and a product
    assert np.all(np.diff([record.log_likelihood for record in result.history]) >= -1e-9)  # rounding of 300 rows
    judgement = judge_fit(result.statistics, 0.0, 300.0)
    assert judgement.collapse is None


def test_two_objects_of_a_users_structure_are_one_structure() -> None:
    class Derived(UnitVolume):
        pass

    kind = UnitVolume()
    for other in (UnitVolume(), pickle.loads(pickle.dumps(kind)), copy.copy(kind), copy.deepcopy(kind)):
        assert other is not kind
        assert other == kind and hash(other) == hash(kind)
    for stranger in (Derived(), STRUCTURES["diag"], kind.name, None):
        assert stranger != kind
    # An object beside the one that has the name.
    full = type(STRUCTURES["full"])()
    assert full == STRUCTURES["full"] and pickle.loads(pickle.dumps(full)) is not STRUCTURES["full"]
    assert structure_of(full, "GaussianModel") is STRUCTURES["full"]


@pytest.mark.parametrize("another", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_fit_with_a_users_structure_goes_on_from_a_copy(another: Callable[[Any], Any]) -> None:
    X = clusters(300, 2, 2)
    begin = start("diag", X, 2)
    model = emix.GaussianModel(2, 2, UnitVolume(), reg_covar=1e-3)
    theta = GaussianParameters.of(model.structure, begin.weights, begin.means, np.ones((2, 2)))
    half = iterate(model, X, theta, tol=0.0, max_iter=2).parameters
    whole = iterate(model, X, half, tol=0.0, max_iter=2).parameters
    for from_model, from_theta in ((another(model), half), (model, another(half))):
        assert iterate(from_model, X, from_theta, tol=0.0, max_iter=2).parameters.digest == whole.digest
    statistics, _ = model.e_step(X, half)
    np.testing.assert_array_equal((statistics + another(statistics)).weight, 2.0 * statistics.weight)
