"""Checks of rows and weights. An error names the argument, the value found, the value expected, and a remedy.

A float64 or float32 array passes through as it is, whatever its strides: the checks copy nothing and make no
temporary as large as the data. Names of columns are kept and compared as scikit-learn does, and where scikit-learn has
words for an error that its users know, they are used.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import warn
from emix.kernel.factors import Columns
from emix.kernel.values import within
from emix.rows.conversion import as_numbers, called, column_names, is_ready, refuse_unread_names
from emix.rows.refusals import (
    LARGEST,
    check_total_weight,
    first_bad_weight,
    first_value,
    refusal_of_value,
    refusal_of_weight,
)

__all__ = [
    "FloatArray",
    "as_rows",
    "as_sample_weight",
    "check_column_range",
    "check_enough_rows",
    "check_feature_names",
    "check_n_features",
    "feature_names",
    "rows_to_score",
]

FloatArray: TypeAlias = NDArray[np.float64] | NDArray[np.float32]

# A column that varies by less has squares of differences below the smallest normal number, where digits end: in float64
# the fifth of a variance is lost at 3e-156. In float32 that begins at 1e-18, and a component is narrower than all.
SMALLEST = {"d": 1e-153, "f": 1e-15}

# So few values, if they do not lie side by side, are looked at one by one in less time than NumPy takes to start.
_FEW = 1 << 10


def as_rows(
    X: Any, *, name: str = "X", caller: str = "GaussianMixture", to_fit: bool = False, names: list[Any] | None = None
) -> FloatArray:
    """Return `X` as a two-dimensional array of finite float64 or float32.

    Parameters
    ----------
    X : array_like or data frame of shape (n_samples, n_features)
        float64 and float32 arrays are returned as they are, in any memory order. Integers, booleans and other floats
        become float64, as do arrays of Python objects that are all numbers. Frames are anything with `columns` and
        `to_numpy`, such as those of pandas and polars, and pyarrow's Table and RecordBatch.
    name : str
        The argument's name in messages.
    caller : str
        The estimator's name in messages.
    to_fit : bool
        Also refuse values whose squares, summed with weights, could overflow: absolute values beyond 1e150 in float64,
        1e15 in float32.
    names : list or None
        The columns' names in messages, where `X` does not have them itself.

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
        If `X` is sparse, holds objects that are not numbers, or is a table of a kind whose names cannot be read.

    Examples
    --------
    >>> as_rows([[1, 2], [3, 4]])
    array([[1., 2.],
           [3., 4.]])
    """
    rows = X if is_ready(X) else as_numbers(X, name)
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
    kind = rows.dtype.char
    if (rows.size <= _FEW or rows.flags.forc) and within(rows, kind == "f", LARGEST[kind]):
        return rows
    # NaN and infinities show in the extremes; unlike isfinite, these need no array to write to.
    lowest, highest = np.minimum.reduce(rows, axis=None), np.maximum.reduce(rows, axis=None)
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        bad = first_value(rows, lambda block: ~np.isfinite(block))
        raise ValueError(refusal_of_value(bad, kind, names or column_names(X), name=name))
    if to_fit and (highest > LARGEST[kind] or lowest < -LARGEST[kind]):
        bad = first_value(rows, lambda block: np.abs(block) > LARGEST[kind])
        raise ValueError(refusal_of_value(bad, kind, names or column_names(X), name=name))
    return rows


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
    with np.errstate(over="ignore", invalid="ignore"):
        lowest, total = float(np.minimum.reduce(weight)), float(np.add.reduce(weight))
    # A total of finite weights may overflow: only a look at each tells.
    if not (math.isfinite(total) and lowest >= 0) and (row := first_bad_weight(weight)) is not None:
        raise ValueError(refusal_of_weight(weight[row], row, name))
    if not 0 < total < math.inf:
        check_total_weight(total, float(weight.max()), n_samples, name)
    return weight


def check_enough_rows(
    n_samples: int,
    n_components: int,
    sample_weight: NDArray[np.float64] | None = None,
    n_counted: int | None = None,
) -> None:
    """Refuse fewer rows, of weight above zero, than components; `n_counted` is how many these are, where it is known.

    Raises
    ------
    ValueError
        With both numbers.
    """
    counted, which = n_samples, "n_samples"
    if sample_weight is not None and n_counted is None:
        n_counted = int(np.count_nonzero(sample_weight))
    if n_counted is not None and (sample_weight is not None or n_counted < n_samples):
        counted, which = n_counted, "number of rows with a weight above zero"
    if counted < n_components:
        raise ValueError(
            f"Expected n_samples >= n_components but got n_components = {n_components}, {which} = {counted}. "
            "Pass more rows or ask for fewer components."
        )


def check_column_range(columns: Columns, kind: str, names: Any = None, *, name: str = "X") -> None:
    """Refuse columns that vary, but by so little that squares of differences would lose their digits; for a fit.

    Parameters
    ----------
    columns : Columns
    kind : {"d", "f"}
        The dtype in which differences are squared.
    names : sequence or None
        The columns' names in messages.
    name : str
        The argument's name in messages.

    Raises
    ------
    ValueError
        If a column varies by less than 1e-153 in float64, 1e-15 in float32; a constant column does not vary.
    """
    limit = SMALLEST[kind]
    column = columns.first_narrow(limit)
    if column < 0:
        return
    least, greatest = columns.column_range[:, column]
    remedy = "Multiply the column by a large number"
    if kind == "f":
        remedy += f", or pass float64, in which {SMALLEST['d']:g} is enough"
    raise ValueError(
        f"Input {name} contains a column too small to fit: column {column}{called(column, names)} varies by "
        f"{greatest - least:.3g}. Expected at least {limit:g} in {np.dtype(kind)}, or a constant. {remedy}."
    )


def feature_names(X: Any) -> NDArray[np.object_] | None:
    """Return the names of a table's columns if all are strings, None if `X` has no names or others.

    Parameters
    ----------
    X : array_like or data frame

    Returns
    -------
    ndarray of shape (n_features,), object, or None

    Raises
    ------
    TypeError
        If some names are strings and some are not, or `X` is a table of a kind whose names cannot be read.
    """
    if type(X) is np.ndarray:
        return None
    if (names := column_names(X)) is None:
        refuse_unread_names(X, "X")
        return None
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


def check_feature_names(found: NDArray[np.object_] | None, fitted: NDArray[np.object_] | None, *, caller: str) -> None:
    """Compare the names of columns with those at the fit.

    Parameters
    ----------
    found, fitted : ndarray of shape (n_features,), object, or None
    caller : str
        The estimator's name in messages.

    Raises
    ------
    ValueError
        If both have names and the names or their order differ. Where only one has names, a UserWarning says so.
    """
    if found is None and fitted is None:
        return
    if fitted is None:
        warn(f"X has feature names, but {caller} was fitted without feature names")
        return
    if found is None:
        warn(f"X does not have valid feature names, but {caller} was fitted with feature names")
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


def rows_to_score(
    X: Any,
    n_features: int,
    fitted_names: NDArray[np.object_] | None,
    *,
    caller: str,
    to_fit: bool = False,
    name: str = "X",
) -> FloatArray:
    """Return rows with the columns of a fit.

    Parameters
    ----------
    X : array_like or data frame of shape (n_samples, n_features)
    n_features : int
        As at the fit.
    fitted_names : ndarray of shape (n_features,), object, or None
        Names at the fit.
    caller : str
        The estimator's name in messages.
    to_fit : bool
        As of `as_rows`.
    name : str
        The argument's name in messages.

    Raises
    ------
    TypeError, ValueError
        As `as_rows`, `check_feature_names` and `check_n_features`.
    """
    names = feature_names(X)
    if names is not None or fitted_names is not None:
        check_feature_names(names, fitted_names, caller=caller)
    rows = as_rows(X, name=name, caller=caller, to_fit=to_fit)
    check_n_features(rows, n_features, caller=caller)
    return rows


def _not_two_dimensional(rows: NDArray[Any], name: str) -> str:
    start = f"Expected 2D array, got {rows.ndim}D array instead: {name} has shape {rows.shape}. "
    if rows.ndim > 2:
        return (
            start + f"Found array with dim {rows.ndim}, while dim <= 2 is required: rows are samples, columns features."
        )
    return (
        start + f"Reshape your data either using {name}.reshape(-1, 1) if it has a single feature or "
        f"{name}.reshape(1, -1) if it is a single sample."
    )


def _listed(names: list[str], most: int = 5) -> str:
    more = "- ...\n" if len(names) > most else ""
    return "".join(f"- {name}\n" for name in names[:most]) + more
