"""What users pass becomes rows, or an error that says which argument, what was found, what was expected, what to do.

A float64 or float32 array passes through as it is, whatever its strides: the checks copy nothing and make no
temporary as large as the data. Names of columns are kept and compared as scikit-learn does, and where scikit-learn has
words for an error that its users know, they are used.
"""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FloatArray",
    "as_numbers",
    "as_rows",
    "as_sample_weight",
    "check_enough_rows",
    "check_feature_names",
    "check_n_features",
    "feature_names",
    "integer_in_range",
    "real_in_range",
]

FloatArray: TypeAlias = NDArray[np.float64] | NDArray[np.float32]

# The square of a difference of two such values, summed over any number of features, is far from overflow, and so is
# its product with a weight.
LARGEST = {"d": 1e150, "f": 1e15}

# A boolean of this many values is the largest temporary of the search for the first value that is not finite.
_SEARCH = 1 << 18


def as_rows(X: Any, *, name: str = "X", caller: str = "GaussianMixture", to_fit: bool = False) -> FloatArray:
    """Return `X` as a two-dimensional array of finite float64 or float32.

    Parameters
    ----------
    X : array_like or data frame of shape (n_samples, n_features)
        float64 and float32 arrays are returned as they are, in any memory order. Integers, booleans and other floats
        become float64, as do arrays of Python objects that are all numbers. Frames are anything with `columns` and
        `to_numpy`, such as those of pandas and polars.
    name : str
        The argument's name in messages.
    caller : str
        The estimator's name in messages.
    to_fit : bool
        Also refuse values whose squares, summed with weights, could overflow: absolute values beyond 1e150 in float64,
        1e15 in float32.

    Returns
    -------
    ndarray of shape (n_samples, n_features), float64 or float32
        `X` itself, or a view of it, where its dtype allows.

    Raises
    ------
    ValueError
        If `X` is not two-dimensional, has no rows or no columns, is complex or text, or holds NaN, infinity or too
        large a value; the first such row and column are named.
    TypeError
        If `X` is sparse, or holds objects that are not numbers.

    Examples
    --------
    >>> as_rows([[1, 2], [3, 4]])
    array([[1., 2.],
           [3., 4.]])
    """
    rows = X if _is_ready(X) else as_numbers(X, name)
    if rows.ndim != 2:
        raise ValueError(_not_two_dimensional(rows, name))
    n_samples, n_features = rows.shape
    if n_samples < 1:
        raise ValueError(
            f"{name}: Found array with 0 sample(s) (shape={rows.shape}) while a minimum of 1 is required by {caller}. "
            "Pass at least one row."
        )
    if n_features < 1:
        raise ValueError(
            f"{name}: Found array with 0 feature(s) (shape={rows.shape}) while a minimum of 1 is required by {caller}. "
            "Pass at least one column."
        )
    # NaN and infinities show in the extremes; unlike isfinite, these need no array to write to.
    lowest, highest = np.minimum.reduce(rows, axis=None), np.maximum.reduce(rows, axis=None)
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise ValueError(_not_finite(rows, name, feature_names(X)))
    if to_fit and (highest > LARGEST[rows.dtype.char] or lowest < -LARGEST[rows.dtype.char]):
        raise ValueError(_too_large(rows, name))
    return rows


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
    if _is_ready(X):
        ready: NDArray[Any] = X
        return ready
    _refuse_special(X, name)
    try:
        array = np.asarray(X.to_numpy() if _is_frame(X) else X)
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


