"""Held-out log-likelihood: folds, and the mean and error against a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.datasets import load_iris

from emix import GaussianMixture, select_mixture
from emix.choice.cross_validation import folds_of
from emix.rows.arrays import ArraySource

IRIS = load_iris().data


def test_folds_share_the_rows_and_follow_from_the_seed() -> None:
    source = ArraySource(IRIS)
    folds = folds_of(source, 7, 3)
    sizes = np.bincount(folds)
    assert sizes.sum() == 150
    assert sizes.max() - sizes.min() <= 1
    assert np.array_equal(folds, folds_of(source, 7, 3))
    assert not np.array_equal(folds, folds_of(source, 7, 4))


def test_rows_of_weight_zero_are_in_no_fold() -> None:
    weight = np.ones(150)
    weight[10:20] = 0.0
    folds = folds_of(ArraySource(IRIS, weight), 5, 0)
    assert np.array_equal(np.flatnonzero(folds < 0), np.arange(10, 20))
    assert np.array_equal(np.bincount(folds[folds >= 0]), [28] * 5)


@pytest.mark.parametrize("weighted", [False, True])
def test_against_a_plain_loop(weighted: bool) -> None:
    weight = np.random.default_rng(0).integers(1, 4, 150).astype(float) if weighted else None
    # One mixture at a time has no neighbours to start from.
    rows = [
        select_mixture(
            IRIS, K, name, "cv", n_folds=4, random_state=5, sample_weight=weight, init_params="kmeans"
        ).table_[0]
        for K in (1, 2, 3)
        for name in ("tied", "EEI")
    ]
    folds = folds_of(ArraySource(IRIS, weight), 4, 5)
    w = np.ones(150) if weight is None else weight
    for row in rows:
        totals, weights = [], []
        for fold in range(4):
            inside = folds != fold
            gm = GaussianMixture(
                row.n_components, covariance_type=row.covariance_type, init_params="kmeans", random_state=5
            )
            gm.fit(IRIS[inside], sample_weight=None if weight is None else weight[inside])
            totals.append(w[~inside] @ gm.score_samples(IRIS[~inside]))
            weights.append(w[~inside].sum())
        mean = sum(totals) / w.sum()
        assert row.cv == pytest.approx(mean, rel=1e-12)
        means, share = np.array(totals) / weights, np.array(weights) / w.sum()
        error = math.sqrt(4 / 3 * np.sum(share**2 * (means - mean) ** 2))
        assert row.cv_error == pytest.approx(error, rel=1e-9)


def test_of_folds_of_one_size_the_error_is_that_of_a_mean() -> None:
    row = select_mixture(IRIS, 2, "tied", "cv", n_folds=5, init_params="kmeans", random_state=0).table_[0]
    folds = folds_of(ArraySource(IRIS), 5, 0)
    means = []
    for fold in range(5):
        gm = GaussianMixture(2, covariance_type="tied", init_params="kmeans", random_state=0).fit(IRIS[folds != fold])
        means.append(gm.score(IRIS[folds == fold]))
    assert row.cv_error == pytest.approx(np.std(means, ddof=1) / math.sqrt(5), rel=1e-9)


def test_a_mixture_that_collapses_without_a_fold_has_no_value() -> None:
    # Two rows far out: only together do they hold a component up, and sooner or later one is held out.
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(40, 2)), rng.normal(size=(5, 2)) * 0.5 + 300.0])
    selection = select_mixture(X, [1, 2], "full", "cv", n_folds=2, random_state=0)
    one, two = selection.table_
    assert not two.degenerate
    assert two.cv is None
    assert two.cv_error is None
    assert "; collapsed without fold " in two.message
    assert selection.best_row_ == one


def test_a_fold_is_swept_as_the_table_is() -> None:
    """Held-out scores of a fold are those of the mixtures that a sweep of the other folds finds."""
    structures = ["tied", "EEI", "EII", "VEI"]
    selection = select_mixture(IRIS, range(2, 5), structures, "cv", n_folds=3, random_state=1)
    folds = folds_of(ArraySource(IRIS), 3, 1)
    for row in selection.table_:
        if row.cv is None:
            continue
        single = [
            GaussianMixture(row.n_components, covariance_type=row.covariance_type, init_params="kmeans", random_state=1)
            .fit(IRIS[folds != fold])
            .score(IRIS[folds == fold])
            for fold in range(3)
        ]
        # The sweep starts from k-means too, and keeps what is higher on the rows that are fitted; held-out scores of
        # higher modes are lower here and there, by less than this.
        assert row.cv >= np.mean(single) - 0.3
