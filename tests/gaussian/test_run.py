"""E-steps of a run: sums of parts of the rows add, their total gets the verdict, one pass counts for each E-step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import emix.gaussian.sums
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.shortcuts import STATELESS
from emix.gaussian.structures import STRUCTURES
from emix.gaussian.sums import PassOutcome, PassRequest, judge
from emix.kernel.layout import statistics_layout
from emix.kernel.level import kernel_for
from emix.parallel import threads
from emix.rows.arrays import ArraySource
from gaussian.examples import (
    Recorder,
    bits_of,
    clusters,
    density_of,
    each_structure,
    request_of,
    start,
    sums_of,
)
from gaussian.shortcuts import bounded

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


# Outcomes of parts


def parts_and_whole(
    X: NDArray[Any], weight: NDArray[np.float64], theta: GaussianParameters, ends: list[int], before: PassOutcome | None
) -> tuple[list[PassOutcome], PassOutcome, PassRequest]:
    """Outcomes of the parts of the rows, of all rows, and the request of both."""
    whole = ArraySource(X, weight)
    request = request_of(theta, whole, before)
    parts = [
        sums_of(ArraySource(X[first:last], weight[first:last]), theta).take(request)
        for first, last in zip([0, *ends], [*ends, len(X)], strict=True)
    ]
    return parts, sums_of(whole, theta).take(request), request


@each_structure
@each_dtype
def test_outcomes_of_parts_of_the_rows_add(structure: str, dtype: str) -> None:
    X = clusters(3000, 3, 4).astype(dtype)
    weight = np.random.default_rng(0).uniform(0.0, 2.0, 3000)
    theta = start(structure, X, 4)
    density = density_of(theta)
    first = sums_of(ArraySource(X, weight), theta).take(request_of(theta, ArraySource(X, weight)))
    for before in (None, first):
        parts, whole, request = parts_and_whole(X, weight, theta, [1, 700, 2100], before)
        total = parts[0]
        for part in parts[1:]:
            total = total.plus(part, density)
        at = statistics_layout(density.form, 4, 3)
        np.testing.assert_array_equal(total.packed[at.center], whole.packed[at.center])
        # Blocks of other rows are summed in the rows' precision.
        rtol = 1e-13 if dtype == "float64" else 1e-6
        for place in (at.weight, at.shift, at.scatter):
            expected = whole.packed[place]
            np.testing.assert_allclose(total.packed[place], expected, rtol=0, atol=rtol * np.abs(expected).max())
        assert total.log_likelihood == pytest.approx(whole.log_likelihood, rel=rtol)
        assert judge(total, request) == judge(whole, request) == (False, False)
        # The order in which parts come changes rounding at most, and two of them none.
        assert bits_of(parts[1].plus(parts[2], density)) == bits_of(parts[2].plus(parts[1], density))


@each_structure
def test_of_the_pass_before_only_the_weights_are_read(structure: str) -> None:
    X = clusters(900, 2, 5, spread=8.0)
    theta, source = start(structure, X, 5), ArraySource(X)
    sums = sums_of(source, theta)
    before = sums.take(request_of(theta, source))
    found = sums.take(request_of(theta, source, before))
    stripped = PassOutcome(before.packed[:5].copy())
    assert bits_of(sums.take(request_of(theta, source, stripped))) == bits_of(found)
    lost = PassOutcome(1e3 * before.packed[:5])
    assert judge(found, request_of(theta, source, stripped)) == (False, False)
    assert judge(found, request_of(theta, source, lost)) == (True, False)


def test_the_verdict_is_on_the_total() -> None:
    """Of rows in the order of their components each part has lost all weight of a component, and the total none."""
    X = np.concatenate([np.zeros((500, 2)), np.full((500, 2), 30.0)])
    X += np.random.default_rng(0).normal(size=X.shape)
    theta = GaussianParameters.from_covariances("diag", [0.5, 0.5], [[0.0, 0.0], [30.0, 30.0]], np.ones((2, 2)))
    before = PassOutcome(np.array([500.0, 500.0]))
    parts, whole, request = parts_and_whole(X, np.ones(1000), theta, [500], before)
    assert [judge(part, request)[0] for part in parts] == [True, True]
    assert judge(parts[0].plus(parts[1], request.density), request) == judge(whole, request) == (False, False)


def test_cancelling_is_seen_of_the_total() -> None:
    """About a centre between them, halves of the rows cancel, each on its side; all rows do not."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(500, 1)) - 1e3, rng.normal(size=(500, 1)) + 1e3])
    theta = GaussianParameters.from_covariances("full", [1.0], [[0.0]], [[[1e6]]])
    parts, whole, request = parts_and_whole(X, np.ones(1000), theta, [500], None)
    assert [judge(part, request)[1] for part in parts] == [True, True]
    assert judge(parts[0].plus(parts[1], request.density), request) == judge(whole, request) == (False, False)


