"""The parser of the command `emix`, and its help; fit_arguments.py and model_arguments.py have the options."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import TYPE_CHECKING

from emix.cli import commands
from emix.cli.fit_arguments import FIT_NOTES, REPORT_NOTES, add_fit, add_report
from emix.cli.json_summary import INFO_KEYS
from emix.cli.model_arguments import (
    PLOT_NOTES,
    PREDICT_NOTES,
    SAMPLE_NOTES,
    SCORE_NOTES,
    add_info,
    add_plot,
    add_predict,
    add_sample,
    add_score,
)
from emix.cli.safeguards import EXIT_DOUBTFUL, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_OK, EXIT_PIPE, EXIT_USAGE

if TYPE_CHECKING:
    from typing import Any, NoReturn

_EXIT_CODES = f"""\
exit codes:
  {EXIT_OK:3}  success
  {EXIT_ERROR:3}  the data, the model file or the fit was refused; nothing is printed on standard output
  {EXIT_USAGE:3}  wrong arguments, or results that would overwrite what is read
  {EXIT_DOUBTFUL:3}  fit, report: the iterations ran out before convergence, or a component shrank onto too few rows
       in every run; a warning says which, and all results are written
  {EXIT_INTERRUPTED:3}  interrupted (Ctrl-C), as a shell reports it; fit of several prints the best mixtures by then
  {EXIT_PIPE:3}  the reader of standard output, or of a FIFO, went away

Errors and warnings are one line each on standard error: "emix: error: ..." and "emix: warning: ...".
"""


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

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        names = {str(choice).casefold(): str(choice) for choice in action.choices}
        near = difflib.get_close_matches(str(value).casefold(), names, n=1)
        hint = f": did you mean {names[near[0]]}?" if near else ""
        listed = ", ".join(map(repr, names.values()))
        raise argparse.ArgumentError(action, f"invalid choice: {value!r} (choose from {listed}){hint}")

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
        (add_fit, "fit", "fit a mixture to the rows of a file", FIT_NOTES),
        (
            add_report,
            "report",
            "choose a mixture, and write a page about the data, the choice and its doubts",
            REPORT_NOTES,
        ),
        (add_score, "score", "log-density, component and responsibilities of each row", SCORE_NOTES),
        (add_predict, "predict", "component of each row", PREDICT_NOTES),
        (add_sample, "sample", "draw rows from a mixture", SAMPLE_NOTES),
        (add_plot, "plot", "draw a mixture, usually with the rows of its fit", PLOT_NOTES),
        (add_info, "info", "summarize a model file", INFO_KEYS),
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


def _version() -> str:
    import emix

    return emix.__version__
