"""Conditional mixtures of some features, for many values of the others at once."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emix.exceptions import DegenerateCovarianceError, shown
from emix.gaussian.structures import structure_of
from emix.normal.algebra import log_densities
from emix.normal.arguments import Names, as_points_by_row
from emix.normal.array_types import FloatArray
from emix.normal.covariance_factor import CholeskyFactor
from emix.normal.mixture_moments import mixture_covariances, mixture_deviations, mixture_means
from emix.normal.mixture_quantiles import mixture_probabilities, mixture_quantiles
from emix.normal.probabilities import as_probabilities

if TYPE_CHECKING:
    from emix.estimators.gaussian_mixture import GaussianMixture

__all__ = ["ConditionalMixtures", "cholesky_of_each"]

Array = NDArray[np.float64]


def cholesky_of_each(covariances: Array, consequence: str) -> list[Array]:
    """Return the lower Cholesky factors of the components' covariances (K, d, d), each (d, d).

    Raises
    ------
    DegenerateCovarianceError
        If one is not positive definite to working precision; its message ends with the consequence.
    """
    factors: list[Array] = []
    for k, matrix in enumerate(covariances):
        try:
            factors.append(np.linalg.cholesky(matrix).astype(np.float64, copy=False))
        except np.linalg.LinAlgError:
            raise DegenerateCovarianceError(
                f"the covariance of component {k} is not positive definite to working precision: {consequence}", k
            ) from None
    return factors


@dataclass(frozen=True, eq=False)
class ConditionalMixtures:
    """Gaussian mixtures of the same features, one for each condition i.

    `GaussianMixture.conditional` returns it for arrays of values. Weights and means differ from one condition to the
    next; the covariances are those of all. `len` is the number of conditions, ``conditionals[i]`` is the mixture of
    condition i, and ``conditionals[i:j]`` are the mixtures of some.

    Attributes
    ----------
    weights : ndarray of shape (n_rows, n_components), float64
    means : ndarray of shape (n_rows, n_components, n_features), float64
    covariances : ndarray of shape (n_components, n_features, n_features), float64
        Matrices for every covariance type.
    covariance_type : str
        That of the mixtures ``conditionals[i]``.
    feature_names : ndarray of shape (n_features,), object, or None

    Examples
    --------
    >>> import emix
    >>> eye = [[[1.0, 0.8], [0.8, 1.0]]] * 2
    >>> gm = emix.GaussianMixture.from_parameters([0.5, 0.5], [[0.0, 0.0], [4.0, 4.0]], eye)
    >>> given = gm.conditional({0: [0.0, 2.0, 4.0]})
    >>> given.mean().ravel().round(3)
    array([0., 2., 4.])
    >>> given.std().ravel().round(3)
    array([0.6  , 0.721, 0.6  ])
    >>> given.quantile([0.05, 0.95]).round(2)
    array([[-0.99,  0.99],
           [ 0.82,  3.18],
           [ 3.01,  4.99]])
    """

    weights: Array
    means: Array
    covariances: Array
    covariance_type: str = "full"
    feature_names: Names | None = None

    def __len__(self) -> int:
        return len(self.weights)

    @overload
    def __getitem__(self, row: slice) -> ConditionalMixtures: ...
    @overload
    def __getitem__(self, row: int) -> GaussianMixture: ...
    def __getitem__(self, row: int | slice) -> GaussianMixture | ConditionalMixtures:
        from emix.estimators.gaussian_mixture import GaussianMixture

        if isinstance(row, slice):
            return replace(self, weights=self.weights[row], means=self.means[row])
        try:
            row = operator.index(row)
        except TypeError:
            raise TypeError(f"the condition is {shown(row)}, expected an int or a slice.") from None
        form, covariances = structure_of(self.covariance_type, type(self).__name__).form, self.covariances
        if form.is_shared:
            covariances = covariances[0]
        elif not form.has_matrices:
            covariances = np.diagonal(covariances, axis1=1, axis2=2)
            covariances = covariances if form.has_directions else covariances[:, 0]
        mixture = GaussianMixture.from_parameters(self.weights[row], self.means[row], covariances, self.covariance_type)
        if self.feature_names is not None:
            mixture.feature_names_in_ = self.feature_names.copy()
        return mixture

    def __iter__(self) -> Iterator[GaussianMixture]:
        return (self[row] for row in range(len(self)))

    @property
    def n_features(self) -> int:
        """Number of features."""
        return int(self.means.shape[2])

    def mean(self) -> Array:
        """Mean of each mixture, Σ_k w_k m_k: the expected values of the features.

        Returns
        -------
        ndarray of shape (n_rows, n_features), float64
        """
        return mixture_means(self.weights, self.means)

    def covariance(self) -> Array:
        """Covariance of each mixture, within components and between them: Σ_k w_k (S_k + (m_k − m)(m_k − m)ᵀ).

        Returns
        -------
        ndarray of shape (n_rows, n_features, n_features), float64

        Raises
        ------
        ValueError
            If one overflows: means lie further than about 1e154 from each other.
        """
        return mixture_covariances(self.weights, self.means, self.covariances)

    def std(self) -> Array:
        """Standard deviation of each feature under each mixture.

        Returns
        -------
        ndarray of shape (n_rows, n_features), float64
        """
        return mixture_deviations(self.weights, self.means, self.covariances)

    def logpdf(self, Y: ArrayLike) -> FloatArray:
        """Log-density of one point under each mixture, nats.

        Parameters
        ----------
        Y : array_like or data frame of shape (n_rows, n_features), or (n_rows,) for one feature
            Row i is scored under mixture i.

        Returns
        -------
        ndarray of shape (n_rows,), Y's dtype
            Finite or −inf, never NaN.

        Raises
        ------
        ValueError
            If Y has another shape, other names, NaN or infinity.
        DegenerateCovarianceError
            If a covariance is not positive definite to working precision.
        """
        shape = (len(self), self.n_features)
        rows = as_points_by_row("Y", Y, shape, caller=type(self).__name__, names=self.feature_names)
        at_zero, joint = np.zeros(self.n_features), np.empty(self.weights.shape)
        factors = [CholeskyFactor(lower) for lower in cholesky_of_each(self.covariances, "there is no density")]
        with np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore"):
            for k, factor in enumerate(factors):
                joint[:, k] = log_densities(factor, rows - self.means[:, k], at_zero)
            joint += np.log(self.weights)
            highest = joint.max(axis=1, keepdims=True, initial=-np.inf)
            known = np.where(np.isneginf(highest), 0.0, highest)
            density: FloatArray = (known[:, 0] + np.log(np.exp(joint - known).sum(axis=1))).astype(rows.dtype)
        return density

    def cdf(self, Y: ArrayLike) -> FloatArray:
        """Probability of at most Y[i] under mixture i, for mixtures of one feature.

        Parameters
        ----------
        Y : array_like of shape (n_rows,) or (n_rows, 1)

        Returns
        -------
        ndarray of shape (n_rows,), Y's dtype

        Raises
        ------
        ValueError
            If the mixtures have several features, or as `logpdf`.
        """
        deviations = self._deviations("cdf")
        rows = as_points_by_row("Y", Y, (len(self), 1), caller=type(self).__name__, names=self.feature_names)
        below = mixture_probabilities(rows[:, 0].astype(np.float64), self.weights, self.means[:, :, 0], deviations)
        return below.astype(rows.dtype)

    def quantile(self, q: ArrayLike) -> Array:
        """Quantiles of each mixture, for mixtures of one feature: limits of prediction intervals.

        Parameters
        ----------
        q : float or array_like of shape (m,)
            Probabilities from 0 to 1.

        Returns
        -------
        ndarray of shape (n_rows,), or (n_rows, m) for an array, float64

        Raises
        ------
        ValueError
            If the mixtures have several features, or q is not as said above.
        """
        deviations = self._deviations("quantile")
        probabilities = as_probabilities("q", q)
        if probabilities.ndim > 1:
            raise ValueError(f"q has shape {probabilities.shape}, expected a number or a 1-D array.")
        n_rows = len(self)
        found = [
            mixture_quantiles(np.full(n_rows, one), self.weights, self.means[:, :, 0], deviations)
            for one in np.atleast_1d(probabilities)
        ]
        return np.stack(found, axis=1) if probabilities.ndim else found[0]

    def _deviations(self, method: str) -> Array:
        """Return the standard deviations of mixtures of one feature, (1, K)."""
        if self.n_features != 1:
            raise ValueError(
                f"{method} is for mixtures of one feature, and these have {self.n_features}. Condition the marginal of "
                "one feature and the given ones."
            )
        return np.asarray(np.sqrt(self.covariances[:, 0, 0]))[np.newaxis]
