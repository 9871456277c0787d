"""Statistics as the header and the arrays of a model file, and back: alone, or with a stream that is saved."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from emix.files.model_file import load_made, save_model
from emix.gaussian.parameters import GaussianParameters, check_shapes
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import STRUCTURES, CovarianceStructure
from emix.kernel.factors import Columns
from emix.kernel.layout import statistics_layout

__all__ = [
    "load_statistics",
    "parameters_content",
    "parameters_of_content",
    "save_statistics",
    "statistics_content",
    "statistics_of_content",
]

KIND = "GaussianStatistics"

_PARAMETERS = ("weights", "means", "covariances", "whitening", "log_det_whitening")


def save_statistics(statistics: GaussianStatistics, path: str | os.PathLike[str]) -> None:
    """Write statistics to a file.

    Raises
    ------
    ValueError
        If they are for a covariance structure that a file cannot name.
    """
    structure = statistics.structure
    if STRUCTURES.get(structure.name) != structure:
        raise ValueError(
            f"statistics are for the covariance structure {structure.name!r}, which is not emix's own: a file would "
            f"not tell how to make it. Pickle them. emix has {', '.join(STRUCTURES)}."
        )
    header, arrays = statistics_content(statistics)
    save_model(path, {"kind": KIND, "structure": structure.name, **header}, arrays)


def load_statistics(path: str | os.PathLike[str]) -> GaussianStatistics:
    """Read statistics that `save_statistics` wrote.

    Raises
    ------
    ModelFileError
        If the file is damaged, holds something else, or holds what this emix does not know.
    """

    def make(header: dict[str, Any], arrays: dict[str, Any]) -> GaussianStatistics:
        return statistics_of_content(STRUCTURES[header["structure"]], header, arrays)

    return load_made(path, KIND, make, KIND, "take the statistics again")


def statistics_content(statistics: GaussianStatistics, prefix: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """Return statistics without their structure as a header, and as arrays with a prefix to their names."""
    columns, under = statistics.columns, statistics.taken_under
    arrays: dict[str, Any] = {
        "sums": statistics.packed,
        # JSON has no infinities, and these numbers may be any.
        "totals": np.array([statistics.total_weight, statistics.log_likelihood, statistics.unit]),
    }
    if columns is not None:
        arrays["column_range"] = columns.column_range
    if under is not None:
        arrays.update({f"under_{name}": array for name, array in parameters_content(under).items()})
    header = {
        "n_components": statistics.n_components,
        "n_features": statistics.n_features,
        "n_rows": statistics.n_rows,
        "epsilon": None if columns is None else columns.epsilon,
        "blend": statistics.blend,
    }
    return header, {prefix + name: array for name, array in arrays.items()}


def statistics_of_content(
    structure: CovarianceStructure, header: dict[str, Any], arrays: dict[str, Any], prefix: str = ""
) -> GaussianStatistics:
    """Inverse of `statistics_content`; any error of a header or arrays that it did not make."""
    K, d, n_rows, blend = (header[name] for name in ("n_components", "n_features", "n_rows", "blend"))
    for name, number, least in (("n_components", K, 1), ("n_features", d, 1), ("n_rows", n_rows, 0)):
        if type(number) is not int or number < least:
            raise ValueError(f"{name} is {number!r:.100}, expected an integer from {least} on")
    if not isinstance(blend, str):
        raise ValueError(f"blend is {blend!r:.100}, expected a text")
    # The compiled M-step trusts lengths; the file's own arrays bound them.
    packed = arrays[f"{prefix}sums"]
    at = statistics_layout(structure.form.code, K, d)
    if packed.dtype != np.float64 or packed.shape != (at.size,) or not np.isfinite(packed).all():
        raise ValueError(f"sums have shape {packed.shape} and dtype {packed.dtype}, expected {at.size} finite float64")
    if packed[at.weight].min() < 0.0:
        raise ValueError(f"the weight of a component is {packed[at.weight].min():g}, expected 0 or more")
    total_weight, log_likelihood, unit = arrays[f"{prefix}totals"].tolist()
    if not (0.0 <= total_weight < math.inf and math.isfinite(log_likelihood) and math.frexp(unit)[0] == 0.5):
        raise ValueError(f"total weight, log-likelihood and unit are {total_weight}, {log_likelihood} and {unit}")
    columns = None
    if header["epsilon"] is not None:
        column_range = arrays[f"{prefix}column_range"]
        if column_range.shape != (2, d) or not (column_range[0] <= column_range[1]).all():
            raise ValueError(f"column_range has shape {column_range.shape}, expected (2, {d}), the least first")
        columns = Columns(float(header["epsilon"]), column_range)
    under = None
    if f"{prefix}under_weights" in arrays:
        under = parameters_of_content(structure, arrays, f"{prefix}under_")
        if under.means.shape != (K, d):
            raise ValueError(f"parameters are for means of shape {under.means.shape}, expected {(K, d)}")
    return GaussianStatistics(
        structure, K, d, packed, total_weight, n_rows, log_likelihood, under, unit, columns, blend
    )


def parameters_content(parameters: GaussianParameters) -> dict[str, Any]:
    """Return parameters as arrays, in float64, with the factors that score rows."""
    return {name: getattr(parameters, name) for name in _PARAMETERS}


def parameters_of_content(
    structure: CovarianceStructure, arrays: dict[str, Any], prefix: str = ""
) -> GaussianParameters:
    """Inverse of `parameters_content`, for arrays with a prefix to their names."""
    parts = [arrays[prefix + name] for name in _PARAMETERS]
    for part in parts:
        if part.dtype != np.float64:
            raise ValueError(f"a parameter has dtype {part.dtype}, expected float64")
    weights, means, covariances, whitening, log_det = parts
    check_shapes(structure, weights, means, covariances=covariances, whitening=whitening)
    if log_det.shape != weights.shape:
        raise ValueError(f"log_det_whitening has shape {log_det.shape}, expected {weights.shape}.")
    return GaussianParameters.of_arrays(structure, weights, means, covariances, whitening, log_det)
