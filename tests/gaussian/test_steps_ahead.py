"""Steps ahead from a run's very first one, and whole runs from several starts in one call: those of the loop."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import emix
from emix.em.loop import Watch, iterate
from emix.em.result import EMResult
from emix.em.stopping import StoppingRule
from emix.gaussian.label_sums import statistics_of_labels
from emix.gaussian.run import GaussianRun
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.steps_ahead import Ended
from emix.gaussian.structures import STRUCTURES
from emix.kernel.level import has_own_threads
from emix.rows.arrays import ArraySource
from emix.starts.starting_parameters import make_start

Array = NDArray[np.float64]

RNG = np.random.default_rng(0)
in_one_call = pytest.mark.skipif(has_own_threads(), reason="passes of the BLAS kernel are no single calls")

X = np.vstack([RNG.normal(size=(90, 3)), RNG.normal(2.5, 1.4, size=(60, 3)), RNG.normal(-2.0, 0.5, size=(50, 3))])
K = 3


def begun(structure: str = "full", X: Array = X, reg_covar: Any = "auto", n_components: int = K) -> GaussianRun:
    return emix.GaussianModel(n_components, X.shape[1], structure, reg_covar).begin(ArraySource(X))


def random_starts(run: GaussianRun, n: int) -> Array:
    """Packed statistics of rows that fall to components at random."""
    form, n_components = run.model.structure.form, run.model.n_components
    assert run.source.whole is not None
    X = np.ascontiguousarray(run.source.whole.X, dtype=np.float64)
    labels = np.random.default_rng(1).integers(n_components, size=(n, len(X)))
    return np.array([statistics_of_labels(form, X, np.ones(len(X)), one, None, 1, n_components) for one in labels])


def whole_runs(run: GaussianRun, starts: Array, tol: float, most: int, *how: Any) -> list[Ended]:
    rule = StoppingRule(tol, "log_likelihood", run.model, run)
    ended = run.advance_each(starts, rule.enough, rule.rounding, most, *how)
    assert ended is not None
    return ended


def by_the_loop(run: GaussianRun, start: Array, tol: float, most: int) -> EMResult:
    model, source = run.model, run.source
    statistics = GaussianStatistics(
        model.structure, model.n_components, model.n_features, start, source.total_weight, source.n_rows, 0.0, None,
        1.0, source.columns,
    )  # fmt: skip
    # With a callback each iteration is done by itself.
    return iterate(model, source, model.m_step(statistics), tol=tol, max_iter=most, callback=lambda record: None)


@in_one_call
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_whole_runs_are_those_of_the_loop(structure: str, dtype: type) -> None:
    run = begun(structure, X.astype(dtype))
    starts = random_starts(run, 4)
    for ended, start in zip(whole_runs(run, starts, 1e-6, 500), starts):
        expected = by_the_loop(run, start, 1e-6, 500)
        assert ended.parameters is not None
        assert ended.n_iter == expected.n_iter > 5
        # The first E-step knows the weights of the components, and may leave out what is below rounding.
        assert ended.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-13)
        np.testing.assert_allclose(ended.parameters.packed, expected.parameters.packed, rtol=1e-9, atol=1e-12)


@in_one_call
@pytest.mark.parametrize("most", [1, 2, 7])
def test_a_run_that_ends_at_the_most_steps_has_the_log_likelihood_of_its_parameters(most: int) -> None:
    run = begun()
    for ended in whole_runs(run, random_starts(run, 2), 0.0, most):
        assert ended.n_iter == most
        assert ended.parameters is not None
        # All of it but what a pass before leaves out.
        assert ended.log_likelihood == pytest.approx(run.model.e_step(run.source, ended.parameters)[1], rel=1e-13)


@in_one_call
@pytest.mark.parametrize("most", [1, 3])
def test_the_e_step_after_the_last_of_the_steps_comes_with_them(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun()
    start = make_start("kmeans", run.source, run.model, 0, 0)
    found = run.advance(start, -math.inf, 0.0, 0.0, most)
    assert found is not None
    parameters, _, rising = found
    assert len(rising) == most
    expected = run.model.e_step(run.source, parameters)
    # No pass is left to be taken.
    monkeypatch.setattr(run.sums, "lone", None)
    monkeypatch.setattr(run.sums, "take", None)
    statistics, log_likelihood = run.e_step(parameters)
    assert log_likelihood == pytest.approx(expected[1], rel=1e-13)  # all but what a pass before leaves out
    np.testing.assert_allclose(statistics.packed, expected[0].packed, rtol=1e-11, atol=1e-11)


@in_one_call
def test_a_run_far_from_its_goal_is_given_up() -> None:
    run = begun()
    [ended] = whole_runs(run, random_starts(run, 1), 1e-6, 500, (math.inf, 10.0, 4))
    assert ended.n_iter == 4
    [relaxed] = whole_runs(run, random_starts(run, 1), 1e-9, 500, (-math.inf, 1.0, 0), 0)
    [plain] = whole_runs(run, random_starts(run, 1), 1e-9, 500)
    assert relaxed.n_iter < plain.n_iter


@in_one_call
def test_a_run_whose_component_collapses_has_no_parameters() -> None:
    rows = np.vstack([np.zeros((5, 2)), np.random.default_rng(0).normal(5.0, size=(40, 2))])
    run = begun(X=rows, reg_covar=0.0, n_components=2)
    labels = (np.arange(45) >= 5).astype(np.intp)
    form = run.model.structure.form
    collapsed = statistics_of_labels(form, rows, np.ones(45), labels, None, 1, 2)
    sound = random_starts(run, 1)
    first, second = whole_runs(run, np.vstack([collapsed[np.newaxis], sound]), 1e-6, 3)
    assert first == (None, -math.inf, 0)
    # What went wrong in one run is nothing to the next.
    assert second.log_likelihood == whole_runs(run, sound, 1e-6, 3)[0].log_likelihood > -math.inf


@in_one_call
def test_structures_that_share_a_part_are_done_step_by_step() -> None:
    run = begun("VEE")
    assert run.advance_each(random_starts(run, 1), 0.0, 0.0, 5) is None
    full = begun()
    lone = full.sums.lone
    starts, found = random_starts(full, 2), np.empty((2, full.model.m_step(_statistics(full)).packed.size))
    how = full.source.columns, 0.0, 0.0, 200.0
    with pytest.raises(ValueError, match=r"components of structure .* share a part"):
        lone.advance_each(STRUCTURES["VEE"].m_step, 0.0, *how, starts, found, np.empty(2), np.empty(2, np.intp), 5)
    for wrong in ("starts", "found", "log_likelihoods", "n_iter"):
        given: dict[str, Any] = {
            "starts": starts, "found": found, "log_likelihoods": np.empty(2), "n_iter": np.empty(2, np.intp)
        }  # fmt: skip
        given[wrong] = given[wrong][..., :-1].copy()
        with pytest.raises(ValueError, match=re.escape(wrong)):
            lone.advance_each(STRUCTURES["full"].m_step, 0.0, *how, *given.values(), 5)


def _statistics(run: GaussianRun) -> GaussianStatistics:
    start = make_start("kmeans", ArraySource(X), run.model, 0, 0)
    return run.model.e_step(run.source, start)[0]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_an_eager_fit_is_asked_for_its_first_step(structure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, model = ArraySource(X), emix.GaussianModel(K, 3, structure, "auto")
    start = make_start("random_from_data", source, model, 1, 0)
    asked, advance = list[float](), GaussianRun.advance

    def noted(self: GaussianRun, parameters: Any, log_likelihood: float, *how: Any) -> Any:
        asked.append(log_likelihood)
        return advance(self, parameters, log_likelihood, *how)

    monkeypatch.setattr(GaussianRun, "advance", noted)
    found = iterate(model, source, start, tol=1e-9, max_iter=200, watch=Watch(lambda record: False, eager=True))
    assert asked[0] == -math.inf
    expected = iterate(model, source, start, tol=1e-9, max_iter=200, callback=lambda record: None)
    assert (found.n_iter, found.stopped_by) == (expected.n_iter, expected.stopped_by)
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-13)
    assert math.isnan(found.history[0].change)
    assert [record.iteration for record in found.history] == list(range(found.n_iter + 1))


def lopsided() -> tuple[ArraySource, emix.GaussianModel, emix.GaussianParameters]:
    """Rows, and a start whose second component has half of the weight and one row."""
    source, model = ArraySource(np.vstack([X, [[60.0, 60.0, 60.0]]])), emix.GaussianModel(2, 3, "full", 1e-3)
    covariances = [9.0 * np.eye(3)] * 2
    return (
        source,
        model,
        emix.GaussianParameters.from_covariances(model.structure, [0.5, 0.5], [[0.0] * 3, [60.0] * 3], covariances),
    )


def test_a_component_that_shrinks_at_once_is_summed_in_full() -> None:
    source, model, start = lopsided()
    # N falls from 100 to 1: what was negligible beside 100 may count beside 1.
    assert model.begin(source).advance(start, -math.inf, 0.0, 0.0, 5) is None
    found = iterate(model, source, start, tol=1e-9, max_iter=5, watch=Watch(lambda record: False, eager=True))
    expected = iterate(model, source, start, tol=1e-9, max_iter=5, callback=lambda record: None)
    assert np.array_equal(found.parameters.packed, expected.parameters.packed)


@in_one_call
def test_a_run_in_which_a_pass_has_to_be_taken_anew_is_left_to_the_loop() -> None:
    source, model, _ = lopsided()
    # Clusters of 25 rows and the rest: after the first M-step the narrow one, on few rows, loses all but one.
    labels = np.zeros(source.n_rows, dtype=np.intp)
    labels[-1] = 1
    run = model.begin(source)
    starts = np.array([statistics_of_labels(model.structure.form, source.X, np.ones(len(labels)), labels, None, 1, 2)])
    weight = starts[0, :2].copy()
    starts[0, 1] *= 25.0  # as if 25 rows had been there
    starts[0, -3:] = 60.0
    assert weight.tolist() == [200.0, 1.0]
    rule = StoppingRule(1e-6, "log_likelihood", model, run)
    assert run.advance_each(starts, rule.enough, rule.rounding, 5) == [None]


def test_parameters_of_another_structure_are_refused_at_the_first_step() -> None:
    source, model = ArraySource(X), emix.GaussianModel(K, 3, "full", "auto")
    start = make_start("kmeans", source, emix.GaussianModel(K, 3, "VEE", "auto"), 0, 0)
    with pytest.raises(ValueError, match="parameters are 'VEE'"):
        iterate(model, source, start, tol=1e-9, max_iter=5, watch=Watch(lambda record: False, eager=True))
