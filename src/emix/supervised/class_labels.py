"""Checks of the classes of rows, `y`, in the words of scikit-learn."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import shown, warn

__all__ = ["as_class_labels", "class_numbers"]


def as_class_labels(y: Any, n_samples: int, *, caller: str) -> NDArray[Any]:
    """Return `y` as one label for each row.

    Parameters
    ----------
    y : array_like of shape (n_samples,)
        Integers, booleans, texts, whole numbers as floats, or objects that can be sorted.
    n_samples : int
        The number of rows.
    caller : str
        The estimator's name in messages.

    Returns
    -------
    ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If there is no label, not one for each row, one is missing or masked, or they are bytes or numbers that no
        classes have.

    Warns
    -----
    UserWarning
        If `y` is a column; it is scikit-learn's DataConversionWarning where scikit-learn is loaded.
    """
    if y is None:
        raise ValueError(f"{caller} requires y to be passed, but the target y is None: pass the class of each row.")
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        raise ValueError(
            f"y is a masked array with {int(np.ma.getmaskarray(y).sum())} masked values, expected the class of each "
            "row: leave the rows out."
        )
    labels = np.asarray(y)
    if labels.dtype.kind in "US" and not isinstance(y, np.ndarray):
        # A NaN among texts has become the text "nan", and a text among bytes has become bytes.
        given = np.asarray(y, dtype=object)
        labels = given if any(_is_missing(label) or isinstance(label, bytes) for label in given.flat) else labels
    if labels.ndim == 2 and labels.shape[1] == 1:
        sklearn = sys.modules.get("sklearn.exceptions")
        category: type[Warning] = UserWarning if sklearn is None else sklearn.DataConversionWarning
        warn(
            "A column-vector y was passed when a 1d array was expected. Please change the shape of y to (n_samples,), "
            "for example using ravel().",
            category,
        )
        labels = labels.ravel()
    if labels.ndim != 1:
        raise ValueError(
            f"y should be a 1d array, got an array of shape {labels.shape} instead: pass one class for each row of X."
        )
    if len(labels) != n_samples:
        raise ValueError(
            "Found input variables with inconsistent numbers of samples: "
            f"{[n_samples, len(labels)]}. y needs one class for each row of X."
        )
    _check_values(labels)
    return labels


def _check_values(labels: NDArray[Any]) -> None:
    kind = labels.dtype.kind
    if kind in "OT":
        for row, label in enumerate(labels.tolist()):
            if _is_missing(label):
                raise ValueError(f"Input y contains {shown(label)} in row {row}, expected the class of each row.")
            if isinstance(label, bytes):
                raise ValueError(_of_bytes(label, row))
    elif kind == "S":
        raise ValueError(_of_bytes(labels[0], 0))
    elif kind == "f":
        finite = np.isfinite(labels)
        if not finite.all():
            row = int(finite.argmin())
            name = "NaN" if np.isnan(labels[row]) else "infinity"
            raise ValueError(f"Input y contains {name}: the first is in row {row}. Expected the class of each row.")
        whole = labels == np.floor(labels)
        if not whole.all():
            raise ValueError(
                "Unknown label type: continuous. Maybe you are trying to fit a classifier, which expects discrete "
                f"classes on a regression target with continuous values: y has {labels[whole.argmin()]:g} in row "
                f"{int(whole.argmin())}."
            )
    elif kind not in "biuU":
        raise ValueError(f"Unknown label type: y has dtype {labels.dtype}, expected integers, booleans or texts.")


def _is_missing(label: Any) -> bool:
    # NaN alone differs from itself; pandas.NA is neither equal nor different.
    return label is None or (label != label) is not False


def _of_bytes(label: bytes, row: int) -> str:
    return (
        f"Unknown label type: y has the bytes {shown(bytes(label))} in row {row}, expected integers, booleans or "
        "texts. Decode them, for example with np.char.decode(y)."
    )


def class_numbers(labels: NDArray[Any], *, caller: str) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the classes, sorted, and the number of each label's class.

    Raises
    ------
    ValueError
        If there is only one class, or the labels cannot be sorted.
    """
    try:
        classes, numbers = np.unique(labels, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels.tolist()})
        raise ValueError(
            f"Unknown label type: y has labels of the types {kinds}, which cannot be sorted. Make all of them texts, "
            "or all of them numbers."
        ) from error
    if len(classes) < 2:
        raise ValueError(
            f"The number of classes has to be greater than one; got 1 class: y is {shown(classes[:1].tolist()[0])} in "
            f"all rows of weight above zero, and {caller} needs two."
        )
    return classes, numbers.astype(np.intp, copy=False)
