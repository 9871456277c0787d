"""An Exchange and its arrays, and the forms that numbers have in these."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emix.kernel import factors
from kernel.naive import STRUCTURES

Array = NDArray[np.float64]

# Of K = 3 components in d = 4 dimensions.
SHAPES = {"full": (3, 4, 4), "tied": (4, 4), "diag": (3, 4), "spherical": (3,)}


def in_form(structure: str, matrices: Array) -> Array:
    """Scatter matrices (K, d, d) as a structure holds them."""
    if structure == "full":
        return matrices
    if structure == "tied":
        return np.asarray(matrices.sum(axis=0))
    variances = np.diagonal(matrices, axis1=1, axis2=2)
    return variances.copy() if structure == "diag" else np.asarray(variances.sum(axis=1))


def packed(*parts: Array) -> Array:
    return np.concatenate([part.ravel() for part in parts])


class Between:
    """An Exchange and its arrays."""

    def __init__(
        self,
        structure: str,
        K: int,
        d: int,
        column_range: Array,
        n_slots: int = 1,
        single: bool = False,
    ) -> None:
        size = math.prod(in_form(structure, np.zeros((K, d, d))).shape)
        self.arguments = np.full(2 * K * (1 + d) + size + d, np.nan)
        self.rounded = np.full(len(self.arguments), np.nan, np.float32) if single else None
        self.slots = np.full((n_slots, K * (1 + d) + size + 1), np.nan)
        code, eps = STRUCTURES.index(structure), float(np.finfo(np.float32 if single else np.float64).eps)
        self.exchange = factors.Exchange(
            code, K, d, 40.0, factors.Columns(eps, column_range), self.arguments, self.rounded, self.slots
        )
        self.statistics = np.full(K * (1 + 2 * d) + size, np.nan)
        self.parameters = np.zeros(K * (2 + d) + 2 * size)

    def end(self, before: Array | None = None) -> tuple[float, bool, bool, float]:
        return self.exchange.end(before, self.statistics)
