"""fit_em with models of its own: known answers, and what the loop promises about every model."""

from __future__ import annotations

import itertools
import math
import re
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import emix
from em.examples import Alleles, Array, BloodGroups, GeneticLinkage, NormalWithGaps, TwoCoins
from emix import ConvergenceWarning, EMRecord, GaussianMixture, GaussianModel, GaussianParameters, fit_em
from emix.em import loop
from emix.em.loop import iterate

# Most fits here are of few iterations, as is meant.
pytestmark = pytest.mark.filterwarnings("ignore:EM did not converge in:emix.ConvergenceWarning")

COINS = TwoCoins.HEADS
START = np.array([0.6, 0.5])


class Scripted:
    """Log-likelihoods in an order laid down; θ counts the M-steps."""

    def __init__(self, log_likelihoods: list[float], weight: float = 1.0, shortfall: float = 0.0) -> None:
        self._values, self._weight, self._shortfall = log_likelihoods, weight, shortfall

    def e_step(self, data: Any, theta: int) -> tuple[int, float]:
        return theta, self._values[theta]

    def m_step(self, statistics: int) -> int:
        return statistics + 1

    def weight(self, data: Any) -> float:
        return self._weight

    def shortfall(self, statistics: int) -> float:
        return self._shortfall


# Known answers


def test_genetic_linkage() -> None:
    visited: list[float] = []

    class Watched(GeneticLinkage):
        def m_step(self, statistics: tuple[float, float]) -> float:
            visited.append(super().m_step(statistics))
            return visited[-1]

    model = Watched()
    # log ℓ is flat at θ̂: θ is exact to some sqrt(eps) once ℓ no longer changes, and a step later to its 0.13.
    result = fit_em(model, model.COUNTS, 0.5, tol=1e-12, stop="parameters", max_iter=100)
    assert result.converged and result.stopped_by == "parameters"
    assert result.parameters == pytest.approx(model.THETA, rel=1e-11)
    assert result.parameters == pytest.approx(0.6268214979, abs=1e-10)  # published digits
    # The rate at which the error shrinks in a step; the fifth and sixth errors are about 1e-6, far above rounding.
    assert (visited[6] - model.THETA) / (visited[5] - model.THETA) == pytest.approx(0.1328, abs=1e-4)
    assert result.log_likelihood == model.log_likelihood(model.COUNTS, result.parameters)


def test_two_coins() -> None:
    result = fit_em(TwoCoins(), COINS, START, tol=0.0, max_iter=10)
    np.testing.assert_array_equal(result.parameters.round(2), [0.80, 0.52])  # published digits
    assert result.n_iter == 10
    assert all(record.change >= 0.0 for record in result.history[1:])


def test_blood_groups() -> None:
    model = BloodGroups()
    result = fit_em(model, model.COUNTS, Alleles(1 / 3, 1 / 3, 1 / 3), tol=1e-15, max_iter=1000)
    found = np.array([result.parameters.a, result.parameters.b, result.parameters.o])
    np.testing.assert_array_equal(found.round(4), [0.2136, 0.0501, 0.7363])  # published digits

    def loss(angles: Array) -> float:  # frequencies are squares of a unit vector's coordinates
        u, v = angles
        p = Alleles(math.sin(u) ** 2, (math.cos(u) * math.sin(v)) ** 2, (math.cos(u) * math.cos(v)) ** 2)
        return -model.log_likelihood(model.COUNTS, p)

    direct = scipy.optimize.minimize(loss, [0.5, 0.5], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-11})
    assert result.log_likelihood == pytest.approx(-direct.fun, abs=1e-9)  # fatol, and rounding of 500 nats


