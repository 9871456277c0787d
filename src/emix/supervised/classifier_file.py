"""A fitted MixtureClassifier as a model file, and back."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.estimators.gaussian_mixture import GaussianMixture
from emix.estimators.mixture_file import mixture_content, mixture_of_content
from emix.exceptions import ModelFileError, shown
from emix.files.model_file import load_model, save_model

__all__ = ["load_classifier", "save_classifier"]

KIND = "MixtureClassifier"

_NUMBERS = ("log_likelihood_", "n_parameters_", "bic_", "n_iter_", "n_features_in_", "covariance_types_")
# Kinds of dtypes of classes: NumPy would take others, and the memory for them.
_CLASSES = "biufUTO"
_NOT_KEPT = object()


def save_classifier(classifier: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted classifier."""
    save_model(path, *_content(classifier))


def load_classifier(cls: Any, path: str | os.PathLike[str]) -> Any:
    """Read a classifier that `save_classifier` wrote, as an instance of `cls`.

    Raises
    ------
    ModelFileError
        If the file is damaged, holds something else, or holds what this emix does not know.
    """
    header, arrays = load_model(path, kind=KIND)
    try:
        return _of_content(cls, header, arrays)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        # The checksum is right: a newer emix wrote it, or somebody by hand.
        raise ModelFileError(
            os.fspath(path),
            f"holds a MixtureClassifier that this emix cannot read ({type(error).__name__}: {error}). Upgrade emix, or "
            "save the model again.",
        ) from error


def _content(classifier: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a fitted classifier as the header and the arrays of a model file."""
    classifier = copy.copy(classifier)  # attributes of one fit, even if another thread fits meanwhile
    fitted = classifier._fitted()
    classes = fitted["classes_"]
    values = [_as_json(label) for label in classes]
    if classes.dtype.kind not in _CLASSES or any(value is _NOT_KEPT for value in values):
        raise TypeError(f"a model file holds classes that are numbers or texts, and the classes are {shown(classes)}.")
    settings = {name: _as_json(value) for name, value in classifier.get_params(deep=False).items()}
    names = fitted.get("feature_names_in_")
    header: dict[str, Any] = {
        "kind": KIND,
        "parameters": {name: value for name, value in settings.items() if value is not _NOT_KEPT},
        "classes": {"dtype": "<U0" if classes.dtype.kind == "T" else classes.dtype.str, "values": values},
        "feature_names": None if names is None else names.tolist(),
        "fit": {name: fitted[name] for name in _NUMBERS},
        "mixtures": [],
    }
    arrays: dict[str, Any] = {"priors": fitted["priors_"]}
    for c, mixture in enumerate(fitted["mixtures_"]):
        of_class, its_arrays = mixture_content(mixture)
        header["mixtures"].append(of_class)
        arrays.update({f"class{c}_{name}": array for name, array in its_arrays.items()})
    return header, arrays


def _of_content(cls: Any, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Any:
    """Inverse of `_content`."""
    classifier = cls(**{name: _of_json(value) for name, value in header["parameters"].items()})
    dtype, values = np.dtype(header["classes"]["dtype"]), header["classes"]["values"]
    if dtype.kind not in _CLASSES or len(values) != len(header["mixtures"]):
        raise ValueError(f"there are {len(header['mixtures'])} mixtures for {len(values)} classes of dtype {dtype}")
    if dtype.kind == "U":
        dtype = np.dtype(np.str_)  # as long as the texts are
    classes = np.empty(len(values), dtype=object)
    classes[:] = values
    state: dict[str, Any] = {name: header["fit"][name] for name in _NUMBERS}
    state["classes_"] = classes.astype(dtype)
    state["priors_"] = arrays["priors"]
    if arrays["priors"].shape != (len(values),) or arrays["priors"].dtype != np.float64:
        raise ValueError(f"priors are of shape {arrays['priors'].shape}, expected ({len(values)},)")
    state["mixtures_"] = []
    for c, of_class in enumerate(header["mixtures"]):
        start = f"class{c}_"
        its_arrays = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
        mixture = mixture_of_content(GaussianMixture, of_class, its_arrays)
        if mixture.n_features_in_ != state["n_features_in_"]:
            raise ValueError(f"a mixture has {mixture.n_features_in_} features of {state['n_features_in_']}")
        state["mixtures_"].append(mixture)
    if header["feature_names"] is not None:
        state["feature_names_in_"] = np.array(header["feature_names"], dtype=object)
    vars(classifier).update(state)
    return classifier


def _as_json(value: Any) -> Any:
    """Return a number, a text, None, or a list or mapping of these as JSON can hold it; `_NOT_KEPT` for others."""
    if value is None or isinstance(value, (bool, str)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else _NOT_KEPT
    if isinstance(value, Mapping):
        items = [[_as_json(key), _as_json(one)] for key, one in value.items()]
        return _NOT_KEPT if any(part is _NOT_KEPT for item in items for part in item) else {"items": items}
    if isinstance(value, (list, tuple, range, np.ndarray)):
        parts = [_as_json(part) for part in value]
        return _NOT_KEPT if any(part is _NOT_KEPT for part in parts) else parts
    return _NOT_KEPT


def _of_json(value: Any) -> Any:
    return dict(value["items"]) if isinstance(value, dict) else value
