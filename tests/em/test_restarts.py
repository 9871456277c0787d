"""The choice among runs from several starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from emix import DegenerateCovarianceError, EMResult
from emix.em.restarts import RunReport, best_run

Outcome = float | Exception


def runs_of(outcomes: list[Outcome]) -> Callable[[int], EMResult]:
    def run(number: int) -> EMResult:
        outcome = outcomes[number]
        if isinstance(outcome, Exception):
            raise outcome
        return EMResult(number, outcome, 10 + number, True, "log_likelihood", [])

    return run


def choose(outcomes: list[Outcome], degenerate: tuple[int, ...] = ()) -> tuple[Any, list[RunReport]]:
    result, reports = best_run(
        runs_of(outcomes), len(outcomes), lambda result: "shrank" if result.parameters in degenerate else None
    )
    return result.parameters, reports


def collapsed(component: int) -> DegenerateCovarianceError:
    return DegenerateCovarianceError(f"component {component} collapsed", component, 1.5)


def test_highest_log_likelihood_is_kept() -> None:
    number, reports = choose([-5.0, -3.0, -4.0])
    assert number == 1
    assert [report.chosen for report in reports] == [False, True, False]
    assert [report.log_likelihood for report in reports] == [-5.0, -3.0, -4.0]
    assert reports[1] == RunReport(1, -3.0, 11, True, False, True, "stopped by log_likelihood")


def test_of_equals_the_first() -> None:
    assert choose([-4.0, -3.0, -3.0, -3.0])[0] == 1
    assert choose([-3.0, -3.0], degenerate=(0, 1))[0] == 0


def test_degenerate_run_is_set_aside_however_high() -> None:
    number, reports = choose([-5.0, 1e6, -4.0], degenerate=(1,))
    assert number == 2
    assert reports[1] == RunReport(1, 1e6, 11, True, True, False, "shrank")


def test_degenerate_run_is_returned_if_there_is_no_other() -> None:
    number, reports = choose([2.0, 7.0, collapsed(0)], degenerate=(0, 1))
    assert number == 1
    assert all(report.degenerate for report in reports)
    assert [report.chosen for report in reports] == [False, True, False]


def test_run_that_collapses_is_reported_and_ends_nothing() -> None:
    number, reports = choose([collapsed(2), -4.0, collapsed(1)])
    assert number == 1
    assert reports[0] == RunReport(0, None, 0, False, True, False, "component 2 collapsed")
    assert reports[2].message == "component 1 collapsed"


def test_error_of_the_first_run_if_all_collapse() -> None:
    with pytest.raises(DegenerateCovarianceError, match="component 2 collapsed") as caught:
        choose([collapsed(2), collapsed(1)])
    assert (caught.value.component, caught.value.n_effective) == (2, 1.5)


@pytest.mark.parametrize("error", [ValueError("row 7 is NaN"), RuntimeError("out of luck")])
def test_other_errors_are_not_swallowed(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        choose([-4.0, error, -3.0])


def test_interruption_is_not_swallowed() -> None:
    def run(number: int) -> EMResult:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        best_run(run, 3, lambda result: None)
