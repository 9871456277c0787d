"""A mixture that was saved comes back whole. Damage to the file is tested in test_model_file.py."""

from __future__ import annotations

import tracemalloc
import warnings
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from emix import GaussianMixture
from emix.estimators import mixture_file
from emix.estimators.mixture_file import mixture_bytes
from emix.exceptions import ModelFileError
from emix.files.model_file import load_model, save_model
from estimators.mixtures import each_type

RNG = np.random.default_rng(0)
X = np.vstack([RNG.normal(size=(50, 2)), RNG.normal([7.0, 0.0], size=(50, 2))])

FITTED = [
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
    "log_likelihood_",
    "total_weight_",
    "lower_bound_",
    "lower_bounds_",
    "converged_",
    "n_iter_",
    "stopped_by_",
    "fit_time_",
    "n_features_in_",
    "runs_",
]


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


@each_type
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_fitted_mixture(tmp_path: Path, covariance_type: str, dtype: type) -> None:
    data = X.astype(dtype)
    gm = GaussianMixture(2, covariance_type=covariance_type, n_init=2, random_state=0).fit(data)
    gm.save(tmp_path / "model")
    loaded = GaussianMixture.load(tmp_path / "model")
    for name in FITTED:
        assert_same(getattr(loaded, name), getattr(gm, name))
    assert repr(loaded) == repr(gm)
    assert loaded.get_params() == gm.get_params()
    # The first change is NaN, which is not equal to itself.
    assert [repr(record) for record in loaded.history_] == [repr(record) for record in gm.history_]
    for method in ("score_samples", "predict_proba", "predict"):
        assert_same(getattr(loaded, method)(data), getattr(gm, method)(data))
    assert_same(loaded.sample(5)[0], gm.sample(5)[0])


def test_names_of_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=["eruptions", "Öffnung"])
    GaussianMixture(2, random_state=0).fit(frame).save(tmp_path / "model")
    loaded = GaussianMixture.load(tmp_path / "model")
    assert_same(loaded.feature_names_in_, np.array(["eruptions", "Öffnung"], dtype=object))
    loaded.predict(frame)


def test_run_that_did_not_end(tmp_path: Path) -> None:
    data = np.vstack([np.zeros((10, 2)), X + 30.0])
    gm = GaussianMixture(3, reg_covar=0.0, n_init=10, init_params="random_from_data", random_state=0, max_iter=3)
    with pytest.warns(UserWarning, match="did not converge"):
        gm.fit(data)
    assert any(run.log_likelihood is None for run in gm.runs_)
    gm.save(tmp_path / "model")
    assert GaussianMixture.load(tmp_path / "model").runs_ == gm.runs_


def test_collapsed_runs_and_columns_in_doubt(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=300), np.repeat([0.0, 1.0], 150), np.full(300, 7.0)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gm = GaussianMixture(2, n_init=3, random_state=0).fit(rows)
    assert [run.column for run in gm.runs_] == [1, 1, 1]
    gm.save(tmp_path / "model")
    loaded = GaussianMixture.load(tmp_path / "model")
    assert loaded.runs_ == gm.runs_
    assert all(type(run.component) is int for run in loaded.runs_)
    assert loaded.columns_in_doubt_ == gm.columns_in_doubt_ == ((2,), (), (), ())
    assert loaded.columns_in_doubt_.constant == (2,)


def test_known_parameters(tmp_path: Path) -> None:
    gm = GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [3.0]], [1.0, 2.0], "spherical")
    gm.save(tmp_path / "model")
    loaded = GaussianMixture.load(tmp_path / "model")
    assert not hasattr(loaded, "log_likelihood_")
    assert_same(loaded.score_samples(X[:, :1]), gm.score_samples(X[:, :1]))


def test_start_and_numbers_of_numpy(tmp_path: Path) -> None:
    gm = GaussianMixture(np.int64(2), tol=np.float64(1e-4), means_init=X[[0, -1]], weights_init=[0.5, 0.5]).fit(X)
    gm.save(tmp_path / "model")
    loaded = GaussianMixture.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.means_init, X[[0, -1]])
    np.testing.assert_array_equal(loaded.weights_init, [0.5, 0.5])
    assert loaded.n_components == 2
    np.testing.assert_array_equal(loaded.fit(X).means_, gm.means_)


