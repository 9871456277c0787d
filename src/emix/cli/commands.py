"""The commands `emix fit`, `emix report` and `emix data`; model_commands.py has those that use a model file.

Their arguments are in fit_arguments.py and parser.py. A command takes the parsed arguments and returns an exit code.
Refusals are ValueError, OSError or ImportError, with a message for the user of the command.
"""

from __future__ import annotations

import contextlib
import shlex
from typing import TYPE_CHECKING, NamedTuple

from emix.choice.selection import SelectionInterrupted
from emix.cli.classifiers import fit_classifier
from emix.cli.estimator_settings import settings_of
from emix.cli.json_summary import choice_facts, data_facts, fit_facts, is_degenerate, model_facts, write_json
from emix.cli.long_rows import LongRows
from emix.cli.long_tables import LongTable, long_table
from emix.cli.memory import check_room
from emix.cli.outputs import check_writable, is_standard_output, write_results
from emix.cli.pictures import check_picture, write_picture
from emix.cli.progress import progress_on_stderr, verbosity
from emix.cli.safeguards import (
    EXIT_DOUBTFUL,
    EXIT_OK,
    UsageError,
    messages_on_stderr,
    refuse_overwriting,
    refuse_terminal,
)
from emix.cli.table_words import columns_left_out, digest_of, file_title, left_out, printable, rows_left_out, warn_of
from emix.cli.tables import read_table
from emix.cli.text_content import STANDARD_STREAM
from emix.datasets.faithful import faithful_csv, load_faithful
from emix.estimators.mixture_file import mixture_bytes
from emix.estimators.progress import follow_scoring
from emix.files.output import writing
from emix.requirements import require
from emix.summary.fitted import assign
from emix.summary.selection import interrupted_text
from emix.summary.summary import summary

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from typing import Any

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emix.choice.selection import MixtureSelection
    from emix.cli.tables import Table
    from emix.estimators.gaussian_mixture import GaussianMixture

