"""Files of rows: read text, Parquet and .npy; write CSV and Parquet.

Polars (the extra `cli`) reads and writes text and Parquet, numpy reads .npy. Values that a model
could not use are refused here. The errors name the column and the first bad row of the file.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emix.cli import polars_reading
from emix.cli.csv_files import load_csv, numbers_of
from emix.cli.npy_files import load_npy
from emix.cli.number_columns import numbers
from emix.cli.outputs import format_of, write_results
from emix.cli.row_numbers import row_number_columns
from emix.cli.table_checks import check_finite, check_size, check_weights, find_missing
from emix.cli.text_content import STANDARD_STREAM
from emix.cli.text_layout import listed
from emix.files.output import writing
from emix.requirements import require

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import Any

    import polars as pl
    from numpy.typing import NDArray

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_TEXTS = (".csv", ".tsv", ".txt", ".dat")
READABLE = (*_TEXTS, ".parquet", ".npy")
WRITABLE = (".csv", ".tsv", ".parquet")
# Number of rows that are formatted at a time.
CHUNK_ROWS = 65_536


@dataclass(frozen=True)
class Table:
    """Numeric columns of a file.

    Attributes
    ----------
    rows : polars.DataFrame or ndarray, shape (n_samples, n_features)
        float64, or float32 if every column is float32. A frame if the file names its columns.
    names : tuple of str
        The columns' names; "x0", "x1", … for a .npy file, which has none.
    weights : ndarray of shape (n_samples,), float64, or None
    present : ndarray of bool of shape (n_rows_of_the_file,), or None
        Mask of the file's rows that are in `rows`: those that have a value in every column. None if all are.
    row_numbers : list of str
        Names of columns that hold row numbers, and are therefore not in `rows`.
    carried : polars.Series or None
        The column that tells the rows apart: of all rows of the file, as it is there.
    """

    rows: pl.DataFrame | NDArray[np.floating]
    names: tuple[str, ...]
    weights: NDArray[np.float64] | None = None
    present: NDArray[np.bool_] | None = None
    row_numbers: list[str] = field(default_factory=list)
    carried: pl.Series | None = None

    @property
    def n_used(self) -> int:
        """Number of rows that have a value in every column."""
        return len(self.rows)

    @property
    def n_rows(self) -> int:
        """Number of rows of the file."""
        return self.n_used if self.present is None else len(self.present)

    @property
    def array(self) -> NDArray[np.floating]:
        """The rows as an array."""
        return self.rows if isinstance(self.rows, np.ndarray) else self.rows.to_numpy()


def read_table(
    source: str,
    *,
    columns: Sequence[str] | None = None,
    weights: str | None = None,
    carried: str | None = None,
    header: bool = True,
    separator: str | None = None,
    drop_missing: bool = False,
    to_fit: bool = False,
) -> Table:
    """Read numeric columns of a file.

    Parameters
    ----------
    source : str
        Path of a .csv, .tsv, .txt, .dat, .parquet or .npy file, or "-" for text on standard input. Text may be
        compressed by gzip, and then its name may end in .gz.
    columns : sequence of str, optional
        The columns to use, in this order; by default all but `weights`, `carried` and those that hold
        row numbers. For a .npy
        file they are the numbers of columns, from 0.
    weights : str, optional
        The column that holds the rows' weights.
    carried : str, optional
        A column of anything that is no list, to be carried through as it is. It is no column of data unless `columns`
        has it.
    header : bool, default=True
        True if the first line of a text names its columns.
    separator : str, optional
        The character between the columns of a text. By default the only one that gives a rectangle of numbers; if
        there is none, a comma, or a tab in a .tsv file.
    drop_missing : bool, default=False
        Leave out rows that have no value in some column, instead of refusing the file.
    to_fit : bool, default=False
        Also refuse values too large to fit.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If the format is unknown, there are no rows, a column is not there or not numeric, a value is missing, not
        finite or too large, or a weight is negative. The message names the column and the first such row of data,
        counted from 1.
    OSError
        If the file cannot be read.
    ImportError
        If polars is needed and not installed.
    """
    suffix = check_request(source, columns, weights, carried, separator)
    try:
        if suffix == ".npy":
            table = _from_npy(source, columns, weights, drop=drop_missing)
        else:
            frame = (
                _read_parquet(source)
                if suffix == ".parquet"
                else load_csv(
                    source,
                    header=header,
                    separator=separator,
                    likely=likely_separator(source, suffix),
                    wanted=() if columns is None else columns if weights is None else (*columns, weights),
                    carried=carried,
                )
            )
            table = _from_frame(frame, columns, weights, carried, drop=drop_missing)
        if to_fit:
            for j, name in enumerate(table.names):
                rows = table.rows
                check_size(name, rows[:, j] if isinstance(rows, np.ndarray) else rows[name].to_numpy(), table.present)
        return table
    except ValueError as error:
        raise ValueError(f"{name_of(source)}: {error}") from error


def check_request(
    source: str, columns: Sequence[str] | None, weights: str | None, carried: str | None, separator: str | None
) -> str:
    """Refuse arguments of `read_table` that do not go together; return the suffix that says the file's format.

    Raises
    ------
    OSError, ValueError
        As of `read_table`.
    """
    suffix = _suffix(source)
    if source != STANDARD_STREAM:
        if suffix not in READABLE and not Path(source).is_dir():
            expected = f"{', '.join(_TEXTS)} (also with .gz), .parquet, .npy"
            raise ValueError(f"{source}: unknown format {suffix!r}, expected one of {expected}")
        check_readable(source)
        if suffix not in _TEXTS and not Path(source).is_file():
            raise ValueError(f"{source}: is a pipe or a device, expected a {suffix} file on a disk")
        if separator is not None and suffix not in _TEXTS:
            raise ValueError(f"{source}: a separator is given, but {suffix} files have none")
    if columns is not None and len(set(columns)) < len(columns):
        twice = next(name for i, name in enumerate(columns) if name in columns[:i])
        raise ValueError(f"column {twice!r} is chosen twice")
    if carried is not None and suffix == ".npy":
        raise ValueError(f"{source}: column {carried!r} is to be carried through, but .npy files have no names")
    if columns is not None and weights in columns:
        raise ValueError(f"column {weights!r} is chosen both as weights and as data")
    return suffix


def likely_separator(source: str, suffix: str) -> str | None:
    """Return the usual separator of a text with that suffix, None if there is none."""
    return _SEPARATORS.get(suffix, "," if source == STANDARD_STREAM else None)


def check_readable(path: str) -> None:
    """Refuse a path that does not exist or is a folder, with the same words for every format.

    Raises
    ------
    OSError
        If there is no such file, or it is not a file.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no such file")
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path}: is a folder, expected a file")


