"""Rows in chunks that threads share, so that sums over rows do not depend on the number of threads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emix.kernel.level import clusters
from emix.parallel.threads import plan, run_in_threads

__all__ = ["CHUNK", "Chunks"]

# Rows of a chunk. One thread sums them and adds the sum to a slot. Compiled code takes no more rows in a call.
CHUNK: int = clusters.most_rows

# Rows that compiled code takes together: the rows of a call are a multiple of this.
BLOCK: int = clusters.block_rows


class Chunks:
    """Chunks of rows, and slots for their sums: slot i is for chunks i, i + n_slots, … in this order.

    Parameters
    ----------
    n_rows : int
    operations_per_row : float
    n_threads : int or None
        As the user gave it.
    most_slots : int, optional
        By default each chunk has a slot of its own.

    Attributes
    ----------
    n_slots : int
    """

    def __init__(
        self, n_rows: int, operations_per_row: float, n_threads: int | None, most_slots: int | None = None
    ) -> None:
        self._n_rows, self._n_chunks = n_rows, -(-n_rows // CHUNK)
        self.n_slots = self._n_chunks if most_slots is None else min(self._n_chunks, most_slots)
        self._n_threads, self._rows_per_call = plan(n_rows, operations_per_row, BLOCK, n_threads, self.n_slots)

    def each(self, task: Callable[[int, int, int], None]) -> None:
        """Call ``task(slot, first_row, last_row)`` for each chunk, or for parts of it, so that each call is short."""
        if self._n_rows <= min(CHUNK, self._rows_per_call):
            task(0, 0, self._n_rows)
            return

        def share(thread: int, stop: NDArray[np.int32] | None) -> None:
            for slot in range(thread, self.n_slots, self._n_threads):
                for start in range(slot * CHUNK, self._n_rows, self.n_slots * CHUNK):
                    end = min(start + CHUNK, self._n_rows)
                    for first in range(start, end, self._rows_per_call):
                        if stop is not None and stop[0]:
                            return
                        task(slot, first, min(first + self._rows_per_call, end))

        run_in_threads(share, self._n_threads)
