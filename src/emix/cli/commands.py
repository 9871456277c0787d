"""The commands `emix fit`, `emix report` and `emix data`; model_commands.py has those that use a model file.

Their arguments are in fit_arguments.py and parser.py. A command takes the parsed arguments and returns an exit code.
Refusals are ValueError, OSError or ImportError, with a message for the user of the command.
"""

from __future__ import annotations

import contextlib
import io
import shlex
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from emix.choice.selection import SelectionInterrupted
from emix.cli.json_summary import choice_facts, data_facts, fit_facts, is_degenerate, model_facts, write_json
from emix.cli.outputs import check_writable, is_standard_output, pass_on, write_results
from emix.cli.pictures import check_picture, write_picture
from emix.cli.safeguards import (
    EXIT_DOUBTFUL,
    EXIT_OK,
    UsageError,
    messages_on_stderr,
    refuse_overwriting,
    refuse_terminal,
)
from emix.cli.table_words import digest_of, file_title, left_out, printable, say_what_is_left_out
from emix.cli.tables import read_table
from emix.cli.text_content import STANDARD_STREAM
from emix.datasets.faithful import faithful_csv, load_faithful
from emix.estimators.mixture_file import mixture_bytes
from emix.files.output import writing
from emix.requirements import require
from emix.summary.fitted import assign
from emix.summary.selection import interrupted_text
from emix.summary.summary import summary

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from typing import Any, TextIO

    from matplotlib.figure import Figure

    from emix.choice.selection import MixtureSelection
    from emix.cli.tables import Table
    from emix.estimators.gaussian_mixture import GaussianMixture

DATASETS = {"faithful": (load_faithful, faithful_csv)}

# A fit that ends sooner shows no progress on a terminal: it would only flicker.
_PATIENCE_SECONDS = 2.0


def fit(arguments: argparse.Namespace) -> int:
    """`emix fit`: fit, or choose among several fits; write the requested files, print the summary."""
    # Anything that could spoil the results is refused before the fit, which may take long.
    model_on_stdout = arguments.out is not None and is_standard_output(arguments.out)
    if arguments.out is not None:
        refuse_terminal(arguments.out, "--out", "a model file")
        if arguments.out != STANDARD_STREAM:
            check_writable(arguments.out)
    if arguments.plot is not None:
        check_picture(arguments.plot, "--plot")
    if arguments.json and (model_on_stdout or arguments.quiet):
        other = f"--out {arguments.out} writes the model file to standard output" if model_on_stdout else "--quiet none"
        raise UsageError(f"--json prints a summary, and {other}: leave one out")
    refuse_overwriting(arguments.out, "--out", FILE=arguments.file)
    refuse_overwriting(arguments.plot, "--plot", FILE=arguments.file)
    if arguments.out != STANDARD_STREAM:
        refuse_overwriting(arguments.plot, "--plot", **{"--out": arguments.out})
    table = _read(arguments)
    shows_text = not (arguments.json or arguments.quiet or model_on_stdout)
    try:
        fitted = _fit_or_choose(arguments, table)
    except SelectionInterrupted as interruption:
        criterion = arguments.criterion or "bic"
        if arguments.json:
            _write_json(arguments, table, None, choice_facts(interruption.table, criterion, None))
        elif shows_text and (text := interrupted_text(interruption.table, criterion)):
            write_results(f"{text}\n")
        raise
    estimator = fitted.estimator
    if arguments.out is not None:
        if arguments.out == STANDARD_STREAM:
            write_results(mixture_bytes(estimator))
        else:
            estimator.save(arguments.out)
    if arguments.plot is not None:
        write_picture(fitted.draw(), arguments.plot)
    if arguments.json:
        chosen = fitted.selection
        choice = None if chosen is None else choice_facts(chosen.table_, chosen.criterion, chosen.best_row_)
        _write_json(arguments, table, fitted, choice)
    elif shows_text:
        write_results(_text(arguments, table, fitted))
    return _exit_code(estimator)