def test_outcomes_about_other_centres_are_refused() -> None:
    X = clusters(300, 2, 2)
    theta, source = start("full", X, 2), ArraySource(X)
    sums = sums_of(source, theta)
    about_means = sums.take(request_of(theta, source))
    elsewhere = sums.take(request_of(theta, source, center=theta.means + 0.5))
    with pytest.raises(ValueError, match="different centres cannot be added"):
        about_means.plus(elsewhere, density_of(theta))


def test_sums_in_other_units_of_weights_are_refused() -> None:
    X = clusters(300, 2, 2)
    theta = start("full", X, 2)
    light, plain = ArraySource(X, np.full(300, 1e-200)), ArraySource(X)
    assert light.weight_unit != 1.0
    for source, other in ((light, plain), (plain, light)):
        with pytest.raises(ValueError, match=r"the weights of the rows are in units of .* cannot be added"):
            sums_of(source, theta).take(request_of(theta, other))


# Passes that count


class Refusing(Recorder):
    """A shortcut whose sums are not exact enough."""

    def holds(self, request: PassRequest, outcome: PassOutcome) -> bool:
        super().holds(request, outcome)
        return False


def test_sums_that_a_shortcut_refuses_are_taken_again_without_it() -> None:
    X = clusters(500, 2, 2)
    theta, model = start("full", X, 2), GaussianModel(2, 2)
    run = model.begin(X)
    recorder, refusing = Recorder(lambda *_: "a pass"), Refusing(lambda *_: "a pass")
    run.shortcuts += [recorder, refusing]
    for number in (1, 2):
        run.e_step(theta)
        assert len(recorder.taken) == 2 * number
        assert len(refusing.taken) == number
        # One pass counts, for both of them.
        assert len(recorder.counted) == len(refusing.counted) == number


@each_structure
def test_a_pass_that_is_taken_again_in_full_counts_once(structure: str) -> None:
    X = np.random.default_rng(0).uniform(-1, 1, (600, 2))
    ones = STRUCTURES[structure].form.from_pooled(np.eye(2), 2)
    near, away = (
        GaussianParameters.from_covariances(structure, [0.5, 0.5], [[0.0, 0.0], [x, 0.0]], ones) for x in (0.5, 11.0)
    )
    run = GaussianModel(2, 2, structure).begin(X)
    recorder = Recorder(lambda request, outcome: request.before is None)
    run.shortcuts.append(recorder)
    run.e_step(near)
    run.e_step(away)
    assert recorder.taken == [True, False, True]
    assert recorder.counted == [True, True]


@each_structure
def test_a_pass_that_is_taken_again_about_new_means_counts_once(structure: str) -> None:
    # Both components start in the gap between two clusters: millions of their new standard deviations away.
    X = np.random.default_rng(0).normal(size=(600, 2))
    X[300:] += 1e8
    covariances = STRUCTURES[structure].form.from_pooled(np.eye(2) * 1e10, 2)
    theta = GaussianParameters.from_covariances(structure, [0.5, 0.5], [[3e7, 3e7], [7e7, 7e7]], covariances)
    run = GaussianModel(2, 2, structure).begin(X)
    recorder = Recorder(lambda request, outcome: request.center is not None)
    run.shortcuts.append(recorder)
    statistics, _ = run.e_step(theta)
    assert recorder.taken == [False, True]
    assert recorder.counted == [True]
    # New centres, within a tenth of a standard deviation of the clusters' means
    np.testing.assert_allclose(statistics.center, [[0.0, 0.0], [1e8, 1e8]], rtol=0, atol=0.2)


