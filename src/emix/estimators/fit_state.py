"""The fitted attributes of a mixture, from its parameters and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.models.parameters import GaussianParameters, check_shapes

__all__ = ["attributes_of", "parameters_of", "relinked", "unlinked"]

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
    structure = parameters.structure
    weights, means, covariances, whitening = parameters.arrays()
    # By these, an array that the user has put in the place of one is recognized. They are read-only: in float64 those
    # of the parameters themselves, which are so already.
    published = {
        "weights_": weights,
        "means_": means,
        "covariances_": covariances,
        "precisions_cholesky_": _read_only(structure.precisions_cholesky(whitening)),
        "precisions_": _read_only(structure.precisions(whitening)),
    }
    if dtype.char != "d":
        published = {name: _read_only(array.astype(dtype)) for name, array in published.items()}
    return {**published, "_parameters": parameters, "_published": published}


def unlinked(state: dict[str, Any]) -> dict[str, Any]:
    """Return an estimator's state with the names of the published arrays that still stand, not the arrays.

    That two attributes are one array does not outlast every way of storing them (joblib's, for one).
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


def parameters_of(estimator: Any) -> GaussianParameters:
    """Return the parameters that the attributes hold.

    Those of the fit, in float64, but for what the user has put in the place of `weights_`, `means_`, `covariances_` or
    `precisions_cholesky_`. The last counts for more than `covariances_` if both were replaced.

    Parameters
    ----------
    estimator : object
        With the attributes of `attributes_of`.

    Returns
    -------
    GaussianParameters

    Raises
    ------
    ValueError
        If the shapes of what was replaced and of the rest do not agree.
    DegenerateCovarianceError
        If covariances that were put there are not positive definite.
    """
    fitted: GaussianParameters = estimator._parameters
    published = estimator._published.get
    # One by one: this is a tenth of the time that scores of one row may take.
    if (
        estimator.weights_ is published("weights_")
        and estimator.means_ is published("means_")
        and estimator.covariances_ is published("covariances_")
        and estimator.precisions_cholesky_ is published("precisions_cholesky_")
    ):
        return fitted
    replaced = {name for name in _PUBLIC if getattr(estimator, name) is not published(name)}
    weights = np.asarray(estimator.weights_, dtype=np.float64) if "weights_" in replaced else fitted.weights
    means = np.asarray(estimator.means_, dtype=np.float64) if "means_" in replaced else fitted.means
    if "precisions_cholesky_" in replaced:
        factor = np.asarray(estimator.precisions_cholesky_, dtype=np.float64)
        check_shapes(fitted.structure, weights, means, precisions_cholesky_=factor)
        whitening = factor.swapaxes(-1, -2) if fitted.structure.has_matrices else factor
        return GaussianParameters.from_precisions(
            fitted.structure, weights, means, fitted.structure.precisions(whitening)
        )
    covariances = estimator.covariances_ if "covariances_" in replaced else fitted.covariances
    return GaussianParameters.from_covariances(fitted.structure, weights, means, covariances)
