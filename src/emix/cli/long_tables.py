"""Tables that are read block by block, because their numbers would fill much memory; tables.py reads all others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emix.cli.file_parts import NpyParts, ParquetParts, TextParts
from emix.cli.npy_files import map_npy
from emix.cli.outputs import say
from emix.cli.row_numbers import FollowedColumn, suspects
from emix.cli.table_checks import (
    check_finite,
    check_not_negative,
    check_size,
    mask_of_present,
    missing_value,
    no_row_is_whole,
)
from emix.cli.tables import check_request, chosen_columns, likely_separator
from emix.cli.text_content import STANDARD_STREAM, TextContent
from emix.cli.text_layout import find_layout
from emix.rows.refusals import first_bad_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl
    from numpy.typing import NDArray

    from emix.cli.file_parts import FileParts, Part

# Files from this size on are read block by block: of text by its bytes, of Parquet by the bytes of its numbers in
# memory. A shorter one is read whole: an array takes all shortcuts.
LONG_BYTES = 32 << 20

_GZIP = b"\x1f\x8b"


class Block(NamedTuple):
    """Rows of a file that follow one another.

    Attributes
    ----------
    n_rows : int
        Number of rows of the file.
    X : ndarray of shape (n_used, n_features), float64 or float32
        Those that have a value in every column.
    weight : ndarray of shape (n_used,), float64, or None
    present : ndarray of bool of shape (n_rows,), or None
        Mask of the rows that have a value in every column; None if all have.
    carried : polars.Series of n_rows values, or None
    """

    n_rows: int
    X: NDArray[np.floating]
    weight: NDArray[np.float64] | None
    present: NDArray[np.bool_] | None
    carried: pl.Series | None


class LongTable:
    """Numeric columns of a long file.

    Attributes
    ----------
    source : str
        Its path.
    names : tuple of str
    row_numbers : list of str
        Names of columns that hold row numbers, and are therefore no data.
    n_rows, n_used : int or None
        Number of rows of the file, and of those that have a value in every column; None before the first pass.
    """

    def __init__(
        self,
        source: str,
        file: FileParts,
        names: Sequence[str],
        row_numbers: list[str],
        *,
        weights: str | None,
        carried: str | None,
        drop: bool,
        to_fit: bool,
    ) -> None:
        self.source, self.file, self.names, self.row_numbers = source, file, tuple(names), row_numbers
        self.weights, self._carried, self._drop, self._to_fit = weights, carried, drop, to_fit
        self.n_rows: int | None = None
        self.n_used: int | None = None

    @property
    def has_names(self) -> bool:
        """True if the file names its columns."""
        return not isinstance(self.file, NpyParts)

    @property
    def n_bytes(self) -> float:
        """Size of the numbers, 8 bytes each; of a text, whose rows were not counted yet, the size of the file."""
        n_rows = self.file.expected_rows(0)
        return os.stat(self.source).st_size if n_rows is None else 8.0 * n_rows * len(self.names)

    def blocks(self) -> Iterator[Block]:
        """Hand out all rows in order.

        Raises
        ------
        ValueError
            As `read_table`, with the file, the column and the row's number.
        """
        n_rows = n_used = 0
        wanted = self.names if self.weights is None else (*self.names, self.weights)
        try:
            for part in self.file.parts(wanted, self._carried):
                block = self._block(part, n_rows)
                n_rows, n_used = n_rows + block.n_rows, n_used + len(block.X)
                yield block
            if not n_used:
                raise no_row_is_whole(wanted)
        except ValueError as error:
            if str(error).startswith(self.source):  # the library's readers name the file
                raise
            raise ValueError(f"{self.source}: {error}") from error
        self.n_rows, self.n_used = n_rows, n_used

    def _block(self, part: Part, first_row: int) -> Block:
        """Check the rows of a part, of which the first has the number `first_row` in the file, from 0."""
        columns, present = part.columns, None
        chosen = [columns[name] for name in self.names]
        dtype = np.float32 if all(column.dtype == np.float32 for column in chosen) else np.float64
        X = np.empty((part.n_rows, len(chosen)), dtype, order="F")
        for j, column in enumerate(chosen):
            X[:, j] = column
        weight = None if self.weights is None else columns[self.weights].astype(np.float64)
        is_good = first_bad_value(X, to_fit=self._to_fit) is None
        if not is_good or (weight is not None and not np.isfinite(weight).all()):
            for name, column in columns.items():
                check_finite(name, column, first_row)
            present = mask_of_present(columns)
            if present is not None and not self._drop:
                raise missing_value(columns, int(present.argmin()), first_row)
            if present is not None:
                X, weight = X[present], None if weight is None else weight[present]
            if self._to_fit and len(X):
                for j, name in enumerate(self.names):
                    check_size(name, X[:, j], present, first_row)
        if weight is not None and self.weights is not None:
            check_not_negative(self.weights, weight, present, first_row)
        return Block(part.n_rows, X, weight, present, part.carried)


def long_table(
    source: str,
    *,
    columns: Sequence[str] | None = None,
    weights: str | None = None,
    carried: str | None = None,
    header: bool = True,
    separator: str | None = None,
    drop_missing: bool = False,
    to_fit: bool = False,
    find_row_numbers: bool = True,
) -> LongTable | None:
    """Return a file as a table that is read block by block; None if it is short, or not on a disk, or compressed.

    Parameters
    ----------
    source, columns, weights, carried, header, separator, drop_missing, to_fit
        As of `read_table`.
    find_row_numbers : bool
        False: columns of row numbers are taken for data, without a pass over the file. Its size can then be told.

    Raises
    ------
    OSError, ValueError
        As `read_table`; values are checked when they are read.
    """
    suffix = check_request(source, columns, weights, carried, separator)
    if source == STANDARD_STREAM or not Path(source).is_file():
        return None
    try:
        file = _opened(source, suffix, columns, weights, header, separator)
        if file is None:
            return None
        if isinstance(file, NpyParts):
            _, at, weight_at = map_npy(source, columns, weights)
            names, row_numbers = tuple(f"x{j}" for j in at), list[str]()
            weights = None if weight_at is None else f"x{weight_at}"
        else:

            def row_number_columns() -> list[str]:
                return _row_numbers(file, (weights, carried)) if find_row_numbers else []

            names, row_numbers = chosen_columns(file.names, columns, weights, carried, row_number_columns)
    except ValueError as error:
        if str(error).startswith(source):
            raise
        raise ValueError(f"{source}: {error}") from error
    return LongTable(
        source, file, names, row_numbers, weights=weights, carried=carried, drop=drop_missing, to_fit=to_fit
    )


def _opened(
    source: str,
    suffix: str,
    columns: Sequence[str] | None,
    weights: str | None,
    header: bool,
    separator: str | None,
) -> FileParts | None:
    """Open a long file; return None for a short one."""
    if suffix == ".parquet":
        return _opened_parquet(source)
    if os.stat(source).st_size < LONG_BYTES:
        return None
    if suffix == ".npy":
        return NpyParts(source)
    with open(source, "rb") as stream:
        if stream.read(2) == _GZIP:
            return None
    content = TextContent(source)
    wanted = () if columns is None else columns if weights is None else (*columns, weights)
    likely = likely_separator(source, suffix)
    layout = find_layout(content, header=header, separator=separator, likely=likely, wanted=wanted)
    return TextParts(content, layout)


def _opened_parquet(source: str) -> FileParts | None:
    try:
        file = ParquetParts(source)
    except ImportError:
        if os.stat(source).st_size >= LONG_BYTES:
            say(
                f'emix: warning: {source}: all of it is read into memory. With pip install "emix[parquet]" it is read '
                "block by block"
            )
        return None
    except ValueError:
        return None  # polars has its own words for a damaged file, and reads some that PyArrow does not
    return file if 8 * file.n_rows * len(file.names) >= LONG_BYTES else None


def _row_numbers(file: FileParts, apart: tuple[str | None, ...]) -> list[str]:
    """Find the columns that hold row numbers: by their names, and by their values in a pass of its own.

    Columns `apart` are no data in any case.

    Raises
    ------
    ValueError
        If that cannot be told without all values at once.
    """
    found = suspects(file.names).items()
    followed = {name: FollowedColumn(counting) for name, counting in found if name not in apart}
    if not followed:
        return []
    for frame in file.frames(list(followed)):
        for name, column in followed.items():
            column.add(frame[name])
    answers = {name: column.answer() for name, column in followed.items()}
    unknown = [name for name, answer in answers.items() if answer is None]
    if unknown:
        raise ValueError(
            f"column {unknown[0]!r} holds whole numbers that do not rise: they may be row numbers in another order, or "
            "data. The file is too long to tell: choose columns with --columns"
        )
    return [name for name, answer in answers.items() if answer]
