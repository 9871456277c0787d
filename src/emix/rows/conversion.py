"""Numbers of any kind become float64 or float32 arrays; what is not numbers is refused, and so are unread names."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import shown

__all__ = [
    "as_numbers",
    "called",
    "column_names",
    "few",
    "is_arrow_data",
    "is_dask",
    "is_frame",
    "is_ready",
    "refuse_unread_names",
]

# A look at the attributes of most objects takes ten times as long as the conversion of one short row.
_WITHOUT_NAMES = (list, tuple, float, int)

# What is read block by block, in messages of functions that take arrays.
_STREAMS = "fit, summary and the scores of emix.GaussianMixture, and by emix.fit_em"

_SUFFIXES = (".npy", ".parquet", ".pq")


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
        Its values may be NaN or infinite; what is missing in a nullable column is NaN.

    Raises
    ------
    ValueError
        If `X` is complex, text or ragged, or holds an int too large for float64.
    TypeError
        If `X` is sparse, holds objects that are not numbers, or has named columns that cannot be read by their names.
    """
    if is_ready(X):
        ready: NDArray[Any] = X
        return ready
    _refuse_special(X, name)
    try:
        array = _as_array(X)
    except ValueError as error:
        raise ValueError(f"{name} is not a rectangular array of numbers: {error}") from error
    kind = array.dtype.kind
    if kind == "c":
        raise ValueError(
            f"Complex data not supported: {name} has dtype {array.dtype}{_columns_of_kind(X, kind)}, expected real "
            "numbers. "
            "Pass the real and the imaginary parts as two columns."
        )
    if kind in "USTmMV":
        _refuse_paths(array, name)
        raise ValueError(
            f"{name} has dtype {array.dtype}{_columns_of_kind(X, kind)}, expected numbers: could not convert string, "
            "date or record to float. "
            "Convert its columns to float, or leave them out."
        )
    if kind == "O":
        _refuse_paths(array, name)
        return _from_objects(array, name, column_names(X))
    single = kind == "f" and array.dtype.itemsize == 4
    # Byte order and alignment are made native here; both are free where they are so already.
    if kind == "f" and array.dtype.itemsize > 8:
        with np.errstate(over="ignore", under="ignore"):
            array = array.astype(np.float64)
    return np.require(array, dtype=np.float32 if single else np.float64, requirements=["ALIGNED"])


def is_ready(X: Any) -> bool:
    """True if `X` is an array that the kernel can read where it lies."""
    return type(X) is np.ndarray and X.dtype.char in "df" and X.dtype.isnative and X.flags.aligned


def is_frame(X: Any) -> bool:
    """True if `X` is a data frame, of any library."""
    # In this order: a lazy frame, which has no to_numpy, would work out its columns.
    return hasattr(X, "to_numpy") and hasattr(X, "columns")


def column_names(X: Any) -> list[Any] | None:
    """Return the names of a data frame's or an Arrow table's columns, of any type; None of what has no names."""
    if type(X) is np.ndarray or type(X) in _WITHOUT_NAMES:
        return None
    if is_frame(X):
        return list(X.columns)
    return list(X.column_names) if _is_arrow(X) else None


def called(column: int, names: Any) -> str:
    """Return a column's name for a message, in brackets after its number; nothing where it has none."""
    return f" ({names[column]!r})" if names is not None and isinstance(names[column], str) else ""


def _is_arrow(X: Any) -> bool:
    """True if `X` is a Table or RecordBatch of pyarrow."""
    arrow = sys.modules.get("pyarrow")
    return arrow is not None and isinstance(X, (arrow.Table, arrow.RecordBatch))


def is_arrow_data(data: Any) -> bool:
    """True if `data` is a Table, RecordBatch or Dataset of pyarrow."""
    arrow = sys.modules.get("pyarrow")
    if arrow is None:
        return False
    dataset = sys.modules.get("pyarrow.dataset")
    return isinstance(data, (arrow.Table, arrow.RecordBatch)) or (
        dataset is not None and isinstance(data, dataset.Dataset)
    )


