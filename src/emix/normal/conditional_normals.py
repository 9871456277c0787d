"""Conditional distributions of some features of a normal, for many values of the others at once."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from emix.normal import algebra
from emix.normal.arguments import Names, as_points_by_row
from emix.normal.array_types import Float64Array, FloatArray
from emix.normal.covariance_factor import factorize

if TYPE_CHECKING:
    from emix.normal.multivariate_normal import MultivariateNormal

__all__ = ["ConditionalNormals"]


@dataclass(frozen=True, eq=False)
class ConditionalNormals:
    """Normal distributions N(means[i], covariance) of the same features, one for each condition i.

    `MultivariateNormal.conditional` returns it for arrays of values. `len` is the number of conditions, and
    ``conditionals[i]`` is the distribution of condition i.

    Attributes
    ----------
    means : ndarray of shape (n_rows, n_features), float64
    covariance : ndarray of shape (n_features, n_features), float64
        The covariance of a conditional does not depend on the values that are given.
    allow_singular : bool
    feature_names : ndarray of shape (n_features,), object, or None

    Examples
    --------
    >>> from emix import MultivariateNormal
    >>> mvn = MultivariateNormal([1.0, 2.0], [[2.0, 0.6], [0.6, 0.5]])
    >>> given = mvn.conditional({0: [2.0, 3.0]})
    >>> given.means.ravel(), given.covariance.ravel()
    (array([2.3, 2.6]), array([0.32]))
    >>> given[1]
    MultivariateNormal(mean=[2.6], covariance=[[0.32]])
    """

    means: Float64Array
    covariance: Float64Array
    allow_singular: bool = False
    feature_names: Names | None = None

    def __post_init__(self) -> None:
        overflow = ~np.isfinite(self.means).all(axis=1)
        if overflow.any():
            raise ValueError(
                f"given has values in row {int(overflow.argmax())} so far from the mean that the conditional mean "
                "overflows. Leave out such rows."
            )

    def __len__(self) -> int:
        return len(self.means)

    def __getitem__(self, row: int) -> MultivariateNormal:
        from emix.normal.multivariate_normal import MultivariateNormal

        names = None if self.feature_names is None else self.feature_names.tolist()
        mean = self.means[operator.index(row)]
        return MultivariateNormal(mean, self.covariance, self.allow_singular, feature_names=names)

    def __iter__(self) -> Iterator[MultivariateNormal]:
        return (self[row] for row in range(len(self)))

    @property
    def std(self) -> Float64Array:
        """Standard deviations of the features, shape (n_features,); the same for all conditions."""
        return np.asarray(np.sqrt(np.diagonal(self.covariance)))

    def logpdf(self, Y: npt.ArrayLike) -> FloatArray:
        """Logarithm of the density of one point under each condition, in nats.

        Parameters
        ----------
        Y : array_like of shape (n_rows, n_features), or (n_rows,) for one feature
            Row i is scored under condition i.

        Returns
        -------
        ndarray of shape (n_rows,), Y's dtype
            Finite or −inf, never NaN.

        Raises
        ------
        ValueError
            If Y has another shape, other names, NaN or infinity.
        """
        rows = as_points_by_row("Y", Y, self.means.shape, caller=type(self).__name__, names=self.feature_names)
        size = np.abs(self.means).max(axis=0, initial=0.0)
        factor = factorize(self.covariance, self.allow_singular, size)
        # Far rows overflow, in float32 also their log-densities: these are −inf.
        with np.errstate(over="ignore", under="ignore"):
            density = algebra.log_densities(factor, rows - self.means, np.zeros(len(self.covariance)))
            return density.astype(rows.dtype)
