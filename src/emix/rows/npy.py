"""Rows of .npy files, read again for each pass."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emix.rows.conversion import as_numbers
from emix.rows.pieces import Layout
from emix.rows.streamed import StreamedRows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import BufferedReader

    from numpy.typing import NDArray

    from emix.rows.validation import FloatArray

__all__ = ["NpySource"]


class NpySource(StreamedRows):
    """Rows of .npy files, one after the other: a `RowSource` that reads them anew in each pass.

    Files are read, not mapped: memory does not fill with their pages.

    Parameters
    ----------
    paths : sequence of str or path-like
        Files with an array of shape (rows, n_features) each, of numbers of any kind, in either order of memory. Rows
        are float32 if all are float32 in all files, else float64.
    sample_weight : ndarray of shape (n_rows,), float64, or None

    Raises
    ------
    ValueError
        If a file is no .npy file of numbers in two dimensions, or has another number of columns than the first.
    """

    _layout: Layout

    def __init__(
        self, paths: Sequence[str | os.PathLike[str]], sample_weight: NDArray[np.float64] | None = None
    ) -> None:
        super().__init__(sample_weight)
        self._files = [_describe(os.fspath(path)) for path in paths]
        self.n_rows, self.feature_names = sum(file.shape[0] for file in self._files), None
        first = self._files[0]
        self.n_features = first.shape[1]
        for file in self._files:
            if file.shape[1] != self.n_features:
                raise ValueError(
                    f"{file.path} has {file.shape[1]} columns, expected {self.n_features}, as {first.path} has. Pass "
                    "files with the same columns."
                )
        if self.n_rows < 1 or self.n_features < 1:
            raise ValueError(
                f"{self._called()}: Found array with {self.n_rows} sample(s) and {self.n_features} feature(s) (shape="
                f"{(self.n_rows, self.n_features)}) while a minimum of 1 is required. Pass files with rows and columns."
            )
        single = all(file.dtype.kind == "f" and file.dtype.itemsize == 4 for file in self._files)
        self.dtype = np.dtype(np.float32 if single else np.float64)
        order = "F" if first.fortran else "C"
        self._layout = Layout(self.n_features, self.dtype, None, False, order)

    def pieces(self, most: int) -> Iterator[_FilePiece]:
        """Hand out the files."""
        for file in self._files:
            with _opened(file) as opened:
                yield _FilePiece(self._layout, file, opened)

    def _called(self) -> str:
        return self._files[0].path if len(self._files) == 1 else f"{self._files[0].path} and others"


class _NpyFile(NamedTuple):
    """A file as it was when it was first opened; `offset` is where the numbers begin, in bytes."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int
    written: tuple[int, int]


def _describe(path: str) -> _NpyFile:
    written = _written(path)  # raises, with the name, if there is no such file
    try:
        # A map of the file checks its header and its length, and reads nothing.
        mapped = np.lib.format.open_memmap(path, mode="r")
    except (OSError, MemoryError):
        raise
    except Exception as error:  # the text of a damaged header may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{path} cannot be read as a .npy file of numbers: {reason}. Expected one that numpy.save wrote."
        ) from error
    if mapped.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {mapped.ndim}D array instead: {path} holds one of shape {mapped.shape}. Save it "
            "with one row for each sample and one column for each feature."
        )
    as_numbers(mapped[:0], path)  # refuses what is no number
    fortran = mapped.flags.f_contiguous and not mapped.flags.c_contiguous
    return _NpyFile(path, mapped.shape, mapped.dtype, fortran, int(mapped.offset), written)


def _written(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _opened(file: _NpyFile) -> BufferedReader:
    if _written(file.path) != file.written:
        raise ValueError(
            f"{file.path} has changed since it was first read: it was written anew. Expected the same rows in every "
            "pass: pass files that are no longer written to."
        )
    return open(file.path, "rb")


@dataclass
class _FilePiece:
    """The rows of one file, as a `Piece`."""

    layout: Layout
    file: _NpyFile
    opened: BufferedReader
    first_row: int = 0

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.file.shape[0]

    def called(self, row: int) -> str:
        """Return the name of the file."""
        return self.file.path

    def put(self, first: int, X: FloatArray, weight: NDArray[np.float64] | None) -> None:
        """Copy rows, as of `Piece`."""
        file, (n_rows, d) = self.file, self.file.shape
        # Columns or rows lie side by side in the file, and are read as such.
        lines = [X] if not file.fortran else list(X.T)
        for j, line in enumerate(lines):
            at = file.offset + (j * n_rows + first if file.fortran else first * d) * file.dtype.itemsize
            straight = line.dtype == file.dtype and line.flags.c_contiguous
            read = line if straight else np.empty(line.shape, file.dtype)
            self._read(at, read)
            if not straight:
                line[...] = as_numbers(read, file.path)

    def _read(self, at: int, numbers: NDArray[Any]) -> None:
        self.opened.seek(at)
        if self.opened.readinto(memoryview(numbers).cast("B")) != numbers.nbytes:
            raise ValueError(
                f"{self.file.path} ends before its last row: it has changed since it was first read. Expected the same "
                "rows in every pass: pass files that are no longer written to."
            )
