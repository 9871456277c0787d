"""Types of the command's options: they read a text, or say what was expected."""

from __future__ import annotations

import argparse
import csv
import math

from emix.choice.request import nearest_name
from emix.gaussian.structures import NAMES

__all__ = [
    "count",
    "count_from_zero",
    "counts",
    "covariances",
    "names",
    "nonnegative",
    "reg_covar",
    "seed",
    "separator",
]

# Numbers of components in one range: more is a slip of the pen.
_MOST_COUNTS = 1000


def names(text: str) -> list[str]:
    """Read names separated by commas."""
    # A name that holds a comma is quoted, as in the CSV file itself. A column without a name is written "".
    found = [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]
    if not found or ("" in found and '""' not in text):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name, expected names separated by commas")
    return found


def separator(text: str) -> str:
    """Read the character that separates columns: itself, or its name."""
    character = {"tab": "\t", "\\t": "\t", "blank": " ", "blanks": " "}.get(text.lower(), text)
    # polars separates by one byte. Letters, digits, points and signs are parts of numbers; quotation marks, of texts.
    if len(character) != 1 or not character.isascii() or character.isalnum() or character in "\n\r\"'.+-_":
        raise argparse.ArgumentTypeError(f"{text!r}, expected one character, such as ';' or tab")
    return character


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    return _whole_number(text, 1)


def count_from_zero(text: str) -> int:
    """Read a whole number of at least 0."""
    return _whole_number(text, 0)


def counts(text: str) -> list[int]:
    """Read numbers of components: 2, 1-9, or 2,3,5-7."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not all(number.isdecimal() and int(number) >= 1 for number in ((first, last) if dash else (first,))):
            raise argparse.ArgumentTypeError(
                f"{text!r}, expected a whole number of at least 1, a range such as 1-9, or several, such as 2,3,5"
            )
        numbers = range(int(first), int(last or first) + 1)
        if not 0 < len(numbers) <= _MOST_COUNTS:
            expected = f"at most {_MOST_COUNTS} numbers" if numbers else f"{last}-{first}"
            raise argparse.ArgumentTypeError(f"{text!r}, expected a range from the smaller to the larger: {expected}")
        found += numbers
    if len(set(found)) < len(found):
        twice = next(number for number in found if found.count(number) > 1)
        raise argparse.ArgumentTypeError(f"{text!r} has {twice} more than once, expected each number once")
    return found


def covariances(text: str) -> str | list[str]:
    """Read names of structures: one, several, or all. E and V, of data in one column, are checked with the data."""
    known = (*NAMES, "E", "V")
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known and text != "all":
            near = nearest_name(name, (*NAMES, "all"))
            hint = f"; did you mean {near}?" if near else ""
            choices = ", ".join(("all", *NAMES))
            raise argparse.ArgumentTypeError(f"invalid choice: {name!r} (choose from {choices}){hint}")
    return names[0] if len(names) == 1 else names


def seed(text: str) -> int:
    """Read a whole number below 2³²."""
    return _whole_number(text, 0, 2**32 - 1)


def _whole_number(text: str, least: int, most: int | None = None) -> int:
    if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
        expected = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number {expected}")
    return int(text)


def nonnegative(text: str) -> float:
    """Read a number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0.0):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number of at least 0")
    return value


def reg_covar(text: str) -> float | str:
    """Read auto, or a number of at least 0."""
    if text == "auto":
        return text
    try:
        return nonnegative(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected auto or a number of at least 0") from None
