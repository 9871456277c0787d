"""Parquet files as PyArrow reads them: which they are, their columns of numbers, and their record batches in order."""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emix.exceptions import shown
from emix.parallel.threads import resolve_n_threads
from emix.requirements import require
from emix.rows.conversion import few

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import ModuleType

    from numpy.typing import NDArray

__all__ = [
    "PartFile",
    "as_numpy",
    "check_no_nulls",
    "check_numbers",
    "describe",
    "dtype_of",
    "find_files",
    "is_numeric",
    "record_batches",
    "scan_options",
]

_ENDING = ".parquet"

# Arrow's names of types that NumPy calls otherwise.
_NUMPY_NAMES = {"double": "float64", "float": "float32", "halffloat": "float16"}

# Compressed pages are read so many bytes at a time. Without, PyArrow holds all pages of the columns that it decodes:
# 204 MB of a row group of a million rows and 16 columns, where it is 60 MB so, in no more time.
_READ_BYTES = 1 << 18


class PartFile(NamedTuple):
    """A file of the rows, as it was when it was first opened.

    `written` is its size and the time of its last change, from which another content shows; `labels` are the columns in
    which pandas keeps the index of the rows; `group_ends` are the numbers of rows up to the end of each row group.
    """

    path: str
    n_rows: int
    written: tuple[int, int]
    names: tuple[str, ...]
    types: tuple[Any, ...]
    labels: tuple[str, ...]
    group_ends: tuple[int, ...]

    def called(self, row: int) -> str:
        """Name of the file, and of the row group of a row, for messages."""
        if len(self.group_ends) < 2:
            return self.path
        return f"{self.path} (row group {bisect_right(self.group_ends, row)})"


def _pyarrow(module: str = "pyarrow") -> ModuleType:
    return require(module, "parquet", "reading Parquet files")


def find_files(path: str) -> list[str]:
    """Return the file `path`, or the files of the folder `path` in the order of their names.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If there is no Parquet file in the folder.
    """
    if not os.path.isdir(path):
        os.stat(path)  # raises, with the name, if there is nothing
        return [path]
    # Names that begin with a point or an underscore are unfinished or hidden files, as Spark and PyArrow have it.
    names = [name for name in sorted(os.listdir(path)) if name.endswith(_ENDING) and name[0] not in "._"]
    found = [os.path.join(path, name) for name in names]
    if not found:
        raise ValueError(
            f"The folder {path} has no file that ends in {_ENDING}, expected at least one. Pass the folder in which "
            "they lie: folders within it are not searched."
        )
    return found


def describe(path: str) -> PartFile:
    """Read a file's footer: its number of rows and its columns."""
    with _opened(path) as file:
        schema = file.schema_arrow
        indices = (schema.pandas_metadata or {}).get("index_columns", [])
        labels = tuple(name for name in indices if isinstance(name, str))  # a range is no column
        footer = file.metadata
        ends = tuple(accumulate(footer.row_group(i).num_rows for i in range(footer.num_row_groups)))
        names, types = tuple(schema.names), tuple(schema.types)
        return PartFile(path, footer.num_rows, _written(path), names, types, labels, ends)


def check_numbers(file: PartFile, columns: Sequence[str], argument: str) -> None:
    """Refuse columns that a file does not have once, and those that hold no numbers.

    Raises
    ------
    ValueError
        With the name of the column, and the first value that is no number.
    """
    for column, name in enumerate(columns):
        n_found = file.names.count(name)
        if n_found != 1:
            found = "has several columns of that name" if n_found else f"has the columns {few(file.names)}"
            raise ValueError(
                f"{argument} asks for the column {name!r}, but {file.path} {found}. Expected one column of that name "
                "in every file: name another, or write the file anew."
            )
        kind = file.types[file.names.index(name)]
        if not is_numeric(kind):
            raise ValueError(
                f"{file.path} holds {_first_value(file, name)}column {column} ({name!r}), which has the type {kind}, "
                f"expected numbers. Convert the column to float, or leave it out: {argument} names those that are read."
            )


