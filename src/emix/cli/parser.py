"""The arguments of the command `emix`, and its help."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import TYPE_CHECKING

from emix.choice.request import CRITERIA
from emix.cli import argument_types, commands, model_commands
from emix.cli.json_summary import FIT_KEYS, INFO_KEYS, SCORE_KEYS
from emix.cli.pictures import PICTURES
from emix.cli.safeguards import EXIT_DOUBTFUL, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_OK, EXIT_PIPE, EXIT_USAGE
from emix.cli.tables import READABLE, WRITABLE
from emix.gaussian.structures import NAMES
from emix.starts.auto import INIT_PARAMS

if TYPE_CHECKING:
    from typing import Any, NoReturn

_EXIT_CODES = f"""\
exit codes:
  {EXIT_OK:3}  success
  {EXIT_ERROR:3}  the data, the model file or the fit was refused; nothing is printed on standard output
  {EXIT_USAGE:3}  wrong arguments, or results that would overwrite what is read
  {EXIT_DOUBTFUL:3}  fit: the iterations ran out before convergence, or a component shrank onto too few rows
       in every run; a warning says which, and all results are written
  {EXIT_INTERRUPTED:3}  interrupted (Ctrl-C), as a shell reports it; fit of several prints the best mixtures by then
  {EXIT_PIPE:3}  the reader of standard output, or of a FIFO, went away

Errors and warnings are one line each on standard error: "emix: error: ..." and "emix: warning: ...".
"""

_FIT_EXAMPLES = """\
examples:
  emix data faithful --out faithful.csv
  emix fit faithful.csv --components 2
  emix fit faithful.csv --components 2 --out model.npz --plot fit.png --n-init 10
  emix fit faithful.csv --components 1-9 --covariance all --plot choice.png --out model.npz
  emix fit people.parquet --components 3 --columns height,weight --weights population
  zcat rows.csv.gz | emix fit - --components 4 --covariance diag --quiet --out model.npz
  emix fit faithful.csv --components 2 --json | jq .fit.bic

"""

_SCORE_EXAMPLES = """\
examples:
  emix score model.npz rows.csv | head
  emix score model.npz rows.parquet --id name --out scores.parquet
  emix score model.npz rows.csv --json

"""

_PREDICT_EXAMPLES = """\
examples:
  emix predict model.npz rows.csv --id name --out labels.csv

"""

_SAMPLE_EXAMPLES = """\
examples:
  emix sample model.npz -n 1000 --seed 0 --out rows.csv

"""

_PLOT_EXAMPLES = """\
examples:
  emix plot model.npz rows.csv --out picture.png

