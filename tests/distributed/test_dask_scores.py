"""Scores of dask collections: lazy, in their partitions, and those of the rows in an array."""

from __future__ import annotations

from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import emix
from gaussian.examples import clusters
from partitioned import array_of, cut

X = clusters(3000, 3, 3)
W = np.random.default_rng(1).integers(0, 3, 3000).astype(float)
NAMES = ["a", "b", "c"]
LENGTHS = (700, 0, 1200, 1, 1099)
METHODS = ("score_samples", "predict", "predict_proba")


@pytest.fixture(scope="module")
def gm() -> emix.GaussianMixture:
    return emix.GaussianMixture(3, random_state=0).fit(X)


@pytest.fixture(scope="module")
def named() -> emix.GaussianMixture:
    return emix.GaussianMixture(3, random_state=0).fit(pd.DataFrame(X, columns=NAMES))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("method", METHODS)
def test_scores_of_an_array_are_lazy_arrays(gm: emix.GaussianMixture, method: str, dtype: Any) -> None:
    rows = X.astype(dtype)
    parts = array_of(cut(rows, LENGTHS))
    found, expected = getattr(gm, method)(parts), getattr(gm, method)(rows)
    assert isinstance(found, da.Array)
    assert (found.dtype, found.shape, found.chunks[0]) == (expected.dtype, expected.shape, LENGTHS)
    computed = found.compute()
    assert computed.dtype == expected.dtype
    np.testing.assert_array_equal(computed, expected)


def test_nothing_is_computed_before_it_is_asked_for(gm: emix.GaussianMixture) -> None:
    def refuse(block: Any) -> Any:
        raise AssertionError("computed")

    data = da.from_array(X, chunks=(1000, 3)).map_blocks(refuse, meta=np.empty((0, 0)))
    for method in METHODS:
        with pytest.raises(AssertionError, match="computed"):
            getattr(gm, method)(data).compute()


@pytest.mark.parametrize("method", METHODS)
def test_scores_of_a_frame_keep_its_index(named: emix.GaussianMixture, method: str) -> None:
    frame = pd.DataFrame(X, columns=NAMES, index=np.arange(3000) * 7)
    data = dd.from_pandas(frame, npartitions=4)
    found, expected = getattr(named, method)(data), getattr(named, method)(frame)
    if method == "predict_proba":
        assert isinstance(found, da.Array)
        assert found.numblocks == (4, 1)
    else:
        assert isinstance(found, dd.Series)
        assert found.name == {"score_samples": "log_density", "predict": "labels"}[method]
        assert found.divisions == data.divisions
        np.testing.assert_array_equal(found.compute().index, frame.index)
    np.testing.assert_array_equal(found.compute(), expected)
    assert found.dtype == expected.dtype


def test_labels_beside_the_columns(named: emix.GaussianMixture) -> None:
    data = dd.from_pandas(pd.DataFrame(X, columns=NAMES), npartitions=4)
    counts = data.assign(component=named.predict(data)).groupby("component").size().compute()
    np.testing.assert_array_equal(counts.sort_index(), counts_of(named))


def counts_of(gm: emix.GaussianMixture) -> Any:
    return np.bincount(gm.predict(pd.DataFrame(X, columns=NAMES)))


def test_several_scores(gm: emix.GaussianMixture) -> None:
    scores = gm.score_rows(da.from_array(X, chunks=(1000, 3)), labels=True)
    assert scores.responsibilities is None
    np.testing.assert_array_equal(scores.log_density.compute(), gm.score_samples(X))
    np.testing.assert_array_equal(scores.labels.compute(), gm.predict(X))


def test_fit_predict_is_lazy(gm: emix.GaussianMixture) -> None:
    labels = emix.GaussianMixture(3, random_state=0).fit_predict(da.from_array(X, chunks=(1000, 3)))
    assert isinstance(labels, da.Array)
    np.testing.assert_array_equal(labels.compute(), gm.predict(X))


@pytest.mark.parametrize("kind", ["array", "frame"])
@pytest.mark.parametrize("weight", [None, W])
def test_criteria_are_numbers(named: emix.GaussianMixture, kind: str, weight: Any) -> None:
    frame = pd.DataFrame(X, columns=NAMES)
    gm = named if kind == "frame" else emix.GaussianMixture(3, random_state=0).fit(X)
    rows: Any = frame if kind == "frame" else X
    data: Any = dd.from_pandas(frame, npartitions=4) if kind == "frame" else array_of(cut(X, LENGTHS))
    for criterion in (gm.score, gm.bic, gm.aic, gm.icl):
        # Sums of as many log-densities, added in another order.
        assert criterion(data, sample_weight=weight) == pytest.approx(criterion(rows, sample_weight=weight), rel=1e-12)


def test_statistics_of_weights_are_those_of_all_partitions(gm: emix.GaussianMixture) -> None:
    data = array_of(cut(X, LENGTHS))
    with pytest.warns(UserWarning, match="bic takes n to be the sum of sample_weight"):
        gm.bic(data, sample_weight=100 * np.random.default_rng(0).uniform(size=3000))
    with pytest.raises(ValueError, match="all weights of the rows are zero"):
        gm.score(data, sample_weight=np.zeros(3000))


def test_rows_far_out_are_counted_once(gm: emix.GaussianMixture) -> None:
    far = X.copy()
    far[[5, 2000]] = 1e200
    message = r"The density is zero in float64, .* for 2 of 3000 rows, .* The first has 1e\+200 in column 0\."
    with pytest.warns(RuntimeWarning, match=message) as caught:
        gm.score(array_of(cut(far, LENGTHS)))
    assert len(caught) == 1


def test_other_columns_than_the_fit_are_refused_at_once(gm: emix.GaussianMixture, named: emix.GaussianMixture) -> None:
    swapped = dd.from_pandas(pd.DataFrame(X, columns=["b", "a", "c"]), npartitions=2)
    for score in (named.predict, named.score):
        with pytest.raises(ValueError, match="in the same order as they were in fit"):
            score(swapped)
    for score in (gm.predict, gm.score):
        with pytest.raises(ValueError, match="X has 2 features, but GaussianMixture is expecting 3"):
            score(da.from_array(X[:, :2], chunks=1000))
        with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
            score(da.from_array(X[:, 0], chunks=1000))


def test_bad_values_are_refused_when_they_are_scored(gm: emix.GaussianMixture) -> None:
    bad = X.copy()
    bad[1500, 1] = np.nan
    data = array_of(cut(bad, LENGTHS))
    for method in METHODS:
        with pytest.raises(ValueError, match="Input partition 2 of X contains NaN: the first is in row 800, column 1"):
            getattr(gm, method)(data).compute()
    with pytest.raises(ValueError, match="Input partition 2 of X contains NaN: the first is in row 800, column 1"):
        gm.score(data)
    with pytest.raises(ValueError, match="Found array with 0 sample"):
        gm.score(data[:0])


def test_bad_values_of_a_frame_are_named_by_partition_and_column(named: emix.GaussianMixture) -> None:
    bad = X.copy()
    bad[1503, 1] = np.inf
    data = dd.from_pandas(pd.DataFrame(bad, columns=NAMES), npartitions=4)
    message = r"Input partition 2 of X contains infinity: the first is in row 3, column 1 \('b'\)"
    for method in METHODS:
        with pytest.raises(ValueError, match=message):
            getattr(named, method)(data).compute()
    with pytest.raises(ValueError, match=message):
        named.score(data)
