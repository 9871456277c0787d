"""What an Exchange gives a pass and takes from it: arguments from parameters, statistics from slots."""

from __future__ import annotations

import numpy as np
import pytest

from emix.gaussian import structures
from emix.kernel import factors
from emix.kernel.layout import FULL, density_layout
from kernel.between import SHAPES, Array, Between, density, packed
from kernel.naive import STRUCTURES, each_structure

EPS = np.finfo(np.float64).eps


@pytest.mark.parametrize("n_threads", [1, 2, 3, 7])
def test_large_slots_are_emptied_and_added_by_threads(n_threads: int) -> None:
    K, d, n_slots = 5, 64, 52  # 8.8 MB
    between = Between("full", K, d, np.zeros((2, d)), n_slots)
    exchange, slots, statistics = between.exchange, between.slots, between.statistics
    assert exchange.shared
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
            exchange.add(thread, n_threads, statistics)
        log_likelihood, *_ = between.end()
        np.testing.assert_array_equal(statistics, packed(expected[:-1], between.arguments[: K * d]))
        assert log_likelihood == expected[-1]
        for thread in range(n_threads):
            exchange.empty(thread, n_threads)
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
    between = Between("full", K, d, np.zeros((2, d)), n_slots=2)
    between.arguments[: K * d] = 0.0
    between.slots[:] = 1.0
    for slot, k in ((0, 0), (1, 0), (1, 2)):
        between.slots[slot, k] = 0.0
    between.end()
    scatter = between.statistics[K * (1 + d) : K * (1 + d) + K * d * d].reshape(K, d * d)
    np.testing.assert_array_equal(scatter, np.repeat([[0.0], [2.0], [1.0]], d * d, axis=1))


def test_small_slots_are_not_shared() -> None:
    between = Between("full", 5, 8, np.zeros((2, 8)), n_slots=32)
    assert not between.exchange.shared
    between.exchange.begin(np.ones(density_layout(FULL, 5, 8).size), None, None)
    assert not between.slots.any()


@each_structure
def test_slots_are_added_in_order_and_made_symmetric(structure: str) -> None:
    rng = np.random.default_rng(6)
    K, d = 3, 4
    shape = SHAPES[structure]
    between = Between(structure, K, d, np.zeros((2, d)), n_slots=5)
    slots = rng.normal(size=between.slots.shape) * 10.0 ** rng.integers(-8, 8, size=(5, 1))
    if structure != "tied":  # whose matrix is of all components
        slots = numbers_without(rng, slots.shape, K, d, [(0, 0), (0, 2), (2, 1), (4, 2)])
    between.slots[:] = slots
    between.arguments[: K * d] = rng.normal(size=K * d)
    log_likelihood, _, _, growth = between.end()
    expected = slots[0]
    for slot in slots[1:]:
        expected = expected + slot
    scatter = expected[K + K * d : -1].reshape(shape)
    if structure in ("full", "tied"):
        scatter = np.tril(scatter) + np.tril(scatter, -1).swapaxes(-1, -2)
    np.testing.assert_array_equal(
        between.statistics, packed(expected[: K + K * d], scatter, between.arguments[: K * d])
    )
    assert log_likelihood == expected[-1]
    assert growth == 1.0


def test_shrinking_twentyfold_is_told() -> None:
    between = Between("spherical", 2, 1, np.zeros((2, 1)))
    between.arguments[:] = 0.0
    between.slots[:] = [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]
    before = np.zeros(len(between.statistics))
    for weights, shrunk in (([20.0, 0.0], False), ([1.0, 20.1], True)):
        before[:2] = weights
        assert between.end(before)[1] is shrunk
    assert between.end(None)[1] is False


@each_structure
@pytest.mark.parametrize("single", [False, True])
def test_arguments_are_the_formulae(structure: str, single: bool) -> None:
    rng = np.random.default_rng(7)
    K, d = 3, 4
    pi, mu, log_det = np.array([0.5, 0.5, 0.0]), 10.0 + rng.normal(size=(K, d)), rng.normal(size=K)
    W = np.tril(rng.normal(size=(K, d, d)))
    W = {"full": W, "tied": W[0], "diag": W[:, 0], "spherical": W[:, 0, 0]}[structure]
    column_range = np.stack([np.full(d, 9.5), np.full(d, 10.5)])
    between = Between(structure, K, d, column_range, single=single)
    parameters = density(structure, pi, mu, np.ones((K, d, d) if structure == "full" else (d, d)), W, log_det)
    before = np.zeros(len(between.statistics))
    before[:K] = [8.0, 2.0, 0.0]
    elsewhere = 10.0 + rng.normal(size=(K, d)) / 10.0
    for given in (None, elsewhere):
        between.exchange.begin(parameters, before, given)
        found = between.arguments
        center = np.clip(mu, *column_range) if given is None else given
        center = center.astype(np.float32).astype(np.float64) if single else center
        away = mu - center
        offset = structures.STRUCTURES[structure].whitened(W, away)
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
    between = Between(structure, 2, 3, np.ones((2, 3)))
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
        return between.end()[2]

    assert cancels(1.0, 2.0**-6)
    assert not cancels(1.0, 2.0**-4)
    assert cancels(-1e5, 2.0**-6)
    # A shift within rounding of the centre, as of a constant column.
    assert not cancels(8 * EPS, 0.0)
    assert cancels(32 * EPS, 0.0)
    assert not cancels(0.0, 0.0)


def test_arrays_of_another_length_are_refused() -> None:
    between = Between("diag", 2, 3, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="density has 15 numbers, expected 16"):
        between.exchange.begin(np.zeros(15), None, None)
    with pytest.raises(ValueError, match="statistics has 1 numbers, expected 20"):
        between.exchange.end(None, np.zeros(1))
    with pytest.raises(ValueError, match="statistics has 19 numbers, expected 20"):
        factors.maximize(STRUCTURES.index("diag"), 2, 3, 0.0, None, between.statistics[1:], between.parameters)


def test_slots_that_are_not_shared_are_not_shared_out() -> None:
    between = Between("diag", 2, 3, np.zeros((2, 3)))
    for call in (lambda: between.exchange.empty(0, 1), lambda: between.exchange.add(0, 1, between.statistics)):
        with pytest.raises(ValueError, match="the slots are not shared"):
            call()


@pytest.mark.parametrize("thread", [-1, 2])
def test_threads_that_are_none_are_refused(thread: int) -> None:
    K, d = 128, 64
    slots = np.zeros((2, K * (1 + d + d * d) + 1))
    arguments = np.empty(2 * K * (1 + d) + K * d * d + d)
    exchange = factors.Exchange(0, K, d, 40.0, factors.Columns(1e-16, np.zeros((2, d))), arguments, None, slots)
    assert exchange.shared
    text = f"threads {thread} to {thread + 1} are asked for, of 2"
    with pytest.raises(ValueError, match=text):
        exchange.empty(thread, 2)
    with pytest.raises(ValueError, match=text):
        exchange.add(thread, 2, np.empty(slots.shape[1] - 1 + K * d))
