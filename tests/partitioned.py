"""Dask collections of made-up rows. Worker processes import this file, and make the rows of their partitions by it."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def array_of(parts: Sequence[Array], known: bool = True) -> da.Array:
    """A dask array of the parts, of lengths that it knows or not."""
    parts = list(parts)
    lengths = tuple(len(part) if known else np.nan for part in parts)
    others = [(n,) for n in parts[0].shape[1:]]
    pick = partial(_picked, parts=parts)
    return da.map_blocks(pick, chunks=(lengths, *others), dtype=parts[0].dtype, meta=parts[0][:0])


def _picked(block_id: tuple[int, ...], parts: list[Array]) -> Array:
    return parts[block_id[0]]


def cut(X: Array, lengths: Sequence[int]) -> list[Array]:
    """The rows in parts of these lengths."""
    return np.split(X, np.cumsum(lengths)[:-1])


def made_rows(number: int, n_rows: int, deadly: str = "") -> Array:
    """Rows of two groups. If the file `deadly` is there, partition 3 removes it and kills the process that it is in."""
    if number == 3 and deadly and os.path.exists(deadly):
        Path(deadly).unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    rng = np.random.default_rng(number)
    return rng.normal(size=(n_rows, 2)) + 4.0 * (rng.random(n_rows) < 0.4)[:, np.newaxis]


def made(n_partitions: int, n_rows: int, deadly: str = "") -> da.Array:
    """A collection of `made_rows`, which are made again in each pass."""
    make = partial(_made, n_rows=n_rows, deadly=deadly)
    return da.map_blocks(make, chunks=((n_rows,) * n_partitions, (2,)), dtype=float, meta=np.empty((0, 2)))


def _made(block_id: tuple[int, ...], n_rows: int, deadly: str) -> Array:
    return made_rows(block_id[0], n_rows, deadly)