class Tagged(GaussianMixture):
    """With settings of its own, of every kind."""

    def __init__(
        self,
        n_components: int = 1,
        *,
        tag: object = "none",
        grid: object = None,
        random_state: object = None,
        means_init: object = None,
        tol: object = 1e-6,
    ) -> None:
        super().__init__(n_components, random_state=random_state, means_init=means_init, tol=tol)
        self.tag = tag
        self.grid = grid


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("text", "text"),
        (np.str_("text"), "text"),
        (None, None),
        (True, True),
        (np.False_, False),
        (2**70, 2**70),
        (np.uint8(3), 3),
        (np.array(4), 4),
        (np.longdouble(0.5), 0.5),
        (Fraction(1, 4), 0.25),
        (np.inf, np.inf),
        # What a file cannot hold has the default in its place.
        (np.random.RandomState(0), "none"),
        (Fraction(10**400), "none"),
        (print, "none"),
        ({"a": 1}, "none"),
        (["a", "b"], "none"),
        (np.array([1j]), "none"),
        ([[1.0], [1.0, 2.0]], "none"),
    ],
)
def test_settings_that_are_no_numbers_texts_arrays_or_none_are_not_kept(
    tmp_path: Path, given: object, expected: object
) -> None:
    Tagged(2, random_state=0, tag=given).fit(X).save(tmp_path / "model")
    assert_same(Tagged.load(tmp_path / "model").tag, expected)


@pytest.mark.parametrize("values", [np.eye(2, dtype=np.int8), [[1, 2]], pd.DataFrame({"a": [1.5]}), np.eye(3) > 0])
def test_arrays_among_the_settings_are_kept(tmp_path: Path, values: Any) -> None:
    Tagged(2, random_state=0, grid=values).fit(X).save(tmp_path / "model")
    assert_same(Tagged.load(tmp_path / "model").grid, np.asarray(values))


@pytest.mark.parametrize(
    "given",
    [
        X[[0, -1]].astype(np.longdouble),
        X[[0, -1]].astype(object),
        [[Fraction(1, 3), 0], [Decimal("7.1"), 1]],
        pd.DataFrame(X[[0, -1]]).convert_dtypes(),
        X[[0, -1]].astype(">f8"),
    ],
    ids=["long double", "objects", "exact numbers", "nullable frame", "big endian"],
)
def test_every_start_that_fits_can_be_saved(tmp_path: Path, given: Any) -> None:
    gm = GaussianMixture(2, means_init=given, tol=np.longdouble(1e-3), random_state=0).fit(X)
    gm.save(tmp_path / "model")
    loaded = GaussianMixture.load(tmp_path / "model")
    # The fit has taken them as float64 too.
    np.testing.assert_array_equal(loaded.means_init, np.asarray(given, dtype=np.float64))
    assert loaded.means_init.dtype == np.float64
    assert_same(loaded.score_samples(X), gm.score_samples(X))
    np.testing.assert_array_equal(loaded.fit(X).means_, gm.means_)


def test_generator_is_not_saved(tmp_path: Path) -> None:
    GaussianMixture(2, random_state=np.random.default_rng(0)).fit(X).save(tmp_path / "model")
    assert GaussianMixture.load(tmp_path / "model").random_state is None


def test_replaced_attributes_are_saved(tmp_path: Path) -> None:
    gm = GaussianMixture(2, random_state=0).fit(X)
    gm.means_ = gm.means_ + 1.0
    gm.save(tmp_path / "model")
    np.testing.assert_array_equal(GaussianMixture.load(tmp_path / "model").predict_proba(X), gm.predict_proba(X))


@pytest.mark.parametrize("means", [[[0, 1], [7, 1]], np.array([[0, 1], [7, 1]], dtype=np.int8)], ids=["list", "int8"])
def test_a_replaced_attribute_does_not_decide_the_dtype_of_the_others(tmp_path: Path, means: Any) -> None:
    gm = GaussianMixture(2, random_state=0).fit(X)
    gm.means_ = means
    gm.save(tmp_path / "model")
    loaded = GaussianMixture.load(tmp_path / "model")
    assert_same(loaded.means_, np.asarray(means, dtype=np.float64))
    assert_same(loaded.covariances_, gm.covariances_)
    assert_same(loaded.score_samples(X), gm.score_samples(X))


def test_the_bytes_are_those_of_the_file(tmp_path: Path) -> None:
    gm = GaussianMixture(2, random_state=0).fit(X)
    gm.save(tmp_path / "model")
    assert mixture_bytes(gm) == (tmp_path / "model").read_bytes()


class LaterReport(NamedTuple):
    """A report as a later version may have it: with fields that the file of an earlier one lacks."""

    run: int
    log_likelihood: float | None
    message: str
    component: int | None = None
    direction: str | None = None
    effective_rows: float = 0.5


