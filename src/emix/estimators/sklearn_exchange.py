"""A mixture as scikit-learn's GaussianMixture, and back."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emix.estimators.fit_state import attributes_of, check_factor, dtype_of, parameters_of
from emix.estimators.fit_warnings import warn_of_infinite_precisions
from emix.gaussian.parameters import GaussianParameters, check_shapes, check_values
from emix.gaussian.structures import STRUCTURES, structure_of
from emix.rows.conversion import as_numbers

__all__ = ["SklearnExchange", "parameters_of_sklearn", "sklearn_mixture"]

Array = NDArray[np.float64]

# Settings that mean the same to both.
_SAME = (
    "n_components", "tol", "max_iter", "n_init", "weights_init", "means_init", "warm_start", "verbose",
    "verbose_interval",
)  # fmt: skip

# Starts that scikit-learn has, too.
_STARTS = ("kmeans", "k-means++", "random", "random_from_data")

# Covariances belong to their factors if W Σ Wᵀ is the identity but for rounding, which single precision may have done.
_ROUNDED = 1e-3


class SklearnExchange:
    """Methods that make a GaussianMixture of scikit-learn from one of emix, and the other way round."""

    def to_sklearn(self) -> Any:
        """Return a ``sklearn.mixture.GaussianMixture`` with these parameters, which scores and predicts alike.

        Returns
        -------
        sklearn.mixture.GaussianMixture
            Its arrays are copies, in the dtype of the fitted data.

            A structure that scikit-learn lacks becomes the covariance type of its form: "full" for VEE, EVE, VVE, EEV,
            VEV and EVV; "diag" for EEI, VEI and EVI; "spherical" for EII. Densities are the same; ``bic`` and ``aic``
            of scikit-learn then count more free parameters.

            Settings are those of this mixture where scikit-learn has them. Else they are its defaults: `reg_covar` for
            "auto"; `init_params` for "auto" and "hierarchical"; `random_state` for a Generator.

            `lower_bound_` is that of the parameters, and `lower_bounds_` has one number for each iteration, as
            scikit-learn's; there each is that of the parameters before the step. A mixture that was not fitted to data
            has −inf and no bounds, and counts as converged.

        Raises
        ------
        NotFittedError
            If there are no parameters yet.
        ImportError
            If scikit-learn is not installed.

        Examples
        --------
        >>> import emix
        >>> gm = emix.GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "EII")
        >>> theirs = gm.to_sklearn()
        >>> theirs
        GaussianMixture(covariance_type='spherical', max_iter=1000, n_components=2,
                        tol=1e-06)
        >>> theirs.predict([[1.9], [2.1]])
        array([0, 1])
        """
        return _as_sklearn(self)

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Self:
        """Make a mixture from a ``sklearn.mixture.GaussianMixture``, which scores and predicts alike.

        Parameters
        ----------
        estimator : sklearn.mixture.GaussianMixture
            Fitted, or not: then only its settings are taken.

        Returns
        -------
        GaussianMixture
            With the settings of `estimator`, and the parameters by which it scores, its `precisions_cholesky_`. Like
            one that `from_parameters` made it has no log-likelihood or history.

        Raises
        ------
        TypeError
            If `estimator` is something else, such as a BayesianGaussianMixture.
        ValueError
            If its arrays cannot be those of a mixture.
        ImportError
            If scikit-learn is not installed.

        Examples
        --------
        >>> import emix
        >>> from sklearn.mixture import GaussianMixture
        >>> X = emix.load_faithful().data
        >>> theirs = GaussianMixture(2, random_state=0).fit(X)
        >>> gm = emix.GaussianMixture.from_sklearn(theirs)
        >>> round(gm.score(X) - theirs.score(X), 9)
        0.0
        """
        mixture: Self = _from_sklearn(cls, estimator)
        return mixture


def sklearn_mixture(who_needs: str = "to_sklearn and from_sklearn need") -> Any:
    """Return scikit-learn's own class, also where `emix.patch_sklearn` has put another in its place.

    Parameters
    ----------
    who_needs : str
        Begins the message of the error.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.mixture._gaussian_mixture import GaussianMixture
    except ImportError as error:
        raise ImportError(f"{who_needs} scikit-learn, which is not installed: pip install scikit-learn") from error
    return GaussianMixture


