"""Starts from fitted neighbours: a component split, two merged, another structure's parameters.

A split and a merge keep the weight, the mean and the covariance of what they replace. So the start is as good as its
neighbour's fit but for the detail that a component more or less can tell.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters, full_covariances
from emix.gaussian.structures import CovarianceStructure
from emix.rows.arrays import ArraySource

__all__ = ["contains", "merged", "merged_to", "projected", "split"]

Array = NDArray[np.float64]
Places = NDArray[np.intp]

# The two halves of a component lie so many of its standard deviations from its mean, along its longest axis. Halves of
# a normal distribution, cut at its mean, lie √(2/π) = 0.80 from it.
APART = 0.8

# Unions that are compared in structures whose components share a part of their covariances.
MERGERS = 4

# Numbers of the covariance matrices of unions that are made at one time.
NUMBERS_AT_ONCE = 100_000


def split(
    parameters: GaussianParameters, structure: CovarianceStructure, rows: ArraySource | None = None
) -> GaussianParameters:
    """Return parameters with one component more: the one of the largest π_k·λ_k is cut across its longest axis.

    λ_k is the largest variance of component k in any direction, in units of the columns' standard deviations over all
    rows. The halves have means μ ± a √λ v and covariance Σ − a² λ v vᵀ, which keeps the moments (Zhang, Chen, Sun and
    Chan, 2003, EM algorithms for Gaussian mixtures with split-and-merge operation, Pattern Recognition 36, 1973-1983).

    `rows` are some of the rows that the parameters were fitted to. From them comes the covariance matrix of each
    component, of which a structure may keep no more than a variance.
    """
    weights, means, covariances = _moments(parameters)
    has_own_matrices = structure.is_linear and structure.form.has_matrices and not structure.is_common
    if rows is not None and not has_own_matrices:
        covariances = _scatter_of_rows(parameters, rows, covariances)
    away = means - weights @ means
    total = weights @ (np.diagonal(covariances, axis1=1, axis2=2) + away * away)
    scale = np.sqrt(np.where(total > 0.0, total, 1.0))
    values, vectors = np.linalg.eigh(covariances / (scale[:, np.newaxis] * scale))
    k = int(np.argmax(weights * values[:, -1]))
    step = APART * np.sqrt(max(values[k, -1], 0.0)) * vectors[k, :, -1] * scale
    half = covariances[k] - np.outer(step, step)
    return _of_structure(
        structure,
        np.concatenate([weights[:k], [0.5 * weights[k]], weights[k + 1 :], [0.5 * weights[k]]]),
        np.concatenate([means[:k], [means[k] - step], means[k + 1 :], [means[k] + step]]),
        np.concatenate([covariances[:k], [half], covariances[k + 1 :], [half]]),
    )


@np.errstate(under="ignore")
def _scatter_of_rows(parameters: GaussianParameters, rows: ArraySource, covariances: Array) -> Array:
    """Covariance matrices of rows by their responsibilities; those given where a component holds too few rows."""
    K, d = parameters.means.shape
    # One E-step of the same mixture in the form that sums matrices.
    full = GaussianParameters.from_covariances("full", parameters.weights, parameters.means, covariances)
    statistics, _ = GaussianModel(K, d, "full", 0.0, 1).e_step(rows, full)
    weight, _, scatter = statistics.recentered(parameters.means).in_unit
    enough = weight / weight.sum() * rows.effective_rows > 2 * d
    found = covariances.copy()
    found[enough] = scatter[enough] / weight[enough, np.newaxis, np.newaxis]
    return found


def merged(parameters: GaussianParameters, structure: CovarianceStructure) -> GaussianParameters:
    """Return parameters with one component less: two are one, those whose union loses least.

    The loss is that of Q with a covariance of the structure's form for each component, ½ (π log det Σ − π_i log det Σ_i
    − π_j log det Σ_j), π, Σ of the union, and of its entropy of weights: no unit of a column counts in it.
    """
    weights, means, covariances = _moments(parameters)
    K = len(weights)
    own = _own_terms(structure, weights, covariances)
    first, second = np.triu_indices(K, 1)
    gain = _gains(structure, weights, means, covariances, own, first, second)

    def without(pair: int) -> GaussianParameters:
        i, j = first[pair : pair + 1], second[pair : pair + 1]
        others = [k for k in range(K) if k not in (i[0], j[0])]
        both, mean, union = _unions(weights, means, covariances, i, j)
        return _of_structure(
            structure,
            np.concatenate([weights[others], both]),
            np.concatenate([means[others], mean]),
            np.concatenate([covariances[others], union]),
        )

    best = np.argsort(-gain, kind="stable")[:MERGERS]
    if structure.is_linear:
        return without(int(best[0]))
    # What components share changes with each union: the few best are compared as the structure has them.
    return max((without(int(pair)) for pair in best), key=_highest_q)


@np.errstate(invalid="ignore")
def merged_to(parameters: GaussianParameters, structure: CovarianceStructure, n_components: int) -> GaussianParameters:
    """Return parameters with fewer components: two after two are one, each time those whose union loses least.

    The loss is that of `merged`, in the structure's form.
    """
    weights, means, covariances = (part.copy() for part in _moments(parameters))
    K = len(weights)
    own = _own_terms(structure, weights, covariances)
    first, second = np.triu_indices(K, 1)
    gain = np.full((K, K), -np.inf)
    gain[first, second] = _gains(structure, weights, means, covariances, own, first, second)
    left = np.arange(K)
    for _ in range(K - n_components):
        k, gone = divmod(int(np.argmax(gain)), K)
        one = slice(k, k + 1)
        unions = _unions(weights, means, covariances, np.array([k]), np.array([gone]))
        weights[one], means[one], covariances[one] = unions
        own[one] = _own_terms(structure, weights[one], covariances[one])
        gain[gone], gain[:, gone] = -np.inf, -np.inf
        left = left[left != gone]
        others = left[left != k]
        # Gains of other pairs stay as they are.
        changed = _gains(structure, weights, means, covariances, own, np.full(len(others), k), others)
        gain[np.minimum(k, others), np.maximum(k, others)] = changed
    return _of_structure(structure, weights[left], means[left], covariances[left])


def _unions(weights: Array, means: Array, covariances: Array, i: Places, j: Places) -> tuple[Array, Array, Array]:
    """Weights, means and covariances of the components i, each merged with that of j."""
    both = weights[i] + weights[j]
    share = np.divide(weights[i], both, out=np.full(len(both), 0.5), where=both > 0.0)
    away = means[i] - means[j]
    mean = means[j] + share[:, np.newaxis] * away
    within = share[:, np.newaxis, np.newaxis]
    union = covariances[j] + within * (covariances[i] - covariances[j])
    away *= np.sqrt(share * (1.0 - share))[:, np.newaxis]
    union += away[:, :, np.newaxis] * away[:, np.newaxis, :]
    return both, mean, union


def _gains(
    structure: CovarianceStructure,
    weights: Array,
    means: Array,
    covariances: Array,
    own: Array,
    i: Places,
    j: Places,
) -> Array:
    """Change of Q from merging the components i, each with that of j."""
    gains = np.empty(len(i))
    # The union of two singular components gains ∞ − ∞: it comes last.
    at_once = max(1, NUMBERS_AT_ONCE // means.shape[1] ** 2)
    for start in range(0, len(i), at_once):
        part = slice(start, start + at_once)
        both, _, union = _unions(weights, means, covariances, i[part], j[part])
        gains[part] = _own_terms(structure, both, union) - own[i[part]] - own[j[part]]
    return np.where(np.isnan(gains), -np.inf, gains)


def _own_terms(structure: CovarianceStructure, weights: Array, covariances: Array) -> Array:
    """Each component's part of Q, up to constants that a merge leaves as they are."""
    return _weighted_log(weights) - 0.5 * weights * _log_det(structure, covariances)


