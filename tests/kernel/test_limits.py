"""The constants of kernel/shared/limits.pxi fit together, and are those of the compiled levels."""

from __future__ import annotations

import math

import numpy as np

from emix.kernel import factors, values
from emix.kernel.level import kernel_of_level
from kernel.naive import each_level


def test_what_is_left_out_is_below_rounding() -> None:
    # A component that has shrunk more is seen by `judge` (test_pass_buffers.py).
    assert factors.most_shrunk * math.exp(-factors.negligible) < 2.0**-53


def test_sums_of_a_block_do_not_overflow_single_precision() -> None:
    square = (2 * values.largest_single) ** 2
    largest = float(np.finfo(np.float32).max)
    assert values.single_block * values.most_weight * square < largest
    assert values.single_block * values.most_weight_all_features * square < largest


def test_small_weights_leave_responsibilities_their_digits() -> None:
    r = float(np.finfo(np.float32).tiny) / values.least_weight
    assert r < math.exp(-factors.negligible) * 1e-10


@each_level
def test_blocks_are_as_long_as_the_limits_say(level: str) -> None:
    assert kernel_of_level(level, "float32").block_rows == values.single_block
