"""A fitted mixture as an ONNX graph that scores rows as emix does.

The graph computes, for rows x and each component k,

    y = W_k (x − μ_k)    l_k = log π_k − d/2·log 2π + log det W_k − ½‖y‖²
    log p = log Σ_k exp l_k    r_k = exp(l_k − log p)

Rows are centred before they are multiplied by W, so that data far from the origin lose nothing. In single precision μ_k
is rounded to c_k, and y = W_k (x − c_k) − W_k (μ_k − c_k).

Two kinds of rows need care, as a graph cannot raise an error. Where every ‖y‖² overflows, log p is -inf and the nearest
component gets the row, by distances that are scaled before they are squared. A row that holds a NaN or an infinity gets
NaN, and the label -1.
"""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from emix.exceptions import shown
from emix.files.output import writing
from emix.requirements import require

if TYPE_CHECKING:
    from onnx import ModelProto

    from emix.gaussian.parameters import GaussianParameters

__all__ = ["export_mixture"]

# Opset 13 is of 2020. The operators below have not changed their meaning since, and every runtime in use has them.
OPSET = 13
IR_VERSION = 7

# A factor that keeps squares within the range of the dtype, for distances whose squares overflow without it.
_SHRINK = {"float64": 2.0**-540, "float32": 2.0**-80}


def export_mixture(
    parameters: GaussianParameters,
    dtype: DTypeLike,
    path: str | os.PathLike[str] | None,
    feature_names: list[str] | None,
) -> ModelProto:
    """Return a mixture as an ONNX model, and write it if there is a path.

    Parameters
    ----------
    parameters : GaussianParameters
    dtype : dtype
        Of the rows and of the results: float64 or float32.
    path : str, os.PathLike or None
        The file to write, whole or not at all.
    feature_names : list of str or None
        For the metadata.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If it is another dtype, or single precision cannot hold the parameters.
    OSError
        If the file cannot be written.
    """
    require("onnx", "onnx", "to_onnx")
    kind = _checked_dtype(dtype)
    model = _model(_constants(parameters, kind), kind, has_matrices=parameters.structure.form.has_matrices)
    _describe(model, parameters, feature_names)
    if path is not None:
        with writing(path) as stream:
            stream.write(model.SerializeToString())
    return model


def _checked_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    # A dtype in the other byte order equals neither.
    if found is None or found not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise ValueError(f"dtype is {shown(dtype)}, expected 'float64' or 'float32': the type of the rows to score.")
    return found


def _constants(parameters: GaussianParameters, dtype: np.dtype[Any]) -> dict[str, NDArray[Any]]:
    """Return the constant tensors of the graph, by name."""
    K, d = parameters.n_components, parameters.n_features
    structure, means, whitening = parameters.structure, parameters.means, parameters.whitening
    with np.errstate(all="ignore"):  # what single precision cannot hold is refused below
        center = means.astype(dtype)
        log_weights = np.log(parameters.weights)
        found = {
            "center": center[:, np.newaxis],
            "log_scale": (parameters.log_det_whitening - 0.5 * d * math.log(2.0 * math.pi) + log_weights).astype(dtype),
            "weights": parameters.weights.astype(dtype),
        }
        # Products with x from the left take the transpose; variances multiply each column.
        if structure.form.has_matrices:
            scale = whitening.swapaxes(-1, -2).reshape(-1, d, d)
        else:
            scale = whitening.reshape(K, 1, -1)
        found["whitening"] = scale.astype(dtype)
        if not np.array_equal(center, means):
            rest = structure.form.whitened(whitening, means - center)
            found["offset"] = rest.astype(dtype)[:, np.newaxis]
        if not parameters.weights.all():
            found["absent"] = np.where(parameters.weights > 0.0, 0.0, np.inf).astype(dtype)
    _check_range(found, parameters, dtype)
    return found


def _check_range(constants: dict[str, NDArray[Any]], parameters: GaussianParameters, dtype: np.dtype[Any]) -> None:
    """Refuse single precision for parameters that it cannot hold: infinite, or rounded as numbers near zero are."""
    # log_scale is -inf for a component of weight zero, and within range for all others.
    largest = max(float(np.abs(constants[name]).max()) for name in ("center", "whitening"))
    W = parameters.whitening
    inverses = np.diagonal(W, axis1=-2, axis2=-1) if parameters.structure.form.has_matrices else W
    if not math.isfinite(largest) or float(inverses.min()) < np.finfo(dtype).tiny:
        raise ValueError(
            f"dtype is '{dtype}', which cannot hold the means and the inverse standard deviations of this mixture: "
            "pass dtype='float64', or fit columns in other units."
        )


