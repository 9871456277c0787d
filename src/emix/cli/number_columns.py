"""Columns of a frame as numbers, or an error that says why they are none."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from emix.cli import polars_reading
from emix.cli.text_layout import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

_DECIMAL_COMMA = re.compile(r"\s*[-+]?[0-9]+,[0-9]+\s*")


def numbers(series: pl.Series, frame: pl.DataFrame, first_row: int = 0) -> pl.Series:
    """Return a column of a frame as float64, or as float32 if it has that type; NaN where it has no value.

    `first_row` is the number of the frame's first row in the file, from 0.

    Raises
    ------
    ValueError
        If it holds anything but numbers; the message names the columns of the frame that hold numbers.
    """
    polars = polars_reading.polars()
    empty = series.null_count() == len(series)
    if not (empty or series.dtype.is_numeric() or series.dtype == polars.Boolean):
        # For texts, name the first that is no number: it may be the only one. Of dates and lists, none is a number.
        texts = series.dtype == polars.String
        odd: Sequence[int] = (
            (series.is_not_null() & series.cast(polars.Float64, strict=False).is_null()).arg_true().to_list()
            if texts
            else []
        )
        row = odd[0] if odd else series.is_not_null().arg_max() or 0
        found = f"column {series.name!r} holds {series[row]!r} in row {first_row + row + 1}"
        if texts and _DECIMAL_COMMA.fullmatch(series[row]):
            raise ValueError(f"{found}: write decimals with a point")
        numeric = [name for name in frame.columns if frame[name].dtype.is_numeric()]
        raise ValueError(f"{found}, expected numbers: choose columns with --columns (numeric: {listed(numeric)})")
    if empty:
        column: pl.Series = polars.Series(series.name, [math.nan] * len(series), polars.Float64)
        return column
    column = series.cast(polars.Float32 if series.dtype == polars.Float32 else polars.Float64)
    return column.fill_null(math.nan)
