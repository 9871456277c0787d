"""Made-up rows whose outputs bend."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Two ways to compute well-conditioned regressions of order one.
CLOSE = 1e-10


def curve(n_samples: int = 300, n_inputs: int = 2, n_outputs: int = 1, seed: int = 0) -> tuple[Array, Array]:
    """Inputs, and outputs that bend."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-3.0, 3.0, size=(n_samples, n_inputs))
    slopes = rng.normal(size=(n_inputs, n_outputs))
    Y = np.abs(X @ slopes) + 0.2 * rng.normal(size=(n_samples, n_outputs))
    return X, Y[:, 0] if n_outputs == 1 else Y
