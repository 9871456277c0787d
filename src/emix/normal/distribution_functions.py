"""Functions of points under a multivariate normal: density, Mahalanobis distance, distribution function."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import score_rows
from emix.normal import algebra
from emix.normal.arguments import Names, as_points, in_shape
from emix.normal.array_types import Float64Array, FloatArray
from emix.normal.covariance_factor import CovarianceFactor
from emix.normal.integral import box_probabilities, log_probabilities_below
from emix.random_source import RandomState

__all__ = ["DistributionFunctions"]


class DistributionFunctions:
    """Functions of points under a normal distribution, for `MultivariateNormal` to derive from."""

    _mean: Float64Array
    _covariance: Float64Array
    _allow_singular: bool
    _factor: CovarianceFactor
    _names: Names | None

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self._mean)

    @property
    def std(self) -> Float64Array:
        """Standard deviations of the features, shape (n_features,)."""
        return np.asarray(np.sqrt(np.diagonal(self._covariance)))

    def logpdf(self, X: npt.ArrayLike) -> FloatArray:
        """Logarithm of the density, in nats.

        Parameters
        ----------
        X : array_like of shape (n_features,) or (..., n_features), float64 or float32, or data frame
            Finite. With one feature, each number of a 1-D array is a point. If a frame's columns and the features
            both have names, these must be the same in the same order.

        Returns
        -------
        ndarray of shape (...), X's dtype
            A scalar for a single point. Finite or −inf, never NaN. It is −inf outside the support, and where the
            squared distance overflows.

        Raises
        ------
        ValueError
            If X has NaN, infinity, another number of features or other names.

        Examples
        --------
        >>> from emix import MultivariateNormal
        >>> MultivariateNormal([0.0], [[1.0]]).logpdf([0.0, 1.0]).round(6)
        array([-0.918939, -1.418939])
        """
        rows, shape = self._points("X", X)
        return in_shape(self._log_density(rows), shape)

    def pdf(self, X: npt.ArrayLike) -> FloatArray:
        """Density: the exponential of `logpdf`, with its arguments and shapes.

        The density underflows to 0 from about 38 standard deviations on, and with many features even nearer: compare
        densities by their logarithms.
        """
        with np.errstate(over="ignore", under="ignore"):
            density: FloatArray = np.exp(self.logpdf(X))
        return density

    def mahalanobis(self, X: npt.ArrayLike) -> FloatArray:
        """Mahalanobis distance to the mean, √((x − μ)ᵀ Σ⁻¹ (x − μ)), not its square.

        Parameters
        ----------
        X : array_like of shape (n_features,) or (..., n_features), float64 or float32
            As for `logpdf`.

        Returns
        -------
        ndarray of shape (...), X's dtype
            A scalar for a single point. +inf outside the support, and on overflow.
        """
        rows, shape = self._points("X", X)
        return in_shape(algebra.distances(self._factor, rows, self._mean), shape)

    def cdf(
        self, X: npt.ArrayLike, *, lower_limit: npt.ArrayLike | None = None, random_state: RandomState = 0
    ) -> FloatArray:
        """Probability of lower_limit < Y ≤ X, all coordinates together, for Y from this distribution.

        For one feature, both tails keep their digits. For two features, and for a singular distribution on a plane, the
        absolute error is about 1e-15. From three features on ``scipy.stats.multivariate_normal`` does a randomized
        integration (Genz): its absolute error is about 1e-5, it takes some milliseconds a point, and smaller
        probabilities have no relative accuracy. Features that are unlimited, have no variance or are perfectly
        correlated with another are removed exactly before the integration.

        Parameters
        ----------
        X : array_like of shape (n_features,) or (..., n_features)
            Upper limits; +inf and −inf are allowed.
        lower_limit : array_like, optional
            Broadcast with X; −inf by default. If a coordinate is above that of X, the box is empty and its probability
            0. (``scipy.stats.multivariate_normal.cdf`` changes the sign there, as in an integral.)
        random_state : int, Generator, RandomState or None, default=0
            An int is the seed for every point: the same call gives the same bits, and the result of a point does not
            depend on other points. With None, calls differ. (SciPy before 1.16 integrates with a generator of its own:
            results repeat only to within the error.)

        Returns
        -------
        ndarray of shape (...), X's dtype
            A scalar for a single point.

        Raises
        ------
        ValueError
            If X or `lower_limit` has NaN or another number of features.
        """
        rows, shape = self._points("X", X, finite=False)
        upper, lower = rows.reshape(*shape, self.n_features), np.full(self.n_features, -np.inf)
        if lower_limit is not None:
            limits, lower_shape = self._points("lower_limit", lower_limit, finite=False)
            lower = limits.reshape(*lower_shape, self.n_features).astype(np.float64)
        return box_probabilities(self._mean, self._covariance, lower, upper, random_state)

    def logcdf(self, X: npt.ArrayLike) -> FloatArray:
        """Logarithm of the distribution function, for a distribution of one feature.

        It keeps its digits where the probability itself underflows, and where it is almost one: −0.5·z² far below the
        mean, −(1 − Φ(z)) far above it.

        Parameters
        ----------
        X : array_like of shape () or (...), or (..., 1)
            +inf and −inf are allowed.

        Returns
        -------
        ndarray of shape (...), X's dtype
            A scalar for a single point; at most 0, −inf where it overflows.

        Raises
        ------
        ValueError
            If the distribution has several features (take a `marginal`, or the logarithm of `cdf`), or X has NaN.

        Examples
        --------
        >>> from emix import MultivariateNormal
        >>> MultivariateNormal([0.0], [[1.0]]).logcdf([-40.0, 0.0, 10.0]).tolist()
        [-804.608442..., -0.693147..., -7.61985...e-24]
        """
        if len(self._mean) != 1:
            raise ValueError(
                f"logcdf is for one feature, and this distribution has {len(self._mean)}. Take a marginal of one "
                "feature, or np.log of cdf."
            )
        rows, shape = self._points("X", X, finite=False)
        found = log_probabilities_below(rows[:, 0], self._mean[0], self.std[0])
        with np.errstate(over="ignore", under="ignore"):  # float32 holds less
            return in_shape(found.astype(rows.dtype), shape)

    @property
    def _mixture(self) -> GaussianParameters:
        """The distribution as a mixture of one component, which the compiled kernel scores; made once."""
        # Not a cached_property: before Python 3.12 all instances share its lock, which a fork's child may find held.
        kept = vars(self)
        if "_mixture" not in kept:
            kept["_mixture"] = GaussianParameters.from_covariances(
                "full", [1.0], self._mean[None], self._covariance[None]
            )
        found: GaussianParameters = kept["_mixture"]
        return found

    def _log_density(self, rows: FloatArray) -> FloatArray:
        """Return log-densities of rows (n, d), shape (n,), in the dtype of `rows`."""
        if not self._allow_singular and len(rows):
            density = score_rows(rows, self._mixture).log_density
            assert density is not None
            return density
        return algebra.log_densities(self._factor, rows, self._mean)

    def _points(self, name: str, X: npt.ArrayLike, finite: bool = True) -> tuple[FloatArray, tuple[int, ...]]:
        """Return X as rows (n, d) of float64 or float32, and the shape of a result with one number for each point."""
        return as_points(name, X, self.n_features, caller=type(self).__name__, finite=finite, names=self._names)
