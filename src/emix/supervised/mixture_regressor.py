"""MixtureRegressor: Gaussian mixture regression as an estimator of scikit-learn."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emix.estimators.conditional_mixtures import ConditionalMixtures
from emix.estimators.fit_state import parameters_of
from emix.estimators.gaussian_mixture import GaussianMixture
from emix.estimators.parameters_check import check_settings
from emix.estimators.sklearn_protocol import SklearnEstimator, settings_of
from emix.exceptions import not_fitted, shown
from emix.gaussian.structures import check_one_column
from emix.normal.arguments import as_some_features
from emix.rows.validation import FloatArray, as_rows, as_sample_weight, feature_names, rows_to_score
from emix.supervised.fitted_regressor import attributes_of_regressor, conditionals_of, conditioning_of, names_of_all
from emix.supervised.joint_rows import joint_rows, output_names, outputs_of
from emix.supervised.r_squared import r_squared
from emix.supervised.saved_estimator import SavedEstimator

__all__ = ["MixtureRegressor"]


class MixtureRegressor(SavedEstimator, SklearnEstimator):
    """Gaussian mixture regression: a mixture of inputs and outputs together, of which the outputs are conditioned.

    A Gaussian mixture is fitted to the rows [x, y]. Given x, the output has a Gaussian mixture of its own, with weights
    that depend on x and means that are linear in x. Its mean is the prediction: a smooth blend of linear regressions.
    It may have several modes and another spread at another x; `conditional` returns all of it.

    With one component and full covariances this is linear regression.

    Parameters
    ----------
    n_components : int
        Number of Gaussians. `select_mixture` on the rows [x, y] can choose it: see `from_mixture`.
    covariance_type : str
        As of `GaussianMixture`. With "diag" and "spherical", and those like them, x and y are independent within a
        component, and the prediction is a blend of constants.
    tol, reg_covar, max_iter, n_init, init_params, random_state, verbose, verbose_interval, n_threads
        As of `GaussianMixture`.

    Attributes
    ----------
    mixture_ : GaussianMixture
        The mixture of inputs and outputs; its last `n_outputs_` features are the outputs.
    n_outputs_ : int
    n_features_in_ : int
        Number of inputs.
    output_names_ : ndarray of shape (n_outputs,), object
        Names of the outputs, where `y` was a data frame or a series with names. `predict` returns arrays, as
        scikit-learn's regressors do; `conditional` and the summary of `mixture_` have the names.
    feature_names_in_ : ndarray of shape (n_features,), object
        Names of the inputs, where `X` had any.
    n_iter_ : int
        Steps of EM.
    converged_ : bool

    References
    ----------
    Z. Ghahramani and M. I. Jordan (1994), Supervised learning from incomplete data via an EM approach, Advances in
    Neural Information Processing Systems 6, 120-127.

    Examples
    --------
    >>> import numpy as np, emix
    >>> x = np.linspace(-3.0, 3.0, 200)[:, None]
    >>> y = np.abs(x[:, 0]) + 0.1 * np.random.default_rng(0).normal(size=200)
    >>> emix.MixtureRegressor(1).fit(x, y).predict([[-2.0], [2.0]]).round(1)
    array([1.5, 1.5])
    >>> regressor = emix.MixtureRegressor(2, random_state=0).fit(x, y)
    >>> regressor.predict([[-2.0], [2.0]]).round(1)
    array([2., 2.])
    >>> mean, std = regressor.predict([[0.0]], return_std=True)
    """

    _kind = "MixtureRegressor"

    mixture_: GaussianMixture
    n_outputs_: int
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    output_names_: NDArray[np.object_]
    n_iter_: int
    converged_: bool

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-6,
        reg_covar: float | Literal["auto"] = "auto",
        max_iter: int = 1000,
        n_init: int = 1,
        init_params: str = "auto",
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        verbose: int = 0,
        verbose_interval: int = 10,
        n_threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.random_state = random_state
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.n_threads = n_threads

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the mixture to inputs and outputs.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
        y : array_like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            If X and y are float32, the mixture is fitted in float32.
        sample_weight : array_like of shape (n_samples,), optional
            Weights of the rows, not negative.

        Returns
        -------
        self
            If anything goes wrong it is left as it was.

        Raises
        ------
        TypeError, ValueError, DegenerateCovarianceError
            As `GaussianMixture.fit`, and if y is not as said above.

        Warns
        -----
        ConvergenceWarning, UserWarning
            As `GaussianMixture.fit`.
        """
        caller = type(self).__name__
        mixture = GaussianMixture(**settings_of(self, MixtureRegressor))
        check_settings(mixture, caller)
        names = feature_names(X)
        rows = as_rows(X, caller=caller, to_fit=True)
        outputs, is_vector = outputs_of(y, len(rows), caller)
        n_columns = rows.shape[1] + outputs.shape[1]
        check_one_column(mixture.covariance_type, n_columns, caller, data="X and y together have")
        of_outputs = output_names(y)
        mixture.fit(joint_rows(rows, outputs, names, of_outputs), sample_weight=sample_weight)
        state = {
            name: value for name, value in vars(self).items() if name not in ("feature_names_in_", "output_names_")
        }
        state |= attributes_of_regressor(mixture, outputs.shape[1], is_vector, names, of_outputs)
        if names is None:
            del mixture.feature_names_in_
        self.__dict__ = state  # in one assignment: another thread sees one fit or the other
        return self

    @classmethod
    def from_mixture(cls, mixture: GaussianMixture, targets: int | str | Iterable[int | str]) -> Self:
        """Make a regressor from a fitted mixture of inputs and outputs.

        Parameters
        ----------
        mixture : GaussianMixture
            Fitted, chosen by `select_mixture`, loaded from a file or made from known parameters.
        targets : int, str, or sequence of them
            The features to predict, by number or name. One that is not in a sequence gives predictions of shape
            (n_samples,). The other features are the inputs, in their order.

        Returns
        -------
        MixtureRegressor
            Its `mixture_` is a copy if the targets are the last features in order, else the marginal in that order.

        Raises
        ------
        TypeError
            If `mixture` is no GaussianMixture, or a target is neither a number nor a name.
        NotFittedError
            If the mixture has no parameters.
        ValueError
            If a target is unknown or repeated, or no other feature is left.

        Examples
        --------
        >>> import emix
        >>> selection = emix.select_mixture(emix.load_faithful().data, range(1, 4), "full", random_state=0)
        >>> regressor = emix.MixtureRegressor.from_mixture(selection.best_, targets=1)
        >>> regressor.predict([[2.0], [4.5]]).round()
        array([54., 81.])
        """
        if not isinstance(mixture, GaussianMixture):
            raise TypeError(f"mixture is {shown(mixture)}, expected a fitted GaussianMixture.")
        parameters = parameters_of(mixture._fitted())
        names = vars(mixture).get("feature_names_in_")
        last = as_some_features("targets", targets, parameters.n_features, names)
        first = [j for j in range(parameters.n_features) if j not in last]
        if not first:
            raise ValueError(f"targets names all {parameters.n_features} features, expected at least one to be left.")
        in_order = [*first, *last] == list(range(parameters.n_features))
        mixture = copy.copy(mixture) if in_order else mixture.marginal([*first, *last])
        regressor = cls()
        vars(regressor).update((name, getattr(mixture, name)) for name in settings_of(regressor, MixtureRegressor))
        is_vector = isinstance(targets, str) or not isinstance(targets, Iterable)
        inputs, outputs = (None, None) if names is None else (names[first], names[last])
        vars(regressor).update(attributes_of_regressor(mixture, len(last), is_vector, inputs, outputs))
        return regressor

    @overload
    def predict(self, X: Any, return_std: Literal[False] = False, return_cov: Literal[False] = False) -> FloatArray: ...
    @overload
    def predict(self, X: Any, return_std: bool = False, return_cov: bool = False) -> Any: ...
    def predict(self, X: Any, return_std: bool = False, return_cov: bool = False) -> Any:
        """Expected outputs given the inputs, E[y | x].

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
        return_std : bool
            Return the standard deviations of the outputs given x too.
        return_cov : bool
            Return the covariances of the outputs given x too.

        Returns
        -------
        mean : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            As y had one or two dimensions, in X's dtype. A row that is so far from every component that its density is
            zero gets the prediction of the nearest component.
        std : ndarray of the same shape
            Only with `return_std`: of the whole conditional mixture, within components and between them.
        cov : ndarray of shape (n_samples, n_outputs, n_outputs)
            Only with `return_cov`.

        Raises
        ------
        ValueError
            If both are asked for, X is not as said above, or a prediction overflows.
        """
        if return_std and return_cov:
            raise ValueError("At most one of return_std or return_cov can be requested, got both. Take the roots.")
        fitted = self._fitted()
        rows = self._rows(fitted, X)
        n_outputs = fitted["n_outputs_"]
        mean = np.empty((len(rows), n_outputs), rows.dtype)
        std = np.empty(mean.shape if return_std else 0, rows.dtype)
        covariance = np.empty((len(rows), n_outputs, n_outputs) if return_cov else 0, rows.dtype)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for chunk, conditional in conditionals_of(fitted, rows):
                mean[chunk] = conditional.mean()
                if return_std:
                    std[chunk] = conditional.std()
                if return_cov:
                    covariance[chunk] = conditional.covariance()
        for found in (mean, std, covariance):
            finite = np.isfinite(found)
            if not finite.all():
                row = int(np.argwhere(~finite)[0, 0])
                raise ValueError(f"The prediction of row {row} of X overflows {rows.dtype.name}. Leave such rows out.")
        if fitted["_is_vector"]:
            mean, std = mean[:, 0], std[:, 0] if return_std else std
        return (mean, std) if return_std else (mean, covariance) if return_cov else mean

    def conditional(self, X: Any) -> ConditionalMixtures:
        """Return the whole conditional distribution of the outputs given each row of inputs.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)

        Returns
        -------
        ConditionalMixtures
            A mixture of Gaussians for each row: weights, means and covariances, in float64. Its `quantile` gives the
            limits of prediction intervals for one output.

        Raises
        ------
        ValueError
            If X is not as said above, or the density of a row is zero, its logarithm −inf.

        Examples
        --------
        >>> import emix
        >>> X, y = emix.load_faithful().data.T.reshape(2, -1, 1)
        >>> regressor = emix.MixtureRegressor(2, random_state=0).fit(X, y[:, 0])
        >>> regressor.conditional([[3.0]]).quantile([0.05, 0.95]).shape
        (1, 2)
        """
        fitted = self._fitted()
        conditioning = conditioning_of(fitted)
        rows = self._rows(fitted, X).astype(np.float64, copy=False)
        names = names_of_all(fitted)
        return conditioning.conditionals(rows, conditioning.structure.name, names, argument="X")

    def predictive_log_density(self, X: Any, y: Any) -> FloatArray:
        """Log-density of each output given its inputs, log p(y | x), nats.

        Its mean is a score of the whole predicted distribution, where `score` judges the means alone.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)

        Returns
        -------
        ndarray of shape (n_samples,), X's dtype
            Finite or −inf, never NaN.

        Raises
        ------
        ValueError
            If X or y is not as said above.
        """
        fitted = self._fitted()
        rows = self._rows(fitted, X)
        outputs = self._outputs_to_score(fitted, y, len(rows)).astype(np.float64, copy=False)
        density = np.empty(len(rows), rows.dtype)
        with np.errstate(over="ignore"):
            for chunk, conditional in conditionals_of(fitted, rows):
                density[chunk] = conditional.logpdf(outputs[chunk])
        return density

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Coefficient of determination R² of the predictions, the mean over outputs; 1 is best.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array_like of shape (n_samples,), optional

        Returns
        -------
        float
            As scikit-learn's ``r2_score``. NaN, with a warning, for fewer than two rows.
        """
        fitted = self._fitted()
        predicted = self.predict(X)
        outputs = self._outputs_to_score(fitted, y, len(predicted))
        weight = as_sample_weight(sample_weight, len(outputs))
        return r_squared(outputs, predicted.reshape(outputs.shape), weight)

    def __sklearn_is_fitted__(self) -> bool:
        return "mixture_" in vars(self)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True, multi_output=True),
            regressor_tags=RegressorTags(),
        )

    def _fitted(self) -> dict[str, Any]:
        """Return the estimator's attributes, all of one fit."""
        attributes = vars(self)
        if "mixture_" not in attributes:
            raise not_fitted(type(self).__name__, or_else=", or make one from a fitted mixture with 'from_mixture'")
        return attributes

    def _rows(self, fitted: dict[str, Any], X: Any) -> FloatArray:
        names = fitted.get("feature_names_in_")
        return rows_to_score(X, fitted["n_features_in_"], names, caller=type(self).__name__)

    def _outputs_to_score(self, fitted: dict[str, Any], y: Any, n_samples: int) -> FloatArray:
        outputs, _ = outputs_of(y, n_samples, type(self).__name__)
        if outputs.shape[1] != fitted["n_outputs_"]:
            raise ValueError(f"y has {outputs.shape[1]} outputs, expected {fitted['n_outputs_']} as in the fit.")
        return outputs
