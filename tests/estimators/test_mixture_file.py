"""A mixture that was saved comes back whole. Damage to the file is tested in test_model_file.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from emix import GaussianMixture
from emix.estimators.model_file import load_model, save_model
from emix.exceptions import ModelFileError

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


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
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


def test_generator_is_not_saved(tmp_path: Path) -> None:
    GaussianMixture(2, random_state=np.random.default_rng(0)).fit(X).save(tmp_path / "model")
    assert GaussianMixture.load(tmp_path / "model").random_state is None


def test_replaced_attributes_are_saved(tmp_path: Path) -> None:
    gm = GaussianMixture(2, random_state=0).fit(X)
    gm.means_ = gm.means_ + 1.0
    gm.save(tmp_path / "model")
    np.testing.assert_array_equal(GaussianMixture.load(tmp_path / "model").predict_proba(X), gm.predict_proba(X))


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