def _as_sklearn(mixture: Any) -> Any:
    fitted = mixture._fitted()
    parameters = parameters_of(fitted)
    form = parameters.structure.form
    kind = sklearn_mixture()
    defaults = kind()
    settings = {name: fitted[name] for name in _SAME}
    settings["n_components"] = parameters.n_components
    settings["covariance_type"] = form.name
    settings["reg_covar"] = defaults.reg_covar if isinstance(fitted["reg_covar"], str) else fitted["reg_covar"]
    settings["init_params"] = fitted["init_params"] if fitted["init_params"] in _STARTS else defaults.init_params
    if structure_of(fitted["covariance_type"], "to_sklearn").form == form:
        settings["precisions_init"] = fitted["precisions_init"]
    if not isinstance(fitted["random_state"], np.random.Generator):
        settings["random_state"] = fitted["random_state"]
    theirs = kind(**settings)
    published = attributes_of(parameters, dtype_of(fitted["means_"]))
    state: dict[str, Any] = {name: np.array(array) for name, array in published.items() if not name.startswith("_")}
    state["converged_"] = bool(fitted.get("converged_", True))
    state["n_iter_"] = fitted.get("n_iter_", 0)
    state["lower_bound_"] = np.float64(fitted.get("lower_bound_", -np.inf))
    state["lower_bounds_"] = list(fitted.get("lower_bounds_", [])[1:])
    state["n_features_in_"] = parameters.n_features
    if "feature_names_in_" in fitted:
        state["feature_names_in_"] = fitted["feature_names_in_"].copy()
    vars(theirs).update(state)
    return theirs


def _from_sklearn(cls: Any, estimator: Any) -> Any:
    if not isinstance(estimator, sklearn_mixture()):
        kind = type(estimator)
        raise TypeError(
            f"estimator is a {kind.__module__.partition('.')[0]} {kind.__name__}, expected a "
            "sklearn.mixture.GaussianMixture. A mixture of known weights, means and covariances is made by "
            "from_parameters."
        )
    fitted = vars(estimator)
    names = (*_SAME, "covariance_type", "reg_covar", "init_params", "precisions_init", "random_state")
    mixture = cls(**{name: fitted[name] for name in names})
    if "precisions_cholesky_" not in fitted:
        return mixture
    parameters = parameters_of_sklearn(
        fitted["covariance_type"],
        fitted["weights_"],
        fitted["means_"],
        fitted["precisions_cholesky_"],
        fitted.get("covariances_"),
    )
    published = attributes_of(parameters, dtype_of(fitted["means_"]))
    warn_of_infinite_precisions(parameters, published["precisions_"])
    mixture.n_components = parameters.n_components
    vars(mixture).update(published, n_features_in_=parameters.n_features)
    if "feature_names_in_" in fitted:
        mixture.feature_names_in_ = fitted["feature_names_in_"].copy()
    return mixture


def parameters_of_sklearn(
    covariance_type: str, weights: Any, means: Any, precisions_cholesky: Any, covariances: Any = None
) -> GaussianParameters:
    """Return the parameters by which scikit-learn scores: those of the factors of the precisions.

    Parameters
    ----------
    covariance_type : {"full", "tied", "diag", "spherical"}
    weights, means, precisions_cholesky : array_like
        The attributes of these names.
    covariances : array_like, optional
        Taken where they belong to the factors but for rounding; else they are computed from the factors.

    Returns
    -------
    GaussianParameters

    Raises
    ------
    ValueError
        If the shapes do not agree, or the values cannot be those of a mixture.
    """
    kind = STRUCTURES[covariance_type]
    given = {"weights_": weights, "means_": means, "precisions_cholesky_": precisions_cholesky}
    single = np.asarray(weights).dtype == np.float32
    pi, mu, factor = (np.array(as_numbers(array, name), dtype=np.float64) for name, array in given.items())
    check_shapes(kind, pi, mu, precisions_cholesky_=factor)
    check_factor(factor, kind.form.has_matrices)
    if single and pi.sum() > 0.0:
        pi /= pi.sum()  # each was rounded
    K, d = mu.shape
    if kind.form.has_matrices:
        whitening = np.ascontiguousarray(factor.swapaxes(-1, -2))
        colouring = np.linalg.inv(whitening)
        sigma: Array = colouring @ colouring.swapaxes(-1, -2)
        sigma = (sigma + sigma.swapaxes(-1, -2)) / 2.0
        log_det = np.log(np.diagonal(whitening, axis1=-2, axis2=-1)).sum(axis=-1)
    else:
        whitening = factor
        sigma = 1.0 / np.square(factor)
        log_det = np.log(factor) * d if factor.ndim == 1 else np.log(factor).sum(axis=-1)
    if covariances is not None:
        own = np.array(as_numbers(covariances, "covariances_"), dtype=np.float64)
        check_shapes(kind, pi, mu, covariances_=own)
        if kind.form.has_matrices:
            own = (own + own.swapaxes(-1, -2)) / 2.0
        if (kind.form.whitened_norms(whitening, own - sigma, d) <= _ROUNDED).all():
            sigma = own
    check_values({"weights_": pi, "means_": mu, "covariances_": sigma}, kind)
    return GaussianParameters.of_arrays(kind, pi, mu, sigma, whitening, np.broadcast_to(log_det, (K,)))
