"""Errors of fit_em: arguments that are refused, steps that return something else, and errors that it passes on."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest

from em.examples import COINS, START, Array, Scripted, TwoCoins
from emix import EMRecord, fit_em


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_log_likelihood_that_is_not_finite_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match=f"log-likelihood is {value} after 2 iterations, expected a finite one"):
        fit_em(Scripted([-3.0, -2.0, value]), None, 0, tol=0.0, max_iter=5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tol": -1.0}, r"tol is -1\.0, expected 0 or more"),
        ({"tol": math.nan}, "tol is nan, expected 0 or more"),
        ({"max_iter": -1}, "max_iter is -1, expected 0 or more"),
        ({"stop": "gradient"}, r"stop is 'gradient', expected one of \('log_likelihood', 'parameters'\)"),
        ({"acceleration": "squarem"}, "acceleration is 'squarem', expected None"),
    ],
)
def test_arguments_out_of_range(changed: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"tol": 1e-6, "max_iter": 10}
    with pytest.raises(ValueError, match=message):
        fit_em(TwoCoins(), COINS, START, **(arguments | changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tol": "1e-6"}, "tol is '1e-6', expected a number"),
        ({"max_iter": 10.5}, r"max_iter is 10\.5, expected an int"),
        ({"model": TwoCoins}, r"model is the class TwoCoins, expected an object of it: TwoCoins\(\.\.\.\)"),
        ({"model": "coins"}, "model is 'coins', expected an object with the methods e_step and m_step"),
    ],
)
def test_arguments_of_another_kind(changed: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"model": TwoCoins(), "tol": 1e-6, "max_iter": 10} | changed
    with pytest.raises(TypeError, match=message):
        fit_em(arguments.pop("model"), COINS, START, **arguments)


@pytest.mark.parametrize("rows", [True, False])
def test_e_step_that_returns_something_else(rows: bool) -> None:
    class Forgetful(TwoCoins):
        by_rows = rows

        def e_step(self, heads: Array, theta: Array) -> Any:
            return 5.0

    with pytest.raises(
        TypeError, match=r"e_step returned a float, 5\.0, expected a tuple: \(statistics, log_likelihood\)"
    ):
        fit_em(Forgetful(), COINS, START, tol=0.0, max_iter=5)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, ZeroDivisionError])
def test_errors_of_the_model_and_the_callback_propagate(error: type[BaseException]) -> None:
    class Failing(TwoCoins):
        def m_step(self, statistics: Any) -> Array:
            raise error("of the model's")

    def callback(record: EMRecord) -> None:
        raise error("of the callback's")

    with pytest.raises(error, match="of the model's"):
        fit_em(Failing(), COINS, START, tol=0.0, max_iter=5)
    with pytest.raises(error, match="of the callback's"):
        fit_em(TwoCoins(), COINS, START, tol=0.0, max_iter=5, callback=callback)


def test_a_callback_that_cannot_be_called() -> None:
    callback: Any = 3
    with pytest.raises(TypeError, match="callback is 3, expected a function of an EMRecord, or None"):
        fit_em(TwoCoins(), COINS, START, callback=callback)


def test_a_negative_weight() -> None:
    class Light(TwoCoins):
        def weight(self, data: Any) -> float:
            return -1.0

    with pytest.raises(ValueError, match=r"weight returned -1.0, expected 0 or more: the total weight of the data"):
        fit_em(Light(), COINS, START)


def test_results_are_equal_only_to_themselves() -> None:
    # They hold arrays, whose comparison is no truth value.
    result = fit_em(TwoCoins(), COINS, START)
    assert result == result and result != copy.deepcopy(result)
    assert len({result}) == 1
