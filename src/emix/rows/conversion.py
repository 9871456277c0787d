"""Numbers of any kind become float64 or float32 arrays; what is not numbers is refused."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import shown

__all__ = ["as_numbers", "is_frame", "is_ready"]


def as_numbers(X: Any, name: str) -> NDArray[Any]:
    """Return `X` as an aligned float64 or float32 array of any dimension, without a copy where that is possible.

    Parameters
    ----------
    X : array_like or data frame
    name : str
        The argument's name in messages.

    Returns
    -------
    ndarray, float64 or float32
        Its values may be NaN or infinite.

    Raises
    ------
    ValueError
        If `X` is complex, text or ragged.
    TypeError
        If `X` is sparse, or holds objects that are not numbers.
    """
    if is_ready(X):
        ready: NDArray[Any] = X
        return ready
    _refuse_special(X, name)
    try:
        array = np.asarray(X.to_numpy() if is_frame(X) else X)
    except ValueError as error:
        raise ValueError(f"{name} is not a rectangular array of numbers: {error}") from error
    kind = array.dtype.kind
    if kind == "c":
        raise ValueError(
            f"Complex data not supported: {name} has dtype {array.dtype}, expected real numbers. "
            "Pass the real and the imaginary parts as two columns."
        )
    if kind in "USTmMV":
        raise ValueError(
            f"{name} has dtype {array.dtype}, expected numbers: could not convert string, date or record to float. "
            "Convert its columns to float, or leave them out."
        )
    if kind == "O":
        return _from_objects(array, name)
    single = kind == "f" and array.dtype.itemsize == 4
    # Byte order and alignment are made native here; both are free where they are so already.
    return np.require(array, dtype=np.float32 if single else np.float64, requirements=["ALIGNED"])


def is_ready(X: Any) -> bool:
    """Is `X` an array that the kernel can read where it lies?"""
    return type(X) is np.ndarray and X.dtype.char in "df" and X.dtype.isnative and X.flags.aligned


def is_frame(X: Any) -> bool:
    """Is `X` a data frame, of whichever library?"""
    return hasattr(X, "columns") and hasattr(X, "to_numpy")


def _refuse_special(X: Any, name: str) -> None:
    # isspmatrix of an object needs scipy.sparse, but an object of scipy.sparse needs it to be loaded already.
    sparse = sys.modules.get("scipy.sparse")
    if sparse is not None and sparse.issparse(X):
        raise TypeError(
            f"Sparse data was passed as {name}, but dense data is required. Use {name}.toarray() to convert it, "
            "if it fits into memory."
        )
    if isinstance(X, np.matrix):
        raise TypeError(f"np.matrix is not supported: {name} is one. Convert it with np.asarray({name}).")
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(
            f"{name} is a masked array with {int(np.ma.getmaskarray(X).sum())} masked values, expected none. Leave out "
            f"their rows, or fill them with {name}.filled."
        )


def _from_objects(array: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Return Python numbers as float64; text is refused even where it would read as a number."""
    if array.ndim == 0 and (rows := _rows_within(array.item(), name)) is not None:
        raise TypeError(f"{name} is a {type(array.item()).__name__}, expected an array or a data frame: pass {rows}.")
    for place, value in enumerate(array.flat):
        if isinstance(value, (str, bytes)):
            raise ValueError(
                f"could not convert string to float: {name} holds {shown(value)}{_place(place, array)}, expected "
                "numbers. Convert the column to float, or leave it out."
            )
        if isinstance(value, complex):
            raise ValueError(
                f"Complex data not supported: {name} holds {shown(value)}{_place(place, array)}, expected real numbers."
            )
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        # float(), not NumPy, knows which value it was.
        for place, value in enumerate(array.flat):
            try:
                float(value)
            except (TypeError, ValueError) as reason:
                raise type(reason)(
                    f"{name} holds {shown(value)}{_place(place, array)}, expected numbers: {reason}. Convert or leave "
                    "out what is not a number."
                ) from error
        raise


def _rows_within(value: Any, name: str) -> str | None:
    """How to get at the rows of a data set, of emix or of scikit-learn; None for anything else."""
    if len(getattr(getattr(value, "data", None), "shape", ())) == 2:
        return f"{name}.data"
    if isinstance(value, dict) and len(getattr(value.get("data"), "shape", ())) == 2:
        return f"{name}['data']"
    return None


def _place(place: int, array: NDArray[Any]) -> str:
    index = np.unravel_index(place, array.shape)
    if array.ndim == 2:
        return f" in row {index[0]}, column {index[1]}"
    return f" in row {index[0]}" if array.ndim == 1 else ""
