"""Values and weights that no fit can take: which is the first, and the words in which it is refused.

Arrays and sources that come batch by batch are refused in the same words, with the row's number in the whole.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.kernel import values
from emix.rows.conversion import called

__all__ = [
    "LARGEST",
    "BadValue",
    "check_total_weight",
    "first_bad_value",
    "first_bad_weight",
    "first_value",
    "refusal_of_value",
    "refusal_of_weight",
]

# The square of a difference of two such values, summed over any number of features, is far from overflow, and so is
# its product with a weight (kernel/shared/limits.pxi).
LARGEST = {"d": values.largest_double, "f": values.largest_single}

# A boolean of this many values is the largest temporary of the search for the first value that is not finite.
_SEARCH = 1 << 18


class BadValue(NamedTuple):
    """A value of the rows that no fit can take: not finite, or too large."""

    row: int
    column: int
    value: float


def first_bad_value(rows: NDArray[Any], *, to_fit: bool = True) -> BadValue | None:
    """Return the first value, in order of rows, that is not finite or, `to_fit`, beyond `LARGEST`; None without one."""
    kind = rows.dtype.char
    largest = LARGEST[kind] if to_fit else float(np.finfo(rows.dtype).max)
    if rows.size == 0 or values.within(rows, kind == "f", largest):
        return None
    return first_value(rows, lambda block: ~(np.abs(block) <= largest))


def refusal_of_value(bad: BadValue, kind: str, names: Any, *, name: str) -> str:
    """Return the message for a value that is not finite or too large.

    Parameters
    ----------
    bad : BadValue
    kind : {"d", "f"}
        The dtype of the rows.
    names : sequence or None
        The columns' names.
    name : str
        The argument's name.
    """
    place = f"row {bad.row}, column {bad.column}{called(bad.column, names)}"
    if not math.isfinite(bad.value):
        found = _kind(bad.value)
        remedy = "Leave out rows with missing values or fill them in first" if found == "NaN" else "Leave out such rows"
        return f"Input {name} contains {found}: the first is in {place}. Expected finite numbers. {remedy}."
    remedy = "Divide the column by a large number"
    if kind == "f":
        remedy += f", or pass float64, which may go to {LARGEST['d']:g}"
    return (
        f"Input {name} contains a value too large to fit: {bad.value} in {place}. Expected absolute values of at most "
        f"{LARGEST[kind]:g} in {np.dtype(kind)}. {remedy}."
    )


def first_value(rows: NDArray[Any], is_bad: Any) -> BadValue:
    """Return the first bad value, in order of rows, looking at a few rows at a time."""
    step = max(1, _SEARCH // rows.shape[1])
    for start in range(0, rows.shape[0], step):
        bad = is_bad(rows[start : start + step])
        if bad.any():
            row, column = divmod(int(bad.argmax()), rows.shape[1])
            return BadValue(start + row, column, rows[start + row, column])
    raise AssertionError("the caller has found a bad value")


def first_bad_weight(weight: NDArray[np.float64]) -> int | None:
    """Return the first row whose weight is negative or not finite, None if there is none."""
    good = np.isfinite(weight) & (weight >= 0)
    return None if good.all() else int(good.argmin())


def refusal_of_weight(value: float, row: int, name: str) -> str:
    """Return the message for a weight that is negative or not finite."""
    remedy = "give a row that should not count the weight 0."
    if math.isfinite(value):
        return f"Negative values in {name}: {value:g} in row {row}. Expected weights that are not negative: {remedy}"
    return f"Input {name} contains {_kind(value)} in row {row}. Expected finite, non-negative weights: {remedy}"


def check_total_weight(
    total: float, largest: float, n_samples: int, name: str, argument: str = "sample_weight"
) -> None:
    """Refuse weights that are all zero, or whose sum is too large for float64.

    Raises
    ------
    ValueError
        With the name of the weights, and of the argument that would leave them out.
    """
    if math.isinf(total):
        raise ValueError(f"{name} has a sum that overflows: divide the weights by their largest, {largest:g}.")
    if total == 0:
        raise ValueError(
            f"Sample weights must contain at least one non-zero number: all {n_samples} values of {name} are zero. "
            f"Pass {argument}=None to weight all rows alike."
        )


def _kind(value: Any) -> str:
    if math.isnan(value):
        return "NaN"
    return "infinity" if value > 0 else "-infinity"
