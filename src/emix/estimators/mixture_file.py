"""A fitted GaussianMixture as the header and the arrays of a model file, and back."""

from __future__ import annotations

import copy
import math
import os
from typing import Any, TypeVar

import numpy as np

from emix.em.restarts import RunReport
from emix.em.result import EMRecord
from emix.estimators.fit_state import attributes_of, dtype_of, parameters_of
from emix.estimators.statistics_file import (
    parameters_content,
    parameters_of_content,
    statistics_content,
    statistics_of_content,
)
from emix.estimators.stream import Stream
from emix.files.json_values import NOT_PLAIN, plain_value
from emix.files.model_file import encode_model, load_made, save_model
from emix.gaussian.collapse import ColumnDoubts
from emix.gaussian.structures import STRUCTURES

__all__ = ["load_mixture", "mixture_bytes", "mixture_content", "mixture_of_content", "save_mixture"]

KIND = "GaussianMixture"

# Prefix of arrays that hold settings. Settings of 0.1 have no prefix.
_SETTING = "setting_"
_START_ARRAYS = ("weights_init", "means_init", "precisions_init")
_FIT_NUMBERS = ("log_likelihood_", "total_weight_", "lower_bound_", "converged_", "n_iter_", "stopped_by_", "fit_time_")
# Fits are in one of these; NumPy would take "int8", or "V1000000000" and the memory for it.
_DTYPES = ("float32", "float64")
_STREAM = ("blend", "average")

Mixture = TypeVar("Mixture")


