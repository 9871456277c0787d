"""MixtureClassifier: posteriors by Bayes, classes, priors, weights, and its place in scikit-learn."""

from __future__ import annotations

import copy
import pickle
import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn.exceptions
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import emix
from emix import MixtureClassifier
from supervised.labelled_rows import NAMES, NEW, Y_SHARES, Array, X, Y


def log_density(mixture: emix.GaussianMixture, rows: Array) -> Array:
    """By SciPy, for matrices."""
    parts = [
        np.log(weight) + multivariate_normal(mean, covariance).logpdf(rows)
        for weight, mean, covariance in zip(mixture.weights_, mixture.means_, mixture.covariances_)
    ]
    return np.asarray(logsumexp(np.stack(parts), axis=0))


# Posteriors


def test_posteriors_are_those_of_bayes_theorem(classifier: MixtureClassifier) -> None:
    joint = np.stack([log_density(mixture, NEW) for mixture in classifier.mixtures_], axis=1) + np.log(Y_SHARES)
    density = logsumexp(joint, axis=1)
    posterior = joint - density[:, np.newaxis]
    # Log-densities of some −100 with covariances that SciPy factors by eigenvalues.
    np.testing.assert_allclose(classifier.predict_joint_log_proba(NEW), joint, rtol=1e-11)
    np.testing.assert_allclose(classifier.predict_log_proba(NEW), posterior, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(classifier.predict_proba(NEW), np.exp(posterior), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(classifier.score_samples(NEW), density, rtol=1e-11)
    np.testing.assert_array_equal(classifier.predict(NEW), posterior.argmax(axis=1))
    # Two sums of the same 300 numbers.
    assert classifier.log_likelihood_ == pytest.approx(classifier.score_samples(X).sum(), rel=1e-14)


def test_posteriors_sum_to_one(classifier: MixtureClassifier) -> None:
    np.testing.assert_allclose(classifier.predict_proba(NEW).sum(axis=1), 1.0, rtol=1e-14)


def test_several_modes_of_a_class_are_found(classifier: MixtureClassifier) -> None:
    one_each = MixtureClassifier().fit(X, Y)
    assert classifier.score(X, Y) > one_each.score(X, Y)
    assert classifier.bic_ < one_each.bic_
    chosen = MixtureClassifier([1, 2, 3], random_state=0).fit(X, Y)
    assert [mixture.n_components for mixture in chosen.mixtures_] == [2, 1, 1]


def test_each_mixture_is_the_fit_of_its_class(classifier: MixtureClassifier) -> None:
    alone = emix.GaussianMixture(2, random_state=0).fit(X[Y == 0])
    np.testing.assert_array_equal(classifier.mixtures_[0].means_, alone.means_)
    parameters = sum(mixture.n_parameters_ for mixture in classifier.mixtures_)
    assert classifier.n_parameters_ == parameters == 11 + 5 + 5
    assert classifier.n_iter_ == alone.n_iter_


def test_one_common_covariance_is_linear_discriminant_analysis() -> None:
    ours = MixtureClassifier(covariance_type="tied", across_classes=True, reg_covar=0.0).fit(X, Y)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(X, Y)  # its covariances are those of maximum likelihood
    # Their coefficients lose digits where terms of some 30 cancel.
    np.testing.assert_allclose(ours.predict_log_proba(NEW), theirs.predict_log_proba(NEW), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("across_classes", [False, True])
def test_one_covariance_for_each_class_is_quadratic_discriminant_analysis(across_classes: bool) -> None:
    ours = MixtureClassifier(across_classes=across_classes, reg_covar=0.0).fit(X, Y)
    theirs = QuadraticDiscriminantAnalysis(store_covariance=True).fit(X, Y)
    np.testing.assert_allclose(ours.priors_, theirs.priors_, rtol=1e-15)
    for mixture, mean, covariance in zip(ours.mixtures_, theirs.means_, theirs.covariance_):
        np.testing.assert_allclose(mixture.means_[0], mean, rtol=1e-12, atol=1e-13)
        # The divisor, n or n - 1, depends on scikit-learn's version.
        own = mixture.covariances_[0]
        np.testing.assert_allclose(own / own[0, 0], covariance / covariance[0, 0], rtol=1e-12, atol=1e-13)
    assert np.mean(ours.predict(NEW) == theirs.predict(NEW)) > 0.98  # for covariances that differ by 1/60 or less


def test_rows_far_from_all_classes_have_the_nearest() -> None:
    classifier = MixtureClassifier().fit(X, Y)
    far = np.array([[1e160, 0.0], [0.0, 1e200], [-3.0, 0.0]])
    proba, log_proba = classifier.predict_proba(far), classifier.predict_log_proba(far)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-14)
    assert not np.isnan(log_proba).any()
    # So far away the class is nearest that has the least precision along the first column.
    widest = np.argmin([mixture.precisions_[0][0, 0] for mixture in classifier.mixtures_])
    assert proba[0, widest] == 1.0 and log_proba[0, widest] == 0.0
    np.testing.assert_array_equal(classifier.predict(far), classifier.classes_[proba.argmax(axis=1)])
    with pytest.warns(RuntimeWarning, match="The density is zero in float64"):
        assert np.isneginf(classifier.score_samples(far)[:2]).all()


def test_improbable_classes_are_told_apart_by_logarithms() -> None:
    classifier = MixtureClassifier().fit(X, Y)
    row = np.array([[0.0, 200.0]])
    log_proba = classifier.predict_log_proba(row)[0]
    assert np.isfinite(log_proba).all()
    assert (np.sort(np.exp(log_proba))[:2] == 0.0).all()


def test_single_precision_is_scored_in_double() -> None:
    single = X.astype(np.float32)
    classifier = MixtureClassifier({0: 2, 1: 1, 2: 1}, random_state=0).fit(single, Y)
    assert classifier.mixtures_[0].means_.dtype == np.float32
    found = classifier.predict_proba(single)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, classifier.predict_proba(single.astype(np.float64)))


def test_threads_change_no_bit() -> None:
    rows, labels = np.tile(X, (30, 1)), np.tile(Y, 30)
    one, two = (
        MixtureClassifier({0: 2, 1: 1, 2: 1}, init_params="kmeans", random_state=0, n_threads=n).fit(rows, labels)
        for n in (1, 2)
    )
    np.testing.assert_array_equal(one.predict_log_proba(NEW), two.predict_log_proba(NEW))
    assert one.log_likelihood_ == two.log_likelihood_


# Priors


def test_priors_are_the_shares_of_the_weight() -> None:
    assert MixtureClassifier().fit(X, Y).priors_.tolist() == Y_SHARES.tolist()
    weight = np.where(Y == 2, 2.0, 1.0)
    np.testing.assert_allclose(MixtureClassifier().fit(X, Y, weight).priors_, [150 / 390, 60 / 390, 180 / 390])


def test_given_priors_move_the_log_odds() -> None:
    given = np.array([0.2, 0.2, 0.6])
    base, moved = (MixtureClassifier(priors=priors).fit(X, Y) for priors in (None, given))
    difference = moved.predict_joint_log_proba(NEW) - base.predict_joint_log_proba(NEW)
    # Rounding of log-densities of some −100.
    np.testing.assert_allclose(difference, np.tile(np.log(given / Y_SHARES), (len(NEW), 1)), rtol=0.0, atol=1e-12)


def test_class_of_prior_zero_is_never_predicted() -> None:
    classifier = MixtureClassifier(priors=[0.5, 0.5, 0.0]).fit(X, Y)
    assert 2 not in classifier.predict(np.vstack([X, [[1e200, 1e200]]]))
    assert (classifier.predict_proba(X)[:, 2] == 0.0).all()


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        (
            [0.5, 0.5],
            r"'priors' should have the shape of \(3,\), but got \(2,\): priors needs one number for each class",
        ),
        ([0.5, 0.5, 0.5], "divide priors by its sum"),
        ([-0.5, 1.0, 0.5], r"priors\[0\] is -0.5"),
        ([np.nan, 0.5, 0.5], r"priors\[0\] is nan, expected finite numbers"),
    ],
)
def test_bad_priors(priors: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixtureClassifier(priors=priors).fit(X, Y)


# Weights


@pytest.mark.parametrize("across_classes", [False, True])
def test_weights_count_as_repetition(across_classes: bool) -> None:
    counts = np.random.default_rng(1).integers(0, 4, size=len(X))
    weighted = MixtureClassifier(across_classes=across_classes, covariance_type="VEV").fit(X, Y, counts)
    repeated = MixtureClassifier(across_classes=across_classes, covariance_type="VEV").fit(
        np.repeat(X, counts, axis=0), np.repeat(Y, counts)
    )
    # The same steps from the same start, with sums of other terms: log-densities of some −100 lose a few digits.
    np.testing.assert_allclose(weighted.predict_log_proba(NEW), repeated.predict_log_proba(NEW), rtol=1e-9, atol=1e-11)
    assert weighted.log_likelihood_ == pytest.approx(repeated.log_likelihood_, rel=1e-12)
    assert weighted.bic_ == pytest.approx(repeated.bic_, rel=1e-12)


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**900])
def test_unit_of_the_weights_does_not_matter(unit: float) -> None:
    plain = MixtureClassifier(across_classes=True, covariance_type="EEV").fit(X, Y)
    other = MixtureClassifier(across_classes=True, covariance_type="EEV").fit(X, Y, np.full(len(X), unit))
    np.testing.assert_array_equal(plain.predict_log_proba(NEW), other.predict_log_proba(NEW))