def _highest_q(parameters: GaussianParameters) -> float:
    """Q, up to a constant, of statistics that the parameters maximize."""
    weights = parameters.weights
    return float(_weighted_log(weights).sum() + weights @ parameters.log_det_whitening)


def projected(parameters: GaussianParameters, structure: CovarianceStructure) -> GaussianParameters:
    """Return parameters of another structure, those nearest to these; the same mixture if the structure has it."""
    return _of_structure(structure, *_moments(parameters))


def contains(structure: CovarianceStructure, other: CovarianceStructure) -> bool:
    """True if all covariances of the other structure are of this one too, by mclust's names; False is no verdict."""
    return _name_contains(structure.alias or structure.name, other.alias or other.name)


@cache
def _name_contains(outer: str, inner: str) -> bool:
    if inner == outer or not all(len(name) == 3 and set(name) <= set("IEV") for name in (outer, inner)):
        return False
    return all("IEV".index(a) >= "IEV".index(b) for a, b in zip(outer, inner))


def _moments(parameters: GaussianParameters) -> tuple[Array, Array, Array]:
    """Weights, means and covariance matrices (K, d, d)."""
    return parameters.weights, parameters.means, full_covariances(parameters)


def _log_det(structure: CovarianceStructure, covariances: Array) -> Array:
    """Log det of covariance matrices (…, d, d) in the form of a structure."""
    form = structure.form
    if form.has_matrices:
        return np.asarray(np.linalg.slogdet(covariances)[1])
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    if not form.has_directions:
        variances = np.broadcast_to(variances.mean(axis=1, keepdims=True), variances.shape)
    return np.asarray(np.log(np.maximum(variances, np.finfo(np.float64).tiny)).sum(axis=1))


def _weighted_log(weights: Array) -> Array:
    return weights * np.log(np.where(weights > 0.0, weights, 1.0))


def _of_structure(
    structure: CovarianceStructure, weights: Array, means: Array, covariances: Array
) -> GaussianParameters:
    """Return parameters of the structure that are nearest to covariance matrices (K, d, d).

    Raises
    ------
    DegenerateCovarianceError
        If a covariance is not positive definite.
    """
    form = structure.form
    if form.is_shared:
        covariances = np.tensordot(weights, covariances, axes=1)
    elif not form.has_matrices:
        covariances = np.diagonal(covariances, axis1=1, axis2=2)
        if not form.has_directions:
            covariances = covariances.mean(axis=1)
    return GaussianParameters.of(structure, weights, means, structure.project(covariances, weights))
