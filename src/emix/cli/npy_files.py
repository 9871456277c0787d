"""Arrays of rows in .npy files, as memory maps if possible."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from emix.cli.outputs import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray


def load_npy(
    source: str, columns: Sequence[str] | None, weights: str | None
) -> tuple[tuple[str, ...], NDArray[np.floating], tuple[str, NDArray[np.float64]] | None]:
    """Read columns of an array by their numbers.

    Returns
    -------
    names : tuple of str
        "x0", "x1", … of the columns chosen.
    values : ndarray of shape (n_samples, n_features), float64 or float32
    weights : tuple of str and ndarray of shape (n_samples,), or None
        The name and the values of the column of weights.

    Raises
    ------
    ValueError
        If it is no .npy file, holds no rows of numbers, or does not have such a column.
    OSError
        If it cannot be read.
    """
    array, chosen, weight_column = map_npy(source, columns, weights)
    n_columns = array.shape[1]
    # A choice of columns is a copy; the whole array stays a memory map.
    part = array if chosen == list(range(n_columns)) else array[:, chosen]
    values: NDArray[np.floating] = part if part.dtype in (np.float32, np.float64) else _as_float64(part)
    names = tuple(f"x{j}" for j in chosen)
    if weight_column is None:
        return names, values, None
    return names, values, (f"x{weight_column}", _as_float64(array[:, weight_column]))


def map_npy(
    source: str, columns: Sequence[str] | None, weights: str | None
) -> tuple[NDArray[Any], list[int], int | None]:
    """Map an array into memory, of which nothing is read yet; return it and the numbers of its columns to read.

    Raises
    ------
    OSError, ValueError
        As `load_npy`.
    """
    array = _open(source)
    if array.ndim != 2:
        raise ValueError(f"holds an array of shape {array.shape}, expected two dimensions (rows, columns)")
    if array.dtype.kind not in "iufb":
        raise ValueError(f"holds an array of dtype {array.dtype}, expected numbers")
    n_rows, n_columns = array.shape
    if not n_rows or not n_columns:
        raise ValueError(f"holds no {'columns' if n_rows else 'rows'} (an array of shape {array.shape})")
    weight_column = None if weights is None else _column_number(weights, n_columns)
    chosen = [_column_number(name, n_columns) for name in columns or map(str, range(n_columns))]
    if columns is None:
        chosen = [j for j in chosen if j != weight_column]
    if not chosen:
        raise ValueError(f"there is no column of data beside the weights {weights!r}")
    return array, chosen, weight_column


def _open(source: str) -> NDArray[Any]:
    # Not numpy.load, which also opens archives.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged file may look as if Python 2 wrote it
            array: NDArray[Any] = np.lib.format.open_memmap(source, mode="r")
    except (OSError, MemoryError):
        raise
    except Exception as error:  # the text of a damaged header may raise anything: TokenError, TypeError, ...
        raise ValueError(f"is empty, damaged or no .npy file of numbers ({one_line(error)})") from error
    return array


def _as_float64(values: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(over="ignore", invalid="ignore"):  # long doubles that overflow are refused later, as infinite
        return values.astype(np.float64)


def _column_number(text: str, n_columns: int) -> int:
    digits = text.removeprefix("x")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 10) or int(digits) >= n_columns:
        raise ValueError(f"no column {text!r}: expected a number from 0 to {n_columns - 1}")
    return int(digits)
