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
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from emix.cli.tables import Table


def left_out(table: Table, fate: str) -> list[str]:
    """Return words about columns of row numbers, and about rows without a value, which are left out."""
    said = []
    if table.row_numbers:
        first = table.row_numbers[0]
        columns = f"column {first!r}" if first else "the first column, which has no name,"
        if len(table.row_numbers) > 1:
            columns = f"columns {listed([repr(name) for name in table.row_numbers])}"
        holds = "holds row numbers and is" if len(table.row_numbers) == 1 else "hold row numbers and are"
        option = "--columns '\"\",...'" if not first else "--columns"
        said.append(f"{columns} {holds} left out: choose columns with {option} to use it as data")
    if table.present is not None:
        n_rows = len(table.present)
        n_missing = n_rows - int(table.present.sum())
        said.append(f"{n_missing} of {n_rows} rows have no value in some column and {fate}")
    return said


def say_what_is_left_out(source: str, table: Table, fate: str) -> None:
    """Print a warning about columns of row numbers, and about rows without a value, which are left out."""
    for text in left_out(table, fate):
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
