"""Rows drawn from a mixture have its moments."""

from __future__ import annotations

import numpy as np
import pytest

from emix import GaussianParameters
from emix.gaussian.drawing import draw
from emix.gaussian.structures import STRUCTURES


@pytest.mark.parametrize("name", STRUCTURES)
def test_moments_of_each_component(name: str) -> None:
    structure = STRUCTURES[name]
    full = np.array([[[2.0, 0.6], [0.6, 1.0]]] * 2)
    own = structure.project(structure.form.from_pooled(full[0], 2), np.full(2, 0.5))
    theta = GaussianParameters.of(structure, np.array([0.25, 0.75]), np.array([[0.0, 5.0], [-3.0, 1.0]]), own)
    n = 40_000
    X, labels = draw(theta, n, np.random.default_rng(0))
    assert X.shape == (n, 2)
    assert (np.diff(labels) >= 0).all()
    covariances = structure.form.to_full(theta.covariances, 2, 2)
    for k in range(2):
        rows = X[labels == k]
        # Five standard errors: of a share √(pq/n), of a mean √(σ²/n), of a covariance √(2/n) σ².
        assert abs(len(rows) / n - theta.weights[k]) < 5 * np.sqrt(0.19 / n)
        assert (np.abs(rows.mean(axis=0) - theta.means[k]) < 5 * np.sqrt(2.0 / len(rows))).all()
        assert (np.abs(np.cov(rows.T) - covariances[k]) < 5 * np.sqrt(2.0 / len(rows)) * 2.0).all()


def test_the_same_seed_gives_the_same_rows() -> None:
    theta = GaussianParameters.from_covariances("EII", [1.0], [[0.0, 0.0]], [2.0])
    one, other = (draw(theta, 5, np.random.default_rng(3))[0] for _ in range(2))
    assert np.array_equal(one, other)
    assert draw(theta, 5, np.random.RandomState(3))[0].shape == (5, 2)
