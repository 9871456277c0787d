"""A keeper is given the state after each iteration, and a fit goes on from any of them with the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from em.examples import GeneticLinkage, GeneticLinkageWithPrior
from emix import ConvergenceWarning
from emix.em.keeping import EMState
from emix.em.loop import iterate
from emix.em.result import EMResult


class States:
    """A keeper in memory."""

    def __init__(self, state: EMState | None = None) -> None:
        self.state = state
        self.kept: list[EMState] = []

    def keep(self, state: EMState) -> None:
        self.kept.append(state._replace(history=list(state.history)))


def fit(model: Any, keeper: States | None, **settings: Any) -> EMResult:
    return iterate(model, model.COUNTS, 0.1, tol=1e-12, max_iter=200, keeper=keeper, **settings)


def without_times(result: EMResult) -> list[Any]:
    history = [repr(record._replace(seconds=0.0)) for record in result.history]
    return [result.parameters, result.log_likelihood, result.n_iter, result.stopped_by, result.log_prior, history]


@pytest.mark.parametrize("model", [GeneticLinkage(), GeneticLinkageWithPrior(3.0, 5.0)])
def test_a_fit_goes_on_from_each_state(model: Any) -> None:
    keeper = States()
    whole = fit(model, keeper)
    assert without_times(whole) == without_times(fit(model, None))
    # After each iteration but the last, from which the fit does not go on.
    assert [len(state.history) for state in keeper.kept] == list(range(1, whole.n_iter + 1))
    for number, state in enumerate(keeper.kept):
        following = States(state)
        assert without_times(fit(model, following)) == without_times(whole)
        assert len(following.kept) == whole.n_iter - number - 1


def test_times_go_on_too() -> None:
    keeper = States()
    fit(GeneticLinkage(), keeper)
    state = keeper.kept[3]
    late = [record._replace(seconds=1000.0 + record.iteration) for record in state.history]
    history = fit(GeneticLinkage(), States(state._replace(history=late))).history
    assert [record.seconds for record in history[:4]] == [1000.0, 1001.0, 1002.0, 1003.0]
    assert all(1003.0 <= record.seconds < 1100.0 for record in history[4:])  # far less than 97 s


class Falling(GeneticLinkage):
    """A wrong E-step: its log-likelihood falls once."""

    def __init__(self) -> None:
        self.n_passes = 0

    def e_step(self, counts: tuple[int, ...], theta: float) -> tuple[tuple[float, float], float]:
        statistics, log_likelihood = super().e_step(counts, theta)
        self.n_passes += 1
        return statistics, log_likelihood - 100.0 * (self.n_passes == 2)


def test_falls_of_before_are_warned_of() -> None:
    keeper = States()
    with pytest.warns(ConvergenceWarning, match="fell in 1 iterations, most in iteration 1, by"):
        fit(Falling(), keeper)
    with pytest.warns(ConvergenceWarning, match="fell in 1 iterations, most in iteration 1, by"):
        fit(GeneticLinkage(), States(keeper.kept[4]))


class Counter:
    """A run that counts its passes, and adds their number to the log-likelihood: it must be kept."""

    weight = 1.0

    def __init__(self, counts: tuple[int, ...]) -> None:
        self._counts, self.n_passes = counts, 0

    def e_step(self, theta: float) -> tuple[Any, float]:
        self.n_passes += 1
        statistics, log_likelihood = GeneticLinkage().e_step(self._counts, theta)
        return statistics, log_likelihood + self.n_passes

    def state(self) -> dict[str, Any]:
        return {"passes": np.array(self.n_passes)}

    def restore(self, state: dict[str, Any]) -> None:
        self.n_passes = int(state["passes"])


class Counting(GeneticLinkage):
    def begin(self, counts: tuple[int, ...]) -> Counter:
        return Counter(counts)


def test_a_run_says_what_it_keeps() -> None:
    keeper = States()
    model = Counting()
    whole = iterate(model, model.COUNTS, 0.1, tol=0.0, max_iter=9, keeper=keeper)
    assert [int(state.run["passes"]) for state in keeper.kept] == list(range(1, 10))
    found = iterate(model, model.COUNTS, 0.1, tol=0.0, max_iter=9, keeper=States(keeper.kept[4]))
    assert without_times(found) == without_times(whole)
