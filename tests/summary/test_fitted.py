"""Facts that a face reads from a fitted mixture, against its own methods."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn.mixture

import emix
from emix.datasets import load_faithful
from emix.faces import plot_mixture, summary
from emix.gaussian.structures import STRUCTURES
from emix.summary.fitted import assign, column_names, criteria, full_covariances, stop_sentence


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


@pytest.mark.parametrize("face", [summary, lambda estimator: plot_mixture(estimator, np.zeros((3, 2)))])
def test_what_is_no_fitted_mixture_is_refused(face: Callable[[object], object], faithful: np.ndarray) -> None:
    with pytest.raises(emix.NotFittedError, match="This GaussianMixture instance is not fitted yet"):
        face(emix.GaussianMixture(2))
    for other, kind in (
        (faithful, "a ndarray of numpy"),
        (None, "a NoneType of builtins"),
        ("model.npz", "a str of builtins"),
        (emix.MultivariateNormal([0.0], [[1.0]]), "a MultivariateNormal of emix"),
        (sklearn.mixture.GaussianMixture(2), "a GaussianMixture of sklearn"),
    ):
        with pytest.raises(TypeError, match=rf"^estimator is {kind}.*, expected a fitted emix\.GaussianMixture\.$"):
            face(other)
    with pytest.raises(TypeError, match="estimator is the class GaussianMixture, expected a fitted"):
        face(emix.GaussianMixture)
    # Its parameters can be looked at. What emix reports of a fit, it has not.
    with pytest.raises(TypeError, match=r"Make one of its parameters: emix\.GaussianMixture\.from_parameters"):
        face(sklearn.mixture.GaussianMixture(2, random_state=0).fit(faithful))


@pytest.mark.parametrize("face", [summary, plot_mixture])
def test_rows_of_other_columns_are_refused(face: Callable[[object, object], object], faithful: np.ndarray) -> None:
    frame = pd.DataFrame(faithful, columns=["a", "b"])
    mixture = emix.GaussianMixture(2, random_state=0).fit(frame)
    face(mixture, frame)
    face(mixture, faithful)  # without names, by position
    for X, message in (
        (frame[["b", "a"]], "Feature names must be in the same order"),
        (frame.rename(columns={"a": "c"}), "Feature names unseen at fit time:\n- c"),
        (frame.assign(c=1.0), "Feature names unseen at fit time:\n- c"),
        (np.zeros((5, 3)), "X has 3 features, but GaussianMixture is expecting 2"),
        (np.zeros((0, 2)), r"Found array with 0 sample\(s\)"),
        (faithful[0], "Expected 2D array, got 1D array"),
        (np.full((1, 2), np.nan), "Input X contains NaN"),
        ("rows.csv", "X has dtype <U8, expected numbers|No such file or directory: 'rows.csv'"),
        (load_faithful(), r"X is a Dataset, expected an array or a data frame: pass X\.data\."),
    ):
        with pytest.raises((TypeError, ValueError, FileNotFoundError), match=message):
            face(mixture, X)


def test_weights_need_rows(mixture: emix.GaussianMixture, faithful: np.ndarray) -> None:
    with pytest.raises(ValueError, match="sample_weight is given, but not X: pass the rows that it weights"):
        summary(mixture, sample_weight=np.ones(272))
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(2,\), expected \(272,\)"):
        summary(mixture, faithful, [1.0, 1.0])


def test_a_given_mixture_has_no_criteria() -> None:
    given = emix.GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]])
    assert criteria(given) is None


def arrow(rows: np.ndarray) -> pa.Table:
    return pa.table({"a": rows[:, 0], "b": rows[:, 1]})


@pytest.mark.parametrize("kind", [np.asarray, np.ndarray.tolist, pd.DataFrame, pl.DataFrame, arrow])
def test_assignment_sums_up_responsibilities(
    faithful: np.ndarray, kind: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emix.summary.fitted.ROWS_AT_A_TIME", 100)
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


@pytest.mark.parametrize("structure", STRUCTURES)
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