def _model(constants: dict[str, NDArray[Any]], dtype: np.dtype[Any], *, has_matrices: bool) -> ModelProto:
    """Return the graph as a model."""
    from onnx import helper, numpy_helper

    n_components, _, n_features = constants["center"].shape
    element = helper.np_dtype_to_tensor_dtype(dtype)
    numbers = {"zero": 0.0, "half": 0.5, "infinity": np.inf, "minus_one": -1.0, "shrink": _SHRINK[dtype.name]}
    constants = constants | {name: np.array(value, dtype) for name, value in numbers.items()}
    integers: dict[str, Any] = {"axis_0": [0], "axis_1": [1], "axis_2": [2], "no_label": -1}
    integers["components"] = np.arange(n_components)
    constants |= {name: np.array(value, np.int64) for name, value in integers.items()}
    nodes = []

    def add(operator: str, inputs: str, output: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(operator, inputs.split(), [output], **attributes))

    # Whitened rows y, (K, n, d).
    add("Unsqueeze", "X axis_0", "rows")
    add("Sub", "rows center", "centered")
    add("MatMul" if has_matrices else "Mul", "centered whitening", "whitened" if "offset" in constants else "y")
    if "offset" in constants:
        add("Sub", "whitened offset", "y")
    # ‖y‖², and ‖y‖² in a smaller unit, (K, n). Infinities of both signs make a NaN, which is infinitely far as well.
    add("Mul", "y shrink", "y_small")
    for vector, squares, square in (("y", "squares", "square"), ("y_small", "squares_small", "square_small")):
        add("Mul", f"{vector} {vector}", squares)
        add("ReduceSum", f"{squares} axis_2", f"{square}_raw", keepdims=0)
        add("IsNaN", f"{square}_raw", f"{square}_is_nan")
        add("Where", f"{square}_is_nan infinity {square}_raw", f"{square}_by_component")
        add("Transpose", f"{square}_by_component", square, perm=[1, 0])
    # Log-densities of the components with their weights, l, (n, K); the largest, (n, 1).
    add("Mul", "square half", "half_square")
    add("Sub", "log_scale half_square", "joint")
    add("ReduceMax", "joint", "largest", axes=[1], keepdims=1)
    add("IsInf", "largest", "is_far")
    # log Σ exp l; -inf of far rows, not by exp(-inf), which is above zero in some runtimes.
    add("Where", "is_far zero largest", "base")
    add("Sub", "joint base", "exponent")
    add("Exp", "exponent", "unscaled")
    add("ReduceSum", "unscaled axis_1", "total", keepdims=1)
    add("Log", "total", "log_total")
    add("Add", "base log_total", "log_density_if_near")
    add("Where", "is_far largest log_density_if_near", "log_density_of_numbers")
    # The label: the largest l, or of a far row the nearest component; of equally near ones the one of largest weight.
    distance = "square_small"
    if "absent" in constants:
        add("Add", "square_small absent", distance := "distance")
    add("ReduceMin", distance, "nearest", axes=[1], keepdims=1)
    add("Equal", f"{distance} nearest", "is_nearest")
    add("Where", "is_nearest weights minus_one", "nearest_by_weight")
    add("Where", "is_far nearest_by_weight joint", "rank")
    add("ArgMax", "rank", "label_of_numbers", axis=1, keepdims=1)
    # Responsibilities, (n, K).
    add("Div", "unscaled total", "share")
    add("Equal", "components label_of_numbers", "is_label")
    add("Cast", "is_label", "only_label", to=element)
    add("Where", "is_far only_label share", "responsibilities_of_numbers")
    # 0·x is NaN if x is no number, and 0 else.
    add("Mul", "X zero", "nothing")
    add("ReduceSum", "nothing axis_1", "nothing_of_row", keepdims=1)
    add("IsNaN", "nothing_of_row", "is_no_number")
    add("Add", "log_density_of_numbers nothing_of_row", "log_density_column")
    add("Squeeze", "log_density_column axis_1", "log_density")
    add("Add", "responsibilities_of_numbers nothing_of_row", "responsibilities")
    add("Where", "is_no_number no_label label_of_numbers", "labels_column")
    add("Squeeze", "labels_column axis_1", "labels")

    integer = helper.np_dtype_to_tensor_dtype(np.dtype(np.int64))
    graph = helper.make_graph(
        nodes,
        "gaussian_mixture",
        [helper.make_tensor_value_info("X", element, ["n_samples", n_features])],
        [
            helper.make_tensor_value_info("log_density", element, ["n_samples"]),
            helper.make_tensor_value_info("responsibilities", element, ["n_samples", n_components]),
            helper.make_tensor_value_info("labels", integer, ["n_samples"]),
        ],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="emix"
    )


def _describe(model: ModelProto, parameters: GaussianParameters, feature_names: list[str] | None) -> None:
    """Write the metadata."""
    from onnx import helper

    from emix import __version__

    model.producer_version = __version__
    model.doc_string = (
        "Gaussian mixture. X: rows, one column for each feature. log_density: nats. responsibilities: of each "
        "component, summing to one. labels: the most probable component, from 0."
    )
    properties = {
        "emix_version": __version__,
        "covariance_type": parameters.structure.name,
        "n_components": str(parameters.n_components),
        "feature_names": json.dumps(feature_names),
    }
    helper.set_model_props(model, properties)
