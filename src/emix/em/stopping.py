"""The stopping rule: convergence of a fit, and a watch on the objective, which must not fall."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emix.em.model import EMRun
from emix.em.result import EMRecord
from emix.exceptions import shown, warn_convergence

__all__ = ["STOPS", "StoppingRule", "objective_of", "pack", "relative_distance"]

STOPS = ("log_likelihood", "parameters")

_DOUBLE = np.dtype(np.float64)

# A change that rounding can make, relative to the size of ℓ in double precision, or of the log-prior. The log-prior has
# double precision whatever the precision of the rows, because it depends on parameters only.
_ROUNDING_OF_DOUBLES = 8.0 * float(np.finfo(np.float64).eps)


def objective_of(model: Any) -> Literal["log-likelihood", "objective"]:
    """Return the word for the quantity that EM raises: "objective" if the model adds a log_prior to ℓ."""
    return "log-likelihood" if getattr(model, "log_prior", None) is None else "objective"


class StoppingRule:
    """Convergence of the objective or of the parameters, and a watch on the objective, which must not fall.

    The objective is the log-likelihood ℓ (total, nats), plus the log-prior of a model that has one.

    Parameters
    ----------
    tol : float
    stop : {"log_likelihood", "parameters"}
    model : EMModel
        The rule uses its hooks `distance`, `gain_left`, `shortfall` and `shortfall_reason`. Messages say "objective" if
        it has a `log_prior`.
    run : EMRun
        The rule uses its `weight`, `dtype` and `effective_rows`.

    Attributes
    ----------
    enough, rounding : float
        A rise of the log-likelihood ℓ of at most `enough`, or of `rounding` (|ℓ| + weight), ends a fit.
    """

    def __init__(self, tol: float, stop: str, model: Any, run: EMRun[Any, Any]) -> None:
        if not isinstance(tol, (int, float, np.number)):  # int | float would be made anew for each fit
            raise TypeError(f"tol is {shown(tol)}, expected a number.")
        if not tol >= 0.0:
            raise ValueError(f"tol is {shown(tol)}, expected 0 or more.")
        self._model, self._weight = model, run.weight
        self.enough, self.rounding = tol * run.weight, _rounding(run)
        self._by_likelihood = stop == "log_likelihood"
        self._gain_left: Callable[[Any, Any], float] | None = getattr(model, "gain_left", None)
        if stop == "parameters":
            # The rule keeps a copy: an m_step may update the parameters of the step before in place.
            self._keep: Callable[[Any], Any] = copy.deepcopy if hasattr(model, "distance") else _packed_copy
            self._distance: Callable[[Any, Any], float] = getattr(model, "distance", relative_distance)
            self._tol = tol
        self._before: tuple[Any, Any] | None = None
        self._falls: list[tuple[int, float]] = []

    def reached(self, record: EMRecord, parameters: Any, statistics: Any) -> str | None:
        """Return the reason why the fit has converged with this E-step, None if it has not.

        "log_likelihood", or "objective" if there is a log_prior: |Δ| ≤ tol · W. "parameters": they moved by at most
        tol. "rounding": |Δ| is more than tol · W, and no more than rounding can make. A fit has not converged if the
        objective fell by more than rounding and the M-step's shortfall, nor while the M-step itself has more to gain.
        """
        _, log_likelihood, change, _, _, log_prior = record
        enough, rounding = self.enough, self.rounding * (abs(log_likelihood) + self._weight)
        # The usual iteration first: a finite rise that is large enough leaves nothing to decide.
        if enough < change < math.inf and change > rounding and self._by_likelihood and log_prior == 0.0:
            self._before = None, statistics
            return None
        if not math.isfinite(log_likelihood + log_prior):
            raise _not_finite(record)
        before = self._before
        self._before = None if self._by_likelihood else self._keep(parameters), statistics
        if before is None:
            return None
        if log_prior != 0.0:
            rounding += _ROUNDING_OF_DOUBLES * abs(log_prior)
        if -change > rounding and -change > rounding + self._shortfall(before[1]):
            self._falls.append((record.iteration, -change))
            return None
        if not self._by_likelihood:
            # Near a maximum the gain is quadratic in the step.
            reason, enough = "parameters", self._tol * enough
            if not self._distance(before[0], parameters) <= self._tol:
                return None
        elif abs(change) <= enough:
            reason = objective_of(self._model).replace("-", "_")
        elif abs(change) <= rounding:
            reason = "rounding"
        else:
            return None
        if self._gain_left is None or self._gain_left(before[1], parameters) <= max(enough, rounding):
            return reason
        return None

    def _shortfall(self, statistics: Any) -> float:
        """Return the model's shortfall, 0 if it has none."""
        shortfall: Callable[[Any], float] | None = getattr(self._model, "shortfall", None)
        return 0.0 if shortfall is None else shortfall(statistics)

    def passed(self, statistics: Any) -> None:
        """Take note of E-steps whose log-likelihoods rose by more than ends a fit, and of the last statistics."""
        self._before = None, statistics

    def go_on(self, statistics: Any, falls: Sequence[tuple[int, float]]) -> None:
        """Take the place of the rule of a fit that was ended, after an E-step with these statistics."""
        self._before, self._falls = (None, statistics), list(falls)

    @property
    def falls(self) -> tuple[tuple[int, float], ...]:
        """Falls of the objective so far: iteration, nats."""
        return tuple(self._falls)

    def warn_of_falls(self, reads_anew: bool = False) -> None:
        """Warn, once, if the objective fell. EM cannot make it fall: a step of the model is wrong, or inexact.

        Where each pass reads the rows anew (`reads_anew`), they may also be others than in the pass before.
        """
        if not self._falls:
            return
        n_iter, fall = max(self._falls, key=lambda found: found[1])
        explanation = "rounding explains"
        if hasattr(self._model, "shortfall"):
            reason = getattr(self._model, "shortfall_reason", "the M-step's shortfall")
            explanation = f"rounding and {reason} explain"
        remedy = "Rescale ill-conditioned data, or check the model's steps."
        if reads_anew:
            remedy += " Or the rows changed between passes: check that each pass reads the same rows in the same order."
        warn_convergence(
            f"The {objective_of(self._model)} fell in {len(self._falls)} iterations, most in iteration {n_iter}, by "
            f"{fall:.6g} nats: more than {explanation}. {remedy}"
        )


