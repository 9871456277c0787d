"""Arguments of the commands that read a table: the file, its columns, its rows without a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emix.cli import argument_types
from emix.cli.tables import READABLE

if TYPE_CHECKING:
    import argparse

FILE_HELP = f"rows to read: {', '.join(READABLE)}, or - for text on standard input; text also compressed (.gz)"
WEIGHTS_HELP = "column that holds the weight of each row"

_COLUMNS_HELP = (
    "columns to use, in this order, separated by commas (.npy: their numbers, from 0); default: all but row numbers, "
    "as pandas and R write them"
)


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Add what says how a table is read."""
    parser.add_argument("--columns", metavar="A,B,...", type=argument_types.names, help=_COLUMNS_HELP)
    parser.add_argument("--no-header", action="store_true", help="the text has no line of column names: x0, x1, ...")
    parser.add_argument(
        "--separator",
        metavar="CHARACTER",
        type=argument_types.separator,
        help="what separates the columns of a text: ';', tab, blank (any number of blanks), ... (default: what alone "
        "gives a table of numbers, else a comma, in .tsv a tab)",
    )
    parser.add_argument(
        "--missing",
        choices=("error", "drop"),
        default="error",
        help="rows without a value in a column (empty, NA, ., -, #N/A, ...): refuse the file, or leave them out; score "
        "and predict leave them empty in place (default: %(default)s)",
    )
