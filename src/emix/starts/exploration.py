"""Short runs of EM on a bounded sample of rows, with which starts are compared before one of them is run to its end."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.em.loop import FIRST_PLAIN, Goal, Watch, iterate
from emix.em.result import EMRecord, EMResult
from emix.exceptions import warnings_held
from emix.gaussian.collapse import judge_fit
from emix.gaussian.model import GaussianModel
from emix.gaussian.operations import operations_in_form, operations_of_pass
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.shortcuts import AUTO
from emix.parallel.threads import resolve_n_threads, run_in_threads
from emix.rows.arrays import ArraySource
from emix.rows.refusals import LARGEST
from emix.rows.validation import SMALLEST

__all__ = [
    "FORESIGHT",
    "ITERATIONS",
    "PATIENCE",
    "SAME_MODE",
    "Exploration",
    "Mode",
    "in_single_precision",
    "watch_for",
]

# Rows that candidates look at: enough to tell modes apart, few enough to run many.
LEAST_ROWS, ROWS_PER_COMPONENT = 4096, 64

# Budget of all short runs, in operations and in passes: two or three seconds of one thread, on data without a mode that
# is found again. A mixture of few parameters has no more than PASSES · K (K + d). Of 100 seeds on digits, K 10, 95 end
# in the best mode known with these, and 89 with 1.5e11 operations.
OPERATIONS, MOST_PASSES, PASSES = 1.8e11, 24000, 320
# A fit of so many rows is long by itself. The budget is then so many of its EM iterations. Work that has begun is done:
# the first candidates, and the last run. Of 7 200 fits of pixels of a photograph 91.1 % end in the best mode known with
# this number, 91.3 with 5.0, and 90.5 with 4.6.
MANY_ROWS, ITERATIONS_OF_MANY = 100_000, 4.8

# Rows × components × features below which a run takes no shortcut but packing: with another it cannot take many steps
# in one call. Of 4 096 rows with 24 features of all components a step takes 0.06 ms instead of 0.07, with 48 as
# long (tied: 0.10 instead of 0.085).
LEAST_FOR_SHORTCUTS = 200_000

# Operations of a pass from which on runs go side by side. Below what other runs need, as those of a search are one call
# of compiled code each: searches of 100 000 rows with passes of 1.1e6 to 3e6 operations take 0.7 to 0.8 of the time of
# one thread in two.
LEAST_OF_THREADS = 1e6

# What Python does for a run takes as long as so many operations, 0.1 ms where AVX-512 does 6e10 in a second. What it
# does once (samples, their widths and precision, looks for dense and for far rows) takes as long as so many.
OPERATIONS_OF_A_RUN, OPERATIONS_OF_ALL = 6e6, 1.2e8

# Passes over 4 096 rows in single precision take half of the time of double where components have covariance matrices
# of their own (0.53, 3 to 8 columns, K 6 to 10), and so much where they do not.
TIME_IN_SINGLE = 0.65

# A sample is looked at in single precision, in half the time, if at least so many of a column's neighbouring values lie
# further apart than the rounding of its largest value. Of 4 096 rows that is so up to an offset of 800 standard
# deviations, where this rounding is 1e-4 of one. More rows lie closer, and the offset may be less. An outlier as far
# away keeps double precision as well.
TOLD_APART = 0.9

# Passes of a part that has to stop.
NOTHING_LEFT = -1e9

# Nats. Log-densities of a row under two modes of the pixels of a photograph differ by 0.65 (standard deviation): 2.6
# times that over √n is what their mean over n rows is off in one sample of a hundred.
NOISE = 1.7

# Iterations of EM of a trial, after some components were disturbed. After the first few, a run goes on only if it would
# come as high as its goal with so many steps like its last.
ITERATIONS, PATIENCE, FORESIGHT = 200, 5, 10.0

# Nats per unit of weight. Short runs need not converge as far as the fit does. With 3e-5, modes that lie 1.5e-4 apart
# are mistaken for each other.
LEAST_TOL = 1e-5

# Nats per unit of weight. Modes whose log-likelihoods differ by less are one, or as good as one.
SAME_MODE = 1e-4


class Mode(NamedTuple):
    """A mode, or a result on the way to one, and the parameters from which EM came there."""

    start: GaussianParameters
    result: EMResult


class Exploration:
    """Short runs of EM for one model, and the work that is left for them.

    Parameters
    ----------
    source : ArraySource
        All rows of the fit.
    model : GaussianModel
    seed : int
        Of the sample.
    tol : float
        Nats per unit of weight, as that of the fit.
    max_iter : int
        Most iterations of one run, as of the fit: an exploration does not go on where the fit would not.
    share : float
        Share of the budget that may be used, from 0 to 1.

    Attributes
    ----------
    source : ArraySource
        The rows that are looked at: those of the fit, or a sample of them.
    model : GaussianModel
        For these runs: of one thread.
    tol : float
        Nats per unit of weight, of short runs.
    max_iter : int
    operations_of_row : float
        Number of operations that count for one row of a pass in double precision.
    operations : float
        As many in double precision as take the time of a pass over the sample.
    passes_of_a_run : float
        What a run costs beside its passes, in passes; 0 where the budget is not one of iterations.
    noise : float
        Nats per unit of weight. Modes whose log-likelihoods on the sample differ by less may be the other way round on
        all rows; 0 if the sample has all rows.
    warned : bool
        True if the last run gave a warning, which is not passed on.
    """

    def __init__(
        self, source: ArraySource, model: GaussianModel, seed: int, tol: float, max_iter: int, share: float = 1.0
    ) -> None:
        K, d = model.n_components, model.n_features
        n_rows = max(LEAST_ROWS, ROWS_PER_COMPONENT * K)
        self._left, self._redone = 0.0, list[int]()
        self._stops: tuple[NDArray[np.int32], ...] = ()
        self._deviations: NDArray[np.float64] | None = None
        self._rows_in_double: NDArray[np.float64] | None = None
        self._ordered: NDArray[np.float64] | None = None
        self.source = self._as_given = source
        if source.n_rows > n_rows or source.is_sample:
            drawn = source.draw(seed, n_rows)
            weight = None if source.sample_weight is None else source.sample_weight[drawn]
            self.source = self._as_given = ArraySource(source.X.take(drawn, axis=0), weight, source.feature_names)
            if self.source.dtype == np.float64:
                self._ordered = _ordered(self.source.X)
                X = in_single_precision(self.source.X, self._ordered)
                if X is not self.source.X:
                    self.source = ArraySource(X, weight, source.feature_names)
                    self._ordered = self._ordered.astype(np.float32).astype(np.float64)
        self.model = self.model_of(model, K)
        self._n_threads = model.n_threads
        self.tol, self.max_iter = max(tol, LEAST_TOL), max_iter
        self.fit_tol = tol
        self.warned = False
        is_many = source.n_rows >= MANY_ROWS
        # A budget of iterations is a ratio, in which the time of a pass counts.
        a_row = operations_in_form(model.structure.form, K, d) if is_many else operations_of_pass(K, d)
        self.operations_of_row = a_row
        operations, beside = share * OPERATIONS, 0.0
        if is_many:
            budget = ITERATIONS_OF_MANY * source.n_rows * a_row * _time_in(source.dtype)
            operations = min(operations, max(0.5 * budget, budget - OPERATIONS_OF_ALL))
            beside = OPERATIONS_OF_A_RUN
        a_row *= self.time_in_precision
        self.operations = a_pass = self.source.n_rows * a_row + model.structure.m_step_operations(K, d)
        self.passes_of_a_run = beside / a_pass
        self.noise = 0.0 if self.source is source else NOISE / math.sqrt(self.source.effective_rows)
        self.left = min(share * min(MOST_PASSES, PASSES * K * (K + d)), operations / a_pass)

    def model_of(self, model: GaussianModel, n_components: int) -> GaussianModel:
        """Return a model for the sample: that of the fit, with another number of components."""
        d = model.n_features
        numbers = self.source.n_rows * n_components * d
        shortcuts = AUTO if numbers >= LEAST_FOR_SHORTCUTS else ("packing",)
        return GaussianModel(n_components, d, model.structure, model.reg_covar, 1, shortcuts)

    @property
    def left(self) -> float:
        """Passes over the sample that may still be made. The caller of `run` subtracts those that it made."""
        # Of a part whose threads have been told to stop, none.
        if any(stop[0] for stop in self._stops):
            return NOTHING_LEFT
        return self._left - self._passes_redone()

    @left.setter
    def left(self, passes: float) -> None:
        self._left = passes + self._passes_redone()

    def _passes_redone(self) -> float:
        # Whole numbers, so that the order in which threads add them does not count.
        return sum(self._redone) / self.time_in_precision if self._redone else 0.0

    @property
    def is_of_sample(self) -> bool:
        """True if not all rows of the fit are looked at."""
        return self.noise > 0.0

    @property
    def time_in_precision(self) -> float:
        """Time of a pass over its rows, as a part of that in double precision."""
        form = self.model.structure.form
        if self.source.dtype == np.float32 and not (form.has_matrices and not form.is_shared):
            return TIME_IN_SINGLE
        return _time_in(self.source.dtype)

    # Not `cached_property`: before Python 3.12 it has one lock for all objects, and the child of a fork could wait for
    # it for ever.

    @property
    def rows_in_double(self) -> NDArray[np.float64]:
        """The rows of the sample in double precision, in C order. Taken once."""
        if self._rows_in_double is None:
            self._rows_in_double = np.ascontiguousarray(self.source.X, dtype=np.float64)
        return self._rows_in_double

    @property
    def ordered(self) -> NDArray[np.float64]:
        """The values of each column in ascending order, (d, n). Taken once."""
        if self._ordered is None:
            self._ordered = _ordered(self.source.X)
        return self._ordered

    @property
    def unit(self) -> NDArray[np.float64]:
        """`deviations`, and 1 for a constant column."""
        return np.where(self.deviations > 0.0, self.deviations, 1.0)

    @property
    def deviations(self) -> NDArray[np.float64]:
        """Standard deviation of each column of the sample, (d,); 0 where it is constant. Taken once."""
        if self._deviations is None:
            source = self.source
            least, greatest = source.column_range
            width = greatest - least
            # In units of the column's range, squares neither overflow nor vanish. NumPy adds up rows of a few numbers
            # more slowly than columns.
            z = np.array(source.X.T, dtype=np.float64, order="C")
            z -= least[:, np.newaxis]
            z /= np.where(width > 0.0, width, 1.0)[:, np.newaxis]
            z -= np.average(z, axis=1, weights=source.sample_weight)[:, np.newaxis]
            self._deviations = width * np.sqrt(np.average(np.square(z, out=z), axis=1, weights=source.sample_weight))
        return self._deviations

    def run(
        self, start: GaussianParameters, max_iter: int, goal: Goal | None = None, *, relaxed: bool = True
    ) -> EMResult | None:
        """Run EM on the sample; None if a component collapses. The caller counts the passes, as threads may call.

        Those of a run that is done again, in double precision, are counted here.

        Steps of a relaxed run may go further than EM does, but for the first few. A run that will hardly come to the
        goal ends early. One that has not come there is not judged: a verdict on few rows of many columns takes longer
        than the run.
        """
        how = start, self.tol, min(max_iter, self.max_iter), watch_for(goal, relaxed)
        result = self._run(*how)
        if result is None and self.source is not self._as_given:
            # A component 1 000 times narrower in one direction than in others is regular in double precision alone.
            result = self._run(*how, self._as_given)
            self._redone.append(PATIENCE if result is None else result.n_iter + 1)
        return result

    def run_on(
        self, source: ArraySource, start: GaussianParameters, max_iter: int, goal: Goal | None = None
    ) -> EMResult | None:
        """Run EM on other rows than the sample; None if a component collapses."""
        return self._run(start, self.tol, max_iter, watch_for(goal), source)

    def run_to_convergence(self, start: GaussianParameters) -> EMResult | None:
        """Run EM as far as the fit does; None if a component collapses."""
        return self._run(start, self.fit_tol, self.max_iter, None)

    def _run(
        self,
        start: GaussianParameters,
        tol: float,
        max_iter: int,
        watch: Watch | None,
        source: ArraySource | None = None,
    ) -> EMResult | None:
        source = self.source if source is None else source
        try:
            with warnings_held() as warned:
                result = iterate(self.model, source, start, tol=tol, max_iter=max_iter, watch=watch)
        except ValueError:  # a collapse, or rows so far out that their density is zero
            return None
        self.warned = bool(warned)
        if watch is not None and watch.goal is not None and not result.log_likelihood > watch.goal.log_likelihood:
            return result
        collapse = judge_fit(result.statistics, self.model.reg_covar, source.effective_rows).collapse
        return None if collapse is not None else result

    def each(self, n: int, make: Callable[[int, NDArray[np.int32] | None], None]) -> None:
        """Call ``make(i, stop)`` for each i below n, in as many threads as pay.

        What takes longer than a run looks at the flag `stop` between two runs; None where no thread but this one works.
        """
        threads = min(n, resolve_n_threads(self._n_threads)) if self.operations >= LEAST_OF_THREADS else 1
        left, lock = iter(range(n)), Lock()

        def share(_: int, stop: NDArray[np.int32] | None) -> None:
            while stop is None or not stop[0]:
                with lock:
                    number = next(left, n)
                if number == n:
                    return
                make(number, stop)

        run_in_threads(share, threads)

    def shared(self, n: int, work: Callable[[int, Exploration], None]) -> None:
        """Call ``work(i, part)`` for each i below n, in as many threads as pay.

        A part is an exploration of the same rows with an n-th of the passes that are left here; the only part of one is
        this exploration itself. The passes that a part uses are taken from those that are left here. A part has none
        left once another one has raised an error, or a signal has ended the fit.
        """
        if n == 1:
            work(0, self)
            return
        _ = self.deviations, self.rows_in_double  # so that each part has them
        given, threads = self.left / n, max(1, resolve_n_threads(self._n_threads) // n)
        parts = [copy(self) for _ in range(n)]
        for part in parts:
            part._left, part._redone, part._n_threads = given, [], threads

        def do(number: int, stop: NDArray[np.int32] | None) -> None:
            part = parts[number]
            part._stops = self._stops if stop is None else (*self._stops, stop)
            work(number, part)

        self.each(n, do)
        self.left -= sum(given - part.left for part in parts)

    def agree(self, one: EMResult, other: EMResult) -> bool:
        """True if two results seem to be one mode, by their log-likelihoods."""
        return math.fabs(one.log_likelihood - other.log_likelihood) <= SAME_MODE * self.source.total_weight


def _ordered(X: NDArray[Any]) -> NDArray[np.float64]:
    # Columns one after another: NumPy is slow along rows of a few numbers.
    ordered = np.array(X.T, dtype=np.float64, order="C")
    ordered.sort(axis=1)
    return ordered


def in_single_precision(X: NDArray[Any], ordered: NDArray[np.float64]) -> NDArray[Any]:
    """Return rows in single precision if that tells their values apart, and as they are if not.

    X is in double precision. `ordered` has the values of each column in ascending order.
    """
    least, greatest = ordered[:, 0], ordered[:, -1]
    largest = np.maximum(-least, greatest)
    gaps = np.diff(ordered, axis=1)
    apart = np.count_nonzero(gaps > np.finfo(np.float32).eps * largest[:, np.newaxis], axis=1)
    enough = apart >= TOLD_APART * np.count_nonzero(gaps, axis=1)
    is_legal = (largest <= LARGEST["f"]) & (~(greatest > least) | (greatest - least >= SMALLEST["f"]))
    return X.astype(np.float32) if np.all(enough & is_legal) else X


def _time_in(dtype: np.dtype[Any]) -> float:
    """Return the time of a pass over rows of a precision, as a part of that in double precision."""
    return dtype.itemsize / 8.0


def watch_for(goal: Goal | None, relaxed: bool = True) -> Watch:
    """Return a watch of a short run that nothing but its goal ends, and that asks for many steps at a time."""
    return Watch(_go_on, eager=True, sees_all=False, goal=goal, first_plain=FIRST_PLAIN if relaxed else -1)


def _go_on(record: EMRecord) -> bool:
    """Look at a run that its goal alone may end."""
    return False
