"""A fitted GaussianMixture as the header and the arrays of a model file, and back."""

from __future__ import annotations

import copy
import math
import os
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from emix.em.loop import EMRecord
from emix.em.restarts import RunReport
from emix.estimators.fit_state import attributes_of, parameters_of
from emix.estimators.model_file import load_model, save_model
from emix.exceptions import ModelFileError
from emix.models.covariance import STRUCTURES, CovarianceStructure
from emix.models.parameters import GaussianParameters, check_shapes

__all__ = ["load_mixture", "save_mixture"]

KIND = "GaussianMixture"

_START_ARRAYS = ("weights_init", "means_init", "precisions_init")
_FIT_NUMBERS = ("log_likelihood_", "total_weight_", "lower_bound_", "converged_", "n_iter_", "stopped_by_", "fit_time_")

Mixture = TypeVar("Mixture")


def save_mixture(mixture: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted mixture.

    The parameters are written in float64 with the factors that score rows, so that a loaded mixture scores to the same
    bits. A generator given as `random_state` is not written: it is a state, not a parameter.
    """
    mixture = copy.copy(mixture)  # of one fit, whatever another thread does
    parameters = parameters_of(mixture._fitted())
    settings = mixture.get_params(deep=False)
    arrays: dict[str, Any] = {
        "weights": parameters.weights,
        "means": parameters.means,
        "covariances": parameters.covariances,
        "whitening": parameters.whitening,
        "log_det_whitening": parameters.log_det_whitening,
    }
    for name in _START_ARRAYS:
        given = settings.pop(name)
        if given is not None:
            arrays[name] = np.asarray(given)
    if not isinstance(settings["random_state"], (int, np.integer)):
        settings["random_state"] = None
    header: dict[str, Any] = {
        "kind": KIND,
        "parameters": {name: _plain(value) for name, value in settings.items()},
        "structure": parameters.structure.name,
        "dtype": mixture.means_.dtype.name,
        "feature_names": vars(mixture).get("feature_names_in_"),
        "fit": None,
    }
    if header["feature_names"] is not None:
        header["feature_names"] = header["feature_names"].tolist()
    if "log_likelihood_" in vars(mixture):
        header["fit"] = {name: _plain(getattr(mixture, name)) for name in _FIT_NUMBERS}
        header["fit"]["weighted"] = vars(mixture).get("_fit_weight") is not None
        header["fit"]["messages"] = [report.message for report in mixture.runs_]
        arrays.update(_columns("history", mixture.history_, EMRecord))
        arrays.update(_columns("runs", mixture.runs_, RunReport))
        arrays["lower_bounds"] = np.asarray(mixture.lower_bounds_, dtype=np.float64)
    save_model(path, header, arrays)


def load_mixture(cls: type[Mixture], path: str | os.PathLike[str]) -> Mixture:
    """Read a mixture that `save_mixture` wrote, as an instance of `cls`.

    Raises
    ------
    ModelFileError
        If the file is damaged, holds something else, or holds what this emix does not know.
    """
    header, arrays = load_model(path, kind=KIND)
    try:
        return _mixture(cls, header, arrays)
    except (KeyError, TypeError, ValueError) as error:
        # The checksum is right: a newer emix wrote it, or somebody by hand.
        raise ModelFileError(
            os.fspath(path),
            f"holds a GaussianMixture that this emix cannot read ({type(error).__name__}: {error}). Upgrade emix, or "
            "save the model again.",
        ) from error


def _mixture(cls: type[Mixture], header: dict[str, Any], arrays: dict[str, Any]) -> Mixture:
    starts = {name: arrays.get(name) for name in _START_ARRAYS}
    mixture = cls(**header["parameters"], **starts)
    parameters = _parameters(STRUCTURES[header["structure"]], arrays)
    state = attributes_of(parameters, np.dtype(header["dtype"]))
    state["n_features_in_"] = parameters.means.shape[1]
    if header["feature_names"] is not None:
        state["feature_names_in_"] = np.array(header["feature_names"], dtype=object)
    if header["fit"] is not None:
        state.update({name: header["fit"][name] for name in _FIT_NUMBERS})
        # Of a file of 0.1 it is not known, and taken to be a fit without.
        state["_fit_weight"] = state["total_weight_"] if header["fit"].get("weighted") else None
        state["lower_bounds_"] = arrays["lower_bounds"].tolist()
        state["history_"] = _records("history", arrays, EMRecord)
        runs = _records("runs", {**arrays, "runs_message": header["fit"]["messages"]}, RunReport)
        state["runs_"] = [replace(run, log_likelihood=None) if math.isnan(run.log_likelihood) else run for run in runs]
    vars(mixture).update(state)
    return mixture


def _parameters(structure: CovarianceStructure, arrays: dict[str, Any]) -> GaussianParameters:
    weights, means, log_det = arrays["weights"], arrays["means"], arrays["log_det_whitening"]
    covariances, whitening = arrays["covariances"], arrays["whitening"]
    check_shapes(structure, weights, means, covariances=covariances, whitening=whitening)
    if log_det.shape != weights.shape:
        raise ValueError(f"log_det_whitening has shape {log_det.shape}, expected {weights.shape}.")
    return GaussianParameters.of_arrays(structure, weights, means, covariances, whitening, log_det)


def _columns(prefix: str, records: list[Any], kind: type) -> dict[str, Any]:
    """Records as one array for each field that is a number; None, for a run that did not end, becomes NaN."""
    names = [field.name for field in fields(kind) if field.name != "message"]
    values = {name: [getattr(record, name) for record in records] for name in names}
    return {f"{prefix}_{name}": np.array([math.nan if v is None else v for v in values[name]]) for name in names}


def _records(prefix: str, columns: dict[str, Any], kind: type) -> list[Any]:
    """Inverse of `_columns`."""
    names = [field.name for field in fields(kind)]
    values = [np.asarray(columns[f"{prefix}_{name}"]).tolist() for name in names]
    return [kind(**dict(zip(names, row, strict=True))) for row in zip(*values, strict=True)]


def _plain(value: Any) -> Any:
    """Return NumPy's numbers as Python's, which JSON can hold."""
    return value.item() if isinstance(value, np.generic) else value
