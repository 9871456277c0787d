"""Inputs and outputs of a regression as rows of one table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.rows.conversion import as_numbers, column_names
from emix.rows.validation import FloatArray, as_rows

__all__ = ["joint_rows", "output_names", "outputs_of"]


def output_names(y: Any) -> NDArray[np.object_] | None:
    """Return the names of a data frame's columns, or of a series, if all are strings; None where there are none."""
    if type(y) is np.ndarray:
        return None
    names = column_names(y)
    if names is None and hasattr(y, "to_numpy"):
        names = [getattr(y, "name", None)]
    if not names or not all(isinstance(name, str) and name for name in names):
        return None
    found = np.empty(len(names), dtype=object)
    found[:] = names
    return found


def outputs_of(y: Any, n_samples: int, caller: str) -> tuple[FloatArray, bool]:
    """Return y as rows (n_samples, n_outputs) of finite float64 or float32, and whether it has one dimension.

    Raises
    ------
    TypeError, ValueError
        If y is None, has another number of rows or of dimensions, or `as_rows` refuses it.
    """
    if y is None:
        raise ValueError(f"{caller} requires y to be passed, but the target y is None.")
    found = as_numbers(y, "y")
    if found.ndim not in (1, 2):
        raise ValueError(f"y has shape {found.shape}, expected (n_samples,) or (n_samples, n_outputs).")
    if len(found) != n_samples:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: [{n_samples}, {len(found)}] in X and y. Pass "
            "one row of y for each row of X."
        )
    is_vector = found.ndim == 1
    return as_rows(found[:, np.newaxis] if is_vector else found, name="y", caller=caller, to_fit=True), is_vector


def joint_rows(
    rows: FloatArray, outputs: FloatArray, names: NDArray[np.object_] | None, of_outputs: NDArray[np.object_] | None
) -> Any:
    """Return rows [x, y] with names of columns, for the warnings of a fit: "x0", "x1", … where inputs have none."""
    inputs = [f"x{j}" for j in range(rows.shape[1])] if names is None else list(names)
    n_outputs, taken = outputs.shape[1], set(inputs)
    own = ["y"] if n_outputs == 1 else [f"y{j}" for j in range(n_outputs)]
    if of_outputs is not None:
        own = list(of_outputs)
    # Columns of X may have such names.
    while not taken.isdisjoint(own):
        own = [name if name not in taken else f"output {name}" for name in own]
    return _NamedRows(np.column_stack([rows, outputs]), [*inputs, *own])


class _NamedRows:
    """The part of a data frame that `GaussianMixture.fit` looks at."""

    def __init__(self, rows: NDArray[Any], columns: list[str]) -> None:
        self.columns = columns
        self._rows = rows

    def to_numpy(self) -> NDArray[Any]:
        return self._rows
