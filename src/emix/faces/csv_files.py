"""CSV files through polars, and what is wrong with those that polars refuses or would change silently.

Polars renames a repeated column, replaces bytes that are no UTF-8 in a header, and speaks of schemas. So the header is
read here first, and a file that cannot be read is read again, slowly, for the line to name.
"""

from __future__ import annotations

import csv
import io
import sys
from typing import TYPE_CHECKING

from emix.faces.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    import polars as pl

STANDARD_STREAM = "-"
# What R, pandas and spreadsheets write for "no value".
_MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"]
_OTHER_SEPARATORS = {";": "';'", "\t": "tab", "|": "'|'", ",": "','"}


def load_csv(source: str, *, header: bool, separator: str) -> pl.DataFrame:
    """Read a CSV file, or CSV on standard input ("-"), as polars types its columns.

    Parameters
    ----------
    source : str
        A path, or "-".
    header : bool
        Whether the first line names the columns; otherwise they are x0, x1, …
    separator : str
        One character.

    Raises
    ------
    ValueError
        If it is no CSV in UTF-8 with this separator, or its first line is not the header, or has a name twice.
    """
    polars = require("polars", "cli", "reading CSV and Parquet files")
    content = _Content(source)
    with content.open() as stream:
        records = _records(stream, separator, strict=False)
        first = next(records, (1, []))[1]
        second = next(records, (2, []))[1]
    if not first:
        raise ValueError("the file is empty")
    _check_separator(first, second, separator)
    if header:
        _check_header(first)
    try:
        frame: pl.DataFrame = polars.read_csv(
            content.for_polars,
            has_header=header,
            separator=separator,
            null_values=_MISSING,
            # All rows decide a column's type: a fraction in row 10 000 is not an error.
            infer_schema_length=None,
        )
    except polars.exceptions.PolarsError as error:
        with content.open() as stream:
            _find_fault(stream, len(first), separator, header=header)
        first_line = str(error).strip().partition("\n")[0]
        raise ValueError(f"cannot be read: {first_line or type(error).__name__}") from error
    if frame.width > len(first):  # without a header polars widens the table for the longest line
        with content.open() as stream:
            _find_fault(stream, len(first), separator, header=header)
    return frame if header else frame.rename({name: f"x{j}" for j, name in enumerate(frame.columns)})


class _Content:
    """The bytes of a file, or of standard input, which can be read only once and so is kept."""

    def __init__(self, source: str) -> None:
        self.for_polars: str | bytes = sys.stdin.buffer.read() if source == STANDARD_STREAM else source

    def open(self) -> BinaryIO:
        return io.BytesIO(self.for_polars) if isinstance(self.for_polars, bytes) else open(self.for_polars, "rb")


def _records(stream: BinaryIO, separator: str, *, strict: bool = True) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not empty, each with the number of its last line, from 1.

    Raises
    ------
    ValueError
        At a line that is not UTF-8, or, if strict, whose quotation marks are not CSV's.
    """
    reader = csv.reader(_decoded(stream), delimiter=separator, strict=strict)
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = "a quotation mark is not closed" if "unexpected end" in str(error) else str(error)
            raise ValueError(f"line {reader.line_num}: {reason}") from error
        if record:
            yield reader.line_num, record


def _decoded(stream: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"line {number} is not UTF-8 (byte 0x{line[error.start]:02x} after {error.start} others): "
                "save the file in that encoding"
            ) from error


def _check_separator(first: Sequence[str], second: Sequence[str], separator: str) -> None:
    """Refuse lines that are one value for this separator, and as many for both with another."""
    if len(first) != 1 or not second:
        return
    rest = separator.join(second)  # a decimal comma parts what a semicolon would not
    for other, name in _OTHER_SEPARATORS.items():
        if other != separator and first[0].count(other) == rest.count(other) > 0:
            raise ValueError(
                f"the first line is one value, {first[0]!r}: if {name} separates the columns, pass --separator {name}"
            )


def _check_header(names: Sequence[str]) -> None:
    """Refuse a first line that is a row of data, and names that are there twice."""
    if all(_is_number(name) for name in names):
        raise ValueError(
            f"the first line holds numbers ({listed(names)}), expected column names: "
            "pass --no-header if it is a row of data"
        )
    for j, name in enumerate(names):
        if name in names[:j]:
            raise ValueError(
                f"columns {names.index(name) + 1} and {j + 1} have the same name, {name!r}: give each its own"
            )


def _find_fault(stream: BinaryIO, n_columns: int, separator: str, *, header: bool) -> None:
    """Raise for the first line that is no CSV, or has more values than the first."""
    for number, record in _records(stream, separator):
        if len(record) > n_columns:
            has = f"names {n_columns} columns" if header else f"has {n_columns}"
            raise ValueError(f"line {number} has {len(record)} values, but the first line {has}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def listed(names: Sequence[str]) -> str:
    """Write names one after the other, as many as a message can hold."""
    shown = ", ".join(map(str, names[:12])) or "none"
    return shown + (f", … ({len(names)} in all)" if len(names) > 12 else "")
