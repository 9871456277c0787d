"""What no model could use is refused in terms of the file: the column's name and the first bad row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emix.rows.refusals import LARGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def check_finite(name: str, column: NDArray[np.floating]) -> None:
    """Refuse infinite numbers; NaN is no value."""
    infinite = np.isinf(column)
    if infinite.any():
        row = int(infinite.argmax())
        raise ValueError(f"column {name!r} holds {column[row]} in row {row + 1}, expected finite numbers")


def find_missing(columns: Mapping[str, NDArray[np.floating]], *, drop: bool) -> NDArray[np.bool_] | None:
    """Find the rows that have a value in every column; None if all have.

    Raises
    ------
    ValueError
        If a value is missing and such rows are not to be dropped, or if no row would be left.
    """
    present: NDArray[np.bool_] | None = None
    for column in columns.values():
        missing = np.isnan(column)
        if missing.any():
            present = ~missing if present is None else present & ~missing
    if present is not None and not drop:
        row, n_missing = int(present.argmin()), int((~present).sum())
        name = next(name for name, column in columns.items() if np.isnan(column[row]))
        raise ValueError(
            f"column {name!r} has no value in row {row + 1} ({n_missing} row{'s' * (n_missing != 1)} in all): "
            "fill or remove such rows, or pass --missing drop"
        )
    if present is not None and not present.any():
        raise ValueError(f"no row has a value in every column ({', '.join(columns)}): choose others with --columns")
    return present


def check_size(name: str, column: NDArray[np.floating], present: NDArray[np.bool_] | None) -> None:
    """Refuse values whose squares, summed with weights, could overflow: the library's limit, in terms of the file."""
    limit = LARGEST[column.dtype.char]
    if column.max() > limit or column.min() < -limit:
        row = int(np.argmax(np.abs(column) > limit))
        raise ValueError(
            f"column {name!r} holds {column[row]} in row {_row_of_file(row, present)}, expected values of at most "
            f"{limit:g}: divide the column by a large number"
        )


def check_weights(name: str, weights: NDArray[np.float64], present: NDArray[np.bool_] | None) -> None:
    """Refuse weights that are negative, all zero, or too large to add up."""
    if weights.min() < 0.0:
        row = int(np.argmax(weights < 0.0))
        raise ValueError(
            f"column {name!r} holds {weights[row]:g} in row {_row_of_file(row, present)}, expected weights that are "
            "not negative: a row that should not count has the weight 0"
        )
    with np.errstate(over="ignore"):
        total = float(weights.sum())
    if total == 0.0:
        raise ValueError(f"column {name!r} holds 0 in every row, expected weights some of which are above zero")
    if not np.isfinite(total):
        raise ValueError(
            f"column {name!r} holds weights whose sum overflows: divide them by their largest, {weights.max():g}"
        )


def _row_of_file(row: int, present: NDArray[np.bool_] | None) -> int:
    """Number a row that is left as in the file, from 1."""
    return 1 + (row if present is None else int(np.flatnonzero(present)[row]))
