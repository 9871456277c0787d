"""Distributions that are made of a fitted mixture: its components, marginals and conditionals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from emix.estimators.conditional_mixtures import ConditionalMixtures
from emix.estimators.conditioning import Conditioning, marginal_parameters
from emix.estimators.fit_state import attributes_of, dtype_of, parameters_of
from emix.estimators.sklearn_protocol import settings_of
from emix.exceptions import DegenerateCovarianceError, shown
from emix.gaussian.parameters import GaussianParameters, full_covariances
from emix.gaussian.structures import CovarianceStructure
from emix.normal.arguments import Names, as_known, as_some_features
from emix.normal.multivariate_normal import MultivariateNormal

if TYPE_CHECKING:
    from emix.estimators.gaussian_mixture import GaussianMixture

__all__ = ["DerivedMixtures", "component_of"]

Array = NDArray[np.float64]


class DerivedMixtures:
    """Distributions made of the mixture that an estimator is or holds."""

    def component(self, k: int) -> MultivariateNormal:
        """Return one component as a distribution of its own.

        Parameters
        ----------
        k : int
            Number of the component, from −n_components to n_components − 1.

        Returns
        -------
        MultivariateNormal
            In float64, with the features' names.

        Raises
        ------
        TypeError, ValueError
            If there is no such component.
        DegenerateCovarianceError
            If its covariance is singular to working precision.

        Examples
        --------
        >>> import emix
        >>> gm = emix.GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [4.0]], [1.0, 2.0], "spherical")
        >>> gm.component(1)
        MultivariateNormal(mean=[4.], covariance=[[2.]])
        """
        _, fitted, parameters = self._held()
        K = parameters.n_components
        if not isinstance(k, int | np.integer) or isinstance(k, bool):
            raise TypeError(f"k is {shown(k)}, expected an int: the number of a component.")
        if not -K <= k < K:
            raise ValueError(f"k is {k}, expected a component from 0 to {K - 1}.")
        number = int(k) % K
        try:
            return component_of(parameters, full_covariances(parameters), number, fitted.get("feature_names_in_"))
        except ValueError as error:
            raise DegenerateCovarianceError(f"component {number} has no density: its {error}", number) from error

    def marginal(self, features: int | str | Iterable[int | str]) -> GaussianMixture:
        """Return the mixture of some of the features, in the order given.

        Parameters
        ----------
        features : int, str, or sequence of them
            Distinct numbers, from −n_features to n_features − 1, or names; or a mask, one bool for each feature.

        Returns
        -------
        GaussianMixture
            With the features' names, in the data's dtype. It has the same weights, and the covariance type "full",
            "tied", "diag", "spherical", "EEI", "EII", "VEI" or "VEE" if this mixture has it. Of the others, "EVI"
            becomes "diag", and types with matrices become "full": equal determinants, eigenvalues or axes of matrices
            are not those of their blocks.

        Raises
        ------
        TypeError
            If a feature is neither a number nor a name.
        ValueError
            If `features` is empty, repeats a feature, or is out of range, a name is unknown, or a mask has another
            length.

        Examples
        --------
        >>> import emix
        >>> gm = emix.GaussianMixture(3, random_state=0).fit(emix.load_faithful().data)
        >>> gm.marginal(1).means_.shape
        (3, 1)
        """
        holder, fitted, parameters = self._held()
        names = fitted.get("feature_names_in_")
        kept = as_some_features("features", features, parameters.n_features, names)
        return _mixture(holder, fitted, marginal_parameters(parameters, kept), kept)

    @overload
    def conditional(self, given: Mapping[int, float] | Mapping[str, float]) -> GaussianMixture: ...
    @overload
    def conditional(self, given: Mapping[Any, Any]) -> GaussianMixture | ConditionalMixtures: ...
    def conditional(self, given: Mapping[Any, Any]) -> GaussianMixture | ConditionalMixtures:
        """Return the mixture of the features that are not in `given`, under the given values of the others.

        Component k keeps a part of its weight that is proportional to its density at the given values, and becomes its
        own conditional distribution, as in `MultivariateNormal.conditional`.

        Parameters
        ----------
        given : mapping of int or str to float or 1-D array_like
            Numbers or names of features, and their values: a number each for one condition, or arrays of one length
            for many conditions at once. A number beside arrays holds for all of them.

        Returns
        -------
        GaussianMixture or ConditionalMixtures
            The latter if there are arrays: an object of arrays, float64. Names, covariance types and dtype are kept as
            in `marginal`; "VEI" and "VEE" remain too.

        Raises
        ------
        TypeError
            If `given` is no mapping, or a feature is neither a number nor a name.
        ValueError
            If a feature is repeated, unknown or out of range, no other feature is left, a value is not finite, arrays
            differ in length, or the density of the given values is zero, its logarithm −inf.

        Examples
        --------
        >>> import emix
        >>> gm = emix.GaussianMixture.from_parameters([0.5, 0.5], [[0, 0], [4, 4]], [[1.0, 0.8], [0.8, 1.0]], "tied")
        >>> given = gm.conditional({0: 1.0})
        >>> given.weights_.round(4), given.means_.ravel(), given.covariances_.round(2)
        (array([0.982, 0.018]), array([0.8, 1.6]), array([[0.36]]))
        >>> gm.conditional({0: [1.0, 2.0]}).mean().ravel().round(4)
        array([0.8144, 2.    ])
        """
        holder, fitted, parameters = self._held()
        names = fitted.get("feature_names_in_")
        known, values = as_known(given, parameters.n_features, names)
        if not known:
            return _mixture(holder, fitted, parameters, list(range(parameters.n_features)))
        conditioning = Conditioning(parameters, known, fitted["n_threads"])
        found = conditioning.conditionals(np.atleast_2d(values), _word(fitted, conditioning.structure), names)
        if values.ndim > 1:
            return found
        return _mixture(holder, fitted, conditioning.parameters(found), conditioning.others)

    def _held(self) -> tuple[Any, dict[str, Any], GaussianParameters]:
        """Return the mixture itself, its attributes, all of one fit, and its parameters."""
        holder = self._mixture_held()
        fitted = holder._fitted()
        return holder, fitted, parameters_of(fitted)

    def _mixture_held(self) -> Any:
        """Return the fitted GaussianMixture: self, or that of an estimator that holds one."""
        return self


def component_of(
    parameters: GaussianParameters, matrices: Array, k: int, names: Names | None, allow_singular: bool = False
) -> MultivariateNormal:
    """Return component k with its covariance among `matrices` (K, d, d)."""
    # A frame may have two columns of one name, which a MultivariateNormal refuses.
    listed = None if names is None or len(set(names)) < len(names) else list(names)
    return MultivariateNormal(parameters.means[k], matrices[k], allow_singular, feature_names=listed)


def _word(fitted: dict[str, Any], structure: CovarianceStructure) -> str:
    """Return the name of a structure, in the user's word if that is one for it."""
    word: str = fitted["covariance_type"]
    return word if word in (structure.name, structure.alias) else structure.name


def _mixture(
    holder: Any, fitted: dict[str, Any], parameters: GaussianParameters, features: list[int]
) -> GaussianMixture:
    """Return a mixture of some of the features, with the settings, the dtype and the names of the one it is made of."""
    from emix.estimators.gaussian_mixture import GaussianMixture  # it derives from the class above

    settings = settings_of(holder, GaussianMixture)
    settings.update(n_components=parameters.n_components, covariance_type=_word(fitted, parameters.structure))
    settings.update(weights_init=None, means_init=None, precisions_init=None)
    # Not of a derived class: its constructor may take other parameters.
    mixture = GaussianMixture(**settings)
    vars(mixture).update(attributes_of(parameters, dtype_of(fitted["means_"])), n_features_in_=len(features))
    if (names := fitted.get("feature_names_in_")) is not None:
        mixture.feature_names_in_ = names[features]
    return mixture
