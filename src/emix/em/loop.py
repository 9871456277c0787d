"""Expectation-maximization: the loop that fits every model.

statistics, log_likelihood = model.e_step(data, parameters)     # expected statistics under θ⁽ᵗ⁾
parameters                 = model.m_step(statistics)           # argmax over θ of Q(θ, θ⁽ᵗ⁾)
"""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from emix.em.passes import begin_passes
from emix.em.stopping import STOPS, StoppingRule
from emix.exceptions import shown, warn_convergence

__all__ = ["EMModel", "EMRecord", "EMResult", "fit_em", "iterate"]


class EMModel(Protocol):
    """A model that `fit_em` can fit: one with latent variables whose two steps can be written down.

    Optional, found by name:

    - ``by_rows = True``: `e_step` may be given any part of the rows, and statistics add, field by field. Data may
      then be an array, a tuple of arrays with rows in common, or a callable that returns a new iterator over blocks.
    - ``begin(data)``: returns an object with ``e_step(parameters)`` that keeps what a run needs between passes. It may
      have ``weight``, the total weight of the data, and ``dtype`` and ``effective_rows``, from which follows how far
      rounding of the log-densities can move their sum.
    - ``weight(data) -> float``: total weight, the unit of `tol`; else 1 (the number of rows with ``by_rows``).
    - ``shortfall(statistics) -> float``: how far an M-step that does not quite maximize Q may fall short, nats.
    - ``distance(old, new) -> float``: how far parameters moved, for ``stop="parameters"``.
    """

    def e_step(self, data: Any, parameters: Any) -> tuple[Any, float]:
        """Expected sufficient statistics under the parameters, and the total log-likelihood of `data`, nats."""

    def m_step(self, statistics: Any) -> Any:
        """Parameters that maximize Q given the statistics."""


@dataclass(frozen=True, init=False)
class EMRecord:
    """One E-step of a fit.

    Attributes
    ----------
    iteration : int
        M-steps before it.
    log_likelihood : float
        Of the parameters after that many M-steps; total, nats.
    change : float
        From the E-step before; NaN for the first.
    seconds : float
        Since the fit began.
    accepted : bool
        False where an acceleration tried parameters and went back.
    """

    iteration: int
    log_likelihood: float
    change: float
    seconds: float
    accepted: bool = True

    def __init__(
        self, iteration: int, log_likelihood: float, change: float, seconds: float, accepted: bool = True
    ) -> None:
        # What the generated one does by a call for each field, in twice the time: each iteration comes here.
        fields = self.__dict__
        fields["iteration"], fields["log_likelihood"], fields["change"] = iteration, log_likelihood, change
        fields["seconds"], fields["accepted"] = seconds, accepted


@dataclass(frozen=True, init=False)
class EMResult:
    """The result of a fit by `fit_em`.

    Attributes
    ----------
    parameters : object
        θ after the last M-step.
    log_likelihood : float
        Of these parameters; total, nats.
    n_iter : int
        M-steps.
    converged : bool
    stopped_by : str
        "log_likelihood" or "parameters", the change that fell below `tol`; "rounding" where the change of the
        log-likelihood could not be told from rounding; "max_iter"; "callback".
    history : list of EMRecord
        One for each E-step.
    statistics : object
        Expected statistics of the last E-step, under the parameters returned.
    """

    parameters: Any
    log_likelihood: float
    n_iter: int
    converged: bool
    stopped_by: str
    history: list[EMRecord] = field(repr=False)
    statistics: Any = field(repr=False, default=None)

    def __init__(
        self,
        parameters: Any,
        log_likelihood: float,
        n_iter: int,
        converged: bool,
        stopped_by: str,
        history: list[EMRecord],
        statistics: Any = None,
    ) -> None:
        fields = self.__dict__  # as in EMRecord
        fields["parameters"], fields["log_likelihood"], fields["n_iter"] = parameters, log_likelihood, n_iter
        fields["converged"], fields["stopped_by"], fields["history"] = converged, stopped_by, history
        fields["statistics"] = statistics


