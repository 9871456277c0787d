"""Moves from one mode to a better one: two components on one group, one on two."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from emix import GaussianModel, GaussianParameters
from emix.gaussian.structures import STRUCTURES
from emix.rows.arrays import ArraySource
from emix.starts.exploration import Exploration, Mode
from emix.starts.split_merge import improved, mergers_of, posterior_of

Array = NDArray[np.float64]


def three_groups(n: int = 100) -> Array:
    rng = np.random.default_rng(0)
    return np.vstack([rng.normal(size=(n, 2)) + center for center in ([-20.0, 0.0], [20.0, -4.0], [20.0, 4.0])])


def trapped(X: Array, structure: str = "full") -> tuple[Exploration, Mode]:
    """The mode that has two components on the first group, and one on the other two."""
    form = STRUCTURES[structure].form
    start = GaussianParameters.of(
        STRUCTURES[structure],
        np.array([0.2, 0.2, 0.6]),
        np.array([[-20.5, 0.0], [-19.5, 0.0], [20.0, 0.0]]),
        form.from_pooled(np.eye(2), 3),
    )
    found = Exploration(ArraySource(X), GaussianModel(3, 2, structure, "auto"), 0, 1e-6, 1000)
    result = found.run(start, 200)
    assert result is not None
    return found, Mode(start, result)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_component_leaves_where_it_is_one_too_many(structure: str) -> None:
    X = three_groups()
    found, mode = trapped(X, structure)
    assert np.sum(mode.result.parameters.means[:, 0] < 0.0) == 2  # EM itself does not get out
    better = improved(found, mode).result
    means = better.parameters.means[np.argsort(better.parameters.means @ [1.0, 0.01])]
    # Means of 100 rows of standard deviation 1: a tenth, times 3.
    np.testing.assert_allclose(means, [[-20.0, 0.0], [20.0, -4.0], [20.0, 4.0]], rtol=0, atol=0.3)
    assert better.log_likelihood > mode.result.log_likelihood + 0.1 * len(X)


def test_the_best_mode_stays() -> None:
    found, mode = trapped(three_groups())
    best = improved(found, mode)
    assert improved(found, best) is best


def test_nothing_moves_without_passes_left() -> None:
    found, mode = trapped(three_groups())
    found.left = 0.0
    assert improved(found, mode) is mode


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
    better = improved(found, Mode(start, result)).result
    np.testing.assert_allclose(np.sort(better.parameters.means[:, 0]), [-2.0, 2.0], rtol=0, atol=0.1)


def test_weights_are_repetitions() -> None:
    X = three_groups(30)
    weight = np.random.default_rng(1).integers(1, 4, size=len(X)).astype(np.float64)
    _, mode = trapped(np.repeat(X, weight.astype(int), axis=0))
    ends = []
    for source in (ArraySource(X, weight), ArraySource(np.repeat(X, weight.astype(int), axis=0))):
        found = Exploration(source, GaussianModel(3, 2, "full", "auto"), 0, 1e-6, 1000)
        # Sums over the rows in another order, and iterations after them
        ends.append(improved(found, mode).result.log_likelihood)
    assert ends[0] == pytest.approx(ends[1], rel=1e-9)


def test_estimate_of_a_merger_is_what_it_costs() -> None:
    """For groups that do not overlap, merging and refitting nothing else loses exactly the estimate."""
    X = three_groups()
    found = Exploration(ArraySource(X), GaussianModel(3, 2, "full", "auto"), 0, 1e-9, 1000)
    start = GaussianParameters.from_covariances(
        "full", np.full(3, 1 / 3), [[-20.0, 0.0], [20.0, -4.0], [20.0, 4.0]], [np.eye(2)] * 3
    )
    mode = found.run(start, 200)
    assert mode is not None
    [merger] = [merger for merger in mergers_of(posterior_of(found, mode.parameters)) if {merger.i, merger.j} == {0, 1}]
    theta = mode.parameters
    two = GaussianParameters.from_covariances(
        "full",
        [theta.weights[0] + theta.weights[1], theta.weights[2]],
        [merger.mean, theta.means[2]],
        [merger.covariance, theta.covariances[2]],
    )
    _, merged = GaussianModel(2, 2, "full").e_step(X, two)
    # The second and the third group overlap by less than 1e-3.
    assert mode.log_likelihood - merged == pytest.approx(merger.cost, abs=1e-2)


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_any_magnitude(scale: float) -> None:
    X = three_groups() / 100.0
    found, mode = trapped(100.0 * X)
    plain = improved(found, mode).result.parameters.means
    theta = mode.result.parameters
    start = GaussianParameters.of(
        theta.structure, theta.weights, theta.means / 100.0 * scale, theta.covariances * (scale / 100.0) ** 2
    )
    again = Exploration(ArraySource(X * scale), GaussianModel(3, 2, "full", "auto"), 0, 1e-6, 1000)
    there = again.run(start, 1)
    assert there is not None
    means = improved(again, Mode(start, there)).result.parameters.means
    # 1e-300 is a subnormal's neighbour as a variance: a few digits may go.
    np.testing.assert_allclose(np.sort(means[:, 0]) / scale, np.sort(plain[:, 0]) / 100.0, rtol=1e-3)
    assert math.isfinite(scale)