def save_mixture(mixture: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted mixture."""
    save_model(path, *mixture_content(mixture))


def mixture_bytes(mixture: Any) -> bytes:
    """Return the bytes of the file that `save_mixture` writes."""
    return encode_model(*mixture_content(mixture))


def mixture_content(mixture: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a fitted mixture as the header and the arrays of a model file.

    The parameters are in float64, with the factors that score rows, so that a loaded mixture scores to the same bits.
    Settings are kept that are numbers, texts, arrays or None. A generator given as `random_state`, say, is a state and
    not a setting: the loaded mixture has the default in its place.
    """
    mixture = copy.copy(mixture)  # attributes of one fit, even if another thread fits meanwhile
    parameters = parameters_of(mixture._fitted())
    arrays = parameters_content(parameters)
    settings: dict[str, Any] = {}
    for name, value in mixture.get_params(deep=False).items():
        plain = plain_value(value)
        if plain is not NOT_PLAIN:
            settings[name] = plain
        elif (array := _stored_array(value)) is not None:
            arrays[name if name in _START_ARRAYS else f"{_SETTING}{name}"] = array
    header: dict[str, Any] = {
        "kind": KIND,
        "parameters": {name: value for name, value in settings.items() if name not in _START_ARRAYS},
        "structure": parameters.structure.name,
        "dtype": dtype_of(mixture.means_).name,
        "feature_names": vars(mixture).get("feature_names_in_"),
        "fit": None,
    }
    if header["feature_names"] is not None:
        header["feature_names"] = header["feature_names"].tolist()
    if "log_likelihood_" in vars(mixture):
        header["fit"] = {name: plain_value(getattr(mixture, name)) for name in _FIT_NUMBERS}
        doubts = mixture.columns_in_doubt_._asdict()
        header["fit"]["columns_in_doubt"] = {name: list(columns) for name, columns in doubts.items()}
        header["fit"]["weighted"] = vars(mixture).get("_fit_weight") is not None
        header["fit"]["messages"] = [report.message for report in mixture.runs_]
        header["fit"]["runs"], run_columns = columns_of_records("runs", mixture.runs_, RunReport)
        header["fit"]["history"], history_columns = columns_of_records("history", mixture.history_, EMRecord)
        arrays.update(run_columns | history_columns)
        arrays["lower_bounds"] = np.asarray(mixture.lower_bounds_, dtype=np.float64)
    stream: Stream | None = vars(mixture).get("_stream")
    if stream is not None and parameters is vars(mixture)["_parameters"]:
        header["stream"] = {"n_rows": stream.n_rows, "total_weight": stream.total_weight}
        for name in _STREAM:
            header["stream"][name], parts = statistics_content(getattr(stream, name), f"stream_{name}_")
            arrays.update(parts)
    return header, arrays


def load_mixture(cls: type[Mixture], path: str | os.PathLike[str]) -> Mixture:
    """Read a mixture that `save_mixture` wrote, as an instance of `cls`.

    Raises
    ------
    ModelFileError
        If the file is damaged, holds something else, or holds what this emix does not know.
    """
    return load_made(path, KIND, lambda *content: mixture_of_content(cls, *content), "a GaussianMixture")


def mixture_of_content(cls: type[Mixture], header: dict[str, Any], arrays: dict[str, Any]) -> Mixture:
    """Inverse of `mixture_content`; any error of a header or arrays that it did not make."""
    settings = {name: arrays[name] for name in _START_ARRAYS if name in arrays}
    for name in (name for name in arrays if name.startswith(_SETTING)):
        # JSON lacks some numbers, such as infinity: they are stored as arrays of no dimension.
        settings[name.removeprefix(_SETTING)] = arrays[name] if arrays[name].ndim else arrays[name].item()
    mixture = cls(**header["parameters"], **settings)
    structure = STRUCTURES[header["structure"]]
    parameters = parameters_of_content(structure, arrays)
    if header["dtype"] not in _DTYPES:
        raise ValueError(f"dtype is {header['dtype']!r:.100}, expected one of {_DTYPES}")
    state = attributes_of(parameters, np.dtype(header["dtype"]))
    state["n_features_in_"] = parameters.means.shape[1]
    names = header["feature_names"]
    if names is not None:
        if len(names) != parameters.means.shape[1] or not all(isinstance(name, str) for name in names):
            raise ValueError(f"feature_names are {names!r:.100}, expected {parameters.means.shape[1]} texts")
        state["feature_names_in_"] = np.array(names, dtype=object)
    if header["fit"] is not None:
        fit = header["fit"]
        state.update({name: fit[name] for name in _FIT_NUMBERS})
        # Files of 0.1 have no field `weighted`; their fits count as fits without weights.
        state["_fit_weight"] = state["total_weight_"] if fit.get("weighted") else None
        state["lower_bounds_"] = arrays["lower_bounds"].tolist()
        state["history_"] = records_of_columns("history", arrays, fit.get("history", {}), EMRecord)
        runs = records_of_columns("runs", arrays, {**fit.get("runs", {}), "message": fit["messages"]}, RunReport)
        state["runs_"] = [run._replace(log_likelihood=None) if math.isnan(run.log_likelihood) else run for run in runs]
        # Files of 0.1 have no field `columns_in_doubt`.
        doubts = fit.get("columns_in_doubt", {})
        state["columns_in_doubt_"] = ColumnDoubts(**{name: tuple(columns) for name, columns in doubts.items()})
    stream = header.get("stream")  # files of 0.1 have none
    if stream is not None:
        blend, average = (statistics_of_content(structure, stream[name], arrays, f"stream_{name}_") for name in _STREAM)
        if not blend.center.shape == average.center.shape == parameters.means.shape:
            raise ValueError(f"a stream has statistics for means of shape {blend.center.shape}")
        state["_stream"] = Stream(blend, average, float(stream["n_rows"]), float(stream["total_weight"]))
    vars(mixture).update(state)
    return mixture


def columns_of_records(prefix: str, records: list[Any], kind: Any) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Return records field by field: fields with texts or None for the header, fields of numbers as arrays.

    A run that did not end has the log-likelihood None. The array has NaN in its place, as in every version of the file.
    """
    listed: dict[str, list[Any]] = {}
    arrays: dict[str, Any] = {}
    for name in (field for field in kind._fields if field != "message"):
        values = [getattr(record, name) for record in records]
        if name == "log_prior" and not any(values):
            continue  # only files of models with a prior have it
        if name == "log_likelihood":
            values = [math.nan if value is None else value for value in values]
        if all(isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)) for value in values):
            arrays[f"{prefix}_{name}"] = np.array(values)
        else:
            listed[name] = [None if (plain := plain_value(value)) is NOT_PLAIN else plain for value in values]
    return listed, arrays


def records_of_columns(prefix: str, arrays: dict[str, Any], listed: dict[str, list[Any]], kind: Any) -> list[Any]:
    """Return the records of `columns_of_records`. A field that is younger than the file has its default."""
    columns: dict[str, list[Any]] = {}
    for name in kind._fields:
        if name in listed:
            columns[name] = listed[name]
        elif f"{prefix}_{name}" in arrays:
            columns[name] = arrays[f"{prefix}_{name}"].tolist()
    return [kind(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _stored_array(value: Any) -> np.ndarray[Any, Any] | None:
    """Return what is given as an array as a model file can hold it, None if it is no array of numbers.

    Long doubles, and numbers as objects, become the float64 that the fit has made of them.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O" or (array.dtype.kind == "f" and array.dtype.itemsize > 8):
            array = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return array if array.dtype.kind in "biuf" else None