def fit_em(
    model: EMModel,
    data: Any,
    initial_parameters: Any,
    *,
    tol: float = 1e-8,
    stop: str = "log_likelihood",
    acceleration: None = None,
    max_iter: int = 1000,
    callback: Callable[[EMRecord], object] | None = None,
) -> EMResult:
    """Fit a model with latent variables by expectation-maximization.

    Parameters
    ----------
    model : EMModel
        Has `e_step` and `m_step`.
    data : object
        Given to ``model.e_step`` as it is; in blocks if the model has ``by_rows = True``.
    initial_parameters : object
        θ⁽⁰⁾, of whatever type the model's steps use.
    tol : float
        With ``stop="log_likelihood"``: converged once the log-likelihood changes by at most `tol` times the total
        weight. With ``stop="parameters"``: once the parameters change by at most `tol`.
    stop : {"log_likelihood", "parameters"}
        With ``"parameters"`` a model's ``distance`` is used if it has one, else the largest |Δθ| / (1 + |θ|).
    acceleration : None
        Plain EM.
    max_iter : int
        Most M-steps. 0 only evaluates the start.
    callback : callable, optional
        Called with the EMRecord of each E-step; the fit ends if it returns True.

    Returns
    -------
    EMResult
        Its log-likelihood is that of the parameters it returns: the last step is an E-step.

    Raises
    ------
    ValueError
        If an argument is out of range, or the log-likelihood becomes NaN or infinite.
    TypeError
        If a step of the model does not return what it should.

    Warns
    -----
    ConvergenceWarning
        If the fit ended after `max_iter` M-steps, 1 or more, before it converged.
    ConvergenceWarning
        If the log-likelihood fell by more than rounding and the model's ``shortfall`` explain; a fall is never taken
        for convergence.

    References
    ----------
    A. P. Dempster, N. M. Laird and D. B. Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm,
    Journal of the Royal Statistical Society B 39, 1-38.

    Examples
    --------
    Two coins, one of them drawn at random for each of five sets of ten tosses (Do and Batzoglou, 2008, What is the
    expectation maximization algorithm?, Nature Biotechnology 26, 897-899, figure 1b).

    >>> import numpy as np
    >>> from emix import fit_em
    >>> class TwoCoins:
    ...     def e_step(self, heads, theta):
    ...         p = 0.5 * theta**heads[:, None] * (1 - theta) ** (10 - heads[:, None])
    ...         r = p / p.sum(axis=1, keepdims=True)
    ...         return (heads @ r, (10 - heads) @ r), float(np.log(p.sum(axis=1)).sum())
    ...     def m_step(self, statistics):
    ...         heads, tails = statistics
    ...         return heads / (heads + tails)
    >>> result = fit_em(TwoCoins(), np.array([5, 9, 8, 4, 7]), np.array([0.6, 0.5]))
    >>> result.parameters.round(2)
    array([0.8 , 0.52])
    """
    result = iterate(
        model, data, initial_parameters, tol=tol, stop=stop, acceleration=acceleration, max_iter=max_iter,
        callback=callback,
    )  # fmt: skip
    if result.stopped_by == "max_iter" and max_iter > 0:
        warn_convergence(
            f"EM did not converge in {max_iter} iterations with tol={tol:g} and stop={stop!r}: in the last one the "
            f"log-likelihood changed by {result.history[-1].change:.6g}. Increase max_iter or tol."
        )
    return result


def iterate(
    model: EMModel,
    data: Any,
    initial_parameters: Any,
    *,
    tol: float,
    stop: str = "log_likelihood",
    acceleration: None = None,
    max_iter: int,
    callback: Callable[[EMRecord], object] | None = None,
) -> EMResult:
    """`fit_em` without its warning at the end of `max_iter` iterations: for callers that have one of their own."""
    _check_arguments(model, stop, acceleration, max_iter)
    began = time.perf_counter()
    passes = begin_passes(model, data)
    rule = StoppingRule(tol, stop, model, passes)
    parameters = initial_parameters
    history: list[EMRecord] = []
    for n_iter in range(max_iter + 1):
        statistics, log_likelihood = passes.e_step(parameters)
        change = log_likelihood - history[-1].log_likelihood if history else math.nan
        history.append(EMRecord(n_iter, log_likelihood, change, time.perf_counter() - began))
        stopped_by = rule.reached(n_iter, parameters, statistics, log_likelihood, change)
        if callback is not None and callback(history[-1]) is True:
            stopped_by = stopped_by or "callback"
        if stopped_by or n_iter == max_iter:
            break
        parameters = model.m_step(statistics)
        if parameters is None:
            raise TypeError("m_step returned None, expected the parameters that maximize Q given the statistics.")
    rule.warn_of_falls()
    converged = stopped_by is not None and stopped_by != "callback"
    return EMResult(parameters, log_likelihood, n_iter, converged, stopped_by or "max_iter", history, statistics)


def _check_arguments(model: Any, stop: str, acceleration: None, max_iter: int) -> None:
    if isinstance(model, type):
        raise TypeError(f"model is the class {model.__name__}, expected an object of it: {model.__name__}(...).")
    if not hasattr(model, "m_step") or not (hasattr(model, "e_step") or hasattr(model, "begin")):
        raise TypeError(f"model is {shown(model)}, expected an object with the methods e_step and m_step.")
    if stop not in STOPS:
        raise ValueError(f"stop is {shown(stop)}, expected one of {STOPS}.")
    if acceleration is not None:
        raise ValueError(f"acceleration is {shown(acceleration)}, expected None: plain EM is the only one so far.")
    try:
        operator.index(max_iter)
    except TypeError:
        raise TypeError(f"max_iter is {shown(max_iter)}, expected an int.") from None
    if max_iter < 0:
        raise ValueError(f"max_iter is {shown(max_iter)}, expected 0 or more.")
