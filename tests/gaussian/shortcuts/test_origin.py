"""One origin for many components: it changes sums by rounding at most, and is left where it would cost more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp

from emix.exceptions import DegenerateCovarianceError
from emix.gaussian import scoring
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.run import GaussianRun
from emix.gaussian.scoring import score_rows
from emix.gaussian.shortcuts import SHORTCUTS
from emix.gaussian.shortcuts import origin as module
from emix.gaussian.shortcuts.origin import MAX_FAILURES, MAX_REACH, Origin
from emix.gaussian.statistics import GaussianStatistics
from emix.rows.arrays import as_source
from gaussian.examples import (
    bits_of,
    joint_scores,
    naive_joint,
    naive_responsibilities,
    request_of,
    scatter_of,
    shortcut_of,
    sums_of,
)

Array = NDArray[Any]
each_structure = pytest.mark.parametrize("structure", ["tied", "diag", "spherical"])
each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


def problem(
    structure: str, separation: float = 3.0, n: int = 4000, d: int = 5, K: int = 4, condition: float = 10.0,
    offset: float = 0.0, dtype: str = "float64",
) -> tuple[Array, GaussianParameters]:  # fmt: skip
    """Rows of K components whose means are about `separation` standard deviations apart, and a start beside them."""
    rng = np.random.default_rng([d, K])
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    pooled = axes * np.geomspace(1.0, condition, d) @ axes.T
    L = np.linalg.cholesky(pooled)
    means = separation / np.sqrt(d) * rng.normal(size=(K, d)) @ L.T + offset
    X = (means[rng.integers(0, K, n)] + rng.normal(size=(n, d)) @ L.T).astype(dtype)
    start = means + 0.1 * rng.normal(size=(K, d)) @ L.T
    variances = np.tile(np.diagonal(pooled), (K, 1))
    covariances = {"tied": pooled, "diag": variances, "spherical": variances.mean(axis=1)}[structure]
    return X, GaussianParameters.from_covariances(structure, np.full(K, 1 / K), start, covariances)


def begin(data: Any, theta: GaussianParameters, use_origin: bool = True, n_threads: int | None = None) -> GaussianRun:
    names = [name for name in SHORTCUTS if use_origin or name != "origin"]
    model = GaussianModel(theta.n_components, theta.n_features, theta.structure, n_threads=n_threads, shortcuts=names)
    return model.begin(data)


def origin_of(run: GaussianRun) -> Origin:
    origin = shortcut_of(run, Origin)
    assert origin is not None
    return origin


def n_moved(run: GaussianRun) -> int:
    """Components that were at the origin in the last pass."""
    return run.sums.buffers.n_moved


def e_step(data: Any, theta: GaussianParameters, use_origin: bool = True) -> tuple[GaussianStatistics, bool]:
    """The statistics, and whether they were taken about an origin."""
    run = begin(data, theta, use_origin)
    statistics, _ = run.e_step(theta)
    return statistics, n_moved(run) > 0


def naive_sums(X: Array, theta: GaussianParameters) -> GaussianStatistics:
    """The statistics about each component's mean, as the formulae stand."""
    r = naive_responsibilities(X, theta)
    centered = [X - mean for mean in theta.means]
    shift = np.stack([r[:, k] @ z for k, z in enumerate(centered)])
    scatter = scatter_of(theta.structure, centered, list(r.T))
    total = float(logsumexp(naive_joint(X, theta), axis=1).sum())
    return GaussianStatistics.of(
        theta.structure, theta.means, r.sum(axis=0), shift, scatter, float(len(X)), len(X), total, theta
    )


def assert_same_bits(a: GaussianStatistics, b: GaussianStatistics) -> None:
    np.testing.assert_array_equal(a.packed, b.packed)
    assert a.log_likelihood == b.log_likelihood