def write_columns(columns: Mapping[str, NDArray[Any] | pl.Series], path: str | None) -> None:
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
        for piece in csv_pieces(frame, ","):
            write_results(piece)
        return
    suffix = format_of(path, WRITABLE)
    with writing(path) as stream:
        if suffix == ".parquet":
            # polars does not write to the file itself: its error for a full disk would be no OSError.
            content = io.BytesIO()
            frame.write_parquet(content)
            stream.write(content.getbuffer())
        else:
            for piece in csv_pieces(frame, _SEPARATORS[suffix]):
                stream.write(piece.encode())


def csv_pieces(frame: pl.DataFrame, separator: str, *, header: bool = True) -> Iterator[str]:
    """Yield a frame as the text of a table, some rows at a time, with or without the line of its columns' names."""
    for start in range(0, max(frame.height, 1), CHUNK_ROWS):
        yield frame.slice(start, CHUNK_ROWS).write_csv(include_header=header and start == 0, separator=separator)


def separator_of(suffix: str) -> str:
    """Return what is written between the columns of a text with that suffix."""
    return _SEPARATORS[suffix]


def name_of(source: str) -> str:
    """Return how a file is called in messages."""
    return "standard input" if source == STANDARD_STREAM else source


def _suffix(source: str) -> str:
    """Return the suffix that says the format: the one before .gz, if there is one. A pipe gives text."""
    path = Path(source.lower())
    suffix = path.suffix
    if suffix == ".gz":
        inner = Path(path.stem).suffix
        suffix = inner if inner in _TEXTS else f"{inner}.gz" if inner else ".txt"
    is_pipe = Path(source).exists() and not (Path(source).is_file() or Path(source).is_dir())
    return ".txt" if is_pipe and suffix not in READABLE else suffix


