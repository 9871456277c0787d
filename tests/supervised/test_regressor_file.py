"""Model files of a MixtureRegressor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import emix
from emix import GaussianMixture, MixtureClassifier, MixtureRegressor
from emix.files.model_file import load_model, save_model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 2))
Y = np.abs(X) + 0.1 * RNG.normal(size=(200, 2))


@pytest.mark.parametrize("outputs", [Y, Y[:, 0], Y[:, :1]], ids=["two", "vector", "column"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("named", [False, True])
def test_loaded_regressor_predicts_to_the_same_bits(outputs: Any, dtype: type, named: bool, tmp_path: Path) -> None:
    rows: Any = pd.DataFrame(X.astype(dtype), columns=["a", "b"]) if named else X.astype(dtype)
    fitted = MixtureRegressor(3, covariance_type="VEE", random_state=0, tol=1e-4).fit(rows, outputs.astype(dtype))
    fitted.save(tmp_path / "model")
    loaded = MixtureRegressor.load(tmp_path / "model")
    assert loaded.get_params() == fitted.get_params()
    for found, expected in zip(loaded.predict(rows, return_std=True), fitted.predict(rows, return_std=True)):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(loaded.conditional(rows).means, fitted.conditional(rows).means)
    for name in ("n_outputs_", "n_features_in_", "n_iter_", "converged_"):
        assert getattr(loaded, name) == getattr(fitted, name)
    assert vars(loaded).get("feature_names_in_", np.array([])).tolist() == (["a", "b"] if named else [])
    np.testing.assert_array_equal(loaded.fit(rows, outputs.astype(dtype)).predict(rows), fitted.predict(rows))


def test_a_regressor_made_of_a_mixture_is_kept(tmp_path: Path) -> None:
    gm = GaussianMixture.from_parameters([1.0], [[0.0, 1.0]], [[[1.0, 0.5], [0.5, 2.0]]])
    MixtureRegressor.from_mixture(gm, 1).set_params(tol=0.5, n_threads=1).save(tmp_path / "model")
    loaded = MixtureRegressor.load(tmp_path / "model")
    assert (loaded.tol, loaded.n_threads) == (0.5, 1) and not hasattr(loaded, "n_iter_")
    assert loaded.predict([[2.0]]).tolist() == [2.0]  # 1 + 0.5 · 2


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(emix.NotFittedError):
        MixtureRegressor().save(tmp_path / "model")
    MixtureClassifier().fit(X, X[:, 0] > 0.0).save(tmp_path / "classes")
    with pytest.raises(emix.ModelFileError, match="holds a model of kind 'MixtureClassifier', expected 'MixtureRegr"):
        MixtureRegressor.load(tmp_path / "classes")


@pytest.mark.parametrize(
    ("key", "value"),
    [("n_outputs", 0), ("n_outputs", 3), ("n_outputs", "1"), ("n_outputs", 2), ("feature_names", ["a"]),
     ("mixture", {}), ("parameters", {"components": 3})],
)  # fmt: skip
def test_headers_of_others_are_refused(key: str, value: Any, tmp_path: Path) -> None:
    MixtureRegressor().fit(X, Y[:, 0]).save(tmp_path / "model")
    header, arrays = load_model(tmp_path / "model")
    save_model(tmp_path / "other", {**header, key: value}, arrays)
    with pytest.raises(emix.ModelFileError, match="holds a MixtureRegressor that this emix cannot read"):
        MixtureRegressor.load(tmp_path / "other")
