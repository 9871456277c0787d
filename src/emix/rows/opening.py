"""Which data are streams: paths, functions of blocks, Arrow tables and data sets, dask, sources; arrays are none."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from emix.rows.conversion import as_numbers, is_arrow_data, is_dask, is_frame, is_ready
from emix.rows.sampling import SAMPLE_ROWS
from emix.rows.source import is_source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emix.rows.source import RowSource

__all__ = ["is_mapped", "stream_of"]

_PARQUET = (".parquet", ".pq")
_NPY = ".npy"

# Rows of a memory map that is converted block by block.
_BLOCK = 1 << 14


def stream_of(data: Any, sample_weight: Any = None, *, name: str = "X") -> RowSource | None:
    """Return the source of data that are read block by block, None for those that are taken as an array.

    Parameters
    ----------
    data : object
        A stream is: the path of a .npy or Parquet file, a list of paths of .npy files, or the path of a folder of
        Parquet files; a callable that returns a new iterator of blocks for each pass; a Dataset of pyarrow, or a Table
        of more rows than a start looks at; a memory map of other numbers than float64 and float32; an array or data
        frame of dask; a `RowSource`.
    sample_weight : array_like of shape (n_rows,) or None
        Weights of the rows, where the stream brings none.
    name : str
        The argument's name in messages.

    Raises
    ------
    TypeError
        If `data` can be read only once, or is a path of another kind.
    ValueError
        If weights are given twice.
    """
    kind = type(data)
    if kind is np.ndarray:
        return None
    if kind is list:
        # A row that is a list, the usual case, takes no more than this.
        is_paths = bool(data) and (isinstance(data[0], str) or hasattr(data[0], "__fspath__"))
        return _of_paths(data, sample_weight, name) if is_paths else None
    if is_source(data):
        return _weighted(data, sample_weight)
    if is_dask(data):
        from emix.distributed.source import DaskSource

        return DaskSource(data, sample_weight, name)
    if isinstance(data, (str, os.PathLike)):
        return _of_path(os.fspath(data), sample_weight, name)
    if isinstance(data, np.memmap):
        if is_ready(np.asarray(data)) or data.ndim != 2 or data.dtype.kind not in "iufb":
            return None
        return _of_blocks(partial(_parts, data), sample_weight)
    if is_arrow_data(data):
        few = hasattr(data, "num_rows") and data.num_rows <= SAMPLE_ROWS
        return None if few else _of_blocks(data, sample_weight)
    if isinstance(data, Iterator):
        raise TypeError(
            f"{name} is a {type(data).__name__}, which can be read only once; a fit makes many passes. Pass a callable "
            "that returns a new one for each pass, such as the function that made it."
        )
    if callable(data) and not is_frame(data) and not hasattr(data, "__array__"):
        return _of_blocks(data, sample_weight)
    return None


def _parts(mapped: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Blocks of a memory map."""
    return (np.asarray(mapped[first : first + _BLOCK]) for first in range(0, len(mapped), _BLOCK))


def is_mapped(X: Any) -> bool:
    """True if an array is, or is a view of, a memory map of a file."""
    if type(X) is np.ndarray and X.base is None:  # the usual case, in a fifth of the time
        return False
    while isinstance(X, np.ndarray):
        if isinstance(X, np.memmap):
            return True
        X = X.base
    mmap = sys.modules.get("mmap")  # loaded wherever there is a map
    return mmap is not None and isinstance(X, mmap.mmap)


# The sources are loaded when there is a stream: most fits are of arrays, and `import emix` stays light.


def _of_blocks(blocks: Any, sample_weight: Any) -> RowSource:
    from emix.rows.blocks import BlockSource

    return BlockSource(blocks, sample_weight=_weights(sample_weight))


def _of_path(path: str, sample_weight: Any, name: str) -> RowSource:
    from emix.rows.npy import NpySource
    from emix.rows.parquet import ParquetSource

    if path.endswith(_NPY):
        return NpySource([path], _weights(sample_weight))
    if path.endswith(_PARQUET) or os.path.isdir(path):
        return _weighted(ParquetSource(path), sample_weight)
    os.stat(path)  # raises, with the name, if there is nothing
    raise TypeError(
        f"{name} is the path {path!r}, expected one that ends in {_NPY} or {_PARQUET[0]}, or a folder of Parquet "
        "files. Read other files first, or pass a callable that returns an iterator of blocks of rows for each pass."
    )


def _of_paths(given: list[Any], sample_weight: Any, name: str) -> RowSource | None:
    if not all(isinstance(path, (str, os.PathLike)) for path in given):
        return None
    paths = [os.fspath(path) for path in given]
    odd = next((path for path in paths if not path.endswith(_NPY)), None)
    if odd is not None:
        if not os.path.exists(odd):
            return None  # text, which is refused where rows are
        raise TypeError(
            f"{name} is a list of paths with {odd!r}, expected paths that end in {_NPY}. Parquet files are read from "
            "a folder."
        )
    from emix.rows.npy import NpySource

    return NpySource(paths, _weights(sample_weight))


def _weighted(source: RowSource, sample_weight: Any) -> RowSource:
    """The source, with weights that its rows do not bring."""
    if sample_weight is None:
        return source
    from emix.rows.streamed import StreamedRows

    if not isinstance(source, StreamedRows) or getattr(source, "weight", None) is not None:
        raise ValueError(
            f"sample_weight was passed with a {type(source).__name__}, which has its own weights: pass one of them."
        )
    return source.with_weights(_weights(sample_weight))


def _weights(sample_weight: Any) -> NDArray[np.float64] | None:
    """Weights of as many rows as there may be; their number and values are checked with the rows."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, str):
        raise TypeError(
            f"sample_weight is {sample_weight!r}, expected one weight for each row. A column of weights is named by "
            "emix.ParquetSource(path, weight=...) or emix.BlockSource(blocks, weight=...)."
        )
    found = as_numbers(sample_weight, "sample_weight")
    if found.ndim != 1:
        raise ValueError(
            f"Sample weights must be 1D: sample_weight has shape {found.shape}, expected one weight for each row."
        )
    return np.ascontiguousarray(found, dtype=np.float64)
