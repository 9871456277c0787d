"""Bounds that carry over from one pass of a fit to the next, for a range of its rows.

kernel/bounds.pxi has the bound and its proof. It holds for groups of neighbouring rows, so rows are visited in the
order of their best component, within windows of 65 536 rows; the rows themselves stay where they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.parameters import GaussianParameters
from emix.kernel import factors
from emix.parallel.threads import part_of_thread, run_in_threads

__all__ = ["CarriedBounds"]

# A distance of which nothing is known, but that the component need not be computed first.
UNKNOWN = np.float32(1e-30)


class CarriedBounds:
    """The bounds of some rows of one run.

    They take 2 bytes a row for the order, 2 more while that is made, and 4 K for each group of 128 rows (256 from
    K = 129 on): 8 bytes a row in all up to K = 256, 12 for 512.

    Parameters
    ----------
    kernel : module
        The compiled kernel.
    first_row : int
        A multiple of what the kernel's super_block_rows says for the fit.
    labels : ndarray of shape (n_rows,), uint16
        The best component of each row from `first_row` on.
    n_components : int

    Attributes
    ----------
    size : int
        Groups × components: log-densities of a pass that leaves out none.
    """

    def __init__(self, kernel: Any, first_row: int, labels: NDArray[np.uint16], n_components: int) -> None:
        self._group, self._window = kernel.group_rows(n_components), kernel.window_rows
        self._first_row = first_row
        self._order = np.empty(len(labels), dtype=np.uint16)
        self._near = np.empty((-(-len(labels) // self._group), n_components), dtype=np.float32)
        self._before: GaussianParameters | None = None
        self.size = self._near.size
        self.order_rows(labels)

    def order_rows(self, labels: NDArray[np.uint16]) -> None:
        """Take a new order, in which nothing is known of any distance."""
        self._near[:] = UNKNOWN
        start = 0
        while start < len(labels):
            place = (self._first_row + start) % self._window
            found = labels[start : start + self._window - place]
            # A stable sort of 16-bit numbers is a radix sort.
            order = np.argsort(found, kind="stable")
            self._order[start : start + len(found)] = order + place
            self._near[(start + np.arange(len(found))) // self._group, found[order]] = 0.0
            start += len(found)

    def arguments(
        self, parameters: GaussianParameters, labels: NDArray[np.uint16] | None, n_threads: int = 1
    ) -> tuple[Any, ...]:
        """Return what `Accumulator.accumulate_bounded` takes for a pass under the parameters.

        That is the first row, the order, `near`, the factors and the moves that carry it, and labels to fill or None.
        Parameters of one pass after the other must all come through here.
        """
        before, self._before = self._before, parameters
        K, d = parameters.n_components, parameters.n_features
        shrink, moved = np.zeros(K, dtype=np.float32), np.zeros(K, dtype=np.float32)
        if before is not None:
            code, numbers = parameters.structure.code, (before.density, parameters.density)

            def share(thread: int, stop: NDArray[np.int32] | None) -> None:
                part = part_of_thread(thread, n_threads, K)
                factors.carry(code, K, d, *numbers, *part, shrink, moved, np.empty(d))

            run_in_threads(share, n_threads)
        return self._first_row, self._order, self._near, shrink, moved, labels
