"""Files of rows: read CSV, Parquet and .npy; write CSV and Parquet.

CSV and Parquet go through polars (the extra `cli`), .npy through numpy. Everything that a model
could not use is refused here, in terms of the file: the column's name and the first bad row.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emix.faces.csv_files import STANDARD_STREAM, listed, load_csv
from emix.faces.outputs import format_of, write_results
from emix.faces.requirements import require
from emix.files.output import writing
from emix.rows.validation import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType
    from typing import Any

    import polars as pl
    from numpy.typing import NDArray

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
READABLE = (".csv", ".tsv", ".parquet", ".npy")
WRITABLE = (".csv", ".tsv", ".parquet")
_DECIMAL_COMMA = re.compile(r"\s*[-+]?[0-9]+,[0-9]+\s*")
# Rows formatted at a time on the way out.
_CHUNK_ROWS = 65_536


@dataclass(frozen=True)
class Table:
    """Numeric columns of a file.

    Attributes
    ----------
    rows : polars.DataFrame or ndarray, shape (n_samples, n_features)
        float64, or float32 if every column is. A frame where the file names its columns.
    names : tuple of str
        The columns' names; "x0", "x1", … for a .npy file, which has none.
    weights : ndarray of shape (n_samples,), float64, or None
    """

    rows: pl.DataFrame | NDArray[np.floating]
    names: tuple[str, ...]
    weights: NDArray[np.float64] | None = None

    @property
    def array(self) -> NDArray[np.floating]:
        """The rows as an array."""
        return self.rows if isinstance(self.rows, np.ndarray) else self.rows.to_numpy()


def read_table(
    source: str,
    *,
    columns: Sequence[str] | None = None,
    weights: str | None = None,
    header: bool = True,
    separator: str | None = None,
    to_fit: bool = False,
) -> Table:
    """Read numeric columns of a file.

    Parameters
    ----------
    source : str
        Path of a .csv, .tsv, .parquet or .npy file, or "-" for CSV on standard input.
    columns : sequence of str, optional
        The columns to use, in this order; by default all but `weights`. For a .npy file they are
        the numbers of columns, from 0.
    weights : str, optional
        The column that holds the rows' weights.
    header : bool, default=True
        Whether the first line of a CSV file names its columns.
    separator : str, optional
        What separates the columns of a CSV file; by default a comma, in a .tsv file a tab.
    to_fit : bool, default=False
        Also refuse values too large to fit.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If the format is unknown, there are no rows, a column is not there or not numeric, or a value is missing, not
        finite or too large, or a weight negative; the message names the column and the first such row of data,
        counted from 1.
    OSError
        If the file cannot be read.
    ImportError
        If polars is needed and not installed.
    """
    suffix = Path(source).suffix.lower()
    if source != STANDARD_STREAM:
        if suffix not in READABLE and not Path(source).is_dir():
            raise ValueError(f"{source}: unknown format {suffix!r}, expected one of {', '.join(READABLE)}")
        check_readable(source)
        if separator is not None and suffix not in _SEPARATORS:
            raise ValueError(f"{source}: a separator is given, but {suffix} files have none")
    if columns is not None and len(set(columns)) < len(columns):
        twice = next(name for i, name in enumerate(columns) if name in columns[:i])
        raise ValueError(f"column {twice!r} is chosen twice")
    if columns is not None and weights in columns:
        raise ValueError(f"column {weights!r} is chosen both as weights and as data")
    try:
        if suffix == ".npy":
            table = _read_npy(source, columns, weights)
        else:
            frame = (
                _read_parquet(source)
                if suffix == ".parquet"
                else load_csv(source, header=header, separator=separator or _SEPARATORS.get(suffix, ","))
            )
            table = _from_frame(frame, columns, weights)
        if to_fit:
            _check_size(table)
        return table
    except ValueError as error:
        raise ValueError(f"{_name(source)}: {error}") from error


def check_readable(path: str) -> None:
    """Refuse a path that is not there or is a folder, with the same words for every format.

    Raises
    ------
    OSError
        If there is no such file, or it is not a file.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no such file")
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path}: is a folder, expected a file")


