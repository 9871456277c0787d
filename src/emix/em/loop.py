"""Expectation-maximization: the loop that fits every model.

statistics, log_likelihood = model.e_step(data, parameters)     # expected statistics under θ⁽ᵗ⁾
parameters                 = model.m_step(statistics)           # argmax over θ of Q(θ, θ⁽ᵗ⁾)
"""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from emix.em.keeping import EMState, Keeper
from emix.em.model import EMModel, EMRun
from emix.em.passes import begin_run
from emix.em.result import EMRecord, EMResult, Rise, record_of
from emix.em.returned import checked_log_prior
from emix.em.stopping import STOPS, StoppingRule, objective_of
from emix.exceptions import shown, warn_convergence

# EMModel, EMRecord and EMResult could be imported from here in 0.1.
__all__ = ["FIRST_PLAIN", "NO_GOAL", "EMModel", "EMRecord", "EMResult", "Goal", "Verdict", "Watch", "fit_em", "iterate"]

Parameters = TypeVar("Parameters")

# A run is asked for steps ahead where so many of them are foretold: the question takes as long as two steps of a small
# fit, and many small fits end within few.
STEPS_FORETOLD = 3


class Goal(NamedTuple):
    """A log-likelihood that a fit has to come to, or it is given up.

    Attributes
    ----------
    log_likelihood : float
    ahead : float
        The fit is given up if so many more steps that gain as much as its last one would not come to it. Steps of EM
        shrink.
    first : int
        Number of M-steps before which a fit is not given up: these put the components in their places.
    """

    log_likelihood: float
    ahead: float
    first: int


# M-steps after which those of a search go further than EM does. The first few put the components in their places.
FIRST_PLAIN = 5

# A log-likelihood that is never out of reach, as `advance` of a run takes a goal.
NO_GOAL = (-math.inf, 1.0, 0)


class Verdict(NamedTuple):
    """A look at the statistics of one E-step, the first after so many M-steps, if the fit has not ended by then.

    Attributes
    ----------
    ends : callable
        Called once, with the statistics; the fit ends if it returns True.
    after : int
        Number of M-steps.
    """

    ends: Callable[[Any], bool]
    after: int


class Watch(NamedTuple):
    """A look at a fit from time to time, which may end it.

    Attributes
    ----------
    look : callable
        Called with the EMRecord of E-steps; the fit ends if it returns True.
    every : int
        Most iterations by which a call may be late; the fit then ends as many late.
    eager : bool
        True: the run is asked for steps ahead from the first step on, as if many were foretold.
    sees_all : bool
        False: of steps that a run took at once `look` sees the last one only.
    goal : Goal, optional
        The fit ends if it will hardly come to it, after the first step of which that is so.
    verdict : Verdict, optional
        The fit ends if it says so.
    first_plain : int
        Number of M-steps before those that may go further than EM does, for fewer steps to a mode; the log-likelihood
        does not fall. −1: none may.
    """

    look: Callable[[EMRecord], object]
    every: int = 64
    eager: bool = False
    sees_all: bool = True
    goal: Goal | None = None
    verdict: Verdict | None = None
    first_plain: int = -1