def assert_same(a: GaussianStatistics, b: GaussianStatistics, rtol: float) -> None:
    """Means and covariances, in units of b's covariances, and the log-likelihood."""
    np.testing.assert_array_equal(a.center, b.center)
    np.testing.assert_allclose(a.weight, b.weight, rtol=rtol)
    assert a.log_likelihood == pytest.approx(b.log_likelihood, rel=max(1e-12, 1e-2 * rtol))
    kind, form = a.structure, a.structure.form
    found, expected = (
        GaussianParameters(kind, a.n_components, a.n_features, kind.maximize(sums, 0.0)[0]) for sums in (a, b)
    )
    assert np.abs(form.whitened(expected.whitening, found.means - expected.means)).max() <= rtol
    change = form.whitened_norms(expected.whitening, found.covariances - expected.covariances, expected.n_features)
    assert change.max() <= rtol * expected.n_features


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


@each_structure
@each_dtype
def test_across_the_limit(structure: str, dtype: str) -> None:
    """Just within the limit the sums are those of a plain pass to reach² eps; beyond it they are its very bits."""
    eps = float(np.finfo(dtype).eps)
    reached = {False: 0, True: 0}
    for separation in np.geomspace(2.0, 2000.0, 12):
        X, theta = problem(structure, separation, dtype=dtype, n=3000)
        found, used = e_step(X, theta)
        plain, _ = e_step(X, theta, use_origin=False)
        reached[used] += 1
        if used:
            assert_same(found, plain, 4 * MAX_REACH[np.dtype(dtype).char] * eps)
            continue
        assert_same_bits(found, plain)
    assert min(reached.values()) >= 2


@each_structure
@pytest.mark.parametrize("separation", [1e3, 1e4, 1e6])
def test_means_far_apart(structure: str, separation: float) -> None:
    """About one origin the covariances would lose reach² eps, more than 1e-12 at the least of these separations."""
    X, theta = problem(structure, separation)
    found, used = e_step(X, theta)
    assert not used
    assert_same(found, naive_sums(X, theta), 1e-12)


@pytest.mark.parametrize("structure", ["diag", "spherical"])
def test_one_component_beyond_the_limit_is_treated_alone(structure: str) -> None:
    X, theta = problem(structure)
    shape = theta.covariances[0].shape
    near = GaussianParameters.from_covariances(
        structure, theta.weights, theta.means, np.stack([*theta.covariances[:3], np.full(shape, 1e-5)])
    )
    found, used = e_step(X, near)
    assert used
    run = begin(X, near)
    run.e_step(near)
    assert n_moved(run) == 3
    plain, _ = e_step(X, near, use_origin=False)
    np.testing.assert_allclose(found.weight, plain.weight, rtol=1e-12)
    np.testing.assert_allclose(found.scatter, plain.scatter, rtol=1e-11)


@pytest.mark.parametrize("condition", [1e4, 1e8, 1e12])
@pytest.mark.parametrize("separation", [1.0, 3.0, 30.0])
def test_tied_at_high_condition_numbers(condition: float, separation: float) -> None:
    """The covariance errs by at most 16 times what sums for each component lose: d eps κ."""
    X, theta = problem("tied", separation, condition=condition)
    found, used = e_step(X, theta)
    # At 30 the reach² is 9 times what that allows and more; at 3 it is a seventh of it and less.
    assert used is (separation < 30.0)
    assert_same(found, e_step(X, theta, use_origin=False)[0], 17 * 5 * 2.2e-16 * condition + 1e-11)


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


def test_a_scatter_that_overflows_is_left() -> None:
    X, theta = problem("tied")
    # 8 000 rows of weight 29 000, which is no unit of its own: 2.3e308
    rows = np.tile(1e150 * np.sign(X - X.mean(axis=0)), (2, 1))
    run = begin((rows, np.full(len(rows), 2.9e4)), theta)
    assert not origin_of(run).before(request_of(theta, run.source)).parts
    assert origin_of(run).failures == MAX_FAILURES


def test_memory_map(tmp_path: Path) -> None:
    X, theta = problem("tied")
    np.save(tmp_path / "rows.npy", X)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    (a, used), (b, _) = e_step(X, theta), e_step(mapped, theta)
    assert used
    assert_same_bits(a, b)


