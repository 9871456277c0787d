"""A bounded sample of rows for the start of a fit, the same for every way in which the rows may come."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.kernel import values

if TYPE_CHECKING:
    from emix.rows.source import Batch

__all__ = ["LARGEST_KEY", "SAMPLE_ROWS", "Drawn", "Sample", "likely_key", "sample_rows", "sample_size"]

# Enough that means of a component with one row in a thousand are found to an eighth of its standard deviation.
SAMPLE_ROWS = 65_536

# A sample of long rows has fewer of them.
_SAMPLE_BYTES = 64 << 20

# Keys of so many rows are held at one time.
CHUNK_ROWS = 1 << 16

LARGEST_KEY = 2**64 - 1


def sample_rows(
    n_rows: int, seed: int, size: int = SAMPLE_ROWS, sample_weight: NDArray[np.float64] | None = None
) -> NDArray[np.intp]:
    """Draw rows without replacement: those with the smallest keys, a key being a hash of (seed, row).

    A row's key depends on nothing else, so the sample is the same for any order of arrival and any blocks.

    Parameters
    ----------
    n_rows : int
    seed : int
    size : int
    sample_weight : ndarray of shape (n_rows,) or None
        A row of weight 0 is as good as not there.

    Returns
    -------
    ndarray of shape (min(size, rows of weight above 0),), intp
        Ascending.
    """
    all_count = sample_weight is None or bool(sample_weight.all())
    if n_rows <= size and all_count:
        return np.arange(n_rows)
    rows = _with_smallest_keys(n_rows, seed, size, sample_weight, likely_key(n_rows, size))
    if len(rows) < size:
        rows = _with_smallest_keys(n_rows, seed, size, sample_weight, LARGEST_KEY)
    return rows


def likely_key(n_rows: int, size: int) -> int:
    """Return a bound of the `size` smallest keys: one lies above it once in 1e15 times, unless weights are 0."""
    return min(int(2.0**64 * (size + 8.0 * math.sqrt(size)) / n_rows), LARGEST_KEY)


def _with_smallest_keys(
    n_rows: int, seed: int, size: int, sample_weight: NDArray[np.float64] | None, highest: int
) -> NDArray[np.intp]:
    """Rows with the `size` smallest keys of those up to `highest`."""
    rows, keys = np.empty(0, dtype=np.intp), np.empty(0, dtype=np.uint64)
    chunk_rows, chunk_keys = np.empty(CHUNK_ROWS, dtype=np.intp), np.empty(CHUNK_ROWS, dtype=np.uint64)
    for start in range(0, n_rows, CHUNK_ROWS):
        count = values.rows_with_small_keys(
            start, min(start + CHUNK_ROWS, n_rows), seed % 2**64, highest, sample_weight, chunk_rows, chunk_keys
        )
        rows, keys = np.concatenate([rows, chunk_rows[:count]]), np.concatenate([keys, chunk_keys[:count]])
        if len(rows) > size:
            highest = int(np.partition(keys, size - 1)[size - 1])
            smallest = keys <= highest
            rows, keys = rows[smallest], keys[smallest]
    return rows


def sample_size(n_features: int) -> int:
    """Return how many rows a start looks at, at most: `SAMPLE_ROWS`, or as many as fit in 64 MB.

    Rows of float32 count as float64, which a start works in: the sample does not depend on the dtype. A `Sample` holds
    an eighth more rows while it is filled.
    """
    return max(1, min(SAMPLE_ROWS, _SAMPLE_BYTES // (9 * n_features)))


class Drawn(NamedTuple):
    """The rows of a sample, in ascending order: their numbers, themselves, their weights if there are any, and keys."""

    rows: NDArray[np.intp]
    X: NDArray[Any]
    weight: NDArray[np.float64] | None
    keys: NDArray[np.uint64]


class Sample:
    """The rows of `sample_rows`, drawn from batches that are seen once.

    No more than `size` rows and an eighth are held, each with its key and its weight.

    Parameters
    ----------
    seed : int
    size : int, optional
        By default `sample_size` of the rows' number of columns.
    highest : int, optional
        Rows with larger keys are passed over: what is drawn of a part of the rows is then no more than the sample of
        all rows needs of it (`likely_key`).
    """

    def __init__(self, seed: int, size: int | None = None, highest: int = LARGEST_KEY) -> None:
        self.seed, self.size = seed, size
        self._highest, self._n_held = highest, 0
        self._rows, self._keys = np.empty(0, dtype=np.intp), np.empty(0, dtype=np.uint64)
        self._X: NDArray[Any] = np.empty((0, 0))
        self._weight: NDArray[np.float64] | None = None

    def add(self, batch: Batch) -> None:
        """Draw from a batch as well; each row is added once, in any order of batches."""
        if len(self._rows) == 0:
            self._make_room(batch.X, batch.weight)
        rows, keys = np.empty(CHUNK_ROWS, dtype=np.intp), np.empty(CHUNK_ROWS, dtype=np.uint64)
        n_rows = len(batch.X)
        for start in range(0, n_rows, CHUNK_ROWS):
            stop = min(start + CHUNK_ROWS, n_rows)
            first, last = batch.first_row + start, batch.first_row + stop
            # The compiled loop counts weights from row 0 of the whole source, so that it cannot leave rows out here.
            count = values.rows_with_small_keys(first, last, self.seed % 2**64, self._highest, None, rows, keys)
            found, found_keys = rows[:count], keys[:count]
            if batch.weight is not None:
                counted = batch.weight[found - batch.first_row] > 0.0
                found, found_keys = found[counted], found_keys[counted]
            self._take(batch.X, batch.weight, batch.first_row, found, found_keys)

    def add_drawn(self, drawn: Drawn) -> None:
        """Draw from the rows that a sample of the same seed has drawn from other rows."""
        if len(self._rows) == 0:
            self._make_room(drawn.X, drawn.weight)
        # A row's place among those drawn stands in for its number, which is put back where it is held.
        small = np.flatnonzero(drawn.keys <= self._highest)
        self._take(drawn.X, drawn.weight, 0, small, drawn.keys[small], drawn.rows)

    def divide_weights(self, unit: float) -> None:
        """Give the weights in a unit that is known only when all rows have been read."""
        if self._weight is not None:
            self._weight[: self._n_held] /= unit  # what lies behind was never written

    def drawn(self) -> Drawn:
        """Return the rows that were drawn from all batches so far; copies."""
        if self.size is not None and self._n_held > self.size:
            self._keep_smallest()
        order = np.argsort(self._rows[: self._n_held])
        weight = None if self._weight is None else self._weight[order]
        return Drawn(self._rows[order], self._X[order], weight, self._keys[order])

    def _make_room(self, X: NDArray[Any], weight: NDArray[np.float64] | None) -> None:
        n_features = X.shape[1]
        if self.size is None:
            self.size = sample_size(n_features)
        room = self.size + max(1, self.size // 8)
        self._rows, self._keys = np.empty(room, dtype=np.intp), np.empty(room, dtype=np.uint64)
        self._X = np.empty((room, n_features), dtype=X.dtype)
        self._weight = None if weight is None else np.empty(room)

    def _take(
        self,
        X: NDArray[Any],
        weight: NDArray[np.float64] | None,
        first_row: int,
        rows: NDArray[np.intp],
        keys: NDArray[np.uint64],
        numbers: NDArray[np.intp] | None = None,
    ) -> None:
        """Hold rows while there is room, and those with the smallest keys where there is none."""
        while len(rows) > 0:
            room = len(self._rows) - self._n_held
            held = rows[:room]
            places, at = slice(self._n_held, self._n_held + len(held)), held - first_row
            self._rows[places] = held if numbers is None else numbers[held]
            self._keys[places], self._X[places] = keys[:room], X[at]
            if self._weight is not None and weight is not None:
                self._weight[places] = weight[at]
            self._n_held = places.stop
            rows, keys = rows[room:], keys[room:]
            if self._n_held == len(self._rows):
                self._keep_smallest()
                small = keys <= self._highest
                rows, keys = rows[small], keys[small]

    def _keep_smallest(self) -> None:
        """Leave out the rows with the largest keys: rows behind the first `size` places move to where one is left."""
        assert self.size is not None  # since there are rows
        order = np.argpartition(self._keys[: self._n_held], self.size - 1)
        self._highest = int(self._keys[order[self.size - 1]])
        left, moved = order[self.size :], order[: self.size]
        left, moved = left[left < self.size], moved[moved >= self.size]
        for held in (self._rows, self._keys, self._X, self._weight):
            if held is not None:
                held[left] = held[moved]
        self._n_held = self.size
