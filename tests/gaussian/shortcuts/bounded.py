"""Rows enough for bounds, and what a run over them knows of its bounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.run import GaussianRun
from emix.gaussian.shortcuts.bounds import MIN_ROWS, Bounds, CarriedBounds
from emix.gaussian.structures import STRUCTURES
from gaussian.examples import shortcut_of

N, K = MIN_ROWS + 700, 12  # the last group and the last super-block are not full


def case(
    structure: str, d: int = 8, separation: float = 6.0, dtype: Any = np.float64
) -> tuple[np.ndarray[Any, Any], GaussianParameters]:
    """Rows of K components, and a start that is not far from them."""
    rng = np.random.default_rng([d, int(10 * separation)])
    means = rng.normal(size=(K, d)) * separation
    X = (means[rng.integers(0, K, N)] + rng.normal(size=(N, d))).astype(dtype)
    form = STRUCTURES[structure].form
    start = means + 0.3 * rng.normal(size=(K, d))
    return X, GaussianParameters.from_covariances(
        structure, np.full(K, 1 / K), start, form.from_pooled(2.0 * np.eye(d), K)
    )


def bounds_of(run: GaussianRun) -> Bounds:
    bounds = shortcut_of(run, Bounds)
    assert bounds is not None
    return bounds


def carried_by(run: GaussianRun) -> CarriedBounds | None:
    return bounds_of(run).carried


def of_all_rows(run: GaussianRun) -> bool:
    """True if the next pass takes all rows with bounds."""
    return bounds_of(run).region == (0, N)
