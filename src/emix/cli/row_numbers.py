"""Columns that number the rows: pandas and R write one, which a fit must not take for data."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

# A first column with such a name holds row numbers only if it counts the rows.
_COUNTING = re.compile(r"index|id|obs|row([ _]?(id|num|number|index))?", re.IGNORECASE)
# pandas' to_csv and R's write.csv give the column no name. A program that reads it as data writes it again as
# "Unnamed: 0". pandas' to_parquet has a name of its own for it.
_ROW_NAMES = re.compile(r"rownames|row\.names|row_names|Unnamed: 0(\.\d+)?|__index_level_0__")


def row_number_columns(frame: pl.DataFrame) -> list[str]:
    """Find the columns of a frame that hold row numbers, by their names and values.

    Row numbers may have gaps and any order: a table may be a part of another. But a column named "index", or a first
    column named "id" or the like, must count the rows, from 0 or 1: otherwise it may be something else.
    """
    return [name for j, name in enumerate(frame.columns) if _numbers_rows(frame[name], first=j == 0)]


def suspects(names: Sequence[str]) -> dict[str, bool]:
    """Return the columns that hold row numbers by their names; True for those that would have to count the rows."""
    found = {name: _is_counting(name, first=j == 0) for j, name in enumerate(names)}
    return {name: bool(counting) for name, counting in found.items() if counting is not None}


class FollowedColumn:
    """Says if a column holds row numbers, of which a part is seen after the other.

    Parameters
    ----------
    counting : bool
        True if the numbers have to count the rows, from 0 or 1.
    """

    def __init__(self, counting: bool) -> None:
        self._counting, self._last, self._rises, self._fits = counting, -1.0, True, True

    def add(self, column: pl.Series) -> None:
        """Look at the next rows."""
        if not self._fits or not len(column):
            return
        if not column.dtype.is_numeric() or column.null_count():
            self._fits = False
            return
        numbers = column.cast(float).to_numpy()
        if self._counting:
            first = (0.0, 1.0) if self._last < 0.0 else (self._last + 1.0,)
            self._fits = bool(numbers[0] in first and (numbers[1:] - numbers[:-1] == 1.0).all())
        else:
            self._fits = bool((numbers >= 0.0).all() and (numbers % 1.0 == 0.0).all())
            self._rises &= bool(numbers[0] > self._last and (numbers[1:] > numbers[:-1]).all())
        self._last = float(numbers[-1])

    def answer(self) -> bool | None:
        """True or False; None if they are whole numbers that do not rise, of which some may be equal."""
        return True if self._fits and self._rises else None if self._fits else False


def _is_counting(name: str, *, first: bool) -> bool | None:
    """True if a column of this name holds row numbers if it counts the rows, False if with gaps; None if it is none."""
    if name == "index" or (first and _COUNTING.fullmatch(name) is not None):
        return True
    return False if (first and name == "") or _ROW_NAMES.fullmatch(name) else None


def _numbers_rows(column: pl.Series, *, first: bool) -> bool:
    counting = _is_counting(column.name, first=first)
    if counting is None:
        return False
    if not column.dtype.is_numeric() or column.null_count() or not len(column):
        return False
    numbers = column.cast(float).to_numpy()
    if counting:
        return bool(numbers[0] in (0.0, 1.0) and (numbers[1:] - numbers[:-1] == 1.0).all())
    return bool((numbers >= 0.0).all() and (numbers % 1.0 == 0.0).all()) and column.n_unique() == len(column)