def record_batches(file: PartFile, columns: Sequence[str], n_rows: int) -> Iterator[Any]:
    """Hand out the rows of a file in order, at most `n_rows` at a time.

    Raises
    ------
    ValueError
        If the file is damaged, or no longer the one that was described.
    """
    with _opened(file.path) as opened:
        now = opened.metadata.num_rows
        if now != file.n_rows or _written(file.path) != file.written:
            found = f"it had {file.n_rows} rows then and has {now} now" if now != file.n_rows else "it was written anew"
            raise ValueError(
                f"{file.path} has changed since it was first read: {found}. Expected the same rows in every pass: make "
                "a new ParquetSource when files are no longer written to."
            )
        # With two processors, PyArrow's threads take time from those that compute: 42 ns of them a row, without 37.
        in_threads = resolve_n_threads(None) > 2
        columns = list(dict.fromkeys(columns))
        yield from opened.iter_batches(batch_size=n_rows, columns=columns, use_threads=in_threads)


def check_no_nulls(columns: Sequence[Any], labels: Sequence[str], called: Callable[[int], str], first_row: int) -> None:
    """Refuse a null in columns of a record batch.

    Parameters
    ----------
    columns : sequence of pyarrow.Array
    labels : sequence of str
        How each column is called in messages.
    called : callable
        The number of a row in its file or block -> how that is called.
    first_row : int
        Number of the batch's first row.

    Raises
    ------
    ValueError
        With the first row that has a null, and its column.
    """
    found = [(_first_null(column), j) for j, column in enumerate(columns) if column.null_count]
    if found:
        row, j = min(found)
        row += first_row
        raise ValueError(
            f"Input {called(row)} contains null: the first is in row {row}, {labels[j]}. Expected a number in every "
            "row. Leave out rows with missing values or fill them in first."
        )


def _first_null(column: Any) -> int:
    return int(column.is_null().to_numpy(zero_copy_only=False).argmax())


def scan_options(dataset: Any) -> dict[str, Any]:
    """Return options with which a Dataset's scanner holds few rows.

    By default it reads ahead as far as it can: 600 MB of a Parquet file of 260 MB, where it is 70 MB so.
    """
    options: dict[str, Any] = {"batch_readahead": 0, "fragment_readahead": 0}
    arrow = _pyarrow("pyarrow.dataset")
    if isinstance(getattr(dataset, "format", None), arrow.ParquetFileFormat):
        options["fragment_scan_options"] = arrow.ParquetFragmentScanOptions(
            use_buffered_stream=True, buffer_size=_READ_BYTES, pre_buffer=False
        )
    return options


def as_numpy(column: Any) -> NDArray[np.generic]:
    """Return an Arrow array of numbers without nulls as NumPy's, without a copy where that is possible."""
    types = _pyarrow().types
    if types.is_boolean(column.type):
        column = column.cast("uint8")
    elif types.is_decimal(column.type) or types.is_null(column.type):
        column = column.cast("float64")
    # Arrow's own conversion imports pandas where it is installed, and an interrupt during that import is lost.
    kind = np.dtype(_NUMPY_NAMES.get(str(column.type), str(column.type)))
    values = column.buffers()[1]
    return np.frombuffer(values, kind, len(column), column.offset * kind.itemsize) if len(column) else np.empty(0, kind)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    """Open a file; what PyArrow raises for a damaged one becomes a ValueError that names it."""
    arrow, parquet = _pyarrow(), _pyarrow("pyarrow.parquet")
    try:
        with parquet.ParquetFile(path, pre_buffer=False, buffer_size=_READ_BYTES) as file:
            yield file
    except (FileNotFoundError, PermissionError, MemoryError):  # they say it themselves
        raise
    except (arrow.ArrowException, OSError) as error:
        first_line = str(error).strip().partition("\n")[0].rstrip(".")
        raise ValueError(
            f"{path} cannot be read as a Parquet file: {first_line}. Expected one that was written to its end."
        ) from error


def _written(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def dtype_of(types: Iterable[Any]) -> np.dtype[Any]:
    """Return the precision of rows with columns of these Arrow types: float32 if all are, else float64."""
    return np.dtype(np.float32 if {str(kind) for kind in types} == {"float"} else np.float64)


def is_numeric(kind: Any) -> bool:
    """True if a column of that Arrow type holds numbers."""
    types = _pyarrow().types
    tests = (types.is_floating, types.is_integer, types.is_boolean, types.is_decimal, types.is_null)
    return any(test(kind) for test in tests)


def _first_value(file: PartFile, name: str) -> str:
    """The first value of a column and its row, for a message; nothing where all are null."""
    first_row = 0
    for batch in record_batches(file, [name], 1024):
        column = batch.column(name)
        if column.null_count < len(column):
            row = int(column.is_valid().to_numpy(zero_copy_only=False).argmax())
            return f"{shown(column[row].as_py())} in row {first_row + row}, "
        first_row += len(column)
    return ""
