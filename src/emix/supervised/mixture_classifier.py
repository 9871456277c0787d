"""MixtureClassifier: mixture discriminant analysis, a mixture of Gaussians for each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emix.arguments import choice_of
from emix.choice.request import check_n_components
from emix.estimators.criteria import bic, weighted_total
from emix.estimators.fit_state import parameters_of
from emix.estimators.gaussian_mixture import GaussianMixture
from emix.estimators.parameters_check import check_settings, check_weights
from emix.estimators.sklearn_protocol import SklearnEstimator
from emix.exceptions import not_fitted, shown
from emix.gaussian.scoring import warn_of_zero_densities
from emix.random_source import seed_of
from emix.rows.arrays import ArraySource
from emix.rows.validation import (
    FloatArray,
    as_rows,
    as_sample_weight,
    check_column_range,
    feature_names,
    rows_to_score,
)
from emix.supervised.class_fits import CRITERIA, LabelledRows, fit_across_classes, fit_each_class
from emix.supervised.class_labels import as_class_labels, class_numbers
from emix.supervised.posteriors import ClassScores, score_classes
from emix.supervised.saved_estimator import SavedEstimator

__all__ = ["MixtureClassifier"]


class MixtureClassifier(SavedEstimator, SklearnEstimator):
    """Classifier with a mixture of Gaussians for each class, and Bayes' theorem for the class of a row.

    With π_c the prior probability of class c and p_c the density of its mixture, the posterior of the class of x is
    π_c p_c(x) / Σ_l π_l p_l(x). A class may have several modes, and any shape that a mixture can take. This is
    mixture discriminant analysis (MclustDA of the R package mclust); with one Gaussian for each class, whose
    covariances have a structure across the classes, it is EDDA.

    Parameters
    ----------
    n_components : int, iterable of int, or mapping
        Components of each class. Of several numbers the best is chosen for each class. A mapping has a key for each
        class, and a number or several for it.
    covariance_type : str or iterable of str
        Covariance structure, as that of `GaussianMixture`. Of several, or of "all" there are, the best is chosen for
        each class, or with `across_classes` for all together.
    across_classes : bool
        False: the structure is that of the components within a class, each class by itself. With one component a class
        then has a covariance of its own, also with "tied".
        True: each class is one Gaussian, and the structure is that of the covariances of all classes together (EDDA):
        "tied" is linear, "full" is quadratic discriminant analysis, and the others lie between or beside them.
    criterion : {"bic", "aic"}
        For the choice, where there is one.
    priors : array_like of shape (n_classes,), optional
        Prior probabilities of the classes, in the order of `classes_`; they sum to one. By default the classes' parts
        of the total weight of the rows.
    tol, reg_covar, max_iter, n_init, init_params
        As those of `GaussianMixture`, for the fit of each class.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Source of the starts; an int gives the same result each time.
    n_threads : int or None
        Most threads to use; results do not depend on it.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted. Rows of weight zero count as left out: a class of these alone is none.
    priors_ : ndarray of shape (n_classes,), float64
    mixtures_ : list of GaussianMixture
        The mixture of each class. With `across_classes` each is one Gaussian, of type "full", "diag" or "spherical".
    covariance_types_ : list of str
        Name of each class's structure; with `across_classes` of the one for all.
    log_likelihood_ : float
        Total log-density of the training rows if their classes were unknown, Σ w log Σ_c π_c p_c(x), nats. It is the
        log-likelihood that mclust prints.
    n_parameters_ : int
        Number of free parameters of the classes' densities; as in mclust, priors do not count.
    bic_ : float
        ``n_parameters_ * log(n) - 2 * log_likelihood_``, n the total weight of the rows; smaller is better. mclust has
        the other sign.
    n_iter_ : int
        Steps of EM, of the class that took most.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,), object
        Names of the columns, where `X` had any.

    References
    ----------
    T. Hastie and R. Tibshirani (1996), Discriminant analysis by Gaussian mixtures, Journal of the Royal Statistical
    Society B 58, 155-176.

    H. Bensmail and G. Celeux (1996), Regularized Gaussian discriminant analysis through eigenvalue decomposition,
    Journal of the American Statistical Association 91, 1743-1748.

    C. Fraley and A. E. Raftery (2002), Model-based clustering, discriminant analysis, and density estimation, Journal
    of the American Statistical Association 97, 611-631.

    Examples
    --------
    >>> import emix
    >>> X = [[-3.1], [-2.9], [-3.4], [2.8], [3.1], [3.3], [-0.4], [0.1], [0.2]]
    >>> y = ["outer", "outer", "outer", "outer", "outer", "outer", "inner", "inner", "inner"]
    >>> classifier = emix.MixtureClassifier({"inner": 1, "outer": 2}, covariance_type="tied", random_state=0).fit(X, y)
    >>> classifier.predict([[-3.0], [0.0], [3.0]]).tolist()
    ['outer', 'inner', 'outer']
    >>> classifier.priors_.round(3).tolist()
    [0.333, 0.667]
    """

    _kind = "MixtureClassifier"

    classes_: NDArray[Any]
    priors_: NDArray[np.float64]
    mixtures_: list[GaussianMixture]
    covariance_types_: list[str]
    log_likelihood_: float
    n_parameters_: int
    bic_: float
    n_iter_: int
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]

    def __init__(
        self,
        n_components: Any = 1,
        *,
        covariance_type: Any = "full",
        across_classes: bool = False,
        criterion: str = "bic",
        priors: ArrayLike | None = None,
        tol: float = 1e-6,
        reg_covar: float | Literal["auto"] = "auto",
        max_iter: int = 1000,
        n_init: int = 1,
        init_params: str = "auto",
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.across_classes = across_classes
        self.criterion = criterion
        self.priors = priors
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Fit a mixture to the rows of each class.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
        y : array_like of shape (n_samples,)
            The class of each row: integers, texts, booleans or other values that can be sorted.
        sample_weight : array_like of shape (n_samples,), optional
            Weights of the rows, not negative. A weight of 2 counts as the row written twice, 0 as left out.

        Returns
        -------
        self
            If anything goes wrong it is left as it was.

        Raises
        ------
        TypeError, ValueError
            If a parameter, `X`, `y` or `sample_weight` is not what it should be, there is one class only, or the rows
            of a class cannot be fitted; the message names the class.
        DegenerateCovarianceError
            If the covariance of a class collapsed in every run.

        Warns
        -----
        ConvergenceWarning, UserWarning
            As `GaussianMixture.fit`, of the class that the message names.
        """
        caller = type(self).__name__
        settings = check_settings(self._mixture(), caller)
        choice_of("criterion", self.criterion, CRITERIA, caller)
        if not isinstance(self.across_classes, (bool, np.bool_)):
            raise TypeError(
                f"The 'across_classes' parameter of {caller} must be True or False. Got {shown(self.across_classes)} "
                "instead."
            )
        if self.across_classes and not _is_one(self.n_components, caller):
            raise ValueError(
                f"The 'n_components' parameter of {caller} is {shown(self.n_components)}, expected 1: with "
                "across_classes=True each class is one Gaussian. Set across_classes=False for mixtures."
            )
        names = feature_names(X)
        rows = as_rows(X, caller=caller, to_fit=True)
        labels = as_class_labels(y, len(rows), caller=caller)
        weight = as_sample_weight(sample_weight, len(rows))
        if weight is not None and not weight.all():
            held = weight > 0.0
            rows, labels, weight = rows[held], labels[held], weight[held]
        check_column_range(ArraySource(rows).columns, rows.dtype.char, names)
        labelled = LabelledRows(rows, weight, names, *class_numbers(labels, caller=caller))
        priors = labelled.shares()
        if self.priors is not None:
            n_classes = len(labelled.classes)
            priors = check_weights(self.priors, n_classes, argument="priors", parameter="priors", of="class")
        if self.across_classes:
            fits = fit_across_classes(settings, labelled, priors, self.covariance_type, self.criterion, caller)
        else:
            mixture = self._mixture().set_params(random_state=seed_of(self.random_state))
            fits = fit_each_class(mixture, labelled, self.n_components, self.covariance_type, self.criterion, caller)
        parameters = [parameters_of(vars(mixture)) for mixture in fits.mixtures]
        total, n = weighted_total(score_classes(rows, priors, parameters, settings.n_threads).log_density, weight)
        state = {
            **vars(self),
            "classes_": labelled.classes,
            "priors_": priors,
            "mixtures_": fits.mixtures,
            "covariance_types_": fits.covariance_types,
            "log_likelihood_": total,
            "n_parameters_": fits.n_parameters,
            "bic_": bic(total, fits.n_parameters, n),
            "n_iter_": fits.n_iter,
            "n_features_in_": rows.shape[1],
        }
        state.pop("feature_names_in_", None)
        if names is not None:
            state["feature_names_in_"] = names
        self.__dict__ = state  # in one assignment: another thread sees one fit or the other
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Class that each row most probably belongs to.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
            Of `classes_`; the first of equally probable ones.
        """
        fitted = self._fitted()
        return np.asarray(fitted["classes_"][self._scores(fitted, X).log_posterior.argmax(axis=1)])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Posterior probability of each class for each row.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float64
            In the order of `classes_`; rows sum to one. Of a row so far from all classes that each density underflows,
            the class of the nearest component has probability one.
        """
        with np.errstate(under="ignore"):
            return np.exp(self._scores(self._fitted(), X).log_posterior)

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Logarithm of the posterior probability of each class for each row.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float64
            Nats, in the order of `classes_`. It tells improbable classes apart where `predict_proba` underflows.
        """
        return self._scores(self._fitted(), X).log_posterior

    def predict_joint_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Log of prior times density of each class for each row, log(π_c p_c(x)), nats.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float64
            In the order of `classes_`; -inf where a density underflows.
        """
        return self._scores(self._fitted(), X).log_joint

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Log-density of each row with its class unknown, log Σ_c π_c p_c(x), nats: low for rows unlike all classes.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), float64

        Warns
        -----
        RuntimeWarning
            If the density of a row underflows to zero.
        """
        fitted = self._fitted()
        rows = self._rows(fitted, X)
        density = self._scores(fitted, rows, checked=True).log_density
        warn_of_zero_densities(rows, density)
        return density

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy: the part of the rows, by weight, whose class is predicted.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
        y : array_like of shape (n_samples,)
            The class of each row. One that is not among `classes_` is never predicted.
        sample_weight : array_like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        predicted = self.predict(X)
        labels = as_class_labels(y, len(predicted), caller=type(self).__name__)
        weight = as_sample_weight(sample_weight, len(predicted))
        return float(np.average(predicted == labels, weights=weight))

    def __sklearn_is_fitted__(self) -> bool:
        return "mixtures_" in vars(self)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier", target_tags=TargetTags(required=True), classifier_tags=ClassifierTags()
        )

    def _fitted(self) -> dict[str, Any]:
        """Return the estimator's attributes, all of one fit."""
        attributes = vars(self)
        if "mixtures_" not in attributes:
            raise not_fitted(type(self).__name__, or_else="")
        return attributes

    def _mixture(self) -> GaussianMixture:
        """Return an unfitted mixture with the settings of the fits."""
        return GaussianMixture(
            tol=self.tol,
            reg_covar=self.reg_covar,
            max_iter=self.max_iter,
            n_init=self.n_init,
            init_params=self.init_params,
            random_state=self.random_state,
            n_threads=self.n_threads,
        )

    def _rows(self, fitted: dict[str, Any], X: Any) -> FloatArray:
        """Return rows to score, with the columns of the fit."""
        names = fitted.get("feature_names_in_")
        return rows_to_score(X, fitted["n_features_in_"], names, caller=type(self).__name__)

    def _scores(self, fitted: dict[str, Any], X: Any, *, checked: bool = False) -> ClassScores:
        rows = X if checked else self._rows(fitted, X)
        parameters = [parameters_of(vars(mixture)) for mixture in fitted["mixtures_"]]
        return score_classes(rows, fitted["priors_"], parameters, fitted["n_threads"])


def _is_one(n_components: Any, caller: str) -> bool:
    return not isinstance(n_components, Mapping) and check_n_components(n_components, caller=caller) == [1]
