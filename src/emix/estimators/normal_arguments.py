"""What the methods of a multivariate normal are given: points, rows to fit, features, a number of samples."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from emix.exceptions import shown
from emix.rows.conversion import as_numbers
from emix.rows.validation import as_rows, as_sample_weight

Float64Array: TypeAlias = npt.NDArray[np.float64]
FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]


def as_points(
    name: str, X: npt.ArrayLike, n_features: int, *, caller: str, finite: bool = True
) -> tuple[FloatArray, tuple[int, ...]]:
    """Return X as rows (n, d) of float64 or float32, and the shape of a result with one number for each.

    Parameters
    ----------
    name : str
        The argument's name in messages.
    X : array_like of shape (..., n_features)
        With one feature, also a scalar or a 1-D array, of that many points.
    n_features : int
    caller : str
        Whose argument it is.
    finite : bool, default=True
        Whether infinity is refused; NaN always is.

    Raises
    ------
    ValueError
        If X has another number of features, or values that are refused.
    """
    points = as_numbers(X, name)
    if n_features == 1 and points.ndim < 2:
        points = points[..., None]
    if points.ndim == 0 or points.shape[-1] != n_features:
        raise ValueError(
            f"{name} has shape {np.shape(points)}, expected (..., {n_features}): the last axis holds the "
            f"{n_features} feature{'s' * (n_features != 1)} of this distribution."
        )
    rows = points.reshape(-1, n_features)
    if len(rows):  # no points are as good as any; as_rows would have at least one
        as_rows(rows if finite else np.where(np.isinf(rows), 0.0, rows), name=name, caller=caller)
    return rows, points.shape[:-1]


def in_shape(values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Return a number for each point in the shape that `as_points` gave, a scalar for ()."""
    shaped: FloatArray = values.reshape(shape)[()]
    return shaped


def as_sample(
    X: npt.ArrayLike, sample_weight: npt.ArrayLike | None, *, caller: str, allow_singular: bool
) -> tuple[FloatArray, Float64Array | None]:
    """Return X and its weights as rows (n, d) and (n,), enough of them for a covariance.

    Raises
    ------
    ValueError
        If one of them is not as `MultivariateNormal.fit` has it, or there are too few rows without `allow_singular`.
    """
    rows = as_rows(X, caller=caller, to_fit=True)
    n_samples, n_features = rows.shape
    weights = as_sample_weight(sample_weight, n_samples)
    n_effective = n_samples if weights is None else int(np.count_nonzero(weights))
    if n_effective <= n_features and not allow_singular:
        raise ValueError(
            f"X has {n_effective} row{'s' * (n_effective != 1)} of positive weight, expected at least "
            f"{n_features + 1}: fewer give {n_features} features a singular covariance. Add rows, drop columns, or "
            "pass allow_singular=True."
        )
    return rows, weights


def as_features(name: str, indices: Iterable[int], n_features: int) -> list[int]:
    """Return indices as int from 0 to n_features − 1.

    Raises
    ------
    TypeError
        If they are no integers.
    ValueError
        If one is out of range or they are not distinct.
    """
    try:
        given = [operator.index(index) for index in indices]
    except TypeError:
        raise TypeError(
            f"{name} is {shown(indices)}, expected features by number, from 0 to {n_features - 1}."
        ) from None
    for index in given:
        if not -n_features <= index < n_features:
            raise ValueError(f"{name} has feature {index}, expected one from 0 to {n_features - 1}.")
    features = [index % n_features for index in given]
    if len(set(features)) < len(features):
        raise ValueError(f"{name} names a feature twice: {shown(given)}. Name each once.")
    return features


def check_size(size: int) -> None:
    """Refuse what is no number of points to draw: TypeError if it is no integer, ValueError if it is negative."""
    if not isinstance(size, int | np.integer):
        raise TypeError(f"size is {shown(size)}, expected an int: the number of points.")
    if size < 0:
        raise ValueError(f"size is {size}, expected at least 0.")
