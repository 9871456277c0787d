"""Rows of a long table for a fit, which reads them in each pass; numbers of a text are kept in a file after the first.

Parsing a text takes thirty times as long as an iteration of EM with its numbers. So the first pass writes these to a
file of the temporary folder, which has no name and is gone with the process, and later passes read that.
"""

from __future__ import annotations

import tempfile
import threading
import weakref
from typing import TYPE_CHECKING

import numpy as np

from emix.cli.table_checks import check_total
from emix.rows.pieces import ArrayPiece, Layout
from emix.rows.sampling import Sample
from emix.rows.streamed import StreamedRows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from numpy.typing import NDArray

    from emix.cli.long_tables import LongTable

# Numbers that are read at a time: 4 MB.
_NUMBERS = 1 << 19


class LongRows(StreamedRows):
    """Rows of a long table: a `RowSource`.

    Parameters
    ----------
    table : LongTable
    """

    def __init__(self, table: LongTable) -> None:
        super().__init__(weight_name=f"column {table.weights!r}")
        self._table = table
        self._names = table.names if table.has_names else None
        self._of_dtype: dict[Any, Layout] = {}
        self._kept: _NumbersFile | None = None
        self._n_done = 0

    def sampled(self, seed: int) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
        """Return some of the rows, and their weights if there are any, for a picture: as many as a start looks at."""
        sample = Sample(seed)
        self.read(sample)
        drawn = sample.drawn()
        return drawn.X, drawn.weight

    def pieces(self, most: int) -> Iterator[ArrayPiece]:
        """Hand out the blocks of one pass."""
        found = self._blocks() if self._kept is None else self._kept.blocks()
        first_row = 0
        for X, weight in found:
            layout = self._of_dtype.setdefault(X.dtype, self._layout_of(X, weight))
            yield ArrayPiece(layout, lambda _: self._table.source, first_row, X, weight)
            first_row += len(X)

    def _blocks(self) -> Iterator[tuple[NDArray[Any], NDArray[np.float64] | None]]:
        """Rows of the table; those of a text are also written to a file of numbers."""
        kept = (
            _NumbersFile(len(self._table.names), self._table.weights is not None) if self._table.file.is_slow else None
        )
        self._n_done, total, largest = 0, 0.0, 0.0
        for block in self._table.blocks():
            self._n_done += block.n_rows
            if kept is not None:
                kept.add(block.X, block.weight)
            if block.weight is not None and len(block.weight):
                with np.errstate(over="ignore"):
                    total += float(block.weight.sum())
                largest = max(largest, float(block.weight.max()))
            if len(block.X):
                yield block.X, block.weight
        if self._table.weights is not None:
            try:
                check_total(self._table.weights, total, largest)
            except ValueError as error:
                raise ValueError(f"{self._table.source}: {error}") from error
        self._kept = kept

    def _layout_of(self, X: NDArray[Any], weight: NDArray[np.float64] | None) -> Layout:
        order = "F" if X.flags.f_contiguous else "C"
        return Layout(X.shape[1], X.dtype, self._names, weight is not None, order)

    def _expected_rows(self) -> float | None:
        known: float | None = self.__dict__.get("n_rows")
        return self._table.file.expected_rows(self._n_done) if known is None else known

    def _called(self) -> str:
        return self._table.source


class _NumbersFile:
    """Rows of float64 in a file of the temporary folder, with their weights or without.

    Parameters
    ----------
    n_features : int
    weighted : bool
    """

    def __init__(self, n_features: int, weighted: bool) -> None:
        self._d, self._weighted, self._n_rows = n_features, weighted, 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the rows may be read)
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()

    def add(self, X: NDArray[Any], weight: NDArray[np.float64] | None) -> None:
        """Write the next rows.

        Raises
        ------
        OSError
            If there is no room.
        """
        rows = np.empty((len(X), self._width))
        rows[:, : self._d] = X
        if weight is not None:
            rows[:, self._d] = weight
        try:
            self._file.write(rows.data)
            self._file.flush()
        except OSError as error:
            raise OSError(
                error.errno,
                f"{error.strerror} for the numbers of a text, {8 * self._width} bytes a row: name another folder by "
                "the environment variable TMPDIR",
                tempfile.gettempdir(),
            ) from error
        self._n_rows += len(X)

    def blocks(self) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
        """Hand out the rows in order."""
        step = max(1, _NUMBERS // self._width)
        for first in range(0, self._n_rows, step):
            rows = np.empty((min(step, self._n_rows - first), self._width))
            with self._lock:  # another pass may read at the same time
                self._file.seek(8 * self._width * first)
                self._file.readinto(rows.data.cast("B"))
            yield rows[:, : self._d], rows[:, self._d] if self._weighted else None

    @property
    def _width(self) -> int:
        return self._d + self._weighted