def report(arguments: argparse.Namespace) -> int:
    """`emix report`: choose among mixtures, and write a page about the data, the choice and what to doubt."""
    if arguments.out != STANDARD_STREAM:
        check_writable(arguments.out, (".html", ".htm"))
    require("matplotlib.figure", "plot", "a report")
    refuse_overwriting(arguments.out, "--out", FILE=arguments.file)
    table = _read(arguments)
    fitted = _fit_or_choose(arguments, table)
    from emix.report.report import Origin, report_html

    command = printable(f"emix {shlex.join(arguments.words)}")
    left = left_out(table, "are left out")
    origin = Origin(file_title(arguments.file), command, arguments.seed, digest_of(arguments.file), left)
    with _progress_on_stderr(at_once=arguments.verbose):
        page = report_html(
            fitted.estimator,
            table.rows,
            table.weights,
            table.names,
            origin,
            selection=fitted.selection,
            warned=fitted.warned,
            n_starts=arguments.starts,
            verbose=_verbosity(arguments),
        ).encode()
    if arguments.out == STANDARD_STREAM:
        write_results(page)
    else:
        with writing(arguments.out) as stream:
            stream.write(page)
        if not arguments.quiet:
            write_results(f"{_descriptions(table, fitted)[0].splitlines()[0]}\nReport  {arguments.out}\n")
    return _exit_code(fitted.estimator)


def _read(arguments: argparse.Namespace) -> Table:
    """Read the table of `emix fit` and `emix report`."""
    table = read_table(
        arguments.file,
        columns=arguments.columns,
        weights=arguments.weights,
        header=not arguments.no_header,
        separator=arguments.separator,
        drop_missing=arguments.missing == "drop",
        to_fit=True,
    )
    say_what_is_left_out(arguments.file, table, "are left out")
    return table


def _exit_code(estimator: GaussianMixture) -> int:
    """Return the code that says whether the fit is to be doubted, of which it has already warned."""
    return EXIT_OK if estimator.converged_ and not is_degenerate(estimator) else EXIT_DOUBTFUL


class _Fitted(NamedTuple):
    """A fitted mixture, the function that draws the fit, its warnings, and the choice that the mixture comes from."""

    estimator: GaussianMixture
    draw: Callable[[], Figure]
    warned: list[str]
    selection: MixtureSelection | None = None


def _descriptions(table: Table, fitted: _Fitted) -> list[str]:
    """Return the summaries of the choice, if there was one, and of the mixture."""
    parts = [] if fitted.selection is None else [str(fitted.selection)]
    return [*parts, summary(fitted.estimator, table.rows, table.weights, feature_names=table.names)]


def _text(arguments: argparse.Namespace, table: Table, fitted: _Fitted) -> str:
    """Return the summary: of the choice, of the mixture, of the files that were written."""
    parts = _descriptions(table, fitted)
    files = ((arguments.out, "Model file  "), (arguments.plot, "Picture     "))
    written = [label + path for path, label in files if path is not None]
    if written:
        parts.append("\n".join(written))
    return "\n\n".join(parts) + "\n"


def _write_json(
    arguments: argparse.Namespace, table: Table, fitted: _Fitted | None, choice: dict[str, Any] | None
) -> None:
    """Write the summary as JSON; there is no mixture yet if the choice was interrupted."""
    model = fit = None
    if fitted is not None:
        model = model_facts(fitted.estimator, table.names)
        fit = fit_facts(fitted.estimator, assign(fitted.estimator, table.rows, table.weights))
    files = {"model": arguments.out, "picture": arguments.plot} if fitted else {"model": None, "picture": None}
    content = {"data": data_facts(arguments.file, table), "model": model, "fit": fit, "choice": choice, "files": files}
    write_json("fit", content)


def _fit(arguments: argparse.Namespace, table: Table) -> _Fitted:
    """Fit one mixture."""
    from emix.estimators.gaussian_mixture import GaussianMixture

    estimator = GaussianMixture(
        arguments.components[0],
        covariance_type=arguments.covariance,
        tol=arguments.tol,
        reg_covar=arguments.reg_covar,
        max_iter=arguments.max_iter,
        n_init=arguments.n_init,
        init_params=arguments.init,
        random_state=arguments.seed,
        verbose=_verbosity(arguments),
        n_threads=arguments.threads,
    )
    with messages_on_stderr() as warned, _progress_on_stderr(at_once=arguments.verbose):
        estimator.fit(table.rows, sample_weight=table.weights)
    # The model file does not keep the verbosity of this command.
    estimator.verbose = 0

    def draw() -> Figure:
        from emix.plots.plots import plot_mixture

        return plot_mixture(
            estimator,
            table.rows,
            sample_weight=table.weights,
            feature_names=table.names,
            title=file_title(arguments.file),
        )

    return _Fitted(estimator, draw, warned)


