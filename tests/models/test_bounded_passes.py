"""Which rows of a pass go with bounds: a sample first, all where it pays, none where it does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from emix.kernel import level
from emix.models.bounded_passes import MIN_ROWS, BoundedPasses
from emix.models.gaussian import GaussianModel
from emix.models.parameters import GaussianParameters
from models.bounded import K, N, bounds_of, case, of_all_rows, passes_of
from models.examples import each_structure


def test_they_are_tried_on_a_sample_and_left_where_components_overlap() -> None:
    X, theta = case("full", separation=0.1)
    model = GaussianModel(K, 8)
    run = model.begin(X)
    first, last = passes_of(run)._region
    assert 0 < first < last < N
    assert 4 * (last - first) <= N
    found = []
    for _ in range(6):
        theta = model.m_step(run.e_step(theta)[0])
        found.append(bounds_of(run) is not None)
        assert not of_all_rows(run)
    assert found == [True, True, False, False, False, False]


def test_they_are_tried_again_once_fewer_components_are_alive() -> None:
    X, near = case("full")
    run = GaussianModel(K, 8).begin(X)
    # Wide covariances first: every component is alive for every row.
    wide = GaussianParameters.from_covariances("full", near.weights, near.means, 400.0 * near.covariances)
    for _ in range(4):
        run.e_step(wide)
    assert bounds_of(run) is None
    for _ in range(8):
        run.e_step(near)
    assert of_all_rows(run)


@pytest.mark.parametrize("shape", [(MIN_ROWS - 1, K, 8), (N, 3, 8), (N, K, 1), (N, 513, 8)])
def test_small_work_does_without(shape: tuple[int, int, int]) -> None:
    assert not BoundedPasses.may_pay(*shape)
    assert BoundedPasses.may_pay(N, K, 8)


def kinds(n_rows: int, n_components: int, live: float, shares: Callable[[bool], float], n_passes: int) -> str:
    """What each of some passes is, Plain, Labelled or Bounded; in small letters: a sample of the rows.

    `live`: the share of responsibilities above 0; `shares`: of log-densities that passes with bounds compute, given
    whether their rows were ordered just before.
    """
    passes = BoundedPasses(level.kernel_for(np.dtype(np.float64)), n_rows, n_components)
    theta = GaussianParameters.from_covariances(
        "diag", np.full(n_components, 1 / n_components), np.zeros((n_components, 2)), np.ones((n_components, 2))
    )
    found = ""
    for _ in range(n_passes):
        parts = passes.begin_pass(theta)
        n_plain = sum(part.last_row - part.first_row for part in parts if part.bounds is None)
        kind = "p"
        for part in parts:
            labels = part.labels if part.bounds is None else part.bounds[-1]
            if labels is not None:
                labels[:] = np.arange(len(labels)) % n_components
            kind = "b" if part.bounds is not None else "l" if part.labels is not None else kind
        found += kind.upper() if len(parts) == 1 else kind
        bounds = passes._bounds
        n_computed = 0.0 if bounds is None else bounds.size * shares(passes._new_order)
        passes.end_pass(live * n_plain * n_components, n_computed)
    return found


@pytest.mark.parametrize(
    ("n_rows", "n_components", "expected"),
    [
        (200_000, 10, "lbb" + 17 * "P"),
        (20_000, 100, "LBB" + 17 * "P"),  # the sample is all of the rows
    ],
)
def test_once_given_up_they_are_not_tried_again_without_a_reason(n_rows: int, n_components: int, expected: str) -> None:
    assert kinds(n_rows, n_components, 0.5, lambda _: 0.7, 20) == expected


def test_given_up_on_all_rows_they_are_not_tried_again_without_a_reason() -> None:
    left = iter(3 * [0.5] + 30 * [0.7])
    assert kinds(200_000, 10, 0.3, lambda _: next(left), 20) == "lbbLBB" + 14 * "P"


def test_a_pass_in_a_new_order_decides_nothing() -> None:
    # Nothing is carried then, so that all may have to be computed.
    found = kinds(200_000, 10, 0.3, lambda new_order: 1.0 if new_order else 0.5, 30)
    assert found == "lbbL" + 26 * "B"


@each_structure
@pytest.mark.parametrize("separation", [1.0, 4.0])
def test_fits_end_where_plain_ones_do(structure: str, separation: float) -> None:
    X, theta = case(structure, separation=separation)
    model = GaussianModel(K, 8, structure)
    bounded, plain = model.begin(X), model.begin(X)
    plain._passes = None
    found, used = [theta, theta], False
    for _ in range(20):
        sums = [run.e_step(theta) for run, theta in zip((bounded, plain), found, strict=True)]
        used = used or of_all_rows(bounded)
        found = [model.m_step(statistics) for statistics, _ in sums]
    assert used is (separation > 1.0)
    # As the README promises; rounding grows with the iterations, in flat directions of the likelihood most.
    assert sums[0][1] == pytest.approx(sums[1][1], rel=1e-12)
    np.testing.assert_allclose(found[0].weights, found[1].weights, rtol=1e-9)
    np.testing.assert_allclose(found[0].means, found[1].means, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found[0].covariances, found[1].covariances, rtol=1e-9, atol=1e-9)
