"""PassBuffers with their arrays, and the forms that numbers have in these."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emix.kernel import factors
from emix.kernel.factors import KernelDensity, PassOutcome
from emix.kernel.layout import arguments_layout, density_layout, slot_layout, statistics_layout
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


def density_of_zeros(form: int, K: int, d: int) -> KernelDensity:
    return KernelDensity(form, K, d, np.zeros(density_layout(form, K, d).size))


class Buffers:
    """PassBuffers with their arrays."""

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
        self.sizes = code, K, d
        self.columns = factors.Columns(eps, column_range)
        self.arguments = np.full(arguments_layout(code, K, d).size, np.nan)
        self.rounded = np.full(len(self.arguments), np.nan, np.float32) if single else None
        self.slots = np.full((n_slots, slot_layout(code, K, d).size), np.nan)
        self.buffers = factors.PassBuffers(code, K, d, 40.0, self.arguments, self.rounded, self.slots)
        self.statistics = np.full(statistics_layout(code, K, d).size, np.nan)

    def begin(
        self, numbers: Array, before: PassOutcome | None = None, center: Array | None = None, about_origin: bool = False
    ) -> None:
        """Begin a pass under a packed density."""
        self.buffers.begin(KernelDensity(*self.sizes, numbers), before, center, self.columns, about_origin)

    def end(self) -> PassOutcome:
        """End the pass; its sums are `statistics`."""
        outcome = PassOutcome(self.statistics)
        self.buffers.end(outcome)
        return outcome

    def judge(self, before: PassOutcome | None = None) -> tuple[bool, bool]:
        """End the pass and return the verdict on its sums: (shrunk, cancels)."""
        return factors.judge(density_of_zeros(*self.sizes), before, self.columns, self.end())
