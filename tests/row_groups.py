"""Rows in groups, and the comparison of their clusters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def blobs(n_rows: int = 120, d: int = 3, seed: int = 0, groups: int = 4) -> Array:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, d)) + 4.0 * rng.normal(size=(groups, d))[rng.integers(groups, size=n_rows)]


def ones(X: Array) -> Array:
    return np.ones(len(X))


def assert_same_partition(a: Any, b: Any) -> None:
    assert len(set(zip(a, b, strict=True))) == len(set(a)) == len(set(b))
