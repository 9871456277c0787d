"""How far a fit is, as the header and the arrays of a file, and back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from emix.em.keeping import EMState
from emix.em.restarts import Degeneracy
from emix.em.result import EMRecord, EMResult
from emix.estimators.mixture_file import columns_of_records, records_of_columns
from emix.estimators.statistics_file import statistics_content, statistics_of_content
from emix.files.json_values import plain_value
from emix.gaussian.structures import CovarianceStructure

__all__ = ["End", "Progress", "progress_content", "progress_of_content"]

_RUN = "run_"  # prefix of arrays that a run keeps


class End(NamedTuple):
    """A run that has ended.

    Attributes
    ----------
    start : str
        Kind of the start.
    warned : list of str
        Its ConvergenceWarnings.
    result : EMResult or None
        From a file, only the best run so far has parameters, statistics and history.
    reason : Degeneracy or None
        The reason why the run is set aside.
    error : (str, int, float or None) or None
        Arguments of the DegenerateCovarianceError that the run raised; it has no result then.
    """

    start: str
    warned: list[str]
    result: EMResult | None
    reason: Degeneracy | None
    error: tuple[str, int, float | None] | None


class Progress(NamedTuple):
    """How far a fit is: runs that have ended, and the one that goes on.

    Attributes
    ----------
    seconds : float
        Time since the fit began, without the time in which it was at rest.
    ends : list of End
    start : str
        Kind of the start of the run that goes on.
    state : EMState or None
        Of the run that goes on, None before its first iteration has ended. Its history has no later record.
    """

    seconds: float
    ends: list[End]
    start: str
    state: EMState | None


def progress_content(progress: Progress) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return progress as a header and arrays."""
    best, arrays = _best(progress.ends), dict[str, Any]()
    header: dict[str, Any] = {
        "seconds": progress.seconds,
        "start": progress.start,
        "ends": [_end_content(end) for end in progress.ends],
        "best": None,
        "state": None,
    }
    if best is not None:
        header["best"] = best
        result = progress.ends[best].result
        assert result is not None
        header["of_best"] = _content("best_", result.statistics, result.history, arrays)
    if (state := progress.state) is not None:
        header["state"] = _content("state_", state.statistics, list(state.history), arrays)
        arrays["state_falls"] = np.array(state.falls, dtype=np.float64).reshape(-1, 2)
        arrays.update({_RUN + name: array for name, array in state.run.items()})
    return header, arrays


def progress_of_content(structure: CovarianceStructure, header: dict[str, Any], arrays: dict[str, Any]) -> Progress:
    """Inverse of `progress_content`; any error of a header or arrays that it did not make."""
    ends = [_end_of_content(**content) for content in header["ends"]]
    if (best := header["best"]) is not None:
        statistics, history = _of_content("best_", structure, header["of_best"], arrays)
        light = ends[best].result
        assert light is not None
        ends[best] = ends[best]._replace(result=_result(light, statistics.taken_under, history, statistics))
    state = None
    if header["state"] is not None:
        statistics, history = _of_content("state_", structure, header["state"], arrays)
        falls = [(int(iteration), fall) for iteration, fall in arrays["state_falls"].tolist()]
        run = {name.removeprefix(_RUN): array for name, array in arrays.items() if name.startswith(_RUN)}
        state = EMState(statistics, history, falls, run)
    return Progress(float(header["seconds"]), ends, str(header["start"]), state)


def _best(ends: list[End]) -> int | None:
    """Return the number of the run that is kept if no later one is better, as `best_run` ranks them."""
    found = [
        (end.reason is None, end.result.objective, -number) for number, end in enumerate(ends) if end.result is not None
    ]
    return -max(found)[2] if found else None


def _content(prefix: str, statistics: Any, history: list[EMRecord], arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the header of statistics and records, and add their arrays."""
    header, parts = statistics_content(statistics, prefix)
    listed, columns = columns_of_records(f"{prefix}history", history, EMRecord)
    arrays.update(parts | columns)
    return {"statistics": header, "history": listed}


def _of_content(
    prefix: str, structure: CovarianceStructure, header: dict[str, Any], arrays: dict[str, Any]
) -> tuple[Any, list[EMRecord]]:
    statistics = statistics_of_content(structure, header["statistics"], arrays, prefix)
    history = records_of_columns(f"{prefix}history", arrays, header["history"], EMRecord)
    if statistics.taken_under is None or not history:
        raise ValueError(f"{prefix}statistics lack their parameters, or their history")
    return statistics, history


def _end_content(end: End) -> dict[str, Any]:
    result, reason = end.result, end.reason
    return {
        "start": end.start,
        "warned": list(end.warned),
        "result": None
        if result is None
        else [result.log_likelihood, result.n_iter, result.converged, result.stopped_by, result.log_prior],
        "reason": None if reason is None else [plain_value(value) for value in reason],
        "error": None if end.error is None else [plain_value(value) for value in end.error],
    }


def _end_of_content(start: str, warned: list[str], result: Any, reason: Any, error: Any) -> End:
    light = None
    if result is not None:
        log_likelihood, n_iter, converged, stopped_by, log_prior = result
        light = EMResult(None, log_likelihood, n_iter, converged, stopped_by, [], None, log_prior, True)
    elif error is None:
        raise ValueError("a run ended neither with a result nor with an error")
    return End(start, warned, light, None if reason is None else Degeneracy(*reason), error and tuple(error))


def _result(light: EMResult, parameters: Any, history: list[EMRecord], statistics: Any) -> EMResult:
    """Return the result of a run, whole."""
    return EMResult(
        parameters, light.log_likelihood, light.n_iter, light.converged, light.stopped_by, history, statistics,
        light.log_prior, True,
    )  # fmt: skip
