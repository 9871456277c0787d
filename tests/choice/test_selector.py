"""MixtureSelector as an estimator of scikit-learn."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted

import emix
from emix import MixtureSelector, NotFittedError

IRIS = load_iris().data


@pytest.mark.parametrize(
    "selector",
    [
        MixtureSelector(),
        MixtureSelector((1, 2), ("full", "tied")),
        MixtureSelector((1, 2, 3), ("EEI", "spherical"), "cv", n_folds=2),
    ],
    ids=["default", "bic", "cv"],
)
def test_every_check_of_scikit_learn(selector: MixtureSelector) -> None:
    with warnings.catch_warnings():
        # The one thing that is on purpose: emix must not import scikit-learn to define its class.
        warnings.filterwarnings(
            "ignore", message=".*does not inherit from `sklearn.base.BaseEstimator`", category=UserWarning
        )
        # Checks fit a dozen rows of ten columns, with weights of any kind, and say nothing of warnings about that.
        warnings.filterwarnings("ignore", message="Columns .* are linearly dependent")
        warnings.filterwarnings("ignore", message="A component collapsed in")
        warnings.filterwarnings("ignore", message="The mixture that is chosen, .* free parameters")
        warnings.filterwarnings("ignore", message="n_components .* left out")
        warnings.filterwarnings("ignore", message="bic takes n to be")
        # A row is held out whole, but its repetitions fall into several folds: fits then know rows that they are scored
        # by. So weights are no repetitions to "cv" (`folds_of` has the rows, not their values).
        apart = {"check_sample_weight_equivalence_on_dense_data": "repetitions of a row lie in several folds"}
        expected = apart if selector.criterion == "cv" else None
        results = check_estimator(selector, on_fail=None, on_skip=None, expected_failed_checks=expected)
    assert len(results) > 40
    failed = [(result["check_name"], result["exception"]) for result in results if result["status"] == "failed"]
    assert failed == []
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input"}


def test_it_is_the_mixture_that_select_mixture_chooses() -> None:
    selector = MixtureSelector(range(1, 4), ["full", "tied"], random_state=0).fit(IRIS)
    selection = emix.select_mixture(IRIS, range(1, 4), ["full", "tied"], random_state=0)
    best = selection.best_
    assert selector.selection_.table_ == selection.table_
    assert np.array_equal(selector.best_.means_, best.means_)
    assert np.array_equal(selector.predict(IRIS), best.predict(IRIS))
    assert np.array_equal(selector.predict_proba(IRIS), best.predict_proba(IRIS))
    assert np.array_equal(selector.score_samples(IRIS), best.score_samples(IRIS))
    assert selector.score(IRIS) == best.score(IRIS)
    assert (selector.bic(IRIS), selector.aic(IRIS), selector.icl(IRIS)) == (
        best.bic(IRIS),
        best.aic(IRIS),
        best.icl(IRIS),
    )
    assert [part.shape for part in selector.sample(5)] == [(5, 4), (5,)]
    assert np.array_equal(MixtureSelector(2, "full", random_state=0).fit_predict(IRIS), best.predict(IRIS))


def test_in_a_pipeline_with_names_of_columns() -> None:
    frame = pd.DataFrame(IRIS, columns=["a", "b", "c", "d"])
    selector = MixtureSelector(range(1, 4), "tied", random_state=0)
    scaler = StandardScaler().set_output(transform="pandas")
    pipeline = make_pipeline(scaler, selector).fit(frame)
    assert pipeline.predict(frame).shape == (150,)
    assert list(selector.feature_names_in_) == ["a", "b", "c", "d"]
    assert selector.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names should match"):
        selector.predict(frame.rename(columns={"a": "z"}))


def test_fitted_state_copies_and_pickles() -> None:
    selector = MixtureSelector((1, 2), "full", random_state=0)
    with pytest.raises(NotFittedError, match=r"MixtureSelector .* not fitted yet\. .* using this estimator\.$"):
        selector.predict(IRIS)
    selector.fit(IRIS)
    check_is_fitted(selector)
    assert clone(selector).get_params() == selector.get_params()
    loaded = pickle.loads(pickle.dumps(selector))
    assert np.array_equal(loaded.score_samples(IRIS), selector.score_samples(IRIS))
    assert loaded.selection_.table_ == selector.selection_.table_


def test_a_fit_that_fails_leaves_the_one_before() -> None:
    selector = MixtureSelector((1, 2), "full", random_state=0).fit(IRIS)
    before = selector.best_
    selector.set_params(criterion="bix")
    with pytest.raises(ValueError, match="The 'criterion' parameter of MixtureSelector must be one of"):
        selector.fit(IRIS)
    assert selector.best_ is before
    assert repr(selector).startswith("MixtureSelector(n_components=(1, 2), covariance_types='full', criterion='bix'")


def test_messages_speak_of_the_selector() -> None:
    selector = MixtureSelector((1, 2), "full", random_state=0).fit(IRIS[:, :2])
    with pytest.raises(ValueError, match="X has 3 features, but MixtureSelector is expecting 2"):
        selector.predict(IRIS[:, :3])
    with pytest.raises(ValueError, match="a minimum of 1 is required by MixtureSelector"):
        selector.score_samples(IRIS[:0, :2])
    named = clone(selector).fit(pd.DataFrame(IRIS[:, :2], columns=["a", "b"]))
    with pytest.warns(UserWarning, match="X does not have valid feature names, but MixtureSelector was fitted with"):
        named.predict(IRIS[:, :2])
    # The mixture itself speaks of itself.
    with pytest.raises(ValueError, match="X has 3 features, but GaussianMixture is expecting 2"):
        selector.best_.predict(IRIS[:, :3])
