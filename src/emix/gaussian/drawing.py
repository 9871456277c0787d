"""Rows drawn from a Gaussian mixture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.parameters import GaussianParameters
from emix.random_source import RandomSource

__all__ = ["draw"]


def draw(
    parameters: GaussianParameters, n_samples: int, source: RandomSource
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Draw rows from a mixture.

    Parameters
    ----------
    parameters : GaussianParameters
    n_samples : int
    source : RandomState or Generator

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float64
        Sorted by component, as scikit-learn does.
    labels : ndarray of shape (n_samples,), intp
        The component of each row.
    """
    counts = source.multinomial(n_samples, parameters.weights / parameters.weights.sum())
    labels = np.repeat(np.arange(len(counts)), counts)
    noise = source.standard_normal((n_samples, parameters.n_features))
    return parameters.means[labels] + parameters.structure.form.color(noise, counts, parameters.covariances), labels
