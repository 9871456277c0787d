"""Several runs from different starts, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emix.exceptions import DegenerateCovarianceError

from .loop import EMResult

__all__ = ["RunReport", "best_run"]


@dataclass(frozen=True)
class RunReport:
    """What became of one run.

    Attributes
    ----------
    run : int
    log_likelihood : float or None
        Total, nats; None for a run that did not end.
    n_iter : int
    converged : bool
    degenerate : bool
        A component shrank onto too few rows: the run was set aside.
    chosen : bool
    message : str
        Why it was set aside, or how it stopped.
    """

    run: int
    log_likelihood: float | None
    n_iter: int
    converged: bool
    degenerate: bool
    chosen: bool
    message: str


def best_run(
    run: Callable[[int], EMResult], n_init: int, degeneracy: Callable[[EMResult], str | None]
) -> tuple[EMResult, list[RunReport]]:
    """Run each start and return the result with the highest log-likelihood, and what became of all.

    The likelihood of a mixture has no upper bound: a component that shrinks onto few rows can raise it for ever. Runs
    in which that happened are ranked behind all others, however high their log-likelihood.

    Parameters
    ----------
    run : callable
        Number of the run -> its result. It may raise DegenerateCovarianceError.
    n_init : int
    degeneracy : callable
        Result -> why it is degenerate, or None.

    Returns
    -------
    EMResult
    list of RunReport

    Raises
    ------
    DegenerateCovarianceError
        The first run's, if every run raised one.
    """
    best: tuple[bool, float, int, EMResult] | None = None
    failure: DegenerateCovarianceError | None = None
    found: list[tuple[EMResult | None, str | None]] = []
    for number in range(n_init):
        try:
            result = run(number)
        except DegenerateCovarianceError as error:
            failure = failure or error
            found.append((None, str(error)))
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


def _report(number: int, result: EMResult | None, reason: str | None, best: EMResult) -> RunReport:
    if result is None:
        return RunReport(number, None, 0, False, True, False, reason or "")
    return RunReport(
        number,
        result.log_likelihood,
        result.n_iter,
        result.converged,
        reason is not None,
        result is best,
        reason or f"stopped by {result.stopped_by}",
    )
