"""Rows in blocks that a function hands out, or an Arrow table or data set: read again for each pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from emix.exceptions import shown
from emix.requirements import require
from emix.rows.conversion import as_numbers, column_names, few, is_arrow_data, is_frame
from emix.rows.parquet_files import as_numpy, check_no_nulls, dtype_of, is_numeric, scan_options
from emix.rows.pieces import ArrayPiece, ColumnsPiece, Layout
from emix.rows.streamed import StreamedRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emix.rows.pieces import Piece

__all__ = ["BlockSource"]

# Rows of the record batches that a data set is asked for: it holds several at a time.
_DATASET_ROWS = 1 << 15


class BlockSource(StreamedRows):
    """Rows in blocks, handed out anew for each pass by a function: a `RowSource` of whatever Python can read.

    Memory does not grow with the number of rows: three batches of 65 536 rows, or of 8 MB, are held beside the block.

    Parameters
    ----------
    blocks : callable, pyarrow.Table, pyarrow.dataset.Dataset
        Called without arguments for each pass, it returns a new iterator of blocks, with the same rows in the same
        order each time; blocks may end anywhere. A block is an array, a data frame, a RecordBatch or Table of pyarrow,
        or a tuple of one of them and its weights, one for each row. All blocks have the same columns, and are float32
        or float64 alike; integers, booleans and other numbers become float64, dictionary columns of Arrow are refused.
        Another thread runs the iterator, while the block before is computed; a block's memory may be used again for
        the next.
    columns : sequence of str, optional
        Names of the columns to take, in this order, where blocks have names; by default all but `weight`.
    weight : str, optional
        Name of a column with a weight for each row: not negative, not all zero.

    Raises
    ------
    TypeError
        If `blocks` can be read only once, or is no callable.

    Notes
    -----
    ``n_rows``, ``n_features``, ``dtype`` and ``feature_names`` are those of the first pass, which is made when one of
    them is asked for. A later pass with another number of rows, or another sum of weights, is refused.

    Examples
    --------
    >>> import emix
    >>> import numpy as np
    >>> def blocks():
    ...     for seed in range(100):
    ...         yield np.random.default_rng(seed).normal([[0.0, 0.0], [5.0, 5.0]] * 500)
    >>> gm = emix.GaussianMixture(2, random_state=0).fit(emix.BlockSource(blocks))
    >>> gm.total_weight_, sorted((gm.means_.round() + 0.0).tolist())
    (100000.0, [[0.0, 0.0], [5.0, 5.0]])
    """

    def __init__(
        self,
        blocks: Any,
        columns: Sequence[str] | None = None,
        weight: str | None = None,
        *,
        sample_weight: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(sample_weight, "sample_weight" if weight is None else f"column {weight!r}")
        if columns is not None and (isinstance(columns, str) or not all(isinstance(name, str) for name in columns)):
            raise TypeError(f"columns is {columns!r}, expected a list of names, such as ['x', 'y'].")
        self.columns_read = None if columns is None else tuple(columns)
        self.weight = weight
        self._blocks = _function_of(blocks, self)
        self._last: Any = None

    def pieces(self, most: int) -> Iterator[Piece]:
        """Hand out the blocks of one pass."""
        found = self._blocks()
        if isinstance(found, Iterator):
            if found is self._last:
                raise TypeError(
                    f"blocks returned the same {type(found).__name__} as for the pass before, which can be read only "
                    "once: return a new iterator for each pass."
                )
            self._last = found
        if not isinstance(found, Iterable):
            raise TypeError(f"blocks returned {shown(found)}, expected an iterator of blocks of rows.")
        number = 0
        try:
            for block in found:
                yield from self._pieces_of(block, f"block {number}")
                number += 1
        except (Exception, KeyboardInterrupt) as error:
            error.add_note(f"emix was reading block {number} of a pass over the rows.")
            raise

    def _pieces_of(self, block: Any, called: str) -> Iterator[Piece]:
        rows, weight = block, None
        if isinstance(block, tuple):
            if len(block) != 2:
                raise ValueError(f"{called} is a tuple of {len(block)}, expected (rows, weights).")
            if self.weight is not None:
                raise ValueError(
                    f"{called} is a tuple with weights, but weight={self.weight!r} names a column of weights. Pass one "
                    "of them."
                )
            rows, weight = block
        if is_arrow_data(rows) and hasattr(rows, "column_names"):
            yield from self._arrow_pieces(rows, weight, called)
            return
        names = column_names(rows) if is_frame(rows) else None
        if names is None and (self.columns_read is not None or self.weight is not None):
            raise ValueError(
                f"{called} is {_kind(rows)} without names of columns, expected a data frame or an Arrow batch: "
                "columns= and weight= name its columns."
            )
        if names is not None and (self.columns_read is not None or self.weight is not None):
            chosen, weight_at = self._chosen(names, called)
            weight = weight if weight_at is None else rows[self.weight]
            rows, names = rows[list(chosen)], list(chosen)
        X = as_numbers(rows, called)
        if X.ndim != 2:
            raise ValueError(
                f"Expected 2D array, got {X.ndim}D array instead: {called} has shape {X.shape}. A block has one row "
                "for each sample, one column for each feature."
            )
        layout = Layout.of(X, names, weight is not None)
        yield ArrayPiece(layout, lambda _: called, 0, X, _weights(weight, len(X), called))

    def _arrow_pieces(self, rows: Any, weight: Any, called: str) -> Iterator[Piece]:
        chosen, weight_at = self._chosen(rows.column_names, called)
        types = {name: rows.schema.field(name).type for name in (*chosen, *([] if weight_at is None else [weight_at]))}
        for j, (name, kind) in enumerate(types.items()):
            if not is_numeric(kind):
                raise ValueError(
                    f"{called} has column {j} ({name!r}) of the type {kind}, expected numbers. Convert the column to "
                    "float, or leave it out: columns= of emix.BlockSource names those that are read."
                )
        given = weight is not None or weight_at is not None
        layout = Layout(len(chosen), dtype_of(types[name] for name in chosen), chosen, given, "F")
        weights = _weights(weight, rows.num_rows, called)
        labels = [f"column {j} ({name!r})" for j, name in enumerate(types)]
        first = 0
        for batch in _batches(rows):
            found = [batch.column(name) for name in types]
            check_no_nulls(found, labels, lambda _: called, first)
            columns = [as_numpy(column) for column in found]
            last = first + batch.num_rows
            of_column = None if weight_at is None else columns.pop()
            part = of_column if weights is None else weights[first:last]
            yield ColumnsPiece(layout, lambda _: called, first, columns, part, batch.num_rows)
            first = last

    def _chosen(self, names: Sequence[Any], called: str) -> tuple[tuple[str, ...], str | None]:
        """Names of the columns to take, and that of the weight."""
        chosen = self.columns_read
        if chosen is None:
            chosen = tuple(name for name in names if name != self.weight)
        for name in (*chosen, *([] if self.weight is None else [self.weight])):
            if list(names).count(name) != 1:
                raise ValueError(
                    f"{called} has the columns {few(names)}, expected one {name!r}, which is asked for. Name columns "
                    "that are there once in every block."
                )
        return chosen, self.weight

    def _called(self) -> str:
        return "the stream of blocks"


def _function_of(blocks: Any, source: BlockSource) -> Callable[[], Any]:
    """Return the function that hands out the blocks of a pass."""
    if is_arrow_data(blocks):
        if not hasattr(blocks, "scanner"):
            return lambda: [blocks]
        names = blocks.schema.names
        chosen = source._chosen(names, "the data set")
        columns = [*chosen[0], *([] if chosen[1] is None else [chosen[1]])]
        options = scan_options(blocks)
        return lambda: blocks.to_batches(columns=columns, batch_size=_DATASET_ROWS, **options)
    if callable(blocks):
        function: Callable[[], Any] = blocks
        return function
    what = "which can be read only once" if isinstance(blocks, Iterator) else "which is no callable"
    raise TypeError(
        f"blocks is {_kind(blocks)}, {what}; a fit makes many passes. Pass a callable that returns a new iterator for "
        "each pass."
    )


def _batches(rows: Any) -> Iterable[Any]:
    """Record batches of a table; a record batch is one."""
    arrow = require("pyarrow", "parquet", "reading Arrow tables")
    batches: Iterable[Any] = [rows] if isinstance(rows, arrow.RecordBatch) else rows.to_batches()
    return batches


def _weights(weight: Any, n_rows: int, called: str) -> NDArray[np.float64] | None:
    if weight is None:
        return None
    found = as_numbers(weight, f"the weights of {called}")
    if found.shape != (n_rows,):
        raise ValueError(
            f"the weights of {called} have shape {found.shape}, expected ({n_rows},): one weight for each row."
        )
    return np.asarray(found, dtype=np.float64)


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"