def _from_npy(source: str, columns: Sequence[str] | None, weights: str | None, *, drop: bool) -> Table:
    names, values, weight_column = load_npy(source, columns, weights)
    by_name = dict(zip(names, values.T, strict=True)) | dict([weight_column] if weight_column else [])
    for name, column in by_name.items():
        check_finite(name, column)
    present = find_missing(by_name, drop=drop)
    if present is not None:
        values = values[present]
    if weight_column is None:
        return Table(values, names, None, present)
    name, row_weights = weight_column
    row_weights = row_weights if present is None else row_weights[present]
    check_weights(name, row_weights, present)
    return Table(values, names, row_weights, present)


def _read_parquet(source: str) -> pl.DataFrame:
    with open(source, "rb") as stream:  # in a path polars would take [ and * for patterns, and read only UTF-8
        return polars_reading.read(polars_reading.polars().read_parquet, stream)


def _from_frame(
    frame: pl.DataFrame, columns: Sequence[str] | None, weights: str | None, carried: str | None, *, drop: bool
) -> Table:
    polars = polars_reading.polars()
    names, row_numbers = chosen_columns(frame.columns, columns, weights, carried, lambda: row_number_columns(frame))
    wanted = names if weights is None else (*names, weights)
    if not frame.height:
        raise ValueError(f"there are columns ({listed(frame.columns)}), but no rows")
    identifiers = None if carried is None else as_identifiers(frame[carried])
    if identifiers is not None and identifiers.dtype == polars.String:
        frame = frame.with_columns(numbers_of(identifiers))  # for a column that is data too
    values = {name: numbers(frame[name], frame) for name in wanted}
    by_name = {name: column.to_numpy() for name, column in values.items()}
    for name, column in by_name.items():
        check_finite(name, column)
    present = find_missing(by_name, drop=drop)
    rows = polars.DataFrame({name: values[name] for name in names})  # a list would give names to nameless columns
    if any(dtype != polars.Float32 for dtype in rows.dtypes):
        rows = rows.cast(polars.Float64)
    row_weights = None if weights is None else by_name[weights].astype(np.float64)
    if present is not None:
        rows = rows.filter(polars.Series(present))
        row_weights = None if row_weights is None else row_weights[present]
    if weights is not None and row_weights is not None:
        check_weights(weights, row_weights, present)
    return Table(rows, names, row_weights, present, row_numbers, identifiers)


def chosen_columns(
    there: Sequence[str],
    columns: Sequence[str] | None,
    weights: str | None,
    carried: str | None,
    row_number_columns: Callable[[], Collection[str]],
) -> tuple[tuple[str, ...], list[str]]:
    """Return the columns of data among those that are there, and those that hold row numbers and are left out.

    Raises
    ------
    ValueError
        If a column that is asked for is not there, or there is none of data.
    """
    names = tuple(columns) if columns is not None else tuple(name for name in there if name not in (weights, carried))
    row_numbers = [name for name in row_number_columns() if name in names] if columns is None else []
    if len(row_numbers) < len(names):  # a single column is data, whatever it looks like
        names = tuple(name for name in names if name not in row_numbers)
    else:
        row_numbers = []
    for name in (*names, *(name for name in (weights, carried) if name is not None)):
        if name not in there:
            raise ValueError(f"no column {name!r}: the columns are {listed(there)}")
    if not names:
        raise ValueError("there is no column of data" + ("" if weights is None else f" beside the weights {weights!r}"))
    return names, row_numbers


def as_identifiers(column: pl.Series) -> pl.Series:
    """Return a column that is carried through, if a text can hold its values."""
    polars = polars_reading.polars()
    if column.dtype.is_nested() or column.dtype in (polars.Binary, polars.Object):
        raise ValueError(
            f"column {column.name!r} holds {column.dtype}, expected texts, numbers or dates to carry through"
        )
    return column
