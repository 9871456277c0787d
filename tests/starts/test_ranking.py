"""Modes of a sample ranked by all rows, however the rows come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emix import GaussianModel, GaussianParameters
from emix.rows.arrays import ArraySource, SampledRows
from emix.rows.opening import stream_of
from emix.rows.sampling import Sample
from emix.starts import ranking
from emix.starts.exploration import Exploration, Mode
from emix.starts.ranking import MOST_RANKED, compared, n_near_the_best, ranked_by_all_rows
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


def test_ranking_agrees_with_the_likelihood_of_all_rows() -> None:
    X = groups(150_000)
    source, model = ArraySource(X), GaussianModel(3, 2, "full", "auto")
    theta = make_start("kmeans", source, model, 0, 0)
    mixtures = [
        GaussianParameters.of(theta.structure, theta.weights, theta.means + step, theta.covariances)
        for step in (0.3, 0.0, 0.01, 0.05)
    ]
    weight = np.random.default_rng(0).uniform(0.0, 2.0, len(X))
    weight[::3] = 0.0
    for rows in (source, ArraySource(X, weight), ArraySource(X, 4.0 * weight)):
        behind = compared(rows.whole, mixtures, None)
        expected = [model.e_step(rows, one)[1] for one in mixtures]
        assert int(np.argmax(behind)) == int(np.argmax(expected))
        assert max(behind) == 0.0
        # The means of these groups lie 0.01 apart at the least, which all rows tell and a part of them need not.
        assert behind[0] < behind[3] < -1e-4


def test_a_row_of_density_zero_under_all_mixtures_leaves_their_order() -> None:
    X = groups(70_000)
    X[5] = 1e200
    source, model = ArraySource(X), GaussianModel(3, 2, "full", "auto")
    theta = make_start("kmeans", ArraySource(groups(70_000)), model, 0, 0)
    assert compared(source.whole, [theta, theta], None) == [-np.inf, -np.inf]


def test_few_of_very_many_rows_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    X, model = groups(600_000), GaussianModel(3, 2, "full", "auto")
    theta = make_start("kmeans", ArraySource(X), model, 0, 0)
    far = GaussianParameters.of(theta.structure, theta.weights, theta.means + 1.0, theta.covariances)
    n_rows, score = 0, ranking.score_rows

    def counted(X: Array, *arguments: Any, **settings: Any) -> Any:
        nonlocal n_rows
        n_rows += len(X)
        return score(X, *arguments, **settings)

    monkeypatch.setattr(ranking, "score_rows", counted)
    behind = compared(ArraySource(X).whole, [far, theta], None)
    assert behind[1] == 0.0 > behind[0]
    assert n_rows < 2 * 70_000
