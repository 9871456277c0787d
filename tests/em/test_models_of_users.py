"""fit_em with models that do what users do: return something else, or update their parameters in place."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from em.examples import Array
from emix import fit_em

# What a model returns


class Returning:
    """Two rows; what its steps return is laid down."""

    def __init__(self, **returned: Any) -> None:
        self._returned = {"e_step": (np.ones(2), -1.0), "m_step": 0.0, "weight": 2.0} | returned

    def e_step(self, *data_and_parameters: Any) -> Any:
        return self._returned["e_step"]

    def m_step(self, statistics: Any) -> Any:
        return self._returned["m_step"]

    def weight(self, data: Any) -> Any:
        return self._returned["weight"]


class ReturningByRows(Returning):
    by_rows = True


class ReturningFromBegin(Returning):
    def begin(self, data: Any) -> Any:
        return self


@pytest.mark.parametrize("model", [Returning, ReturningByRows, ReturningFromBegin])
@pytest.mark.parametrize(
    ("returned", "text"),
    [
        ({"e_step": None}, "e_step returned None, expected a tuple: (statistics, log_likelihood)."),
        ({"e_step": (1.0, 2.0, 3.0)}, "e_step returned a tuple of 3, expected a tuple: (statistics, log_likelihood)."),
        ({"e_step": np.ones(2)}, "e_step returned an array of shape (2,), expected a tuple"),
        (
            {"e_step": (np.ones(2), np.array([-1.0, -2.0]))},
            "expected (statistics, log_likelihood) with one number, the total of the data: sum it over the rows.",
        ),
        ({"e_step": (np.ones(2), np.array([-1.0]))}, "e_step returned an array of shape (1,) as its log-likelihood"),
        ({"e_step": (np.ones(2), [-1.0, -2.0])}, "e_step returned a list of 2 as its log-likelihood"),
        ({"e_step": (np.ones(2), None)}, "e_step returned None as its log-likelihood"),
        ({"e_step": (np.ones(2), "-1.0")}, "e_step returned a str, '-1.0' as its log-likelihood"),
        ({"e_step": (np.ones(2), -1.0 + 0.0j)}, "e_step returned a complex, (-1+0j) as its log-likelihood"),
        (
            {"e_step": (-1.0, np.ones(2))},
            "sum it over the rows, unless the two are in the wrong order.",
        ),
        (
            {"e_step": (-1.0, (np.ones(2), np.ones(2)))},
            "sum it over the rows, unless the two are in the wrong order.",
        ),
        ({"m_step": None}, "m_step returned None, expected the parameters that maximize Q given the statistics."),
        ({"weight": np.ones(2)}, "weight returned an array of shape (2,), expected one number: the total weight of"),
    ],
)
def test_steps_that_return_something_else(model: type, returned: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError, match=re.escape(text)):
        fit_em(model(**returned), np.ones(2), 0.0)


@pytest.mark.parametrize("model", [Returning, ReturningByRows, ReturningFromBegin])
@pytest.mark.parametrize("number", [-1, np.float32(-1.0), np.array(-1.0), Fraction(-1)])
def test_numbers_of_any_kind_are_taken(model: type, number: Any) -> None:
    assert fit_em(model(e_step=(np.ones(2), number)), np.ones(2), 0.0).log_likelihood == -1.0


# Parameters that are updated in place


class InPlace:
    """θ goes halfway to 1 in each step, in one array, and in one that a dictionary holds."""

    def __init__(self) -> None:
        self._theta = np.zeros(3)
        self._held = {"theta": np.zeros(3)}

    def e_step(self, data: Any, parameters: Any) -> tuple[Array, float]:
        theta = np.array(parameters["theta"] if isinstance(parameters, dict) else parameters)
        return theta, -float(np.sum((1.0 - theta) ** 2))

    def m_step(self, statistics: Array) -> Any:
        self._theta[:] = (statistics + 1.0) / 2.0
        return self._theta


class InPlaceWithinADictionary(InPlace):
    def m_step(self, statistics: Array) -> Any:
        self._held["theta"][:] = (statistics + 1.0) / 2.0
        return self._held


class InPlaceWithADistance(InPlaceWithinADictionary):
    def distance(self, old: Any, new: Any) -> float:
        old, new = (p["theta"] if isinstance(p, dict) else p for p in (old, new))
        return float(np.max(np.abs(old - new)))


@pytest.mark.parametrize(
    ("model", "n_iter"),
    # |Δθ| after t steps is 2⁻ᵗ; the default divides it by 1 + |θ|, which is 2 − 2¹⁻ᵗ: below 1e-3 at t = 9, and else 10.
    [(InPlace, 9), (InPlaceWithinADictionary, 9), (InPlaceWithADistance, 10)],
)
def test_parameters_that_are_updated_in_place(model: type, n_iter: int) -> None:
    result = fit_em(model(), None, np.zeros(3), stop="parameters", tol=1e-3)
    assert (result.n_iter, result.stopped_by) == (n_iter, "parameters")
