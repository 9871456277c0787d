"""Model files of a MixtureClassifier."""

from __future__ import annotations

import datetime as dt
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import emix
from emix import MixtureClassifier
from emix.files.model_file import load_model, save_model

RNG = np.random.default_rng(0)
X = np.vstack([RNG.normal(size=(60, 2)), RNG.normal([4.0, 1.0], size=(50, 2)), RNG.normal([0.0, 5.0], size=(40, 2))])
Y = np.repeat([0, 1, 2], [60, 50, 40])
NAMES = np.array(["left", "right", "above"])
STRING_DTYPES = [kind for name, kind in vars(np.dtypes).items() if name == "StringDType"]


@pytest.mark.parametrize(
    "labels",
    [Y, NAMES[Y], NAMES[Y].astype(object), Y.astype(float), Y == 1, Y.astype(np.uint8)],
    ids=["int", "str", "object", "float", "bool", "uint8"],
)
@pytest.mark.parametrize(
    "settings",
    [
        {"n_components": [1, 2], "covariance_type": ["full", "diag"], "random_state": 3},
        {"across_classes": True, "covariance_type": "VEV", "reg_covar": 1e-4, "random_state": 0},
        {"criterion": "aic", "n_threads": 1, "covariance_type": ("tied", "full"), "random_state": 1},
    ],
    ids=["chosen", "across", "aic"],
)
def test_loaded_classifier_predicts_to_the_same_bits(settings: dict[str, Any], labels: Any, tmp_path: Path) -> None:
    fitted = MixtureClassifier(**settings).fit(X, labels)
    fitted.save(tmp_path / "model")
    loaded = MixtureClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_log_proba(X), fitted.predict_log_proba(X))
    predicted = loaded.predict(X)
    np.testing.assert_array_equal(predicted, fitted.predict(X))
    assert predicted.dtype == fitted.predict(X).dtype
    parameters = loaded.get_params()
    assert {name: parameters[name] for name in settings if name != "covariance_type"} == {
        name: value for name, value in settings.items() if name != "covariance_type"
    }
    assert list(parameters["covariance_type"]) == list(settings["covariance_type"])
    for name in ("log_likelihood_", "n_parameters_", "bic_", "n_iter_", "covariance_types_", "n_features_in_"):
        assert getattr(loaded, name) == getattr(fitted, name)
    again = loaded.fit(X, labels)
    np.testing.assert_array_equal(again.predict_log_proba(X), fitted.predict_log_proba(X))


def test_names_and_a_mapping_are_kept(tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=["a", "b"])
    settings: dict[str, Any] = {"n_components": {"left": 1, "right": 2, "above": 1}, "priors": np.full(3, 1 / 3)}
    fitted = MixtureClassifier(**settings, random_state=np.random.default_rng(0)).fit(frame, NAMES[Y])
    fitted.save(tmp_path / "model.npz")
    loaded = MixtureClassifier.load(tmp_path / "model.npz")
    assert loaded.feature_names_in_.tolist() == ["a", "b"]
    assert loaded.n_components == settings["n_components"]
    assert loaded.priors == [1 / 3, 1 / 3, 1 / 3]
    assert loaded.random_state is None
    np.testing.assert_array_equal(loaded.predict_proba(frame), fitted.predict_proba(frame))
    with pytest.raises(ValueError, match="The feature names should match"):
        loaded.predict(frame[["b", "a"]])


# NumPy has the second from 2.0 on.
@pytest.mark.parametrize("dtype", [np.dtype(np.str_), *(kind() for kind in STRING_DTYPES)])
def test_texts_of_any_length_are_loaded_as_str(dtype: Any, tmp_path: Path) -> None:
    fitted = MixtureClassifier().fit(X, NAMES[Y].astype(dtype))
    fitted.save(tmp_path / "model")
    loaded = MixtureClassifier.load(tmp_path / "model")
    assert loaded.classes_.dtype.kind == "U" and loaded.classes_.tolist() == ["above", "left", "right"]
    assert loaded.predict(X).tolist() == fitted.predict(X).tolist()


def test_file_is_data(tmp_path: Path) -> None:
    MixtureClassifier().fit(X, Y).save(tmp_path / "model")
    with zipfile.ZipFile(tmp_path / "model") as archive:
        assert all(name.endswith(".npy") for name in archive.namelist())
    with np.load(tmp_path / "model", allow_pickle=False) as members:
        header = json.loads(members["header"].tobytes())["header"]
    assert header["classes"]["values"] == [0, 1, 2]


def test_other_files_are_refused(tmp_path: Path) -> None:
    emix.GaussianMixture(2, random_state=0).fit(X).save(tmp_path / "mixture")
    with pytest.raises(emix.ModelFileError, match="holds a model of kind 'GaussianMixture', expected 'MixtureClass"):
        MixtureClassifier.load(tmp_path / "mixture")
    MixtureClassifier().fit(X, Y).save(tmp_path / "model")
    with pytest.raises(emix.ModelFileError, match="holds a model of kind 'MixtureClassifier', expected 'GaussianMix"):
        emix.GaussianMixture.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", {"dtype": "<i8", "values": [0, 1]}),
        ("classes", {"dtype": "V1000000000", "values": [0, 1, 2]}),
        ("mixtures", [{}, {}, {}]),
        ("fit", {}),
        ("parameters", {"components": 3}),
    ],
    ids=["few", "dtype", "empty", "fit", "setting"],
)
def test_headers_of_others_are_refused(key: str, value: Any, tmp_path: Path) -> None:
    MixtureClassifier().fit(X, Y).save(tmp_path / "model")
    header, arrays = load_model(tmp_path / "model")
    save_model(tmp_path / "other", {**header, key: value}, arrays)
    with pytest.raises(emix.ModelFileError, match="holds a MixtureClassifier that this emix cannot read"):
        MixtureClassifier.load(tmp_path / "other")


def test_arrays_of_others_are_refused(tmp_path: Path) -> None:
    MixtureClassifier().fit(X, Y).save(tmp_path / "model")
    header, arrays = load_model(tmp_path / "model")
    for wrong in ({"priors": np.ones(2)}, {"class1_means": np.zeros((1, 3))}):
        save_model(tmp_path / "other", header, {**arrays, **wrong})
        with pytest.raises(emix.ModelFileError, match="that this emix cannot read"):
            MixtureClassifier.load(tmp_path / "other")


def test_what_cannot_be_stored(tmp_path: Path) -> None:
    with pytest.raises(emix.NotFittedError):
        MixtureClassifier().save(tmp_path / "model")
    with pytest.raises(TypeError, match="a model file holds classes that are numbers or texts"):
        MixtureClassifier().fit(X, [dt.date(2000 + year, 1, 1) for year in Y]).save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