def write_columns(columns: Mapping[str, NDArray[Any]], path: str | None) -> None:
    """Write columns to a CSV, TSV or Parquet file, or as CSV to standard output.

    Raises
    ------
    ValueError
        If the format is unknown.
    OSError
        If the file cannot be written.
    ImportError
        If polars is not installed.
    """
    polars = require("polars", "cli", "writing tables")
    frame: pl.DataFrame = polars.DataFrame(dict(columns))
    if path is None or path == STANDARD_STREAM:
        for piece in _csv_pieces(frame, ","):
            write_results(piece)
        return
    suffix = format_of(path, WRITABLE)
    with writing(path) as stream:
        if suffix == ".parquet":
            # Not into the file: what polars says of a full disk is no OSError.
            content = io.BytesIO()
            frame.write_parquet(content)
            stream.write(content.getbuffer())
        else:
            for piece in _csv_pieces(frame, _SEPARATORS[suffix]):
                stream.write(piece.encode())


def _csv_pieces(frame: pl.DataFrame, separator: str) -> Iterator[str]:
    for start in range(0, max(frame.height, 1), _CHUNK_ROWS):
        yield frame.slice(start, _CHUNK_ROWS).write_csv(include_header=start == 0, separator=separator)


def _name(source: str) -> str:
    return "standard input" if source == STANDARD_STREAM else source


def _read_npy(source: str, columns: Sequence[str] | None, weights: str | None) -> Table:
    array = np.load(source, mmap_mode="r", allow_pickle=False)
    if array.ndim != 2:
        raise ValueError(f"holds an array of shape {array.shape}, expected two dimensions (rows, columns)")
    if array.dtype.kind not in "iufb":
        raise ValueError(f"holds an array of dtype {array.dtype}, expected numbers")
    n_columns = array.shape[1]
    if not array.shape[0]:
        raise ValueError(f"holds no rows (an array of shape {array.shape})")
    weight_column = None if weights is None else _column_number(weights, n_columns)
    chosen = [_column_number(name, n_columns) for name in columns or map(str, range(n_columns))]
    if columns is None:
        chosen = [j for j in chosen if j != weight_column]
    # A choice of columns is a copy; the whole array stays a memory map.
    values = array if chosen == list(range(n_columns)) else array[:, chosen]
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    names = tuple(f"x{j}" for j in chosen)
    for name, column in zip(names, values.T, strict=True):
        _check_finite(name, column)
    if weight_column is None:
        return Table(values, names)
    row_weights = np.asarray(array[:, weight_column], dtype=np.float64)
    _check_finite(f"x{weight_column}", row_weights)
    _check_weights(f"x{weight_column}", row_weights)
    return Table(values, names, row_weights)


def _column_number(text: str, n_columns: int) -> int:
    digits = text.removeprefix("x")
    if not digits.isdecimal() or int(digits) >= n_columns:
        raise ValueError(f"no column {text!r}: expected a number from 0 to {n_columns - 1}")
    return int(digits)


def _polars() -> ModuleType:
    return require("polars", "cli", "reading CSV and Parquet files")


def _read_parquet(source: str) -> pl.DataFrame:
    polars = _polars()
    try:
        frame: pl.DataFrame = polars.read_parquet(source)
    except polars.exceptions.PolarsError as error:
        first_line = str(error).strip().partition("\n")[0]
        raise ValueError(f"cannot be read: {first_line or type(error).__name__}") from error
    return frame


