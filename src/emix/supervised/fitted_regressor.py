"""Attributes of a fitted MixtureRegressor, and the conditional distributions that they give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.estimators.conditional_mixtures import ConditionalMixtures
from emix.estimators.conditioning import Conditioning
from emix.estimators.fit_state import parameters_of
from emix.estimators.gaussian_mixture import GaussianMixture
from emix.rows.validation import FloatArray

__all__ = ["attributes_of_regressor", "conditionals_of", "conditioning_of", "names_of_all"]

# Numbers in a chunk's conditional means, and in its covariances: some MB.
_NUMBERS = 1 << 18


def attributes_of_regressor(
    mixture: GaussianMixture,
    n_outputs: int,
    is_vector: bool,
    names: NDArray[np.object_] | None,
    output_names: NDArray[np.object_] | None = None,
) -> dict[str, Any]:
    """Return the attributes of a regressor that holds a mixture."""
    found: dict[str, Any] = {
        "mixture_": mixture,
        "n_outputs_": n_outputs,
        "n_features_in_": mixture.n_features_in_ - n_outputs,
        "n_threads": mixture.n_threads,
        "_is_vector": is_vector,
    }
    found.update({name: vars(mixture)[name] for name in ("n_iter_", "converged_") if name in vars(mixture)})
    if names is not None:
        found["feature_names_in_"] = names
    if output_names is not None:
        found["output_names_"] = output_names
    conditioning_of(found)
    return found


def names_of_all(fitted: dict[str, Any]) -> NDArray[np.object_] | None:
    """Return names of inputs and outputs, None if neither have any; inputs without names are "x0", "x1", …"""
    names: NDArray[np.object_] | None = vars(fitted["mixture_"]).get("feature_names_in_")
    if names is None and (of_outputs := fitted.get("output_names_")) is not None:
        names = np.array([f"x{j}" for j in range(fitted["n_features_in_"])] + list(of_outputs), dtype=object)
    return names


def conditioning_of(fitted: dict[str, Any]) -> Conditioning:
    """Return the mixture split into inputs and outputs, which is kept among the attributes.

    It is made anew when the mixture has other parameters, by a fit of its own or arrays that the user has replaced, or
    when the number of threads is another.
    """
    parameters, n_threads = parameters_of(fitted["mixture_"]._fitted()), fitted["n_threads"]
    kept = fitted.get("_conditioning")
    if kept is not None and kept[0] is parameters and kept[1] == n_threads:
        found: Conditioning = kept[2]
        return found
    n_inputs, n_outputs = fitted["n_features_in_"], fitted["n_outputs_"]
    if parameters.n_features != n_inputs + n_outputs:
        raise ValueError(
            f"mixture_ has {parameters.n_features} features, expected {n_inputs} inputs and {n_outputs} outputs. Fit "
            "the regressor again, or make another with 'from_mixture'."
        )
    found = Conditioning(parameters, list(range(n_inputs)), n_threads)
    fitted["_conditioning"] = parameters, n_threads, found
    return found


def conditionals_of(fitted: dict[str, Any], rows: FloatArray) -> Iterator[tuple[slice, ConditionalMixtures]]:
    """Return the conditional mixtures of some rows after the other; of far rows, those of the nearest component."""
    conditioning = conditioning_of(fitted)
    K, n_outputs = conditioning.given.n_components, fitted["n_outputs_"]
    matrices = conditioning.matrices()
    step = max(1, _NUMBERS // (K * n_outputs + n_outputs * n_outputs + rows.shape[1]))
    for start in range(0, len(rows), step):
        chunk = slice(start, start + step)
        values = rows[chunk].astype(np.float64, copy=False)
        weights = conditioning.weights(values)[1]
        yield chunk, ConditionalMixtures(weights, conditioning.means(values), matrices)
