"""The pure-NumPy EM of ``baseline_numpy.py``."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from numpy.typing import NDArray

import baseline_numpy
from data import Start
from peers import Fit, Run, Unsupported

NAME = "NumPy"
NOTE = "computes in float64 also for float32 data"


def versions() -> dict[str, str]:
    return {"numpy": np.__version__}


def prepare(X: NDArray[np.floating], start: Start, structure: str, n_threads: int) -> Fit:
    if structure != "full":
        raise Unsupported("full covariances only")

    def fit(n_iter: int) -> Run:
        begin = perf_counter()
        result = baseline_numpy.fit(X, start.weights, start.means, start.covariances, n_iter=n_iter)
        return Run(perf_counter() - begin, result.weights, result.means, result.covariances)

    return fit
