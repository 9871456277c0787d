"""Checks of arguments that are a number or a name, in the words of scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import shown

__all__ = [
    "check_finite",
    "choice_of",
    "counted",
    "did_you_mean",
    "element_of",
    "first_not_finite",
    "integer_in_range",
    "real_in_range",
]


def counted(number: int, noun: str) -> str:
    """Return a number of things for a message: "1 component", "3 components".

    Examples
    --------
    >>> counted(1, "component"), counted(0, "row")
    ('1 component', '0 rows')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def integer_in_range(name: str, value: Any, lowest: int, *, caller: str) -> int:
    """Return a parameter as an int of at least `lowest`.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is too small.
    """
    if type(value) is int and value >= lowest:
        return value
    # operator.index would let True through as 1.
    an_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not an_integer or value < lowest:
        message = (
            f"The {name!r} parameter of {caller} must be an int in the range [{lowest}, inf). "
            f"Got {shown(value)} instead."
        )
        raise (ValueError if an_integer else TypeError)(message)
    return int(value)


def real_in_range(name: str, value: Any, lowest: float, *, caller: str) -> float:
    """Return a parameter as a finite float of at least `lowest`.

    Raises
    ------
    TypeError
        If it is not a number.
    ValueError
        If it is too small or not finite.
    """
    if type(value) is float and lowest <= value < math.inf:
        return value
    a_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not a_number or not lowest <= _as_float(value) < math.inf:
        message = (
            f"The {name!r} parameter of {caller} must be a float in the range [{lowest:.1f}, inf). "
            f"Got {shown(value)} instead."
        )
        raise (ValueError if a_number else TypeError)(message)
    return float(value)


def _as_float(value: Any) -> float:
    """Return a number as a float; an int beyond the largest float becomes infinity."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def choice_of(name: str, value: Any, choices: Collection[str], caller: str) -> str:
    """Return a parameter that is one of several names.

    Raises
    ------
    ValueError
        If it is none of them; the message lists them.
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"The {name!r} parameter of {caller} must be a str among {_set_of(choices)}. Got {shown(value)} instead."
            + did_you_mean(value, choices)
        )
    return value


def did_you_mean(value: Any, choices: Iterable[str]) -> str:
    """Return a sentence that suggests the nearest of the names, empty if none is near."""
    if not isinstance(value, str):
        return ""
    import difflib  # an error only

    of_lower = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(value.lower()[:100], of_lower, n=1)
    return f" Did you mean {of_lower[found[0]]!r}?" if found else ""


def _set_of(choices: Collection[str]) -> str:
    return "{" + ", ".join(repr(choice) for choice in sorted(choices)) + "}"


def first_not_finite(found: NDArray[Any]) -> tuple[int, ...] | None:
    """Return the place of the first NaN or infinity, None if there is none."""
    finite = np.isfinite(found)
    if finite.all():
        return None
    return tuple(int(i) for i in np.unravel_index(int(finite.argmin()), found.shape))


def check_finite(found: NDArray[Any], argument: str) -> None:
    """Refuse NaN and infinities.

    Raises
    ------
    ValueError
        If there is one; the message names it.
    """
    place = first_not_finite(found)
    if place is not None:
        raise ValueError(f"{element_of(argument, place)} is {found[place]}, expected finite numbers.")


def element_of(argument: str, place: tuple[Any, ...]) -> str:
    """Return the name of an array's element for messages."""
    return f"{argument}[{', '.join(str(int(i)) for i in place)}]"
