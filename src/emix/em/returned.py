"""Checks of the values that a model's methods return: a number where one is expected, or an error that says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["checked_e_step", "checked_log_prior", "checked_weight", "is_number"]


def checked_e_step(found: Any) -> tuple[Any, float]:
    """Return the statistics and the log-likelihood that an E-step returned.

    Raises
    ------
    TypeError
        If they are not a pair of statistics and one number.
    """
    if type(found) is tuple and len(found) == 2 and type(found[1]) is float:  # the usual case, in each iteration
        return found
    if not isinstance(found, tuple) or len(found) != 2:
        raise TypeError(f"e_step returned {_kind_of(found)}, expected a tuple: (statistics, log_likelihood).")
    statistics, log_likelihood = found
    if not is_number(log_likelihood):
        advice = "sum it over the rows"
        if is_number(statistics):
            advice += ", unless the two are in the wrong order"
        raise TypeError(
            f"e_step returned {_kind_of(log_likelihood)} as its log-likelihood, expected (statistics, log_likelihood) "
            f"with one number, the total of the data: {advice}."
        )
    return statistics, float(log_likelihood)


def checked_weight(model: Any, data: Any) -> float:
    """Return the model's weight of the data, 1 if it has no such method.

    Raises
    ------
    TypeError
        If it is not one number.
    """
    if not hasattr(model, "weight"):
        return 1.0
    weight = model.weight(data)
    if not is_number(weight):
        raise TypeError(f"weight returned {_kind_of(weight)}, expected one number: the total weight of the data.")
    if not float(weight) >= 0.0:
        raise ValueError(f"weight returned {weight}, expected 0 or more: the total weight of the data.")
    return float(weight)


def checked_log_prior(model: Any) -> Callable[[Any], float] | None:
    """Return the model's log_prior as a function that checks its result, None if the model has none.

    Raises
    ------
    TypeError
        If log_prior is no method, and, when called, if its result is not one number.
    """
    log_prior = getattr(model, "log_prior", None)
    if log_prior is None:
        return None
    if not callable(log_prior):
        raise TypeError(
            f"log_prior of the model is {_kind_of(log_prior)}, expected a method, log_prior(parameters) -> float. An "
            "attribute with another meaning needs another name."
        )

    def checked(parameters: Any) -> float:
        found = log_prior(parameters)
        if type(found) is float:
            return found
        if not is_number(found):
            raise TypeError(
                f"log_prior returned {_kind_of(found)}, expected one number: the log of the prior's density at the "
                "parameters, summed over them."
            )
        return float(found)

    return checked


def is_number(value: Any) -> bool:
    """True for a real number of Python's or of an array library, which may be an array without dimensions."""
    if isinstance(value, (float, int)):  # the usual case
        return True
    is_real = hasattr(value, "__float__") and not isinstance(value, (complex, np.complexfloating))
    return is_real and np.shape(value) == ()


def _kind_of(value: Any) -> str:
    """Describe a value in a few words: arrays may be long."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"an array of shape {tuple(shape)}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}, {value!r:.60}"
