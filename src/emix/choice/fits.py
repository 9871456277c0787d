"""The fits of one cell of a sweep: from its own starts, then from its neighbours' parameters."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from emix.choice.request import Cell
from emix.choice.side_by_side import Stop
from emix.em.loop import FIRST_PLAIN, Goal, Verdict, Watch, iterate
from emix.em.restarts import sound_report
from emix.em.result import EMRecord, EMResult
from emix.estimators.mixture_runs import Runs, count_alike, fit_from_starts, model_of
from emix.estimators.parameters_check import GivenStart, Settings
from emix.exceptions import DegenerateFitError, Warned, warnings_held
from emix.gaussian.collapse import ColumnDoubts, Names, judge_fit
from emix.gaussian.model import q_function
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.run import GaussianRun
from emix.gaussian.statistics import GaussianStatistics
from emix.rows.arrays import ArraySource
from emix.starts.auto import FRESH
from emix.starts.starting_parameters import make_start

__all__ = ["CellFit", "Fitter"]

Start = Callable[[], GaussianParameters]
"""Makes parameters to start from, of a neighbour's."""

_NO_START = GivenStart(None, None, None)

# Nats, for rows of weight 1: the least by which a neighbour's start has to end above the fit that is there. No choice
# hangs on less.
LEAST_GAIN = 0.01

# A run from a neighbour is given up if AHEAD more steps as large as its last one would not reach the fit that is there:
# steps of EM shrink. The first steps do not count, because they only put the parts in their places. (Measured on
# faithful, iris, wine and ten columns of breast cancer, 14 structures × 9 numbers of components. With AHEAD = 8, 15,
# 20, 40 the second phase takes 23 000, 27 000, 29 000 and 33 000 steps and improves 285, 314, 323 and 337 of 504 fits.)
FIRST_STEPS, AHEAD = 4, 20.0

# A run that collapses may climb for hundreds of steps. Whether a component has collapsed is asked after so many.
STEPS_TO_VERDICT = 30
# Steps of a run that stands in the table because every run collapsed.
STEPS_OF_COLLAPSED = 100

# The starts of a sweep's mixtures with "auto". The first goes to its end. It is mclust's start, so that fits are hardly
# ever below those of mclust. The others are given up as runs from neighbours are, but later: clusters are further from
# a mode than a neighbour's parameters.
# Each has the number of its restart.
FIRST_START, OTHER_STARTS = "banfield-raftery", (("hierarchical", 0), ("kmeans", 0))
FIRST_STEPS_OF_CLUSTERS, AHEAD_OF_CLUSTERS = 10, 50.0


