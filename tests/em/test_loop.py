"""fit_em with any model: its results, the reason why it stopped, its defaults, and the warning at max_iter."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest

import emix
from em.examples import COINS, START, Array, Scripted, TwoCoins
from emix import ConvergenceWarning, EMRecord, GaussianMixture, GaussianModel, GaussianParameters, fit_em
from emix.em import loop

# Most fits here are of few iterations, as is meant.
pytestmark = pytest.mark.filterwarnings("ignore:EM did not converge in:emix.ConvergenceWarning")


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


# Names


def test_the_names_of_0_1_are_those_of_the_package() -> None:
    assert (loop.EMModel, loop.EMRecord, loop.EMResult) == (emix.EMModel, emix.EMRecord, emix.EMResult)
    assert loop.fit_em is emix.fit_em


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
