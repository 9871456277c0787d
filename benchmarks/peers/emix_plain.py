"""emix without its shortcuts: the same kernel, but every log-density is computed, and every sum is dense.

The difference between this and the peer ``emix`` is the work that the shortcuts save. A responsibility that is
negligible remains zero: to leave it out costs nothing, and saves nothing where sums are dense.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data import Start
from peers import Fit, emix

NAME = "emix (no shortcuts)"
NOTE = "is emix with its shortcuts switched off, to show what they save"

versions = emix.versions


def prepare(X: NDArray[np.floating], start: Start, structure: str, n_threads: int) -> Fit:
    return emix.prepare(X, start, structure, n_threads, shortcuts=())
