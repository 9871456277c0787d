"""PassBuffers whose components share an origin: which of them move there, and sums that are moved back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from emix.gaussian import structures
from emix.kernel import factors
from emix.kernel.layout import TIED, density_layout
from kernel.buffers import Array, Buffers, density, in_form, packed
from kernel.naive import STRUCTURES


def mixture(structure: str, K: int, d: int, scale: float) -> tuple[Array, Array, Array, Array]:
    """Weights, means, whitening and the packed density of a mixture `scale` across."""
    rng = np.random.default_rng([K, d])
    pi, mu = rng.dirichlet(np.ones(K)), scale * rng.normal(size=(K, d))
    A = rng.normal(size=(K, d, d))
    sigma = in_form(structure, A @ A.transpose(0, 2, 1) + np.eye(d))
    W, log_det = structures.STRUCTURES[structure].form.whiten(sigma, K, d)
    return pi, mu, W, density(structure, pi, mu, sigma, W, log_det)


def squared_reaches(structure: str, W: Array, away: Array) -> Array:
    magnitudes = structures.STRUCTURES[structure].form.whitened(np.abs(W), np.abs(away))
    return np.asarray(np.sum(magnitudes**2, axis=1))


@pytest.mark.parametrize("structure", ["tied", "diag", "spherical"])
@pytest.mark.parametrize("single", [False, True])
def test_components_within_reach_move_to_the_origin(structure: str, single: bool) -> None:
    K, d = 4, 3
    pi, mu, W, parameters = mixture(structure, K, d, 5.0)
    m = np.full(d, 0.25) if structure == "tied" else pi @ mu
    m = m.astype(np.float32).astype(np.float64) if single else m
    reach = squared_reaches(structure, W, mu - m)
    # Of tied either all move or none.
    limit = 1.01 * reach.max() if structure == "tied" else np.sort(reach)[1:3].mean()
    between = Buffers(structure, K, d, np.stack([mu.min(axis=0), mu.max(axis=0)]), single=single)
    between.begin(parameters, about_origin=True)
    plain = between.arguments.copy()
    assert np.isnan(plain[-d:]).all()  # before it is allowed
    fixed = (m, np.zeros(d * d)) if structure == "tied" else (None, None)
    between.buffers.allow_origin(limit, np.zeros(d), np.empty(K * d), *fixed)
    between.begin(parameters, about_origin=True)
    found = between.arguments
    moved = (reach <= limit)[:, np.newaxis]
    assert moved.sum() == (4 if structure == "tied" else 2)
    # Σ π c, of centres that single precision has rounded
    np.testing.assert_allclose(found[-d:], m, rtol=1e-6 if single else 1e-14)
    center, offset = plain[: K * d].reshape(K, d), plain[K * d : 2 * K * d].reshape(K, d)
    np.testing.assert_array_equal(found[: K * d].reshape(K, d), np.where(moved, found[-d:], center))
    away = structures.STRUCTURES[structure].form.whitened(W, mu - found[-d:])
    np.testing.assert_allclose(
        found[K * d : 2 * K * d].reshape(K, d), np.where(moved, away, offset), rtol=1e-13, atol=1e-14
    )
    np.testing.assert_array_equal(found[2 * K * d : -d], plain[2 * K * d : -d])
    if between.rounded is not None:
        np.testing.assert_array_equal(between.rounded, found.astype(np.float32))
    for forbidden in ((None, False), (mu, True)):
        between.begin(parameters, None, *forbidden)
        np.testing.assert_array_equal(between.arguments, plain)
    if structure != "tied" and not single:
        scores = np.empty(len(found))
        factors.prepare(STRUCTURES.index(structure), K, d, False, limit, parameters, scores)
        between.begin(parameters, about_origin=True)
        scores[2 * K * d + K : 2 * K * d + 2 * K] = found[2 * K * d + K : 2 * K * d + 2 * K]
        np.testing.assert_array_equal(scores, found)


def test_tied_stays_where_one_component_is_out_of_reach() -> None:
    K, d = 4, 3
    pi, mu, W, parameters = mixture("tied", K, d, 5000.0)
    plain, found = np.empty((2, 2 * K * (1 + d) + d * d + d))
    factors.prepare(STRUCTURES.index("tied"), K, d, False, 0.0, parameters, plain)
    factors.prepare(STRUCTURES.index("tied"), K, d, False, 1.0, parameters, found)
    np.testing.assert_array_equal(found, plain)
    # What any evaluation loses is allowed, whatever the limit.
    limit = 16.0 * np.sum((np.abs(W) @ parameters[density_layout(TIED, K, d).deviations]) ** 2)
    factor = 0.9 * math.sqrt(limit / squared_reaches("tied", W, mu - pi @ mu).max())
    parameters[K : K + K * d] = (mu * factor).ravel()
    factors.prepare(STRUCTURES.index("tied"), K, d, False, 1.0, parameters, found)
    np.testing.assert_allclose(found[: K * d].reshape(K, d), np.tile(factor * (pi @ mu), (K, 1)), rtol=1e-12)


@pytest.mark.parametrize("structure", ["tied", "diag", "spherical"])
def test_sums_about_the_origin_are_recentred(structure: str) -> None:
    rng = np.random.default_rng(5)
    n, K, d = 500, 3, 4
    X, r = rng.normal(size=(n, d)), rng.dirichlet(np.ones(K), n)
    _, mu, _, parameters = mixture(structure, K, d, 1.0)

    def sums(c: Array) -> tuple[Array, Array, Array]:
        z = X[:, np.newaxis] - c
        S = np.einsum("ik,ikj,ikl->kjl", r, z, z)
        S = {"tied": S.sum(axis=0), "spherical": np.trace(S, axis1=1, axis2=2)}.get(structure, in_form("diag", S))
        return r.sum(axis=0), np.einsum("ik,ikj->kj", r, z), S

    between = Buffers(structure, K, d, np.stack([mu.min(axis=0), mu.max(axis=0)]))
    m, ridge = rng.normal(size=d), np.array([0.5, 0.25, 1.0, 0.125])
    fixed = (m, sums(np.tile(m, (K, 1)))[2].ravel()) if structure == "tied" else (None, None)
    between.buffers.allow_origin(1e6, ridge, np.empty(K * d), *fixed)
    between.begin(parameters, about_origin=True)
    about = sums(np.tile(between.arguments[-d:], (K, 1)))
    scatter = np.zeros((d, d)) if structure == "tied" else about[2]
    between.slots[0] = packed(about[0], about[1], scatter, np.array([7.0]))
    assert between.judge() == (False, False)
    outcome = between.end()
    assert outcome.log_likelihood == 7.0
    N, s, S = sums(mu)
    np.testing.assert_allclose(between.statistics, packed(N, s, S, mu), rtol=1e-12, atol=1e-11)
    if structure == "tied":
        kept = np.diagonal(S) - np.sum(s * s / N[:, np.newaxis], axis=0) + ridge * n
        before = np.diagonal(about[2])
    elif structure == "diag":
        kept, before = S - s * s / N[:, np.newaxis] + ridge * N[:, np.newaxis], about[2]
    else:
        kept, before = S - np.sum(s * s, axis=1) / N + ridge.sum() * N, about[2]
    assert outcome.growth == pytest.approx(max(1.0, float(np.max(before / kept))), rel=1e-12)
