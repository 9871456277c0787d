"""Operations on a fitted mixture: moments, distribution function, quantiles, distances, divergence, thresholds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emix.arguments import integer_in_range
from emix.estimators.derived_mixtures import DerivedMixtures, component_of
from emix.exceptions import shown
from emix.gaussian.monte_carlo import DivergenceEstimate, divergence_by_draws, log_densities_of_draws
from emix.gaussian.parameters import full_covariances
from emix.normal.algebra import chunks
from emix.normal.covariance_factor import whitened_length
from emix.normal.mixture_moments import mixture_covariances
from emix.normal.mixture_quantiles import mixture_quantiles
from emix.normal.probabilities import as_probabilities
from emix.random_source import RandomState, random_source
from emix.rows.validation import FloatArray

__all__ = ["MixtureOperations"]

Array = NDArray[np.float64]

# Least number of draws below a threshold. With ten, the standard error of its share is a third of the share.
_LEAST_DRAWS = 10


class MixtureOperations(DerivedMixtures):
    """Operations on the mixture that an estimator is or holds."""

    def mean(self) -> Array:
        """Return the mean of the whole mixture, Σ_k π_k μ_k.

        Returns
        -------
        ndarray of shape (n_features,), float64
        """
        parameters = self._held()[2]
        with np.errstate(under="ignore"):
            return np.asarray(parameters.weights @ parameters.means / parameters.weights.sum())

    def covariance(self) -> Array:
        """Return the covariance of the whole mixture, Σ_k π_k (Σ_k + (μ_k − m)(μ_k − m)ᵀ), m the mean.

        Returns
        -------
        ndarray of shape (n_features, n_features), float64

        Raises
        ------
        ValueError
            If it overflows: means lie further than about 1e154 from each other.
        """
        parameters = self._held()[2]
        weights = parameters.weights / parameters.weights.sum()
        found = mixture_covariances(weights[np.newaxis], parameters.means[np.newaxis], full_covariances(parameters))
        return np.asarray(found[0])

    def cdf(self, X: ArrayLike, *, lower_limit: ArrayLike | None = None, random_state: RandomState = 0) -> FloatArray:
        """Probability of lower_limit < Y ≤ X, all coordinates together, for Y from the mixture.

        The sum of the components' probabilities, each by `MultivariateNormal.cdf`, which says how accurate they are:
        about 1e-15 absolute for one and two features, and for variances without covariances; about 1e-5, and some
        milliseconds for a point and component, from three features on.

        Parameters
        ----------
        X : array_like or data frame of shape (n_features,) or (..., n_features)
            Upper limits; +inf and −inf are allowed.
        lower_limit : array_like, optional
            Broadcast with X; −inf by default. If a coordinate is above that of X, the box is empty and its probability
            0.
        random_state : int, Generator, RandomState or None, default=0
            For the integration, as in `MultivariateNormal.cdf`.

        Returns
        -------
        ndarray of shape (...), X's dtype
            A scalar for a single point. Of one feature, numbers in one dimension are as many points.

        Raises
        ------
        ValueError
            If X or `lower_limit` has NaN, another number of features or other names.
        """
        _, fitted, parameters = self._held()
        matrices, total = full_covariances(parameters), parameters.weights.sum()
        probability: Any = 0.0
        for k in np.flatnonzero(parameters.weights).tolist():
            # A covariance that is singular to working precision has a distribution function too.
            normal = component_of(parameters, matrices, k, fitted.get("feature_names_in_"), allow_singular=True)
            below = normal.cdf(X, lower_limit=lower_limit, random_state=random_state)
            probability = probability + below * below.dtype.type(parameters.weights[k] / total)
        found: FloatArray = np.minimum(probability, probability.dtype.type(1.0))
        return found

    def quantile(self, q: ArrayLike) -> Array:
        """Return the inverse of `cdf` for a mixture of one feature.

        Parameters
        ----------
        q : array_like
            Probabilities from 0 to 1; −inf and +inf belong to 0 and 1.

        Returns
        -------
        ndarray of q's shape, float64
            A scalar for a single number. Both tails keep their digits: ``quantile(1e-300)`` is exact to rounding, and
            so is ``quantile(1 - 2**-53)``.

        Raises
        ------
        ValueError
            If the mixture has several features (take a `marginal`), or q is not from 0 to 1.

        Examples
        --------
        >>> import emix
        >>> gm = emix.GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> gm.quantile([0.025, 0.5, 0.975]).round(4)
        array([-1.6449,  2.    ,  5.6449])
        """
        parameters = self._held()[2]
        if parameters.n_features != 1:
            raise ValueError(
                f"quantile is for a mixture of one feature, and this one has {parameters.n_features}. Take it of a "
                "marginal, as in marginal(0).quantile(q)."
            )
        probabilities = as_probabilities("q", q)
        deviations = np.sqrt(full_covariances(parameters)[:, 0, 0])
        found = mixture_quantiles(probabilities.ravel(), parameters.weights[None], parameters.means.T, deviations[None])
        shaped: Array = found.reshape(probabilities.shape)[()]
        return shaped

    def mahalanobis(self, X: Any) -> FloatArray:
        """Mahalanobis distance of each row to each component, √((x − μ_k)ᵀ Σ_k⁻¹ (x − μ_k)), not its square.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components), X's dtype
            +inf where it overflows.

        Raises
        ------
        ValueError
            If X has NaN, infinity, another number of features or other names.
        """
        holder, fitted, parameters = self._held()
        rows, form = holder._rows(fitted, X), parameters.structure.form
        found = np.empty((len(rows), parameters.n_components), rows.dtype)
        for k, mean in enumerate(parameters.means):
            whitening = parameters.whitening if form.is_shared else parameters.whitening[k]

            def whiten(z: Array, factor: Array = whitening) -> Array:
                return np.asarray(z @ factor.T if form.has_matrices else z * factor)

            with np.errstate(over="ignore", under="ignore"):
                for chunk in chunks(rows):
                    found[chunk, k] = whitened_length(whiten, rows[chunk] - mean)
        return found

    def kl_divergence(
        self, other: MixtureOperations, n_samples: int = 100_000, random_state: RandomState = 0
    ) -> DivergenceEstimate:
        """Kullback-Leibler divergence KL(self ‖ other) = E log(self / other) under self, by Monte Carlo, nats.

        Parameters
        ----------
        other : GaussianMixture
            Of the same features.
        n_samples : int
            Rows to draw, at least 2. The standard error falls as 1/√n_samples.
        random_state : int, Generator, RandomState or None, default=0
            An int gives the same estimate each time.

        Returns
        -------
        DivergenceEstimate
            Tuple of `estimate` and `standard_error`. For two mixtures of one component it is the closed form, with the
            error 0. Both are +inf if `other` has the density 0 at a row.

        Raises
        ------
        TypeError
            If `other` is no fitted mixture of Gaussians.
        ValueError
            If its features are others, or `n_samples` is too small.

        Examples
        --------
        >>> import emix
        >>> make = emix.GaussianMixture.from_parameters
        >>> one, two = make([1.0], [[0.0]], [4.0], "spherical"), make([1.0], [[0.0]], [1.0], "spherical")
        >>> one.kl_divergence(two)
        DivergenceEstimate(estimate=0.80685..., standard_error=0.0)
        """
        _, fitted, ours = self._held()
        if not isinstance(other, MixtureOperations):
            raise _no_mixture(other)
        _, their_fit, theirs = other._held()
        if ours.n_features != theirs.n_features:
            raise ValueError(f"other has {theirs.n_features} features, expected {ours.n_features}.")
        names, their_names = fitted.get("feature_names_in_"), their_fit.get("feature_names_in_")
        if names is not None and their_names is not None and list(names) != list(their_names):
            raise ValueError(
                f"other has the features {shown(list(their_names))}, expected {shown(list(names))} in this order. "
                "Reorder them with other.marginal."
            )
        n_samples = integer_in_range("n_samples", n_samples, 2, caller="kl_divergence")
        if ours.n_components == theirs.n_components == 1:
            exact = self.component(0).kl_divergence(other.component(0))
            return DivergenceEstimate(exact, 0.0)
        return divergence_by_draws(ours, theirs, n_samples, random_source(random_state))

    def density_threshold(
        self, share: ArrayLike, *, n_samples: int = 100_000, random_state: RandomState = 0
    ) -> float | Array:
        """Log-density below which a share of the mixture's own mass lies: a limit for anomalies.

        A row from the mixture has ``score_samples`` below the threshold with the probability `share`.

        Parameters
        ----------
        share : float or array_like
            Between 0 and 1.
        n_samples : int
            Rows to draw where there are several components, at least 10 / share.
        random_state : int, Generator, RandomState or None, default=0
            An int gives the same threshold each time.

        Returns
        -------
        float, or ndarray of the shape of `share`
            Nats. For one component it is exact, −½ (d log 2π + log det Σ + χ²), χ² the quantile of d degrees of
            freedom. For several it is the quantile of the log-densities of the rows drawn: the share of mass below it
            has the standard error √(share (1 − share) / n_samples), for a share of 0.01 and 100 000 rows 0.0003.

        Raises
        ------
        ValueError
            If `share` is not between 0 and 1, or so small that fewer than 10 of the rows are below.

        Examples
        --------
        >>> import emix
        >>> gm = emix.GaussianMixture.from_parameters([1.0], [[0.0, 0.0]], [1.0], "spherical")
        >>> round(gm.density_threshold(0.05), 4)
        -4.8336
        """
        parameters = self._held()[2]
        shares = as_probabilities("share", share, open_interval=True)
        n_samples = integer_in_range("n_samples", n_samples, 1, caller="density_threshold")
        found: Any
        if parameters.n_components == 1:
            from scipy.special import chdtri

            d = parameters.n_features
            found = parameters.log_det_whitening[0] - 0.5 * (d * math.log(2.0 * math.pi) + chdtri(d, shares))
        else:
            least = shares.min(initial=1.0)
            if least * n_samples < _LEAST_DRAWS:
                raise ValueError(
                    f"share is {least:g}, and n_samples {n_samples}: {least * n_samples:.3g} rows are expected below "
                    f"the threshold, too few to find it. Pass n_samples={math.ceil(_LEAST_DRAWS / least)} or more."
                )
            found = np.quantile(log_densities_of_draws(parameters, n_samples, random_source(random_state)), shares)
        return float(found) if shares.ndim == 0 else np.asarray(found)


def _no_mixture(other: Any) -> TypeError:
    """Return the error for another object than a mixture of emix; for scikit-learn's it says how to take it."""
    kind, remedy = type(other), ""
    if all(hasattr(other, name) for name in ("weights_", "means_", "covariances_", "precisions_cholesky_")):
        remedy = ": GaussianMixture.from_sklearn(other) makes one of it"
    return TypeError(
        f"other is a {kind.__name__} of {kind.__module__}, expected a fitted GaussianMixture of emix{remedy}."
    )
