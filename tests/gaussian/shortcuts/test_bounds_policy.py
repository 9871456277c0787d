"""Which rows of a pass go with bounds: a sample first, all where it pays, none where it does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.shortcuts import SHORTCUTS
from emix.gaussian.shortcuts.bounds import MIN_ROWS, Bounds
from emix.gaussian.sums import Counts, LocalSums, PassOutcome, PassRequest
from emix.kernel.layout import FULL
from emix.kernel.level import kernel_for
from emix.rows.arrays import as_source
from gaussian.examples import Recorder, density_of, each_structure, request_of
from gaussian.shortcuts.bounded import K, N, bounds_of, carried_by, case, of_all_rows

Array = NDArray[np.float64]


def test_they_are_tried_on_a_sample_and_left_where_components_overlap() -> None:
    X, theta = case("full", separation=0.1)
    model = GaussianModel(K, 8)
    run = model.begin(X)
    _, (first, last, *_), _ = bounds_of(run).parts(density_of(theta))
    assert 0 < first < last < N
    assert 4 * (last - first) <= N
    found = []
    for _ in range(6):
        theta = model.m_step(run.e_step(theta)[0])
        found.append(carried_by(run) is not None)
        assert not of_all_rows(run)
    assert found == [True, True, False, False, False, False]


def test_they_are_tried_again_once_fewer_components_are_alive() -> None:
    X, near = case("full")
    run = GaussianModel(K, 8).begin(X)
    # Wide covariances first: every component is alive for every row.
    wide = GaussianParameters.from_covariances("full", near.weights, near.means, 400.0 * near.covariances)
    for _ in range(4):
        run.e_step(wide)
    assert carried_by(run) is None
    for _ in range(8):
        run.e_step(near)
    assert of_all_rows(run)


@pytest.mark.parametrize("shape", [(MIN_ROWS - 1, K, 8), (N, 3, 8), (N, K, 1), (N, 513, 8)])
def test_small_work_does_without(shape: tuple[int, int, int]) -> None:
    assert not Bounds.may_pay(*shape)
    assert Bounds.may_pay(N, K, 8)


@pytest.mark.parametrize("structure", ["full", "diag"])
def test_a_component_that_shrinks_does_not_end_them(structure: str) -> None:
    X, theta = case(structure)
    means = theta.means.copy()
    means[1] = means[0]

    def with_weights(weights: Array) -> GaussianParameters:
        return GaussianParameters.from_covariances(structure, weights, means, theta.covariances)

    both, first_alone = with_weights(np.full(K, 1 / K)), np.full(K, 1 / K)
    first_alone[:2] = 1.99 / K, 0.01 / K
    model = GaussianModel(K, 8, structure)
    run = model.begin(X)
    while not of_all_rows(run):
        run.e_step(both)
    for _ in range(3):
        run.e_step(both)

    def in_full(request: PassRequest, outcome: PassOutcome) -> bool:
        carried = carried_by(run)
        return carried is not None and outcome.counts.n_computed == carried.size

    recorder = Recorder(in_full)
    run.shortcuts.insert(0, recorder)  # before the bounds learn
    found, _ = run.e_step(with_weights(first_alone))
    assert recorder.taken == [False, True]
    assert recorder.counted == [True]
    expected, _ = model.e_step(X, with_weights(first_alone))
    np.testing.assert_allclose(found.weight, expected.weight, rtol=1e-12)  # sums of 17 000 numbers
    for _ in range(3):
        assert of_all_rows(run)
        run.e_step(with_weights(first_alone))
    # What counted in the pass in full, however little, is computed once more.
    assert recorder.counted == [True, True, False, False]
    assert recorder.taken == [False, *recorder.counted]


def kinds(
    n_rows: int,
    n_components: int,
    live: float,
    shares: Callable[[bool], float],
    n_passes: int,
    in_full: tuple[int, ...] = (0,),
) -> str:
    """What each of some passes is, Plain, Labelled or Bounded; in small letters: a sample of the rows.

    `live`: the share of responsibilities above 0; `shares`: of log-densities that passes with bounds compute, given
    whether they say little, as just after a new order; both are 1 in passes that are `in_full`.
    """
    bounds = Bounds(kernel_for(np.dtype(np.float64)), n_rows, n_components, 2)
    theta = GaussianParameters.from_covariances(
        "diag", np.full(n_components, 1 / n_components), np.zeros((n_components, 2)), np.ones((n_components, 2))
    )
    found = ""
    for number in range(n_passes):
        parts = bounds.parts(density_of(theta))
        n_plain = sum(part.last_row - part.first_row for part in parts if part.bounds is None)
        kind = "p"
        for part in parts:
            labels = part.labels if part.bounds is None else part.bounds[-1]
            if labels is not None:
                labels[:] = np.arange(len(labels)) % n_components
            kind = "b" if part.bounds is not None else "l" if part.labels is not None else kind
        found += kind.upper() if len(parts) == 1 else kind
        carried, full = bounds.carried, number in in_full
        n_computed = 0.0 if carried is None else carried.size * (1.0 if full else shares(bounds.says_little))
        bounds.learn((1.0 if full else live) * n_plain * n_components, n_computed, in_full=full)
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
    found = kinds(200_000, 10, 0.3, lambda says_little: 1.0 if says_little else 0.5, 30)
    assert found == "lbbL" + 26 * "B"


def test_a_pass_in_full_decides_nothing_nor_does_the_next() -> None:
    for in_full, expected in (
        ((0, 2), "lbbbb" + "L" + 14 * "B"),
        ((0, 1), "lbbb" + "L" + 15 * "B"),
        ((0, 3, 6, 7, 12), "lbb" + "L" + 16 * "B"),
    ):
        assert kinds(200_000, 10, 0.3, lambda says_little: 1.0 if says_little else 0.5, 20, in_full) == expected
    # When bounds have just been given up: that all responsibilities are above 0 is no measure of the next passes.
    left = iter(3 * [0.5] + 30 * [0.7])
    assert kinds(200_000, 10, 0.3, lambda _: next(left), 20, in_full=(0, 6)) == "lbbLBB" + 14 * "P"


@each_structure
@pytest.mark.parametrize("separation", [1.0, 4.0])
def test_fits_end_where_plain_ones_do(structure: str, separation: float) -> None:
    X, theta = case(structure, separation=separation)
    model = GaussianModel(K, 8, structure)
    others = [name for name in SHORTCUTS if name != "bounds"]
    bounded, plain = model.begin(X), GaussianModel(K, 8, structure, shortcuts=others).begin(X)
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


def test_a_forced_pass_of_two_parts_has_the_sums_of_a_plain_one() -> None:
    """Bounds can be used for few rows too: here for some of 3 000, while the others go without."""
    X, theta = case("full")
    source = as_source(X[:3000])
    bounds, sums = Bounds(kernel_for(X.dtype), 3000, K, 8), LocalSums(source, FULL, K)
    plain = LocalSums(source, FULL, K).take(request_of(theta, source))
    before: PassOutcome | None = None
    for number in range(4):
        request = bounds.before(request_of(theta, source, before))
        before = sums.take(request)
        bounds.after(request, before)
        # 3 000 numbers in another order
        np.testing.assert_allclose(before.packed[:K], plain.packed[:K], rtol=1e-12)
        assert before.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-12)
        counts = before.counts
        assert counts.n_plain == (3000 if number == 0 else 0)
        assert (counts.n_computed > 0.0) == (number > 0)


def test_counts_add() -> None:
    assert Counts(1.0, 2, 3.0).plus(Counts(0.5, 20, 30.0)) == Counts(1.5, 22, 33.0)
