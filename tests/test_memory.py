"""Extra memory of a fit does not grow with the number of rows. NumPy tells tracemalloc of its arrays."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emix import ConvergenceWarning, GaussianMixture, GaussianModel, GaussianParameters, fit_em
from emix.gaussian.structures import STRUCTURES
from emix.rows.arrays import ArraySource
from emix.starts.starting_parameters import make_start


def rows(n_rows: int) -> NDArray[np.float64]:
    X = np.random.default_rng(0).normal(size=(n_rows, 2))
    X[::2] += 3.0
    return X


def peak(work: Callable[[], Any]) -> int:
    """Most bytes at one time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # few iterations are meant
        work()  # what is imported or cached once
        tracemalloc.start()
        try:
            work()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_of_em_does_not_grow_with_the_rows(structure: str, order: Any) -> None:
    covariances = STRUCTURES[structure].form.from_pooled(np.eye(2), 2)
    start = GaussianParameters.from_covariances(structure, [0.5, 0.5], [[0.0, 0.0], [3.0, 3.0]], covariances)

    def of(n_rows: int) -> int:
        X = np.asarray(rows(n_rows), order=order)
        model = GaussianModel(2, 2, structure, n_threads=2)
        return peak(lambda: fit_em(model, X, start, tol=0.0, max_iter=2))

    # 350 000 rows more: a byte for each would be seen. Python's own objects come to some kilobytes.
    assert abs(of(400_000) - of(50_000)) < 50_000


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("start", ["given", "kmeans", "random"])
def test_memory_of_a_whole_fit_does_not_grow_with_the_rows(start: str, weighted: bool) -> None:
    def of(n_rows: int) -> int:
        X = rows(n_rows)
        weight = np.ones(n_rows) if weighted else None
        given = {"weights_init": [0.5, 0.5], "means_init": X[:2], "precisions_init": [np.eye(2)] * 2}
        how = given if start == "given" else {"init_params": start}
        gm = GaussianMixture(2, max_iter=2, random_state=0, **how)
        return peak(lambda: gm.fit(X, sample_weight=weight))

    # From twice 65 536 rows on the sample of a start is as large as it gets. As above.
    assert abs(of(600_000) - of(200_000)) < 50_000


@pytest.mark.parametrize("structure", STRUCTURES)
def test_memory_of_a_random_start_does_not_grow_with_the_components(structure: str) -> None:
    X = rows(20_000)

    def of(n_components: int) -> int:
        return peak(lambda: make_start("random", ArraySource(X), GaussianModel(n_components, 2, structure, 1e-6), 0, 0))

    # 198 components more: 32 megabytes if there were a number for each row and component.
    assert abs(of(200) - of(2)) < 200_000