def is_dask(data: Any) -> bool:
    """True if `data` is a collection of dask, which is loaded then."""
    cls = type(data)
    return "dask" in sys.modules and cls.__module__.partition(".")[0] == "dask" and hasattr(cls, "__dask_graph__")


def _as_array(X: Any) -> NDArray[Any]:
    if type(X) in _WITHOUT_NAMES:
        return np.asarray(X)
    if is_frame(X):
        return np.asarray(X.to_numpy())
    if _is_arrow(X):
        columns = [np.asarray(column) for column in X.columns]
        return np.column_stack(columns) if columns else np.empty((X.num_rows, 0))
    return np.asarray(X)


def refuse_unread_names(X: Any, name: str) -> None:
    """Refuse what has named columns that emix does not read: in another order they would count as each other."""
    if type(X) in _WITHOUT_NAMES:
        return
    if isinstance(X, np.ndarray) and X.dtype.names is not None:
        raise ValueError(
            f"{name} is a structured array with the fields {few(X.dtype.names)}, expected numbers in two dimensions. "
            f"Pass a data frame, such as pandas.DataFrame({name}), or without the names "
            f"numpy.lib.recfunctions.structured_to_unstructured({name})."
        )
    if isinstance(X, Mapping) and not hasattr(X, "toarray"):  # a sparse array may be one
        if (rows := _rows_within(X, name)) is not None:
            raise TypeError(_data_set(X, name, rows))
        raise TypeError(
            f"{name} is a {type(X).__name__} with the keys {few(X)}, expected an array or a data frame. Make it one, "
            f"for example with pandas.DataFrame({name})."
        )
    cls = type(X)
    if is_dask(X):
        raise TypeError(
            f"{name} is a dask {cls.__name__}, expected an array or a data frame in memory. Convert it first, with "
            f"{name}.compute(): collections of dask are taken by {_STREAMS}."
        )
    if is_frame(X) or _is_arrow(X):
        return
    if (parts := _parts_of_stream(X, name)) is not None:
        raise TypeError(
            f"{name} is a {cls.__name__}, expected an array or a data frame in memory: rows that are read block by "
            f"block are taken by {_STREAMS}. Pass an array of all rows, or, where parts will do, {parts}."
        )
    if isinstance(X, (str, os.PathLike)) and _is_path(X):
        raise TypeError(
            f"{name} is the path {os.fspath(X)!r}, expected an array or a data frame in memory: paths are taken by "
            f"{_STREAMS}. Read the file first, for example with numpy.load or pandas.read_parquet."
        )
    # A lazy frame would work out its columns if it was asked itself, and not its class.
    named = any(hasattr(cls, attribute) for attribute in ("columns", "column_names", "__dataframe__"))
    if named or (hasattr(cls, "__arrow_c_stream__") and not hasattr(cls, "__array__")):
        raise TypeError(
            f"{name} is a {cls.__module__.partition('.')[0]} {cls.__name__}, whose columns emix cannot read by their "
            "names, expected an array or a data frame of pandas, polars or pyarrow. Convert it first: a lazy frame "
            f"with {name}.collect() or {name}.compute(), others for example with pyarrow.table({name})."
        )


def _parts_of_stream(X: Any, name: str) -> str | None:
    """Return advice for rows that are read block by block: what to pass instead; None for anything else."""
    cls = type(X)
    if callable(getattr(cls, "batches", None)) and callable(getattr(cls, "read", None)):
        return f"one batch after another: for batch in {name}.batches(1) has them as batch.X"
    if is_arrow_data(X):
        return f"one batch after another: for batch in {name}.to_batches()"
    if any(hasattr(cls, attribute) for attribute in ("__array__", "__array_interface__", "__len__")):
        return None
    if isinstance(X, Iterator):
        return f"one block after another: for block in {name}"
    return f"one block after another: for block in {name}()" if callable(X) else None


def _is_path(value: Any) -> bool:
    """True if text is the path of a file, by its end or because there is one."""
    path = os.fspath(value)
    return not isinstance(value, str) or path.endswith(_SUFFIXES) or os.path.exists(path)


