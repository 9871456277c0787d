"""Which rows of a pass go with bounds: a sample first, all where it pays, none where it does not."""

from __future__ import annotations

import numpy as np
import pytest

from emix.kernel import level
from emix.models.bounded_passes import MIN_ROWS, BoundedPasses
from emix.models.covariance import STRUCTURES
from emix.models.gaussian import GaussianModel
from emix.models.parameters import GaussianParameters
from models.bounded import K, N, bounds_of, case, of_all_rows, passes_of


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


@pytest.mark.parametrize(
    ("structure", "shape"),
    [("full", (MIN_ROWS - 1, K, 8)), ("full", (N, 3, 8)), ("full", (N, K, 2)), ("diag", (N, K, 2))],
)
def test_small_work_does_without(structure: str, shape: tuple[int, int, int]) -> None:
    assert not BoundedPasses.may_pay(STRUCTURES[structure], *shape)
    assert BoundedPasses.may_pay(STRUCTURES["full"], N, K, 8)


def test_about_an_origin_less_is_left_to_gain() -> None:
    _, theta = case("diag")
    kernel = level.kernel_for(np.dtype(np.float64))
    for at_origin, pays in ((False, True), (True, False)):
        passes = BoundedPasses(kernel, N, K)
        (part,) = (part for part in passes.begin_pass(theta) if part.labels is not None)
        assert part.labels is not None
        part.labels[:] = 0
        passes.end_pass(0.0, 0.0, at_origin)
        for _ in range(2):
            passes.begin_pass(theta)
            assert passes._bounds is not None
            passes.end_pass(0.0, 0.55 * passes._bounds.size, at_origin)
        assert (passes._region == (0, N)) is pays