class CellFit(NamedTuple):
    """The best fit of a cell so far.

    Attributes
    ----------
    runs : Runs or None
        As those of a GaussianMixture; None if no run ended.
    failure : str
        The error of the cell if no run ended.
    warned : list
        Warnings of the runs.
    seconds : float
    is_sound : bool
        True if no component collapsed.
    """

    runs: Runs | None
    failure: str
    warned: Warned
    seconds: float
    is_sound: bool = True

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood of the parameters that are kept, in the unit of the source's weights; −∞ without any."""
        return -np.inf if self.runs is None else self.runs.result.log_likelihood

    @property
    def entropy(self) -> float:
        """Entropy of the responsibilities under the parameters that are kept, summed over rows by weight; nats.

        The expected log-likelihood of rows and components, which statistics give, is the log-likelihood less this.
        """
        if self.runs is None:
            return np.nan
        result = self.runs.result
        return max(0.0, result.log_likelihood - q_function(result.parameters, result.statistics))


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
    """

    def __init__(self, source: ArraySource, settings: Settings, seed: int, names: Names) -> None:
        self.source, self.names = source, names
        self._settings, self._seed = settings, seed
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
        settings = self.settings_of(cell, alone=alone)
        if settings.init_params == "auto" and cell.n_components > 1:
            model = model_of(settings, self.source)
            starts: list[tuple[str, Start]] = [
                (kind, partial(make_start, kind, self.source, model, self._seed, restart))
                for kind, restart in [(FIRST_START, 0), *OTHER_STARTS, *_more_starts(settings.n_init)]
            ]
            none = CellFit(None, "", [], 0.0, False)
            found = self._better(cell, none, starts, stop, alone, FIRST_STEPS_OF_CLUSTERS, AHEAD_OF_CLUSTERS)
            if found.is_sound:
                return found
            # Every run collapsed: the first one stands in the table.
            max_iter = min(settings.max_iter, STEPS_OF_COLLAPSED)
            settings = settings._replace(init_params=FIRST_START, n_init=1, max_iter=max_iter)
        watch = Watch(_Stopped(stop), eager=True, sees_all=False)
        with warnings_held() as warned:
            try:
                runs = fit_from_starts(settings, _NO_START, self._seed, self.source, self.names, watch, search=0.0)
            except DegenerateFitError as error:
                return CellFit(None, str(error), warned, time.perf_counter() - began, False)
        return CellFit(runs, "", warned, time.perf_counter() - began, not _is_degenerate(runs))

    def search(self, cell: Cell, before: CellFit, share: float, *, alone: bool = False) -> CellFit:
        """Fit a cell with a share of the search of ``init_params="auto"``, and return the better fit."""
        began = time.perf_counter()
        settings = self.settings_of(cell, alone=alone)._replace(n_init=1)
        with warnings_held() as warned:
            try:
                found = fit_from_starts(settings, _NO_START, self._seed, self.source, self.names, search=share)
            except DegenerateFitError:
                return before
            if _is_degenerate(found) or found.result.log_likelihood < before.log_likelihood + self._least_gain:
                return before._replace(seconds=before.seconds + time.perf_counter() - began)
        runs = _with_run(before.runs, found.result, found.columns, found.reports[0].start)
        runs = runs._replace(reports=count_alike(runs.reports, self.source.total_weight))
        return CellFit(runs, "", warned, before.seconds + time.perf_counter() - began)

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
        return self._better(cell, before, starts, stop, alone)

    def _better(
        self,
        cell: Cell,
        before: CellFit,
        starts: list[tuple[str, Start]],
        stop: Stop,
        alone: bool,
        first_steps: int = FIRST_STEPS,
        ahead: float = AHEAD,
    ) -> CellFit:
        if not starts:
            return before
        began, best = time.perf_counter(), before
        settings = self.settings_of(cell, alone=alone)
        model = model_of(settings, self.source)
        run: GaussianRun | None = None  # of one fit after the other
        for origin, start in starts:
            target = best.log_likelihood + self._least_gain if best.is_sound else -np.inf
            goal = Goal(target, ahead, first_steps)
            watch = Watch(_Stopped(stop), eager=True, sees_all=False, goal=goal, first_plain=FIRST_PLAIN)
            with warnings_held() as warned:
                try:
                    run = model.begin(self.source) if run is None else run.anew()
                    found = self._run(run, settings, start(), watch)
                except (DegenerateFitError, np.linalg.LinAlgError):
                    continue
            if found is None or found[0].log_likelihood < target:
                continue
            runs = _with_run(best.runs, *found, origin)
            best = CellFit(runs, "", warned, 0.0)
        if best is before:
            return before
        assert best.runs is not None
        reports = count_alike(best.runs.reports, self.source.total_weight)
        return best._replace(
            runs=best.runs._replace(reports=reports), seconds=before.seconds + time.perf_counter() - began
        )

    def _run(
        self, run: GaussianRun, settings: Settings, parameters: GaussianParameters, watch: Watch
    ) -> tuple[EMResult, ColumnDoubts] | None:
        """Return the run from parameters to its end, None if it was given up or a component collapsed."""
        rows, model = self.source.effective_rows, run.model

        def has_collapsed(statistics: GaussianStatistics) -> bool:
            return judge_fit(statistics, model.reg_covar, rows).collapse is not None

        watch = watch._replace(verdict=Verdict(has_collapsed, STEPS_TO_VERDICT))
        found = iterate(
            model, self.source, parameters, tol=settings.tol, max_iter=settings.max_iter, watch=watch, run=run
        )
        if found.stopped_by == "callback":
            return None
        collapse, columns = judge_fit(found.statistics, model.reg_covar, rows)
        return None if collapse is not None else (found, columns)


def _more_starts(n_init: int) -> list[tuple[str, int]]:
    """Return the kinds and restarts of fresh starts, one less than was asked for, by turns."""
    return [(FRESH[restart % 2], restart) for restart in range(1, n_init)]


class _Stopped:
    """Ends a run once another thread has set the flag."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def __call__(self, record: EMRecord) -> bool:
        return self._stop is not None and bool(self._stop[0])


def _is_degenerate(runs: Runs) -> bool:
    return any(report.chosen and report.degenerate for report in runs.reports)


def _with_run(runs: Runs | None, result: EMResult, columns: ColumnDoubts, origin: str) -> Runs:
    """Return runs with one more, which is the best; how many ended alike is left to `count_alike`."""
    before = [] if runs is None else [one._replace(chosen=False) if one.chosen else one for one in runs.reports]
    return Runs(result, [*before, sound_report(len(before), result, origin)], columns)
