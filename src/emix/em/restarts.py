"""Several runs from different starts, and the choice among them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from emix.em.loop import EMResult
from emix.exceptions import DegenerateCovarianceError, Warned, warn, warnings_held
from emix.parallel.threads import Task, run_in_threads

__all__ = ["Degeneracy", "RunReport", "best_run"]

Run = Callable[[int, Any], EMResult]
"""(number, stop): does a run; may end it early, with any result, once stop[0] is not 0; None where it never is."""


class Degeneracy(NamedTuple):
    """Why a run is set aside.

    Attributes
    ----------
    message : str
    component, column : int or None
        Which component, and in the direction of which column; None if of all.
    effective_rows : float or None
        Rows that the component holds.
    """

    message: str
    component: int | None = None
    column: int | None = None
    effective_rows: float | None = None


@dataclass(frozen=True, init=False)
class RunReport:
    """Report of one run of a fit.

    Attributes
    ----------
    run : int
    log_likelihood : float or None
        Total, nats; None for a run that did not end.
    n_iter : int
    converged : bool
    degenerate : bool
        A component collapsed: the run was set aside.
    chosen : bool
    message : str
        Why it was set aside, or how it stopped.
    component : int or None
        The component that collapsed; None if none did, or if all share the covariance that did.
    column : int or None
        The column with the largest part in the direction in which it collapsed; None if it did in all.
    effective_rows : float or None
        Rows that it holds, by their responsibilities.
    """

    run: int
    log_likelihood: float | None
    n_iter: int
    converged: bool
    degenerate: bool
    chosen: bool
    message: str
    component: int | None
    column: int | None
    effective_rows: float | None

    def __init__(
        self,
        run: int,
        log_likelihood: float | None,
        n_iter: int,
        converged: bool,
        degenerate: bool,
        chosen: bool,
        message: str,
        component: int | None = None,
        column: int | None = None,
        effective_rows: float | None = None,
    ) -> None:
        fields = self.__dict__  # as in EMRecord
        fields["run"], fields["log_likelihood"], fields["n_iter"] = run, log_likelihood, n_iter
        fields["converged"], fields["degenerate"], fields["chosen"] = converged, degenerate, chosen
        fields["message"] = message
        fields["component"], fields["column"], fields["effective_rows"] = component, column, effective_rows


def best_run(
    run: Run,
    n_init: int,
    degeneracy: Callable[[EMResult], Degeneracy | None],
    of_error: Callable[[DegenerateCovarianceError], Degeneracy],
    n_threads: int = 1,
) -> tuple[EMResult, list[RunReport]]:
    """Run each start and return the result with the highest log-likelihood, and what became of all.

    The likelihood of a mixture has no upper bound: a component that shrinks onto few rows can raise it for ever. Runs
    in which that happened are ranked behind all others, however high their log-likelihood.

    Parameters
    ----------
    run : callable
        Number of the run, stop flag -> its result. It may raise DegenerateCovarianceError.
    n_init : int
    degeneracy : callable
        Result -> why it is degenerate, or None.
    of_error : callable
        What a run raised -> why it is.
    n_threads : int
        Runs at one time. What comes of them, warnings and errors too, does not depend on it.

    Returns
    -------
    EMResult
    list of RunReport

    Raises
    ------
    DegenerateCovarianceError
        The first run's, if every run raised one.
    """
    outcome = _side_by_side(run, n_init, n_threads) if n_threads > 1 else lambda number: run(number, None)
    best: tuple[bool, float, int, EMResult] | None = None
    failure: DegenerateCovarianceError | None = None
    found: list[tuple[EMResult | None, Degeneracy | None]] = []
    for number in range(n_init):
        try:
            result = outcome(number)
        except DegenerateCovarianceError as error:
            failure = failure or error
            found.append((None, of_error(error)))
            continue
        reason = degeneracy(result)
        found.append((result, reason))
        # Of equals, the first.
        rank = (reason is None, result.log_likelihood, -number)
        if best is None or rank > best[:3]:
            best = (*rank, result)
    if best is None:
        assert failure is not None
        raise failure
    reports = [_report(number, result, reason, best[3]) for number, (result, reason) in enumerate(found)]
    return best[3], reports


def _side_by_side(run: Run, n_init: int, n_threads: int) -> Callable[[int], EMResult]:
    """Do the runs in threads; return what a run by itself would be: it warns, returns the result or raises the error.

    After an error that ends the fit no further run is begun. Those that come before it have been, and are done.
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
                # The error is not handled here: `outcome` raises it after the runs before it, as if they were done one
                # after the other.
                except Exception as error:  # noqa: BLE001 (raised by `outcome`)
                    ends[number] = error
                    if not isinstance(error, DegenerateCovarianceError):
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
    """The task, with context variables in every thread as they are here: what NumPy does about overflow is one."""
    context = copy_context()
    return lambda thread, stop: context.copy().run(task, thread, stop)


def _report(number: int, result: EMResult | None, reason: Degeneracy | None, best: EMResult) -> RunReport:
    if result is None:
        assert reason is not None
        return RunReport(number, None, 0, False, True, False, *reason)
    if reason is not None:
        return replace(_report(number, result, None, best), degenerate=True, **reason._asdict())
    return RunReport(
        number,
        result.log_likelihood,
        result.n_iter,
        result.converged,
        False,
        result is best,
        f"stopped by {result.stopped_by}",
    )
