"""Whatever is wrong with a parameter or with data is said in words that help, and the estimator stays as it was."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import sklearn.exceptions

from emix import GaussianMixture, NotFittedError
from emix.gaussian.structures import NAMES, OF_ONE_COLUMN

AMONG_STRUCTURES = f"must be a str among {{{', '.join(map(repr, sorted((*NAMES, *OF_ONE_COLUMN))))}}}. Got"

RNG = np.random.default_rng(0)
X = np.vstack([RNG.normal(size=(20, 2)), RNG.normal(size=(20, 2)) + 9.0])


def with_value(value: Any, row: int = 3, column: int = 1) -> Any:
    changed = X.copy()
    changed[row, column] = value
    return changed


def weights_with(value: float) -> Any:
    weight = np.ones(len(X))
    weight[5] = value
    return weight


NEGATIVE = np.array([[1.0, 0.0], [0.0, -2.0]])
SKEWED = np.array([[1.0, 0.5], [0.1, 1.0]])

PARAMETERS: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        {"n_components": 0},
        ValueError,
        "The 'n_components' parameter of GaussianMixture must be an int in the range [1, inf). Got 0",
    ),
    (
        {"n_components": 1.5},
        TypeError,
        "The 'n_components' parameter of GaussianMixture must be an int in the range [1, inf). Got 1.5",
    ),
    ({"n_components": 41}, ValueError, "Expected n_samples >= n_components but got n_components = 41, n_samples = 40"),
    (
        {"tol": -1.0},
        ValueError,
        "The 'tol' parameter of GaussianMixture must be a float in the range [0.0, inf). Got -1.0",
    ),
    ({"tol": float("nan")}, ValueError, "The 'tol' parameter of GaussianMixture"),
    ({"tol": "1e-3"}, TypeError, "The 'tol' parameter of GaussianMixture"),
    (
        {"reg_covar": -1e-6},
        ValueError,
        "The 'reg_covar' parameter of GaussianMixture must be a float in the range [0.0, inf)",
    ),
    (
        {"max_iter": -1},
        ValueError,
        "The 'max_iter' parameter of GaussianMixture must be an int in the range [0, inf). Got -1",
    ),
    (
        {"n_init": 0},
        ValueError,
        "The 'n_init' parameter of GaussianMixture must be an int in the range [1, inf). Got 0",
    ),
    (
        {"n_threads": 0},
        ValueError,
        "The 'n_threads' parameter of GaussianMixture must be an int in the range [1, inf). Got 0",
    ),
    ({"n_threads": -1}, ValueError, "The 'n_threads' parameter of GaussianMixture"),
    ({"n_threads": "all"}, TypeError, "The 'n_threads' parameter of GaussianMixture"),
    ({"verbose": -1}, ValueError, "The 'verbose' parameter of GaussianMixture must be an int in the range [0, inf)"),
    ({"verbose_interval": 0}, ValueError, "The 'verbose_interval' parameter of GaussianMixture"),
    (
        {"warm_start": "yes"},
        TypeError,
        "The 'warm_start' parameter of GaussianMixture must be True or False. Got 'yes'",
    ),
    (
        {"covariance_type": "round"},
        ValueError,
        AMONG_STRUCTURES,
    ),
    ({"covariance_type": None}, ValueError, "The 'covariance_type' parameter of GaussianMixture"),
    (
        {"init_params": "best"},
        ValueError,
        "must be a str among {'auto', 'hierarchical', 'k-means++', 'kmeans', 'random', 'random_from_data'}. Got 'best'",
    ),
    ({"random_state": -1}, ValueError, "The 'random_state' parameter must be None, an int in the range [0, inf)"),
    ({"random_state": "seed"}, TypeError, "Got 'seed' instead"),
    (
        {"weights_init": [0.5, 0.5, 0.0]},
        ValueError,
        "The parameter 'weights' should have the shape of (2,), but got (3,): weights_init",
    ),
    (
        {"weights_init": [0.5, 0.6]},
        ValueError,
        "should be normalized, but got sum(weights) = 1.10000: divide weights_init by its sum",
    ),
    ({"weights_init": [1.5, -0.5]}, ValueError, "weights_init[0] is 1.50000, expected weights between 0 and 1"),
    ({"weights_init": [0.5, np.nan]}, ValueError, "weights_init[1] is nan, expected finite numbers."),
    ({"weights_init": ["a", "b"]}, ValueError, "weights_init has dtype <U1, expected numbers"),
    (
        {"means_init": [[1.0, 2.0]]},
        ValueError,
        "The parameter 'means' should have the shape of (2, 2), but got (1, 2): means_init",
    ),
    ({"means_init": [[1.0, 2.0, 3.0]] * 2}, ValueError, "should have the shape of (2, 2), but got (2, 3)"),
    ({"means_init": [[1.0, np.inf], [0.0, 0.0]]}, ValueError, "means_init[0, 1] is inf, expected finite numbers."),
    (
        {"precisions_init": np.eye(2)},
        ValueError,
        "The parameter 'full precision' should have the shape of (2, 2, 2), but got (2, 2)",
    ),
    (
        {"precisions_init": np.stack([np.eye(2), NEGATIVE])},
        ValueError,
        "'full precision' should be symmetric, positive-definite: precisions_init[1] has -2 at [1, 1] of its diagonal",
    ),
    (
        {"precisions_init": np.stack([SKEWED, np.eye(2)])},
        ValueError,
        "precisions_init[0] is not symmetric, its elements [0, 1] and [1, 0] are 0.5 and 0.1",
    ),
    (
        {"covariance_type": "tied", "precisions_init": NEGATIVE},
        ValueError,
        "'tied precision' should be symmetric, positive-definite: precisions_init has -2 at [1, 1] of its diagonal",
    ),
    (
        {"covariance_type": "diag", "precisions_init": [[1.0, 1.0], [0.0, 1.0]]},
        ValueError,
        "'diag precision' should be positive: precisions_init[1, 0] is 0.",
    ),
    (
        {"covariance_type": "spherical", "precisions_init": [1.0, -1.0]},
        ValueError,
        "'spherical precision' should be positive: precisions_init[1] is -1.",
    ),
    (
        {"covariance_type": "spherical", "precisions_init": [1.0, np.nan]},
        ValueError,
        "precisions_init[1] is nan, expected finite numbers.",
    ),
]

DATA: list[tuple[Any, Any, type[Exception], str]] = [
    (
        with_value(np.nan),
        None,
        ValueError,
        "Input X contains NaN: the first is in row 3, column 1. Expected finite numbers.",
    ),
    (with_value(-np.inf), None, ValueError, "Input X contains -infinity: the first is in row 3, column 1."),
    (
        with_value(1e151),
        None,
        ValueError,
        "Input X contains a value too large to fit: 1e+151 in row 3, column 1. Expected",
    ),
    (
        (X * [1.0, 1e-18]).astype(np.float32),
        None,
        ValueError,
        "Input X contains a column too small to fit: column 1 varies by 1.",
    ),
    (
        pd.DataFrame({"age": X[:, 0], "height": X[:, 1] * 1e-160}),
        None,
        ValueError,
        "column 1 ('height') varies by",
    ),
    ([[0, 1], [2, 10**400]], None, ValueError, "X holds a number too large for float64 in row 1, column 1, expected"),
    (X[:, 0], None, ValueError, "Expected 2D array, got 1D array instead: X has shape (40,). Reshape your data"),
    (
        X[:0],
        None,
        ValueError,
        "Found array with 0 sample(s) (shape=(0, 2)) while a minimum of 1 is required by GaussianMixture.",
    ),
    (X[:, :0], None, ValueError, "0 feature(s) (shape=(40, 0)) while a minimum of 1 is required by GaussianMixture."),
    (X[:1], None, ValueError, "Expected n_samples >= n_components but got n_components = 2, n_samples = 1"),
    (X.astype(complex), None, ValueError, "Complex data not supported: X has dtype complex128"),
    (X.astype(str), None, ValueError, "expected numbers: could not convert string"),
    (
        np.array([["a", 1.0], [2.0, 3.0]], dtype=object),
        None,
        ValueError,
        "X holds 'a' in row 0, column 0, expected numbers",
    ),
    (scipy.sparse.csr_array(X), None, TypeError, "Sparse data was passed as X, but dense data is required."),
    (X, np.ones(39), ValueError, "sample_weight.shape == (39,), expected (40,)"),
    (X, np.ones((40, 1)), ValueError, "Sample weights must be 1D: sample_weight has shape (40, 1), expected (40,)"),
    (X, weights_with(-1.0), ValueError, "Negative values in sample_weight: -1 in row 5"),
    (X, weights_with(np.nan), ValueError, "Input sample_weight contains NaN in row 5"),
    (X, weights_with(np.inf), ValueError, "Input sample_weight contains infinity in row 5"),
    (X, np.zeros(40), ValueError, "Sample weights must contain at least one non-zero number: all 40 values"),
    (X, np.eye(40)[0], ValueError, "n_components = 2, number of rows with a weight above zero = 1"),
]


def test_columns_that_do_not_vary_or_have_no_weight_still_fit() -> None:
    rows = np.column_stack([X, np.full(40, 1e-20)]).astype(np.float32)
    with pytest.warns(UserWarning, match="Column 2 is constant"), pytest.warns(UserWarning, match="precisions_ is inf"):
        GaussianMixture(2, random_state=0).fit(rows)
    rows[3, 2] = 2e-20
    with pytest.raises(ValueError, match="column 2 varies by 1e-20"):
        GaussianMixture(2, random_state=0).fit(rows)
    with pytest.warns(UserWarning, match="Column 2 is constant"), pytest.warns(UserWarning, match="precisions_ is inf"):
        GaussianMixture(2, random_state=0).fit(rows, sample_weight=np.arange(40) != 3)


COLLAPSING = np.vstack([np.zeros((10, 2)), X + 50.0])


@pytest.fixture(params=["new", "fitted"])
def gm(request: pytest.FixtureRequest) -> GaussianMixture:
    estimator = GaussianMixture(2, random_state=0)
    return estimator if request.param == "new" else estimator.fit(pd.DataFrame(X, columns=["a", "b"]))


def refused(gm: GaussianMixture, error: type[Exception], text: str, *arguments: Any, **keywords: Any) -> None:
    before = dict(vars(gm))
    for method in (gm.fit, gm.fit_predict):
        with pytest.raises(error, match=re.escape(text)):
            method(*arguments, **keywords)
        assert vars(gm).keys() == before.keys()
        assert all(vars(gm)[name] is value for name, value in before.items())


@pytest.mark.parametrize(("parameters", "error", "text"), PARAMETERS)
def test_bad_parameters(gm: GaussianMixture, parameters: dict[str, Any], error: type[Exception], text: str) -> None:
    refused(gm.set_params(**parameters), error, text, X)


@pytest.mark.parametrize(("data", "sample_weight", "error", "text"), DATA)
def test_bad_data(gm: GaussianMixture, data: Any, sample_weight: Any, error: type[Exception], text: str) -> None:
    refused(gm, error, text, data, sample_weight=sample_weight)


def test_collapse(gm: GaussianMixture) -> None:
    gm.set_params(reg_covar=0.0, means_init=[[0.0, 0.0], [50.0, 50.0]])
    refused(gm, ValueError, "component 0, of weight 0.2 (the equivalent of 10 rows", COLLAPSING)


def test_warm_start_from_another_shape() -> None:
    gm = GaussianMixture(2, random_state=0).fit(X).set_params(warm_start=True, n_components=3)
    refused(
        gm,
        ValueError,
        "these have (covariance_type, n_components, n_features) = ('full', 2, 2), and now ('full', 3, 2)",
        X,
    )


# After the fit


METHODS = ["predict", "predict_proba", "score_samples", "score", "bic", "aic", "icl"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (X[:, :1], ValueError, "X has 1 features, but GaussianMixture is expecting 2 features as input."),
        (with_value(np.nan), ValueError, "Input X contains NaN: the first is in row 3, column 1."),
        (X[0], ValueError, "Reshape your data"),
        (X[:0], ValueError, "Found array with 0 sample(s)"),
        (scipy.sparse.csr_array(X), TypeError, "Sparse data was passed as X"),
    ],
    ids=["features", "NaN", "1-D", "empty", "sparse"],
)
def test_bad_rows_to_score(method: str, data: Any, error: type[Exception], text: str) -> None:
    gm = GaussianMixture(2, random_state=0).fit(X)
    with pytest.raises(error, match=re.escape(text)):
        getattr(gm, method)(data)


@pytest.mark.parametrize("method", METHODS)
def test_names_of_columns_must_be_those_of_the_fit(method: str) -> None:
    frame = pd.DataFrame(X, columns=["a", "b"])
    gm = GaussianMixture(2, random_state=0).fit(frame)
    score = getattr(gm, method)
    score(frame)
    with pytest.raises(ValueError, match="Feature names must be in the same order as they were in fit"):
        score(frame[["b", "a"]])
    with pytest.raises(ValueError, match="Feature names unseen at fit time:\n- c\n"):
        score(frame.rename(columns={"a": "c"}))
    with pytest.warns(UserWarning, match="X does not have valid feature names") as caught:
        score(X)
    # The warning is shown where the user called.
    assert caught[0].filename == __file__


@pytest.mark.parametrize("make", [pa.table, pa.record_batch, pl.DataFrame])
def test_tables_of_other_libraries_have_names_too(make: Any) -> None:
    gm = GaussianMixture(2, random_state=0).fit(make({"a": X[:, 0], "b": X[:, 1]}))
    assert gm.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_allclose(
        gm.score(pd.DataFrame(X, columns=["a", "b"])), gm.score(make({"a": X[:, 0], "b": X[:, 1]}))
    )
    with pytest.raises(ValueError, match="Feature names must be in the same order as they were in fit"):
        gm.score(make({"b": X[:, 1], "a": X[:, 0]}))
    with pytest.raises(TypeError, match="X is a dict with the keys 'b', 'a'"):
        gm.score({"b": X[:, 1], "a": X[:, 0]})


@pytest.mark.parametrize("method", [*METHODS, "sample", "save"])
def test_methods_need_a_fit(method: str) -> None:
    text = "This GaussianMixture instance is not fitted yet. Call 'fit' with appropriate arguments before using this"
    with pytest.raises(NotFittedError, match=re.escape(text)) as caught:
        getattr(GaussianMixture(), method)(X)
    assert isinstance(caught.value, sklearn.exceptions.NotFittedError)


@pytest.mark.parametrize(("n_samples", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)])
def test_number_of_samples(n_samples: Any, error: type[Exception]) -> None:
    gm = GaussianMixture(2, random_state=0).fit(X)
    with pytest.raises(error, match="'n_samples'.*Got " + re.escape(repr(n_samples))):
        gm.sample(n_samples)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (([1.0], [0.0, 0.0], np.eye(2)), "means has shape (2,), expected (n_components, n_features)"),
        (([0.5, 0.5], [[0.0]], [[[1.0]]]), "The parameter 'weights' should have the shape of (1,), but got (2,)"),
        (([0.5], [[0.0]], [[[1.0]]]), "sum(weights) = 0.50000: divide weights by its sum"),
        (([1.0], [[np.nan]], [[[1.0]]]), "means[0, 0] is nan, expected finite numbers"),
        (
            ([1.0], [[0.0]], [[1.0]]),
            "The parameter 'full covariance' should have the shape of (1, 1, 1), but got (1, 1)",
        ),
        (
            ([1.0], [[0.0, 0.0]], [NEGATIVE]),
            "'full covariance' should be symmetric, positive-definite: covariances[0] has",
        ),
        (([1.0], [[0.0]], [0.0], "spherical"), "'spherical covariance' should be positive: covariances[0] is 0"),
        (
            ([1.0], [[0.0]], [1.0], "round"),
            AMONG_STRUCTURES,
        ),
    ],
)
def test_bad_known_parameters(arguments: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        GaussianMixture.from_parameters(*arguments)
