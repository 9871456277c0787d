"""A bounded sample of rows for the start of a fit, the same for every way in which the rows may come."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SAMPLE_ROWS", "sample_rows"]

# Enough that means of a component with one row in a thousand are found to an eighth of its standard deviation.
SAMPLE_ROWS = 65_536

# Keys of so many rows are held at one time.
_CHUNK = 1 << 16


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
    rows = np.empty(0, dtype=np.intp)
    keys = np.empty(0, dtype=np.uint64)
    highest = np.uint64(0xFFFFFFFFFFFFFFFF)
    for start in range(0, n_rows, _CHUNK):
        chunk = np.arange(start, min(start + _CHUNK, n_rows))
        if sample_weight is not None and not all_count:
            chunk = chunk[sample_weight[chunk] > 0.0]
        chunk_keys = _keys(chunk, seed)
        kept = chunk_keys <= highest
        rows = np.concatenate([rows, chunk[kept]])
        keys = np.concatenate([keys, chunk_keys[kept]])
        if len(rows) > size:
            smallest = np.argpartition(keys, size - 1)[:size]
            rows, keys = rows[smallest], keys[smallest]
            highest = keys.max()
    return np.sort(rows)


def _keys(rows: NDArray[np.intp], seed: int) -> NDArray[np.uint64]:
    """Return SplitMix64 of the row, started where the seed says (Steele, Lea and Flood, 2014, OOPSLA)."""
    # A bijection of 64-bit words: no two rows have the same key.
    z = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z += _mixed(np.uint64(seed % 2**64))
    return _mixed(z)


def _mixed(z: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):  # modulo 2^64 is meant
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))