def as_sample_weight(sample_weight: Any, n_samples: int) -> NDArray[np.float64] | None:
    """Return weights of rows as float64, None if there are none.

    Parameters
    ----------
    sample_weight : array_like of shape (n_samples,) or None
        Non-negative, not all zero.
    n_samples : int
        The number of rows.

    Returns
    -------
    ndarray of shape (n_samples,), float64, C-contiguous, or None
        A copy only where the dtype or the strides are others.

    Raises
    ------
    ValueError
        If the weights are not one-dimensional, not one for each row, not finite, negative, or all zero.
    TypeError
        If they are not numbers.
    """
    if sample_weight is None:
        return None
    name = "sample_weight"
    found = as_numbers(sample_weight, name)
    if found.ndim != 1:
        raise ValueError(
            f"Sample weights must be 1D: {name} has shape {found.shape}, expected ({n_samples},), one weight for each "
            "row of X."
        )
    if found.shape[0] != n_samples:
        raise ValueError(
            f"{name}.shape == {found.shape}, expected ({n_samples},): one weight for each row of X, "
            f"of which there are {n_samples}."
        )
    weight = np.ascontiguousarray(found, dtype=np.float64)
    if n_samples == 0:
        return weight
    lowest, total = float(np.minimum.reduce(weight)), float(np.add.reduce(weight))
    if not math.isfinite(total):
        bad = np.flatnonzero(~np.isfinite(weight))
        if bad.size:
            raise ValueError(
                f"Input {name} contains {_kind(weight[bad[0]])} in row {bad[0]}. Expected finite, non-negative "
                "weights: give a row that should not count the weight 0."
            )
        raise ValueError(f"{name} has a sum that overflows: divide the weights by their largest, {weight.max():g}.")
    if lowest < 0:
        row = int(np.flatnonzero(weight < 0)[0])
        raise ValueError(
            f"Negative values in {name}: {weight[row]:g} in row {row}. Expected weights that are not negative: "
            "give a row that should not count the weight 0."
        )
    if total == 0:
        raise ValueError(
            f"Sample weights must contain at least one non-zero number: all {n_samples} values of {name} are zero. "
            "Pass sample_weight=None to weight all rows alike."
        )
    return weight


def check_enough_rows(n_samples: int, n_components: int, sample_weight: NDArray[np.float64] | None = None) -> None:
    """Refuse fewer rows, of weight above zero, than components.

    Raises
    ------
    ValueError
        With both numbers.
    """
    counted, which = n_samples, "n_samples"
    if sample_weight is not None:
        counted, which = int(np.count_nonzero(sample_weight)), "number of rows with a weight above zero"
    if counted < n_components:
        raise ValueError(
            f"Expected n_samples >= n_components but got n_components = {n_components}, {which} = {counted}. "
            "Pass more rows or ask for fewer components."
        )


def feature_names(X: Any) -> NDArray[np.object_] | None:
    """Return the names of a frame's columns if all are strings, None if `X` has no names or others.

    Parameters
    ----------
    X : array_like or data frame

    Returns
    -------
    ndarray of shape (n_features,), object, or None

    Raises
    ------
    TypeError
        If some names are strings and some are not.
    """
    if type(X) is np.ndarray or not _is_frame(X):
        return None
    names = list(X.columns)
    kinds = sorted({type(name).__qualname__ for name in names})
    if len(kinds) > 1 and "str" in kinds:
        raise TypeError(
            "Feature names are only supported if all input features have string names, but the columns of X have "
            f"names of types {kinds}. Make all of them strings, for example with "
            "X.columns = X.columns.astype(str), or none."
        )
    if kinds != ["str"]:
        return None
    array = np.empty(len(names), dtype=object)
    array[:] = names
    return array


def check_feature_names(
    found: NDArray[np.object_] | None, fitted: NDArray[np.object_] | None, *, caller: str, stacklevel: int = 3
) -> None:
    """Compare the names of columns with those at the fit.

    Parameters
    ----------
    found, fitted : ndarray of shape (n_features,), object, or None
    caller : str
        The estimator's name in messages.
    stacklevel : int
        As in :func:`warnings.warn`.

    Raises
    ------
    ValueError
        If both have names and the names or their order differ. Where only one has names, a UserWarning says so.
    """
    if found is None and fitted is None:
        return
    if fitted is None:
        warnings.warn(f"X has feature names, but {caller} was fitted without feature names", stacklevel=stacklevel)
        return
    if found is None:
        warnings.warn(
            f"X does not have valid feature names, but {caller} was fitted with feature names", stacklevel=stacklevel
        )
        return
    if list(found) == list(fitted):
        return
    message = "The feature names should match those that were passed during fit.\n"
    unseen = sorted(set(found) - set(fitted))
    missing = sorted(set(fitted) - set(found))
    if unseen:
        message += "Feature names unseen at fit time:\n" + _listed(unseen)
    if missing:
        message += "Feature names seen at fit time, yet now missing:\n" + _listed(missing)
    if not unseen and not missing:
        message += "Feature names must be in the same order as they were in fit.\n"
    raise ValueError(message)


def check_n_features(X: FloatArray, n_features: int, *, caller: str) -> None:
    """Refuse rows with another number of columns than at the fit.

    Raises
    ------
    ValueError
        With both numbers.
    """
    if X.shape[1] != n_features:
        raise ValueError(
            f"X has {X.shape[1]} features, but {caller} is expecting {n_features} features as input. "
            "Pass the columns that it was fitted on."
        )