def test_class_without_weight_is_no_class() -> None:
    classifier = MixtureClassifier().fit(X, Y, (Y != 1).astype(float))
    assert classifier.classes_.tolist() == [0, 2]
    without = MixtureClassifier().fit(X[Y != 1], Y[Y != 1])
    np.testing.assert_array_equal(classifier.predict_proba(NEW), without.predict_proba(NEW))


def test_score_is_the_accuracy(classifier: MixtureClassifier) -> None:
    weight = np.random.default_rng(2).uniform(size=len(X))
    assert classifier.score(X, Y) == accuracy_score(Y, classifier.predict(X))
    expected = accuracy_score(Y, classifier.predict(X), sample_weight=weight)
    assert classifier.score(X, Y, weight) == pytest.approx(expected, rel=1e-14)
    assert classifier.score(X, np.full(len(X), 7)) == 0.0


# Classes


@pytest.mark.parametrize(
    "labels",
    [
        NAMES[Y],
        NAMES[Y].astype(object),
        NAMES[Y].tolist(),
        pd.Series(NAMES[Y]),
        pd.Categorical(NAMES[Y]),
        pl.Series(NAMES[Y].tolist()),
        (10 * Y - 10).astype(np.int8),
        Y.astype(float),
        [bool(label) for label in Y],
    ],
    ids=["str", "object", "list", "pandas", "categorical", "polars", "int8", "float", "bool"],
)
def test_labels_of_any_kind(labels: Any) -> None:
    found = MixtureClassifier(reg_covar=0.0).fit(X, labels)
    given = np.asarray(labels)
    assert found.classes_.tolist() == sorted(set(given.tolist()))
    predicted = found.predict(X)
    assert predicted.dtype == found.classes_.dtype
    assert found.score(X, labels) == np.mean(predicted == given) > 0.7


