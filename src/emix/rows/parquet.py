"""Rows of Parquet files, read again for each pass: a fit of more rows than there is memory for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from emix.rows.parquet_files import (
    as_numpy,
    check_no_nulls,
    check_numbers,
    describe,
    dtype_of,
    find_files,
    record_batches,
)
from emix.rows.pieces import ColumnsPiece, Layout
from emix.rows.streamed import StreamedRows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from emix.rows.parquet_files import PartFile

__all__ = ["ParquetSource"]


class ParquetSource(StreamedRows):
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

    _layout: Layout

    def __init__(
        self, path: str | os.PathLike[str], columns: Sequence[str] | None = None, weight: str | None = None
    ) -> None:
        super().__init__(sample_weight=None, weight_name=f"column {weight!r} of {path}")
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"path is a {type(path).__name__}, expected the path of a file, or of a folder of files.")
        self.path, self.weight = os.fspath(path), weight
        columns = columns if columns is None or isinstance(columns, str) else list(columns)
        self._files = [describe(file) for file in find_files(self.path)]
        self.feature_names = _chosen(self._files, columns, weight)
        self.n_features = len(self.feature_names)
        for file in self._files:
            check_numbers(file, self.feature_names, "columns")
            if weight is not None:
                check_numbers(file, [weight], "weight")
        self.n_rows = sum(file.n_rows for file in self._files)
        if self.n_rows < 1:
            raise ValueError(
                f"{self.path}: Found array with 0 sample(s) (shape=({self.n_rows}, {self.n_features})) while a minimum "
                "of 1 is required by ParquetSource. Pass files with at least one row."
            )
        self.dtype = dtype_of(file.types[file.names.index(name)] for file in self._files for name in self.feature_names)
        # Arrow has columns, which are copied as they lie; rows side by side would take four times as long.
        self._layout = Layout(self.n_features, self.dtype, self.feature_names, weight is not None, "F")

    def pieces(self, most: int) -> Iterator[ColumnsPiece]:
        """Hand out the rows of all files in order, in pieces of at most `most` rows."""
        names = list(self._layout.feature_names or ())
        labels = [f"column {j} ({name!r})" for j, name in enumerate(names)] + [f"column {self.weight!r}"]
        names += [] if self.weight is None else [self.weight]
        for file in self._files:
            first_row = 0
            for part in record_batches(file, names, most):
                found = [part.column(name) for name in names]
                check_no_nulls(found, labels, file.called, first_row)
                columns = [as_numpy(column) for column in found]
                weight = None if self.weight is None else columns.pop()
                yield ColumnsPiece(self._layout, file.called, first_row, columns, weight, part.num_rows)
                first_row += part.num_rows

    def _called(self) -> str:
        return self.path

    def _weight_of(self, name: str) -> str:
        return f"column {self.weight!r} of {name}"

    def _weight_argument(self) -> str:
        return "sample_weight" if self.weight is None else "weight"


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
