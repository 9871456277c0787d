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
from emix.gaussian.structure import CompiledStructure
from emix.gaussian.structures import STRUCTURES, CovarianceStructure
from emix.kernel import factors
from emix.rows.arrays import ArraySource

__all__ = ["contains", "merged", "merged_to", "projected", "split"]

Array = NDArray[np.float64]

# The two halves of a component lie so many of its standard deviations from its mean, along its longest axis. Halves of
# a normal distribution, cut at its mean, lie √(2/π) = 0.80 from it.
APART = 0.8

# Unions that are compared in structures whose components share a part of their covariances.
MERGERS = 4


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
    K, d = means.shape
    more = np.empty(K + 1), np.empty((K + 1, d)), np.empty((K + 1, d, d))
    factors.split(weights, means, np.ascontiguousarray(covariances), APART, *more)
    return _of_structure(structure, *more)


@np.errstate(under="ignore")
def _scatter_of_rows(parameters: GaussianParameters, rows: ArraySource, covariances: Array) -> Array:
    """Covariance matrices of rows by their responsibilities; those given where a component holds too few rows."""
    K, d = parameters.means.shape
    # One E-step of the same mixture in the form that sums matrices.
    full = GaussianParameters.of(STRUCTURES["full"], parameters.weights, parameters.means, covariances)
    statistics, _ = GaussianModel(K, d, full.structure, 0.0, 1).e_step(rows, full)
    # The E-step sums about the means of its parameters, which are what a component's scatter is about here.
    weight, _, scatter = statistics.in_unit
    enough = weight * (rows.effective_rows / weight.sum()) > 2 * d
    found = np.array(covariances)
    np.divide(scatter, weight[:, np.newaxis, np.newaxis], out=found, where=enough[:, np.newaxis, np.newaxis])
    return found


def merged(parameters: GaussianParameters, structure: CovarianceStructure) -> GaussianParameters:
    """Return parameters with one component less: two are one, those whose union loses least.

    The loss is that of Q with a covariance of the structure's form for each component, ½ (π log det Σ − π_i log det Σ_i
    − π_j log det Σ_j), π, Σ of the union, and of its entropy of weights: no unit of a column counts in it. Of a few
    unions that lose least by that, a structure whose components share a part of their covariances has the one with
    which its own Q is highest.
    """
    K = parameters.n_components
    # Compiled code has the M-steps of the structures of this package. Those of others are judged by the form alone.
    ours = STRUCTURES.get(structure.name) is structure
    if structure.is_linear or not (ours and isinstance(structure, CompiledStructure)):
        return merged_to(parameters, structure, K - 1)
    weights, means, covariances = moments = _own_moments(parameters)
    # What components share changes with each union.
    pairs = factors.best_unions(structure.form.code, *moments, MERGERS)
    m_step = structure.m_step
    pair = max(pairs, key=lambda pair: factors.q_of_union(m_step, *moments, *pair))
    factors.merge_pair(*moments, *pair)
    return _of_structure(structure, weights[: K - 1], means[: K - 1], covariances[: K - 1])


def merged_to(parameters: GaussianParameters, structure: CovarianceStructure, n_components: int) -> GaussianParameters:
    """Return parameters with fewer components: two after two are one, each time those whose union loses least.

    The loss is that of `merged`, in the structure's form.
    """
    weights, means, covariances = _own_moments(parameters)
    factors.merge(structure.form.code, n_components, weights, means, covariances)
    return _of_structure(structure, weights[:n_components], means[:n_components], covariances[:n_components])


def _own_moments(parameters: GaussianParameters) -> tuple[Array, Array, Array]:
    """Copies of the moments, to write to."""
    weights, means, covariances = _moments(parameters)
    return weights.copy(), means.copy(), covariances.copy()


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