def _refuse_paths(array: NDArray[Any], name: str) -> None:
    """Refuse an array or a tuple of paths: only a list is one of files."""
    first = next(array.flat, None)
    if isinstance(first, os.PathLike) or (isinstance(first, str) and first.endswith(_SUFFIXES)):
        raise TypeError(
            f"{name} holds paths, such as {str(first)!r}, expected numbers. Pass a list of paths of .npy files "
            "to fit, summary and the scores of emix.GaussianMixture; elsewhere read them first, for example with "
            "numpy.load."
        )


def few(names: Any, most: int = 5) -> str:
    """Return the first names for a message, quoted; an ellipsis stands for others."""
    listed = [repr(key) for key in names]
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")


def _columns_of_kind(X: Any, kind: str) -> str:
    """Name the first column of a table whose dtype is of that kind."""
    names = column_names(X) or []
    for j, label in enumerate(names):
        if np.asarray(X[label]).dtype.kind == kind:
            return f" in column {j}{called(j, names)}"
    return ""


def _refuse_special(X: Any, name: str) -> None:
    refuse_unread_names(X, name)
    if _is_arrow(X):
        _refuse_dictionaries(X, name)
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


def _refuse_dictionaries(X: Any, name: str) -> None:
    """Refuse columns of categories, also of numbers, as blocks of Arrow batches do."""
    arrow = sys.modules["pyarrow"]
    for j, field in enumerate(X.schema):
        if arrow.types.is_dictionary(field.type):
            raise ValueError(
                f"{name} has column {j} ({field.name!r}) of the type {field.type}, expected numbers. Convert the "
                "column to float, or leave it out."
            )


def _from_objects(array: NDArray[Any], name: str, names: list[Any] | None) -> NDArray[np.float64]:
    """Return Python numbers as float64; text is refused even where it would read as a number."""
    if array.ndim == 0 and (rows := _rows_within(array.item(), name)) is not None:
        raise TypeError(_data_set(array.item(), name, rows))
    # Nullable columns of pandas hold pandas.NA for a missing value. It is no number, and as missing as NaN.
    pandas = sys.modules.get("pandas")
    missing = None if pandas is None else pandas.NA
    places: list[int] = []
    for place, value in enumerate(array.flat):
        if isinstance(value, (str, bytes)):
            raise ValueError(
                f"could not convert string to float: {name} holds {shown(value)}{_place(place, array, names)}, "
                "expected numbers. Convert the column to float, or leave it out."
            )
        if isinstance(value, complex):
            raise ValueError(
                f"Complex data not supported: {name} holds {shown(value)}{_place(place, array, names)}, expected real "
                "numbers."
            )
        if value is missing and missing is not None:
            places.append(place)
    if places:
        array = array.copy()
        array.flat[places] = math.nan
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        # float(), not NumPy, knows which value it was.
        for place, value in enumerate(array.flat):
            try:
                float(value)
            except OverflowError:
                raise ValueError(
                    f"{name} holds a number too large for float64{_place(place, array, names)}, expected absolute "
                    "values below 1.8e308. Divide the column by a large number."
                ) from error
            except (TypeError, ValueError) as reason:
                raise type(reason)(
                    f"{name} holds {shown(value)}{_place(place, array, names)}, expected numbers: {reason}. Convert or "
                    "leave out what is not a number."
                ) from error
        raise


def _data_set(value: Any, name: str, rows: str) -> str:
    return f"{name} is a {type(value).__name__}, expected an array or a data frame: pass {rows}."


def _rows_within(value: Any, name: str) -> str | None:
    """Return advice for a data set of emix or of scikit-learn: the expression for its rows; None for anything else."""
    if len(getattr(getattr(value, "data", None), "shape", ())) == 2:
        return f"{name}.data"
    if isinstance(value, dict) and len(getattr(value.get("data"), "shape", ())) == 2:
        return f"{name}['data']"
    return None


def _place(place: int, array: NDArray[Any], names: list[Any] | None) -> str:
    index = np.unravel_index(place, array.shape)
    if array.ndim == 2:
        return f" in row {index[0]}, column {index[1]}{called(int(index[1]), names)}"
    return f" in row {index[0]}" if array.ndim == 1 else ""
