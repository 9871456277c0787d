"""The multivariate normal distribution as an object: densities, samples, marginals, conditionals, divergences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from emix.gaussian.covariance_checks import correlations
from emix.normal import algebra
from emix.normal.arguments import Names, as_known, as_names, as_sample, as_some_features, check_size
from emix.normal.array_types import Float64Array
from emix.normal.conditional_normals import ConditionalNormals
from emix.normal.covariance_factor import checked_covariance, checked_mean, factorize
from emix.normal.distribution_functions import DistributionFunctions
from emix.random_source import RandomState, random_source
from emix.rows.conversion import called
from emix.rows.validation import feature_names as names_of

__all__ = ["MultivariateNormal"]


class MultivariateNormal(DistributionFunctions):
    r"""Multivariate normal distribution N(mean, covariance).

    Immutable: its arrays are read-only copies of the arguments. Two distributions are equal if their means,
    covariances, `allow_singular` and names are equal.

    Parameters
    ----------
    mean : array_like of shape (n_features,)
        Finite.
    covariance : array_like of shape (n_features, n_features)
        Finite, symmetric (up to 1e-6 of the product of the standard deviations; the average with its transpose
        is used) and positive definite.
    allow_singular : bool, default=False
        Accept a positive semidefinite covariance. The density is then the density on the support, an affine subspace,
        and 0 outside it, as in ``scipy.stats.multivariate_normal``. Two things count as zero: eigenvalues of the
        correlation matrix below 2.2e-10 of the largest, and standard deviations below 1e-13 of the mean's absolute
        value. Neither depends on the features' scales. A point is outside the support if its distance from it is
        above 2.2e-7 standard deviations (for a constant feature, 2.2e-7 of its value) and above the rounding error
        of its coordinates.
    feature_names : sequence of str, optional
        Names of the features. By default the names that `mean` and `covariance` have, as from ``frame.mean()`` and
        ``frame.cov()``; both must have them in the same order.

    Attributes
    ----------
    feature_names_in_ : ndarray of shape (n_features,), object, read-only
        Names of the features; the attribute does not exist if they have none. `marginal` and `conditional` accept
        names in place of numbers, and keep them. Tables of points must have the same names in the same order.

    Raises
    ------
    ValueError
        If an argument is not as said above.

    Notes
    -----
    Without `allow_singular` the test for positive definiteness does not depend on the features' scales: the smallest
    eigenvalue of the correlation matrix must be above its rounding error. SciPy is stricter: it refuses condition
    numbers of the covariance above 4.5e9. With `allow_singular`, SciPy judges the eigenvalues of the covariance
    itself. It therefore takes a feature for a constant beside a feature whose scale is 1e5 times as large.

    Examples
    --------
    >>> from emix import MultivariateNormal
    >>> mvn = MultivariateNormal([1.0, 2.0], [[2.0, 0.6], [0.6, 0.5]])
    >>> round(float(mvn.logpdf([1.0, 2.0])), 6)
    -1.614734
    >>> mvn.conditional({0: 2.0})
    MultivariateNormal(mean=[2.3], covariance=[[0.32]])
    >>> size = MultivariateNormal([170.0, 65.0], [[50.0, 40.0], [40.0, 80.0]], feature_names=["height", "weight"])
    >>> size.conditional({"height": 180.0})
    MultivariateNormal(mean=[73.], covariance=[[48.]], feature_names=['weight'])
    """

    @np.errstate(under="ignore")  # covariances in tiny units underflow
    def __init__(
        self,
        mean: npt.ArrayLike,
        covariance: npt.ArrayLike,
        allow_singular: bool = False,
        *,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        self._mean = checked_mean(mean)
        self._names = as_names(feature_names, mean, covariance, len(self._mean))
        self._covariance = checked_covariance(covariance, len(self._mean))
        self._allow_singular = bool(allow_singular)
        self._factor = factorize(self._covariance, self._allow_singular, self._mean)
        if self._names is not None:
            self._names.flags.writeable = False
        self._mean.flags.writeable = False
        self._covariance.flags.writeable = False

    @classmethod
    def fit(
        cls, X: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None, *, allow_singular: bool = False
    ) -> MultivariateNormal:
        """Maximum-likelihood estimate from rows.

        There are two passes in float64, the first for the mean and the second for the scatter about it. So an offset
        of the data costs no accuracy. A pass takes a chunk of rows at a time and makes no copy of X.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features), float64 or float32
            Finite. The names of a frame's columns become the features' names.
        sample_weight : array_like of shape (n_samples,), optional
            Not negative, not all zero. A weight of 2 is the same as the row given twice. The divisor is the total
            weight, not one less.
        allow_singular : bool, default=False
            As for the class. Without it, collinear or constant columns are an error.

        Returns
        -------
        MultivariateNormal

        Raises
        ------
        ValueError
            If X or the weights are not as said above, or the covariance is singular without `allow_singular`.

        Examples
        --------
        >>> from emix import MultivariateNormal
        >>> MultivariateNormal.fit([[0.0, 1.0], [2.0, 1.0], [1.0, 4.0]]).mean
        array([1., 2.])
        """
        rows, weights = as_sample(X, sample_weight, caller=cls.__name__, allow_singular=allow_singular)
        mean, covariance = algebra.weighted_moments(rows, weights)
        names = names_of(X)
        try:
            return cls(mean, covariance, allow_singular, feature_names=None if names is None else list(names))
        except ValueError as error:
            constant = np.flatnonzero(np.diagonal(covariance) == 0.0)
            which = f" Column {constant[0]}{called(int(constant[0]), names)} is constant." if constant.size else ""
            raise ValueError(f"X cannot be fitted: the estimated {error}{which}") from error

    @property
    def mean(self) -> Float64Array:
        """Mean, shape (n_features,), read-only."""
        return self._mean

    @property
    def covariance(self) -> Float64Array:
        """Covariance, shape (n_features, n_features), read-only."""
        return self._covariance

    @property
    def allow_singular(self) -> bool:
        """True if the covariance may be singular."""
        return self._allow_singular

    @property
    def feature_names_in_(self) -> Names:
        """Names of the features, shape (n_features,), read-only; the attribute does not exist if they have none."""
        if self._names is None:
            raise AttributeError(f"The features of this {type(self).__name__} have no names: pass feature_names.")
        return self._names

    @property
    def cov(self) -> Float64Array:
        """`covariance` under SciPy's name."""
        return self._covariance

    @property
    def correlation(self) -> Float64Array:
        """Correlation matrix, shape (n_features, n_features); a feature without variance has correlations of 0."""
        deviations = self.std
        found: Float64Array = correlations(self._covariance, np.where(deviations > 0.0, deviations, 1.0))
        np.fill_diagonal(found, 1.0)
        return found

    @property
    def rank(self) -> int:
        """Number of eigenvalues of the correlation matrix that are not negligible, the dimension of the support."""
        return self._factor.rank

    @property
    def log_det(self) -> float:
        """Logarithm of the determinant or, if singular, of the product of the `rank` positive eigenvalues."""
        return self._factor.log_det

    def __repr__(self) -> str:
        mean, covariance = (
            np.array2string(a, separator=", ", precision=6, threshold=16, edgeitems=2).replace("\n", "")
            for a in (self._mean, self._covariance)
        )
        singular = ", allow_singular=True" if self._allow_singular else ""
        names = "" if self._names is None else f", feature_names={_shown(self._names)}"
        return f"{type(self).__name__}(mean={mean}, covariance={' '.join(covariance.split())}{singular}{names})"

    def _repr_html_(self) -> str:
        from emix.summary.estimator_html import normal_html

        return normal_html(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MultivariateNormal):
            return NotImplemented
        return (
            self._allow_singular == other._allow_singular
            and np.array_equal(self._mean, other._mean)
            and np.array_equal(self._covariance, other._covariance)
            and self._named() == other._named()
        )

    def __hash__(self) -> int:
        # The hash is of numbers, not of bytes: 0.0 and −0.0 are equal, so their hashes must be equal.
        return hash((self._allow_singular, *self._mean.tolist(), *self._covariance.ravel().tolist(), self._named()))

    def __reduce__(self) -> tuple[Any, ...]:
        # Unpickling calls the class: an unpickled array would be writable.
        made = partial(type(self), feature_names=self._named())
        return made, (self._mean, self._covariance, self._allow_singular)

    def rvs(self, size: int = 1, random_state: RandomState = None) -> Float64Array:
        """Draw independent points.

        Parameters
        ----------
        size : int, default=1
            Number of points.
        random_state : int, Generator, RandomState or None, default=None
            An int seeds ``numpy.random.default_rng``.

        Returns
        -------
        ndarray of shape (size, n_features), float64
            Two dimensions, also for size=1.

        Raises
        ------
        TypeError
            If `size` is not an integer.
        ValueError
            If `size` is negative.
        """
        check_size(size)
        # x = μ + F z with F Fᵀ = Σ
        normals = random_source(random_state).standard_normal((size, self.rank))
        with np.errstate(under="ignore"):
            points: Float64Array = normals @ self._factor.columns.T
            points += self._mean
        return points

    def marginal(self, indices: int | str | Iterable[int | str]) -> MultivariateNormal:
        """Distribution of some of the features, in the order given.

        Parameters
        ----------
        indices : int, str, or sequence of them
            Distinct numbers, from −n_features to n_features − 1, or names; or a mask, one bool for each feature.

        Raises
        ------
        TypeError
            If a feature is neither a number nor a name.
        ValueError
            If `indices` is empty, repeats a feature, or is out of range, a name is unknown, or a mask has another
            length.

        Examples
        --------
        >>> from emix import MultivariateNormal
        >>> MultivariateNormal([1.0, 2.0, 3.0], [[4, 1, 0], [1, 5, 2], [0, 2, 6]]).marginal([2, 0])
        MultivariateNormal(mean=[3., 1.], covariance=[[6., 0.], [0., 4.]])
        """
        kept = as_some_features("indices", indices, self.n_features, self._names)
        return self._over(kept, self._mean[kept], self._covariance[np.ix_(kept, kept)])

    @overload
    def conditional(self, given: Mapping[int, float] | Mapping[str, float]) -> MultivariateNormal: ...
    @overload
    def conditional(self, given: Mapping[Any, Any]) -> MultivariateNormal | ConditionalNormals: ...
    def conditional(self, given: Mapping[Any, Any]) -> MultivariateNormal | ConditionalNormals:
        """Distribution of the features that are not in `given`, in their order, under the given values of the others.

        Parameters
        ----------
        given : mapping of int or str to float or 1-D array_like
            Numbers or names of features, and their values: a number each for one condition, or arrays of one length
            for many conditions at once. A number beside arrays holds for all of them.

        Returns
        -------
        MultivariateNormal or ConditionalNormals
            The latter if there are arrays: a mean for each condition, and the covariance that all share.

        Raises
        ------
        TypeError
            If `given` is no mapping, or a feature is neither a number nor a name.
        ValueError
            If a feature is repeated, unknown or out of range, no other feature is left, a value is not finite, arrays
            differ in length or, for a singular distribution, the values are impossible together.

        Notes
        -----
        Let b be the given features and a the others. The mean is μ_a + Σ_ab Σ_bb⁻¹ (x_b − μ_b), and the covariance is
        the Schur complement Σ_aa − Σ_ab Σ_bb⁻¹ Σ_ba. In the Cholesky factor of Σ with b before a these are
        μ_a + L_ab L_bb⁻¹ (x_b − μ_b) and L_aa L_aaᵀ: no difference is taken, and the result is positive definite.

        Examples
        --------
        >>> from emix import MultivariateNormal
        >>> mvn = MultivariateNormal([1.0, 2.0], [[2.0, 0.6], [0.6, 0.5]])
        >>> mvn.conditional({0: [2.0, 3.0]}).means
        array([[2.3],
               [2.6]])
        """
        known, values = as_known(given, self.n_features, self._names)
        if not known:
            return self
        others = [j for j in range(self.n_features) if j not in known]
        order = [*known, *others]
        reordered = self._covariance[np.ix_(order, order)]
        with np.errstate(over="ignore"):  # the result is refused if it is not finite
            difference = values - self._mean[known]
        if self._allow_singular:
            shift, covariance = algebra.condition_singular(reordered, difference, self._mean[order])
        else:
            shift, covariance = algebra.condition(reordered, difference)
        if values.ndim == 1:
            return self._over(others, self._mean[others] + shift, covariance)
        names = None if self._names is None else self._names[others]
        return ConditionalNormals(self._mean[others] + shift, covariance, self._allow_singular, names)

    def entropy(self) -> float:
        """Differential entropy in nats, ½ (rank · log 2πe + log_det); on the support, if the covariance is singular."""
        return algebra.entropy(self._factor)

    def kl_divergence(self, other: MultivariateNormal) -> float:
        """Kullback-Leibler divergence KL(self ‖ other) = E log(self / other) under self, in nats.

        Parameters
        ----------
        other : MultivariateNormal
            Has the same number of features.

        Returns
        -------
        float
            At least 0; 0 for itself. +inf if the supports differ.

        Raises
        ------
        ValueError
            If the numbers of features differ, or both have names and the names differ.

        Examples
        --------
        >>> from emix import MultivariateNormal
        >>> wide, narrow = MultivariateNormal([0.0], [[4.0]]), MultivariateNormal([0.0], [[1.0]])
        >>> round(wide.kl_divergence(narrow), 6), round(narrow.kl_divergence(wide), 6)
        (0.806853, 0.318147)
        """
        if not isinstance(other, MultivariateNormal):
            raise TypeError(f"other is a {type(other).__name__}, expected a MultivariateNormal.")
        if self.n_features != other.n_features:
            raise ValueError(f"other has {other.n_features} features, expected {self.n_features}.")
        if self._names is not None and other._names is not None and self._named() != other._named():
            raise ValueError(
                f"other has the features {_shown(other._names)}, expected {_shown(self._names)} in this order. Reorder "
                "them with other.marginal."
            )
        # For equal distributions the eigenvectors' form would give rounding errors in place of 0.
        if np.array_equal(self._mean, other._mean) and np.array_equal(self._covariance, other._covariance):
            return 0.0
        return algebra.divergence(self._factor, other._factor, self._mean - other._mean)

    def _over(self, features: list[int], mean: Float64Array, covariance: Float64Array) -> MultivariateNormal:
        """Return a distribution of some of the features, with their names."""
        names = None if self._names is None else self._names[features].tolist()
        return type(self)(mean, covariance, self._allow_singular, feature_names=names)

    def _named(self) -> tuple[str, ...] | None:
        return None if self._names is None else tuple(self._names)


def _shown(names: Names) -> str:
    return np.array2string(names, separator=", ", threshold=16, edgeitems=2, max_line_width=10_000)
