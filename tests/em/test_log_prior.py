"""fit_em with a model that has a log_prior: the objective decides, in place of the log-likelihood."""

from __future__ import annotations

import itertools
import math
import re
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from em.examples import Array, GeneticLinkage, GeneticLinkageWithPrior, TwoCoins
from emix import ConvergenceWarning, EMRecord, EMResult, fit_em


class Coin:
    """One coin, tossed n times with h heads, with a beta prior: the mode is (h + a − 1) / (n + a + b − 2)."""

    def __init__(self, a: float, b: float) -> None:
        self.a, self.b = a, b

    def e_step(self, tosses: tuple[int, int], theta: float) -> tuple[tuple[int, int], float]:
        heads, tails = tosses
        return tosses, heads * math.log(theta) + tails * math.log1p(-theta)

    def m_step(self, statistics: tuple[int, int]) -> float:
        heads, tails = statistics
        return (heads + self.a - 1.0) / (heads + tails + self.a + self.b - 2.0)

    def log_prior(self, theta: float) -> float:
        return (self.a - 1.0) * math.log(theta) + (self.b - 1.0) * math.log1p(-theta)


class ForgottenPrior(GeneticLinkageWithPrior):
    """The prior in the M-step only."""

    log_prior = None  # type: ignore[assignment]  # tests: the hook is taken away


@pytest.mark.filterwarnings("error")
def test_log_likelihood_of_a_coin_falls_and_the_objective_rises() -> None:
    # From the most likely 9/10 one step leads to the mode (9 + 4) / (10 + 8).
    model = Coin(5.0, 5.0)
    result = fit_em(model, (9, 1), 0.9)
    assert result.parameters == 13.0 / 18.0
    assert (result.n_iter, result.converged, result.stopped_by) == (2, True, "objective")
    log_likelihoods = [9.0 * math.log(p) + math.log(1.0 - p) for p in (0.9, 13.0 / 18.0)]
    priors = [4.0 * math.log(p) + 4.0 * math.log(1.0 - p) for p in (0.9, 13.0 / 18.0)]
    assert log_likelihoods[1] < log_likelihoods[0] - 0.9
    first, second, third = result.history
    for record, log_likelihood, prior in zip((first, second), log_likelihoods, priors, strict=True):
        # Two logarithms of numbers rounded to 1e-16, times 9 at most.
        assert record.log_likelihood == pytest.approx(log_likelihood, rel=1e-14)
        assert record.log_prior == pytest.approx(prior, rel=1e-14)
        assert record.objective == record.log_likelihood + record.log_prior
    assert math.isnan(first.change)
    assert second.change == second.objective - first.objective > 1.0
    assert third.change == 0.0
    assert (result.log_likelihood, result.log_prior) == (third.log_likelihood, third.log_prior)
    assert result.objective == third.objective
    assert result.statistics == (9, 1)


@pytest.mark.filterwarnings("error")
def test_mode_of_a_posterior_with_latent_variables() -> None:
    model = GeneticLinkageWithPrior(20.0, 60.0)
    visited: list[EMRecord] = []
    result = fit_em(model, model.COUNTS, GeneticLinkage.THETA, tol=1e-13, stop="parameters", callback=visited.append)
    # EM contracts the error to a third or less in a step: the last change of 2e-13 at most leaves less than that.
    assert result.parameters == pytest.approx(model.mode(), abs=1e-12)
    # From the most likely θ every step takes the log-likelihood down, and none the objective.
    far_from_rounding = visited[:6]
    for before, record in itertools.pairwise(far_from_rounding):
        assert record.log_likelihood < before.log_likelihood
        assert record.objective > before.objective
        assert record.change == record.objective - before.objective


def test_without_the_hook_the_same_steps_warn() -> None:
    model = ForgottenPrior(20.0, 60.0)
    with pytest.warns(ConvergenceWarning, match="The log-likelihood fell in"):
        result = fit_em(model, model.COUNTS, GeneticLinkage.THETA)
    assert {record.log_prior for record in result.history} == {result.log_prior} == {0.0}


