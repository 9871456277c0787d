"""The fits of one cell of a sweep: from its own starts, then from its neighbours' parameters."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.choice.request import Cell
from emix.choice.side_by_side import Stop
from emix.em.loop import Watch
from emix.em.result import EMRecord
from emix.estimators.criteria import entropies
from emix.estimators.mixture_runs import Runs, continue_fit, count_alike, fit_from_starts
from emix.estimators.parameters_check import GivenStart, Settings
from emix.exceptions import DegenerateFitError, Warned, warnings_held
from emix.gaussian.collapse import Names
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import score_rows
from emix.rows.arrays import ArraySource

__all__ = ["CellFit", "Fitter"]

Array = NDArray[np.float64]

Start = Callable[[], GaussianParameters]
"""Makes parameters to start from, of a neighbour's."""

_NO_START = GivenStart(None, None, None)

# Rows whose responsibilities are held at one time.
_ROWS_AT_A_TIME = 8192

# Nats, for rows of weight 1: the least by which a neighbour's start has to end above the fit that is there. No choice
# hangs on less.
LEAST_GAIN = 0.01

# A run from a neighbour is given up if AHEAD more steps as large as its last one would not reach the fit that is there:
# steps of EM shrink. The first steps do not count, because they only put the parts in their places. (Measured on
# faithful, iris, wine and ten columns of breast cancer, 14 structures × 9 numbers of components. With AHEAD = 8, 15,
# 20, 40 the second phase takes 23 000, 27 000, 29 000 and 33 000 steps and improves 285, 314, 323 and 337 of 504 fits.)
FIRST_STEPS, AHEAD, LOOK_EVERY = 4, 20, 4

# A run that collapses may climb for hundreds of steps. Whether a component has collapsed is asked after so many.
STEPS_TO_VERDICT = 30


class CellFit(NamedTuple):
    """The best fit of a cell so far.

    Attributes
    ----------
    runs : Runs or None
        As those of a GaussianMixture; None if no run ended.
    failure : str
        The error of the cell if no run ended.
    entropy : float
        Of the responsibilities under the parameters that are kept, summed over rows by weight; nats.
    warned : list
        Warnings of the runs.
    seconds : float
    is_sound : bool
        True if no component collapsed.
    """

    runs: Runs | None
    failure: str
    entropy: float
    warned: Warned
    seconds: float
    is_sound: bool = True

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood of the parameters that are kept, in the unit of the source's weights; −∞ without any."""
        return -np.inf if self.runs is None else self.runs.result.log_likelihood


