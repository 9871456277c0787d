"""Long text files, read by polars in blocks of whole lines: as csv_files.py reads a short one, in constant memory."""

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING

from emix.cli import polars_reading
from emix.cli.csv_files import find_fault, may_not_count, numbers_of, rows_that_count
from emix.cli.text_content import LONGEST_LINE
from emix.cli.text_layout import BLANKS, MISSING, counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, BinaryIO

    import polars as pl

    from emix.cli.text_content import TextContent
    from emix.cli.text_layout import Layout

# Bytes of text that are parsed at a time. Each call of polars takes some hundred µs, and four times as much memory.
BLOCK_BYTES = 1 << 22


class TextBlocks:
    """The rows of a text file, a frame of some rows after the other.

    Parameters
    ----------
    content : TextContent
    layout : Layout

    Attributes
    ----------
    share_read : float
        Part of the file's bytes that the pass has read that goes on, or went last.
    """

    def __init__(self, content: TextContent, layout: Layout) -> None:
        self.content, self.layout = content, layout
        self.share_read = 0.0

    def frames(self, wanted: Sequence[str], carried: str | None = None) -> Iterator[pl.DataFrame]:
        """Hand out all rows in order.

        Parameters
        ----------
        wanted : sequence of str
            The columns that should be numbers; null where there is no value.
        carried : str, optional
            One more column that is read as texts, each as it stands in the file.

        Raises
        ------
        ValueError
            If the file is no table in UTF-8 to its end.
        """
        for text in self._blocks():
            yield self._frame(text, wanted, carried)

    def _blocks(self) -> Iterator[bytes]:
        """Parts of the text: rows alone, each whole."""
        with self.content.open() as stream:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            if self.layout.separator == BLANKS or len(self.layout.names) == 1:
                yield from self._rewritten(stream, size)
                return
            n_header_lines = self.layout.n_header_lines
            for block in _whole_records(self._that_count(stream, size)):
                rows = block
                while n_header_lines and rows:
                    _, _, rows = rows.partition(b"\n")
                    n_header_lines -= 1
                if rows:
                    yield rows

    def _that_count(self, stream: BinaryIO, size: int) -> Iterator[bytes]:
        """Whole lines of a text without comments and empty lines."""
        for lines in _whole_lines(stream):
            self.share_read = stream.tell() / size
            if may_not_count(lines):
                yield b"".join(line for line in io.BytesIO(lines) if counts(self._decoded(line)))
            else:
                yield lines

    def _rewritten(self, stream: BinaryIO, size: int) -> Iterator[bytes]:
        """Parts of a text with blanks between values, or in one column: line by line."""
        held: list[str] = []
        n_held = n_read = 0

        def lines() -> Iterator[tuple[int, str]]:
            nonlocal n_read
            for numbered in self.content.lines():
                n_read += len(numbered[1])
                yield numbered

        # Lines are counted as they stand in the file: a row may be a small part of its line, and comments are none.
        for row in rows_that_count(lines(), self.layout):
            held.append(row)
            n_held += len(row)
            if n_held >= BLOCK_BYTES and row.endswith("\n"):
                self.share_read = min(1.0, n_read / size)
                yield "".join(held).encode()
                held, n_held = [], 0
        self.share_read = 1.0
        if held:
            yield "".join(held).encode()

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError:
            find_fault(self.content, self.layout)  # raises, with the number of the line
            raise

    def _frame(self, text: bytes, wanted: Sequence[str], carried: str | None) -> pl.DataFrame:
        polars, names = polars_reading.polars(), self.layout.names
        separator = "\t" if self.layout.separator == BLANKS else self.layout.separator

        def read(**how: Any) -> pl.DataFrame:
            return polars_reading.read(
                polars.read_csv, io.BytesIO(text), has_header=False, separator=separator, raise_if_empty=False, **how
            )

        try:
            frame = self._numbers(read, wanted)
        except ValueError:
            find_fault(self.content, self.layout)
            raise
        if carried is not None:
            # Read as a number, 007 would become 7; and NA may be a name.
            texts = read(columns=[names.index(carried)], infer_schema_length=0).to_series()
            frame = frame.with_columns(texts.alias(carried))
        return frame

    def _numbers(self, read: Callable[..., pl.DataFrame], wanted: Sequence[str]) -> pl.DataFrame:
        polars, names = polars_reading.polars(), self.layout.names
        at = sorted(names.index(name) for name in wanted)
        kinds = {f"column_{j + 1}": polars.Float64 if j in at else polars.String for j in range(len(names))}
        try:
            # A guess that saves polars a look at the whole block, and is right where all values are plain numbers. The
            # other columns are read too: without them, polars would not mind a line that is too long.
            frame = read(null_values=list(MISSING), schema=kinds)
        except ValueError:
            frame = read(null_values=list(MISSING), infer_schema_length=None)
            if frame.width != len(names):
                find_fault(self.content, self.layout)
                raise ValueError(f"cannot be read: {frame.width} columns, but {len(names)} names") from None
        frame = frame[:, at]
        frame.columns = [names[j] for j in at]
        return frame.with_columns(numbers_of(column) for column in frame if column.dtype == polars.String)


def _whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Parts of a text that end with a line.

    Raises
    ------
    ValueError
        If no line ends for too long.
    """
    rest = stream.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8)
    while chunk := stream.read(BLOCK_BYTES):
        text = rest + chunk
        end = text.rfind(b"\n") + 1
        if end:
            yield text[:end]
        rest = text[end:]
        if len(rest) > LONGEST_LINE:
            raise ValueError(f"no line ends within {LONGEST_LINE >> 20} MiB: not a table")
    if rest:
        yield rest


def _whole_records(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Join and part blocks of lines so that none ends within quotation marks, where a line's end is part of a value.

    Raises
    ------
    ValueError
        If a quotation mark is not closed for too long.
    """
    rest = b""
    for block in blocks:
        text = rest + block
        end = len(text)
        while end and text.count(b'"', 0, end) % 2:
            # The last mark opens a value, or closes one that began in another line.
            end = text.rfind(b"\n", 0, text.rfind(b'"', 0, end)) + 1
        if end:
            yield text[:end]
        rest = text[end:]
        if len(rest) > LONGEST_LINE:
            raise ValueError(f"no quotation mark closes within {LONGEST_LINE >> 20} MiB: not a table")
    if rest:
        yield rest
