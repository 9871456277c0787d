"""Marginal and conditional distributions of a Gaussian mixture, as parameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emix.estimators.conditional_mixtures import ConditionalMixtures, cholesky_of_each
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import score_rows
from emix.gaussian.structures import STRUCTURES, CovarianceStructure
from emix.normal.algebra import conditional_covariance, regression_coefficients
from emix.normal.arguments import Names

__all__ = ["Conditioning", "marginal_parameters"]

Array = NDArray[np.float64]

# Structures that hold for some of the features too, and for those that are left when others are given. The others do
# not: equal determinants, eigenvalues or axes of whole matrices are not those of their blocks.
_CLOSED = frozenset({"full", "tied", "diag", "spherical", "EEI", "EII", "VEI", "VEE"})


def structure_of_some(structure: CovarianceStructure) -> CovarianceStructure:
    """Return the structure of some of the features: itself if it is closed, else the free one of its form."""
    return structure if structure.name in _CLOSED else STRUCTURES[structure.form.name]


def marginal_parameters(parameters: GaussianParameters, features: list[int]) -> GaussianParameters:
    """Return the mixture of some of the features, in the order given."""
    structure, covariances = parameters.structure, parameters.covariances
    if structure.form.has_matrices:
        covariances = covariances[..., np.array(features)[:, np.newaxis], features]
    elif structure.form.has_directions:
        covariances = covariances[:, features]
    means = np.ascontiguousarray(parameters.means[:, features])
    return GaussianParameters.of(
        structure_of_some(structure), parameters.weights, means, np.ascontiguousarray(covariances)
    )


class Conditioning:
    """A mixture whose features are split into given ones and others. All factorizations are made once.

    Parameters
    ----------
    parameters : GaussianParameters
    known : list of int
        The given features, in the order of their values.
    n_threads : int or None
        Most threads that compute the weights of many rows.

    Attributes
    ----------
    others : list of int
        The other features, in order.
    given : GaussianParameters
        The mixture of the given features.
    structure : CovarianceStructure
        That of the covariances.
    covariances : ndarray
        Of the other features, in the structure's form. They do not depend on the values.

    Raises
    ------
    DegenerateCovarianceError
        If a covariance is not positive definite to working precision.
    """

    def __init__(self, parameters: GaussianParameters, known: list[int], n_threads: int | None = None) -> None:
        self.others = [j for j in range(parameters.n_features) if j not in set(known)]
        self.given = marginal_parameters(parameters, known)
        self._n_threads = n_threads
        self._means = parameters.means[:, self.others]
        self.structure = structure_of_some(parameters.structure)
        form, covariances = parameters.structure.form, parameters.covariances
        self._slopes: list[Array] = []
        if not form.has_matrices:
            # Features are independent within a component: only the weights depend on the values.
            self.covariances = covariances[:, self.others] if form.has_directions else covariances
            return
        order = np.array([*known, *self.others])
        ordered = covariances[..., order[:, np.newaxis], order]
        factors = cholesky_of_each(ordered[np.newaxis] if form.is_shared else ordered, "no feature can be given")
        found = [conditional_covariance(factor, len(known)) for factor in factors]
        self.covariances = found[0] if form.is_shared else np.array(found)
        slopes = [regression_coefficients(factor, len(known)) for factor in factors]
        self._slopes = slopes * parameters.n_components if form.is_shared else slopes

    def weights(self, values: Array) -> tuple[Array, Array]:
        """Return log-density (n,) of the given values (n, b), and the weights π_k p_k(x_b) / p(x_b), shape (n, K).

        Where the density underflows even as a logarithm, −inf, the nearest component has the weight 1.
        """
        if not len(values):
            return np.empty(0), np.empty((0, self.given.n_components))
        scores = score_rows(values, self.given, log_density=True, responsibilities=True, n_threads=self._n_threads)
        assert scores.log_density is not None and scores.responsibilities is not None
        return scores.log_density.astype(np.float64, copy=False), scores.responsibilities.astype(np.float64, copy=False)

    @np.errstate(over="ignore", under="ignore", invalid="ignore")
    def means(self, values: Array) -> Array:
        """Return the components' means of the other features for values (n, b), shape (n, K, d')."""
        found = np.repeat(self._means[np.newaxis], len(values), axis=0)
        for k, slope in enumerate(self._slopes):
            found[:, k] += (values - self.given.means[k]) @ slope.T
        return found

    def conditionals(
        self, values: Array, covariance_type: str, names: Names | None, argument: str = "given"
    ) -> ConditionalMixtures:
        """Return the mixtures of the other features for rows of values (n, b).

        Parameters
        ----------
        values : ndarray of shape (n, b)
        covariance_type : str
            Name of the structure.
        names : ndarray of str or None
            Of all features.
        argument : str
            The values' name in messages.

        Raises
        ------
        ValueError
            If the density of the values of a row is zero, or their conditional means overflow.
        """
        density, weights = self.weights(values)
        means = self.means(values)
        _refuse(
            np.isneginf(density),
            f"{argument} has values at which the density is zero",
            "they are so far from every component that its logarithm is -inf, and no conditional distribution can be "
            "computed",
        )
        _refuse(
            np.asarray(~np.isfinite(means).all(axis=(1, 2))),
            f"{argument} has values at which a conditional mean overflows",
            "they are too far from a component",
        )
        others = None if names is None else names[self.others]
        return ConditionalMixtures(weights, means, self.matrices(), covariance_type, others)

    def matrices(self) -> Array:
        """Return the covariances as matrices, (K, d', d')."""
        return self.structure.form.to_full(self.covariances, self.given.n_components, len(self.others))

    def parameters(self, conditional: ConditionalMixtures) -> GaussianParameters:
        """Return the parameters of the mixture of one row of `conditionals`."""
        return GaussianParameters.of(
            self.structure, conditional.weights[0], conditional.means[0], np.ascontiguousarray(self.covariances)
        )


def _refuse(bad: NDArray[np.bool_], problem: str, reason: str) -> None:
    """Refuse rows of values that are marked as bad."""
    if bad.any():
        if len(bad) == 1:
            raise ValueError(f"{problem}: {reason}.")
        raise ValueError(
            f"{problem} (row {int(bad.argmax())}, {int(bad.sum())} of {len(bad)}): {reason}. Leave them out."
        )
