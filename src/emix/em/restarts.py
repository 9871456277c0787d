"""Several runs from different starts, and the choice among them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, NamedTuple

from emix.em.result import EMResult
from emix.exceptions import DegenerateFitError, Warned, warn, warnings_held
from emix.parallel.threads import Task, run_in_threads

__all__ = ["Degeneracy", "RunReport", "best_run", "sound_report"]

Run = Callable[[int, Any], EMResult]
"""Does one run: (number, stop) -> its result.

Once stop[0] is not 0 the run may end early, with any result. stop is None where no other thread can end the run.
"""


class Degeneracy(NamedTuple):
    """The reason why a run is set aside: a component that collapsed.

    Attributes
    ----------
    message : str
    component, column : int or None
        The component, and the column in whose direction it collapsed; None if all did.
    effective_rows : float or None
        Number of rows that the component holds.
    """

    message: str
    component: int | None = None
    column: int | None = None
    effective_rows: float | None = None


class RunReport(NamedTuple):
    """Report of one run of a fit.

    Attributes
    ----------
    run : int
    log_likelihood : float or None
        Log-likelihood of the run's parameters; total, nats; None for a run that did not end.
    n_iter : int
    converged : bool
    degenerate : bool
        True if a component collapsed. The run is then set aside.
    chosen : bool
        True for the run whose result is kept.
    message : str
        The reason why the run was set aside, or how it stopped.
    component : int or None
        The component that collapsed; None if none did, or if all did at once.
    column : int or None
        The column with the largest part in the direction in which the component collapsed; None if it did in all.
    effective_rows : float or None
        Number of rows that the component holds, by their responsibilities.
    log_prior : float
        The model's log_prior of the run's parameters, nats; 0 if it has none.
    start : str
        The kind of start that the run came from; empty if it is not known.
    n_alike : int
        Number of runs that ended in the same mode, by their objectives, this one too; 0 for a run that was set aside.
        `best_run` knows of this one only.
    """

    run: int
    log_likelihood: float | None
    n_iter: int
    converged: bool
    degenerate: bool
    chosen: bool
    message: str
    component: int | None = None
    column: int | None = None
    effective_rows: float | None = None
    log_prior: float = 0.0
    start: str = ""
    n_alike: int = 0

    @property
    def objective(self) -> float | None:
        """log_likelihood + log_prior, by which runs are ranked; None for a run that did not end."""
        return None if self.log_likelihood is None else self.log_likelihood + self.log_prior


def best_run(
    run: Run,
    n_init: int,
    degeneracy: Callable[[EMResult], Degeneracy | None],
    of_error: Callable[[DegenerateFitError], Degeneracy],
    n_threads: int = 1,
    kinds: Sequence[str] | None = None,
) -> tuple[EMResult, list[RunReport]]:
    """Run each start and return the result with the highest objective, and a report of each run.

    The objective is the log-likelihood, plus the log-prior of a model that has one. The likelihood of a mixture has no
    upper bound: a component that shrinks onto few rows can raise it for ever. Runs in which a component collapsed are
    ranked behind all others, however high their objective.

    Parameters
    ----------
    run : callable
        Does one run: (number, stop) -> its result. It may raise DegenerateFitError.
    n_init : int
        Number of runs. One that a callback ended is the last, if runs are done one by one.
    degeneracy : callable
        The result of a run -> the reason to set it aside, or None.
    of_error : callable
        The error that a run raised -> the reason to set it aside.
    n_threads : int
        Number of runs at one time. Results, warnings and errors do not depend on it.
    kinds : sequence of str, optional
        The kind of start of each run, filled by the runs.

    Returns
    -------
    EMResult
    list of RunReport

    Raises
    ------
    DegenerateFitError
        If every run raised one: that of the first.
    """
    outcome = _side_by_side(run, n_init, n_threads) if n_threads > 1 else lambda number: run(number, None)
    best: tuple[bool, float, int, EMResult] | None = None
    failure: DegenerateFitError | None = None
    found: list[tuple[EMResult | None, Degeneracy | None]] = []
    for number in range(n_init):
        try:
            result = outcome(number)
        except DegenerateFitError as error:
            failure = failure or error
            found.append((None, of_error(error)))
            continue
        reason = degeneracy(result)
        found.append((result, reason))
        # Of equal runs the first is kept.
        rank = (reason is None, result.objective, -number)
        if best is None or rank > best[:3]:
            best = (*rank, result)
        if n_init > 1 and n_threads == 1 and result.stopped_by == "callback":
            break  # the fit is ended, not this run alone
    if best is None:
        assert failure is not None
        raise failure
    starts = [""] * n_init if kinds is None else kinds
    reports = [
        _report(number, result, reason, best[3], starts[number]) for number, (result, reason) in enumerate(found)
    ]
    return best[3], reports


def sound_report(number: int, result: EMResult, start: str) -> RunReport:
    """Return the report of a run that is kept."""
    return _report(number, result, None, result, start)


def _side_by_side(run: Run, n_init: int, n_threads: int) -> Callable[[int], EMResult]:
    """Do the runs in threads; return a function that gives the outcome of each: its warnings, and its result or error.

    After an error that ends the fit no further run is begun. All runs before the one that failed have been begun, and
    are finished.
    """
    left = deque(range(n_init))
    warned: dict[int, Warned] = {}
    ends: dict[int, EMResult | Exception] = {}

    def share(thread: int, stop: Any) -> None:
        while left and not stop[0]:
            try:
                number = left.popleft()
            except IndexError:  # another thread has taken the last one meanwhile
                return
            with warnings_held() as warned[number]:
                try:
                    ends[number] = run(number, stop)
                # `outcome` raises the error after the outcomes of the runs before, as if the runs were done one after
                # the other.
                except Exception as error:  # noqa: BLE001 (raised by `outcome`)
                    ends[number] = error
                    if not isinstance(error, DegenerateFitError):
                        left.clear()

    def outcome(number: int) -> EMResult:
        for message, category in warned[number]:
            warn(message, category)
        end = ends[number]
        if isinstance(end, Exception):
            raise end
        return end

    run_in_threads(_in_context(share), n_threads)
    return outcome


def _in_context(task: Task) -> Task:
    """Return the task with this thread's context variables, such as NumPy's error state, in every thread."""
    context = copy_context()
    return lambda thread, stop: context.copy().run(task, thread, stop)


def _report(number: int, result: EMResult | None, reason: Degeneracy | None, best: EMResult, start: str) -> RunReport:
    if result is None:
        assert reason is not None
        return RunReport(number, None, 0, False, True, False, *reason, start=start)
    if reason is not None:
        sound = _report(number, result, None, best, start)
        return sound._replace(degenerate=True, n_alike=0, **reason._asdict())
    return RunReport(
        number, result.log_likelihood, result.n_iter, result.converged, False, result is best,
        f"stopped by {result.stopped_by}", None, None, None, result.log_prior, start, 1,
    )  # fmt: skip
