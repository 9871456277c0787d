"""CSV files and similar texts, read by polars; errors for files that polars refuses or would change.

Polars renames a repeated column, replaces bytes that are no UTF-8 in a header, takes an empty line for a row, and
speaks of schemas. So this module reads the first lines before polars does, and rewrites lines that polars would
misread. A file that polars cannot read is read again, slowly, to name the line.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from emix.cli import polars_reading
from emix.cli.text_content import TextContent
from emix.cli.text_layout import BLANKS, MISSING, counts, find_layout, records, with_tabs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import Any

    import polars as pl

    from emix.cli.text_layout import Layout

_CHUNK = 1 << 20


def load_csv(
    source: str,
    *,
    header: bool,
    separator: str | None,
    likely: str | None = ",",
    wanted: Collection[str] = (),
    carried: str | None = None,
) -> pl.DataFrame:
    """Read a text file of columns, or standard input ("-"), plain or compressed by gzip, with polars' column types.

    Parameters
    ----------
    source : str
        A path, or "-".
    header : bool
        True if a line names the columns; otherwise their names are x0, x1, …
    separator : str or None
        The character between columns; a blank stands for any number of blanks. None to find it.
    likely : str or None, default=","
        The separator, unless only another one gives a rectangle of numbers.
    wanted : collection of str, optional
        The columns that must be numbers, by default all.
    carried : str, optional
        A column that is read as texts, each as it stands in the file.

    Returns
    -------
    polars.DataFrame
        Null where there is no value. Texts have no blanks around them; a column of numbers is never text.

    Raises
    ------
    ValueError
        If it is no table in UTF-8 with this separator, or its first line is no header, or has a name twice.
    OSError
        If it cannot be read.
    """
    polars = polars_reading.polars()
    content = TextContent(source)
    layout = find_layout(content, header=header, separator=separator, likely=likely, wanted=wanted)
    rewritten = layout.separator == BLANKS or layout.names_are_apart or _has_lines_that_do_not_count(content)

    def read(**how: Any) -> pl.DataFrame:
        with _for_polars(content, layout) if rewritten else content.open() as stream:
            return polars_reading.read(
                polars.read_csv,
                stream,
                has_header=layout.n_header_lines > 0 and not rewritten,
                separator="\t" if layout.separator == BLANKS else layout.separator,
                raise_if_empty=False,
                **how,
            )

    try:
        # All rows decide a column's type: a fraction in row 10 000 is not an error.
        frame = read(null_values=list(MISSING), infer_schema_length=None)
    except ValueError:
        find_fault(content, layout)
        raise
    if frame.width > len(layout.names):  # without a header polars widens the table for the longest line
        find_fault(content, layout)
    if not frame.width:  # names, but no row
        empty: pl.DataFrame = polars.DataFrame({name: [] for name in layout.names})
        return empty
    if frame.width != len(layout.names):
        raise ValueError(f"cannot be read: {frame.width} columns, but {len(layout.names)} names")
    frame.columns = list(layout.names)
    frame = frame.with_columns(numbers_of(column) for column in frame if column.dtype == polars.String)
    if carried in layout.names:
        # Read as a number, 007 would become 7; and NA may be a name.
        texts = read(columns=[layout.names.index(carried)], infer_schema_length=0).to_series()
        frame = frame.with_columns(texts.alias(carried))
    return frame


def _has_lines_that_do_not_count(content: TextContent) -> bool:
    """True if there may be comments or blank lines, which polars would take for rows."""
    before = b"\n"
    with content.open() as stream:
        while chunk := stream.read(_CHUNK):
            if may_not_count(chunk, before):
                return True
            before = chunk[-1:]
    return False


def may_not_count(text: bytes, before: bytes = b"\n") -> bool:
    """True if there may be comments or blank lines in a part of a text; `before` is the byte before it."""
    codes = np.frombuffer(before + text, dtype=np.uint8)
    # Lines that begin with a blank or are empty. NumPy finds them in a quarter of the time of bytes.find.
    blank_begins = (codes[:-1] == ord("\n")) & (codes[1:] <= ord(" "))
    return b"#" in text or bool(blank_begins.any())


def _for_polars(content: TextContent, layout: Layout) -> io.BytesIO:
    """Return the rows in a form that polars reads: no header, no comments, no empty lines, one tab for blanks."""
    return io.BytesIO("".join(rows_that_count(content.lines(), layout)).encode())


def rows_that_count(lines: Iterable[tuple[int, str]], layout: Layout) -> Iterator[str]:
    """Yield the rows of a file as polars reads them: no header, no comments, no empty lines, one tab for blanks.

    `lines` are those of the file, with their numbers, from the first on.
    """
    n_header_lines = layout.n_header_lines
    n_empty = 0
    for _, line in lines:
        if not counts(line):
            # In a single column an empty line between others is a row without a value.
            n_empty += len(layout.names) == 1 and n_header_lines == 0 and not line.strip()
        elif n_header_lines:
            n_header_lines -= 1
        else:
            yield "NA\n" * n_empty
            yield with_tabs(line) + "\n" if layout.separator == BLANKS else line
            n_empty = 0


def find_fault(content: TextContent, layout: Layout) -> None:
    """Raise for the first line that is no CSV, or has more values than there are names."""
    for number, _, record in records(content.lines(), layout.separator):
        if len(record) > len(layout.names):
            has = f"names {len(layout.names)} columns" if layout.n_header_lines else f"has {len(layout.names)}"
            raise ValueError(f"line {number} has {len(record)} values, but the first line {has}")


def numbers_of(texts: pl.Series) -> pl.Series:
    """Read numbers that are texts, as polars leaves those with a plus sign, or with blanks around them."""
    polars = polars_reading.polars()
    # polars takes a quotation mark after a blank for a part of the text.
    bare = texts.str.strip_chars(' \t\r"')
    values = bare.set(bare.is_in(MISSING), None)
    numbers = values.cast(polars.Float64, strict=False)
    return numbers if numbers.null_count() == values.null_count() < len(values) else values
