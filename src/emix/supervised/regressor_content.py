"""A fitted MixtureRegressor as the header and the arrays of a model file, and back."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.estimators.gaussian_mixture import GaussianMixture
from emix.estimators.mixture_file import mixture_content, mixture_of_content
from emix.supervised.fitted_regressor import attributes_of_regressor
from emix.supervised.settings_content import settings_content, settings_of_content

__all__ = ["regressor_content", "regressor_of_content"]


def regressor_content(regressor: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a fitted regressor as the header and the arrays of a model file."""
    regressor = copy.copy(regressor)  # attributes of one fit, even if another thread fits meanwhile
    fitted = regressor._fitted()
    mixture, arrays = mixture_content(fitted["mixture_"])
    names, of_outputs = fitted.get("feature_names_in_"), fitted.get("output_names_")
    header: dict[str, Any] = {
        "kind": "MixtureRegressor",
        "parameters": settings_content(regressor),
        "n_outputs": fitted["n_outputs_"],
        "is_vector": fitted["_is_vector"],
        "feature_names": None if names is None else names.tolist(),
        "output_names": None if of_outputs is None else of_outputs.tolist(),
        "mixture": mixture,
    }
    return header, arrays


def regressor_of_content(cls: Any, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Any:
    """Inverse of `regressor_content`."""
    settings = settings_of_content(header["parameters"])
    regressor = cls(**settings)
    mixture = mixture_of_content(GaussianMixture, header["mixture"], arrays)
    n_outputs, names, is_vector = header["n_outputs"], header["feature_names"], header["is_vector"]
    if type(n_outputs) is not int or not 0 < n_outputs < mixture.n_features_in_ or (is_vector and n_outputs > 1):
        raise ValueError(f"n_outputs is {n_outputs!r}, of {mixture.n_features_in_} features")
    if names is not None and len(names) != mixture.n_features_in_ - n_outputs:
        raise ValueError(f"there are {len(names)} names of {mixture.n_features_in_ - n_outputs} inputs")
    inputs = None if names is None else np.array(names, dtype=object)
    of_outputs = header.get("output_names")  # files of before have none
    if of_outputs is not None and len(of_outputs) != n_outputs:
        raise ValueError(f"there are {len(of_outputs)} names of {n_outputs} outputs")
    outputs = None if of_outputs is None else np.array(of_outputs, dtype=object)
    found = attributes_of_regressor(mixture, n_outputs, bool(is_vector), inputs, outputs)
    vars(regressor).update({**found, **{name: getattr(regressor, name) for name in settings}})
    return regressor
