"""oneDAL through daal4py: compiled, with MKL inside.

``pip install "daal4py==2024.7.0" "scikit-learn<1.6" "numpy<2" packaging`` in an environment of its own.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from data import Start
from peers import Fit, Run, Unsupported, to_full

NAME = "oneDAL"
NOTE = ""

#: oneDAL's names of the structures that it has.
_STORAGE = {"full": "full", "diag": "diagonal"}


def versions() -> dict[str, str]:
    from importlib import import_module
    from importlib.metadata import version

    import_module("daal4py")  # it may be installed, and yet fail to load its libraries
    return {"daal4py": version("daal4py")}


def prepare(X: NDArray[np.floating], start: Start, structure: str, n_threads: int) -> Fit:
    import daal4py

    if structure not in _STORAGE:
        raise Unsupported("full and diagonal covariances only")
    daal4py.daalinit(n_threads)
    K, d = start.means.shape
    weights = start.weights.reshape(1, K).astype(X.dtype)
    means = start.means.astype(X.dtype)
    if structure == "full":
        covariances = [np.ascontiguousarray(c, dtype=X.dtype) for c in start.covariances]
    else:
        covariances = [np.diagonal(c).reshape(1, d).astype(X.dtype) for c in start.covariances]

    def fit(n_iter: int) -> Run:
        algorithm = daal4py.em_gmm(
            nComponents=K,
            maxIterations=n_iter,
            accuracyThreshold=0.0,
            covarianceStorage=_STORAGE[structure],
            fptype="float" if X.dtype == np.float32 else "double",
        )
        begin = perf_counter()
        result = algorithm.compute(X, weights, means, covariances)
        seconds = perf_counter() - begin
        fitted = np.array([np.asarray(c) for c in result.covariances], dtype=np.float64)
        if structure == "diag":
            fitted = fitted.reshape(K, d)
        return Run(
            seconds,
            np.asarray(result.weights, dtype=np.float64).reshape(K),
            np.asarray(result.means, dtype=np.float64),
            to_full(fitted, structure, K, d),
        )

    return fit
