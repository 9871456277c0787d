"""The rows that an exploration looks at: in single precision where that tells them apart."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import emix
from emix.gaussian.model import GaussianModel
from emix.rows.arrays import ArraySource
from emix.starts.exploration import ITERATIONS_OF_MANY, MANY_ROWS, Exploration, in_single_precision
from emix.starts.starting_parameters import make_start

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
    found = in_single_precision(X, np.sort(X.T, axis=1))
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
    assert in_single_precision(X, np.sort(X.T, axis=1)) is X


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


def test_a_flat_component_is_no_collapse_of_a_sample_in_single_precision() -> None:
    # One of three groups is 10 000 times narrower in an oblique direction: its variance there is below what sums of
    # squares in single precision are rounded to.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 3)) + np.repeat(20.0 * np.eye(3), [7000, 7000, 6000], axis=0)
    u = np.array([0.6, 0.64, 0.48])
    X[:7000] -= (1.0 - 1e-4) * np.outer((X[:7000] - [20.0, 0.0, 0.0]) @ u, u)
    found = Exploration(ArraySource(X), GaussianModel(3, 3, "full", "auto"), 0, 1e-6, 100)
    assert found.source.dtype == np.float32
    start = make_start("kmeans", ArraySource(X), found.model, 0, 0)
    result = found.run(start, 50)
    assert result is not None
    assert result.statistics.columns.epsilon == np.finfo(np.float64).eps
    # The truth: entropies of the three groups, and log 3 of about equal weights.
    expected = (
        -1.5 * np.log(2.0 * np.pi * np.e) - 0.35 * np.log(1e-4) + np.dot([0.35, 0.35, 0.3], np.log([0.35, 0.35, 0.3]))
    )
    assert result.log_likelihood / found.source.total_weight == pytest.approx(expected, abs=0.1)  # 4 096 rows
    with pytest.warns(UserWarning, match="nearly linearly dependent"):
        mixture = emix.GaussianMixture(3, random_state=0).fit(X)
    assert not mixture.runs_[0].degenerate
    assert mixture.lower_bound_ == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_work_side_by_side_has_equal_parts_of_what_is_left(n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emix.starts.exploration.LEAST_OF_THREADS", 0.0)
    exploration = Exploration(ArraySource(ROWS), GaussianModel(3, 2, "full", "auto", n_threads), 0, 1e-6, 1000)
    exploration.left = 90.0
    given = [0.0] * 3

    def work(number: int, part: Exploration) -> None:
        given[number] = part.left
        part.left -= 10.0 * number  # the last takes more than it has
        if number == 0:
            part.shared(2, inner)

    def inner(number: int, part: Exploration) -> None:
        part.left -= 1.0

    exploration.shared(3, work)
    assert given == [30.0] * 3
    assert exploration.left == 90.0 - 0.0 - 10.0 - 20.0 - 2.0

    def alone(number: int, part: Exploration) -> None:
        assert part is exploration

    exploration.shared(1, alone)