def _not_finite(record: EMRecord) -> ValueError:
    found = {"log-likelihood": record.log_likelihood, "log-prior": record.log_prior, "objective": record.objective}
    name, value = next(item for item in found.items() if not math.isfinite(item[1]))
    return ValueError(f"the {name} is {value} after {record.iteration} iterations, expected a finite one.")


@cache
def _eps(dtype: np.dtype[Any]) -> float:
    return float(np.finfo(dtype).eps)


def _rounding(run: EMRun[Any, Any]) -> float:
    """Return the change of ℓ that rounding can make, relative to |ℓ| + W: 8 eps in double precision.

    In single precision each log-density is rounded to it, and the sum is taken in double precision, where these errors
    average out: over n rows of equal weight they leave 8/√n eps. The bound is never below one eps, because the
    parameters are rounded in each pass, which moves all rows alike (measured, for 300 to 200 000 rows of 2 to 30
    features: at most 0.45 eps). n counts rows and not their weights, whose unit is the user's.
    """
    if run.dtype is _DOUBLE:
        return _ROUNDING_OF_DOUBLES
    eps = _eps(run.dtype)
    if eps < 1e-12:
        return 8.0 * eps
    return eps * max(1.0, 8.0 / math.sqrt(max(1.0, run.effective_rows)))


def relative_distance(old: Any, new: Any) -> float:
    """Return the largest |Δθ| / (1 + |θ|) over all numbers in the parameters."""
    a, b = pack(old), pack(new)
    return float(np.max(np.abs(b - a) / (1.0 + np.abs(a)), initial=0.0))


def _packed_copy(parameters: Any) -> NDArray[np.float64]:
    return np.array(pack(parameters))


def pack(parameters: Any) -> NDArray[np.float64]:
    """Return all numbers in the parameters as one vector.

    Parameters are numbers, arrays, or tuples, lists, dicts and dataclasses of them, or have a method ``pack``.
    """
    if hasattr(parameters, "pack"):
        return np.asarray(parameters.pack(), dtype=np.float64)
    if is_dataclass(parameters):
        parts = [pack(getattr(parameters, field.name)) for field in fields(parameters)]
    elif isinstance(parameters, dict):
        parts = [pack(value) for value in parameters.values()]
    elif isinstance(parameters, (tuple, list)):
        parts = [pack(value) for value in parameters]
    else:
        return np.asarray(parameters, dtype=np.float64).reshape(-1)
    return np.concatenate(parts) if parts else np.empty(0)
