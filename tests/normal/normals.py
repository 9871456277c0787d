"""Normals to try things on, what SciPy makes of them, and how close two evaluations are."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.stats
from hypothesis import strategies as st

from emix.normal.multivariate_normal import MultivariateNormal

# Two correct float64 evaluations of a well-conditioned case in a few features: some rounding errors, not hundreds.
CLOSE = 1e-12


def random_normal(seed: int, n_features: int) -> MultivariateNormal:
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((n_features, n_features + 2))
    return MultivariateNormal(rng.standard_normal(n_features) * 3, factor @ factor.T / n_features + np.eye(n_features))


def singular_normal(seed: int, n_features: int, rank: int) -> MultivariateNormal:
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((n_features, rank))
    return MultivariateNormal(rng.standard_normal(n_features), factor @ factor.T, allow_singular=True)


def scipy_of(mvn: MultivariateNormal) -> Any:
    return scipy.stats.multivariate_normal(mvn.mean, mvn.covariance, allow_singular=mvn.allow_singular)


normals = st.builds(random_normal, st.integers(0, 2**32 - 1), st.integers(1, 6))
