"""The start on dense rows: found where a mode leaves out a narrow group, and nowhere else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from emix import GaussianMixture, GaussianModel, GaussianParameters
from emix.gaussian.structures import STRUCTURES
from emix.rows.arrays import ArraySource
from emix.starts.dense_start import dense_start, probability_of_interval, shortest_interval
from emix.starts.exploration import Exploration
from emix.starts.starting_parameters import start_of_labels

Array = NDArray[np.float64]


def narrow_in_wide(n: int, d: int, seed: int = 0) -> Array:
    """Rows of a standard normal distribution, a tenth of them of a narrow group inside it."""
    rng = np.random.default_rng(seed)
    return np.vstack([rng.normal(size=(n - n // 10, d)), rng.normal(0.5, 0.01, size=(n // 10, d))])


def explored(X: Array, K: int = 2, weight: Array | None = None, structure: str = "full") -> Exploration:
    return Exploration(ArraySource(X, weight), GaussianModel(K, X.shape[1], structure, "auto"), 0, 1e-6, 1000)


def mode_without(d: int) -> GaussianParameters:
    """Two wide components that lie over each other: what k-means leads to."""
    return GaussianParameters.from_covariances("full", [0.5, 0.5], [[-0.3] * d, [0.5] * d], [np.eye(d)] * 2)


@pytest.mark.parametrize("n", [300, 1000, 20_000])
@pytest.mark.parametrize("d", [1, 3])
def test_a_component_begins_on_the_narrow_group(n: int, d: int) -> None:
    exploration = explored(narrow_in_wide(n, d))
    start = dense_start(exploration, mode_without(d))
    assert start is not None
    result = exploration.run(start, 200)
    assert result is not None
    k = int(np.argmin(result.parameters.covariances[:, 0, 0]))
    assert result.parameters.weights[k] == pytest.approx(0.1, abs=0.04)  # two standard errors of 300 rows
    np.testing.assert_allclose(result.parameters.means[k], 0.5, rtol=0, atol=0.01)  # a standard deviation of the group


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("n", [50, 200, 3000])
def test_no_start_where_the_mixture_explains_the_rows(n: int, seed: int) -> None:
    # One of 1 100 samples would have an interval as dense as is asked for: of these 60, none in all likelihood.
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2)) + np.where(rng.random((n, 1)) < 0.5, 0.0, 4.0)
    theta = GaussianParameters.from_covariances("full", [0.5, 0.5], [[0.0, 0.0], [4.0, 4.0]], [np.eye(2)] * 2)
    assert dense_start(explored(X), theta) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_few_heavy_rows_are_not_dense(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = np.exp(1.5 * rng.normal(size=1000))
    theta = GaussianParameters.from_covariances("full", [0.5, 0.5], [[0.0], [0.0]], [[[1.0]]] * 2)
    assert dense_start(explored(rng.normal(size=(1000, 1)), weight=weight), theta) is None


@pytest.mark.parametrize("n_not_rounded", [0, 5])
@pytest.mark.parametrize("step", [1.0, 0.25])
def test_rounded_values_are_not_dense(step: float, n_not_rounded: int) -> None:
    Z = 3.0 * np.random.default_rng(0).normal(size=(2000, 2))
    X = np.round(Z / step) * step
    X[:n_not_rounded] = Z[:n_not_rounded]
    theta = GaussianParameters.from_covariances("full", [0.5, 0.5], [[0.0, 0.0]] * 2, [9.0 * np.eye(2)] * 2)
    assert dense_start(explored(X), theta) is None


def test_rows_of_equal_values_are_left_alone() -> None:
    X = narrow_in_wide(1000, 1)
    X[900:] = 0.5  # a component on these would collapse
    assert dense_start(explored(X), mode_without(1)) is None


@pytest.mark.parametrize("d", [1, 2])
def test_weights_are_as_good_as_repeated_rows(d: int) -> None:
    X = narrow_in_wide(1000, d)
    weight = np.random.default_rng(1).integers(0, 3, size=1000).astype(float)
    once = dense_start(explored(X, weight=weight), mode_without(d))
    repeated = dense_start(explored(np.repeat(X, weight.astype(int), axis=0)), mode_without(d))
    assert once is not None and repeated is not None
    k = int(np.argmin(once.covariances[:, 0, 0]))
    # Intervals begin at single rows: a group of 100 rows is met a few rows earlier or later.
    np.testing.assert_allclose(once.means[k], repeated.means[k], rtol=0, atol=0.005)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure_has_such_a_start(structure: str) -> None:
    exploration = explored(narrow_in_wide(1000, 2), 3, structure=structure)
    # Rows given to three components at random: all are as wide as the rows.
    wide = start_of_labels(exploration.source, exploration.model, np.ones(1000), np.arange(1000) % 3)
    start = dense_start(exploration, wide)
    assert start is not None
    assert start.structure is STRUCTURES[structure]
    assert np.abs(start.means - 0.5).sum(axis=1).min() < 0.02


def test_units_of_columns_do_not_matter() -> None:
    X, units = narrow_in_wide(1000, 2), np.array([2.0**40, 2.0**-30])
    theta = mode_without(2)
    scaled = GaussianParameters.from_covariances(
        "full", theta.weights, theta.means * units, theta.covariances * units[:, np.newaxis] * units
    )
    one, other = dense_start(explored(X), theta), dense_start(explored(X * units), scaled)
    assert one is not None and other is not None
    np.testing.assert_allclose(one.means * units, other.means, rtol=1e-12)


def test_the_shortest_interval() -> None:
    values = np.array([5.0, 1.0, 2.5, 2.0, 9.0, 2.25])
    assert shortest_interval(np.sort(values), None, 0.5) == (2.0, 2.5, 0.25)
    assert shortest_interval(values, np.ones(6), 0.45) == (2.0, 2.5, 0.25)
    # A row that counts as three holds a half of the weight alone, and has no width.
    first, last, _ = shortest_interval(values, np.array([1.0, 1.0, 0.0, 0.0, 3.0, 1.0]), 0.45)
    assert (first, last) == (9.0, 9.0)


def test_probability_of_an_interval() -> None:
    found = probability_of_interval(np.array([0.25, 0.75]), np.array([0.0, 3.0]), np.array([1.0, 2.0]), -1.0, 1.0)

    def below(z: float) -> float:
        return 0.5 * math.erfc(-z / math.sqrt(2.0))

    assert found == pytest.approx(0.25 * (below(1.0) - below(-1.0)) + 0.75 * (below(-1.0) - below(-2.0)), rel=1e-14)


@pytest.mark.parametrize("n", [500, 9000])
def test_the_default_finds_what_kmeans_misses(n: int) -> None:
    for seed in range(5):
        X = narrow_in_wide(n, 1, seed)
        fits = {
            kind: GaussianMixture(2, init_params=kind, random_state=seed).fit(X) for kind in ("auto", "hierarchical")
        }
        assert fits["auto"].lower_bound_ >= fits["hierarchical"].lower_bound_ - 1e-4
        assert fits["auto"].covariances_.min() < 0.01
