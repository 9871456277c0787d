"""Checks for values that no model could use. Errors name the column and the first bad row of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emix.rows.refusals import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray


def check_finite(name: str, column: NDArray[np.floating], first_row: int = 0) -> None:
    """Refuse infinite numbers. NaN is allowed: it is a missing value. `first_row` is the file's, counted from 0."""
    infinite = np.isinf(column)
    if infinite.any():
        row = int(infinite.argmax())
        raise ValueError(f"column {name!r} holds {column[row]} in row {first_row + row + 1}, expected finite numbers")


def find_missing(columns: Mapping[str, NDArray[np.floating]], *, drop: bool) -> NDArray[np.bool_] | None:
    """Return a mask of the rows that have a value in every column; None if all rows have.

    Raises
    ------
    ValueError
        If a value is missing and such rows are not to be dropped, or if no row would be left.
    """
    present = mask_of_present(columns)
    if present is not None and not drop:
        n_missing = int((~present).sum())
        raise missing_value(columns, int(present.argmin()), 0, f" ({n_missing} row{'s' * (n_missing != 1)} in all)")
    if present is not None and not present.any():
        raise no_row_is_whole(columns)
    return present


def mask_of_present(columns: Mapping[str, NDArray[np.floating]]) -> NDArray[np.bool_] | None:
    """Return a mask of the rows that have a value in every column; None if all rows have."""
    present: NDArray[np.bool_] | None = None
    for column in columns.values():
        missing = np.isnan(column)
        if missing.any():
            present = ~missing if present is None else present & ~missing
    return present


def missing_value(
    columns: Mapping[str, NDArray[np.floating]], row: int, first_row: int = 0, in_all: str = ""
) -> ValueError:
    """Return the error for a row without a value in some column; `first_row` is that of the columns in the file."""
    name = next(name for name, column in columns.items() if np.isnan(column[row]))
    return ValueError(
        f"column {name!r} has no value in row {first_row + row + 1}{in_all}: "
        "fill or remove such rows, or pass --missing drop"
    )


def no_row_is_whole(names: Iterable[str]) -> ValueError:
    """Return the error for a file in which every row lacks some value."""
    return ValueError(f"no row has a value in every column ({', '.join(names)}): choose others with --columns")


def check_size(name: str, column: NDArray[np.floating], present: NDArray[np.bool_] | None, first_row: int = 0) -> None:
    """Refuse values whose weighted squares could overflow when summed: the library's limit, with the file's names."""
    limit = LARGEST[column.dtype.char]
    if column.max() > limit or column.min() < -limit:
        row = int(np.argmax(np.abs(column) > limit))
        place = f"row {first_row + _row_of_file(row, present)}"
        raise ValueError(
            f"column {name!r} holds {column[row]} in {place}, expected values of at most {limit:g}: "
            "divide the column by a large number"
        )


def check_weights(name: str, weights: NDArray[np.float64], present: NDArray[np.bool_] | None) -> None:
    """Refuse weights that are negative, all zero, or too large to add up."""
    check_not_negative(name, weights, present)
    with np.errstate(over="ignore"):
        total = float(weights.sum())
    check_total(name, total, float(weights.max()))


def check_not_negative(
    name: str, weights: NDArray[np.float64], present: NDArray[np.bool_] | None, first_row: int = 0
) -> None:
    """Refuse negative weights."""
    if len(weights) and weights.min() < 0.0:
        row = int(np.argmax(weights < 0.0))
        raise ValueError(
            f"column {name!r} holds {weights[row]:g} in row {first_row + _row_of_file(row, present)}, expected weights "
            "that are not negative: a row that should not count has the weight 0"
        )


def check_total(name: str, total: float, largest: float) -> None:
    """Refuse weights that are all zero, or too large to add up."""
    if total == 0.0:
        raise ValueError(f"column {name!r} holds 0 in every row, expected weights some of which are above zero")
    if not np.isfinite(total):
        raise ValueError(
            f"column {name!r} holds weights whose sum overflows: divide them by their largest, {largest:g}"
        )


def _row_of_file(row: int, present: NDArray[np.bool_] | None) -> int:
    """Return the number, from 1, that a present row has in the file."""
    return 1 + (row if present is None else int(np.flatnonzero(present)[row]))
