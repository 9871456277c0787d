"""An Exchange and its arrays, and the forms that numbers have in these."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emix.kernel import factors
from emix.kernel.layout import arguments_layout, parameters_layout, slot_layout, statistics_layout
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


def density(structure: str, pi: Array, mu: Array, sigma: Array, W: Array, log_det: Array) -> Array:
    """The packed density of a mixture."""
    with np.errstate(divide="ignore"):
        parts = np.log(pi), mu, W, log_det
    if structure not in ("full", "tied"):
        return packed(*parts)
    return packed(*parts, np.sqrt(np.diagonal(sigma, axis1=-2, axis2=-1)))


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
        code, eps = STRUCTURES.index(structure), float(np.finfo(np.float32 if single else np.float64).eps)
        self.arguments = np.full(arguments_layout(code, K, d).size, np.nan)
        self.rounded = np.full(len(self.arguments), np.nan, np.float32) if single else None
        self.slots = np.full((n_slots, slot_layout(code, K, d).size), np.nan)
        self.exchange = factors.Exchange(
            code, K, d, 40.0, factors.Columns(eps, column_range), self.arguments, self.rounded, self.slots
        )
        self.statistics = np.full(statistics_layout(code, K, d).size, np.nan)
        self.parameters = np.zeros(parameters_layout(code, K, d).size)

    def end(self, before: Array | None = None) -> tuple[float, bool, bool, float]:
        return self.exchange.end(before, self.statistics)