def test_rows_far_out_do_not_move_the_origin_of_tied() -> None:
    """The middle of the columns is 5e11 standard deviations from their mean."""
    X, theta = problem("tied")
    X[7] = 1e12
    weight = np.ones(len(X))
    weight[7] = 1e-20
    found, used = e_step((X, weight), theta)
    assert used
    plain, _ = e_step((X, weight), theta, use_origin=False)
    np.testing.assert_allclose(found.scatter, plain.scatter, rtol=1e-9, atol=1e-9 * np.abs(plain.scatter).max())


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


@each_structure
@each_dtype
def test_huge_and_tiny_units(structure: str, dtype: str) -> None:
    for scale in (2.0**494, 2.0**-494) if dtype == "float64" else (2.0**45, 2.0**-45):
        X, theta = problem(structure, dtype=dtype, n=40_000)
        scaled = GaussianParameters.from_covariances(
            theta.structure, theta.weights, theta.means * scale, theta.covariances * scale**2
        )
        found, used = e_step((X * scale).astype(dtype), scaled)
        assert used
        plain, _ = e_step(X, theta)
        np.testing.assert_allclose(found.weight, plain.weight, rtol=1e-10 if dtype == "float64" else 1e-5)
        tolerance = 1e-10 if dtype == "float64" else 1e-4
        np.testing.assert_allclose(found.scatter / scale**2, plain.scatter, rtol=tolerance, atol=tolerance * 40_000)


@each_structure
@pytest.mark.parametrize("d", [13, 32, 64])
@pytest.mark.parametrize("weight", [1.0, 9e3, 9.9e4])
def test_the_largest_rows_of_single_precision_and_weights(structure: str, d: int, weight: float) -> None:
    K, n, scale = 2, 3000, 1e15
    rng = np.random.default_rng(d)
    X = (scale * rng.choice([-1, 1], size=(n, d))).astype(np.float32)
    shape = {"tied": np.eye(d), "diag": np.ones((K, d)), "spherical": np.ones(K)}[structure]
    means = 0.1 * scale * rng.normal(size=(K, d))
    theta = GaussianParameters.from_covariances(structure, np.full(K, 1 / K), means, shape * scale**2)
    found, used = e_step((X, np.full(n, weight)), theta)
    plain, _ = e_step(X.astype(np.float64), theta, use_origin=False)
    assert used
    np.testing.assert_allclose(found.weight, weight * plain.weight, rtol=1e-5)
    # Roundings of 3 000 rows, relative to the diagonal.
    largest = weight * np.abs(plain.scatter).max()
    np.testing.assert_allclose(found.scatter, weight * plain.scatter, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("structure", ["diag", "spherical"])
@pytest.mark.parametrize(("dtype", "variance"), [("float64", 1e-310), ("float32", 1e-40)])
def test_a_very_narrow_component_where_the_origin_is(structure: str, dtype: str, variance: float) -> None:
    X, theta = problem(structure, dtype=dtype, n=3000)
    X = np.vstack([X, -X])
    X[:10] = 0.0
    # Pairs of means about 0, which their sum is to the bit, and the narrow one there, where some rows coincide.
    pairs = np.repeat(theta.means, 2, axis=0) * np.tile([[1.0], [-1.0]], (4, 1))
    means = np.vstack([pairs, np.zeros((1, 5))])
    wide = np.repeat(theta.covariances, 2, axis=0)
    variances = np.concatenate([wide, np.full_like(wide[:1], variance)])
    narrow = GaussianParameters.from_covariances(structure, np.full(9, 1 / 9), means, variances)
    found, used = e_step(X, narrow)
    plain, _ = e_step(X, narrow, use_origin=False)
    assert used
    assert found.weight[8] == 10.0
    rtol = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(found.weight, plain.weight, rtol=rtol)
    np.testing.assert_allclose(found.scatter, plain.scatter, rtol=rtol, atol=rtol * plain.scatter.max())
    assert found.log_likelihood == pytest.approx(plain.log_likelihood, rel=rtol)
