"""Rows of three classes, one of which lies on both sides of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RNG = np.random.default_rng(5)
# Class 0 lies on both sides of class 1; class 2 is apart from both and wide.
X = np.vstack(
    [
        RNG.normal([-3.0, 0.0], size=(80, 2)),
        RNG.normal([3.0, 0.0], size=(70, 2)),
        RNG.normal([0.0, 0.0], [0.6, 1.5], size=(60, 2)),
        RNG.normal([0.0, 6.0], [3.0, 1.0], size=(90, 2)),
    ]
)
Y = np.repeat([0, 0, 1, 2], [80, 70, 60, 90])
Y_SHARES = np.array([0.5, 0.2, 0.3])
NAMES = np.array(["two sides", "between", "apart"])
NEW = RNG.uniform(-6.0, 9.0, size=(200, 2))
