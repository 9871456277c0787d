"""The choice among runs from several starts."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from emix import EMResult
from emix.em.restarts import Degeneracy, RunReport, best_run
from emix.exceptions import DegenerateFitError, warn

LONG = 60.0  # seconds that only a defect would last

Outcome = float | Exception
Choose = Callable[..., tuple[Any, list[RunReport]]]


def of_error(error: DegenerateFitError) -> Degeneracy:
    return Degeneracy(str(error), error.component, None, error.n_effective)


SHRANK = Degeneracy("shrank", component=2, column=0, effective_rows=7.5)


def runs_of(outcomes: list[Outcome]) -> Callable[[int, Any], EMResult]:
    def run(number: int, stop: Any) -> EMResult:
        outcome = outcomes[number]
        if isinstance(outcome, Exception):
            raise outcome
        return EMResult(number, outcome, 10 + number, True, "log_likelihood", [])

    return run


@pytest.fixture(params=[1, 2, 5], ids=["one at a time", "two", "five"])
def choose(request: pytest.FixtureRequest) -> Choose:
    """Which run is kept, and the reports, for one outcome after another or several at a time."""

    def choice(outcomes: list[Outcome], degenerate: tuple[int, ...] = ()) -> tuple[Any, list[RunReport]]:
        result, reports = best_run(
            runs_of(outcomes),
            len(outcomes),
            lambda result: SHRANK if result.parameters in degenerate else None,
            of_error,
            request.param,
        )
        return result.parameters, reports

    return choice


def collapsed(component: int) -> DegenerateFitError:
    return DegenerateFitError(f"component {component} collapsed", component, 1.5)


def test_highest_log_likelihood_is_kept(choose: Choose) -> None:
    number, reports = choose([-5.0, -3.0, -4.0])
    assert number == 1
    assert [report.chosen for report in reports] == [False, True, False]
    assert [report.log_likelihood for report in reports] == [-5.0, -3.0, -4.0]
    assert reports[1] == RunReport(1, -3.0, 11, True, False, True, "stopped by log_likelihood", n_alike=1)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_runs_are_ranked_by_log_likelihood_plus_log_prior(n_threads: int) -> None:
    priors = [0.0, -9.0, -1.0]

    def run(number: int, stop: Any) -> EMResult:
        result = runs_of([-5.0, -1.0, -3.0])(number, stop)
        return replace(result, stopped_by="objective", log_prior=priors[number])

    result, reports = best_run(run, 3, lambda result: None, of_error, n_threads)
    assert (result.parameters, result.objective) == (2, -4.0)
    assert [report.objective for report in reports] == [-5.0, -10.0, -4.0]
    assert [report.log_likelihood for report in reports] == [-5.0, -1.0, -3.0]
    assert reports[2] == RunReport(2, -3.0, 12, True, False, True, "stopped by objective", log_prior=-1.0, n_alike=1)


def test_objective_of_a_run_is_its_log_likelihood_where_there_is_no_prior(choose: Choose) -> None:
    _, reports = choose([-5.0, collapsed(1)])
    assert [report.objective for report in reports] == [-5.0, None]


def test_of_equals_the_first(choose: Choose) -> None:
    assert choose([-4.0, -3.0, -3.0, -3.0])[0] == 1
    assert choose([-3.0, -3.0], degenerate=(0, 1))[0] == 0


def test_degenerate_run_is_set_aside_however_high(choose: Choose) -> None:
    number, reports = choose([-5.0, 1e6, -4.0], degenerate=(1,))
    assert number == 2
    assert reports[1] == RunReport(1, 1e6, 11, True, True, False, "shrank", 2, 0, 7.5)


def test_degenerate_run_is_returned_if_there_is_no_other(choose: Choose) -> None:
    number, reports = choose([2.0, 7.0, collapsed(0)], degenerate=(0, 1))
    assert number == 1
    assert all(report.degenerate for report in reports)
    assert [report.chosen for report in reports] == [False, True, False]


def test_run_that_collapses_is_reported_and_ends_nothing(choose: Choose) -> None:
    number, reports = choose([collapsed(2), -4.0, collapsed(1)])
    assert number == 1
    assert reports[0] == RunReport(0, None, 0, False, True, False, "component 2 collapsed", 2, None, 1.5)
    assert reports[2].message == "component 1 collapsed"


def test_error_of_the_first_run_if_all_collapse(choose: Choose) -> None:
    with pytest.raises(DegenerateFitError, match="component 2 collapsed") as caught:
        choose([collapsed(2), collapsed(1)])
    assert (caught.value.component, caught.value.n_effective) == (2, 1.5)


@pytest.mark.parametrize("error", [ValueError("row 7 is NaN"), RuntimeError("out of luck")])
def test_other_errors_are_not_swallowed(error: Exception, choose: Choose) -> None:
    with pytest.raises(type(error), match=str(error)):
        choose([-4.0, error, -3.0])


@pytest.mark.parametrize("n_threads", [1, 2])
def test_interruption_is_not_swallowed(n_threads: int) -> None:
    def run(number: int, stop: Any) -> EMResult:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        best_run(run, 3, lambda result: None, of_error, n_threads)


def test_interruption_stops_runs_of_other_threads() -> None:
    begun, ended = threading.Barrier(2), []

    def run(number: int, stop: Any) -> EMResult:
        begun.wait(LONG)
        if threading.current_thread() is caller:
            raise KeyboardInterrupt
        end = time.monotonic() + LONG
        while not stop[0] and time.monotonic() < end:
            time.sleep(0.001)
        ended.append(bool(stop[0]))
        return runs_of([0.0] * 9)(number, stop)

    caller = threading.current_thread()
    with pytest.raises(KeyboardInterrupt):
        best_run(run, 9, lambda result: None, of_error, 2)
    assert ended == [True]  # and no further run was begun


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_no_further_run_is_begun_after_an_error_and_the_first_is_raised(n_threads: int) -> None:
    begun: list[int] = []
    later = threading.Event()

    def run(number: int, stop: Any) -> EMResult:
        begun.append(number)
        if number == 1:
            # The error of a later run comes before this one's, if there are threads for both.
            later.wait(1.0 if n_threads == 3 else 0.0)
            raise ValueError("run 1")
        if number == 2:
            later.set()
            raise ValueError("run 2")
        if number == 0 and n_threads > 1:
            later.wait(0.1)
        return runs_of([0.0] * 99)(number, stop)

    with pytest.raises(ValueError, match="run 1"):
        best_run(run, 99, lambda result: None, of_error, n_threads)
    assert len(begun) < 99


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_warnings_come_in_the_order_of_the_runs_from_the_callers_line(n_threads: int) -> None:
    def run(number: int, stop: Any) -> EMResult:
        time.sleep(0.002 * (number % 3 == 0))
        warn(f"run {number}")
        warn(f"run {number} again", RuntimeWarning)
        return runs_of([0.0] * 6)(number, stop)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        best_run(run, 6, lambda result: None, of_error, n_threads)
    assert [str(item.message) for item in caught] == [
        text for number in range(6) for text in (f"run {number}", f"run {number} again")
    ]
    assert [item.category for item in caught] == [UserWarning, RuntimeWarning] * 6
    assert {item.filename for item in caught if n_threads > 1} <= {__file__}
