"""Rows of an array handed out in batches: a source whose rows do not lie in memory, as far as a fit can see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.rows.arrays import ArraySource
from emix.rows.sampling import Sample
from emix.rows.source import Batch
from emix.rows.summary import RowSummary


class BatchSource(ArraySource):
    """Rows in batches of `step` × `unit` rows.

    Attributes
    ----------
    n_reads : int
        Passes that were begun.
    fail_at : int or None
        Number of the batch in whose place `error` is raised.
    """

    def __init__(self, X: NDArray[Any], sample_weight: NDArray[np.float64] | None = None, step: int = 1) -> None:
        super().__init__(X, sample_weight)
        self.whole: Any = None
        self.step, self.n_reads = step, 0
        self.fail_at: int | None = None
        self.error: BaseException = OSError("the disk is gone")

    def read(self, sample: Sample | None = None) -> RowSummary:
        if sample is not None:
            sample.add(Batch(0, self.X, self.sample_weight))
        return self.summary

    def batches(self, unit: int) -> Iterator[Batch]:
        self.n_reads += 1
        size = self.step * unit
        for number, first in enumerate(range(0, self.n_rows, size)):
            if number == self.fail_at:
                raise self.error
            # A copy: a batch's memory is its own, and is gone with it.
            X = self.X[first : first + size].copy()
            weight = None if self.sample_weight is None else self.sample_weight[first : first + size].copy()
            yield Batch(first, X, weight)
            X.fill(np.nan)
