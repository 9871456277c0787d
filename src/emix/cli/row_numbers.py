"""Columns that number the rows: pandas and R write one, which a fit must not take for data."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
