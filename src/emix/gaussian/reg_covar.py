"""The parameter `reg_covar`: a number, or "auto", that says what an M-step adds to the variances."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

from emix.arguments import real_in_range
from emix.exceptions import shown

__all__ = ["RegCovar", "reg_covar_of", "ridge_of", "shown_ridge"]

RegCovar: TypeAlias = "float | Literal['auto']"
"""A number, in squared units of the data, or the ridge of kernel/mstep/ridge.pxi, which follows the columns' scales."""


def reg_covar_of(value: Any, caller: str) -> RegCovar:
    """Return what is added to variances: a number of at least 0, or "auto".

    Raises
    ------
    TypeError, ValueError
        If it is neither.
    """
    if not isinstance(value, str):
        return real_in_range("reg_covar", value, 0.0, caller=caller)
    if value == "auto":
        return "auto"
    raise ValueError(
        f"The 'reg_covar' parameter of {caller} must be 'auto' or a float in the range [0.0, inf). "
        f"Got {shown(value)} instead."
    )


def ridge_of(reg_covar: RegCovar) -> float:
    """Return the ridge as compiled code takes it: the number, or NaN for "auto"."""
    return math.nan if reg_covar == "auto" else reg_covar


def shown_ridge(reg_covar: RegCovar) -> str:
    """Write it as a user would: 1e-06, or 'auto'."""
    return repr(reg_covar) if isinstance(reg_covar, str) else f"{reg_covar:g}"
