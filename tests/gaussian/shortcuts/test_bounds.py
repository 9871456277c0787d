"""Bounds that carry over: they bound, and they change nothing but the order of sums."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.run import GaussianRun
from emix.gaussian.shortcuts.bounds import CarriedBounds
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import STRUCTURES
from emix.kernel import level
from gaussian.shortcuts.bounded import K, N, carried_by, case, of_all_rows


def settled(run: GaussianRun, theta: GaussianParameters) -> None:
    """Passes until bounds are in use for all rows: label a sample, try it twice, label all, and one with bounds."""
    for _ in range(5):
        run.e_step(theta)
    assert of_all_rows(run)


def check_near(bounds: CarriedBounds, X: np.ndarray[Any, Any], theta: GaussianParameters) -> None:
    """No row of a group is nearer to a component, under the parameters of the last pass, than `near` says."""
    rows_of_group = level.kernel_for(X.dtype).group_rows(K)
    window = level.kernel_for(X.dtype).window_rows
    places = np.arange(N) // window * window + bounds.order
    W = theta.structure.form.to_full(theta.whitening, K, X.shape[1])
    for k in range(K):
        distance = np.linalg.norm((X[places] - theta.means[k]) @ W[k].T, axis=1)
        least = np.minimum.reduceat(distance, np.arange(0, N, rows_of_group))
        # Rounding of the distances themselves, for float32 rows.
        assert np.all(np.abs(bounds.near[:, k]) <= least * (1.0 + 1e-6) + 1e-25)


def pass_after_change(
    model: GaussianModel, X: np.ndarray[Any, Any], theta: GaussianParameters, moved: GaussianParameters
) -> tuple[GaussianStatistics, float]:
    """What the first pass under moved parameters gives, of a run that has bounds for all rows; they hold after it."""
    run = model.begin(X)
    settled(run, theta)
    bounds = carried_by(run)
    assert bounds is not None
    found = run.e_step(moved)
    check_near(bounds, X, moved)
    return found


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_pass_with_bounds_gives_the_sums_of_a_plain_one(structure: str, dtype: Any) -> None:
    X, theta = case(structure, dtype=dtype)
    model = GaussianModel(K, 8, structure, 1e-6)
    run = model.begin(X)
    # float64: 17 000 terms in another order. float32: blocks of other rows are summed in single precision.
    rtol = 1e-12 if dtype is np.float64 else 1e-5
    for _ in range(8):
        statistics, log_likelihood = run.e_step(theta)
        plain, expected = model.e_step(X, theta)
        assert log_likelihood == pytest.approx(expected, rel=rtol)
        np.testing.assert_allclose(statistics.weight, plain.weight, rtol=rtol)
        # Sums cancel to about the square root of their terms' number, or to nothing: rounding is that of the terms, of
        # which z and z² are below 1e2.
        scale = np.sqrt(np.abs(plain.weight).max()) * 1e2
        np.testing.assert_allclose(statistics.shift, plain.shift, rtol=rtol, atol=rtol * scale)
        np.testing.assert_allclose(statistics.scatter, plain.scatter, rtol=10 * rtol, atol=10 * rtol * scale)
        theta = model.m_step(statistics)
    # Components lie 17 standard deviations apart: nearly all of them are left out of nearly all groups.
    assert of_all_rows(run)
    bounds = carried_by(run)
    assert bounds is not None
    assert np.mean(bounds.near > 0.0) > 0.75


@pytest.mark.parametrize("structure", STRUCTURES)
def test_near_is_a_lower_bound_through_random_changes(structure: str) -> None:
    X, theta = case(structure)
    model, rng = GaussianModel(K, 8, structure), np.random.default_rng(0)
    for step in (0.0, 1e-3, 0.03, 0.1, 1.0):
        means = theta.means + step * rng.normal(size=theta.means.shape)
        covariances = theta.covariances * np.exp(step * rng.normal())
        moved = GaussianParameters.from_covariances(structure, rng.dirichlet(np.ones(K)), means, covariances)
        pass_after_change(model, X, theta, moved)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_near_is_a_lower_bound_through_many_changes(structure: str) -> None:
    X, theta = case(structure)
    model, rng = GaussianModel(K, 8, structure), np.random.default_rng(0)
    run = model.begin(X)
    settled(run, theta)
    for _ in range(8):
        means = theta.means + 0.02 * rng.normal(size=theta.means.shape)
        covariances = theta.covariances * np.exp(0.02 * rng.normal())
        theta = GaussianParameters.from_covariances(structure, theta.weights, means, covariances)
        run.e_step(theta)
        bounds = carried_by(run)
        assert bounds is not None
        check_near(bounds, X, theta)


def test_near_is_a_lower_bound_through_changes_that_are_meant_to_break_it() -> None:
    X, theta = case("full")
    toward = theta.means[0] - theta.means
    for change in range(4):
        if change == 0:  # every mean halfway to the first one
            means, covariances = theta.means + 0.5 * toward, theta.covariances
        elif change == 1:  # wide along the line to the first mean alone
            means = theta.means
            covariances = theta.covariances + 25.0 * toward[:, :, None] * toward[:, None, :] / 8.0
        elif change == 2:  # very narrow
            means, covariances = theta.means, theta.covariances * 1e-2
        else:  # components change places
            means, covariances = theta.means[::-1].copy(), theta.covariances
        moved = GaussianParameters.from_covariances("full", theta.weights, means, covariances)
        statistics, log_likelihood = pass_after_change(GaussianModel(K, 8), X, theta, moved)
        plain, expected = GaussianModel(K, 8).e_step(X, moved)
        assert log_likelihood == pytest.approx(expected, rel=1e-12)
        # A component that takes no part at all may have any weight below rounding of the rows.
        np.testing.assert_allclose(statistics.weight, plain.weight, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("structure", ["full", "diag"])
def test_same_bits_for_any_number_of_threads(structure: str) -> None:
    X, theta = case(structure)
    found = []
    for n_threads in (1, 2, 3):
        model, parameters = GaussianModel(K, 8, structure, n_threads=n_threads), theta
        run = model.begin(X)
        for _ in range(7):
            statistics, log_likelihood = run.e_step(parameters)
            parameters = model.m_step(statistics)
        found.append((log_likelihood, parameters))
    for log_likelihood, parameters in found[1:]:
        assert log_likelihood == found[0][0]
        np.testing.assert_array_equal(parameters.covariances, found[0][1].covariances)


def test_rows_keep_their_weights_in_any_order() -> None:
    X, theta = case("full")
    weight = np.random.default_rng(0).uniform(0.0, 3.0, N)
    weight[::7] = 0.0
    model = GaussianModel(K, 8)
    run = model.begin((X, weight))
    settled(run, theta)
    statistics, log_likelihood = run.e_step(theta)
    plain, expected = model.e_step((X, weight), theta)
    assert log_likelihood == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(statistics.weight, plain.weight, rtol=1e-12)


def test_order_is_of_rows_within_windows() -> None:
    kernel, rng = level.kernel_for(np.dtype(np.float64)), np.random.default_rng(0)
    first, n_rows = 100 * kernel.super_block_rows(2), 2 * kernel.window_rows
    labels = rng.integers(0, K, n_rows).astype(np.uint16)
    order = CarriedBounds(kernel, first, labels, K).order
    assert order.dtype == np.uint16
    rows = np.arange(first, first + n_rows)
    windows = rows // kernel.window_rows
    assert len(np.unique(windows)) == 3
    for window in np.unique(windows):
        within = windows == window
        places = window * kernel.window_rows + order[within].astype(int)
        np.testing.assert_array_equal(np.sort(places), rows[within])
        assert np.all(np.diff(labels[places - first].astype(int)) >= 0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("layout", ["columns first", "every second row and column", "backwards", "memory map"])
def test_rows_are_visited_in_their_order_wherever_they_lie(layout: str, dtype: Any, tmp_path: Path) -> None:
    X, start = case("full", d=11, dtype=dtype)  # the last features do not fill a vector
    if layout == "columns first":
        other: np.ndarray[Any, Any] = np.asfortranarray(X)
    elif layout == "every second row and column":
        other = np.full((2 * N, 22), np.nan, dtype)[::2, ::2]
        other[:] = X
    elif layout == "backwards":
        other = X[::-1, ::-1].copy()[::-1, ::-1]
    else:
        np.save(tmp_path / "rows.npy", X)
        other = np.load(tmp_path / "rows.npy", mmap_mode="r")
    model = GaussianModel(K, 11)
    runs, thetas = [model.begin(X), model.begin(other)], [start, start]
    for _ in range(8):
        found = [run.e_step(theta) for run, theta in zip(runs, thetas, strict=True)]
        assert found[0][1] == found[1][1]
        thetas = [model.m_step(statistics) for statistics, _ in found]
    assert all(of_all_rows(run) for run in runs)
    np.testing.assert_array_equal(thetas[0].packed, thetas[1].packed)
