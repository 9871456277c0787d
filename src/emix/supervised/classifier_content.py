"""A fitted MixtureClassifier as the header and the arrays of a model file, and back."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.estimators.gaussian_mixture import GaussianMixture
from emix.estimators.mixture_file import mixture_content, mixture_of_content
from emix.exceptions import shown
from emix.supervised.settings_content import NOT_KEPT, as_json, settings_content, settings_of_content

__all__ = ["classifier_content", "classifier_of_content"]

_NUMBERS = ("log_likelihood_", "n_parameters_", "bic_", "n_iter_", "n_features_in_", "covariance_types_")
# Kinds of dtypes of classes: NumPy would take others, and the memory for them.
_CLASSES = "biufUTO"


def classifier_content(classifier: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a fitted classifier as the header and the arrays of a model file."""
    classifier = copy.copy(classifier)  # attributes of one fit, even if another thread fits meanwhile
    fitted = classifier._fitted()
    classes = fitted["classes_"]
    values = [as_json(label) for label in classes]
    if classes.dtype.kind not in _CLASSES or any(value is NOT_KEPT for value in values):
        raise TypeError(f"a model file holds classes that are numbers or texts, and the classes are {shown(classes)}.")
    names = fitted.get("feature_names_in_")
    header: dict[str, Any] = {
        "kind": "MixtureClassifier",
        "parameters": settings_content(classifier),
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


def classifier_of_content(cls: Any, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Any:
    """Inverse of `classifier_content`."""
    classifier = cls(**settings_of_content(header["parameters"]))
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
