"""A local search leads from one mode to a better one: two components on one group, one on two."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emix import GaussianModel, GaussianParameters
from emix.gaussian.structures import STRUCTURES
from emix.rows.arrays import ArraySource
from emix.starts.exploration import Exploration, Mode
from emix.starts.local_search import LocalSearch

Array = NDArray[np.float64]

CENTERS = np.array([[-20.0, 0.0], [20.0, -4.0], [20.0, 4.0]])


def three_groups(n: int = 100) -> Array:
    rng = np.random.default_rng(0)
    return np.vstack([rng.normal(size=(n, 2)) + center for center in CENTERS])


def trapped(X: Array, structure: str = "full", weight: Array | None = None) -> tuple[Exploration, Mode]:
    """The mode that has two components on the first group, and one on the other two."""
    form = STRUCTURES[structure].form
    start = GaussianParameters.of(
        STRUCTURES[structure],
        np.array([0.2, 0.2, 0.6]),
        np.array([[-20.5, 0.0], [-19.5, 0.0], [20.0, 0.0]]),
        form.from_pooled(np.eye(2), 3),
    )
    found = Exploration(ArraySource(X, weight), GaussianModel(3, 2, structure, "auto"), 0, 1e-6, 1000)
    result = found.run(start, 200)
    assert result is not None
    return found, Mode(start, result)


def sorted_means(mode: Mode) -> Array:
    means = mode.result.parameters.means
    return np.asarray(means[np.argsort(means @ [1.0, 0.01])])


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_component_leaves_where_it_is_one_too_many(structure: str) -> None:
    X = three_groups()
    found, mode = trapped(X, structure)
    assert np.sum(mode.result.parameters.means[:, 0] < 0.0) == 2  # EM itself does not get out
    better = LocalSearch(found, 0).climbed(mode, found)
    # Means of 100 rows of standard deviation 1: a tenth, times 3.
    np.testing.assert_allclose(sorted_means(better), CENTERS, rtol=0, atol=0.3)
    assert better.result.log_likelihood > mode.result.log_likelihood + 0.1 * len(X)


def test_one_of_many_components_moves() -> None:
    # Six groups in two rows of three, far apart: two components on the first, one on the last two.
    centers = 30.0 * np.array([[i, j] for i in range(3) for j in range(2)], dtype=np.float64)
    centers[5] = centers[4] + [0.0, 6.0]
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(60, 2)) + center for center in centers])
    means = np.vstack([centers[0] - 0.5, centers[0] + 0.5, centers[1:4], centers[4] + [0.0, 3.0]])
    start = GaussianParameters.from_covariances("full", np.full(6, 1.0 / 6.0), means, [np.eye(2)] * 6)
    found = Exploration(ArraySource(X), GaussianModel(6, 2, "full", "auto"), 0, 1e-6, 1000)
    result = found.run(start, 200)
    assert result is not None
    better = LocalSearch(found, 1).climbed(Mode(start, result), found).result.parameters
    # A tenth or so is the standard error of a mean of 60 rows. Each group has a component.
    nearest = np.linalg.norm(better.means[:, np.newaxis] - centers, axis=2).min(axis=0)
    assert nearest.max() < 0.6


def test_the_best_mode_stays() -> None:
    found, mode = trapped(three_groups())
    best = LocalSearch(found, 0).climbed(mode, found)
    again = LocalSearch(found, 1)
    assert again.climbed(best, found).result.log_likelihood == pytest.approx(best.result.log_likelihood, abs=1e-4 * 300)
    assert not again.was_long


def test_no_mode_is_left_for_a_lower_one() -> None:
    X = np.random.default_rng(0).normal(size=(200, 3))
    source, model = ArraySource(X), GaussianModel(4, 3, "full", "auto")
    start = GaussianParameters.from_covariances("full", np.full(4, 0.25), X[:4], [np.eye(3)] * 4)
    for seed in range(5):
        found = Exploration(source, model, 0, 1e-6, 1000, 0.05)
        result = found.run(start, 200)
        assert result is not None
        assert (
            LocalSearch(found, seed).climbed(Mode(start, result), found).result.log_likelihood >= result.log_likelihood
        )


def test_nothing_moves_without_passes_left() -> None:
    found, mode = trapped(three_groups())
    found.left = 0.0
    assert LocalSearch(found, 0).climbed(mode, found) is mode


def test_two_components_are_cut_anew_in_another_direction() -> None:
    # Two groups side by side; the mode has them cut across.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2)) * [0.3, 4.0] + np.repeat([[-2.0, 0.0], [2.0, 0.0]], 200, axis=0)
    start = GaussianParameters.from_covariances(
        "full", [0.5, 0.5], [[0.0, -4.0], [0.0, 4.0]], [np.diag([4.0, 4.0])] * 2
    )
    found = Exploration(ArraySource(X), GaussianModel(2, 2, "full", "auto"), 0, 1e-6, 1000)
    result = found.run(start, 1)
    assert result is not None
    better = LocalSearch(found, 0).climbed(Mode(start, result), found).result
    np.testing.assert_allclose(np.sort(better.parameters.means[:, 0]), [-2.0, 2.0], rtol=0, atol=0.1)


def test_weights_count_and_rows_of_weight_zero_do_not() -> None:
    X = three_groups(60)
    weight = np.random.default_rng(1).integers(1, 4, size=len(X)).astype(np.float64)
    far = np.array([[500.0, 500.0], [-500.0, 500.0], [0.0, -500.0]])
    found, mode = trapped(np.vstack([X, far]), weight=np.concatenate([weight, np.zeros(3)]))
    repeated, start = trapped(np.repeat(X, weight.astype(int), axis=0))
    better, other = LocalSearch(found, 0).climbed(mode, found), LocalSearch(repeated, 0).climbed(start, repeated)
    # Each ends within tol = 1e-5 a row and iteration of one mode.
    assert better.result.log_likelihood == pytest.approx(other.result.log_likelihood, abs=1e-4 * weight.sum())


def test_the_same_seed_takes_the_same_way() -> None:
    ends = []
    for seed in (3, 3):
        found, mode = trapped(three_groups())
        ends.append(LocalSearch(found, seed).climbed(mode, found).result.parameters.packed)
    np.testing.assert_array_equal(*ends)


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_any_magnitude(scale: float) -> None:
    X = three_groups() / 100.0
    _, mode = trapped(100.0 * X)
    theta = mode.result.parameters
    start = GaussianParameters.of(
        theta.structure, theta.weights, theta.means / 100.0 * scale, theta.covariances * (scale / 100.0) ** 2
    )
    found = Exploration(ArraySource(X * scale), GaussianModel(3, 2, "full", "auto"), 0, 1e-6, 1000)
    there = found.run(start, 1)
    assert there is not None
    better = LocalSearch(found, 0).climbed(Mode(start, there), found)
    np.testing.assert_allclose(sorted_means(better) / scale, CENTERS / 100.0, rtol=0, atol=0.003)


def test_components_of_few_rows_and_constant_columns_make_no_error() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([np.repeat(np.arange(4.0), 5) * 9.0 + rng.normal(size=20), np.full(20, 3.0)])
    found = Exploration(ArraySource(X), GaussianModel(4, 2, "spherical", "auto"), 0, 1e-6, 1000, 0.05)
    start = GaussianParameters.from_covariances("spherical", np.full(4, 0.25), X[::5], np.ones(4))
    result = found.run(start, 3)
    assert result is not None
    assert LocalSearch(found, 0).climbed(Mode(start, result), found).result.log_likelihood >= result.log_likelihood
