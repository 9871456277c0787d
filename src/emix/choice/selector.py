"""MixtureSelector: select_mixture as an estimator of scikit-learn."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emix.choice.select import select_from
from emix.choice.selection import MixtureRow, MixtureSelection
from emix.estimators.gaussian_mixture import GaussianMixture
from emix.estimators.mixture_display import MixtureDisplay
from emix.estimators.mixture_operations import MixtureOperations
from emix.estimators.sklearn_protocol import SklearnEstimator
from emix.exceptions import not_fitted
from emix.rows.validation import FloatArray

__all__ = ["MixtureSelector"]


class MixtureSelector(MixtureOperations, MixtureDisplay, SklearnEstimator):
    """Gaussian mixture whose number of components and covariance structure are chosen when it is fitted.

    `select_mixture` as an estimator: `fit` chooses a mixture, and all other methods are those of the mixture that is
    chosen. `marginal` and `conditional` return a GaussianMixture; `summary` and `plot` show the mixture that is chosen,
    ``selection_.plot()`` the choice.

    Parameters
    ----------
    n_components : int or iterable of int
        Numbers of components to choose among.
    covariance_types : "all", str or iterable of str
    criterion : {"bic", "aic", "icl", "cv"}
    n_init, n_folds, random_state, n_threads, verbose, tol, reg_covar, max_iter, init_params
        All parameters are those of `select_mixture`.

    Attributes
    ----------
    selection_ : MixtureSelection
        All mixtures, with their criteria.
    best_ : GaussianMixture
        The mixture that was chosen.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,), object
        Names of the columns, where `X` had any.

    Examples
    --------
    >>> import emix
    >>> X = emix.load_faithful().data
    >>> selector = emix.MixtureSelector(range(1, 4), ["full", "tied"], random_state=0).fit(X)
    >>> selector.best_.n_components, selector.predict(X[:3]).shape
    (3, (3,))
    """

    selection_: MixtureSelection
    best_: GaussianMixture
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]

    def __init__(
        self,
        # A range would be the plainer default; scikit-learn's checks take tuples.
        n_components: Any = (1, 2, 3, 4, 5, 6, 7, 8, 9),
        covariance_types: Any = "all",
        criterion: str = "bic",
        *,
        n_init: int = 1,
        n_folds: int = 5,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        n_threads: int | None = None,
        verbose: int = 0,
        tol: float = 1e-6,
        reg_covar: float | Literal["auto"] = "auto",
        max_iter: int = 1000,
        init_params: str = "auto",
    ) -> None:
        self.n_components = n_components
        self.covariance_types = covariance_types
        self.criterion = criterion
        self.n_init = n_init
        self.n_folds = n_folds
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.init_params = init_params

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        callback: Callable[[MixtureRow], object] | None = None,
    ) -> Self:
        """Choose a mixture for the rows of `X`.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
        y : object
            Ignored.
        sample_weight : array_like of shape (n_samples,), optional
            Weights of the rows, not negative.
        callback : callable, optional
            As of `select_mixture`.

        Returns
        -------
        self
            If anything goes wrong it is left as it was.

        Raises
        ------
        TypeError, ValueError, KeyboardInterrupt
            As `select_mixture`.
        """
        mixture = GaussianMixture(
            tol=self.tol,
            reg_covar=self.reg_covar,
            max_iter=self.max_iter,
            n_init=self.n_init,
            init_params=self.init_params,
            random_state=self.random_state,
            verbose=self.verbose,
            n_threads=self.n_threads,
        )
        selection = select_from(
            mixture,
            X,
            self.n_components,
            self.covariance_types,
            self.criterion,
            sample_weight,
            self.n_folds,
            type(self).__name__,
            callback,
        )
        best = selection.best_
        state = {**vars(self), "selection_": selection, "best_": best, "n_features_in_": best.n_features_in_}
        state.pop("feature_names_in_", None)
        if hasattr(best, "feature_names_in_"):
            state["feature_names_in_"] = best.feature_names_in_
        self.__dict__ = state  # in one assignment: another thread sees one fit or the other
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> NDArray[np.intp]:
        """Choose a mixture and return the component of each row.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        ndarray of shape (n_samples,), intp
        """
        return self.fit(X, y, sample_weight).predict(X)

    def predict(self, X: Any) -> NDArray[np.intp]:
        """Component of the chosen mixture that each row most probably comes from.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), intp
        """
        return self._chosen().predict(X)

    def predict_proba(self, X: Any) -> FloatArray:
        """Responsibilities: the probability of each component for each row.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
        """
        return self._chosen().predict_proba(X)

    def score_samples(self, X: Any) -> FloatArray:
        """Log-density of each row, nats.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        return self._chosen().score_samples(X)

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log-density of the rows, nats.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
        y : object
            Ignored.
        sample_weight : array_like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        return self._chosen().score(X, y, sample_weight)

    def bic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Bayesian information criterion of the chosen mixture; smaller is better.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
        sample_weight : array_like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        return self._chosen().bic(X, sample_weight)

    def aic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Akaike's information criterion of the chosen mixture; smaller is better.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
        sample_weight : array_like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        return self._chosen().aic(X, sample_weight)

    def icl(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Integrated completed likelihood of the chosen mixture; smaller is better.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
        sample_weight : array_like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        return self._chosen().icl(X, sample_weight)

    def sample(self, n_samples: int = 1) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Draw rows from the chosen mixture.

        Parameters
        ----------
        n_samples : int

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), float64
        y : ndarray of shape (n_samples,), intp
            The component of each row.
        """
        return self._chosen().sample(n_samples)

    def __sklearn_is_fitted__(self) -> bool:
        return "best_" in vars(self)

    def _mixture_held(self) -> GaussianMixture:
        return self._chosen()

    def _mixture_shown(self) -> GaussianMixture:
        return self._chosen()

    def _chosen(self) -> GaussianMixture:
        best: GaussianMixture | None = vars(self).get("best_")
        if best is None:
            raise not_fitted(type(self).__name__, or_else="")
        best = copy.copy(best)
        vars(best)["_caller"] = type(self).__name__  # messages speak of the estimator that the user holds
        return best
