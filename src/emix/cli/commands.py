"""The commands of `emix`; their arguments are in command_line.py.

A command takes the parsed arguments and returns an exit code. Refusals are ValueError, OSError or
ImportError, with a message for the user of the command.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
import time
import warnings
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emix.cli.outputs import (
    check_writable,
    format_of,
    is_standard_output,
    leads_to_terminal,
    pass_on,
    say,
    write_results,
)
from emix.cli.table_words import digest_of, file_title, in_place, left_out, printable, say_what_is_left_out
from emix.cli.tables import WRITABLE, check_readable, read_table, write_columns
from emix.cli.text_content import STANDARD_STREAM
from emix.datasets.faithful import faithful_csv, load_faithful
from emix.estimators.mixture_file import mixture_bytes
from emix.files.output import is_regular_target, writing
from emix.requirements import require
from emix.summary.summary import summary

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from typing import TextIO

    import polars as pl
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emix.choice.selection import MixtureSelection
    from emix.cli.tables import Table
    from emix.estimators.gaussian_mixture import GaussianMixture

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_DOUBTFUL = 3
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_PIPE = 141  # 128 + SIGPIPE

PICTURES = (".png", ".pdf", ".svg")
DATASETS = {"faithful": (load_faithful, faithful_csv)}

# A fit that ends sooner shows no progress on a terminal: it would only flicker.
_PATIENCE_SECONDS = 2.0


class UsageError(ValueError):
    """Arguments that do not go together; the exit code is that of wrong arguments."""


def fit(arguments: argparse.Namespace) -> int:
    """`emix fit`: fit, or choose among several fits; write the requested files, print the summary."""
    # Anything that could spoil the results is refused before the fit, which may take long.
    model_on_stdout = arguments.out is not None and is_standard_output(arguments.out)
    if arguments.out is not None:
        _refuse_terminal(arguments.out, "--out", "a model file")
        if arguments.out != STANDARD_STREAM:
            check_writable(arguments.out)
    if arguments.plot is not None:
        if arguments.plot == STANDARD_STREAM:
            raise UsageError(f"--plot is -, expected the name of a file that ends in one of {', '.join(PICTURES)}")
        check_writable(arguments.plot, PICTURES)
        _refuse_terminal(arguments.plot, "--plot", "a picture")
        require("matplotlib.figure", "plot", "--plot")
    _refuse_overwriting(arguments.out, "--out", FILE=arguments.file)
    _refuse_overwriting(arguments.plot, "--plot", FILE=arguments.file)
    if arguments.out != STANDARD_STREAM:
        _refuse_overwriting(arguments.plot, "--plot", **{"--out": arguments.out})
    _, fitted = _read_and_fit(arguments)
    estimator = fitted.estimator
    written: list[str] = []
    if arguments.out is not None:
        if arguments.out == STANDARD_STREAM:
            write_results(mixture_bytes(estimator))
        else:
            estimator.save(arguments.out)
        written.append(f"Model file  {arguments.out}")
    if arguments.plot is not None:
        picture = io.BytesIO()  # savefig needs positions, which a FIFO does not have
        fitted.draw().savefig(picture, format=format_of(arguments.plot, PICTURES).removeprefix("."))
        with writing(arguments.plot) as stream:
            stream.write(picture.getbuffer())
        written.append(f"Picture     {arguments.plot}")
    if not arguments.quiet and not model_on_stdout:
        write_results("\n".join([fitted.describe(), *(["", *written] if written else []), ""]))
    return _exit_code(estimator)


def report(arguments: argparse.Namespace) -> int:
    """`emix report`: choose among mixtures, and write a page about the data, the choice and what to doubt."""
    if arguments.out != STANDARD_STREAM:
        check_writable(arguments.out, (".html", ".htm"))
    require("matplotlib.figure", "plot", "a report")
    _refuse_overwriting(arguments.out, "--out", FILE=arguments.file)
    table, fitted = _read_and_fit(arguments)
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
            write_results(f"{str(fitted.describe()).splitlines()[0]}\nReport  {arguments.out}\n")
    return _exit_code(fitted.estimator)


def _read_and_fit(arguments: argparse.Namespace) -> tuple[Table, _Fitted]:
    """Read the table of `emix fit` and `emix report`, and fit or choose."""
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
    return table, _choose(arguments, table) if _is_choice(arguments) else _fit(arguments, table)


def _exit_code(estimator: GaussianMixture) -> int:
    """Return the code that says whether the fit is to be doubted, of which it has already warned."""
    degenerate = any(run.chosen and run.degenerate for run in estimator.runs_)
    return EXIT_OK if estimator.converged_ and not degenerate else EXIT_DOUBTFUL


class _Fitted(NamedTuple):
    """A fitted mixture, the functions that draw it and describe it, the mixtures it was chosen from, and warnings."""

    estimator: GaussianMixture
    draw: Callable[[], Figure]
    describe: Callable[[], str]
    warned: list[str]
    selection: MixtureSelection | None = None


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
    with _messages_on_stderr() as warned, _progress_on_stderr(at_once=arguments.verbose):
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

    text = partial(summary, estimator, table.rows, table.weights, feature_names=table.names)
    return _Fitted(estimator, draw, text, warned)


def _verbosity(arguments: argparse.Namespace) -> int:
    """Progress is shown where it is asked for, and on a terminal."""
    return int(arguments.verbose or (sys.stderr.isatty() and not arguments.quiet))


def _is_choice(arguments: argparse.Namespace) -> bool:
    """True if several mixtures are asked for, or a criterion to choose by."""
    several = len(arguments.components) > 1 or not isinstance(arguments.covariance, str)
    return several or arguments.covariance == "all" or arguments.criterion is not None


def _choose(arguments: argparse.Namespace, table: Table) -> _Fitted:
    """Fit several mixtures and choose one."""
    from emix.choice.select import select_mixture

    with _messages_on_stderr() as warned, _progress_on_stderr(at_once=arguments.verbose):
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

    return _Fitted(selection.best_, draw, lambda: str(selection), warned, selection)


def score(arguments: argparse.Namespace) -> int:
    """`emix score`: log-density, component and responsibilities of each row."""
    from emix.estimators.gaussian_mixture import GaussianMixture

    require("polars", "cli", "writing tables")
    if arguments.out is not None and arguments.out != STANDARD_STREAM:
        check_writable(arguments.out, WRITABLE)
        _refuse_overwriting(arguments.out, "--out", FILE=arguments.file, MODEL=arguments.model)
    estimator = _load(GaussianMixture, arguments.model)
    rows, present = _rows_for(estimator, arguments)
    with _messages_on_stderr():
        # The columns were matched above; a .npy file has no names to compare with the model's.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        scores = estimator.score_rows(rows, log_density=True, responsibilities=True, labels=True)
    assert scores.log_density is not None and scores.responsibilities is not None and scores.labels is not None
    columns = {"log_density": scores.log_density, "component": scores.labels}
    columns |= {f"r{k}": np.ascontiguousarray(r) for k, r in enumerate(scores.responsibilities.T)}
    write_columns(in_place(columns, present), arguments.out)
    return EXIT_OK


def info(arguments: argparse.Namespace) -> int:
    """`emix info`: the summary from a model file."""
    from emix.estimators.gaussian_mixture import GaussianMixture

    write_results(f"{summary(_load(GaussianMixture, arguments.model))}\n")
    return EXIT_OK


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


def _refuse_overwriting(path: str | None, option: str, **others: str | None) -> None:
    """Refuse to write to a file that the same command reads, or writes for another option."""
    for name, other in others.items():
        if path is not None and other is not None and _same_file(path, other):
            raise UsageError(f"{option} is the same file as {name}, {other}: it would be overwritten")


def _refuse_terminal(path: str, option: str, what: str) -> None:
    """Refuse to write anything but text to a terminal."""
    if leads_to_terminal(path):
        raise UsageError(f"{option} {path} is a terminal, which cannot show {what}: redirect it, or name a file")


def _same_file(path: str, other: str) -> bool:
    """True if an output would replace another file, or the file that standard input ("-") comes from."""
    if path == STANDARD_STREAM or not is_regular_target(path):
        return False  # nothing is replaced
    if other == STANDARD_STREAM:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # standard input may be closed, or no file
            return os.path.samestat(os.stat(path), os.fstat(sys.stdin.fileno()))
        return False
    if os.path.exists(path) and os.path.exists(other):
        return os.path.samefile(path, other)
    return os.path.realpath(path) == os.path.realpath(other)


def _load(kind: type[GaussianMixture], path: str) -> GaussianMixture:
    check_readable(path)
    return kind.load(path)


def _rows_for(
    estimator: GaussianMixture, arguments: argparse.Namespace
) -> tuple[pl.DataFrame | NDArray[np.floating], NDArray[np.bool_] | None]:
    """Read the model's columns, by name if both sides have names; return the rows and a mask of complete rows."""
    names = getattr(estimator, "feature_names_in_", None)
    columns = arguments.columns
    has_names = not arguments.no_header and not arguments.file.lower().endswith(".npy")
    if columns is None and names is not None and has_names:
        columns = [str(name) for name in names]
    table = read_table(
        arguments.file,
        columns=columns,
        header=not arguments.no_header,
        separator=arguments.separator,
        drop_missing=arguments.missing == "drop",
    )
    n_features = estimator.means_.shape[1]
    if len(table.names) != n_features:
        raise ValueError(
            f"{arguments.file}: {len(table.names)} columns, but the model has {n_features}: choose them with --columns"
        )
    say_what_is_left_out(arguments.file, table, "stay empty")
    # The model gets a frame only if its names are the model's own names.
    rows = table.rows if names is not None and list(names) == list(table.names) else table.array
    return rows, table.present


@contextlib.contextmanager
def _messages_on_stderr() -> Iterator[list[str]]:
    """Print warnings as lines in the command's own form, at the end; the list is filled with them then."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    texts += [" ".join(str(warning.message).split()) for warning in caught]
    for text in texts:
        say(f"emix: warning: {text}")


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
