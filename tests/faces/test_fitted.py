"""What a face reads from a fitted mixture, against its own methods."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

import emix
from emix.faces.fitted import assign, column_names, criteria, full_covariances, stop_sentence


def test_criteria_are_those_of_the_estimator(mixture: emix.GaussianMixture, faithful: np.ndarray) -> None:
    values = criteria(mixture, assign(mixture, faithful))
    assert values is not None
    # sums of 272 terms of size 5 in another order
    tolerance = {"rel": 1e-12}
    assert values.log_likelihood == mixture.log_likelihood_
    assert values.bic == pytest.approx(mixture.bic(faithful), **tolerance)
    assert values.aic == pytest.approx(mixture.aic(faithful), **tolerance)
    assert values.icl == pytest.approx(mixture.icl(faithful), **tolerance)
    assert values.n_parameters == 11
    assert values.total_weight == 272.0
    assert criteria(mixture).icl is None


def test_weighted_criteria_are_those_of_repeated_rows(faithful: np.ndarray) -> None:
    w = np.tile([1.0, 2.0], len(faithful) // 2)
    weighted = emix.GaussianMixture(2, random_state=0).fit(faithful, sample_weight=w)
    repeated = np.repeat(faithful, w.astype(int), axis=0)
    values = criteria(weighted, assign(weighted, faithful, w))
    assert weighted.total_weight_ == values.total_weight == w.sum()
    with pytest.warns(UserWarning, match="bic was called without sample_weight"):
        assert values.bic == pytest.approx(weighted.bic(repeated), rel=1e-12)
    with pytest.warns(UserWarning, match="icl was called without sample_weight"):
        assert values.icl == pytest.approx(weighted.icl(repeated), rel=1e-12)


def test_a_given_mixture_has_no_criteria() -> None:
    given = emix.GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]])
    assert criteria(given) is None


@pytest.mark.parametrize("kind", [np.asarray, np.ndarray.tolist, pd.DataFrame, pl.DataFrame])
def test_assignment_sums_up_responsibilities(
    faithful: np.ndarray, kind: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emix.faces.fitted._ROWS_AT_A_TIME", 100)
    X = kind(faithful)
    mixture = emix.GaussianMixture(3, random_state=0).fit(X)
    r = mixture.predict_proba(X)
    w = np.linspace(0.0, 2.0, len(faithful))
    assignment = assign(mixture, X, w)
    assert assignment.n_rows == len(faithful)
    np.testing.assert_allclose(assignment.counts, np.bincount(r.argmax(axis=1), weights=w, minlength=3), rtol=1e-12)
    assert assignment.certainty == pytest.approx(np.average(r.max(axis=1), weights=w), rel=1e-12)


def test_pandas_rows_are_taken_by_position(faithful: np.ndarray) -> None:
    frame = pd.DataFrame(faithful, columns=["a", "b"], index=np.linspace(5.0, 6.0, len(faithful)))
    mixture = emix.GaussianMixture(2, random_state=0).fit(frame)
    assert assign(mixture, frame).counts.sum() == len(faithful)


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_full_covariances_give_the_same_densities(faithful: np.ndarray, structure: str) -> None:
    mixture = emix.GaussianMixture(2, covariance_type=structure, random_state=0).fit(faithful)
    full = emix.GaussianMixture.from_parameters(mixture.weights_, mixture.means_, full_covariances(mixture))
    # the same numbers through a Cholesky factor or not
    np.testing.assert_allclose(full.score_samples(faithful), mixture.score_samples(faithful), rtol=1e-12)


def test_names_are_given_or_known_or_numbered(mixture: emix.GaussianMixture, faithful: np.ndarray) -> None:
    assert column_names(mixture) == ["x0", "x1"]
    assert column_names(mixture, ("a", "b")) == ["a", "b"]
    named = emix.GaussianMixture(1).fit(pd.DataFrame(faithful, columns=["c", "d"]))
    assert column_names(named) == ["c", "d"]
    with pytest.raises(ValueError, match="feature_names has 1 names, but the mixture has 2 columns"):
        column_names(mixture, ["a"])


def test_the_reason_for_stopping_is_said(mixture: emix.GaussianMixture) -> None:
    assert stop_sentence(mixture) == "converged: the log-likelihood changed by less than tol = 1e-06 per row"


def test_a_log_likelihood_of_zero_has_criteria(faithful: np.ndarray) -> None:
    fitted = emix.GaussianMixture(2, random_state=0).fit(faithful)
    fitted.log_likelihood_ = fitted.lower_bound_ = 0.0
    values = criteria(fitted)
    assert values is not None
    assert values.total_weight == 272.0
    assert values.bic == 11 * np.log(272.0)