# Errors in the middle of a pass


def test_a_run_that_was_interrupted_has_exact_sums_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of rows that were not visited are those of an earlier density: the next pass leaves nothing out."""
    kernel: Any = kernel_for(np.dtype(np.float64))
    calls: list[int] = []
    interrupted_at = [10**9]

    class Interrupted(kernel.Accumulator):
        def accumulate_bounded(self, *arguments: Any) -> float:
            calls.append(1)
            if len(calls) == interrupted_at[0]:
                raise KeyboardInterrupt
            found: float = super().accumulate_bounded(*arguments)
            return found

    one_by_one = type("Kernel", (), {**vars(kernel), "Accumulator": Interrupted})
    monkeypatch.setattr(emix.gaussian.sums, "kernel_for", lambda dtype: one_by_one)
    monkeypatch.setattr(threads, "OPERATIONS_PER_CALL", 1.0)  # a super-block in each call
    X, theta = bounded.case("full")
    K = bounded.K
    run = GaussianModel(K, 8, n_threads=1).begin(X)
    while not bounded.of_all_rows(run):
        run.e_step(theta)
    for _ in range(3):
        run.e_step(theta)
    # The components change places: what was far is near.
    moved = GaussianParameters.from_covariances("full", theta.weights, theta.means[::-1], theta.covariances)
    calls.clear()
    interrupted_at[0] = 5
    with pytest.raises(KeyboardInterrupt):
        run.e_step(moved)
    assert len(calls) == 5  # of 34 super-blocks
    for parameters in (moved, moved, theta):
        expected, log_likelihood = GaussianModel(K, 8, shortcuts=()).e_step(X, parameters)
        found, again = run.e_step(parameters)
        assert again == pytest.approx(log_likelihood, rel=1e-12)
        # Sums of 17 000 numbers in another order
        np.testing.assert_allclose(found.weight, expected.weight, rtol=1e-11)


# State


def test_a_run_goes_on_with_the_state_of_another() -> None:
    # 40 nats behind the best a component is left out, if its weight in the pass before says that it cannot count.
    X = np.vstack([clusters(400, 2, 2), [[60.0, 60.0]]])
    model = GaussianModel(3, 2, "full", "auto", shortcuts=STATELESS)
    theta = GaussianParameters.from_covariances(
        "full", [0.5, 0.499, 0.001], [[0.0, 0.0], [5.0, 5.0], [60.0, 60.0]], [np.eye(2)] * 3
    )
    run = model.begin(X)
    assert run.state() == {}
    following = model.m_step(run.e_step(theta)[0])
    state = run.state()
    assert state["weight_before"].shape == (3,)
    other = model.begin(X)
    other.restore(state)
    assert bits_of_statistics(other.e_step(following)) == bits_of_statistics(run.e_step(following))


def bits_of_statistics(found: Any) -> tuple[bytes, float]:
    statistics, log_likelihood = found
    return statistics.packed.tobytes(), log_likelihood


def test_a_state_that_cannot_be_is_refused() -> None:
    run = GaussianModel(3, 2).begin(clusters(400, 2, 3))
    with pytest.raises(ValueError, match=r"weight_before has shape \(2,\), expected \(3,\), float64"):
        run.restore({"weight_before": np.ones(2)})


def test_a_run_with_shortcuts_that_learn_has_no_state() -> None:
    run = GaussianModel(5, 4, "diag").begin(clusters(4000, 4, 5))
    assert "origin" in [shortcut.name for shortcut in run.shortcuts]
    with pytest.raises(ValueError, match=r"the run takes the shortcuts \['origin'.*\], whose state is not kept: allow"):
        run.state()
