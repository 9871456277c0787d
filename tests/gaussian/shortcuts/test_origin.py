"""One origin for many components: it changes sums by rounding at most, and is left where it would cost more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emix.exceptions import DegenerateCovarianceError
from emix.gaussian import scoring
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import score_rows
from emix.gaussian.shortcuts import origin as module
from emix.gaussian.shortcuts.origin import MAX_FAILURES, Origin
from emix.rows.arrays import as_source
from gaussian.examples import bits_of, joint_scores, request_of, sums_of
from gaussian.shortcuts.origins import (
    assert_same,
    assert_same_bits,
    begin,
    e_step,
    each_dtype,
    each_structure,
    n_moved,
    origin_of,
    problem,
)


@each_structure
@each_dtype
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_the_sums_of_a_plain_pass(structure: str, dtype: str, weighted: bool, offset: float) -> None:
    X, theta = problem(structure, dtype=dtype, offset=offset if dtype == "float64" else offset / 1e5)
    weight = np.random.default_rng(0).uniform(0.0, 1e9, len(X)) if weighted else None
    found, used = e_step((X, weight) if weighted else X, theta)
    plain, _ = e_step((X, weight) if weighted else X, theta, use_origin=False)
    assert used
    # float64: the sums hold 10 times what is left, of 4 000 rows; the mean at 1e8 is rounded to 1e-8. float32: 1e-6.
    assert_same(found, plain, 1e-13 if dtype == "float64" and not offset else 2e-7 if dtype == "float64" else 1e-5)
    assert found.n_rows == plain.n_rows
    assert found.total_weight == plain.total_weight


def test_sums_that_cancel_are_taken_again() -> None:
    """Under unit covariances nothing is far; the rows' own spread is a millionth."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(4, 5))
    X = means[rng.integers(0, 4, 4000)] + 1e-7 * rng.normal(size=(4000, 5))
    for structure in ("tied", "diag", "spherical"):
        ones = {"tied": np.eye(5), "diag": np.ones((4, 5)), "spherical": np.ones(4)}[structure] * 1e-2
        theta = GaussianParameters.from_covariances(structure, np.full(4, 0.25), means, ones)
        run, plain = begin(X, theta), begin(X, theta, use_origin=False)
        for _ in range(3):
            assert_same_bits(run.e_step(theta)[0], plain.e_step(theta)[0])
        assert n_moved(run) == 0
        origin = origin_of(run)
        assert origin.failures == MAX_FAILURES
        assert not origin.before(request_of(theta, run.source)).parts


def test_columns_that_nearly_depend_on_each_other() -> None:
    """Where the scatter about one point rounds to a singular one, that of each component is taken."""
    rng = np.random.default_rng(1)
    means = 30.0 * rng.normal(size=(5, 1)) * np.ones(3)
    noise = rng.normal(size=(6000, 1)) * np.ones(3) + 3e-7 * rng.normal(size=(6000, 3))
    X = means[rng.integers(0, 5, 6000)] + noise
    theta = GaussianParameters.from_covariances("tied", np.full(5, 1 / 5), means, np.eye(3))
    run = begin(X, theta)
    found, _ = run.e_step(theta)
    assert origin_of(run).failures == 1  # it was tried, as no component is far
    assert n_moved(run) == 0  # and the sums were taken again without
    assert_same_bits(found, e_step(X, theta, use_origin=False)[0])


@each_structure
@each_dtype
def test_same_bits_for_any_number_of_threads(structure: str, dtype: str) -> None:
    X, theta = problem(structure, dtype=dtype, n=9000)
    found = []
    for n_threads in (1, 2, 3):
        run = begin(X, theta, n_threads=n_threads)
        found.append(run.e_step(theta)[0])
        assert n_moved(run) > 0
    for other in found[1:]:
        assert_same_bits(other, found[0])


@each_structure
def test_what_a_pass_gives_does_not_depend_on_those_before(structure: str) -> None:
    X, theta = problem(structure)
    source = as_source(X)
    model = GaussianModel(theta.n_components, theta.n_features, structure)
    after = model.m_step(begin(X, theta).e_step(theta)[0])

    def last_of(passes: list[GaussianParameters]) -> bytes:
        origin, sums = Origin(source, model), sums_of(source, theta)
        outcome = [sums.take(origin.before(request_of(one, source))) for one in passes][-1]
        assert sums.buffers.n_moved > 0
        return bits_of(outcome)

    assert last_of([theta, after]) == last_of([after])