def _from_frame(frame: pl.DataFrame, columns: Sequence[str] | None, weights: str | None) -> Table:
    names = tuple(columns) if columns is not None else tuple(name for name in frame.columns if name != weights)
    wanted = names if weights is None else (*names, weights)
    for name in wanted:
        if name not in frame.columns:
            raise ValueError(f"no column {name!r}: the columns are {listed(frame.columns)}")
    if not names:
        raise ValueError("there is no column of data" + ("" if weights is None else f" beside the weights {weights!r}"))
    if not frame.height:
        raise ValueError(f"there are columns ({listed(frame.columns)}), but no rows")
    numeric = [name for name in frame.columns if frame[name].dtype.is_numeric()]
    values = {name: _numbers(frame[name], numeric) for name in wanted}
    row_weights = None
    if weights is not None:
        row_weights = values.pop(weights).cast(_polars().Float64).to_numpy()
        _check_weights(weights, row_weights)
    rows = _polars().DataFrame(list(values.values()))
    if any(dtype != _polars().Float32 for dtype in rows.dtypes):
        rows = rows.cast(_polars().Float64)
    return Table(rows, names, row_weights)


def _numbers(series: pl.Series, numeric: Sequence[str]) -> pl.Series:
    """Check that a column holds a finite number in every row."""
    polars = _polars()
    missing = series.is_null()
    if missing.any():
        raise ValueError(
            f"column {series.name!r} has no value in row {missing.arg_true()[0] + 1} "
            f"({missing.sum()} missing in all): fill or remove such rows"
        )
    if not (series.dtype.is_numeric() or series.dtype == polars.Boolean):
        # Of texts the first that is no number, which may be the only one; dates and lists are none from row 1.
        texts = series.dtype == polars.String
        odd: Sequence[int] = series.cast(polars.Float64, strict=False).is_null().arg_true().to_list() if texts else []
        row = odd[0] if odd else 0
        if texts and _DECIMAL_COMMA.fullmatch(series[row]):
            raise ValueError(
                f"column {series.name!r} holds {series[row]!r} in row {row + 1}: write decimals with a point"
            )
        raise ValueError(
            f"column {series.name!r} holds {series[row]!r} in row {row + 1}, expected numbers: choose columns with "
            f"--columns (numeric: {listed(numeric)})"
        )
    if series.dtype != polars.Float32:
        series = series.cast(polars.Float64)
    _check_finite(series.name, series.to_numpy())
    return series


def _check_finite(name: str, column: NDArray[np.floating]) -> None:
    finite = np.isfinite(column)
    if not finite.all():
        row = int(finite.argmin())
        raise ValueError(f"column {name!r} holds {column[row]} in row {row + 1}, expected finite numbers")


def _check_size(table: Table) -> None:
    """Refuse values whose squares, summed with weights, could overflow: the library's limit, in terms of the file."""
    rows = table.rows
    for j, name in enumerate(table.names):
        column = rows[:, j] if isinstance(rows, np.ndarray) else rows[name].to_numpy()
        limit = LARGEST[column.dtype.char]
        if column.max() > limit or column.min() < -limit:
            row = int(np.argmax(np.abs(column) > limit))
            raise ValueError(
                f"column {name!r} holds {column[row]} in row {row + 1}, expected values of at most {limit:g}: "
                "divide the column by a large number"
            )


def _check_weights(name: str, weights: NDArray[np.float64]) -> None:
    """Refuse weights that are negative, all zero, or too large to add up."""
    if weights.min() < 0.0:
        row = int(np.argmax(weights < 0.0))
        raise ValueError(
            f"column {name!r} holds {weights[row]:g} in row {row + 1}, expected weights that are not negative: "
            "a row that should not count has the weight 0"
        )
    with np.errstate(over="ignore"):
        total = float(weights.sum())
    if total == 0.0:
        raise ValueError(f"column {name!r} holds 0 in every row, expected weights some of which are above zero")
    if not np.isfinite(total):
        raise ValueError(
            f"column {name!r} holds weights whose sum overflows: divide them by their largest, {weights.max():g}"
        )
