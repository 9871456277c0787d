"""Checks of probabilities that are arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from emix.arguments import element_of
from emix.rows.conversion import as_numbers

__all__ = ["as_probabilities"]


def as_probabilities(name: str, values: Any, *, open_interval: bool = False) -> npt.NDArray[np.float64]:
    """Return probabilities as float64, of any shape.

    Parameters
    ----------
    name : str
        The argument's name in messages.
    values : array_like
    open_interval : bool
        Refuse 0 and 1 too.

    Raises
    ------
    ValueError
        If one is not from 0 to 1.
    """
    found = as_numbers(values, name).astype(np.float64)
    good = (found > 0.0) & (found < 1.0) if open_interval else (found >= 0.0) & (found <= 1.0)
    if not good.all():
        place = np.unravel_index(int(good.argmin()), found.shape)
        which = element_of(name, place) if found.ndim else name
        expected = "between 0 and 1, without these" if open_interval else "from 0 to 1"
        raise ValueError(f"{which} is {found[place]:g}, expected a probability {expected}.")
    return found