@each_structure
@each_dtype
def test_weights_are_repetition(structure: str, dtype: str) -> None:
    X, theta = problem(structure, dtype=dtype)
    counts = np.random.default_rng(3).integers(0, 4, len(X))
    weighted, used = e_step((X, counts.astype(np.float64)), theta)
    repeated, _ = e_step(np.repeat(X, counts, axis=0), theta)
    assert used
    assert_same(weighted, repeated, 1e-13 if dtype == "float64" else 1e-5)


def test_memory_map(tmp_path: Path) -> None:
    X, theta = problem("tied")
    np.save(tmp_path / "rows.npy", X)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    (a, used), (b, _) = e_step(X, theta), e_step(mapped, theta)
    assert used
    assert_same_bits(a, b)


def test_sums_about_other_centres_are_no_work_for_it() -> None:
    X, theta = problem("diag")
    source = as_source(X)
    origin = Origin(source, GaussianModel(4, 5, "diag"))
    asked = origin.before(request_of(theta, source))
    assert asked.parts.keys() == {"origin"}
    # One part for all passes: their buffers take it once.
    assert origin.before(request_of(theta, source)).parts["origin"] is asked.parts["origin"]
    assert not origin.before(request_of(theta, source, center=theta.means)).parts


def test_small_work_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    X, _ = problem("tied", n=100)
    source = as_source(X)
    assert Origin.for_run(source, GaussianModel(4, 5, "tied")) is None
    monkeypatch.setattr(module, "LEAST_WORK", 0)
    assert Origin.for_run(source, GaussianModel(4, 5, "tied")) is not None
    assert Origin.for_run(source, GaussianModel(4, 5, "full")) is None
    assert Origin.for_run(source, GaussianModel(2, 5, "tied")) is None


@each_structure
@each_dtype
def test_scores(structure: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    X, theta = problem(structure, dtype=dtype)
    wanted: dict[str, Any] = {"responsibilities": True, "labels": True}
    found, joint = score_rows(X, theta, **wanted), joint_scores(X, theta)
    monkeypatch.setattr(scoring, "may_pay", lambda *_: False)
    other = GaussianParameters.of(theta.structure, theta.weights, theta.means, theta.covariances)
    plain, plain_joint = score_rows(X, other, **wanted), joint_scores(X, other)
    eps = float(np.finfo(dtype).eps)
    for a, b in [*zip(found[:2], plain[:2]), (joint, plain_joint)]:
        assert a is not None
        assert b is not None
        # reach ≤ 10 here: 0.71 (d + 2) eps · 10 of 1 + ½‖y‖², which is at most 100
        np.testing.assert_allclose(a, b, rtol=100 * eps, atol=5000 * eps)
    assert found.labels is not None
    assert plain.labels is not None
    assert (found.labels == plain.labels).mean() > 0.999


@pytest.mark.parametrize("structure", ["diag", "spherical"])
def test_a_component_without_rows_keeps_its_mean(structure: str) -> None:
    X, theta = problem(structure)
    empty = GaussianParameters.from_covariances(structure, [0.5, 0.5, 0.0, 0.0], theta.means, theta.covariances)
    statistics, used = e_step(X, empty)
    assert used
    after = GaussianModel(4, 5, structure, reg_covar=1e-6).m_step(statistics)
    np.testing.assert_array_equal(after.weights[2:], 0.0)
    np.testing.assert_array_equal(after.means[2:], statistics.center[2:])
    np.testing.assert_allclose(statistics.center[2:], theta.means[2:], rtol=1e-15)


def test_a_constant_column_is_named_as_ever() -> None:
    X, theta = problem("diag")
    X[:, 2] = 1.1
    model = GaussianModel(4, 5, "diag")
    with pytest.raises(DegenerateCovarianceError, match="component 0"):
        model.m_step(e_step(X, theta)[0])
    held = GaussianModel(4, 5, "diag", reg_covar=1e-6)
    np.testing.assert_allclose(held.m_step(e_step(X, theta)[0]).covariances[:, 2], 1e-6, rtol=1e-9)
