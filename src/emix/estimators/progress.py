"""A look at a fit while it runs: progress for people, and a function of the user's that may end it.

A fit in memory is followed by iterations. A pass over a stream may take minutes, and is followed by its batches.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, Protocol, Self

import numpy as np

from emix.em.result import EMRecord, EMResult
from emix.estimators.pass_progress import PassProgress
from emix.exceptions import DegenerateFitError, shown
from emix.rows.watching import rows_watched

__all__ = ["Callback", "Follower", "follow"]

Callback = Callable[[int, EMRecord], object]
"""A function of the number of the run and the record of an E-step; it ends the fit by returning True."""


class _Display(Protocol):
    """A way to show progress."""

    def knows(self, unit: float, settled: float, max_iter: int) -> None:
        """Take what `Follower.knows` is told."""

    def say(self, text: str) -> None:
        """Show what the fit does before its iterations."""

    def doing(self, text: str) -> None:
        """Take what `Follower.doing` is told."""

    def run_begins(self, run: int, n_done: int) -> None:
        """Show which run begins, or goes on after so many E-steps."""

    def iteration_ends(self, record: EMRecord, seconds: float) -> None:
        """Show how far the run is, `seconds` after the fit began."""

    def rows_read(self, n_done: int, n_rows: float | None) -> None:
        """Show how far a pass over a stream is."""

    def run_ends(self, result: EMResult, seconds: float) -> None:
        """Show how the run ended."""

    def close(self) -> None:
        """Leave the last state on the screen."""


class Follower:
    """Follows the runs of one fit, one after another.

    Parameters
    ----------
    display : _Display or None
    callback : callable or None
        The user's.

    Notes
    -----
    Within a `with` block it also sees the passes that this thread makes over streams.
    """

    # Of the weights: log-likelihoods of the runs times it are those of the rows.
    _unit = 1.0

    def __init__(self, display: _Display | None, callback: Callback | None) -> None:
        self._display, self._callback = display, callback
        self._began = time.perf_counter()
        self._passes = rows_watched(None if display is None else display.rows_read)

    def __enter__(self) -> Self:
        self._passes.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._passes.__exit__(None, None, None)
        self.close()

    def knows(self, unit: float, settled: float, max_iter: int) -> None:
        """Take what is known once the rows have been read.

        Parameters
        ----------
        unit : float
            As of the class.
        settled : float
            A run ends when the log-likelihood changes by less, nats.
        max_iter : int
        """
        self._unit = unit
        if self._display is not None:
            self._display.knows(unit, settled, max_iter)

    def say(self, text: str) -> None:
        """Tell what the fit does before its iterations."""
        if self._display is not None:
            self._display.say(text)

    def doing(self, text: str) -> None:
        """Tell what the next passes over a stream are for."""
        if self._display is not None:
            self._display.doing(text)

    def run_begins(self, run: int, n_done: int = 0) -> Callable[[EMRecord], bool]:
        """Tell that a run begins, and return the function that looks at its records and may end it.

        A run that goes on from a checkpoint has done `n_done` E-steps.
        """
        if self._display is not None:
            self._display.run_begins(run, n_done)
        return lambda record: self._look(run, record)

    def run_ends(self, result: EMResult) -> None:
        """Tell how a run ended."""
        if self._display is not None:
            self._display.run_ends(result, time.perf_counter() - self._began)

    def close(self) -> None:
        """End the display."""
        if self._display is not None:
            self._display.close()

    def _look(self, run: int, record: EMRecord) -> bool:
        if self._unit != 1.0:
            unit = self._unit
            record = record._replace(log_likelihood=unit * record.log_likelihood, change=unit * record.change)
        if self._display is not None:
            self._display.iteration_ends(record, time.perf_counter() - self._began)
        if self._callback is None:
            return False
        try:
            with rows_watched(None):  # passes that the callback makes are none of the fit
                answer = self._callback(run, record)
        except DegenerateFitError as error:
            # The fit would take it for a collapse of its own, and go on with the next run.
            raise RuntimeError(f"callback raised {type(error).__name__}: {error}") from error
        return isinstance(answer, (bool, np.bool_)) and bool(answer)


def follow(verbose: int, interval: int, n_init: int, callback: Callback | None) -> Follower:
    """Return a follower that shows what `verbose` asks for.

    Raises
    ------
    TypeError
        If `callback` is no function.
    """
    if callback is not None and not callable(callback):
        raise TypeError(
            f"callback is {shown(callback)}, expected a function of the number of a run and an EMRecord, or None."
        )
    display: _Display | None = None
    if verbose:
        bar = _bar_class() if verbose == 1 else None
        display = _Lines(interval) if bar is None else _Bar(bar, n_init)
    return Follower(display, callback)


def follow_scoring(verbose: int) -> Follower:
    """Return a follower of passes that score a stream; it shows them on a terminal, where tqdm is installed."""
    bar = _bar_class() if verbose else None
    return Follower(None if bar is None else _Bar(bar, 1), None)


class _Lines:
    """Lines on standard output, with scikit-learn's words.

    Parameters
    ----------
    interval : int
        Iterations from one line to the next.
    """

    _unit = 1.0

    def __init__(self, interval: int) -> None:
        self._interval = interval

    def knows(self, unit: float, settled: float, max_iter: int) -> None:
        self._unit = unit

    def say(self, text: str) -> None:
        print(f"Start: {text}", flush=True)

    def doing(self, text: str) -> None:
        pass

    def run_begins(self, run: int, n_done: int) -> None:
        print(f"Initialization {run}", flush=True)

    def iteration_ends(self, record: EMRecord, seconds: float) -> None:
        if record.iteration and record.iteration % self._interval == 0:
            print(f"  Iteration {record.iteration}   {_course(record, seconds)}", flush=True)

    def rows_read(self, n_done: int, n_rows: float | None) -> None:
        pass

    def run_ends(self, result: EMResult, seconds: float) -> None:
        how = "converged" if result.converged else "did not converge"
        if result.stopped_by == "callback":
            how = "stopped by the callback"
        log_likelihood = self._unit * result.log_likelihood
        print(
            f"Initialization {how}.   {result.n_iter} iterations   log-likelihood {log_likelihood:.5f}   "
            f"{seconds:.2f} s",
            flush=True,
        )

    def close(self) -> None:
        pass


class _Bar:
    """One line of tqdm, kept up to date.

    The number of iterations is not known before the end, so that there is no bar: the line has all that is known.

    Parameters
    ----------
    bar : type
        A class of tqdm.
    n_init : int
    """

    _unit = 1.0

    def __init__(self, bar: Any, n_init: int) -> None:
        self._n_init = n_init
        self._run = ""
        self._bar = bar(total=None, bar_format="{desc}", **_size())
        self._passes = PassProgress()

    def knows(self, unit: float, settled: float, max_iter: int) -> None:
        self._unit = unit
        self._passes.knows(settled, max_iter)

    def doing(self, text: str) -> None:
        self._passes.doing = text

    def say(self, text: str) -> None:
        self._bar.set_description_str(f"start: {text}")

    def run_begins(self, run: int, n_done: int) -> None:
        self._run = f"run {run + 1} of {self._n_init}, " if self._n_init > 1 else ""
        self._passes.run_begins(n_done)
        self._bar.set_description_str(f"{self._run}start")

    def rows_read(self, n_done: int, n_rows: float | None) -> None:
        if self._passes.rows_read(n_done, n_rows):
            self._bar.set_description_str(f"{self._run}{self._passes.text()}")

    def iteration_ends(self, record: EMRecord, seconds: float) -> None:
        if self._passes.iteration_ends(record):  # the next batch shows it
            return
        text = f"{self._run}iteration {record.iteration}: {_course(record, seconds)}"
        # tqdm draws it if the last drawing is a tenth of a second old.
        self._bar.set_description_str(text, refresh=False)
        self._bar.update()

    def run_ends(self, result: EMResult, seconds: float) -> None:
        how = {"max_iter": "not converged", "callback": "stopped by the callback"}.get(result.stopped_by, "converged")
        log_likelihood = self._unit * result.log_likelihood
        self._bar.set_description_str(
            f"{self._run}{result.n_iter} iterations, {how}: log-likelihood {log_likelihood:.5f}   {seconds:.2f} s"
        )

    def close(self) -> None:
        self._bar.close()


def _course(record: EMRecord, seconds: float) -> str:
    """Log-likelihood and its change, nats; time since the fit began; iterations in a second of this run."""
    rate = record.iteration / record.seconds if record.seconds > 0.0 else 0.0
    change = f"{record.change:.2e}" if record.iteration else "-"
    return f"log-likelihood {record.log_likelihood:.5f}   change {change}   {seconds:.2f} s   {rate:.1f} iterations/s"


def _size() -> dict[str, Any]:
    """Return tqdm's arguments for the size of the terminal: it is followed, or 24 lines of 80 if it is not known."""
    try:
        n_columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (AttributeError, OSError, ValueError):  # no terminal, but a notebook or a stream of another kind
        return {"dynamic_ncols": True}
    # Under `script`, in containers and on serial lines a terminal may report 0 × 0, for which tqdm draws nothing.
    return {"dynamic_ncols": True} if n_columns else {"ncols": 80, "nrows": 24}


def _bar_class() -> Any:
    """Return tqdm's class for the terminal or notebook there is; None without tqdm, or where neither is there.

    In a file a line that is drawn again and again would be a heap of lines.
    """
    if not (sys.stderr is not None and sys.stderr.isatty()) and not _in_notebook():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tqdm: a notebook without widgets gets text, which is right
            return importlib.import_module("tqdm.auto").tqdm
    except ImportError:
        return None


def _in_notebook() -> bool:
    """True in a kernel of Jupyter."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return getattr(shell, "kernel", None) is not None
