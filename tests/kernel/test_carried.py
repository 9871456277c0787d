"""What carries a bound over: never more than distances can shrink, never less than means move."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emix.gaussian.parameters import GaussianParameters
from emix.kernel import factors
from emix.kernel.layout import parameters_layout
from kernel.naive import each_structure

K = 4


def parameters(structure: str, d: int, change: float, seed: int = 0) -> GaussianParameters:
    """The same mixture for one seed and d, changed at random."""
    rng, moved = np.random.default_rng([seed, d]), np.random.default_rng([seed + 1, d, int(1e6 * change)])
    root = rng.normal(size=(K, d, d)) + np.eye(d) + change * moved.normal(size=(K, d, d)) / d
    means = rng.normal(size=(K, d)) + change * moved.normal(size=(K, d))
    matrices = root @ root.swapaxes(1, 2) + 0.1 * np.eye(d)
    variances = np.diagonal(matrices, axis1=1, axis2=2)
    covariances = {"full": matrices, "tied": matrices[0], "diag": variances, "spherical": variances[:, 0]}[structure]
    return GaussianParameters.from_covariances(structure, np.full(K, 1 / K), means, covariances)


def carried(old: GaussianParameters, new: GaussianParameters, parts: Any = ((0, K),)) -> tuple[np.ndarray, np.ndarray]:
    shrink, moved = np.full(K, np.nan, np.float32), np.full(K, np.nan, np.float32)
    d = old.n_features
    for part in parts:
        factors.carry(old.structure.code, K, d, old.density, new.density, *part, shrink, moved, np.empty(d))
    return shrink, moved


def matrices(theta: GaussianParameters) -> np.ndarray:
    """W of each component."""
    return theta.structure.to_full(theta.whitening, K, theta.n_features)


@each_structure
@pytest.mark.parametrize("d", [1, 2, 5, 17])
@pytest.mark.parametrize("change", [0.0, 1e-3, 0.03, 3.0])
def test_factors_bound_the_change(structure: str, d: int, change: float) -> None:
    old, new = parameters(structure, d, 0.0), parameters(structure, d, change)
    shrink, moved = carried(old, new)
    T = matrices(new) @ np.linalg.inv(matrices(old))
    least = np.linalg.svd(T, compute_uv=False)[:, -1]
    step = np.linalg.norm(np.einsum("kij,kj->ki", matrices(new), new.means - old.means), axis=1)
    assert (shrink <= least).all() and (shrink >= 0.0).all()
    assert (moved >= step).all()
    # And not by more than the norm that stands for the largest singular value, and rounding to float32, give away.
    norm = np.linalg.norm(T - np.eye(d), axis=(1, 2))
    assert (shrink >= np.minimum(1.0 - norm, least) - 2e-6).all()
    assert (moved <= step * (1.0 + 2e-6) + 1e-30).all()


@each_structure
def test_parts_are_the_whole(structure: str) -> None:
    old, new = parameters(structure, 6, 0.0), parameters(structure, 6, 0.01)
    whole = carried(old, new)
    for found, expected in zip(carried(old, new, ((2, 4), (0, 1), (1, 2))), whole):
        np.testing.assert_array_equal(found, expected)


@each_structure
def test_what_is_not_a_number_bounds_nothing(structure: str) -> None:
    old, new = parameters(structure, 3, 0.0), parameters(structure, 3, 0.01)
    packed = new.packed.copy()
    packed[parameters_layout(new.structure.code, K, 3).density] = np.nan
    shrink, moved = carried(old, replace(new, packed=packed))
    assert (shrink == 0.0).all() and (moved == np.inf).all()


def test_arrays_of_another_length_are_refused() -> None:
    old, new = parameters("full", 3, 0.0), parameters("full", 3, 0.01)
    shrink = np.zeros(K, np.float32)
    with pytest.raises(ValueError, match=r"density has \d+ numbers, expected \d+"):
        factors.carry(0, K, 3, old.density, new.density[1:], 0, K, shrink, shrink, np.empty(3))
    with pytest.raises(ValueError, match="components 0 to 5 are asked for, of 4"):
        factors.carry(0, K, 3, old.density, new.density, 0, 5, shrink, shrink, np.empty(3))
