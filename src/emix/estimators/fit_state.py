"""The fitted attributes of a mixture, from its parameters and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.models.parameters import GaussianParameters

__all__ = ["attributes_of", "parameters_of"]

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
    structure, whitening = parameters.structure.name, parameters.whitening
    precisions: NDArray[np.float64]
    if structure in ("full", "tied"):
        # Σ⁻¹ = WᵀW = U Uᵀ with U = Wᵀ
        precisions_cholesky = np.ascontiguousarray(whitening.swapaxes(-1, -2))
        precisions = precisions_cholesky @ whitening
    else:
        precisions_cholesky = whitening
        precisions = whitening * whitening
    arrays = {
        "weights_": parameters.weights,
        "means_": parameters.means,
        "covariances_": parameters.covariances,
        "precisions_cholesky_": precisions_cholesky,
        "precisions_": precisions,
    }
    state: dict[str, Any] = {name: array.astype(dtype) for name, array in arrays.items()}
    state["_parameters"] = parameters
    # By these, an array that the user has put in the place of one is recognized.
    state["_published"] = tuple(state[name] for name in _PUBLIC)
    return state


def parameters_of(estimator: Any) -> GaussianParameters:
    """Return the parameters that the attributes hold.

    Those of the fit, unless the user has set one of `weights_`, `means_`, `covariances_`, `precisions_cholesky_`: then
    the attributes count, `precisions_cholesky_` before `covariances_` if it was set. What is written into the arrays
    is not seen.

    Parameters
    ----------
    estimator : object
        With the attributes of `attributes_of`.

    Returns
    -------
    GaussianParameters

    Raises
    ------
    DegenerateCovarianceError
        If covariances that were set are not positive definite.
    """
    weights, means, covariances, precisions_cholesky = estimator._published
    parameters: GaussianParameters = estimator._parameters
    if (
        estimator.weights_ is weights
        and estimator.means_ is means
        and estimator.covariances_ is covariances
        and estimator.precisions_cholesky_ is precisions_cholesky
    ):
        return parameters
    structure = parameters.structure.name
    new_weights = np.asarray(estimator.weights_, dtype=np.float64)
    new_means = np.asarray(estimator.means_, dtype=np.float64)
    if estimator.precisions_cholesky_ is not precisions_cholesky:
        factor = np.asarray(estimator.precisions_cholesky_, dtype=np.float64)
        precisions = factor @ factor.swapaxes(-1, -2) if structure in ("full", "tied") else factor * factor
        return GaussianParameters.from_precisions(structure, new_weights, new_means, precisions)
    new_covariances = np.asarray(estimator.covariances_, dtype=np.float64)
    return GaussianParameters.from_covariances(structure, new_weights, new_means, new_covariances)
