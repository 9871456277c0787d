"""scikit-learn's GaussianMixture."""

from __future__ import annotations

import warnings
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from data import Start
from peers import Fit, Run, in_structure, to_full

NAME = "scikit-learn"
NOTE = ""


def versions() -> dict[str, str]:
    import sklearn

    return {"scikit-learn": sklearn.__version__}


def prepare(X: NDArray[np.floating], start: Start, structure: str, n_threads: int) -> Fit:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    K, d = start.means.shape
    # Unit covariances: their inverse has the same numbers.
    precisions = in_structure(start.covariances, structure)

    def fit(n_iter: int) -> Run:
        mixture = GaussianMixture(
            K,
            covariance_type=structure,
            tol=0.0,
            reg_covar=0.0,
            max_iter=n_iter,
            weights_init=start.weights.astype(X.dtype),
            means_init=start.means.astype(X.dtype),
            precisions_init=precisions.astype(X.dtype),
        )
        with warnings.catch_warnings():
            # A fixed number of iterations is not convergence, and it says so.
            warnings.simplefilter("ignore", ConvergenceWarning)
            begin = perf_counter()
            mixture.fit(X)
            seconds = perf_counter() - begin
        covariances = to_full(mixture.covariances_, structure, K, d)
        return Run(seconds, mixture.weights_, mixture.means_, covariances)

    return fit
