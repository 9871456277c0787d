"""Messages about a table that a command has read, and the places of its rows' results."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emix.cli import polars_reading
from emix.cli.outputs import say
from emix.cli.text_content import STANDARD_STREAM
from emix.cli.text_layout import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from numpy.typing import NDArray

    from emix.cli.long_tables import LongTable
    from emix.cli.tables import Table


def left_out(table: Table | LongTable, fate: str) -> list[str]:
    """Return words about columns of row numbers, and about rows without a value, which are left out."""
    return [*columns_left_out(table), *rows_left_out(table, fate)]


def columns_left_out(table: Table | LongTable) -> list[str]:
    """Return words about columns of row numbers."""
    if not table.row_numbers:
        return []
    first = table.row_numbers[0]
    columns = f"column {first!r}" if first else "the first column, which has no name,"
    if len(table.row_numbers) > 1:
        columns = f"columns {listed([repr(name) for name in table.row_numbers])}"
    holds = "holds row numbers and is" if len(table.row_numbers) == 1 else "hold row numbers and are"
    option = "--columns '\"\",...'" if not first else "--columns"
    return [f"{columns} {holds} left out: choose columns with {option} to use it as data"]


def rows_left_out(table: Table | LongTable, fate: str) -> list[str]:
    """Return words about rows without a value, as far as the rows have been read."""
    if table.n_rows is None or table.n_used is None or table.n_used == table.n_rows:
        return []
    return [f"{table.n_rows - table.n_used} of {table.n_rows} rows have no value in some column and {fate}"]


def warn_of(source: str, texts: Iterable[str]) -> None:
    """Print warnings about what a file holds."""
    for text in texts:
        name = "standard input" if source == STANDARD_STREAM else source
        say(f"emix: warning: {name}: {text}")


def in_place(columns: Mapping[str, NDArray[Any]], present: NDArray[np.bool_] | None) -> Mapping[str, Any]:
    """Move the results of the present rows to the places of these rows in the file; all other places are null."""
    if present is None:
        return columns
    polars = polars_reading.polars()
    places = polars.Series(np.cumsum(present) - 1).set(polars.Series(~present), None)
    return {name: polars.Series(name, values).gather(places) for name, values in columns.items()}


def digest_of(source: str) -> str:
    """Return the SHA-256 of a file on a disk; empty for anything else, which can be read only once."""
    if source == STANDARD_STREAM or not Path(source).is_file():
        return ""
    with open(source, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_title(source: str) -> str:
    """Return the name of a file without its folder, even if the name is not UTF-8."""
    return printable("standard input" if source == STANDARD_STREAM else Path(source).name)


def printable(text: str) -> str:
    """Return a text that may name files with the bytes that are not UTF-8 written out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
