"""The maximum under structures that share a part of their covariances, by slow NumPy: a reference for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

Array = NDArray[Any]

SHARING = ("VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV")
ITERATED = ("VEI", "VEE", "VEV", "EVE", "VVE")


def maximum(structure: str, matrices: Array, weights: Array, axes: Array | None = None) -> Array:
    """Covariances (K, d, d) of the structure that minimize Σ_k p_k (log det Σ_k + tr Σ_k⁻¹ M_k).

    Of EVE and VVE a local minimum, from the axes in the rows of `axes`, by default eigenvectors of the pooled matrix.
    """
    matrices, shares = np.asarray(matrices, dtype=np.float64), weights / weights.sum()
    diagonals = np.diagonal(matrices, axis1=1, axis2=2)
    if structure == "EVI":
        return _diagonal(equal_volumes(diagonals, shares))
    if structure == "EVV":
        sizes = np.exp(np.linalg.slogdet(matrices)[1] / matrices.shape[1])
        return np.asarray(matrices * ((shares @ sizes) / sizes)[:, np.newaxis, np.newaxis])
    if structure in ("VEI", "VEE"):
        return common_shape(_diagonal(diagonals) if structure == "VEI" else matrices, shares)
    if structure in ("EEV", "VEV"):
        values, vectors = np.linalg.eigh(matrices)
        # `eigh` has all eigenvalues in ascending order.
        best = common_shape(_diagonal(values), shares) if structure == "VEV" else _diagonal([shares @ values])
        return np.asarray(vectors @ best @ vectors.transpose(0, 2, 1))
    return common_axes(structure, matrices, shares, pooled_axes(matrices, shares) if axes is None else axes)


def pooled_axes(matrices: Array, shares: Array) -> Array:
    """Eigenvectors of the pooled matrix, in rows."""
    return np.asarray(np.linalg.eigh(np.einsum("k,kij->ij", shares, matrices))[1].T)


def _diagonal(variances: Any) -> Array:
    found = np.asarray(variances)
    return np.asarray(found[..., np.newaxis] * np.eye(found.shape[-1]))


def equal_volumes(variances: Array, shares: Array) -> Array:
    """Variances with one product, Σ_k = λ B_k."""
    sizes = np.exp(np.log(variances).mean(axis=1))
    return np.asarray(variances * ((shares @ sizes) / sizes)[:, np.newaxis])


def common_shape(matrices: Array, shares: Array) -> Array:
    """λ_k C, by turns: the one minimum, as the criterion is convex in log λ and, along geodesics, in log C."""
    volumes = np.ones(len(matrices))
    for _ in range(20_000):
        shape = np.einsum("k,kij->ij", shares / volumes, matrices)
        volumes, before = np.trace(np.linalg.solve(shape, matrices), axis1=1, axis2=2) / len(shape), volumes
        if np.abs(volumes / before - 1.0).max() < 1e-15:
            break
    return np.asarray(volumes[:, np.newaxis, np.newaxis] * shape)


def criterion(structure: str, matrices: Array, shares: Array, axes: Array) -> float:
    """The least Σ_k p_k log det Σ_k over covariances with these axes."""
    logs = np.log(np.einsum("ji,kil,jl->kj", axes, matrices, axes)).sum(axis=1)
    if structure == "VVE":
        return float(shares @ logs)
    d = len(axes)
    return float(d * np.log(shares @ np.exp(logs / d)))


def common_axes(structure: str, matrices: Array, shares: Array, axes: Array) -> Array:
    """Turn two axes at a time by the angle that a search by intervals finds, until nothing is gained."""
    d = len(axes)
    for _ in range(200):
        before = criterion(structure, matrices, shares, axes)
        for i in range(d):
            for j in range(i + 1, d):

                def turned(angle: float, i: int = i, j: int = j, axes: Array = axes) -> Array:
                    found = axes.copy()
                    found[i] = np.cos(angle) * axes[i] + np.sin(angle) * axes[j]
                    found[j] = np.cos(angle) * axes[j] - np.sin(angle) * axes[i]
                    return found

                best = minimize_scalar(
                    lambda angle, turned=turned: criterion(structure, matrices, shares, turned(angle)),
                    bounds=(-np.pi / 4, np.pi / 4),
                    method="bounded",
                    options={"xatol": 1e-10},
                )
                # Rounding of the criterion gains nothing.
                if best.fun < criterion(structure, matrices, shares, axes) - 1e-14:
                    axes = turned(best.x)
        if before - criterion(structure, matrices, shares, axes) < 1e-14:
            break
    variances = np.einsum("ji,kil,jl->kj", axes, matrices, axes)
    if structure == "EVE":
        variances = equal_volumes(variances, shares)
    return np.asarray(axes.T @ _diagonal(variances) @ axes)
