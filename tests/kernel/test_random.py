"""Random numbers and keys against NumPy's and the published ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emix.kernel import values


@pytest.mark.parametrize("key", [(0, 0), (1, 2**40), (2**64 - 1, 5)])
@pytest.mark.parametrize("stream", [0, 3])
def test_uniforms_are_those_of_numpy_s_philox(key: tuple[int, int], stream: int) -> None:
    expected = np.random.Generator(
        np.random.Philox(key=np.array(key, dtype=np.uint64), counter=[0, 0, 0, stream])
    ).random(40)
    for first, last in ((0, 40), (0, 1), (3, 4), (5, 23), (8, 8)):
        found = np.empty(last - first)
        values.uniforms(*key, stream, first, found)
        np.testing.assert_array_equal(found, expected[first:last])


def test_keys_are_splitmix64() -> None:
    def mixed(z: int) -> int:
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    for seed in (0, 1, 2**64 - 1):
        found, keys = np.empty(50, dtype=np.intp), np.empty(50, dtype=np.uint64)
        assert values.rows_with_small_keys(10, 60, seed, 2**64 - 1, None, found, keys) == 50
        expected = [mixed(((row + 1) * 0x9E3779B97F4A7C15 + mixed(seed)) % 2**64) for row in range(10, 60)]
        assert [int(key) for key in keys] == expected
        np.testing.assert_array_equal(found, np.arange(10, 60))
        weight = (np.arange(60) % 3).astype(np.float64)
        count = values.rows_with_small_keys(10, 60, seed, expected[7], weight, found, keys)
        low = [row for row, key in zip(range(10, 60), expected) if key <= expected[7] and row % 3]
        assert found[:count].tolist() == low


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, 3, 0, 0, None, np.zeros(2, np.intp), np.zeros(3, np.uint64)), "do not fit into 2"),
        ((0, 3, 0, 0, None, np.zeros(3, np.intp), np.zeros(2, np.uint64)), "with 2 keys"),
        ((3, 0, 0, 0, None, np.zeros(3, np.intp), np.zeros(3, np.uint64)), "rows 3 to 0 do"),
        ((0, 3, 0, 0, np.ones(2), np.zeros(3, np.intp), np.zeros(3, np.uint64)), "2 weights for"),
    ],
)
def test_arrays_of_the_wrong_size_are_refused(arguments: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        values.rows_with_small_keys(*arguments)