def integer_in_range(name: str, value: Any, lowest: int, *, caller: str) -> int:
    """Return a parameter as an int of at least `lowest`.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is too small.
    """
    message = f"The {name!r} parameter of {caller} must be an int in the range [{lowest}, inf). Got {value!r} instead."
    # operator.index would let True through as 1.
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(message)
    if value < lowest:
        raise ValueError(message)
    return int(value)


def real_in_range(name: str, value: Any, lowest: float, *, caller: str) -> float:
    """Return a parameter as a finite float of at least `lowest`.

    Raises
    ------
    TypeError
        If it is not a number.
    ValueError
        If it is too small or not finite.
    """
    message = (
        f"The {name!r} parameter of {caller} must be a float in the range [{lowest:.1f}, inf). Got {value!r} instead."
    )
    if not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool):
        raise TypeError(message)
    number = float(value)
    if not (number >= lowest and math.isfinite(number)):
        raise ValueError(message)
    return number


def _is_ready(X: Any) -> bool:
    """Is `X` an array that the kernel can read where it lies?"""
    return type(X) is np.ndarray and X.dtype.char in "df" and X.dtype.isnative and X.flags.aligned


def _is_frame(X: Any) -> bool:
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
            f"{name} is a masked array with {np.ma.count_masked(X)} masked values, expected none. Leave out their "
            f"rows, or fill them with {name}.filled."
        )


def _from_objects(array: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Return Python numbers as float64; text is refused even where it would read as a number."""
    for place, value in enumerate(array.flat):
        if isinstance(value, (str, bytes)):
            raise ValueError(
                f"could not convert string to float: {name} holds {value!r}{_place(place, array)}, expected numbers. "
                "Convert the column to float, or leave it out."
            )
        if isinstance(value, complex):
            raise ValueError(
                f"Complex data not supported: {name} holds {value!r}{_place(place, array)}, expected real numbers."
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
                    f"{name} holds {value!r}{_place(place, array)}, expected numbers: {reason}. Convert or leave out "
                    "what is not a number."
                ) from error
        raise


def _place(place: int, array: NDArray[Any]) -> str:
    index = np.unravel_index(place, array.shape)
    if array.ndim == 2:
        return f" in row {index[0]}, column {index[1]}"
    return f" in row {index[0]}" if array.ndim == 1 else ""


def _not_two_dimensional(rows: NDArray[Any], name: str) -> str:
    start = f"Expected 2D array, got {rows.ndim}D array instead: {name} has shape {rows.shape}. "
    if rows.ndim > 2:
        return start + f"Found array with dim {rows.ndim}, while dim <= 2 is required: rows are samples, columns features."
    return (
        start + f"Reshape your data either using {name}.reshape(-1, 1) if it has a single feature or "
        f"{name}.reshape(1, -1) if it is a single sample."
    )


def _not_finite(rows: NDArray[Any], name: str, names: NDArray[np.object_] | None) -> str:
    row, column = _first(rows, lambda block: ~np.isfinite(block))
    kind = _kind(rows[row, column])
    called = "" if names is None else f" ({names[column]!r})"
    remedy = "Leave out such rows or fill them in first" if kind == "NaN" else "Leave out such rows"
    return f"Input {name} contains {kind}: the first is in row {row}, column {column}{called}. Expected finite numbers. {remedy}."


def _too_large(rows: NDArray[Any], name: str) -> str:
    limit = LARGEST[rows.dtype.char]
    row, column = _first(rows, lambda block: np.abs(block) > limit)
    remedy = "Divide the column by a large number"
    if rows.dtype == np.float32:
        remedy += f", or pass float64, which may go to {LARGEST['d']:g}"
    return (
        f"Input {name} contains a value too large to fit: {rows[row, column]} in row {row}, column {column}. "
        f"Expected absolute values of at most {limit:g} in {rows.dtype}. {remedy}."
    )


def _first(rows: NDArray[Any], is_bad: Any) -> tuple[int, int]:
    """Row and column of the first bad value, in order of rows, looking at a few rows at a time."""
    step = max(1, _SEARCH // rows.shape[1])
    for start in range(0, rows.shape[0], step):
        bad = is_bad(rows[start : start + step])
        if bad.any():
            row, column = divmod(int(bad.argmax()), rows.shape[1])
            return start + row, column
    raise AssertionError("the caller has found a bad value")


def _kind(value: Any) -> str:
    if math.isnan(value):
        return "NaN"
    return "infinity" if value > 0 else "-infinity"


def _listed(names: list[str], most: int = 5) -> str:
    more = "- ...\n" if len(names) > most else ""
    return "".join(f"- {name}\n" for name in names[:most]) + more
