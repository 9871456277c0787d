"""scikit-learn's own class, held where the patch does not exchange it."""

from __future__ import annotations

from typing import Any

import pytest
import sklearn.mixture

# Not a module's name, which the patch would exchange here as in any other module.
OWN = {"class": sklearn.mixture.GaussianMixture}
ARRAYS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
each_of_four = pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])


def as_own(mixture: Any) -> Any:
    """An object of scikit-learn's own class with the same attributes."""
    own = OWN["class"](**mixture.get_params())
    vars(own).update(vars(mixture))
    return own
