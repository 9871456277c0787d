"""PassBuffers take a density to the kernel's arguments, and slots to statistics; the verdict on a total."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from emix.gaussian import structures
from emix.gaussian.sums import Counts
from emix.kernel import factors
from emix.kernel.factors import KernelDensity, PassOutcome
from emix.kernel.layout import FULL, density_layout, parameters_layout
from kernel.buffers import SHAPES, Array, Buffers, density, density_of_zeros, packed
from kernel.naive import STRUCTURES, each_structure

EPS = np.finfo(np.float64).eps


@pytest.mark.parametrize("n_threads", [1, 2, 3, 7])
def test_large_slots_are_emptied_and_added_by_threads(n_threads: int) -> None:
    K, d, n_slots = 5, 64, 52  # 8.8 MB
    between = Buffers("full", K, d, np.zeros((2, d)), n_slots)
    buffers, slots, statistics = between.buffers, between.slots, between.statistics
    assert buffers.shared
    rng = np.random.default_rng(0)
    between.arguments[: K * d] = rng.normal(size=K * d)
    # Twice: slots have no row of some components, the second time of others.
    for without in ([(0, 0), (1, 4), (30, 2), (51, 0), (51, 3)], [(0, 1), (0, 4), (20, 3), (51, 4)]):
        slots[:] = numbers_without(rng, slots.shape, K, d, without)
        expected = slots[0].copy()
        for slot in slots[1:]:
            expected += slot
        scatter = expected[K + K * d : -1].reshape(K, d, d)
        scatter[:] = np.tril(scatter) + np.tril(scatter, -1).swapaxes(-1, -2)
        for thread in range(n_threads):
            buffers.add(thread, n_threads, statistics)
        outcome = between.end()
        np.testing.assert_array_equal(statistics, packed(expected[:-1], between.arguments[: K * d]))
        assert outcome.log_likelihood == expected[-1]
        for thread in range(n_threads):
            buffers.empty(thread, n_threads)
        assert not slots.any()


def numbers_without(
    rng: np.random.Generator, shape: tuple[int, ...], K: int, d: int, without: list[tuple[int, int]]
) -> Array:
    """Numbers of slots of widely different magnitudes, 0 for some pairs of slot and component."""
    numbers = rng.normal(size=shape) * 10.0 ** rng.integers(-8, 8, size=(shape[0], 1))
    for slot, k in without:
        numbers[slot, k] = 0.0
        numbers[slot, K + k * d : K + (k + 1) * d] = 0.0
        size = (shape[1] - 1 - K * (1 + d)) // K
        numbers[slot, K * (1 + d) + k * size : K * (1 + d) + (k + 1) * size] = 0.0
    return numbers


def test_a_matrix_without_weight_is_skipped() -> None:
    # Whatever stands there: the N that decides is the slot's and the component's own.
    K, d = 3, 2
    between = Buffers("full", K, d, np.zeros((2, d)), n_slots=2)
    between.arguments[: K * d] = 0.0
    between.slots[:] = 1.0
    for slot, k in ((0, 0), (1, 0), (1, 2)):
        between.slots[slot, k] = 0.0
    between.end()
    scatter = between.statistics[K * (1 + d) : K * (1 + d) + K * d * d].reshape(K, d * d)
    np.testing.assert_array_equal(scatter, np.repeat([[0.0], [2.0], [1.0]], d * d, axis=1))


def test_small_slots_are_not_shared() -> None:
    between = Buffers("full", 5, 8, np.zeros((2, 8)), n_slots=32)
    assert not between.buffers.shared
    between.begin(np.ones(density_layout(FULL, 5, 8).size))
    assert not between.slots.any()


@each_structure
def test_slots_are_added_in_order_and_made_symmetric(structure: str) -> None:
    rng = np.random.default_rng(6)
    K, d = 3, 4
    shape = SHAPES[structure]
    between = Buffers(structure, K, d, np.zeros((2, d)), n_slots=5)
    slots = rng.normal(size=between.slots.shape) * 10.0 ** rng.integers(-8, 8, size=(5, 1))
    if structure != "tied":  # whose matrix is of all components
        slots = numbers_without(rng, slots.shape, K, d, [(0, 0), (0, 2), (2, 1), (4, 2)])
    between.slots[:] = slots
    between.arguments[: K * d] = rng.normal(size=K * d)
    outcome = between.end()
    expected = slots[0]
    for slot in slots[1:]:
        expected = expected + slot
    scatter = expected[K + K * d : -1].reshape(shape)
    if structure in ("full", "tied"):
        scatter = np.tril(scatter) + np.tril(scatter, -1).swapaxes(-1, -2)
    np.testing.assert_array_equal(
        between.statistics, packed(expected[: K + K * d], scatter, between.arguments[: K * d])
    )
    assert outcome.packed is between.statistics
    assert outcome.log_likelihood == expected[-1]
    assert outcome.growth == 1.0


def test_shrinking_twentyfold_is_told() -> None:
    between = Buffers("spherical", 2, 1, np.zeros((2, 1)))
    between.arguments[:] = 0.0
    between.slots[:] = [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]
    for weights, shrunk in (([20.0, 0.0], False), ([1.0, 20.1], True)):
        before = PassOutcome(np.array(weights))
        assert between.judge(before)[0] is shrunk
    assert between.judge(None)[0] is False


@each_structure
@pytest.mark.parametrize("single", [False, True])
def test_arguments_are_the_formulae(structure: str, single: bool) -> None:
    rng = np.random.default_rng(7)
    K, d = 3, 4
    pi, mu, log_det = np.array([0.5, 0.5, 0.0]), 10.0 + rng.normal(size=(K, d)), rng.normal(size=K)
    W = np.tril(rng.normal(size=(K, d, d)))
    W = {"full": W, "tied": W[0], "diag": W[:, 0], "spherical": W[:, 0, 0]}[structure]
    column_range = np.stack([np.full(d, 9.5), np.full(d, 10.5)])
    between = Buffers(structure, K, d, column_range, single=single)
    parameters = density(structure, pi, mu, np.ones((K, d, d) if structure == "full" else (d, d)), W, log_det)
    before = PassOutcome(np.array([8.0, 2.0, 0.0]))
    elsewhere = 10.0 + rng.normal(size=(K, d)) / 10.0
    for given in (None, elsewhere):
        between.begin(parameters, before, given)
        found = between.arguments
        center = np.clip(mu, *column_range) if given is None else given
        center = center.astype(np.float32).astype(np.float64) if single else center
        away = mu - center
        offset = structures.STRUCTURES[structure].form.whitened(W, away)
        np.testing.assert_array_equal(found[: K * d].reshape(K, d), center)
        np.testing.assert_allclose(found[K * d : 2 * K * d].reshape(K, d), offset, rtol=1e-14, atol=1e-14)
        with np.errstate(divide="ignore"):
            constant = np.log(pi) + log_det - 0.5 * d * np.log(2.0 * np.pi)
        np.testing.assert_allclose(found[2 * K * d : 2 * K * d + K], constant, rtol=1e-15)
        np.testing.assert_allclose(
            found[2 * K * d + K : 2 * K * d + 2 * K], [40 + np.log(1.25), 40 + np.log(5), np.inf]
        )
        np.testing.assert_array_equal(found[2 * K * d + 2 * K : -d], W.reshape(-1))
        assert np.isnan(found[-d:]).all()
        if between.rounded is not None:
            np.testing.assert_array_equal(between.rounded, found.astype(np.float32))
        assert not between.slots.any()
    # For scores: no range and no pass before. Centres are the means, and nothing is left out.
    factors.prepare(STRUCTURES.index(structure), K, d, False, 0.0, parameters, found)
    np.testing.assert_array_equal(found[: K * d].reshape(K, d), mu)
    assert not found[K * d : 2 * K * d].any()
    assert np.isposinf(found[2 * K * d + K : 2 * K * d + 2 * K]).all()


@each_structure
def test_cancels_where_a_diagonal_of_the_scatter_is_nearly_all_of_the_mean(structure: str) -> None:
    weight, center = np.array([2.0, 0.0]), np.ones((2, 3))
    between = Buffers(structure, 2, 3, np.ones((2, 3)))
    between.arguments[:6] = center.ravel()

    def cancels(shift: float, left: float) -> bool:
        """With 2⁻⁶ of a moment for the limit, and 16 eps of the centre for rounding."""
        s = np.array([[0.0, 2.0 * shift, 0.0], [0.0, 0.0, 0.0]])
        moments = np.array([1.0, 2.0 * shift**2 + left, 1.0])  # N δ² and what is left
        if structure == "spherical":
            scatter = np.array([moments[1], 0.0])
        elif structure == "diag":
            scatter = np.stack([moments, np.zeros(3)])
        else:
            scatter = np.stack([np.diag(moments), np.zeros((3, 3))])[: 1 if structure == "tied" else 2]
        between.slots[0] = packed(weight, s, scatter, np.zeros(1))
        return between.judge()[1]

    assert cancels(1.0, 2.0**-6)
    assert not cancels(1.0, 2.0**-4)
    assert cancels(-1e5, 2.0**-6)
    # A shift within rounding of the centre, as of a constant column.
    assert not cancels(8 * EPS, 0.0)
    assert cancels(32 * EPS, 0.0)
    assert not cancels(0.0, 0.0)


def test_arrays_of_another_length_are_refused() -> None:
    diag = STRUCTURES.index("diag")
    between = Buffers("diag", 2, 3, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="density has 15 numbers, expected 16"):
        between.begin(np.zeros(15))
    of_parameters = parameters_layout(diag, 2, 3).size
    with pytest.raises(ValueError, match="density has 17 numbers, expected 16"):
        KernelDensity(diag, 2, 3, np.zeros(of_parameters + 1), True)
    with pytest.raises(ValueError, match="the density has 1 components in 3 dimensions, form 2, expected 2, 3 and 2"):
        between.buffers.begin(density_of_zeros(diag, 1, 3), None, None, between.columns)
    with pytest.raises(ValueError, match="before has 1 numbers, expected 2 or more"):
        between.begin(np.zeros(16), PassOutcome(np.zeros(1)))
    of = density_of_zeros(diag, 2, 3)
    with pytest.raises(ValueError, match="column_range has 4 numbers, expected 6"):
        between.buffers.begin(of, None, None, factors.Columns(EPS, np.zeros((2, 2))))
    with pytest.raises(ValueError, match="statistics has 1 numbers, expected 20"):
        between.buffers.end(PassOutcome(np.zeros(1)))
    with pytest.raises(ValueError, match="statistics has 1 numbers, expected 20"):
        factors.judge(of, None, between.columns, PassOutcome(np.zeros(1)))
    parameters = np.zeros(parameters_layout(diag, 2, 3).size)
    with pytest.raises(ValueError, match="statistics has 19 numbers, expected 20"):
        factors.maximize(diag, 2, 3, 0.0, None, between.statistics[1:], parameters)


def test_slots_that_are_not_shared_are_not_shared_out() -> None:
    between = Buffers("diag", 2, 3, np.zeros((2, 3)))
    for call in (lambda: between.buffers.empty(0, 1), lambda: between.buffers.add(0, 1, between.statistics)):
        with pytest.raises(ValueError, match="the slots are not shared"):
            call()


@pytest.mark.parametrize("thread", [-1, 2])
def test_threads_that_are_none_are_refused(thread: int) -> None:
    between = Buffers("full", 128, 64, np.zeros((2, 64)), n_slots=2)
    assert between.buffers.shared
    text = f"threads {thread} to {thread + 1} are asked for, of 2"
    with pytest.raises(ValueError, match=text):
        between.buffers.empty(thread, 2)
    with pytest.raises(ValueError, match=text):
        between.buffers.add(thread, 2, between.statistics)


# Outcomes


def outcome_of(rng: np.random.Generator, center: Array, counts: Counts | None = None, growth: float = 1.0) -> Any:
    """An outcome with K = 2, d = 3, diag."""
    sums = rng.normal(size=2 + 6 + 6)
    return PassOutcome(packed(sums, center), float(rng.normal()), counts, growth)


def test_outcomes_add() -> None:
    rng, center = np.random.default_rng(8), np.arange(6.0)
    of = density_of_zeros(STRUCTURES.index("diag"), 2, 3)
    one = outcome_of(rng, center, Counts(1.0, 2, 3.0), growth=5.0)
    other, bare = outcome_of(rng, center, Counts(10.0, 20, 30.0), growth=2.0), outcome_of(rng, center)
    kept = one.packed.copy(), other.packed.copy()
    both = one.plus(other, of)
    np.testing.assert_array_equal(both.packed, packed(one.packed[:-6] + other.packed[:-6], center))
    assert both.log_likelihood == one.log_likelihood + other.log_likelihood
    assert (both.counts, both.growth) == (Counts(11.0, 22, 33.0), 5.0)
    # Neither of the two is changed.
    np.testing.assert_array_equal(packed(one.packed, other.packed), packed(*kept))
    assert one.plus(bare, of).counts == bare.plus(one, of).counts == one.counts
    assert bare.plus(bare, of).counts is None


def test_outcomes_about_different_centres_are_refused() -> None:
    rng, of = np.random.default_rng(8), density_of_zeros(STRUCTURES.index("diag"), 2, 3)
    one, other = outcome_of(rng, np.zeros(6)), outcome_of(rng, np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1e-300]))
    with pytest.raises(ValueError, match=r"different centres cannot be added: take both passes by one request"):
        one.plus(other, of)
    for sizes in ((STRUCTURES.index("full"), 2, 3), (STRUCTURES.index("diag"), 2, 2)):
        with pytest.raises(ValueError, match="statistics has 20 numbers, expected"):
            one.plus(one, density_of_zeros(*sizes))


def test_densities_and_outcomes_can_be_sent_to_another_process() -> None:
    rng = np.random.default_rng(8)
    diag = STRUCTURES.index("diag")
    at = parameters_layout(diag, 2, 3)
    sent = KernelDensity(diag, 2, 3, numbers := rng.normal(size=at.size), True)
    np.testing.assert_array_equal(sent.packed, numbers[at.density])
    found = pickle.loads(pickle.dumps(sent))
    assert (found.form, found.n_components, found.n_features) == (sent.form, 2, 3)
    np.testing.assert_array_equal(found.packed, sent.packed)
    outcome = outcome_of(rng, np.zeros(6), Counts(1.0, 2, 3.0), growth=5.0)
    back = pickle.loads(pickle.dumps(outcome))
    np.testing.assert_array_equal(back.packed, outcome.packed)
    assert (back.log_likelihood, back.counts, back.growth) == (outcome.log_likelihood, Counts(1.0, 2, 3.0), 5.0)


def test_an_outcome_in_a_message_that_is_read_only_can_be_used() -> None:
    outcome = outcome_of(np.random.default_rng(8), np.zeros(6))
    pieces: list[pickle.PickleBuffer] = []
    message = pickle.dumps(outcome, protocol=5, buffer_callback=pieces.append)
    back = pickle.loads(message, buffers=[bytes(piece.raw()) for piece in pieces])
    np.testing.assert_array_equal(back.packed, outcome.packed)


def test_buffers_without_slots_are_refused() -> None:
    sizes = STRUCTURES.index("diag"), 2, 3
    width, _, n_arguments = factors.sizes_of_pass(*sizes)
    with pytest.raises(ValueError, match="slots has 0 numbers, expected 1 or more"):
        factors.PassBuffers(*sizes, 40.0, np.zeros(n_arguments), None, np.zeros((0, width)))