"""

_FILE_HELP = f"rows to read: {', '.join(READABLE)}, or - for text on standard input; text also compressed (.gz)"
_MODEL_HELP = "model file, written by emix fit --out"
_SCORED_HELP = _FILE_HELP + "; the model's columns are found by name"
_TABLE_HELP = f"write {', '.join(WRITABLE)} (default: CSV on standard output)"

_COLUMNS_HELP = (
    "columns to use, in this order, separated by commas (.npy: their numbers, from 0); default: all but row numbers, "
    "as pandas and R write them"
)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all errors of the command, and propose the option that was meant."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        # Checked before argparse, which would report a missing option instead of the mistyped one.
        known = list(self._option_string_actions)
        arguments = sys.argv[1:] if args is None else args
        if "--" in arguments:
            arguments = arguments[: arguments.index("--")]
        for argument in arguments:
            if self._subparsers is not None and not argument.startswith("-"):
                break  # the rest belongs to the command
            option = argument.partition("=")[0]
            if f"-{option}" in known:  # argparse would read -out as -o ut
                self.error(f"unknown option {option}: did you mean -{option}?")
            if option.startswith("--") and option not in known and " " not in option:
                words = [name[2:] for name in known if name.startswith("--")]
                begun = [word for word in words if word.startswith(option[2:]) or option[2:].startswith(word)]
                for near in begun[:1] or difflib.get_close_matches(option[2:], words, n=1):
                    self.error(f"unknown option {option}: did you mean --{near}?")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"emix: error: {message} (see {self.prog} --help)\n")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with all commands and their options."""
    parser = _Parser(
        prog="emix",
        description="Gaussian mixtures by expectation-maximization.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"emix {_version()}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add, name, text, notes in (
        (_add_fit, "fit", "fit a mixture to the rows of a file", _FIT_EXAMPLES + FIT_KEYS),
        (
            _add_score,
            "score",
            "log-density, component and responsibilities of each row",
            _SCORE_EXAMPLES + SCORE_KEYS,
        ),
        (_add_predict, "predict", "component of each row", _PREDICT_EXAMPLES),
        (_add_sample, "sample", "draw rows from a mixture", _SAMPLE_EXAMPLES),
        (_add_plot, "plot", "draw a mixture with the rows of a file", _PLOT_EXAMPLES),
        (_add_info, "info", "summarize a model file", INFO_KEYS),
        (_add_data, "data", "write a data set that comes with emix as CSV", ""),
    ):
        add(
            subparsers.add_parser(
                name,
                help=text,
                description=text[0].upper() + text[1:] + ".",
                epilog=notes + _EXIT_CODES,
                formatter_class=argparse.RawDescriptionHelpFormatter,
                allow_abbrev=False,
            )
        )
    return parser


def _add_fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help=_FILE_HELP)
    parser.add_argument(
        "-k",
        "--components",
        metavar="K",
        type=argument_types.counts,
        required=True,
        help="number of components; of a range, such as 1-9, or a list, such as 2,3,5, one is chosen",
    )
    parser.add_argument(
        "--covariance",
        metavar="NAME",
        type=argument_types.covariances,
        default="full",
        help=f"structure of the covariances: {', '.join(NAMES)}; of several, separated by commas, or of all, one is "
        "chosen (default: %(default)s)",
    )
    parser.add_argument(
        "--criterion",
        choices=CRITERIA,
        help="how to choose among several mixtures (default: bic; cv is the log-likelihood of rows held out)",
    )
    parser.add_argument(
        "--folds",
        metavar="N",
        type=argument_types.count,
        default=5,
        help="parts held out in turn for cv (default: %(default)s)",
    )
    _add_columns(parser)
    parser.add_argument("--weights", metavar="COLUMN", help="column that holds the weight of each row")
    outputs = parser.add_argument_group("results")
    outputs.add_argument(
        "-o",
        "--out",
        metavar="MODEL",
        help="write the model file; .npz is the customary ending, and - is standard output, without a summary",
    )
    outputs.add_argument(
        "--plot",
        metavar="FILE",
        help=f"draw the fit, or the criterion of several: {', '.join(PICTURES)} (needs the extra emix[plot])",
    )
    outputs.add_argument("--json", action="store_true", help="print the summary as one JSON object: see below")
    volume = outputs.add_mutually_exclusive_group()
    volume.add_argument("-q", "--quiet", action="store_true", help="print no summary")
    volume.add_argument(
        "-v", "--verbose", action="store_true", help="progress on standard error (on a terminal: after two seconds)"
    )
    search = parser.add_argument_group("the fit")
    search.add_argument(
        "--n-init", metavar="N", type=argument_types.count, default=1, help="runs, the best one wins (default: 1)"
    )
    search.add_argument(
        "--init",
        choices=INIT_PARAMS,
        default="auto",
        help="how a run starts (default: %(default)s)",
    )
    search.add_argument(
        "--tol",
        type=argument_types.nonnegative,
        default=1e-6,
        help="stop when the log-likelihood per row changes by less (default: %(default)s)",
    )
    search.add_argument(
        "--reg-covar",
        type=argument_types.reg_covar,
        default="auto",
        help="added to the variances: a number, in the squared units of the columns, or auto, which follows each "
        "column's scale (default: %(default)s)",
    )
    search.add_argument(
        "--max-iter", metavar="N", type=argument_types.count, default=1000, help="iterations (default: %(default)s)"
    )
    search.add_argument(
        "--seed",
        type=argument_types.seed,
        default=0,
        help="of the starts: the same seed, the same fit (default: %(default)s)",
    )
    search.add_argument("--threads", metavar="N", type=argument_types.count, help="default: what the machine lends")
    parser.set_defaults(run=commands.fit)


def _add_score(parser: argparse.ArgumentParser) -> None:
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


def _add_predict(parser: argparse.ArgumentParser) -> None:
    _add_scored_rows(parser)
    parser.add_argument("-o", "--out", metavar="FILE", help=_TABLE_HELP + "; column component (from 0)")
    parser.set_defaults(run=model_commands.predict)


def _add_scored_rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=_MODEL_HELP)
    parser.add_argument("file", metavar="FILE", help=_SCORED_HELP)
    _add_columns(parser)
    parser.add_argument(
        "--id", metavar="NAME", help="a column that tells the rows apart: it is the first of the results, as it is"
    )


def _add_sample(parser: argparse.ArgumentParser) -> None:
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


def _add_plot(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=_MODEL_HELP)
    parser.add_argument("file", metavar="FILE", help=_SCORED_HELP)
    _add_columns(parser)
    parser.add_argument("--weights", metavar="COLUMN", help="column that holds the weight of each row")
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE",
        required=True,
        help=f"the picture: {', '.join(PICTURES)} (needs the extra emix[plot])",
    )
    parser.set_defaults(run=model_commands.plot)


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=_MODEL_HELP)
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object: see below")
    parser.set_defaults(run=model_commands.info)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        choices=sorted(commands.DATASETS),
        help=f"{', '.join(sorted(commands.DATASETS))}; without a name: describe them",
    )
    parser.add_argument("-o", "--out", metavar="FILE", help="write a file (default: standard output)")
    parser.set_defaults(run=commands.data)


def _add_columns(parser: argparse.ArgumentParser) -> None:
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


def _version() -> str:
    import emix

    return emix.__version__