def test_names_of_classes_change_nothing() -> None:
    order = np.array([2, 0, 1])
    plain, renamed = MixtureClassifier().fit(X, Y), MixtureClassifier().fit(X, order[Y])
    # Sums over the classes are taken in another order.
    np.testing.assert_allclose(renamed.predict_proba(NEW)[:, order], plain.predict_proba(NEW), rtol=1e-13)
    np.testing.assert_array_equal(renamed.predict(NEW), order[plain.predict(NEW)])


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_names_of_columns(frame: Any, classifier: MixtureClassifier) -> None:
    data = frame({"width": X[:, 0], "height": X[:, 1]})
    found = MixtureClassifier({0: 2, 1: 1, 2: 1}, random_state=0).fit(data, Y)
    assert found.feature_names_in_.tolist() == ["width", "height"]
    assert all(mixture.feature_names_in_.tolist() == ["width", "height"] for mixture in found.mixtures_)
    np.testing.assert_array_equal(found.predict_proba(data), classifier.predict_proba(X))
    with pytest.raises(ValueError, match="The feature names should match"):
        found.predict(frame({"height": X[:, 0], "width": X[:, 1]}))
    with pytest.warns(UserWarning, match="X does not have valid feature names, but MixtureClassifier was fitted with"):
        found.predict(X)
    assert not hasattr(found.fit(X, Y), "feature_names_in_")


