"""Refits of pairs: what they gain they gain in the whole mixture, and they lead from a lower mode to a higher one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emix import GaussianModel, GaussianParameters
from emix.gaussian.run import GaussianRun
from emix.gaussian.structures import STRUCTURES
from emix.rows.arrays import ArraySource
from emix.starts import pair_refits
from emix.starts.exploration import PATIENCE, SAME_MODE, Exploration, Mode
from emix.starts.local_search import LocalSearch
from emix.starts.pair_refits import A_CALL, A_REFIT, LEAST_SHARE, PAIRS, NearPairs, can_refit
from emix.starts.starting_parameters import start_of_labels
from emix.starts.uniforms import Uniforms

Array = NDArray[np.float64]


def cross(n: int = 1500) -> Array:
    """Two long groups across each other, and a third one far away."""
    rng = np.random.default_rng(0)
    long = rng.normal(size=(2, n, 2)) * [[[3.0, 0.3]], [[0.3, 3.0]]]
    far = rng.normal((30.0, 0.0), size=(n, 2))
    return np.vstack([*long, far])


def explored(X: Array, weight: Array | None = None, K: int = 3, structure: str = "full") -> Exploration:
    return Exploration(ArraySource(X, weight), GaussianModel(K, X.shape[1], structure, "auto"), 0, 1e-6, 1000)


def lower_mode(exploration: Exploration) -> Mode:
    """The mode in which one component has the middle of the cross and the other its arms."""
    X = exploration.source.X
    labels = np.where(X[:, 0] > 15.0, 2, (X[:, 0] > X[:, 1]).astype(int)).astype(np.intp)
    weight = exploration.source.sample_weight
    start = start_of_labels(
        exploration.source, exploration.model, np.ones(len(X)) if weight is None else weight, labels
    )
    result = exploration.run(start, 1000, relaxed=False)
    assert result is not None
    return Mode(start, result)


def refitted(
    exploration: Exploration, parameters: GaussianParameters, least: float = -0.05
) -> list[tuple[float, GaussianParameters]]:
    """The gain of each refit, and the whole mixture after it."""
    apart = np.linalg.norm(parameters.means[:, np.newaxis] - parameters.means, axis=2)
    pairs = NearPairs(exploration, parameters, apart)
    return [(refit.gain, pairs.mixture(refit)) for refit in pairs.refits(Uniforms(0, 0, 1), least, range(1))]


def counted_runs(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """An element for each run of EM that refits ask for from now on."""
    runs, each = list[None](), GaussianRun.advance_each

    def counted(self: GaussianRun, starts: Array, *settings: Any) -> Any:
        runs.extend([None] * len(starts))
        return each(self, starts, *settings)

    monkeypatch.setattr(GaussianRun, "advance_each", counted)
    return runs


def test_the_nearest_pair_is_refitted_most_often(monkeypatch: pytest.MonkeyPatch) -> None:
    exploration = explored(cross())
    parameters = lower_mode(exploration).result.parameters
    apart = np.linalg.norm(parameters.means[:, np.newaxis] - parameters.means, axis=2)
    runs = counted_runs(monkeypatch)
    pairs, n_runs = NearPairs(exploration, parameters, apart), []
    for number in range(5):
        runs.clear()
        pairs.refits(Uniforms(0, 0, 1), -0.05, range(number, number + 1))
        n_runs.append(len(runs))
    assert n_runs == [3, 1, 2, 1, 3]
    runs.clear()
    pairs.refits(Uniforms(0, 0, 1), -0.05, range(5))
    assert len(runs) == sum(n_runs)


def log_likelihood(exploration: Exploration, parameters: GaussianParameters) -> float:
    source = exploration.source
    return exploration.model.e_step(source, parameters)[1] / source.total_weight


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_the_whole_mixture_gains_as_much_at_least(structure: str, weighted: bool) -> None:
    X = cross()
    weight = np.random.default_rng(1).uniform(0.5, 2.0, len(X)) if weighted else None
    exploration = explored(X, weight, structure=structure)
    # No mode: refits may gain or lose. Where nothing is given up, each gain is that of a fit that has converged.
    parameters = start_of_labels(
        exploration.source, exploration.model, np.ones(exploration.source.n_rows),
        np.arange(exploration.source.n_rows) % 3,
    )  # fmt: skip
    before = log_likelihood(exploration, parameters)
    found = refitted(exploration, parameters)
    assert found
    for gain, after in found:
        # Rows of shares below LEAST_SHARE are left out: each may fall by log(1 − LEAST_SHARE).
        assert log_likelihood(exploration, after) - before >= gain + np.log1p(-LEAST_SHARE)
        assert after.weights.sum() == pytest.approx(1.0, rel=1e-12)


def test_a_refit_leads_from_the_lower_mode_to_the_higher_one() -> None:
    exploration = explored(cross())
    mode = lower_mode(exploration)
    left = exploration.left
    gain, parameters = refitted(exploration, mode.result.parameters)[0]
    assert exploration.left < left
    # The lower mode is 0.67 nats a row below the two groups as they were drawn.
    assert gain > 0.5
    spread = np.sqrt(np.diagonal(parameters.covariances, axis1=1, axis2=2))
    np.testing.assert_allclose(np.sort(spread[spread.max(axis=1) > 2.0], axis=1), [[0.3, 3.0]] * 2, rtol=0.15)


def test_components_that_take_no_part_stay_as_they_are() -> None:
    exploration = explored(cross())
    mode = lower_mode(exploration)
    far = int(np.argmax(mode.result.parameters.means[:, 0]))
    _, parameters = refitted(exploration, mode.result.parameters)[0]
    for name in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(parameters, name)[far], getattr(mode.result.parameters, name)[far])


def test_a_refit_that_comes_back_to_its_mode_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    exploration = explored(cross())
    best = LocalSearch(exploration, 0).climbed(lower_mode(exploration), exploration).result.parameters
    runs = counted_runs(monkeypatch)
    gains = [gain for gain, _ in refitted(exploration, best, least=-SAME_MODE)]
    assert len(runs) == PAIRS
    assert gains == []  # and of the best mode none leads higher


@pytest.mark.parametrize("left", [30.0, 1e6])
def test_the_search_climbs_by_pairs(left: float) -> None:
    exploration = explored(cross())
    mode = lower_mode(exploration)
    exploration.left = left  # 30: the budget ends with the run that comes higher
    search = LocalSearch(exploration, 0)
    best = search.climbed(mode, exploration)
    rise = (best.result.log_likelihood - mode.result.log_likelihood) / exploration.source.total_weight
    assert rise > 0.5
    # The lower mode lies too far below for another sample to have it higher.
    assert rise > exploration.noise > 0.0
    assert search.rivals == []


def test_a_mode_within_the_noise_of_a_higher_one_is_kept_as_its_rival() -> None:
    exploration = explored(cross())
    mode = lower_mode(exploration)
    exploration.noise = 1.0  # nats a row, above the 0.67 between the two modes
    search = LocalSearch(exploration, 0)
    best = search.climbed(mode, exploration)
    assert best.result.log_likelihood > mode.result.log_likelihood
    assert sum(exploration.agree(rival.result, mode.result) for rival in search.rivals) == 1
    # From the higher mode refits come down to lower ones, which are rivals too.
    search = LocalSearch(exploration, 0)
    assert exploration.agree(search.climbed(best, exploration).result, best.result)
    assert all(rival.result.log_likelihood < best.result.log_likelihood for rival in search.rivals)


def test_all_rows_have_no_rivals() -> None:
    exploration = explored(cross(500))
    assert exploration.noise == 0.0
    search = LocalSearch(exploration, 0)
    search.climbed(lower_mode(exploration), exploration)
    assert search.rivals == []


def test_structures_that_can_be_refitted() -> None:
    # What a component's covariance shares with others cannot be fitted to two of them alone.
    able = {structure.alias or structure.name for structure in STRUCTURES.values() if can_refit(structure)}
    assert able == {"VVV", "VVI", "VII"}

    class Mine(type(STRUCTURES["full"])):  # type: ignore[misc] # a structure of another package, which may share anything
        name = "mine"

    assert not can_refit(Mine())


def test_work_is_taken_from_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    exploration = explored(cross())
    parameters = lower_mode(exploration).result.parameters
    steps, each = list[tuple[int, int]](), GaussianRun.advance_each  # M-steps and rows of each run

    def counted(self: GaussianRun, *arguments: Any) -> Any:
        ended = each(self, *arguments)
        if ended is not None:
            steps.extend((end.n_iter, self.source.n_rows) for end in ended)
        return ended

    run = pair_refits.iterate

    def counted_run(model: GaussianModel, source: ArraySource, *arguments: Any, **settings: Any) -> Any:
        result = run(model, source, *arguments, **settings)
        steps.append((result.n_iter, source.n_rows))
        return result

    monkeypatch.setattr(GaussianRun, "advance_each", counted)
    monkeypatch.setattr(pair_refits, "iterate", counted_run)
    for left in (1000.0, 1.0):
        exploration.left, exploration.passes_of_a_run = left, 0.25
        steps.clear()
        refitted(exploration, parameters)
        assert len(steps) == PAIRS
        passes = sum((n_iter + 1) * 2 / 3 * n_rows / exploration.source.n_rows for n_iter, n_rows in steps)
        assert left - exploration.left == pytest.approx(passes + PAIRS * 0.25 * (A_CALL + A_REFIT), rel=1e-12)
    # Even a refit that the budget has no room for takes a few iterations.
    assert all(n_iter <= PATIENCE for n_iter, _ in steps)
    exploration.left = 0.0
    assert refitted(exploration, parameters) == []
    assert exploration.left == 0.0


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_runs_in_one_call_are_those_of_the_loop(structure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exploration = explored(cross(), structure=structure)
    n_rows = exploration.source.n_rows
    parameters = start_of_labels(exploration.source, exploration.model, np.ones(n_rows), np.arange(n_rows) % 3)
    found = refitted(exploration, parameters, -9.0)
    monkeypatch.setattr(GaussianRun, "advance_each", lambda *arguments: None)
    others = refitted(exploration, parameters, -9.0)
    assert len(found) == len(others) > 0
    for one, other in zip(found, others):
        # Either ends where steps gain less than the search's tolerance.
        assert one[0] == pytest.approx(other[0], abs=10 * exploration.tol)


def test_a_refit_whose_component_collapses_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    # Half of the rows of one component are equal, and one of the halves ends on these.
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.normal(size=(200, 2)), np.full((200, 2), 0.5), rng.normal(30.0, size=(200, 2))])
    exploration = Exploration(ArraySource(rows), GaussianModel(3, 2, "full", 0.0), 0, 1e-6, 1000)
    labels = np.concatenate([np.arange(400) % 2, np.full(200, 2)]).astype(np.intp)
    parameters = start_of_labels(exploration.source, exploration.model, np.ones(600), labels)
    apart = np.linalg.norm(parameters.means[:, np.newaxis] - parameters.means, axis=2)
    for in_one_call in (True, False):
        if not in_one_call:
            monkeypatch.setattr(GaussianRun, "advance_each", lambda *arguments: None)
        # The nearest pair alone.
        for refit in NearPairs(exploration, parameters, apart).refits(Uniforms(0, 0, 1), -9.0, range(1, 2)):
            assert np.linalg.det(refit.pair.covariances).min() > 0.0, refit.gain


def test_a_pair_that_holds_no_rows_is_not_refitted() -> None:
    exploration = explored(np.random.default_rng(0).normal(size=(6000, 2)))
    parameters = GaussianParameters.from_covariances(
        "full", [1.0 - 2e-8, 1e-8, 1e-8], [[0.0, 0.0], [0.1, 0.0], [0.1, 0.1]], [np.eye(2)] * 3
    )
    apart = np.linalg.norm(parameters.means[:, np.newaxis] - parameters.means, axis=2)
    apart[1, 2] = apart[2, 1] = 0.0
    for refit in NearPairs(exploration, parameters, apart).refits(Uniforms(0, 0, 1), -9.0, range(1)):
        assert np.isfinite(refit.gain)


@pytest.mark.parametrize(("n", "n_refitted"), [(2, 2), (20, 3)])
def test_a_pair_of_few_rows_is_not_refitted(n: int, n_refitted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = np.random.default_rng(0).normal(size=(2 * n, 1)), np.linspace(50.0, 51.0, 40)[:, np.newaxis]
    exploration = explored(np.vstack([near, far]))
    labels = np.concatenate([np.arange(2 * n) % 2, np.full(40, 2)])
    parameters = start_of_labels(exploration.source, exploration.model, np.ones(2 * n + 40), labels)
    runs = counted_runs(monkeypatch)
    refitted(exploration, parameters, -9.0)
    assert len(runs) == n_refitted