def test_reports_of_a_later_version_are_kept_and_earlier_ones_have_the_defaults() -> None:
    later = [LaterReport(0, -1.5, "a", 3, "width", 2.5), LaterReport(1, None, "b", None, None, 1.0)]
    listed, columns = mixture_file.columns_of_records("runs", later, LaterReport)
    found = mixture_file.records_of_columns("runs", columns, {**listed, "message": ["a", "b"]}, LaterReport)
    assert found[0] == later[0]
    assert repr(found[1]) == repr(LaterReport(1, np.nan, "b", None, None, 1.0)).replace("np.nan", "nan")
    earlier = {"runs_run": np.array([0]), "runs_log_likelihood": np.array([-1.5])}
    assert mixture_file.records_of_columns("runs", earlier, {"message": ["a"]}, LaterReport) == [
        LaterReport(0, -1.5, "a")
    ]


def test_a_log_prior_is_kept_and_files_of_fits_without_have_none(tmp_path: Path) -> None:
    gm = GaussianMixture(2, random_state=0, n_init=2).fit(X)
    gm.save(tmp_path / "without")
    header, arrays = load_model(tmp_path / "without")
    assert not [name for name in (*arrays, *header["fit"]["runs"], *header["fit"]["history"]) if "prior" in name]
    loaded = GaussianMixture.load(tmp_path / "without")
    assert [record.log_prior for record in (*loaded.history_, *loaded.runs_)] == [0.0] * (len(gm.history_) + 2)
    assert [record.objective for record in loaded.history_] == [record.log_likelihood for record in gm.history_]

    gm.history_ = [record._replace(log_prior=-1.5) for record in gm.history_]
    gm.runs_ = [report._replace(log_prior=-report.run) for report in gm.runs_]
    gm.save(tmp_path / "with")
    loaded = GaussianMixture.load(tmp_path / "with")
    assert loaded.runs_ == gm.runs_
    assert [record.objective for record in loaded.history_] == [record.objective for record in gm.history_]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"dtype": "V1000000000"}, r"dtype is 'V1000000000', expected one of \('float32', 'float64'\)"),
        ({"dtype": "int8"}, r"dtype is 'int8', expected one of"),
        ({"dtype": "(300,300)f8"}, r"dtype is '\(300,300\)f8', expected one of"),
        ({"dtype": "O"}, r"dtype is 'O', expected one of"),
        ({"dtype": "float16"}, r"dtype is 'float16', expected one of"),
        ({"dtype": ["<f8"] * 1000}, r"dtype is \['<f8'.{,120}, expected one of"),
        ({"dtype": None}, "dtype is None, expected one of"),
        ({"feature_names": ["a"]}, r"feature_names are \['a'\], expected 2 texts"),
        ({"feature_names": ["a", 1]}, r"feature_names are \['a', 1\], expected 2 texts"),
        ({"feature_names": 7}, "TypeError"),
        ({"fit": []}, "TypeError"),
        ({"fit": "none"}, "TypeError"),
    ],
)
def test_a_header_that_no_fit_has_written_is_refused_without_its_memory(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    GaussianMixture(2, random_state=0).fit(X).save(tmp_path / "model")
    header, arrays = load_model(tmp_path / "model")
    save_model(tmp_path / "model", header | change, arrays)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=problem):
            GaussianMixture.load(tmp_path / "model")
        # NumPy reports its arrays: one number of dtype V1000000000 would be a gigabyte. The file has 6 kB.
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_parameters_of_another_dtype_are_refused(tmp_path: Path) -> None:
    GaussianMixture(2, random_state=0).fit(X).save(tmp_path / "model")
    header, arrays = load_model(tmp_path / "model")
    save_model(tmp_path / "model", header, {**arrays, "weights": arrays["weights"].astype(np.int8)})
    with pytest.raises(ModelFileError, match="a parameter has dtype int8, expected float64"):
        GaussianMixture.load(tmp_path / "model")


def test_other_kind_of_model(tmp_path: Path) -> None:
    save_model(tmp_path / "model", {"kind": "Other"}, {})
    with pytest.raises(ModelFileError, match="holds a model of kind 'Other', expected 'GaussianMixture'"):
        GaussianMixture.load(tmp_path / "model")


@pytest.mark.parametrize("change", ["parameter", "structure", "shape", "missing"])
def test_what_this_version_does_not_know(tmp_path: Path, change: str) -> None:
    GaussianMixture(2, random_state=0).fit(X).save(tmp_path / "model")
    header, arrays = load_model(tmp_path / "model")
    if change == "parameter":
        header["parameters"]["on_the_moon"] = True
    elif change == "structure":
        header["structure"] = "banded"
    elif change == "shape":
        arrays["covariances"] = arrays["covariances"][:1]
    else:
        del arrays["whitening"]
    save_model(tmp_path / "model", header, arrays)
    with pytest.raises(ModelFileError, match="holds a GaussianMixture that this emix cannot read"):
        GaussianMixture.load(tmp_path / "model")
