"""Long files, read a part after the other: text, Parquet and .npy, in memory that does not grow with their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from emix.cli import polars_reading
from emix.cli.csv_files import numbers_of
from emix.cli.npy_files import map_npy
from emix.cli.number_columns import numbers
from emix.cli.tables import as_identifiers
from emix.cli.text_blocks import TextBlocks
from emix.rows.npy import NpySource
from emix.rows.parquet_files import describe, record_batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    import polars as pl
    from numpy.typing import NDArray

    from emix.cli.text_content import TextContent
    from emix.cli.text_layout import Layout

# Rows of a part of a Parquet or .npy file: the columns of a batch of a fit.
_PART_ROWS = 1 << 16


class Part(NamedTuple):
    """Some rows of a file: each column as floats, NaN where there is no value, and one column as it is."""

    columns: dict[str, NDArray[np.floating]]
    n_rows: int
    carried: pl.Series | None = None


class FileParts(Protocol):
    """A file that can be read part by part, again and again.

    Attributes
    ----------
    names : sequence of str
        Of all its columns.
    is_slow : bool
        True if reading takes much longer than the numbers in binary would.
    """

    @property
    def names(self) -> Sequence[str]:
        """Names of all columns."""

    @property
    def is_slow(self) -> bool:
        """True if reading takes much longer than the numbers in binary would."""

    def parts(self, wanted: Sequence[str], carried: str | None = None) -> Iterator[Part]:
        """Hand out columns of all rows, in order."""

    def frames(self, wanted: Sequence[str], carried: str | None = None) -> Iterator[pl.DataFrame]:
        """Hand out columns as they are in the file."""

    def expected_rows(self, n_done: int) -> float | None:
        """Number of rows, as far as it can be told after `n_done` of them; None if it cannot."""


class FrameParts:
    """Base of files that polars makes frames of."""

    is_slow = False

    def frames(self, wanted: Sequence[str], carried: str | None = None) -> Iterator[pl.DataFrame]:
        """Hand out columns as they are in the file."""
        raise NotImplementedError

    def parts(self, wanted: Sequence[str], carried: str | None = None) -> Iterator[Part]:
        """Hand out columns of all rows, in order."""
        polars, first_row = polars_reading.polars(), 0
        for frame in self.frames(wanted, carried):
            identifiers = None if carried is None else as_identifiers(frame[carried])
            if identifiers is not None and identifiers.dtype == polars.String:
                frame = frame.with_columns(numbers_of(identifiers))  # for a column that is data too
            columns = {name: numbers(frame[name], frame, first_row).to_numpy() for name in wanted}
            yield Part(columns, frame.height, identifiers)
            first_row += frame.height


class TextParts(FrameParts):
    """A text file."""

    is_slow = True

    def __init__(self, content: TextContent, layout: Layout) -> None:
        self.names, self._blocks = layout.names, TextBlocks(content, layout)

    def frames(self, wanted: Sequence[str], carried: str | None = None) -> Iterator[pl.DataFrame]:
        """Hand out columns as they are in the file, numbers as such."""
        return self._blocks.frames(wanted, carried)

    def expected_rows(self, n_done: int) -> float | None:
        """Number of rows by the share of the bytes that is read, which runs ahead a little."""
        return n_done / self._blocks.share_read if n_done else None


class ParquetParts(FrameParts):
    """A Parquet file, read by PyArrow."""

    def __init__(self, path: str) -> None:
        self._file = describe(path)
        self.names, self.n_rows = self._file.names, self._file.n_rows

    def frames(self, wanted: Sequence[str], carried: str | None = None) -> Iterator[pl.DataFrame]:
        """Hand out columns as they are in the file."""
        polars = polars_reading.polars()
        for batch in record_batches(self._file, [*wanted, *([] if carried is None else [carried])], _PART_ROWS):
            yield polars.from_arrow(batch)

    def expected_rows(self, n_done: int) -> float:
        """Number of rows, which the file's footer tells."""
        return self.n_rows


class NpyParts:
    """A .npy file, whose columns are called x0, x1, …"""

    is_slow = False

    def __init__(self, path: str) -> None:
        map_npy(path, None, None)  # in the shell's words it refuses what the source would refuse in the library's
        self._source = NpySource([path])
        self.n_rows = self._source.n_rows
        self.names = tuple(f"x{j}" for j in range(self._source.n_features))

    def frames(self, wanted: Sequence[str], carried: str | None = None) -> Iterator[pl.DataFrame]:
        """Not needed: no column of a .npy file has a name of row numbers."""
        raise NotImplementedError

    def parts(self, wanted: Sequence[str], carried: str | None = None) -> Iterator[Part]:
        """Hand out columns of all rows, in order."""
        source, at = self._source, {name: self.names.index(name) for name in wanted}
        for piece in source.pieces(_PART_ROWS):
            for first in range(0, piece.n_rows, _PART_ROWS):
                count = min(_PART_ROWS, piece.n_rows - first)
                X: NDArray[Any] = np.empty((count, source.n_features), source.dtype, order=piece.layout.order)
                piece.put(first, X, None)
                yield Part({name: X[:, j] for name, j in at.items()}, count)

    def expected_rows(self, n_done: int) -> float:
        """Number of rows, which the file's header tells."""
        return self.n_rows
