"""emix: the loop layer, so that a start and a number of iterations can be given as they are."""

from __future__ import annotations

import warnings
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data import Start
from peers import Fit, Run, in_structure, to_full

NAME = "emix"
NOTE = ""


def versions() -> dict[str, str]:
    import emix
    from emix.kernel.level import config

    return {"emix": emix.__version__, "level": str(config().get("level in use", "unknown")), "path": emix.__path__[0]}


def prepare(
    X: NDArray[np.floating], start: Start, structure: str, n_threads: int, shortcuts: str | tuple[str, ...] = "auto"
) -> Fit:
    from emix import GaussianModel, GaussianParameters, fit_em

    K, d = start.means.shape
    # Versions before 0.2 have no such switch.
    switch: dict[str, Any] = {} if shortcuts == "auto" else {"shortcuts": shortcuts}
    model = GaussianModel(K, d, structure, reg_covar=0.0, n_threads=n_threads, **switch)
    parameters = GaussianParameters.from_covariances(
        structure, start.weights, start.means, in_structure(start.covariances, structure)
    )

    warnings.filterwarnings("ignore", message="EM did not converge")  # as many iterations are asked for

    def fit(n_iter: int) -> Run:
        begin = perf_counter()
        result = fit_em(model, X, parameters, tol=0.0, max_iter=n_iter)
        seconds = perf_counter() - begin
        fitted = result.parameters
        if result.n_iter < n_iter:
            # It stops where changes are no more than rounding, and others would go on: so do its steps here.
            begin = perf_counter()
            run, fitted = model.begin(X), parameters
            for _ in range(n_iter):
                fitted = model.m_step(run.e_step(fitted)[0])
            run.e_step(fitted)  # the closing one
            seconds = perf_counter() - begin
        return Run(seconds, fitted.weights, fitted.means, to_full(fitted.covariances, structure, K, d))

    return fit
