"""Argument checks of a multivariate normal: names, points, rows to fit, features, a number of samples."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from emix.arguments import did_you_mean, first_not_finite
from emix.exceptions import shown
from emix.normal.array_types import Float64Array, FloatArray
from emix.rows.arrays import ArraySource
from emix.rows.conversion import as_numbers, called, column_names, few
from emix.rows.validation import (
    as_rows,
    as_sample_weight,
    check_column_range,
    check_feature_names,
    feature_names,
)

Names: TypeAlias = npt.NDArray[np.object_]

# A message lists at most so many names of features.
_MOST_NAMES = 20


def as_names(given: Sequence[str] | None, mean: Any, covariance: Any, n_features: int) -> Names | None:
    """Return the features' names: the given names, or those of a mean and covariance that are pandas objects or tables.

    Raises
    ------
    TypeError
        If a name is not a string.
    ValueError
        If there is not one name for each feature, or two arguments have different names.
    """
    found: list[tuple[str, Names | None]] = []
    if given is not None:
        names = [given] if isinstance(given, str) else list(given)
        if not all(isinstance(label, str) for label in names):
            raise TypeError(f"feature_names is {names!r}, expected strings.")
        if len(names) != n_features or len(set(names)) < n_features:
            raise ValueError(f"feature_names is {names!r}, expected {n_features} names, each once.")
        found.append(("feature_names", np.array(names, dtype=object)))
    found += [("mean", _labels(mean)), ("columns of covariance", feature_names(covariance))]
    found.append(("rows of covariance", _labels(covariance)))
    named = [(source, labels) for source, labels in found if labels is not None]
    for source, labels in named[1:]:
        if list(labels) != list(named[0][1]):
            raise ValueError(
                f"{source} has the names {list(labels)}, {named[0][0]} {list(named[0][1])}, expected the same in the "
                "same order. Reorder one of them."
            )
    return named[0][1] if named else None


def _labels(values: Any) -> Names | None:
    """Return the index of a pandas object if all its labels are strings, else None."""
    index = getattr(values, "index", None)  # a method, if values is a list
    labels = [] if index is None or callable(index) else list(index)
    if not labels or not all(isinstance(label, str) for label in labels):
        return None
    return np.array(labels, dtype=object)


def as_points(
    name: str,
    X: npt.ArrayLike,
    n_features: int,
    *,
    caller: str,
    finite: bool = True,
    names: Names | None = None,
) -> tuple[FloatArray, tuple[int, ...]]:
    """Return X as rows (n, d) of float64 or float32, and the shape of a result with one number for each point.

    Parameters
    ----------
    name : str
        The argument's name in messages.
    X : array_like of shape (..., n_features)
        With one feature, also a scalar, or a 1-D array of points.
    n_features : int
    caller : str
        Name of the class that has the argument, for messages.
    finite : bool, default=True
        Refuse infinity; NaN is always refused.
    names : ndarray of str, optional
        The features' names; a table must have the same names.

    Raises
    ------
    ValueError
        If X has another number of features, other names, or values that are refused.
    """
    points = as_numbers(X, name)
    found = None if points is X else feature_names(X)
    if found is not None and names is not None:
        check_feature_names(found, names, caller=caller)
    if n_features == 1 and points.ndim < 2:
        points = points[..., None]
    if points.ndim == 0 or points.shape[-1] != n_features:
        raise ValueError(
            f"{name} has shape {np.shape(points)}, expected (..., {n_features}): the last axis holds the "
            f"{n_features} feature{'s' * (n_features != 1)} of this distribution."
        )
    rows = points.reshape(-1, n_features)
    if len(rows):  # zero points are allowed, but as_rows refuses them
        as_rows(
            rows if finite else np.where(np.isinf(rows), 0.0, rows), name=name, caller=caller, names=column_names(X)
        )
    return rows, points.shape[:-1]


def in_shape(values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Return one number for each point in the shape that `as_points` returned; a scalar for the shape ()."""
    shaped: FloatArray = values.reshape(shape)[()]
    return shaped


def as_points_by_row(
    name: str, X: npt.ArrayLike, shape: tuple[int, ...], *, caller: str, names: Names | None = None
) -> FloatArray:
    """Return X as rows (n, d) of float64 or float32, where `shape` is (n, d) and row i belongs to condition i.

    Raises
    ------
    ValueError
        If X has another shape, or as in `as_points`.
    """
    rows, leading = as_points(name, X, shape[1], caller=caller, names=names)
    if leading != shape[:1]:
        raise ValueError(f"{name} has shape {np.shape(X)}, expected {shape}: one row for each condition.")
    return rows


def as_sample(
    X: npt.ArrayLike, sample_weight: npt.ArrayLike | None, *, caller: str, allow_singular: bool
) -> tuple[FloatArray, Float64Array | None]:
    """Return rows (n, d) and weights (n,), with enough rows for a covariance.

    Raises
    ------
    ValueError
        If an argument is not as `MultivariateNormal.fit` expects, or there are too few rows without `allow_singular`.
    """
    rows = as_rows(X, caller=caller, to_fit=True)
    n_samples, n_features = rows.shape
    weights = as_sample_weight(sample_weight, n_samples)
    # Moments are computed in float64, also for rows of float32.
    check_column_range(ArraySource(rows, weights).columns, "d", column_names(X))
    n_effective = n_samples if weights is None else int(np.count_nonzero(weights))
    if n_effective <= n_features and not allow_singular:
        raise ValueError(
            f"X has {n_effective} row{'s' * (n_effective != 1)} of positive weight, expected at least "
            f"{n_features + 1}: fewer give {n_features} features a singular covariance. Add rows, drop columns, or "
            "pass allow_singular=True."
        )
    return rows, weights