def test_names_come_through_across_classes() -> None:
    data = pd.DataFrame({"width": X[:, 0], "height": X[:, 1]})
    found = MixtureClassifier(across_classes=True).fit(data, Y)
    assert found.mixtures_[0].feature_names_in_.tolist() == ["width", "height"]
    assert found.predict(data).shape == (len(X),)


def test_keys_of_the_mapping_are_compared_as_numbers(classifier: MixtureClassifier) -> None:
    found = MixtureClassifier({np.int8(0): 2, 1.0: [1], 2: 1}, random_state=0).fit(X, Y.astype(float))
    np.testing.assert_array_equal(found.predict_proba(NEW), classifier.predict_proba(NEW))


# One column, and names of structures for it


@pytest.mark.parametrize("across_classes", [False, True])
def test_structures_of_one_column(across_classes: bool) -> None:
    for short, name in (("E", "tied"), ("V", "full")):
        found = MixtureClassifier(covariance_type=short, across_classes=across_classes).fit(X[:, :1], Y)
        assert found.covariance_types_ == [name] * 3
    chosen = MixtureClassifier(covariance_type="all", across_classes=across_classes).fit(X[:, :1], Y)
    assert set(chosen.covariance_types_) <= {"tied", "full"}


# In scikit-learn


@pytest.mark.parametrize(
    "estimator",
    [MixtureClassifier(), MixtureClassifier(covariance_type="tied", across_classes=True)],
    ids=repr,
)
def test_every_check_of_scikit_learn(estimator: MixtureClassifier) -> None:
    with warnings.catch_warnings():
        # As for GaussianMixture: emix does not import scikit-learn, and checks fit a dozen rows of ten columns.
        warnings.filterwarnings(
            "ignore", message=".*does not inherit from `sklearn.base.BaseEstimator`", category=UserWarning
        )
        warnings.filterwarnings("ignore", message=".*The fit is degenerate")
        warnings.filterwarnings("ignore", message=".*Columns? .* (are|is) (linearly dependent|constant|nearly)")
        results = check_estimator(estimator, on_fail=None, on_skip=None)
    assert len(results) > 50
    failed = [(result["check_name"], result["exception"]) for result in results if result["status"] == "failed"]
    assert failed == []
    assert {result["check_name"] for result in results if result["status"] == "skipped"} <= {"check_array_api_input"}


def test_pipeline_and_grid_search() -> None:
    pipeline = make_pipeline(StandardScaler(), MixtureClassifier(random_state=0))
    grid = {"mixtureclassifier__n_components": [1, 2], "mixtureclassifier__covariance_type": ["full", "diag"]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, NAMES[Y])
    assert search.best_params_["mixtureclassifier__n_components"] == 2
    assert search.score(X, NAMES[Y]) > 0.95


def test_copies_predict_the_same_bits(classifier: MixtureClassifier) -> None:
    for other in (copy.deepcopy(classifier), pickle.loads(pickle.dumps(classifier))):
        np.testing.assert_array_equal(other.predict_log_proba(NEW), classifier.predict_log_proba(NEW))
    with pytest.raises(sklearn.exceptions.NotFittedError):
        clone(classifier).predict(X)
    assert re.fullmatch(r"MixtureClassifier\(n_components=\{0: 2, 1: 1, 2: 1\}, random_state=0\)", repr(classifier))
