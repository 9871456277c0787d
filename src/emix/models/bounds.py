"""Bounds that carry over from one pass of a fit to the next: when they are used, and how parameters carry them.

kernel/bounds.pxi has the bound and its proof. It holds for groups of neighbouring rows, so rows are visited in the
order of their best component, within windows of 65 536 rows; the rows themselves stay where they are. Whether that pays
is decided by counts alone: how many of the log-densities of groups and components had to be computed after all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .covariance import CovarianceStructure
from .parameters import GaussianParameters

__all__ = ["CarriedBounds"]

# Fewer rows, components or operations per log-density than these leave nothing to gain (measured).
MIN_ROWS, MIN_COMPONENTS, MIN_OPERATIONS = 16_384, 6, 16

# Rows are ordered after these passes: the first, as good as its start, and later ones, as components settle.
ORDERING_PASSES = (0, 4, 16, 64)

# By the share of log-densities computed: off above the first, until the next ordering; below the second, a new order
# could not gain much.
PAYS, GOOD_ENOUGH = 0.6, 0.1

# A distance of which nothing is known, but that the component need not be computed first.
UNKNOWN = np.float32(1e-30)

# Taken off each carried factor: rounding in ‖T − I‖, which is d κ(W) eps, below this for κ(Σ) up to 1e16.
ROUNDING = 1e-6


class CarriedBounds:
    """The bounds of one run: 2 bytes a row for the order, 4 K for each group of rows.

    Parameters
    ----------
    kernel : module
        The compiled kernel.
    n_rows, n_components : int
    """

    def __init__(self, kernel: Any, n_rows: int, n_components: int) -> None:
        self._kernel = kernel
        self._n_rows = n_rows
        group = kernel.group_rows(n_components)
        self._near = np.zeros((-(-n_rows // group), n_components), dtype=np.float32)
        self._order = self._as_given()
        self._labels: NDArray[np.uint16] | None = None
        self._before: GaussianParameters | None = None
        self._passes = 0
        self._on = True

    @staticmethod
    def may_pay(structure: CovarianceStructure, n_rows: int, n_components: int, n_features: int) -> bool:
        """Whether to try at all."""
        operations = structure.shape(n_components, n_features)[-1] * n_features // 2
        return n_rows >= MIN_ROWS and MIN_COMPONENTS <= n_components < 1 << 16 and operations >= MIN_OPERATIONS

    def begin_pass(self, parameters: GaussianParameters) -> tuple[Any, ...] | None:
        """Return the arguments of a pass with bounds, None for a plain one.

        They are the order, `near`, the factors and the moves that carry it, and labels to fill or None.
        """
        ordering = self._passes in ORDERING_PASSES
        if ordering and not self._on:
            self._on = True
            self._near[:] = 0.0
        if not self._on:
            self._passes += 1
            return None
        shrink, moved = self._carry(parameters)
        self._labels = np.empty(self._n_rows, dtype=np.uint16) if ordering else None
        return self._order, self._near, shrink, moved, self._labels

    def end_pass(self, n_computed: float) -> None:
        """Take note of how many log-densities of a group and component were computed; order the rows."""
        share = n_computed / self._near.size
        if self._labels is not None:
            if self._passes == 0 or share > GOOD_ENOUGH:
                self._order_rows(self._labels)
            self._labels = None
        elif share > PAYS:
            self._on = False
            self._order = self._as_given()
        self._passes += 1

    def _carry(self, parameters: GaussianParameters) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        before, self._before = self._before, parameters
        K = parameters.n_components
        if before is None:
            return np.zeros(K, dtype=np.float32), np.zeros(K, dtype=np.float32)
        shrink = parameters.structure.shrinkage(before.covariances, before.whitening, parameters.whitening)
        step = parameters.structure.whitened(parameters.whitening, parameters.means - before.means)
        moved = np.linalg.norm(step, axis=1)
        lower = np.maximum(np.broadcast_to(shrink, K) - ROUNDING, 0.0)
        # Rounded to float32 to the safe side.
        down = np.nextafter(lower.astype(np.float32), np.float32(0.0))
        up = np.nextafter((moved * (1.0 + ROUNDING)).astype(np.float32), np.float32(np.inf))
        return down, up

    def _order_rows(self, labels: NDArray[np.uint16]) -> None:
        window = self._kernel.window_rows
        group = self._kernel.group_rows(self._near.shape[1])
        self._near[:] = UNKNOWN
        for start in range(0, self._n_rows, window):
            found = labels[start : start + window]
            # A stable sort of 16-bit numbers is a radix sort.
            order = np.argsort(found, kind="stable")
            self._order[start : start + window] = order
            self._near[(start + np.arange(len(found))) // group, found[order]] = 0.0

    def _as_given(self) -> NDArray[np.uint16]:
        order = np.empty(self._n_rows, dtype=np.uint16)
        window = np.arange(self._kernel.window_rows, dtype=np.uint16)
        for start in range(0, self._n_rows, len(window)):
            order[start : start + len(window)] = window[: self._n_rows - start]
        return order