def _verbosity(arguments: argparse.Namespace) -> int:
    """Progress is shown where it is asked for, and on a terminal."""
    return int(arguments.verbose or (sys.stderr.isatty() and not arguments.quiet))


def _fit_or_choose(arguments: argparse.Namespace, table: Table) -> _Fitted:
    """Fit one mixture, or several of which one is chosen."""
    return _choose(arguments, table) if _is_choice(arguments) else _fit(arguments, table)


def _is_choice(arguments: argparse.Namespace) -> bool:
    """True if several mixtures are asked for, or a criterion to choose by."""
    several = len(arguments.components) > 1 or not isinstance(arguments.covariance, str)
    return several or arguments.covariance == "all" or arguments.criterion is not None


def _choose(arguments: argparse.Namespace, table: Table) -> _Fitted:
    """Fit several mixtures and choose one."""
    from emix.choice.select import select_mixture

    with messages_on_stderr() as warned, _progress_on_stderr(at_once=arguments.verbose):
        selection = select_mixture(
            table.rows,
            arguments.components,
            arguments.covariance,
            arguments.criterion or "bic",
            sample_weight=table.weights,
            n_init=arguments.n_init,
            n_folds=arguments.folds,
            random_state=arguments.seed,
            n_threads=arguments.threads,
            verbose=_verbosity(arguments),
            tol=arguments.tol,
            reg_covar=arguments.reg_covar,
            max_iter=arguments.max_iter,
            init_params=arguments.init,
        )

    def draw() -> Figure:
        from emix.plots.figures import new_figure
        from emix.plots.selection import SELECTION_SIZE, draw_selection

        figure = new_figure(*SELECTION_SIZE)
        axes = draw_selection(selection, figure.add_subplot())
        title = axes.get_title(loc="left")
        axes.set_title(f"{file_title(arguments.file)}: {title}", loc="left", fontsize=11, fontweight="bold")
        return figure

    return _Fitted(selection.best_, draw, warned, selection)


def data(arguments: argparse.Namespace) -> int:
    """`emix data`: a shipped data set as CSV, or a description of all."""
    if arguments.name is None:
        for name, (load, _) in DATASETS.items():
            n_samples, n_features = (dataset := load()).data.shape
            write_results(f"{name}: {n_samples} rows, {n_features} columns\n\n{dataset.description}\n")
        return EXIT_OK
    text = DATASETS[arguments.name][1]()
    if arguments.out is None or arguments.out == STANDARD_STREAM:
        write_results(text)
    else:
        with writing(arguments.out) as stream:
            stream.write(text.encode())
    return EXIT_OK


@contextlib.contextmanager
def _progress_on_stderr(*, at_once: bool) -> Iterator[None]:
    """Send the output of a verbose fit to standard error: standard output is for results."""
    progress = Progress(sys.stderr, 0.0 if at_once else _PATIENCE_SECONDS)
    # Lines come on standard output, a line of tqdm on standard error.
    with contextlib.redirect_stdout(progress), contextlib.redirect_stderr(progress):
        yield


class Progress(io.TextIOBase):
    """A stream that drops text at first, and passes it on after some seconds."""

    def __init__(self, target: TextIO, patience: float) -> None:
        super().__init__()
        self._target = target
        self._begin = time.monotonic() + patience

    def isatty(self) -> bool:
        """True if the text is passed on to a terminal."""
        return self._target.isatty()

    def fileno(self) -> int:
        """The descriptor of the stream behind, which knows how wide the terminal is."""
        return self._target.fileno()

    def write(self, text: str) -> int:
        """Drop the text, or pass it on."""
        if time.monotonic() >= self._begin:
            pass_on(text, self._target)
        return len(text)
