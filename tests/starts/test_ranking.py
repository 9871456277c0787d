"""Modes of a sample ranked by all rows, however the rows come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emix import GaussianModel, GaussianParameters
from emix.gaussian.scoring import score_rows
from emix.rows.arrays import ArraySource, SampledRows
from emix.rows.opening import stream_of
from emix.rows.sampling import Sample
from emix.starts import ranking
from emix.starts.exploration import Exploration, Mode
from emix.starts.ranking import MOST_RANKED, n_near_the_best, order_of, ranked_by_all_rows
from emix.starts.starting_parameters import make_start

Array = NDArray[np.float64]


def groups(n: int) -> Array:
    rng = np.random.default_rng(0)
    return np.asarray(6.0 * rng.normal(size=(3, 2))[rng.integers(3, size=n)] + rng.normal(size=(n, 2)))


def source_of(X: Array, weight: Array | None, streamed: bool) -> ArraySource:
    """The rows, or the sample of a stream of blocks of them."""
    if not streamed:
        return ArraySource(X, weight)

    def blocks() -> Iterator[Any]:
        for first in range(0, len(X), 3000):
            part = slice(first, first + 3000)
            yield X[part] if weight is None else (X[part], weight[part])

    stream, sample = stream_of(blocks), Sample(0)
    assert stream is not None
    stream.read(sample)
    return SampledRows(sample.drawn(), stream, 0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("streamed", [False, True])
def test_all_rows_decide_where_the_sample_cannot_tell(streamed: bool, weighted: bool) -> None:
    X = groups(150_000)
    weight = np.random.default_rng(0).uniform(0.0, 2.0, len(X)).round() if weighted else None
    source, model = source_of(X, weight, streamed), GaussianModel(3, 2, "full", "auto")
    exploration = Exploration(source, model, 0, 1e-6, 1000)
    result = exploration.run(make_start("kmeans", exploration.source, model, 0, 0), 100)
    assert result is not None
    theta, total = result.parameters, exploration.source.total_weight
    # Means moved by a tenth of a standard deviation: log-likelihoods of all rows fall by more than a sample's noise.
    moved = GaussianParameters.of(theta.structure, theta.weights, theta.means + 0.1, theta.covariances)
    lower = Mode(moved, replace(result, parameters=moved))
    mode = Mode(theta, replace(result, log_likelihood=result.log_likelihood - 0.01 * total))
    far = Mode(theta, replace(result, log_likelihood=result.log_likelihood - 1.0 * total))
    found = [lower, mode, far]
    assert n_near_the_best(found, exploration) == 2
    assert ranked_by_all_rows(found, exploration, source.all_rows, model) == [mode, lower, far]
    # No more than MOST_RANKED are looked at: each takes a pass over all rows.
    many = [*[lower] * MOST_RANKED, mode]
    assert ranked_by_all_rows(many, exploration, source.all_rows, model) == many


def test_a_stream_of_few_rows_is_ranked_in_memory() -> None:
    rows = source_of(groups(10_000), None, True)
    assert not rows.is_sample
    assert rows.all_rows is rows


def moved(theta: GaussianParameters, step: float) -> GaussianParameters:
    return GaussianParameters.of(theta.structure, theta.weights, theta.means + step, theta.covariances)


def order_by_all(X: Array, weight: Array | None, mixtures: list[GaussianParameters]) -> list[int]:
    totals = [GaussianModel(3, 2, "full", "auto").e_step((X, weight), one)[1] for one in mixtures]
    return sorted(range(len(mixtures)), key=lambda i: -totals[i])


@pytest.mark.parametrize("every", [None, 2, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_order_is_that_of_all_rows(monkeypatch: pytest.MonkeyPatch, every: int | None, dtype: Any) -> None:
    monkeypatch.setattr(ranking, "PART_ROWS", 1000)
    X = groups(7001).astype(dtype)
    weight = None
    if every is not None:
        weight = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
        weight[::every] = 0.0
    theta = make_start("kmeans", ArraySource(X), GaussianModel(3, 2, "full", "auto"), 0, 0)
    # One is far behind, and goes out first; two are alike but for rounding of what the rows tell.
    mixtures = [moved(theta, step) for step in (1.0, 0.01, 0.0, 0.2, 0.03)]
    expected = order_by_all(X, weight, mixtures)
    for places in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
        given = [mixtures[i] for i in places]
        whole = ArraySource(X, weight).whole
        found = [places[i] for i in order_of(given, whole, None)]
        assert found == expected
        assert [places[i] for i in order_of(given, whole, 3)] == found


def test_rows_that_repeat_in_a_period_are_not_taken_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "PART_ROWS", 1000)
    X = groups(24_000)
    theta = make_start("kmeans", ArraySource(X), GaussianModel(3, 2, "full", "auto"), 0, 0)
    X[::24] += 40.0  # every 24th row alone says that the means should be larger, all rows that they should not
    mixtures = [moved(theta, 5.0), theta]
    assert order_by_all(X, None, mixtures) == [1, 0]
    assert order_by_all(X[::24], None, mixtures) == [0, 1]
    assert order_of(mixtures, ArraySource(X).whole, None) == [1, 0]


def test_a_row_of_density_zero_says_nothing_under_all_and_all_under_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "PART_ROWS", 1000)
    X = groups(5000)
    theta = make_start("kmeans", ArraySource(X), GaussianModel(3, 2, "full", "auto"), 0, 0)
    mixtures = [moved(theta, step) for step in (1.0, 0.1, 0.0)]
    for row in (0, 1, 4, 4999):
        with_zero = X.copy()
        with_zero[row] = 1e200
        assert order_of(mixtures, ArraySource(with_zero).whole, None) == [2, 1, 0]
    # Narrow components have no density for a row that others have.
    narrow = GaussianParameters.of(theta.structure, theta.weights, theta.means, theta.covariances * 1e-4)
    far = X.copy()
    far[7] = 1e154
    assert order_of([narrow, mixtures[0], theta], ArraySource(far).whole, None) == [2, 1, 0]
    # Of two that cannot be, each for a row that the other has, neither is better.
    far[8] = -1e154
    two = []
    for place in (1e154, -1e154):
        means = theta.means.copy()
        means[2] = place
        two.append(GaussianParameters.of(theta.structure, theta.weights, means, theta.covariances))
    assert [np.isneginf(score_rows(far[7:9], one, warn_of_zeros=False).log_density).sum() for one in two] == [1, 1]
    monkeypatch.setattr(ranking, "PART_ROWS", 10_000)
    assert order_of(two, ArraySource(far).whole, None) == [0, 1]


def test_a_row_far_out_under_all_does_not_hide_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "PART_ROWS", 1000)
    X = groups(8000)
    X[3] = 3e4
    theta = make_start("kmeans", ArraySource(groups(8000)), GaussianModel(3, 2, "full", "auto"), 0, 0)
    other = moved(theta, 0.0)
    other.packed.setflags(write=True)
    other.packed[:3] = other.packed[[1, 2, 0]]  # weights of other components
    other = GaussianParameters.of(theta.structure, other.weights.copy(), theta.means, theta.covariances)
    assert order_of([other, theta], ArraySource(X).whole, None) == order_by_all(X, None, [other, theta])


def test_few_of_very_many_rows_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    X, model = groups(600_000), GaussianModel(3, 2, "full", "auto")
    theta = make_start("kmeans", ArraySource(X), model, 0, 0)
    n_rows, score = 0, ranking.score_rows

    def counted(X: Array, *arguments: Any, **settings: Any) -> Any:
        nonlocal n_rows
        n_rows += len(X)
        return score(X, *arguments, **settings)

    monkeypatch.setattr(ranking, "score_rows", counted)
    assert order_of([moved(theta, 1.0), theta], ArraySource(X).whole, None) == [1, 0]
    assert n_rows < 2 * 70_000


@pytest.mark.parametrize("weighted", [False, True])
def test_single_precision_ranks_alike(weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "PART_ROWS", 1000)
    X = groups(5000)
    weight = np.random.default_rng(2).integers(1, 4, len(X)).astype(float) if weighted else None
    theta = make_start("kmeans", ArraySource(X), GaussianModel(3, 2, "full", "auto"), 0, 0)
    mixtures = [moved(theta, step) for step in (1.0, 0.0, 0.1, 0.3)]
    single = np.dtype(np.float32)
    assert order_of(mixtures, ArraySource(X, weight).whole, None, single) == [1, 2, 3, 0]
    # A row that single precision has no number for, which the sample did not hold.
    far = X.copy()
    far[77] = 1e60
    assert order_of(mixtures, ArraySource(far, weight).whole, None, single)[0] == 1
