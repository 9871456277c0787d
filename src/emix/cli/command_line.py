"""The command `emix`: fit, report, score, info, data.

    emix data faithful --out faithful.csv
    emix fit faithful.csv --components 2 --out faithful.npz --plot faithful.png
    emix report faithful.csv --out report.html
    emix score faithful.npz faithful.csv --out scores.csv
    emix info faithful.npz

This file has the arguments, and keeps the promises to a shell script: exit codes, one line per error
on standard error, only results on standard output. The commands themselves are in commands.py.
"""

from __future__ import annotations

import argparse
import difflib
import os
import signal
import sys
from typing import TYPE_CHECKING

from emix.choice.request import CRITERIA
from emix.cli import argument_types, commands
from emix.cli.commands import EXIT_DOUBTFUL, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_OK, EXIT_PIPE, EXIT_USAGE
from emix.cli.outputs import flush_results, open_closed_streams, say
from emix.cli.tables import READABLE, WRITABLE
from emix.gaussian.structures import NAMES
from emix.starts.auto import INIT_PARAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

_EXIT_CODES = f"""\
exit codes:
  {EXIT_OK:3}  success
  {EXIT_ERROR:3}  the data, the model file or the fit was refused; nothing is printed on standard output
  {EXIT_USAGE:3}  wrong arguments, or results that would overwrite what is read
  {EXIT_DOUBTFUL:3}  fit: the iterations ran out before convergence, or a component shrank onto too few rows
       in every run; a warning says which, and all results are written
  {EXIT_INTERRUPTED:3}  interrupted (Ctrl-C), as a shell reports it
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

"""

_REPORT_EXAMPLES = """\
examples:
  emix report faithful.csv --out report.html
  emix report rows.csv -k 1-9 --covariance all --columns height,weight --out report.html

"""

_SCORE_EXAMPLES = """\
examples:
  emix score model.npz rows.csv | head
  emix score model.npz rows.parquet --out scores.parquet

"""

_FILE_HELP = f"rows to read: {', '.join(READABLE)}, or - for text on standard input; text also compressed (.gz)"
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `emix` and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the command's name; by default those of the process.

    Returns
    -------
    int
        0 success; 1 refused data, model file or fit; 2 wrong arguments; 3 fitted, but not converged or degenerate;
        130 interrupted; 141 standard output was closed.
    """
    if argv is None:
        open_closed_streams()
    code = _run(argv)
    try:
        flush_results()
    except BrokenPipeError:
        return EXIT_PIPE
    except OSError as error:
        if code in (EXIT_OK, EXIT_DOUBTFUL):  # after other codes an error was reported already
            say(f"emix: error: {_one_line(error)}")
            return EXIT_ERROR
    return code


def _run(argv: Sequence[str] | None) -> int:
    """Run the command; print every expected error as one line, and return its exit code."""
    try:
        arguments = make_parser().parse_args(argv)
        arguments.words = list(sys.argv[1:] if argv is None else argv)
        run: Callable[[argparse.Namespace], int] = arguments.run
        return run(arguments)
    except SystemExit as stop:  # argparse: --help, --version and usage errors
        return stop.code if isinstance(stop.code, int) else EXIT_OK
    except KeyboardInterrupt:
        say("emix: interrupted")
        if argv is None:
            _die_of_interruption()
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_PIPE
    except commands.UsageError as error:
        say(f"emix: error: {_one_line(error)}")
        return EXIT_USAGE
    except (ValueError, OSError, ImportError, MemoryError) as error:
        say(f"emix: error: {_one_line(error)}")
        return EXIT_ERROR


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
    for add, name, text, examples in (
        (_add_fit, "fit", "fit a mixture to the rows of a file", _FIT_EXAMPLES),
        (
            _add_report,
            "report",
            "choose a mixture, and write a page about the data, the choice and its doubts",
            _REPORT_EXAMPLES,
        ),
        (_add_score, "score", "log-density, component and responsibilities of each row", _SCORE_EXAMPLES),
        (_add_info, "info", "summarize a model file", ""),
        (_add_data, "data", "write a data set that comes with emix as CSV", ""),
    ):
        add(
            subparsers.add_parser(
                name,
                help=text,
                description=text[0].upper() + text[1:] + ".",
                epilog=examples + _EXIT_CODES,
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
    _add_choice(parser)
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
        help=f"draw the fit, or the criterion of several: {', '.join(commands.PICTURES)} (needs the extra emix[plot])",
    )
    _add_volume(outputs)
    _add_search(parser)
    parser.set_defaults(run=commands.fit)


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help=_FILE_HELP)
    parser.add_argument(
        "-k",
        "--components",
        metavar="K",
        type=argument_types.counts,
        default=list(range(1, 10)),
        help="number of components; of a range or a list, one is chosen (default: 1-9)",
    )
    parser.add_argument(
        "--covariance",
        metavar="NAME",
        type=argument_types.covariances,
        default="all",
        help="structures of the covariances, as for emix fit (default: %(default)s)",
    )
    _add_choice(parser)
    outputs = parser.add_argument_group("results")
    outputs.add_argument(
        "-o", "--out", metavar="FILE", required=True, help="write the page, .html; - is standard output"
    )
    _add_volume(outputs)
    _add_search(parser)
    parser.add_argument(
        "--starts",
        metavar="N",
        type=argument_types.count_or_none,
        default=10,
        help="starts from which the chosen mixture is fitted again, to look for other modes (default: %(default)s)",
    )
    parser.set_defaults(run=commands.report)


def _add_choice(parser: argparse.ArgumentParser) -> None:
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


def _add_volume(outputs: Any) -> None:
    volume = outputs.add_mutually_exclusive_group()
    volume.add_argument("-q", "--quiet", action="store_true", help="print no summary")
    volume.add_argument(
        "-v", "--verbose", action="store_true", help="progress on standard error (on a terminal: after two seconds)"
    )


def _add_search(parser: argparse.ArgumentParser) -> None:
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


def _add_score(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="model file, written by emix fit --out")
    parser.add_argument("file", metavar="FILE", help=_FILE_HELP + "; the model's columns are found by name")
    _add_columns(parser)
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE",
        help=f"write {', '.join(WRITABLE)} (default: CSV on standard output); columns log_density (nats), component "
        "(from 0), r0, r1, ...",
    )
    parser.set_defaults(run=commands.score)


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="model file, written by emix fit --out")
    parser.set_defaults(run=commands.info)


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
        "leaves them empty in place (default: %(default)s)",
    )


def _version() -> str:
    import emix

    return emix.__version__


def _one_line(error: BaseException) -> str:
    """Return an error's text as one line, without Python's decorations."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}" if str(error) else "not enough memory"
    return " ".join(str(error).split()) or type(error).__name__


def _die_of_interruption() -> None:
    """End the process by the signal itself, on systems that have signals.

    A shell then reports 130 and ends its loop too. It would not end its loop after a process that merely exits with
    130. And the end does not wait for a thread that was just being started.
    """
    if os.name == "posix":
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
