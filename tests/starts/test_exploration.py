"""The rows that an exploration looks at: in single precision where that tells them apart."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import emix
from emix.rows.arrays import ArraySource
from emix.starts.exploration import ITERATIONS_OF_MANY, MANY_ROWS, Exploration, in_single_precision

Array = NDArray[np.float64]

ROWS = np.random.default_rng(0).normal(size=(4000, 2))


@pytest.mark.parametrize(
    "X",
    [
        ROWS,
        1e-12 * ROWS,  # the unit does not matter
        1e12 * ROWS,
        ROWS + 500.0,
        ROWS * [1.0, 1e9],
        np.rint(3.0 * ROWS),  # whole numbers
        ROWS * [1.0, 0.0],  # a constant column
        np.vstack([ROWS, 100.0 + ROWS]),
    ],
)
def test_single_precision_where_it_tells_rows_apart(X: Array) -> None:
    found = in_single_precision(X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, X, rtol=6e-8)  # half of its eps


@pytest.mark.parametrize(
    "X",
    [
        ROWS + 1e5,
        np.vstack([ROWS, [[1e7, 0.0]]]),  # R and the guard against collapse go by the largest value
        np.vstack([ROWS, ROWS + 1e7]),
        1e16 * ROWS,  # beyond what single precision may hold in a fit
        1e-17 * ROWS,
    ],
)
def test_double_precision_elsewhere(X: Array) -> None:
    assert in_single_precision(X) is X


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_many_rows_are_told_apart_wherever_they_lie(offset: float) -> None:
    # Two groups within each other and one beside them; k-means would cut the wide one.
    rng = np.random.default_rng(1)
    wide = 6.0 * rng.normal(size=(40_000, 2))
    X = np.vstack([rng.normal(size=(60_000, 2)), wide, rng.normal(30.0, 1.0, (20_000, 2))])
    X = X[rng.permutation(len(X))] + offset
    gm = emix.GaussianMixture(3, random_state=0).fit(X)
    order = np.argsort(gm.covariances_[:, 0, 0] + 100.0 * (gm.means_[:, 0] - offset > 15.0))
    # Five standard errors of the variance of the wide group, with the least number of rows.
    spread = gm.covariances_[order][:, [0, 1], [0, 1]]
    np.testing.assert_allclose(spread, [[1.0, 1.0], [36.0, 36.0], [1.0, 1.0]], rtol=5.0 * np.sqrt(2.0 / 20_000))


def test_a_start_of_many_rows_has_fewer_passes_than_its_iterations() -> None:
    X = np.random.default_rng(2).normal(size=(MANY_ROWS, 2))
    model = emix.GaussianModel(4, 2, "full", "auto")
    found = Exploration(ArraySource(X), model, 0, 1e-6, 1000)
    # A pass over the sample in single precision is half of one of as many rows as they are.
    assert 0.0 < found.left <= ITERATIONS_OF_MANY * MANY_ROWS / found.source.n_rows / 0.5
    single = Exploration(ArraySource(X.astype(np.float32)), model, 0, 1e-6, 1000)
    assert 0.0 < single.left <= ITERATIONS_OF_MANY * MANY_ROWS / single.source.n_rows
