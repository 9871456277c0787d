"""Results of the rows of a long file: computed and written block by block, in the order of the file."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emix.cli.outputs import format_of, write_results
from emix.cli.polars_reading import polars
from emix.cli.progress import on_terminal, progress_on_stderr
from emix.cli.safeguards import messages_on_stderr
from emix.cli.table_words import in_place
from emix.cli.tables import WRITABLE, csv_pieces, separator_of
from emix.cli.text_content import STANDARD_STREAM
from emix.estimators.fit_state import parameters_of
from emix.estimators.progress import follow_scoring
from emix.files.output import is_regular_target, writing
from emix.gaussian.scoring import ZeroDensities, score_rows
from emix.requirements import require
from emix.rows.reading_ahead import read_ahead
from emix.rows.watching import watched

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, BinaryIO

    import polars as pl

    from emix.cli.long_tables import Block, LongTable
    from emix.estimators.gaussian_mixture import GaussianMixture
    from emix.gaussian.scoring import Scores


class ScoreSums(NamedTuple):
    """Sums over scores of rows: the summary of `emix score --json`."""

    total: float
    least: float
    rows: Any
    n_rows: int

    @classmethod
    def of(cls, scores: Scores, n_components: int) -> ScoreSums:
        """Return the sums over some rows."""
        assert scores.log_density is not None and scores.labels is not None
        density = scores.log_density.astype(np.float64)
        rows = np.bincount(scores.labels, minlength=n_components)
        return cls(float(density.sum()), float(density.min(initial=np.inf)), rows, len(density))

    def plus(self, other: ScoreSums) -> ScoreSums:
        """Return the sums over both."""
        return ScoreSums(
            self.total + other.total, min(self.least, other.least), self.rows + other.rows, self.n_rows + other.n_rows
        )

    def facts(self) -> dict[str, Any]:
        """Return what is shown."""
        return {"total": self.total, "mean": self.total / self.n_rows, "least": self.least, "rows": self.rows}


def score_long(
    estimator: GaussianMixture,
    table: LongTable,
    arguments: argparse.Namespace,
    columns_of: Callable[[Scores], dict[str, Any]] | None,
    **what: bool,
) -> ScoreSums | None:
    """Score all rows of a long file.

    Parameters
    ----------
    estimator : GaussianMixture
    table : LongTable
    arguments : argparse.Namespace
        With the path of the results and the name of the column that is carried.
    columns_of : callable or None
        Scores of some rows -> columns of the results. None: nothing is written.
    **what : bool
        What to compute, as for `score_rows`.

    Returns
    -------
    ScoreSums or None
        None where log-densities or labels are not computed.
    """
    sums: ScoreSums | None = None
    parameters, zeros = parameters_of(vars(estimator)), ZeroDensities()

    def columns(block: Block) -> Mapping[str, Any]:
        nonlocal sums
        scores = score_rows(block.X, parameters, **{"log_density": False, **what}, n_threads=estimator.n_threads)
        if scores.log_density is not None:
            zeros.add(block.X, scores.log_density)
        if scores.log_density is not None and scores.labels is not None:
            found = ScoreSums.of(scores, len(estimator.weights_))
            sums = found if sums is None else sums.plus(found)
        carried = {} if block.carried is None else {arguments.id: block.carried}
        return carried if columns_of is None else {**carried, **in_place(columns_of(scores), block.present)}

    with (
        messages_on_stderr(),
        progress_on_stderr(at_once=False, also_of_stdout=False),
        follow_scoring(on_terminal()) as follower,
    ):
        path = arguments.out
        if columns_of is None:
            for block in _blocks(table):
                columns(block)
        else:
            if path is None or path == STANDARD_STREAM or not is_regular_target(path):
                # What is written there cannot be taken back: bad rows are refused before the first result.
                follower.doing("checking")
                for _ in _blocks(table):
                    pass
            follower.doing("scoring")
            _write((columns(block) for block in _blocks(table)), path)
        zeros.warn()
    return sums


def _blocks(table: LongTable) -> Iterator[Block]:
    """Blocks of one pass, of which the next is read while one is computed."""
    done = 0

    def n_rows(block: Block) -> int:
        nonlocal done
        done += block.n_rows
        return block.n_rows

    return watched(read_ahead(table.blocks()), n_rows, lambda: table.file.expected_rows(done))


def _write(blocks: Iterator[Mapping[str, Any]], path: str | None) -> None:
    """Write blocks of columns to a CSV, TSV or Parquet file, or as CSV to standard output."""
    frames = (polars().DataFrame(dict(columns)) for columns in blocks)
    if path is None or path == STANDARD_STREAM:
        for k, frame in enumerate(frames):
            for piece in csv_pieces(frame, ",", header=k == 0):
                write_results(piece)
        return
    suffix = format_of(path, WRITABLE)
    with writing(path) as stream:
        if suffix == ".parquet":
            _write_parquet(frames, stream)
        else:
            for k, frame in enumerate(frames):
                for piece in csv_pieces(frame, separator_of(suffix), header=k == 0):
                    stream.write(piece.encode())


def _write_parquet(frames: Iterator[pl.DataFrame], stream: BinaryIO) -> None:
    """Write frames with the same columns as row groups of one file."""
    parquet = require("pyarrow.parquet", "parquet", "writing the results of a long file as Parquet")
    with contextlib.ExitStack() as stack:
        writer = None
        for frame in frames:
            found = frame.to_arrow()
            if writer is None:
                writer = stack.enter_context(parquet.ParquetWriter(stream, found.schema))
            writer.write_table(found.cast(writer.schema))