class Fitter:
    """Fits cells to the rows of one source.

    Parameters
    ----------
    source : ArraySource
        Its `weight_unit` is 1.
    settings : Settings
        Those of every cell but for the structure, the number of components and threads.
    seed : int
    names : sequence of str or None
        Of the columns, for messages.
    with_entropy : bool
        Take the entropy of the responsibilities, which ICL needs.
    """

    def __init__(
        self, source: ArraySource, settings: Settings, seed: int, names: Names, *, with_entropy: bool = True
    ) -> None:
        self.source, self.names = source, names
        self._settings, self._seed, self._with_entropy = settings, seed, with_entropy
        # Two fits that converged to one mode may be tol apart, in nats per unit of weight.
        least = max(LEAST_GAIN, settings.tol * source.effective_rows)
        self._least_gain = least * source.total_weight / source.effective_rows

    def settings_of(self, cell: Cell, *, alone: bool = False) -> Settings:
        """Return the settings of a cell; `alone`: one thread."""
        return self._settings._replace(
            n_components=cell.n_components,
            covariance_type=cell.covariance_type,
            structure=cell.structure,
            n_threads=1 if alone else self._settings.n_threads,
        )

    def fit(self, cell: Cell, stop: Stop = None, *, alone: bool = False) -> CellFit:
        """Fit a cell from its own starts.

        Parameters
        ----------
        cell : Cell
        stop : ndarray or None
            Once its element is not 0 the fit may end early.
        alone : bool
            Use one thread.
        """
        began = time.perf_counter()
        settings = starts_of_sweep(self.settings_of(cell, alone=alone))
        watch = None if stop is None else Watch(_Stopped(stop))
        with warnings_held() as warned:
            try:
                runs = fit_from_starts(settings, _NO_START, self._seed, self.source, self.names, watch, search=False)
            except DegenerateFitError as error:
                return CellFit(None, str(error), np.nan, warned, time.perf_counter() - began, False)
            entropy = self._entropy(runs, settings.n_threads)
        return CellFit(runs, "", entropy, warned, time.perf_counter() - began, not _is_degenerate(runs))

    def search(self, cell: Cell, before: CellFit, *, alone: bool = False) -> CellFit:
        """Fit a cell with the search of ``init_params="auto"``, and return the better fit."""
        began = time.perf_counter()
        settings = self.settings_of(cell, alone=alone)._replace(n_init=1)
        with warnings_held() as warned:
            try:
                found = fit_from_starts(settings, _NO_START, self._seed, self.source, self.names)
            except DegenerateFitError:
                return before
            if _is_degenerate(found) or found.result.log_likelihood < before.log_likelihood + self._least_gain:
                return before._replace(seconds=before.seconds + time.perf_counter() - began)
            entropy = self._entropy(found, settings.n_threads)
        runs = _with_run(before.runs, found, found.reports[0].start, self.source.total_weight)
        return CellFit(runs, "", entropy, warned, before.seconds + time.perf_counter() - began)

    def improve(
        self, cell: Cell, before: CellFit, starts: list[tuple[str, Start]], stop: Stop = None, *, alone: bool = False
    ) -> CellFit:
        """Fit a cell from neighbours' parameters too, and return the best.

        Parameters
        ----------
        cell : Cell
        before : CellFit
            The best fit so far.
        starts : list of (str, callable)
            Where each start comes from, for messages, and the function that makes it.
        stop, alone
            As for `fit`.
        """
        began, best = time.perf_counter(), before
        settings = self.settings_of(cell, alone=alone)
        for origin, start in starts:
            target = best.log_likelihood + self._least_gain if best.is_sound else -np.inf
            watch = Watch(_Hopeless(target, stop), LOOK_EVERY)
            with warnings_held() as warned:
                try:
                    found = self._continued(settings, start(), watch)
                except (DegenerateFitError, np.linalg.LinAlgError):
                    continue
                if found is None or found.result.log_likelihood < target:
                    continue
                entropy = self._entropy(found, settings.n_threads)
            best = CellFit(_with_run(best.runs, found, origin, self.source.total_weight), "", entropy, warned, 0.0)
        return best if best is before else best._replace(seconds=before.seconds + time.perf_counter() - began)

    def _continued(self, settings: Settings, parameters: GaussianParameters, watch: Watch) -> Runs | None:
        """Return the run from parameters to its end, None if it was given up or a component collapsed."""
        first = settings._replace(max_iter=min(settings.max_iter, STEPS_TO_VERDICT))
        found = continue_fit(first, parameters, self.source, self.names, watch)
        if found.result.stopped_by == "max_iter" and settings.max_iter > STEPS_TO_VERDICT and not _is_degenerate(found):
            rest = settings._replace(max_iter=settings.max_iter - STEPS_TO_VERDICT)
            found = _joined(found, continue_fit(rest, found.result.parameters, self.source, self.names, watch))
        return None if found.result.stopped_by == "callback" or _is_degenerate(found) else found

    def _entropy(self, runs: Runs, n_threads: int | None) -> float:
        if not self._with_entropy:
            return np.nan
        X, weight = self.source.X, self.source.sample_weight
        total = 0.0
        for first in range(0, len(X), _ROWS_AT_A_TIME):
            block = slice(first, first + _ROWS_AT_A_TIME)
            scores = score_rows(
                X[block], runs.result.parameters, log_density=False, responsibilities=True, n_threads=n_threads
            )
            assert scores.responsibilities is not None
            each = entropies(scores.responsibilities)
            total += float(each.sum() if weight is None else weight[block] @ each)
        return total


def starts_of_sweep(settings: Settings) -> Settings:
    """Return the settings with the starts that a sweep carries to convergence.

    With "auto" these are k-means and the agglomeration, at least. The search for better modes is the second phase's,
    which splits and merges the components of neighbours.
    """
    return settings._replace(n_init=max(2, settings.n_init)) if settings.init_params == "auto" else settings


class _Stopped:
    """Ends a run once another thread has set the flag."""

    def __init__(self, stop: NDArray[np.int32]) -> None:
        self._stop = stop

    def __call__(self, record: EMRecord) -> bool:
        return bool(self._stop[0])


class _Hopeless:
    """Ends a run that will not pass a log-likelihood, or once another thread has set the flag."""

    def __init__(self, target: float, stop: Stop) -> None:
        self._target, self._stop = target, stop

    def __call__(self, record: EMRecord) -> bool:
        if self._stop is not None and self._stop[0]:
            return True
        return record.iteration >= FIRST_STEPS and record.log_likelihood + AHEAD * record.change < self._target


def _is_degenerate(runs: Runs) -> bool:
    return any(report.chosen and report.degenerate for report in runs.reports)


def _joined(first: Runs, second: Runs) -> Runs:
    """Return a run and its continuation as one."""
    before, after = first.result, second.result
    history = list(before.history)
    seconds = history[-1].seconds
    history += [
        record._replace(iteration=record.iteration + before.n_iter, seconds=record.seconds + seconds)
        for record in after.history[1:]
    ]
    report = second.reports[0]
    return second._replace(
        result=replace(after, n_iter=before.n_iter + after.n_iter, history=history),
        reports=[report._replace(n_iter=before.n_iter + after.n_iter)],
    )


def _with_run(runs: Runs | None, found: Runs, origin: str, weight: float) -> Runs:
    """Return runs with one more, which is the best."""
    before = [] if runs is None else [report._replace(chosen=False) for report in runs.reports]
    last = found.reports[0]._replace(run=len(before), start=origin)
    return found._replace(reports=count_alike([*before, last], weight))