def as_features(name: str, indices: Iterable[Any], n_features: int, names: Names | None = None) -> list[int]:
    """Return the numbers, from 0 to n_features − 1, of features given by number, by name or as a mask.

    Raises
    ------
    TypeError
        If a feature is neither a number nor a name.
    ValueError
        If a feature is out of range, unknown or repeated, or a mask has another length.
    """
    given = list(indices) if isinstance(indices, Iterable) else [indices]
    if given and all(isinstance(index, bool | np.bool_) for index in given) and not isinstance(indices, Mapping):
        if len(given) != n_features:
            raise ValueError(f"{name} is a mask of {len(given)} features, expected one for each of {n_features}.")
        return [j for j, kept in enumerate(given) if kept]
    features = [_as_feature(name, index, n_features, names) for index in given]
    if len(set(features)) < len(features):
        raise ValueError(f"{name} names a feature twice: {shown(given)}. Name each once.")
    return features


def _as_feature(name: str, index: Any, n_features: int, names: Names | None) -> int:
    if isinstance(index, str) and names is not None:
        places = np.flatnonzero(names == index)
        if len(places) != 1:
            problem = "two features have" if len(places) else "no feature has"
            hint = "" if len(places) else did_you_mean(index, names)
            listed = few(names, _MOST_NAMES)
            raise ValueError(f"{name} has {shown(index)}, which {problem} as a name: they are [{listed}].{hint}")
        return int(places[0])
    try:
        if isinstance(index, bool | np.bool_):
            raise TypeError
        number = operator.index(index)
    except TypeError:
        by = "number" if names is None else f"name, {few(names, _MOST_NAMES)}, or number"
        raise TypeError(f"{name} has {shown(index)}, expected features by {by}, from 0 to {n_features - 1}.") from None
    if not -n_features <= number < n_features:
        labels = ""
        if names is None:
            labels = " Features are numbered by position; a frame's labels are names only if all are strings."
        raise ValueError(f"{name} has feature {number}, expected one from 0 to {n_features - 1}.{labels}")
    return number % n_features


def as_some_features(name: str, indices: Any, n_features: int, names: Names | None = None) -> list[int]:
    """Return the numbers of features as `as_features` does, of one feature too that is not in a sequence.

    Raises
    ------
    TypeError, ValueError
        As `as_features`, and if there is no feature, or they have no order.
    """
    if isinstance(indices, Mapping | set | frozenset):
        raise TypeError(
            f"{name} is {shown(indices)}, expected a sequence: the features of the result are in its order."
        )
    given = [indices] if isinstance(indices, str) or not isinstance(indices, Iterable) else indices
    kept = as_features(name, given, n_features, names)
    if not kept:
        raise ValueError(f"{name} is empty, expected at least one feature.")
    return kept


def as_known(given: Mapping[Any, Any], n_features: int, names: Names | None = None) -> tuple[list[int], Float64Array]:
    """Return the numbers of the features whose values are given, and the values.

    Returns
    -------
    known : list of int
        Some features, or none, but not all.
    values : ndarray of shape (n_given,), or (n_rows, n_given) if there are arrays
        A number beside arrays is repeated.

    Raises
    ------
    TypeError
        If `given` is no mapping, or as in `as_features`.
    ValueError
        If a value is not finite, arrays are not one-dimensional or not of one length, all features are given, or as in
        `as_features`.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"given is {shown(given)}, expected a mapping of features to values, such as {{0: 1.5}}.")
    known = as_features("given", given, n_features, names)
    columns: list[Float64Array] = []
    shape: tuple[int, ...] = ()
    for feature, value in zip(known, given.values(), strict=True):
        which = f"feature {feature}{called(feature, names)}"
        numbers = as_numbers(value, f"given, for {which},").astype(np.float64)
        if numbers.ndim > 1 or (shape and numbers.ndim and numbers.shape != shape):
            expected = f"{shape[0]} numbers as before, or one number" if shape else "a number or a 1-D array"
            raise ValueError(f"given has an array of shape {numbers.shape} for {which}, expected {expected}.")
        place = first_not_finite(np.atleast_1d(numbers))
        if place is not None:
            found, where = np.atleast_1d(numbers)[place], f", row {place[0]}" if numbers.ndim else ""
            raise ValueError(f"given has {found} for {which}{where}, expected a finite number.")
        shape = shape or numbers.shape
        columns.append(numbers)
    if len(known) == n_features:
        raise ValueError(f"given names all {n_features} features, expected at least one to be left out.")
    values = [np.broadcast_to(column, shape) for column in columns]
    return known, np.stack(values, axis=-1) if values else np.empty(0)


def check_size(size: int) -> None:
    """Check a number of points to draw: TypeError if it is no integer, ValueError if it is negative."""
    if not isinstance(size, int | np.integer):
        raise TypeError(f"size is {shown(size)}, expected an int: the number of points.")
    if size < 0:
        raise ValueError(f"size is {size}, expected at least 0.")