def fit_em(
    model: EMModel[Parameters, Any],
    data: Any,
    initial_parameters: Parameters,
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
        Has `e_step` and `m_step`, and any of the optional hooks.
    data : object
        Given to ``model.e_step`` as it is; in blocks if the model has ``by_rows = True``.
    initial_parameters : object
        θ⁽⁰⁾, of the type that the model's steps use.
    tol : float
        With ``stop="log_likelihood"``: converged once the log-likelihood (plus log-prior, if the model has a
        ``log_prior``) changes by at most `tol` times the total weight. With ``stop="parameters"``: once the parameters
        change by at most `tol`.
    stop : {"log_likelihood", "parameters"}
        The change of parameters is the model's ``distance``, or else the largest ``|Δθ| / (1 + |θ|)``.
    acceleration : None
        Plain EM.
    max_iter : int
        Most M-steps. 0 only evaluates the start.
    callback : callable, optional
        Called with the EMRecord of each E-step; the fit ends if it returns True.

    Returns
    -------
    EMResult
        Its log-likelihood and statistics are those of the parameters it returns: the last step is an E-step.

    Raises
    ------
    ValueError
        If an argument is out of range, or the log-likelihood or log-prior becomes NaN or infinite.
    TypeError
        If a method of the model returns a value of a wrong type.

    Warns
    -----
    ConvergenceWarning
        If the fit ended after `max_iter` M-steps, 1 or more, before it converged.
    ConvergenceWarning
        If the log-likelihood (plus log-prior) fell by more than rounding and the model's ``shortfall`` explain. Such a
        fall is never taken for convergence.

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
    _check_arguments(model, stop, acceleration, max_iter, callback)
    result = iterate(model, data, initial_parameters, tol=tol, stop=stop, max_iter=max_iter, callback=callback)
    if result.stopped_by == "max_iter" and max_iter > 0:
        warn_convergence(
            f"EM did not converge in {max_iter} iterations with tol={tol:g} and stop={stop!r}: in the last one the "
            f"{objective_of(model)} changed by {result.history[-1].change:.6g}. Increase max_iter or tol."
        )
    return result


def iterate(
    model: EMModel[Parameters, Any],
    data: Any,
    initial_parameters: Parameters,
    *,
    tol: float,
    stop: str = "log_likelihood",
    max_iter: int,
    callback: Callable[[EMRecord], object] | None = None,
    watch: Watch | None = None,
    keeper: Keeper | None = None,
    run: EMRun[Parameters, Any] | None = None,
) -> EMResult:
    """Fit as `fit_em` does, without checks of the arguments, and without a warning at the end of `max_iter` iterations.

    With a `callback` or a `keeper` each iteration is done by itself; `watch` may be called some iterations late. Where
    the keeper has a state, the fit goes on from it and not from `initial_parameters`; `stop` is "log_likelihood" then.
    `run` is one of the model over these data, before its first pass; without one the model's is begun.
    """
    began = time.perf_counter()
    run = begin_run(model, data) if run is None else run
    rule = StoppingRule(tol, stop, model, run)
    log_prior_of = checked_log_prior(model)
    log_prior = 0.0
    parameters, before, change = initial_parameters, math.nan, math.nan
    history: list[EMRecord | Rise] = []
    plain = True  # the history holds a record for each E-step
    by_itself = callback is not None or keeper is not None or stop != "log_likelihood" or log_prior_of is not None
    at_once, eager = (max_iter, False) if watch is None else (watch.every, watch.eager)
    goal, verdict, first_plain = (None, None, -1) if watch is None else (watch.goal, watch.verdict, watch.first_plain)
    n_iter, ended, watched = 0, False, watch is not None or callback is not None
    if keeper is not None and (kept := keeper.state) is not None:
        history.extend(kept.history)
        last = kept.history[-1]
        n_iter, before, began = last.iteration + 1, last.objective, began - last.seconds
        rule.go_on(kept.statistics, kept.falls)
        if (restore := getattr(run, "restore", None)) is not None:
            restore(kept.run)
        parameters = model.m_step(kept.statistics)
    # An eager fit asks for steps ahead before its first E-step.
    log_likelihood, is_due = -math.inf, eager and not by_itself and max_iter > 0
    while True:
        if is_due and (advance := getattr(run, "advance", None)) is not None:
            # Steps after which the rule would only say that the fit goes on.
            most = min(at_once, max_iter - n_iter)
            if verdict is not None:
                most = min(most, verdict.after - n_iter)  # the E-step after these is that of the verdict
            how = parameters, log_likelihood, rule.enough, rule.rounding, most
            if goal is None and first_plain < 0:
                passed = advance(*how)
            else:
                wanted = NO_GOAL if goal is None else (goal.log_likelihood, goal.ahead, max(0, goal.first - n_iter))
                passed = advance(*how, wanted, first_plain if first_plain < 0 else max(0, first_plain - n_iter))
            if passed is not None:
                parameters, statistics, rising = passed
                rule.passed(statistics)
                seconds = time.perf_counter() - began
                rise = Rise(n_iter, before, seconds, rising)
                history.append(rise)
                plain = False
                change = rising[-1] - (rising[-2] if len(rising) > 1 else before)
                before, n_iter = rising[-1], n_iter + len(rising)
                if watch is not None and not ended:
                    seen = rise.records() if watch.sees_all else (rise.last(),)
                    ended = any(watch.look(record) is True for record in seen)
        statistics, log_likelihood = run.e_step(parameters)
        if log_prior_of is not None:
            log_prior = log_prior_of(parameters)
        objective = log_likelihood + log_prior
        seconds = time.perf_counter() - began
        change_before, change, before = change, objective - before, objective
        record = record_of((n_iter, log_likelihood, change, seconds, True, log_prior))
        history.append(record)
        stopped_by = rule.reached(record, parameters, statistics)
        if watched:
            ended = ended or (watch is not None and watch.look(record) is True)
            if goal is not None and n_iter >= goal.first:
                ended = ended or log_likelihood + goal.ahead * change < goal.log_likelihood
            if verdict is not None and n_iter >= verdict.after:
                ended, verdict = ended or verdict.ends(statistics), None
            if ended or (callback is not None and callback(record) is True):
                stopped_by = stopped_by or "callback"
        if stopped_by or n_iter == max_iter:
            break
        parameters = model.m_step(statistics)
        if parameters is None:
            raise TypeError("m_step returned None, expected the parameters that maximize Q given the statistics.")
        n_iter += 1
        if by_itself:
            if keeper is not None:
                state_of = getattr(run, "state", None)
                keeper.keep(EMState(statistics, history, rule.falls, {} if state_of is None else state_of()))
            continue
        is_due = eager or (n_iter >= 3 and _goes_on(change_before, change, rule.enough))
    rule.warn_of_falls(getattr(run, "reads_anew", False))
    converged = stopped_by is not None and stopped_by != "callback"
    stopped_by = stopped_by or "max_iter"
    return EMResult(parameters, log_likelihood, n_iter, converged, stopped_by, history, statistics, log_prior, plain)


def _goes_on(before: float, rise: float, enough: float) -> bool:
    """True if STEPS_FORETOLD more rises above `enough` are foretold from two: near a mode they shrink in proportion."""
    return before > 0.0 and rise * min(1.0, rise / before) ** STEPS_FORETOLD > enough


def _check_arguments(model: Any, stop: str, acceleration: None, max_iter: int, callback: Any) -> None:
    if isinstance(model, type):
        raise TypeError(f"model is the class {model.__name__}, expected an object of it: {model.__name__}(...).")
    if not hasattr(model, "m_step") or not (hasattr(model, "e_step") or hasattr(model, "begin")):
        raise TypeError(f"model is {shown(model)}, expected an object with the methods e_step and m_step.")
    if stop not in STOPS:
        raise ValueError(f"stop is {shown(stop)}, expected one of {STOPS}.")
    if acceleration is not None:
        raise ValueError(f"acceleration is {shown(acceleration)}, expected None: plain EM is the only one so far.")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {shown(callback)}, expected a function of an EMRecord, or None.")
    try:
        operator.index(max_iter)
    except TypeError:
        raise TypeError(f"max_iter is {shown(max_iter)}, expected an int.") from None
    if max_iter < 0:
        raise ValueError(f"max_iter is {shown(max_iter)}, expected 0 or more.")
