"""Random numbers of a start."""

from __future__ import annotations

import numpy as np
import pytest

from emix.starts.uniforms import Uniforms


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize(("restart", "stream"), [(0, 0), (1, 0), (3, 5)])
def test_same_numbers_as_numpy(seed: int, restart: int, stream: int) -> None:
    philox = np.random.Philox(key=np.array([seed, restart], dtype=np.uint64), counter=[0, 0, 0, stream])
    numpy, ours = np.random.Generator(philox), Uniforms(seed, restart, stream)
    for size in (1, 2, 4, 0, 7, 1000, 3):
        np.testing.assert_array_equal(ours.random(size), numpy.random(size))


def test_seed_counts_modulo_two_to_the_64() -> None:
    np.testing.assert_array_equal(Uniforms(-1, 0).random(5), Uniforms(2**64 - 1, 0).random(5))
