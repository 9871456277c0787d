"""Scores of the rows of a dask collection as dask collections: nothing is computed before it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.distributed.partitions import is_array
from emix.distributed.tasks import block_scores
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import Scores
from emix.requirements import require

__all__ = ["lazy_scores"]


def lazy_scores(
    rows: Any, parameters: GaussianParameters, names: NDArray[np.object_] | None, caller: str, **what: bool
) -> Scores:
    """Return scores of rows, each a collection in the partitions of the rows.

    Parameters
    ----------
    rows : dask array or dask data frame
        An array has whole rows in each block.
    parameters : GaussianParameters
    names : ndarray of str or None
        Of the columns at the fit.
    caller : str
        The estimator's name in messages.
    **what : bool
        As for `score_rows`.

    Returns
    -------
    Scores
        Of dask arrays; of an array's rows in its chunks. Log-densities and labels of a data frame are series with its
        index.
    """
    dtype = np.dtype(np.float32) if _is_single(rows) else np.dtype(np.float64)
    score = partial(block_scores, parameters=parameters, dtype=dtype, names=names, caller=caller)
    found = (
        _mapped(rows, partial(score, what=field), field, dtype, parameters.n_components) if what.get(field) else None
        for field in Scores._fields
    )
    return Scores(*found)


def _mapped(rows: Any, score: Callable[[Any], Any], what: str, dtype: np.dtype[Any], n_components: int) -> Any:
    """The collection of the scores of each partition."""
    kind = np.dtype(np.intp) if what == "labels" else dtype
    if what != "responsibilities":
        if is_array(rows):
            return rows.map_blocks(score, drop_axis=1, dtype=kind, meta=np.empty(0, kind))
        return rows.map_partitions(score, meta=(what, kind))
    meta = np.empty((0, n_components), kind)
    if is_array(rows):
        return rows.map_blocks(score, chunks=(rows.chunks[0], (n_components,)), dtype=kind, meta=meta)
    array, task = (require(name, "dask", "scoring a dask collection") for name in ("dask.array", "dask.delayed"))
    parts = [task.delayed(score, traverse=False)(part, block_id=(i,)) for i, part in enumerate(rows.to_delayed())]
    blocks = [array.from_delayed(part, (np.nan, n_components), meta=meta) for part in parts]
    return array.concatenate(blocks, allow_unknown_chunksizes=True)


def _is_single(rows: Any) -> bool:
    """True if all columns are of single precision, which is what makes an array of them single."""
    dtypes = [rows.dtype] if is_array(rows) else list(rows.dtypes)
    return all(str(dtype) == "float32" for dtype in dtypes)
