"""Columns that number the rows: pandas and R write one, which a fit must not take for data."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

# pandas' to_csv and R's write.csv give the column no name; a reader that does not know it for what it is writes it
# again as "Unnamed: 0". pandas' to_parquet has a name of its own for it.
# Of these, a first column that counts the rows may be nothing else.
_COUNTING = re.compile(r"index|id|obs|row([ _]?(id|num|number|index))?", re.IGNORECASE)
_ROW_NAMES = re.compile(r"rownames|row\.names|row_names|Unnamed: 0(\.\d+)?|__index_level_0__")


def row_number_columns(frame: pl.DataFrame) -> list[str]:
    """Find the columns of a frame that hold row numbers, by their names and values.

    Numbers of some of the rows, in any order, are row numbers too: a table may be a part of another. A column named
    "index", or a first one named "id" or the like, has to count the rows, from 0 or 1: it may be something else.
    """
    return [name for j, name in enumerate(frame.columns) if _numbers_rows(frame[name], first=j == 0)]


def _numbers_rows(column: pl.Series, *, first: bool) -> bool:
    counting = column.name == "index" or (first and _COUNTING.fullmatch(column.name) is not None)
    if not (counting or (first and column.name == "") or _ROW_NAMES.fullmatch(column.name)):
        return False
    if not column.dtype.is_numeric() or column.null_count() or not len(column):
        return False
    numbers = column.cast(float).to_numpy()
    if counting:
        return bool(numbers[0] in (0.0, 1.0) and (numbers[1:] - numbers[:-1] == 1.0).all())
    return bool((numbers >= 0.0).all() and (numbers % 1.0 == 0.0).all()) and column.n_unique() == len(column)
