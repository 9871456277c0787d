"""A bounded sample of rows for the start of a fit, the same for every way in which the rows may come."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emix.kernel import values

__all__ = ["SAMPLE_ROWS", "sample_rows"]

# Enough that means of a component with one row in a thousand are found to an eighth of its standard deviation.
SAMPLE_ROWS = 65_536

# Keys of so many rows are held at one time.
_CHUNK = 1 << 16

_LARGEST_KEY = 2**64 - 1


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
    # Keys are uniform: those of the rows sought lie below this but once in 1e15 times, unless weights are zero.
    likely = int(2.0**64 * (size + 8.0 * math.sqrt(size)) / n_rows)
    rows = _with_smallest_keys(n_rows, seed, size, sample_weight, min(likely, _LARGEST_KEY))
    if len(rows) < size:
        rows = _with_smallest_keys(n_rows, seed, size, sample_weight, _LARGEST_KEY)
    return rows


def _with_smallest_keys(
    n_rows: int, seed: int, size: int, sample_weight: NDArray[np.float64] | None, highest: int
) -> NDArray[np.intp]:
    """Rows with the `size` smallest keys of those up to `highest`."""
    rows, keys = np.empty(0, dtype=np.intp), np.empty(0, dtype=np.uint64)
    chunk_rows, chunk_keys = np.empty(_CHUNK, dtype=np.intp), np.empty(_CHUNK, dtype=np.uint64)
    for start in range(0, n_rows, _CHUNK):
        count = values.rows_with_small_keys(
            start, min(start + _CHUNK, n_rows), seed % 2**64, highest, sample_weight, chunk_rows, chunk_keys
        )
        rows, keys = np.concatenate([rows, chunk_rows[:count]]), np.concatenate([keys, chunk_keys[:count]])
        if len(rows) > size:
            highest = int(np.partition(keys, size - 1)[size - 1])
            smallest = keys <= highest
            rows, keys = rows[smallest], keys[smallest]
    return rows
