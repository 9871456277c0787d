"""Labels, settings and rows that a MixtureClassifier refuses, and the words of its warnings."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.exceptions

import emix
from emix import MixtureClassifier
from supervised.labelled_rows import NAMES, NEW, X, Y

# Bad input


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "MixtureClassifier requires y to be passed, but the target y is None"),
        (Y[:-1], r"inconsistent numbers of samples: \[300, 299\]"),
        (np.zeros((300, 2)), r"y should be a 1d array, got an array of shape \(300, 2\) instead"),
        (np.linspace(0.0, 1.0, 300), "Unknown label type: continuous. Maybe you are trying to fit a classifier"),
        (np.where(Y == 0, np.nan, 1.0), "Input y contains NaN: the first is in row 0"),
        (np.where(Y == 1, np.inf, 1.0), "Input y contains infinity: the first is in row 150"),
        (np.array([None, *NAMES[Y[1:]]], dtype=object), "Input y contains None in row 0"),
        (np.array([pd.NA, *NAMES[Y[1:]]], dtype=object), "Input y contains <NA> in row 0"),
        (
            np.array([1, *NAMES[Y[1:]].tolist()], dtype=object),
            r"labels of the types \['int', 'str'\], which cannot be sorted",
        ),
        (Y + 1j, "Unknown label type: y has dtype complex128"),
        (np.ones(300), "has to be greater than one; got 1 class: y is 1\\.0 in all rows"),
    ],
    ids=["none", "short", "two", "continuous", "nan", "inf", "None", "NA", "mixed", "complex", "one"],
)
def test_bad_labels(y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixtureClassifier().fit(X, y)


def test_column_of_labels_is_taken_with_a_warning() -> None:
    with pytest.warns(sklearn.exceptions.DataConversionWarning, match="A column-vector y was passed"):
        found = MixtureClassifier().fit(X, Y[:, np.newaxis])
    assert found.predict(X).shape == (300,)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_components": 0}, ValueError, "'n_components' parameter of MixtureClassifier"),
        ({"n_components": {0: 1, 1: 1}}, ValueError, "lacks the class 2, expected a number for each of 0, 1, 2"),
        ({"n_components": {0: 1, 1: 1, 2: 1, 3: 1}}, ValueError, "has 3, which is no class of y"),
        ({"n_components": {0: 1, 1: 1, 2: "x"}}, TypeError, "'n_components' parameter of MixtureClassifier is 'x'"),
        ({"covariance_type": "fulll"}, ValueError, "'covariance_type' parameter .* Did you mean 'full'"),
        ({"covariance_type": 3}, TypeError, "'covariance_type' parameter of MixtureClassifier has 3"),
        ({"across_classes": 1}, TypeError, "'across_classes' parameter of MixtureClassifier must be True or False"),
        ({"across_classes": True, "n_components": 2}, ValueError, "expected 1: with across_classes=True"),
        ({"across_classes": True, "covariance_type": "fulll"}, ValueError, "Did you mean 'full'"),
        ({"criterion": "cv"}, ValueError, "'criterion' parameter of MixtureClassifier must be a str among"),
        ({"tol": -1.0}, ValueError, "'tol' parameter of MixtureClassifier"),
        ({"n_components": 70}, ValueError, "^class 1: Expected n_samples >= n_components but got n_components = 70"),
    ],
    ids=str,
)
def test_bad_settings(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MixtureClassifier(**settings).fit(X, Y)


def test_failed_fit_leaves_the_classifier_as_it_was(classifier: MixtureClassifier) -> None:
    found = copy.deepcopy(classifier)
    before = found.predict_log_proba(NEW)
    found.n_components = 70
    with pytest.raises(ValueError, match="class 1"):
        found.fit(X, Y)
    np.testing.assert_array_equal(found.predict_log_proba(NEW), before)


def test_not_fitted() -> None:
    for method in ("predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "score_samples"):
        with pytest.raises(sklearn.exceptions.NotFittedError, match=r"Call 'fit' .* before using this estimator\."):
            getattr(MixtureClassifier(), method)(X)


def test_warnings_name_the_class() -> None:
    rows = np.vstack([X, [[9.0, 9.0], [9.5, 9.1], [9.2, 9.9]]])
    labels = [*NAMES[Y], "few", "few", "few"]
    with pytest.warns(emix.ConvergenceWarning, match="^class 'few': The fit is degenerate: component 0 holds 3 rows"):
        MixtureClassifier().fit(rows, labels)
    with pytest.warns(emix.ConvergenceWarning, match="The fit is degenerate: class 'few': component 2 holds 3 rows"):
        MixtureClassifier(across_classes=True).fit(rows, labels)
    # One covariance for all classes needs no rows of each.
    assert "few" in MixtureClassifier(across_classes=True, covariance_type="tied").fit(rows, labels).predict(rows[-3:])


def test_columns_that_are_constant_are_said_of_all_classes_at_once() -> None:
    rows = np.column_stack([X, np.full(len(X), 3.0), np.where(Y == 1, 0.0, X[:, 0]), np.where(Y > 0, 1.0, X[:, 1])])
    frame = pd.DataFrame(rows, columns=["a", "b", "same", "c", "d"])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        MixtureClassifier(covariance_type="diag").fit(frame, NAMES[Y])
    everywhere, of_classes = (str(one.message) for one in said)
    assert everywhere.startswith("Column 'same' is constant, which tells no classes apart")
    assert of_classes.startswith("Column 'd' is constant in class 'apart'")
    assert of_classes.endswith(" Another class has such columns, too.")
    # One variance of all columns is not that of those.
    MixtureClassifier(covariance_type="spherical").fit(rows[:, [0, 1, 3, 4]], Y)


def test_singular_covariance_of_a_class_names_it() -> None:
    rows = np.vstack([X, np.tile([[9.0, 9.0]], (5, 1))])
    labels = [*NAMES[Y], *["same"] * 5]
    with pytest.raises(emix.DegenerateCovarianceError, match=r"^class 'same': Ill-defined empirical covariance"):
        MixtureClassifier(reg_covar=0.0).fit(rows, labels)
    message = "^Ill-defined empirical covariance: the covariance of component 2, .* Component 2 is the class 'same'"
    with pytest.raises(emix.DegenerateCovarianceError, match=message):
        MixtureClassifier(reg_covar=0.0, across_classes=True).fit(rows, labels)


@pytest.mark.parametrize("across_classes", [False, True])
@pytest.mark.parametrize("weight", [4e305, 2e305])
def test_a_total_that_overflows_is_an_error(across_classes: bool, weight: float) -> None:
    # Σ w log p overflows at the first weight, and −2 Σ w log p at the second: Σ log p of these rows is −471.
    kinds = ["tied", "full"] if across_classes else "full"  # BIC warns of such weights in the choice for each class
    classifier = MixtureClassifier(covariance_type=kinds, across_classes=across_classes)
    few = slice(None, None, 3)
    with pytest.raises(ValueError, match=r"the sum overflows\. Divide sample_weight by its largest value"):
        classifier.fit(X[few], Y[few], sample_weight=np.full(len(X[few]), weight))
    assert not hasattr(classifier, "mixtures_")
    moderate = classifier.fit(X, Y, sample_weight=np.full(len(X), 2.0**900))
    assert moderate.log_likelihood_ == classifier.fit(X, Y).log_likelihood_ * 2.0**900


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA, np.float32("nan")])
def test_missing_labels_among_texts_are_refused(missing: Any) -> None:
    labels = [*NAMES[Y[:-1]].tolist(), missing]
    column = [[label] for label in labels]
    with pytest.raises(ValueError, match=r"Input y contains .* in row 299, expected the class of each row"):
        MixtureClassifier().fit(X, labels)
    with pytest.warns(sklearn.exceptions.DataConversionWarning), pytest.raises(ValueError, match=r"in row 299"):
        MixtureClassifier().fit(X, column)
    with pytest.raises(ValueError, match=r"Input y contains .* in row 299"):
        MixtureClassifier().fit(X, pd.Series(labels, dtype="category"))
    if hasattr(np.dtypes, "StringDType"):  # from NumPy 2.0 on
        texts = np.array(labels, dtype=np.dtypes.StringDType(na_object=missing))
        with pytest.raises(ValueError, match=r"Input y contains .* in row 299"):
            MixtureClassifier().fit(X, texts)


def test_masked_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"y is a masked array with 90 masked values, expected the class of each row"):
        MixtureClassifier().fit(X, np.ma.masked_equal(Y, 2))
    unmasked = MixtureClassifier().fit(X, np.ma.masked_equal(Y, 7))
    assert unmasked.classes_.tolist() == [0, 1, 2] and not isinstance(unmasked.classes_, np.ma.MaskedArray)


def test_labels_of_bytes_are_refused() -> None:
    labels = NAMES[Y].astype(bytes)
    for given in (labels, labels.tolist(), labels.astype(object)):
        with pytest.raises(ValueError, match=r"y has the bytes b'two sides' in row 0, expected .* np\.char\.decode"):
            MixtureClassifier().fit(X, given)
    assert MixtureClassifier().fit(X, np.char.decode(labels)).classes_.tolist() == sorted(NAMES.tolist())
