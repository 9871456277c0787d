"""Starts from neighbours: moments are kept, structures contain one another, fits never end below."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris

from emix import GaussianMixture, GaussianModel, GaussianParameters
from emix.em.loop import iterate
from emix.gaussian.structures import STRUCTURES
from emix.rows.arrays import ArraySource
from emix.starts.neighbours import contains, merged, merged_to, projected, split

IRIS = load_iris().data
SOURCE = ArraySource(IRIS)
FULL = STRUCTURES["full"]


def fitted(structure: str, n_components: int) -> GaussianParameters:
    gm = GaussianMixture(n_components, covariance_type=structure, n_init=5, random_state=0).fit(IRIS)
    return GaussianParameters.from_covariances(structure, gm.weights_, gm.means_, gm.covariances_)


def moments(parameters: GaussianParameters) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the whole mixture."""
    K, d = parameters.n_components, parameters.n_features
    mean = parameters.weights @ parameters.means
    away = parameters.means - mean
    within = parameters.structure.form.to_full(parameters.covariances, K, d)
    return mean, np.tensordot(parameters.weights, within, 1) + (away.T * parameters.weights) @ away


@pytest.mark.parametrize("change", [split, merged])
def test_split_and_merge_keep_mean_and_covariance_of_the_mixture(change: object) -> None:
    before = fitted("full", 3)
    K = 4 if change is split else 2
    after = (split if change is split else merged)(before, FULL)
    assert after.n_components == K
    assert after.weights.sum() == pytest.approx(1.0, rel=1e-12)
    for one, other in zip(moments(before), moments(after), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_the_longest_component_is_split_across_its_longest_axis() -> None:
    theta = GaussianParameters.from_covariances(
        "full", [0.5, 0.5], [[0.0, 0.0], [9.0, 9.0]], [np.diag([1.0, 1.0]), np.diag([1.0, 25.0])]
    )
    after = split(theta, FULL)
    # a √λ with a = 0.8: half of the component's rows lie on either side, 0.8 of 5 from its mean.
    np.testing.assert_allclose(after.means, [[0.0, 0.0], [9.0, 5.0], [9.0, 13.0]], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(after.weights, [0.5, 0.25, 0.25], rtol=1e-12)
    np.testing.assert_allclose(after.covariances[1], np.diag([1.0, 25.0 - 16.0]), rtol=1e-12, atol=1e-12)


def test_units_of_columns_do_not_say_what_is_split_or_merged() -> None:
    before, units = fitted("full", 4), np.array([1e8, 1e-5, 1.0, 1e3])
    other = GaussianParameters.from_covariances(
        "full", before.weights, before.means * units, before.covariances * units[:, np.newaxis] * units
    )
    for change in (split, merged):
        one, two = change(before, FULL), change(other, FULL)
        np.testing.assert_allclose(one.means * units, two.means, rtol=1e-7)


def test_the_pair_is_merged_that_overlaps_most() -> None:
    theta = GaussianParameters.from_covariances(
        "full", [0.3, 0.3, 0.4], [[0.0, 0.0], [10.0, 0.0], [0.5, 0.0]], [np.eye(2)] * 3
    )
    after = merged(theta, FULL)
    # A union stands at the place of its first component.
    np.testing.assert_allclose(after.weights, [0.7, 0.3], rtol=1e-12)
    np.testing.assert_allclose(after.means, [[2.0 / 7.0, 0.0], [10.0, 0.0]], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_merging_down_is_one_merger_after_another(structure: str) -> None:
    # Covariances of these structures follow from the component's own moments, so that no detour through others counts.
    before = fitted(structure, 8)
    expected = before
    for n_components in range(7, 2, -1):
        expected = merged(expected, STRUCTURES[structure])
        found = merged_to(before, STRUCTURES[structure], n_components)
        order = [np.argsort(parameters.weights) for parameters in (expected, found)]
        for name in ("weights", "means", "covariances"):
            one, other = (getattr(p, name)[places] for p, places in zip((expected, found), order, strict=True))
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)  # sums in another order


@pytest.mark.parametrize("structure", STRUCTURES)
def test_merging_down_keeps_the_mean_and_the_weight(structure: str) -> None:
    before = fitted(structure, 5)
    after = merged_to(before, STRUCTURES[structure], 2)
    assert after.structure is STRUCTURES[structure]
    assert after.weights.sum() == pytest.approx(1.0, rel=1e-12)
    np.testing.assert_allclose(moments(before)[0], moments(after)[0], rtol=1e-12)


@pytest.mark.parametrize("outer", STRUCTURES)
@pytest.mark.parametrize("inner", STRUCTURES)
def test_a_structure_that_contains_another_never_ends_below_it(outer: str, inner: str) -> None:
    if not contains(STRUCTURES[outer], STRUCTURES[inner]):
        # What is not contained has at least one covariance that is none of the other: projecting moves it.
        return
    below = fitted(inner, 3)
    model = GaussianModel(3, 4, outer)
    lower = GaussianModel(3, 4, inner).e_step(IRIS, below)[1]
    result = iterate(model, SOURCE, projected(below, STRUCTURES[outer]), tol=1e-8, max_iter=200)
    # The fit that gave the start had a ridge of 1e-8 of the variances, which a fit without it may give up.
    assert result.log_likelihood >= lower - 1e-5


def test_which_structures_contain_which() -> None:
    names = {structure.alias or structure.name: structure for structure in STRUCTURES.values()}
    pairs = {(a, b) for a in names for b in names if contains(names[a], names[b])}
    for a, b in (("VVV", "EII"), ("VVV", "EEE"), ("EEE", "EEI"), ("VVI", "VII"), ("VVI", "EEI"), ("VII", "EII")):
        assert (a, b) in pairs
    for a, b in (("EEE", "VVI"), ("EII", "VII"), ("VII", "EEI"), ("VVI", "EEE"), ("VVV", "VVV")):
        assert (a, b) not in pairs
    for a, b in pairs:
        assert names[a].n_parameters(4, 5) > names[b].n_parameters(4, 5)
