"""The GaussianMixture of emix or of scikit-learn, by name: the two have the same methods."""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {"emix": "emix", "sklearn": "sklearn.mixture"}


def gaussian_mixture(library: str) -> Any:
    """The class GaussianMixture of ``emix`` or ``sklearn``.

    Raises
    ------
    ImportError
        If the library is not installed.
    """
    return importlib.import_module(_MODULES[library]).GaussianMixture
