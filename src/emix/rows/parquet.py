"""Rows of Parquet files, read again for each pass: a fit of more rows than there is memory for."""

from __future__ import annotations

import copy
import os
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from emix.kernel.factors import Columns
from emix.rows.parquet_files import as_numpy, check_numbers, describe, find_files, record_batches
from emix.rows.refusals import check_total_weight, first_bad_weight, refusal_of_value, refusal_of_weight
from emix.rows.source import EPSILON, Batch, SummarizedRows
from emix.rows.summary import Reading, weight_unit
from emix.rows.validation import check_column_range

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from emix.rows.parquet_files import PartFile
    from emix.rows.sampling import Sample
    from emix.rows.summary import RowSummary
    from emix.rows.validation import FloatArray

__all__ = ["ParquetSource"]

# A batch has at most so many rows, and so many bytes.
_BATCH_ROWS = 1 << 16
_BATCH_BYTES = 32 << 20

# Columns are laid side by side for so many rows at a time, which stay in the cache: of 512 to 8 192 rows none was
# clearly faster, all rows of a batch at once took 1.3 times as long for 32 columns, and 3 times for 128.
_BLOCK = 2048


class ParquetSource(SummarizedRows):
    """Rows of a Parquet file, or of all files of a folder: a `RowSource` that reads them anew in each pass.

    Memory does not grow with the number of rows. PyArrow reads the files (``pip install "emix[parquet]"``), one part of
    a row group at a time.

    Parameters
    ----------
    path : str or path-like
        A file; or a folder, whose files that end in ``.parquet`` are read one after the other, sorted by name.
    columns : sequence of str, optional
        Names of the columns to read, in this order; by default all but `weight`, and but the index that pandas wrote.
        Numbers of any kind are read; rows are float32 if all columns are float32 in all files, else float64.
    weight : str, optional
        Name of a column with a weight for each row: not negative, not all zero.

    Attributes
    ----------
    n_rows, n_features : int
    dtype : dtype
    feature_names : tuple of str
        The columns.
    whole : None
        The rows do not lie in memory.

    Raises
    ------
    ImportError
        If PyArrow is not installed.
    TypeError, ValueError
        If a column is missing or holds no numbers, files have other columns than the first, or there are no rows.

    Notes
    -----
    Values are checked by the first pass, `read`. A file that is written to after that is refused.

    Examples
    --------
    >>> import os, tempfile
    >>> import pyarrow as pa
    >>> import pyarrow.parquet as pq
    >>> import emix
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "rows.parquet")
    ...     pq.write_table(pa.table({"x": [0.0, 1.0, 5.0], "y": [2, 4, 6], "w": [1.0, 1.0, 0.5]}), path)
    ...     source = emix.ParquetSource(path, ["y", "x"], weight="w")
    ...     source.total_weight, [batch.X for batch in source.batches(1)]
    (2.5, [array([[2., 0.],
           [4., 1.],
           [6., 5.]])])
    """

    def __init__(
        self, path: str | os.PathLike[str], columns: Sequence[str] | None = None, weight: str | None = None
    ) -> None:
        super().__init__()
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"path is a {type(path).__name__}, expected the path of a file, or of a folder of files.")
        self.path, self.weight = os.fspath(path), weight
        self.whole = None
        columns = columns if columns is None or isinstance(columns, str) else list(columns)
        self._files = [describe(file) for file in find_files(self.path)]
        self.feature_names = _chosen(self._files, columns, weight)
        self.n_features = len(self.feature_names)
        for file in self._files:
            check_numbers(file, self.feature_names, "columns")
            if weight is not None:
                check_numbers(file, [weight], "weight")
        self._ends = list(accumulate(file.n_rows for file in self._files))
        self.n_rows = self._ends[-1]
        if self.n_rows < 1:
            raise ValueError(
                f"{self.path}: Found array with 0 sample(s) (shape=({self.n_rows}, {self.n_features})) while a minimum "
                "of 1 is required by ParquetSource. Pass files with at least one row."
            )
        kinds = {str(file.types[file.names.index(name)]) for file in self._files for name in self.feature_names}
        self.dtype = np.dtype(np.float32 if kinds == {"float"} else np.float64)
        self._summary: RowSummary | None = None
        self._divisor = self._unit = 1.0

    @property
    def summary(self) -> RowSummary:
        """The summary of the rows, which are read if they were not yet."""
        return self.read()

    @property
    def weight_unit(self) -> float:
        """A power of two, in which batches have their weights; 1 unless all weights are very small or large."""
        self.read()
        return self._unit

    def without_unit(self) -> ParquetSource:
        """Return the same rows, their weights given in `weight_unit`: numbers of moderate size."""
        if self.weight_unit == 1.0:
            return self
        moderate = copy.copy(self)
        moderate._summary, moderate._unit = self.summary.in_unit(self._unit), 1.0
        return moderate

    def read(self, sample: Sample | None = None) -> RowSummary:
        """Check all rows, once, and fill `sample`, which has seen no rows yet.

        Raises
        ------
        ValueError
            If a value is null, NaN, infinite or too large, a weight is not one, or a column is too small. Messages name
            the file, the row within it, from 0, and the column.
        """
        if self._summary is None:
            return self._read(sample)
        if sample is not None:
            for batch in self.batches(1):
                sample.add(batch)
        return self._summary

    def batches(self, unit: int) -> Iterator[Batch]:
        """Hand out all rows in order, in C-ordered arrays that are the caller's to keep.

        Parameters
        ----------
        unit : int
            Each batch but the last has a multiple of so many rows: no more than 65 536, or than 32 MB of them, unless
            `unit` is more.

        Raises
        ------
        ValueError
            If a file was written to since it was first read.
        """
        self.read()
        return self._batches(unit, self._divisor)

    def _read(self, sample: Sample | None) -> RowSummary:
        kind = self.dtype.char
        reading = Reading(self.n_features)
        for batch in self._batches(1, 1.0):
            reading.add(batch)
            if reading.first_bad is not None:
                file, row = self._place(reading.first_bad.row)
                raise ValueError(
                    refusal_of_value(reading.first_bad._replace(row=row), kind, self.feature_names, name=file)
                )
            if batch.weight is not None and (bad := first_bad_weight(batch.weight)) is not None:
                file, row = self._place(batch.first_row + bad)
                raise ValueError(refusal_of_weight(batch.weight[bad], row, f"column {self.weight!r} of {file}"))
            if sample is not None:
                sample.add(batch)
        summary, divisor = reading.summary(), 1.0
        if self.weight is not None:
            name = f"column {self.weight!r} of {self.path}"
            check_total_weight(summary.total_weight, summary.largest_weight, self.n_rows, name, "weight")
            divisor = weight_unit(summary.largest_weight, self.n_features)
        columns = Columns(EPSILON[kind], summary.column_range)
        check_column_range(columns, kind, self.feature_names, name=self.path)
        if sample is not None:
            sample.divide_weights(divisor)
        # All at once, when nothing can fail any more: another thread may read the same source.
        self._divisor = self._unit = divisor
        self._columns, self._summary = columns, summary
        return summary

    def _batches(self, unit: int, divisor: float) -> Iterator[Batch]:
        """Batches that begin and end without regard to row groups and files."""
        most = min(_BATCH_ROWS, _BATCH_BYTES // (self.n_features * self.dtype.itemsize))
        length = max(unit, most - most % unit)
        first_row, filled = 0, 0
        X, weight = self._room(length)
        for names, part in self._parts(length):
            columns = [as_numpy(part.column(name)) for name in names]
            taken = 0
            while taken < part.num_rows:
                count = min(len(X) - filled, part.num_rows - taken)
                _lay_side_by_side(columns[: self.n_features], taken, X[filled : filled + count])
                if weight is not None:
                    weight[filled : filled + count] = columns[-1][taken : taken + count]
                taken, filled = taken + count, filled + count
                if filled == len(X):
                    yield Batch(first_row, X, weight if divisor == 1.0 or weight is None else weight / divisor)
                    first_row, filled = first_row + filled, 0
                    X, weight = self._room(min(length, self.n_rows - first_row))

    def _parts(self, n_rows: int) -> Iterator[tuple[list[str], Any]]:
        names = [*self.feature_names, *([] if self.weight is None else [self.weight])]
        for file in self._files:
            for part in record_batches(file, names, n_rows):
                yield names, part

    def _room(self, n_rows: int) -> tuple[FloatArray, NDArray[np.float64] | None]:
        """Arrays for the next batch: new ones cost a tenth of what PyArrow's reading takes, and can be kept."""
        n_rows = min(n_rows, self.n_rows)
        return np.empty((n_rows, self.n_features), self.dtype), None if self.weight is None else np.empty(n_rows)

    def _place(self, row: int) -> tuple[str, int]:
        """The file in which a row lies, and its number there."""
        i = bisect_right(self._ends, row)
        return self._files[i].path, row - (self._ends[i] - self._files[i].n_rows)


def _chosen(files: Sequence[PartFile], columns: Sequence[str] | None, weight: str | None) -> tuple[str, ...]:
    """Names of the columns to read."""
    first = files[0]
    if columns is None:
        chosen = tuple(name for name in first.names if name != weight and name not in first.labels)
        for file in files[1:]:
            if set(file.names) != set(first.names):
                odd = sorted(set(file.names) ^ set(first.names))
                raise ValueError(
                    f"{file.path} has other columns than {first.path}: only one of them has {odd[0]!r}. Expected the "
                    "same columns in all files: name those to read with columns=."
                )
    else:
        if isinstance(columns, str) or not all(isinstance(name, str) for name in columns):
            raise TypeError(f"columns is {columns!r}, expected a list of names, such as ['x', 'y'].")
        chosen = tuple(columns)
    if not chosen:
        raise ValueError(
            f"{first.path}: Found array with 0 feature(s) (shape=({first.n_rows}, 0)) while a minimum of 1 is required "
            "by ParquetSource. Name at least one column with columns=."
        )
    for name in chosen:
        if columns is not None and chosen.count(name) > 1:
            raise ValueError(f"columns names {name!r} twice, expected each column once. Leave one of them out.")
    return chosen


def _lay_side_by_side(columns: Sequence[NDArray[Any]], first_row: int, X: FloatArray) -> None:
    """X (n, d) := n rows of the columns, from `first_row` on"""
    for start in range(0, len(X), _BLOCK):
        block = X[start : start + _BLOCK]
        source = first_row + start
        for j, column in enumerate(columns):
            block[:, j] = column[source : source + len(block)]
