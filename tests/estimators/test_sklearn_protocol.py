"""GaussianMixture as an estimator of scikit-learn, without being one of its classes."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import sklearn.exceptions
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted

from emix import GaussianMixture
from emix.estimators.sklearn_protocol import SklearnEstimator
from estimators.mixtures import each_type

RNG = np.random.default_rng(0)
X = np.vstack([RNG.normal(size=(60, 2)), RNG.normal([6.0, 0.0], size=(40, 2))])


@pytest.fixture
def routing() -> Iterator[None]:
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def test_import_does_not_import_scikit_learn() -> None:
    code = (
        "import sys, emix; gm = emix.GaussianMixture(2, random_state=0).fit([[0.0], [0.1], [5.0], [5.1]]); "
        "repr(gm), gm.get_params(), gm.set_params(tol=1e-3), gm.predict([[0.0]]); "
        "assert not any(m.split('.')[0] in ('sklearn', 'pandas', 'polars') for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


@pytest.mark.parametrize(
    "estimator", [GaussianMixture(), GaussianMixture(covariance_type="tied", init_params="random")], ids=repr
)
def test_every_check_of_scikit_learn(estimator: GaussianMixture) -> None:
    with warnings.catch_warnings():
        # The one thing that is on purpose: emix must not import scikit-learn to define its class.
        warnings.filterwarnings(
            "ignore", message=".*does not inherit from `sklearn.base.BaseEstimator`", category=UserWarning
        )
        # Checks fit a dozen rows of ten columns, and say nothing of warnings about that.
        warnings.filterwarnings("ignore", message="The fit is degenerate")
        warnings.filterwarnings("ignore", message="Columns .* are linearly dependent")
        # One check is skipped by scikit-learn itself unless SCIPY_ARRAY_API is set.
        results = check_estimator(estimator, on_fail=None, on_skip=None)
    assert len(results) > 40
    failed = [(result["check_name"], result["exception"]) for result in results if result["status"] == "failed"]
    assert failed == []
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input"}
    assert not any(result["status"] == "xfail" for result in results)


# Parameters


def test_parameters_are_those_of_the_constructor() -> None:
    gm = GaussianMixture(3, tol=1e-4)
    parameters = gm.get_params()
    assert parameters["n_components"] == 3
    assert parameters["tol"] == 1e-4
    assert parameters["init_params"] == "auto"
    assert GaussianMixture(**parameters).get_params() == parameters
    assert gm.set_params(n_components=4, tol=0.1) is gm
    assert (gm.n_components, gm.tol) == (4, 0.1)


def test_unknown_parameter_sets_nothing() -> None:
    gm = GaussianMixture()
    with pytest.raises(ValueError, match=r"Invalid parameter 'components' for estimator GaussianMixture\(\)\. Valid"):
        gm.set_params(tol=0.5, components=2)
    assert gm.tol == GaussianMixture().tol


def test_unknown_nested_parameter_sets_nothing() -> None:
    gm = GaussianMixture()
    message = r"Invalid parameter 'n_components__x' for .*: n_components is 1, which has no parameter 'x'\."
    with pytest.raises(ValueError, match=message):
        gm.set_params(tol=0.5, n_components__x=2)
    assert gm.tol == GaussianMixture().tol

    class Holder(SklearnEstimator):
        def __init__(self, mixture: object = None, number: int = 0) -> None:
            self.mixture = mixture
            self.number = number

    holder = Holder(GaussianMixture(2))
    with pytest.raises(ValueError, match=r"Invalid parameter 'mixture__components'"):
        holder.set_params(number=3, mixture__n_components=4, mixture__components=4)
    assert holder.number == 0 and holder.get_params()["mixture__n_components"] == 2
    new = GaussianMixture(5)
    holder.set_params(mixture=new, mixture__tol=0.1, number=1)
    assert holder.mixture is new and (new.n_components, new.tol, holder.number) == (5, 0.1, 1)


def test_repr_shows_what_was_changed() -> None:
    assert repr(GaussianMixture()) == "GaussianMixture()"
    assert repr(GaussianMixture(2, tol=0.1)) == "GaussianMixture(n_components=2, tol=0.1)"
    assert repr(GaussianMixture(weights_init=np.array([1.0]))) == "GaussianMixture(weights_init=array([1.]))"
    assert "means_init=<array of shape (50, 3)>" in repr(GaussianMixture(means_init=np.zeros((50, 3))))


# Copies


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda gm: pickle.loads(pickle.dumps(gm))], ids=["copy", "deepcopy", "pickle"]
)
@each_type
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_copies_score_to_the_same_bits(copied: Any, covariance_type: str, dtype: type) -> None:
    data = X.astype(dtype)
    gm = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(data)
    other = copied(gm)
    np.testing.assert_array_equal(other.score_samples(data), gm.score_samples(data))
    np.testing.assert_array_equal(other.predict_proba(data), gm.predict_proba(data))
    assert repr(other) == repr(gm)
    assert other.log_likelihood_ == gm.log_likelihood_


def test_clone_is_not_fitted() -> None:
    gm = GaussianMixture(2, random_state=0).fit(X)
    check_is_fitted(gm)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        check_is_fitted(clone(gm))


# Inside scikit-learn


def test_pipeline_and_grid_search() -> None:
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(random_state=0))
    search = GridSearchCV(pipeline, {"gaussianmixture__n_components": [1, 2]}, cv=3).fit(X)
    assert search.best_params_ == {"gaussianmixture__n_components": 2}
    labels = search.predict(X)
    assert len(set(labels[:60])) == len(set(labels[60:])) == 1
    assert "GaussianMixture(n_components=2" in repr(search.best_estimator_)
    # Jupyter shows pipelines as HTML.
    assert "GaussianMixture" in pipeline._repr_html_()


def test_cross_validation() -> None:
    scores = cross_val_score(GaussianMixture(2, random_state=0), X, cv=3)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_names_of_columns_are_kept(frame: Any) -> None:
    data = frame({"eruptions": X[:, 0], "waiting": X[:, 1]})
    gm = GaussianMixture(2, random_state=0).fit(data)
    assert gm.feature_names_in_.tolist() == ["eruptions", "waiting"]
    np.testing.assert_array_equal(gm.predict_proba(data), gm.fit(X).predict_proba(X))
    assert not hasattr(gm, "feature_names_in_")


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_names_come_through_set_output(container: str) -> None:
    data = pd.DataFrame({"eruptions": X[:, 0], "waiting": X[:, 1]})
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(2, random_state=0)).set_output(transform=container)
    gm = pipeline.fit(data)[-1]
    assert gm.feature_names_in_.tolist() == ["eruptions", "waiting"]
    assert len(pipeline.predict(data)) == len(X)


def test_names_come_through_a_column_transformer() -> None:
    data = pd.DataFrame({"eruptions": X[:, 0], "waiting": X[:, 1]})
    columns = ColumnTransformer([("scaled", StandardScaler(), ["waiting"])]).set_output(transform="pandas")
    gm = make_pipeline(columns, GaussianMixture()).fit(data)[-1]
    assert gm.feature_names_in_.tolist() == ["scaled__waiting"]


# Metadata routing


def test_routing_must_be_enabled() -> None:
    with pytest.raises(RuntimeError, match="only available when metadata routing is enabled"):
        GaussianMixture().set_fit_request(sample_weight=True)


@pytest.mark.usefixtures("routing")
def test_weights_are_routed_where_they_are_asked_for() -> None:
    weight = np.repeat([1.0, 0.0], [60, 40])
    gm = GaussianMixture(random_state=0).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    routed = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), gm)
    routed.fit(X, sample_weight=weight)
    direct = GaussianMixture(random_state=0).fit(StandardScaler().fit_transform(X), sample_weight=weight)
    np.testing.assert_array_equal(routed[-1].means_, direct.means_)
    scaled = routed[0].transform(X)
    assert routed.score(X, sample_weight=weight) == direct.score(scaled, sample_weight=weight)


@pytest.mark.usefixtures("routing")
def test_weights_that_nobody_asked_for_are_an_error() -> None:
    pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), GaussianMixture())
    with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
        pipeline.fit(X, sample_weight=np.ones(len(X)))


@pytest.mark.usefixtures("routing")
def test_requests_are_cloned_and_pickled() -> None:
    gm = GaussianMixture().set_fit_request(sample_weight="w")
    gm.set_fit_request()
    for other in (clone(gm), pickle.loads(pickle.dumps(gm)), gm):
        requests = other.get_metadata_routing()
        assert requests.fit.requests == {"sample_weight": "w"}
        assert requests.score.requests == {"sample_weight": None}
