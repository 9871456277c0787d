"""The arguments of the commands that use a model file: score, predict, sample, plot, info."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emix.cli import argument_types, model_commands
from emix.cli.json_summary import SCORE_KEYS
from emix.cli.pictures import PICTURES
from emix.cli.table_arguments import FILE_HELP, WEIGHTS_HELP, add_columns
from emix.cli.tables import WRITABLE
from emix.plots.kinds import KINDS

if TYPE_CHECKING:
    import argparse

SCORE_NOTES = f"""\
examples:
  emix score model.npz rows.csv | head
  emix score model.npz rows.parquet --id name --out scores.parquet
  emix score model.npz rows.csv --json

{SCORE_KEYS}"""

PREDICT_NOTES = """\
examples:
  emix predict model.npz rows.csv --id name --out labels.csv

"""

SAMPLE_NOTES = """\
examples:
  emix sample model.npz -n 1000 --seed 0 --out rows.csv

"""

PLOT_NOTES = """\
examples:
  emix plot model.npz rows.csv --out picture.png
  emix plot model.npz rows.csv --kind pairs --features height,weight,age --out pairs.pdf
  emix plot model.npz --kind convergence --out course.svg

"""

_MODEL_HELP = "model file, written by emix fit --out"
_SCORED_HELP = FILE_HELP + "; the model's columns are found by name"
_TABLE_HELP = f"write {', '.join(WRITABLE)} (default: CSV on standard output)"


def add_score(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `emix score`."""
    _add_scored_rows(parser)
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE",
        help=_TABLE_HELP + "; columns log_density (nats), component (from 0), r0, r1, ...",
    )
    parser.add_argument(
        "--json", action="store_true", help="print a summary of the scores as one JSON object, not the rows: see below"
    )
    parser.set_defaults(run=model_commands.score)


def add_predict(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `emix predict`."""
    _add_scored_rows(parser)
    parser.add_argument(
        "-o", "--out", metavar="FILE", help=_TABLE_HELP + "; column component (from 0), or class of a model of --target"
    )
    parser.set_defaults(run=model_commands.predict)


def _add_scored_rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=_MODEL_HELP)
    parser.add_argument("file", metavar="FILE", help=_SCORED_HELP)
    add_columns(parser)
    parser.add_argument(
        "--id", metavar="NAME", help="a column that tells the rows apart: it is the first of the results, as it is"
    )


def add_sample(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `emix sample`."""
    parser.add_argument("model", metavar="MODEL", help=_MODEL_HELP)
    parser.add_argument(
        "-n",
        "--rows",
        metavar="N",
        type=argument_types.count,
        required=True,
        help="rows to draw; they come a component after the other",
    )
    parser.add_argument(
        "--seed", type=argument_types.seed, default=0, help="the same seed, the same rows (default: %(default)s)"
    )
    parser.add_argument(
        "-o", "--out", metavar="FILE", help=_TABLE_HELP + "; columns as those of the fit, or x0, x1, ..."
    )
    parser.set_defaults(run=model_commands.sample)


def add_plot(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `emix plot`."""
    without = " and ".join(name for name, kind in KINDS.items() if not kind.needs_rows)
    parser.add_argument("model", metavar="MODEL", help=_MODEL_HELP)
    parser.add_argument("file", metavar="FILE", nargs="?", help=f"{_SCORED_HELP}; {without} need no rows")
    parser.add_argument(
        "--kind",
        choices=tuple(KINDS),
        default="page",
        help="what is drawn: page has four panels, pairs a panel for each two columns (default: %(default)s)",
    )
    parser.add_argument(
        "--features",
        metavar="A,B,...",
        type=argument_types.names,
        help="columns to draw, by name: two for page, up to twelve for pairs, one or two for density and uncertainty; "
        "default: all, of more than two their principal plane, for pairs the six that differ most",
    )
    add_columns(parser)
    parser.add_argument("--weights", metavar="COLUMN", help=WEIGHTS_HELP)
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE",
        required=True,
        help=f"the picture: {', '.join(PICTURES)} (needs the extra emix[plot])",
    )
    parser.set_defaults(run=model_commands.plot)


def add_info(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `emix info`."""
    parser.add_argument("model", metavar="MODEL", help=_MODEL_HELP)
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object: see below")
    parser.set_defaults(run=model_commands.info)
