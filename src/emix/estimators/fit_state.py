"""The fitted attributes of a mixture, from its parameters and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.arguments import check_finite, element_of
from emix.gaussian.parameters import GaussianParameters, check_shapes, check_values
from emix.rows.conversion import as_numbers

__all__ = ["attributes_of", "check_factor", "dtype_of", "parameters_of", "relinked", "unlinked"]

_ABSENT = object()
_PUBLIC = ("weights_", "means_", "covariances_", "precisions_cholesky_")


def attributes_of(parameters: GaussianParameters, dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return the attributes that hold the parameters, those of users in the data's dtype.

    Parameters
    ----------
    parameters : GaussianParameters
        Stay in float64, as `_parameters`: what scores rows is not rounded.
    dtype : dtype

    Returns
    -------
    dict of str to object
    """
    form = parameters.structure.form
    weights, means, covariances, whitening = parameters.arrays()
    # An attribute that is not the array published here was replaced by the user. All are read-only; in float64 weights,
    # means and covariances are the parameters' own arrays, which are read-only already.
    published = {
        "weights_": weights,
        "means_": means,
        "covariances_": covariances,
        "precisions_cholesky_": _read_only(form.precisions_cholesky(whitening)),
        "precisions_": _read_only(form.precisions(whitening)),
    }
    if dtype.char != "d":
        with np.errstate(over="ignore", under="ignore"):  # `fit` warns where a precision is infinite
            published = {name: _read_only(array.astype(dtype)) for name, array in published.items()}
    return {**published, "_parameters": parameters, "_published": published}


def dtype_of(means: Any) -> np.dtype[Any]:
    """Return the precision of a mixture with these `means_`; a user's own may be a list."""
    return np.dtype(np.float32 if np.asarray(means).dtype == np.float32 else np.float64)


def unlinked(state: dict[str, Any]) -> dict[str, Any]:
    """Return an estimator's state with the names of the published arrays that still stand, not the arrays.

    Some ways of storing (joblib's, for one) make two arrays of one that two attributes share.
    """
    if "_published" not in state:
        return state
    return {**state, "_published": [name for name, array in state["_published"].items() if state.get(name) is array]}


def relinked(state: dict[str, Any]) -> dict[str, Any]:
    """Inverse of `unlinked`."""
    if "_published" not in state:
        return state
    return {**state, "_published": {name: _read_only(state[name]) for name in state["_published"]}}


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array


def parameters_of(state: dict[str, Any]) -> GaussianParameters:
    """Return the parameters that the attributes hold.

    They are the fit's, in float64, except for arrays that the user has put in the place of `weights_`, `means_`,
    `covariances_` or `precisions_cholesky_`. The last counts for more than `covariances_` if both were replaced.

    Parameters
    ----------
    state : dict of str to object
        With the attributes of `attributes_of`.

    Returns
    -------
    GaussianParameters

    Raises
    ------
    ValueError
        If the shapes of the user's arrays and of the others do not agree, or the values cannot be those of a mixture.
    DegenerateCovarianceError
        If the user's covariances are not positive definite.
    """
    fitted: GaussianParameters = state["_parameters"]
    published = state["_published"].get
    # One by one, because a loop takes a tenth of the time of scoring one row. An attribute that was replaced before the
    # estimator was stored is not among the published, and may be None.
    if (
        state["weights_"] is published("weights_", _ABSENT)
        and state["means_"] is published("means_", _ABSENT)
        and state["covariances_"] is published("covariances_", _ABSENT)
        and state["precisions_cholesky_"] is published("precisions_cholesky_", _ABSENT)
    ):
        return fitted
    structure, form = fitted.structure, fitted.structure.form
    replaced = {
        name: np.asarray(as_numbers(state[name], name), dtype=np.float64)
        for name in _PUBLIC
        if state[name] is not published(name, _ABSENT)
    }
    weights, means = replaced.get("weights_", fitted.weights), replaced.get("means_", fitted.means)
    if "precisions_cholesky_" in replaced:
        factor = replaced["precisions_cholesky_"]
        check_shapes(structure, weights, means, precisions_cholesky_=factor)
        check_factor(factor, form.has_matrices)
        precisions = form.precisions(factor.swapaxes(-1, -2) if form.has_matrices else factor)
        check_values({"weights_": weights, "means_": means, "precisions_": precisions}, structure)
        return GaussianParameters.from_precisions(structure, weights, means, precisions)
    covariances = replaced.get("covariances_", fitted.covariances)
    check_shapes(structure, weights, means, covariances_=covariances)
    check_values({"weights_": weights, "means_": means, "covariances_": covariances}, structure)
    return GaussianParameters.from_covariances(structure, weights, means, covariances)


def check_factor(factor: NDArray[np.float64], has_matrices: bool) -> None:
    """Refuse what is no Cholesky factor of precisions: U with a positive diagonal, or positive numbers."""
    name = "precisions_cholesky_"
    check_finite(factor, name)
    below = np.tril(factor, -1) != 0.0 if has_matrices else np.zeros(factor.shape, dtype=bool)
    if below.any():
        place = np.unravel_index(int(below.argmax()), factor.shape)
        raise ValueError(f"{element_of(name, place)} is {factor[place]:g}, expected 0: below the diagonal of U.")
    diagonal = np.diagonal(factor, axis1=-2, axis2=-1) if has_matrices else factor
    if diagonal.min() <= 0.0:
        place = np.unravel_index(int(diagonal.argmin()), diagonal.shape)
        where = (*place, place[-1]) if has_matrices else place
        raise ValueError(f"{element_of(name, where)} is {diagonal[place]:g}, expected numbers above zero.")
