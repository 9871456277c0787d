"""Statistics from slots, and parameters from statistics, in parts: the same bits as in one go."""

from __future__ import annotations

import numpy as np
import pytest

from emix.kernel import factors

FULL, TIED = 0, 1


def exchange(K: int, d: int, n_slots: int) -> tuple[factors.Exchange, np.ndarray, np.ndarray]:
    """What a pass takes and gives, its slots, and its arguments."""
    slots, arguments = np.empty((n_slots, K * (1 + d) + K * d * d + 1)), np.zeros(2 * K * (1 + d) + K * d * d + d)
    made = factors.Exchange(FULL, K, d, 40.0, 2e-16, 4.0, np.zeros((2, d)), arguments, None, slots)
    return made, slots, arguments


@pytest.mark.parametrize("n_threads", [1, 2, 3, 7])
def test_large_slots_are_emptied_and_added_by_threads(n_threads: int) -> None:
    K, d, n_slots = 5, 64, 52  # 8.8 MB
    between, slots, arguments = exchange(K, d, n_slots)
    assert between.shared
    rng = np.random.default_rng(0)
    arguments[: K * d] = rng.normal(size=K * d)
    slots[:] = rng.normal(size=slots.shape) * 10.0 ** rng.integers(-8, 8, size=(n_slots, 1))
    expected = slots[0].copy()
    for slot in slots[1:]:
        expected += slot
    expected *= 4.0
    scatter = expected[K + K * d : -1].reshape(K, d, d)
    scatter[:] = np.tril(scatter) + np.tril(scatter, -1).swapaxes(-1, -2)
    statistics = np.full(len(expected) - 1 + K * d, np.nan)
    for thread in range(n_threads):
        between.add(thread, n_threads, statistics)
    log_likelihood, *_ = between.end(None, statistics)
    np.testing.assert_array_equal(statistics, np.concatenate([expected[:-1], arguments[: K * d]]))
    assert log_likelihood == expected[-1]
    for thread in range(n_threads):
        between.empty(thread, n_threads)
    assert not slots.any()


def test_small_slots_are_not_shared() -> None:
    between, slots, _ = exchange(5, 8, 32)
    assert not between.shared
    between.begin(np.ones(5 * 10 + 2 * 5 * 64), None, None)
    assert not slots.any()


def some_statistics(K: int, d: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    root = rng.normal(size=(K, d, 2 * d))
    return np.concatenate(
        [part.ravel() for part in (np.arange(2.0, K + 2), rng.normal(size=(K, d)), 9.0 * root @ root.swapaxes(1, 2))]
        + [rng.normal(size=K * d)]
    )


@pytest.mark.parametrize(("K", "d"), [(5, 3), (5, 40)], ids=["short", "long"])
def test_maximize_in_parts(K: int, d: int) -> None:
    statistics = some_statistics(K, d)
    whole, parts = (np.full(K * (2 + d) + 2 * K * d * d, np.nan) for _ in range(2))
    assert factors.maximize(FULL, K, d, 0.5, statistics, whole) == -1
    for first, last in ((3, 5), (0, 1), (2, 2), (1, 3)):
        assert factors.maximize(FULL, K, d, 0.5, statistics, parts, first, last) == -1
    assert parts.tobytes() == whole.tobytes()


def test_first_component_of_a_part_that_is_not_positive_definite() -> None:
    K, d = 5, 3
    statistics, parameters = some_statistics(K, d), np.empty(K * (2 + d) + 2 * K * d * d)
    for component in (1, 3):
        statistics[K * (1 + d) :].reshape(-1)[component * d * d] = -1.0
    found = [factors.maximize(FULL, K, d, 0.0, statistics, parameters, *part) for part in ((0, 5), (0, 1), (2, 5))]
    assert found == [1, -1, 3]


@pytest.mark.parametrize("part", [(-1, 2), (3, 2), (0, 6)])
def test_parts_that_are_none_are_refused(part: tuple[int, int]) -> None:
    statistics, parameters = some_statistics(5, 3), np.empty(5 * 5 + 2 * 5 * 9)
    with pytest.raises(ValueError, match=f"components {part[0]} to {part[1]} are asked for, of 5"):
        factors.maximize(FULL, 5, 3, 0.0, statistics, parameters, *part)


def test_a_matrix_of_all_components_has_no_parts() -> None:
    with pytest.raises(ValueError, match="components 0 to 1 are asked for, of 5"):
        factors.maximize(TIED, 5, 3, 0.0, np.ones(5 * 7 + 9), np.empty(5 * 5 + 2 * 9), 0, 1)
