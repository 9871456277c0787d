"""Components of forms that may have one origin, E-steps about it, and how far two sums may be apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp

from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.run import GaussianRun
from emix.gaussian.shortcuts import SHORTCUTS
from emix.gaussian.shortcuts.origin import Origin
from emix.gaussian.statistics import GaussianStatistics
from gaussian.examples import naive_joint, naive_responsibilities, scatter_of, shortcut_of

Array = NDArray[Any]
each_structure = pytest.mark.parametrize("structure", ["tied", "diag", "spherical"])
each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


def problem(
    structure: str, separation: float = 3.0, n: int = 4000, d: int = 5, K: int = 4, condition: float = 10.0,
    offset: float = 0.0, dtype: str = "float64",
) -> tuple[Array, GaussianParameters]:  # fmt: skip
    """Rows of K components whose means are about `separation` standard deviations apart, and a start beside them."""
    rng = np.random.default_rng([d, K])
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    pooled = axes * np.geomspace(1.0, condition, d) @ axes.T
    L = np.linalg.cholesky(pooled)
    means = separation / np.sqrt(d) * rng.normal(size=(K, d)) @ L.T + offset
    X = (means[rng.integers(0, K, n)] + rng.normal(size=(n, d)) @ L.T).astype(dtype)
    start = means + 0.1 * rng.normal(size=(K, d)) @ L.T
    variances = np.tile(np.diagonal(pooled), (K, 1))
    covariances = {"tied": pooled, "diag": variances, "spherical": variances.mean(axis=1)}[structure]
    return X, GaussianParameters.from_covariances(structure, np.full(K, 1 / K), start, covariances)


def begin(data: Any, theta: GaussianParameters, use_origin: bool = True, n_threads: int | None = None) -> GaussianRun:
    names = [name for name in SHORTCUTS if use_origin or name != "origin"]
    model = GaussianModel(theta.n_components, theta.n_features, theta.structure, n_threads=n_threads, shortcuts=names)
    return model.begin(data)


def origin_of(run: GaussianRun) -> Origin:
    origin = shortcut_of(run, Origin)
    assert origin is not None
    return origin


def n_moved(run: GaussianRun) -> int:
    """Components that were at the origin in the last pass."""
    return run.sums.buffers.n_moved


def e_step(data: Any, theta: GaussianParameters, use_origin: bool = True) -> tuple[GaussianStatistics, bool]:
    """The statistics, and whether they were taken about an origin."""
    run = begin(data, theta, use_origin)
    statistics, _ = run.e_step(theta)
    return statistics, n_moved(run) > 0


def naive_sums(X: Array, theta: GaussianParameters) -> GaussianStatistics:
    """The statistics about each component's mean, as the formulae stand."""
    r = naive_responsibilities(X, theta)
    centered = [X - mean for mean in theta.means]
    shift = np.stack([r[:, k] @ z for k, z in enumerate(centered)])
    scatter = scatter_of(theta.structure, centered, list(r.T))
    total = float(logsumexp(naive_joint(X, theta), axis=1).sum())
    return GaussianStatistics.of(
        theta.structure, theta.means, r.sum(axis=0), shift, scatter, float(len(X)), len(X), total, theta
    )


def assert_same_bits(a: GaussianStatistics, b: GaussianStatistics) -> None:
    np.testing.assert_array_equal(a.packed, b.packed)
    assert a.log_likelihood == b.log_likelihood


def assert_same(a: GaussianStatistics, b: GaussianStatistics, rtol: float) -> None:
    """Means and covariances, in units of b's covariances, and the log-likelihood."""
    np.testing.assert_array_equal(a.center, b.center)
    np.testing.assert_allclose(a.weight, b.weight, rtol=rtol)
    assert a.log_likelihood == pytest.approx(b.log_likelihood, rel=max(1e-12, 1e-2 * rtol))
    kind, form = a.structure, a.structure.form
    found, expected = (
        GaussianParameters(kind, a.n_components, a.n_features, kind.maximize(sums, 0.0)[0]) for sums in (a, b)
    )
    assert np.abs(form.whitened(expected.whitening, found.means - expected.means)).max() <= rtol
    change = form.whitened_norms(expected.whitening, found.covariances - expected.covariances, expected.n_features)
    assert change.max() <= rtol * expected.n_features
