"""Steps taken at once: the loop's hook `advance`, and that it changes no bit of a fit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emix
from emix.em.loop import Goal, Verdict, Watch, iterate
from emix.em.result import EMResult
from emix.gaussian.run import GaussianRun
from emix.gaussian.structures import STRUCTURES
from emix.kernel.level import has_own_threads
from emix.rows.arrays import ArraySource
from emix.starts.starting_parameters import make_start

RNG = np.random.default_rng(0)
X = np.vstack([RNG.normal(size=(90, 3)), RNG.normal(2.5, 1.4, size=(60, 3)), RNG.normal(-2.0, 0.5, size=(50, 3))])


def both_ways(data: Any, structure: str, K: int, *, reg_covar: Any = "auto", **how: Any) -> tuple[EMResult, EMResult]:
    """One fit, with steps taken at once and one by one."""
    source = data if isinstance(data, ArraySource) else ArraySource(data)
    model = emix.GaussianModel(K, source.n_features, structure, reg_covar)
    start = make_start("random_from_data", source, model, 1, 0)
    # With a callback each iteration is done by itself.
    return iterate(model, source, start, **how), iterate(model, source, start, callback=lambda record: None, **how)


def assert_same(one: EMResult, other: EMResult) -> None:
    assert np.array_equal(one.parameters.packed, other.parameters.packed)
    assert np.array_equal(one.statistics.packed, other.statistics.packed)
    assert (one.stopped_by, one.n_iter, one.log_likelihood) == (other.stopped_by, other.n_iter, other.log_likelihood)
    mine, theirs = ([record[:3] for record in result.history] for result in (one, other))
    assert mine[1:] == theirs[1:]
    assert mine[0][:2] == theirs[0][:2]
    assert all(math.isnan(history[0][2]) for history in (mine, theirs))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("K", [1, 3, 5])
def test_the_same_bits(structure: str, K: int, dtype: type) -> None:
    assert_same(*both_ways(X.astype(dtype), structure, K, tol=1e-9, max_iter=500))


@pytest.mark.parametrize("max_iter", [0, 1, 2, 3, 17])
def test_the_same_end_at_max_iter(max_iter: int) -> None:
    one, other = both_ways(X, "full", 4, tol=0.0, max_iter=max_iter)
    assert one.n_iter == max_iter
    assert_same(one, other)


def test_with_weights_and_strides() -> None:
    weight = RNG.integers(0, 3, len(X)).astype(float)
    assert_same(*both_ways(ArraySource(np.asfortranarray(X)[:, ::-1], weight), "full", 3, tol=1e-9, max_iter=300))
    # Weights in another unit than 1 are left to single steps.
    assert_same(*both_ways(ArraySource(X, weight * 1e-200), "full", 3, tol=1e-9, max_iter=300))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000), st.integers(2, 6), st.sampled_from(sorted(STRUCTURES)), st.sampled_from([0.0, "auto", 0.1])
)
def test_also_where_components_collapse_jump_or_lose_likelihood(seed: int, K: int, name: str, reg_covar: Any) -> None:
    # Few rows, some of them equal or far out: collapses, sums that cancel, and a ridge that lets the likelihood fall.
    rng = np.random.default_rng(seed)
    rows = np.vstack([rng.normal(size=(12, 2)), np.full((4, 2), 3.0), rng.normal(size=(3, 2)) * 1e4])
    found: list[EMResult | str] = []
    source = ArraySource(rows)
    model = emix.GaussianModel(K, 2, name, reg_covar)
    try:
        start = make_start("random_from_data", source, model, seed, 0)
    except ValueError:
        return
    for callback in (None, lambda record: None):
        try:
            with np.errstate(all="ignore"):
                found.append(iterate(model, source, start, tol=1e-9, max_iter=200, callback=callback))
        except (ValueError, UserWarning) as error:
            found.append(str(error))
    one, other = found
    if isinstance(one, str) or isinstance(other, str):
        assert one == other
    else:
        assert_same(one, other)


def test_steps_are_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    single = [0]
    e_step = GaussianRun.e_step

    def counted(self: GaussianRun, parameters: Any) -> Any:
        single[0] += 1
        return e_step(self, parameters)

    monkeypatch.setattr(GaussianRun, "e_step", counted)
    result, _ = both_ways(X, "tied", 3, tol=1e-10, max_iter=1000)
    one_by_one = result.n_iter + 1
    # With the BLAS kernel, which has threads of its own, both fits are made one by one.
    expected = 2 * one_by_one if has_own_threads() else one_by_one + 12
    assert result.n_iter > 40
    assert single[0] <= expected


def test_a_model_with_steps_of_its_own_is_asked_for_each() -> None:
    class Counted(emix.GaussianModel):
        n_steps = 0

        def m_step(self, statistics: Any) -> Any:
            type(self).n_steps += 1
            return super().m_step(statistics)

    model = Counted(3, 3, "full", "auto")
    source = ArraySource(X)
    result = iterate(model, source, make_start("random_from_data", source, model, 1, 0), tol=1e-9, max_iter=300)
    assert Counted.n_steps == result.n_iter > 10


@pytest.mark.parametrize("every", [1, 7, 64])
def test_a_watch_sees_every_record_and_ends_a_fit_a_little_late(every: int) -> None:
    source = ArraySource(X)
    model = emix.GaussianModel(6, 3, "tied")
    start = make_start("random_from_data", source, model, 1, 0)
    seen: list[int] = []

    def look(record: emix.EMRecord) -> bool:
        seen.append(record.iteration)
        return record.iteration == 20

    result = iterate(model, source, start, tol=0.0, max_iter=400, watch=Watch(look, every))
    assert result.stopped_by == "callback"
    assert not result.converged
    assert seen[:21] == list(range(21))
    assert 20 <= result.n_iter <= 20 + every + 1
    assert len(result.history) == result.n_iter + 1
    # Parameters and log-likelihood belong together, also when it ended late. A first pass leaves nothing out.
    assert result.log_likelihood == pytest.approx(model.e_step(X, result.parameters)[1], rel=1e-13)


@pytest.mark.parametrize("structure", ["full", "VVE"])
def test_a_fit_is_given_up_at_the_first_step_from_which_its_goal_is_out_of_reach(structure: str) -> None:
    source = ArraySource(X)
    model = emix.GaussianModel(5, 3, structure, "auto")
    start = make_start("random_from_data", source, model, 1, 0)
    whole = iterate(model, source, start, tol=1e-9, max_iter=400)
    for goal in (-math.inf, whole.log_likelihood - 1e-3, whole.log_likelihood + 2.0, math.inf):
        how = Goal(goal, 5.0, 6)
        behind = (
            record.iteration
            for record in whole.history
            if record.iteration >= how.first and record.log_likelihood + how.ahead * record.change < goal
        )
        watch = Watch(lambda record: False, eager=True, goal=how)
        found = iterate(model, source, start, tol=1e-9, max_iter=400, watch=watch)
        assert found.n_iter == next(behind, whole.n_iter)
        assert found.stopped_by == (whole.stopped_by if found.n_iter == whole.n_iter else "callback")
        assert [record[:2] for record in found.history] == [record[:2] for record in whole.history[: found.n_iter + 1]]


def test_a_watch_may_see_the_last_of_the_steps_only() -> None:
    source = ArraySource(X)
    model = emix.GaussianModel(6, 3, "tied")
    start = make_start("random_from_data", source, model, 1, 0)
    seen: list[emix.EMRecord] = []
    watch = Watch(lambda record: seen.append(record) is not None, eager=True, sees_all=False)
    result = iterate(model, source, start, tol=1e-9, max_iter=400, watch=watch)
    assert 2 < len(seen) < result.n_iter / 2
    assert [record[:2] for record in seen] == [result.history[record.iteration][:2] for record in seen]
    assert [record.change for record in seen[1:]] == [result.history[record.iteration].change for record in seen[1:]]


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("after", [0, 1, 7, 30, 1000])
def test_a_verdict_is_asked_for_once_with_the_statistics_of_its_step(after: int, ends: bool) -> None:
    source = ArraySource(X)
    model = emix.GaussianModel(6, 3, "VEV", "auto")
    start = make_start("random_from_data", source, model, 1, 0)
    whole = iterate(model, source, start, tol=1e-9, max_iter=400)
    assert 30 < whole.n_iter < 400
    seen: list[float] = []

    def verdict(statistics: emix.GaussianStatistics) -> bool:
        seen.append(statistics.log_likelihood)
        return ends

    watch = Watch(lambda record: False, eager=True, sees_all=False, verdict=Verdict(verdict, after))
    found = iterate(model, source, start, tol=1e-9, max_iter=400, watch=watch)
    if after > whole.n_iter:
        assert seen == []
    else:
        assert seen == [whole.history[after].log_likelihood]
    last = after if ends and after <= whole.n_iter else whole.n_iter
    assert found.n_iter == last
    assert found.stopped_by == (whole.stopped_by if last == whole.n_iter else "callback")
    assert [record[:2] for record in found.history] == [record[:2] for record in whole.history[: last + 1]]


def test_a_run_without_the_hook_and_one_that_never_advances() -> None:
    class Run:
        weight = effective_rows = 4.0

        def __init__(self, advances: bool) -> None:
            self.asked = 0
            if advances:
                self.advance = self.never

        def e_step(self, theta: float) -> tuple[float, float]:
            return theta, -((theta - 1.0) ** 2)

        def never(self, theta: float, log_likelihood: float, enough: float, rounding: float, most: int) -> None:
            self.asked += 1
            assert log_likelihood <= 0.0
            assert enough == 4e-3
            assert 0 <= most <= 50

    class Model:
        def __init__(self, run: Run) -> None:
            self.run = run

        def begin(self, data: Any) -> Run:
            return self.run

        def m_step(self, theta: float) -> float:
            return theta + 0.1 * (1.0 - theta)

    runs = Run(True), Run(False)
    one, other = (iterate(Model(run), None, 0.0, tol=1e-3, max_iter=50) for run in runs)
    assert one.parameters == other.parameters
    assert runs[0].asked > 0