def gaps(n_rows: int, monotone: bool) -> Array:
    rng = np.random.default_rng(7)
    X = rng.normal(size=(n_rows, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]]) + [3.0, -1.0]
    X[: n_rows // 4, 1] = np.nan
    if not monotone:
        X[n_rows // 4 : n_rows // 2, 0] = np.nan
    return X


def fit_gaps(X: Array) -> Any:
    start = {"mean": np.nanmean(X, axis=0), "covariance": np.diag(np.nanvar(X, axis=0))}
    return fit_em(NormalWithGaps(), X, start, tol=1e-13, max_iter=500)


def test_normal_with_missing_entries_by_direct_maximization() -> None:
    X = gaps(60, monotone=False)
    result = fit_gaps(X)
    model = NormalWithGaps()

    def loss(v: Array) -> float:
        factor = np.array([[math.exp(v[2]), 0.0], [v[3], math.exp(v[4])]])
        return -model.e_step(X, {"mean": v[:2], "covariance": factor @ factor.T})[1]

    direct = scipy.optimize.minimize(loss, [3.0, -1.0, 0.0, 0.0, 0.0], method="BFGS", options={"gtol": 1e-5})
    factor = np.array([[math.exp(direct.x[2]), 0.0], [direct.x[3], math.exp(direct.x[4])]])
    # A gradient of 1e-5 leaves a parameter, known to 0.1 at best from 60 rows, off by 1e-5 · 0.1² and ℓ by less.
    assert result.log_likelihood == pytest.approx(-direct.fun, abs=1e-8)
    np.testing.assert_allclose(result.parameters["mean"], direct.x[:2], rtol=0, atol=1e-5)
    np.testing.assert_allclose(result.parameters["covariance"], factor @ factor.T, rtol=0, atol=1e-5)


def test_normal_with_monotone_gaps_by_its_closed_form() -> None:
    # T. W. Anderson (1957): the first column by itself, the second by its regression on the first where both are seen.
    X = gaps(60, monotone=True)
    result = fit_gaps(X)
    both = X[~np.isnan(X[:, 1])]
    mean, variance = X[:, 0].mean(), X[:, 0].var()
    c = np.cov(both.T, bias=True)
    slope = c[0, 1] / c[0, 0]
    second = both[:, 1].mean() + slope * (mean - both[:, 0].mean())
    cross = slope * variance
    # EM stops when ℓ rises by less than 6e-12; being flat there, it leaves parameters off by its root.
    np.testing.assert_allclose(result.parameters["mean"], [mean, second], rtol=0, atol=1e-6)
    last = c[1, 1] + slope**2 * (variance - c[0, 0])
    np.testing.assert_allclose(result.parameters["covariance"], [[variance, cross], [cross, last]], rtol=0, atol=1e-6)


# What is returned


@pytest.mark.parametrize("max_iter", [0, 1, 2, 7])
def test_n_iter_counts_m_steps(max_iter: int) -> None:
    m_steps: list[Array] = []

    class Counted(TwoCoins):
        def m_step(self, statistics: tuple[Array, Array]) -> Array:
            m_steps.append(super().m_step(statistics))
            return m_steps[-1]

    result = fit_em(Counted(), COINS, START, tol=0.0, max_iter=max_iter)
    assert result.n_iter == len(m_steps) == max_iter
    assert not result.converged and result.stopped_by == "max_iter"
    assert result.parameters is ([START, *m_steps][-1])
    # The log-likelihood is that of the parameters returned: an E-step closes the fit.
    assert result.log_likelihood == TwoCoins().e_step(COINS, result.parameters)[1]


def test_history_has_a_record_of_each_e_step() -> None:
    seen: list[EMRecord] = []
    result = fit_em(TwoCoins(), COINS, START, tol=1e-9, max_iter=500, callback=seen.append)
    assert result.converged
    assert seen == result.history
    assert [record.iteration for record in seen] == list(range(result.n_iter + 1))
    assert math.isnan(seen[0].change)
    for before, record in itertools.pairwise(seen):
        assert record.change == record.log_likelihood - before.log_likelihood
        assert record.seconds >= before.seconds >= 0.0
    assert all(record.accepted for record in seen)
    assert seen[-1].log_likelihood == result.log_likelihood
    # Converged with the first change that is small enough, and not one later.
    small = [abs(record.change) <= 1e-9 * len(COINS) for record in seen[1:]]
    assert small.index(True) == len(small) - 1


@pytest.mark.parametrize("max_iter", [0, 1, 7, 1000])
def test_statistics_are_those_of_the_parameters_returned(max_iter: int) -> None:
    result = fit_em(TwoCoins(), COINS, START, max_iter=max_iter)
    expected, log_likelihood = TwoCoins().e_step(COINS, result.parameters)
    np.testing.assert_array_equal(result.statistics, expected)
    assert result.log_likelihood == log_likelihood


def test_statistics_of_a_mixture_are_those_of_the_parameters_returned() -> None:
    X = np.random.default_rng(0).normal(size=(300, 2))
    model = GaussianModel(2, 2)
    start = GaussianParameters.from_covariances("full", [0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], [np.eye(2)] * 2)
    result = fit_em(model, X, start, max_iter=20)
    expected, _ = model.e_step(X, result.parameters)
    # A first pass leaves nothing out, and a later one terms of e⁻⁴⁰ at most: 4e-18 of 300 rows.
    np.testing.assert_allclose(result.statistics.weight, expected.weight, rtol=1e-13)
    np.testing.assert_allclose(result.statistics.scatter, expected.scatter, rtol=1e-13, atol=1e-13)


def test_convergence_on_the_last_iteration_counts() -> None:
    assert fit_em(Scripted([-5.0, -4.0, -4.0]), None, 0, tol=1e-3, max_iter=2).converged


# Why it stopped


def test_stopped_by_log_likelihood_in_units_of_the_weight() -> None:
    values = [-100.0, -90.0, -89.5, -89.4, -89.39]
    stopped = {}
    for weight in (1.0, 10.0, 100.0):
        result = fit_em(Scripted(values, weight), None, 0, tol=0.011, max_iter=4)
        assert result.stopped_by == "log_likelihood"
        stopped[weight] = result.n_iter
    # changes: 10, 0.5, 0.1, 0.01
    assert stopped == {1.0: 4, 10.0: 3, 100.0: 2}


def test_stopped_by_parameters() -> None:
    class Halving:
        def e_step(self, data: Any, theta: float) -> tuple[float, float]:
            return theta, -theta * theta

        def m_step(self, statistics: float) -> float:
            return statistics / 2.0

    result = fit_em(Halving(), None, 1.0, tol=0.01, stop="parameters", max_iter=100)
    # |Δθ| / (1 + |θ|) = 2⁻ⁿ / (1 + 2¹⁻ⁿ) ≤ 0.01 first for n = 7
    assert (result.stopped_by, result.n_iter) == ("parameters", 7)


def test_stopped_by_parameters_as_the_model_measures_them() -> None:
    class Measured(Scripted):
        def distance(self, old: int, new: int) -> float:
            return 1.0 / new

    result = fit_em(Measured([0.1 * t for t in range(9)]), None, 0, tol=0.2, stop="parameters", max_iter=8)
    assert (result.stopped_by, result.n_iter) == ("parameters", 5)


def test_stopped_by_rounding() -> None:
    result = fit_em(Scripted([-1e6, -1e5, -1e5 + 1e-10, -1e5]), None, 0, tol=0.0, max_iter=3)
    # 8 eps (1e5 + 1) = 1.8e-10 is more than the change
    assert (result.stopped_by, result.n_iter, result.converged) == ("rounding", 2, True)
    # A change of exactly nothing is within tol = 0.
    assert fit_em(Scripted([-3.0, -3.0]), None, 0, tol=0.0, max_iter=1).stopped_by == "log_likelihood"


def test_stopped_by_callback() -> None:
    result = fit_em(TwoCoins(), COINS, START, tol=0.0, max_iter=50, callback=lambda record: record.iteration == 3)
    assert (result.stopped_by, result.n_iter, result.converged) == ("callback", 3, False)
    assert result.log_likelihood == TwoCoins().e_step(COINS, result.parameters)[1]


def test_callback_ends_the_fit_only_by_true() -> None:
    calls: list[int] = []

    def count(record: EMRecord) -> int:
        calls.append(record.iteration)
        return len(calls)

    assert fit_em(TwoCoins(), COINS, START, tol=0.0, max_iter=5, callback=count).stopped_by == "max_iter"
    assert calls == [0, 1, 2, 3, 4, 5]


# Never falling


def test_fall_warns_once_and_never_converges() -> None:
    # Falls of 1, then 1.5; the fall of 1 is within tol.
    model = Scripted([-10.0, -5.0, -6.0, -7.5, -5.0, -4.0])
    with pytest.warns(ConvergenceWarning, match=r"fell in 2 iterations, most in iteration 3, by 1\.5 nats") as caught:
        result = fit_em(model, None, 0, tol=2.0, max_iter=5)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # shown where fit_em was called
    assert (result.n_iter, result.stopped_by) == (5, "log_likelihood")


def test_fall_that_the_m_step_explains_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = iterate(Scripted([-10.0, -5.0, -6.0, -4.0], shortfall=1.1), None, 0, tol=0.0, max_iter=3)
    assert result.n_iter == 3
    with pytest.warns(ConvergenceWarning, match="fell in 1 iterations"):
        fit_em(Scripted([-10.0, -5.0, -6.0, -4.0], shortfall=0.9), None, 0, tol=0.0, max_iter=3)


def test_shortfall_is_that_of_the_step_that_fell() -> None:
    class Once(Scripted):
        def shortfall(self, statistics: int) -> float:
            return 1.1 if statistics == 1 else 0.0  # of the second M-step

    fit_em(Once([-10.0, -5.0, -6.0, -4.0]), None, 0, tol=0.0, max_iter=3)
    with pytest.warns(ConvergenceWarning, match="most in iteration 3"):
        fit_em(Once([-10.0, -5.0, -4.0, -5.0]), None, 0, tol=0.0, max_iter=3)


def test_fall_by_rounding_does_not_warn() -> None:
    # rounding: 8 eps (1e5 + 1) = 1.8e-10
    assert fit_em(Scripted([-1e5, -1e5 - 1e-10]), None, 0, tol=0.0, max_iter=1).stopped_by == "rounding"
    with pytest.warns(ConvergenceWarning):
        fit_em(Scripted([-1e5, -1e5 - 1e-9]), None, 0, tol=0.0, max_iter=1)


def test_reg_covar_may_make_the_likelihood_fall_without_a_warning() -> None:
    # From the mode of reg_covar = 0 a step with a large one goes down; with one component, by just the shortfall.
    X = np.random.default_rng(0).normal(size=(200, 2))
    start = GaussianParameters.from_covariances("full", [1.0], [X.mean(axis=0)], [np.cov(X.T, bias=True)])
    model = GaussianModel(1, 2, reg_covar=0.5)
    result = fit_em(model, X, start, tol=0.0, max_iter=1)
    shortfall = model.shortfall(model.e_step(X, start)[0])
    assert shortfall > 10.0
    # The fall is a difference of two log-likelihoods of some 600 nats, each summed to 1e-13 or so.
    assert -result.history[1].change == pytest.approx(shortfall, rel=1e-12)


def test_a_fall_of_a_mixture_speaks_of_reg_covar() -> None:
    class Worse(GaussianModel):
        def m_step(self, statistics: Any) -> GaussianParameters:
            found = super().m_step(statistics)
            return GaussianParameters.of(found.structure, found.weights, found.means + 1.0, found.covariances)

    X = np.random.default_rng(0).normal(size=(200, 2))
    start = GaussianParameters.from_covariances("full", [1.0], [X.mean(axis=0)], [np.cov(X.T, bias=True)])
    with pytest.warns(ConvergenceWarning, match="more than rounding and reg_covar explain"):
        fit_em(Worse(1, 2), X, start, max_iter=1)


# Names


def test_the_names_of_0_1_are_those_of_the_package() -> None:
    assert (loop.EMModel, loop.EMRecord, loop.EMResult) == (emix.EMModel, emix.EMRecord, emix.EMResult)
    assert loop.fit_em is emix.fit_em


# Errors


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


# Defaults, and an end by max_iter


def test_defaults() -> None:
    result = fit_em(TwoCoins(), COINS, START)
    given = fit_em(TwoCoins(), COINS, START, tol=1e-8, max_iter=1000)
    assert result.n_iter == given.n_iter
    assert result.converged and result.stopped_by == "log_likelihood"
    # W is the number of rows.
    assert 0.0 <= result.history[-1].change <= 1e-8 * len(COINS) < result.history[-2].change


@pytest.mark.filterwarnings("error")
def test_an_end_by_max_iter_is_warned_of() -> None:
    text = (
        "EM did not converge in 2 iterations with tol=1e-08 and stop='log_likelihood': in the last one the "
        "log-likelihood changed by 1. Increase max_iter or tol."
    )
    with pytest.warns(ConvergenceWarning, match=re.escape(text)) as caught:
        result = fit_em(Scripted([-5.0, -4.0, -3.0]), None, 0, max_iter=2)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert not result.converged and result.stopped_by == "max_iter"
    with pytest.warns(ConvergenceWarning, match="stop='parameters'"):
        fit_em(Scripted([-5.0, -4.0]), None, 0, max_iter=1, stop="parameters")
    # Not one that was only looked at, ended by the callback, or converged in the last iteration of all.
    assert fit_em(Scripted([-5.0]), None, 0, max_iter=0).stopped_by == "max_iter"
    assert fit_em(Scripted([-5.0, -4.0]), None, 0, max_iter=1, callback=lambda _: True).stopped_by == "callback"
    assert fit_em(Scripted([-5.0, -5.0]), None, 0, max_iter=1).converged


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n_init", [1, 3])
def test_a_fit_of_a_mixture_warns_once_in_its_own_words(n_init: int) -> None:
    X = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.warns(ConvergenceWarning) as caught:
        GaussianMixture(3, max_iter=1, n_init=n_init, random_state=0).fit(X)
    assert ["Best performing initialization did not converge" in str(warning.message) for warning in caught] == [True]
