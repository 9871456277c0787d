"""MixtureSelector as an estimator of scikit-learn."""

from __future__ import annotations

import warnings

import pytest
from sklearn.datasets import load_iris
from sklearn.utils.estimator_checks import check_estimator

from emix import MixtureSelector

IRIS = load_iris().data


@pytest.mark.parametrize(
    "selector",
    [
        MixtureSelector((1, 2), ("full", "tied")),
        MixtureSelector((1, 2, 3), ("EEI", "spherical"), "cv", n_folds=2),
    ],
    ids=["bic", "cv"],
)
def test_every_check_of_scikit_learn(selector: MixtureSelector) -> None:
    with warnings.catch_warnings():
        # The one thing that is on purpose: emix must not import scikit-learn to define its class.
        warnings.filterwarnings(
            "ignore", message=".*does not inherit from `sklearn.base.BaseEstimator`", category=UserWarning
        )
        warnings.filterwarnings("ignore", message="Columns .* are linearly dependent")
        warnings.filterwarnings("ignore", message="n_components .* left out")
        # Checks fit a dozen rows of weights that are no counts.
        warnings.filterwarnings("ignore", message="bic takes n to be")
        results = check_estimator(selector, on_fail=None, on_skip=None)
    assert len(results) > 40
    failed = [(result["check_name"], result["exception"]) for result in results if result["status"] == "failed"]
    assert failed == []
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input"}