DATASETS = {"faithful": (load_faithful, faithful_csv)}


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
    if arguments.target is not None:
        return fit_classifier(arguments, _how_to_read(arguments))
    table = _read_long(arguments) or _read(arguments)
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
    check_room(arguments.file, _how_to_read(arguments), "a report")
    table = _read(arguments)
    fitted = _fit_or_choose(arguments, table)
    from emix.report.report import Origin, report_html

    command = printable(f"emix {shlex.join(arguments.words)}")
    left = left_out(table, "are left out")
    origin = Origin(file_title(arguments.file), command, arguments.seed, digest_of(arguments.file), left)
    with progress_on_stderr(at_once=arguments.verbose):
        page = report_html(
            fitted.estimator,
            table.rows,
            table.weights,
            table.names,
            origin,
            selection=fitted.selection,
            warned=fitted.warned,
            n_starts=arguments.starts,
            verbose=verbosity(arguments),
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
    table = read_table(arguments.file, **_how_to_read(arguments))
    warn_of(arguments.file, left_out(table, "are left out"))
    return table


def _read_long(arguments: argparse.Namespace) -> LongTable | None:
    """Return the table of a fit that is read block by block; None if it is to be read whole."""
    if _is_choice(arguments):
        check_room(arguments.file, _how_to_read(arguments), "a choice among mixtures")
        return None
    table = long_table(arguments.file, **_how_to_read(arguments))
    if table is None:
        return None
    warn_of(arguments.file, columns_left_out(table))
    return table


def _how_to_read(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "columns": arguments.columns,
        "weights": arguments.weights,
        "header": not arguments.no_header,
        "separator": arguments.separator,
        "drop_missing": arguments.missing == "drop",
        "to_fit": True,
    }


def _exit_code(estimator: GaussianMixture) -> int:
    """Return the code that says whether the fit is to be doubted, of which it has already warned."""
    return EXIT_OK if estimator.converged_ and not is_degenerate(estimator) else EXIT_DOUBTFUL


class _Fitted(NamedTuple):
    """A fitted mixture, its rows and their weights, the function that draws the fit, its warnings, and the choice."""

    estimator: GaussianMixture
    rows: Any
    weights: NDArray[np.float64] | None
    draw: Callable[[], Figure]
    warned: list[str]
    selection: MixtureSelection | None = None


def _descriptions(table: Table | LongTable, fitted: _Fitted) -> list[str]:
    """Return the summaries of the choice, if there was one, and of the mixture."""
    parts = [] if fitted.selection is None else [str(fitted.selection)]
    return [*parts, summary(fitted.estimator, fitted.rows, fitted.weights, feature_names=table.names)]


def _text(arguments: argparse.Namespace, table: Table | LongTable, fitted: _Fitted) -> str:
    """Return the summary: of the choice, of the mixture, of the files that were written."""
    with _summary_followed(arguments):
        parts = _descriptions(table, fitted)
    files = ((arguments.out, "Model file  "), (arguments.plot, "Picture     "))
    written = [label + path for path, label in files if path is not None]
    if written:
        parts.append("\n".join(written))
    return "\n\n".join(parts) + "\n"


def _write_json(
    arguments: argparse.Namespace, table: Table | LongTable, fitted: _Fitted | None, choice: dict[str, Any] | None
) -> None:
    """Write the summary as JSON; there is no mixture yet if the choice was interrupted."""
    model = fit = None
    if fitted is not None:
        model = model_facts(fitted.estimator, table.names)
        with _summary_followed(arguments):
            fit = fit_facts(fitted.estimator, assign(fitted.estimator, fitted.rows, fitted.weights))
    files = {"model": arguments.out, "picture": arguments.plot} if fitted else {"model": None, "picture": None}
    content = {"data": data_facts(arguments.file, table), "model": model, "fit": fit, "choice": choice, "files": files}
    write_json("fit", content)


@contextlib.contextmanager
def _summary_followed(arguments: argparse.Namespace) -> Iterator[None]:
    """Show the pass of a summary over a long file."""
    with progress_on_stderr(at_once=arguments.verbose), follow_scoring(verbosity(arguments)) as follower:
        follower.doing("summary")
        yield


def _fit(arguments: argparse.Namespace, table: Table | LongTable) -> _Fitted:
    """Fit one mixture."""
    from emix.estimators.gaussian_mixture import GaussianMixture

    estimator = GaussianMixture(
        arguments.components[0],
        covariance_type=arguments.covariance,
        verbose=verbosity(arguments),
        **settings_of(arguments),
    )
    rows, weights = (LongRows(table), None) if isinstance(table, LongTable) else (table.rows, table.weights)
    with messages_on_stderr() as warned, progress_on_stderr(at_once=arguments.verbose):
        estimator.fit(rows, sample_weight=weights)
    if isinstance(table, LongTable):
        warn_of(arguments.file, rows_left_out(table, "are left out"))
    # The model file does not keep the verbosity of this command.
    estimator.verbose = 0

    def draw() -> Figure:
        from emix.plots.plots import plot_mixture

        X, weight, title = rows, weights, file_title(arguments.file)
        if isinstance(rows, LongRows):
            X, weight = rows.sampled(arguments.seed)
            title += f", {len(X):,} of {rows.n_rows:,} rows"
        return plot_mixture(estimator, X, sample_weight=weight, feature_names=table.names, title=title)

    return _Fitted(estimator, rows, weights, draw, warned)


def _fit_or_choose(arguments: argparse.Namespace, table: Table | LongTable) -> _Fitted:
    """Fit one mixture, or several of which one is chosen."""
    if isinstance(table, LongTable) or not _is_choice(arguments):
        return _fit(arguments, table)
    return _choose(arguments, table)


def _is_choice(arguments: argparse.Namespace) -> bool:
    """True if several mixtures are asked for, or a criterion to choose by."""
    several = len(arguments.components) > 1 or not isinstance(arguments.covariance, str)
    return several or arguments.covariance == "all" or arguments.criterion is not None


def _choose(arguments: argparse.Namespace, table: Table) -> _Fitted:
    """Fit several mixtures and choose one."""
    from emix.choice.select import select_mixture

    with messages_on_stderr() as warned, progress_on_stderr(at_once=arguments.verbose):
        selection = select_mixture(
            table.rows,
            arguments.components,
            arguments.covariance,
            arguments.criterion or "bic",
            sample_weight=table.weights,
            n_folds=arguments.folds,
            verbose=verbosity(arguments),
            **settings_of(arguments),
        )

    def draw() -> Figure:
        from emix.plots.figures import new_figure
        from emix.plots.selection import SELECTION_SIZE, draw_selection

        figure = new_figure(*SELECTION_SIZE)
        axes = draw_selection(selection, figure.add_subplot())
        title = axes.get_title(loc="left")
        axes.set_title(f"{file_title(arguments.file)}: {title}", loc="left", fontsize=11, fontweight="bold")
        return figure

    return _Fitted(selection.best_, table.rows, table.weights, draw, warned, selection)


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
