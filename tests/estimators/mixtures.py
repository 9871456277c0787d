"""Rows in groups, starts that are given whole, and fits whose warnings do not matter."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emix.gaussian.structures import STRUCTURES

Array = NDArray[np.float64]

each_type = pytest.mark.parametrize("covariance_type", STRUCTURES)


def blobs(n_rows: int = 300, n_features: int = 3, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    centers = rng.normal(scale=3.0, size=(3, n_features))
    return np.vstack(
        [rng.normal(size=(n_rows // 3, n_features)) @ rng.normal(size=(n_features,) * 2) + c for c in centers]
    )


X = blobs()


def start(X: Array, covariance_type: str, n_components: int = 3) -> dict[str, Any]:
    """A start that is given whole: rows as means, equal weights, unit precisions."""
    d = X.shape[1]
    precisions = STRUCTURES[covariance_type].form.from_pooled(np.eye(d), n_components)
    return {
        "n_components": n_components,
        "covariance_type": covariance_type,
        "weights_init": np.full(n_components, 1.0 / n_components),
        "means_init": X[:: len(X) // n_components][:n_components].astype(np.float64),
        "precisions_init": precisions,
    }


def quietly(gm: Any, X: Any, **keywords: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return gm.fit(X, **keywords)
