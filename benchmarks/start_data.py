"""Data sets on which starts are compared: real ones that libraries ship, and made-up mixtures with known truth."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import emix

Array = NDArray[np.float64]

N_MADE_UP = 20


class DataSet(NamedTuple):
    """Rows, a number of components, and the parameters that made-up rows come from."""

    X: Array
    n_components: int
    truth: emix.GaussianParameters | None = None


def principal_components(X: Array, n: int) -> Array:
    """The first n principal components of the rows."""
    centred = X - X.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:n]
    return np.ascontiguousarray(centred @ axes.T)


def made_up(number: int) -> DataSet:
    """Rows of a mixture with random sizes: 2 to 8 columns, 3 to 10 components of very different widths and shapes."""
    rng = np.random.default_rng([20261129, number])
    d, K = int(rng.integers(2, 9)), int(rng.integers(3, 11))
    n = 200 * K
    weights = rng.dirichlet(np.full(K, 20.0))
    means = rng.normal(scale=rng.uniform(3.0, 6.0), size=(K, d))
    covariances = np.empty((K, d, d))
    for k in range(K):
        axes, _ = np.linalg.qr(rng.normal(size=(d, d)))
        variances = np.exp(rng.normal(scale=0.7, size=d)) * rng.choice([0.1, 1.0, 4.0])
        covariances[k] = (axes * variances) @ axes.T
    covariances = (covariances + covariances.swapaxes(1, 2)) / 2.0
    labels = rng.choice(K, size=n, p=weights)
    roots = np.linalg.cholesky(covariances)
    X = means[labels] + np.einsum("nij,nj->ni", roots[labels], rng.normal(size=(n, d)))
    return DataSet(X, K, emix.GaussianParameters.from_covariances("full", weights, means, covariances))


def _scikit_learn(name: str) -> Array:
    from sklearn import datasets

    return np.ascontiguousarray(getattr(datasets, f"load_{name}")().data, dtype=np.float64)


def _china() -> Array:
    from sklearn.datasets import load_sample_image

    return np.ascontiguousarray(load_sample_image("china.jpg").reshape(-1, 3) / 255.0)


_MAKERS: dict[str, Callable[[], DataSet]] = {
    "iris": lambda: DataSet(_scikit_learn("iris"), 3),
    "wine": lambda: DataSet(_scikit_learn("wine"), 3),
    "faithful": lambda: DataSet(emix.load_faithful().data, 2),
    "breast cancer": lambda: DataSet(np.ascontiguousarray(_scikit_learn("breast_cancer")[:, :10]), 2),
    # Without the column of zeros and ones, on which every component collapses.
    "diabetes": lambda: DataSet(np.ascontiguousarray(np.delete(_scikit_learn("diabetes"), 1, axis=1)), 3),
    "digits": lambda: DataSet(principal_components(_scikit_learn("digits"), 10), 10),
    "china": lambda: DataSet(_china(), 6),
}

NAMES = (*_MAKERS, *(f"made-up {number}" for number in range(N_MADE_UP)))


@cache
def data_set(name: str) -> DataSet:
    """The data set of a name."""
    if name in _MAKERS:
        return _MAKERS[name]()
    return made_up(int(name.removeprefix("made-up ")))
