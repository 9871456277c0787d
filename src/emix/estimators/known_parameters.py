"""How a mixture is made from known parameters."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from emix.arguments import choice_of
from emix.estimators.fit_state import attributes_of
from emix.estimators.fit_warnings import warn_of_infinite_precisions
from emix.estimators.parameters_check import check_means, check_spread, check_weights
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.structures import NAMES, OF_ONE_COLUMN, check_one_column

__all__ = ["KnownParameters"]


class KnownParameters:
    """The method that makes a mixture without a fit."""

    @classmethod
    def from_parameters(
        cls, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, covariance_type: str = "full"
    ) -> Self:
        """Make a mixture from known parameters, ready to score, predict and sample.

        Parameters
        ----------
        weights : array_like of shape (n_components,)
            Sum to one.
        means : array_like of shape (n_components, n_features)
        covariances : array_like
            In the shape of `covariances_` for the covariance type.
        covariance_type : str
            As of `GaussianMixture`.

        Returns
        -------
        GaussianMixture
            It has no log-likelihood or history, as it has seen no data. A fit with ``warm_start=True`` starts from it.

        Raises
        ------
        ValueError
            If the shapes do not agree, the values cannot be weights and covariances, or the covariances are not of the
            covariance type.

        Examples
        --------
        >>> import emix
        >>> gm = emix.GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> gm.predict([[1.9], [2.1]])
        array([0, 1])
        """
        shape = np.shape(means)
        if len(shape) != 2 or 0 in shape:
            raise ValueError(
                f"means has shape {shape}, expected (n_components, n_features): one row for each component."
            )
        choice_of("covariance_type", covariance_type, (*NAMES, *OF_ONE_COLUMN), cls.__name__)
        n_components, n_features = shape
        check_one_column(covariance_type, n_features, cls.__name__)
        parameters = GaussianParameters.from_covariances(
            covariance_type,
            check_weights(weights, n_components, argument="weights"),
            check_means(means, (n_components, n_features), argument="means"),
            check_spread(covariances, covariance_type, n_components, n_features, "covariance", argument="covariances"),
        )
        make: Any = cls
        mixture: Self = make(n_components, covariance_type=covariance_type)
        published = attributes_of(parameters, np.dtype(np.float64))
        warn_of_infinite_precisions(parameters, published["precisions_"])
        vars(mixture).update(published, n_features_in_=n_features)
        return mixture