def test_tol_is_that_of_the_objective() -> None:
    # The log-likelihood rises by 1 in each step, and the log-prior takes nearly all of it back from the third on.
    class Scripted:
        def e_step(self, data: Any, theta: int) -> tuple[int, float]:
            return theta, float(theta)

        def m_step(self, statistics: int) -> int:
            return statistics + 1

        def log_prior(self, theta: int) -> float:
            return -0.999 * max(0, theta - 3)

    result = fit_em(Scripted(), None, 0, tol=0.01)
    assert (result.n_iter, result.stopped_by) == (4, "objective")
    with pytest.warns(ConvergenceWarning, match=re.escape("in the last one the objective changed by 1. Increase")):
        fit_em(Scripted(), None, 0, tol=0.01, max_iter=3)


def test_a_prior_by_rows_is_counted_once_and_not_for_each_block() -> None:
    calls: list[Array] = []

    class WithPrior(TwoCoins):
        def log_prior(self, theta: Array) -> float:
            calls.append(theta)
            return float(np.sum(np.log(theta * (1.0 - theta))))

        def m_step(self, statistics: tuple[Array, Array]) -> Array:
            heads, tails = statistics
            return (heads + 1.0) / (heads + tails + 2.0)

    heads, start = TwoCoins.HEADS, np.array([0.6, 0.5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = fit_em(WithPrior(), lambda: iter([heads[:2], heads[2:]]), start)
    assert len(calls) == len(result.history)
    assert calls[-1] is result.parameters
    assert result.objective == result.log_likelihood + float(
        np.sum(np.log(result.parameters * (1 - result.parameters)))
    )


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (None, "log_prior returned None, expected one number: the log of the prior's density at the parameters"),
        ("-1.0", "log_prior returned a str, '-1.0', expected one number"),
        (np.ones(2), "log_prior returned an array of shape (2,), expected one number"),
        (np.ones(1), "log_prior returned an array of shape (1,), expected one number"),
        ((1.0, 2.0), "log_prior returned a tuple of 2, expected one number"),
        (1.0 + 0.0j, "log_prior returned a complex, (1+0j), expected one number"),
    ],
)
def test_log_prior_that_is_no_number(returned: Any, text: str) -> None:
    class Wrong(GeneticLinkage):
        def log_prior(self, theta: float) -> Any:
            return returned

    with pytest.raises(TypeError, match=re.escape(text)):
        fit_em(Wrong(), GeneticLinkage.COUNTS, 0.5)


def test_log_prior_that_is_no_method() -> None:
    class OtherMeaning(GeneticLinkage):
        log_prior = np.log([0.5, 0.5])  # of two classes, say

    text = (
        "log_prior of the model is an array of shape (2,), expected a method, log_prior(parameters) -> float. An "
        "attribute with another meaning needs another name."
    )
    with pytest.raises(TypeError, match=re.escape(text)):
        fit_em(OtherMeaning(), GeneticLinkage.COUNTS, 0.5)


@pytest.mark.parametrize("number", [-1, np.float32(-1.0), np.array(-1.0), Fraction(-1)])
def test_numbers_of_any_kind_are_taken(number: Any) -> None:
    class Constant(GeneticLinkage):
        def log_prior(self, theta: float) -> Any:
            return number

    result = fit_em(Constant(), GeneticLinkage.COUNTS, 0.5)
    assert type(result.log_prior) is float and result.log_prior == -1.0
    # A constant changes nothing else.
    plain = fit_em(GeneticLinkage(), GeneticLinkage.COUNTS, 0.5)
    assert (result.parameters, result.log_likelihood, result.n_iter) == (
        plain.parameters,
        plain.log_likelihood,
        plain.n_iter,
    )


def test_log_prior_that_is_not_finite() -> None:
    # Under a beta prior with a, b > 1 the density at 0 is zero.
    class AtTheBorder(Coin):
        def e_step(self, tosses: tuple[int, int], theta: float) -> tuple[tuple[int, int], float]:
            return tosses, tosses[1] * math.log1p(-theta)

        def log_prior(self, theta: float) -> float:
            return super().log_prior(theta) if theta > 0.0 else -math.inf

    with pytest.raises(ValueError, match="the log-prior is -inf after 0 iterations, expected a finite one"):
        fit_em(AtTheBorder(2.0, 2.0), (0, 5), 0.0)


def test_records_and_results_without_a_prior() -> None:
    record = EMRecord(0, -3.0, math.nan, 0.0)
    assert (record.log_prior, record.objective) == (0.0, -3.0)
    result = EMResult(1.0, -3.0, 0, False, "max_iter", [record])
    assert (result.log_prior, result.objective) == (0.0, -3.0)
