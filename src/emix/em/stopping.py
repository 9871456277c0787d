"""When a fit has converged, and by what it did."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import shown, warn_convergence

__all__ = ["STOPS", "StoppingRule", "pack", "relative_distance"]

STOPS = ("log_likelihood", "parameters")


class StoppingRule:
    """Convergence of the log-likelihood ℓ (total, nats) or of the parameters, and a watch on ℓ, which must not fall.

    Parameters
    ----------
    tol : float
    stop : {"log_likelihood", "parameters"}
    model : EMModel
        Its `distance` and `shortfall` are used if it has them.
    passes : object
        With `weight`, the total weight W of the data, `dtype`, the precision of the log-densities in ℓ, and
        `effective_rows()`, how many rows of equal weight they are.
    """

    def __init__(self, tol: float, stop: str, model: Any, passes: Any) -> None:
        if not isinstance(tol, (int, float, np.number)):  # a union would be made anew for each fit
            raise TypeError(f"tol is {shown(tol)}, expected a number.")
        if not tol >= 0.0:
            raise ValueError(f"tol is {shown(tol)}, expected 0 or more.")
        self._tol, self._stop, self._weight = tol, stop, passes.weight
        self._rounding = _rounding(passes)
        self._shortfall: Callable[[Any], float] = getattr(model, "shortfall", _no_shortfall)
        if stop == "parameters":
            # Parameters are kept as they were: an m_step may update those of the step before in place.
            self._keep: Callable[[Any], Any] = copy.deepcopy if hasattr(model, "distance") else _packed_copy
            self._distance: Callable[[Any, Any], float] = getattr(model, "distance", relative_distance)
        self._before: tuple[Any, Any] | None = None
        self._falls: list[tuple[int, float]] = []

    def reached(
        self, n_iter: int, parameters: Any, statistics: Any, log_likelihood: float, change: float
    ) -> str | None:
        """Why the fit has converged with the E-step after `n_iter` M-steps, None if it has not.

        "log_likelihood": |Δℓ| ≤ tol · W. "parameters": they moved by at most tol. "rounding": |Δℓ| is more than
        tol · W but no more than rounding can make. A fall of ℓ beyond rounding and the M-step's shortfall is none.
        """
        if not math.isfinite(log_likelihood):
            raise ValueError(
                f"the log-likelihood is {log_likelihood} after {n_iter} iterations, expected a finite one."
            )
        kept = self._keep(parameters) if self._stop == "parameters" else None
        before, self._before = self._before, (kept, statistics)
        if before is None:
            return None
        rounding = self._rounding * (abs(log_likelihood) + self._weight)
        if -change > rounding and -change > rounding + self._shortfall(before[1]):
            self._falls.append((n_iter, -change))
            return None
        if self._stop == "parameters":
            return "parameters" if self._distance(before[0], parameters) <= self._tol else None
        if abs(change) <= self._tol * self._weight:
            return "log_likelihood"
        return "rounding" if abs(change) <= rounding else None

    def warn_of_falls(self) -> None:
        """Warn, once, if the log-likelihood fell: EM cannot make it fall, so a step is not what it should be."""
        if not self._falls:
            return
        n_iter, fall = max(self._falls, key=lambda found: found[1])
        warn_convergence(
            f"The log-likelihood fell in {len(self._falls)} iterations, most in iteration {n_iter}, by {fall:.6g} "
            "nats: more than rounding and reg_covar explain. Rescale ill-conditioned data, or check the model's steps."
        )


def _no_shortfall(statistics: Any) -> float:
    return 0.0


@cache
def _eps(dtype: np.dtype[Any]) -> float:
    return float(np.finfo(dtype).eps)


def _rounding(passes: Any) -> float:
    """A change of ℓ that rounding can make, relative to |ℓ| + W: 8 eps.

    Log-densities of single precision are rounded one by one and added in double precision, where their errors average
    out: of n rows of equal weight 8/√n of them are left, and no less than one eps for what the parameters, rounded anew
    in each pass, do to all rows alike (measured, for 300 to 200 000 rows of 2 to 30 features: at most 0.45 eps). Rows
    are counted, and not their weights, whose unit is the user's.
    """
    eps = _eps(np.dtype(passes.dtype))
    if eps < 1e-12:
        return 8.0 * eps
    return eps * max(1.0, 8.0 / math.sqrt(max(1.0, passes.effective_rows())))


def relative_distance(old: Any, new: Any) -> float:
    """Return the largest |Δθ| / (1 + |θ|) over all numbers in the parameters."""
    a, b = pack(old), pack(new)
    return float(np.max(np.abs(b - a) / (1.0 + np.abs(a)), initial=0.0))


def _packed_copy(parameters: Any) -> NDArray[np.float64]:
    return np.array(pack(parameters))


def pack(parameters: Any) -> NDArray[np.float64]:
    """All numbers in parameters as one vector: numbers, arrays, and tuples, lists, dicts and dataclasses of them."""
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
