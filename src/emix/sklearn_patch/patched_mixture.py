"""The class that takes the place of scikit-learn's GaussianMixture. Importing this file imports scikit-learn.

Its parameters, checks and attributes are scikit-learn's, by inheritance; the passes over the data are emix's. Arrays of
a fit may be written to, as in scikit-learn: each score looks whether they are still those of the fit.
"""

from __future__ import annotations

import inspect
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.utils.validation import check_is_fitted, validate_data

from emix.estimators.fit_attributes import NOT_CONVERGED
from emix.estimators.fit_state import attributes_of, parameters_of
from emix.estimators.gaussian_mixture import GaussianMixture as EmixMixture
from emix.estimators.sklearn_exchange import parameters_of_sklearn, sklearn_mixture
from emix.estimators.sklearn_protocol import settings_of
from emix.exceptions import warn, warn_convergence, warnings_held
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import Scores, score_rows
from emix.rows.conversion import is_frame
from emix.rows.validation import as_rows

__all__ = ["GaussianMixture", "speak_again"]

_Own: Any = sklearn_mixture("the patch needs")

# Private steps of scikit-learn's class that a subclass may override. emix would not call them.
_STEPS = (
    "_initialize_parameters", "_initialize", "_e_step", "_m_step", "_estimate_log_prob", "_estimate_log_weights",
    "_estimate_weighted_log_prob", "_estimate_log_prob_resp", "_compute_lower_bound", "_get_parameters",
    "_set_parameters",
)  # fmt: skip

_ARRAYS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")

_spoken: set[str] = set()


class GaussianMixture(_Own):  # type: ignore[misc]  # scikit-learn has no types
    """scikit-learn's GaussianMixture, fitted and scored by emix.

    Parameters and attributes are those of ``sklearn.mixture.GaussianMixture``. `emix.patch_sklearn` says what differs.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the mixture to the rows of `X`.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
        y : object
            Ignored.

        Returns
        -------
        self
        """
        if not _is_patched(self):
            _Own.fit(self, X, y)
            return self
        self.fit_predict(X, y)
        return self

    def fit_predict(self, X: Any, y: Any = None) -> NDArray[np.intp]:
        """Fit the mixture and return the component of each row.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
        y : object
            Ignored.

        Returns
        -------
        ndarray of shape (n_samples,), intp
        """
        if not _is_patched(self):
            return np.asarray(_Own.fit_predict(self, X, y))
        kind, reason = self._reason_against(X)
        if not reason:
            if not get_config()["skip_parameter_validation"]:
                self._validate_params()
            rows = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
            if len(rows) < self.n_components:
                raise ValueError(
                    f"Expected n_samples >= n_components but got n_components = {self.n_components}, n_samples = "
                    f"{len(rows)}"
                )
            self._check_parameters(rows, **_namespace_of(self._check_parameters, rows))
            try:
                return self._fit_rows(rows)
            except (TypeError, ValueError) as error:
                kind, reason = "a fit", str(error)
        self.__dict__.pop("_fitted_parameters", None)
        labels: NDArray[np.intp] = super().fit_predict(X, y)
        # If scikit-learn refuses too, its error says enough.
        _speak(kind, reason)
        return labels

    def score_samples(self, X: Any) -> Any:
        """Log-density of each row, nats.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        scores = _score_rows(self, X, log_density=True)
        return _Own.score_samples(self, X) if scores is None else scores.log_density

    def predict(self, X: Any) -> Any:
        """Component that each row most probably comes from.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), intp
        """
        scores = _score_rows(self, X, labels=True)
        return _Own.predict(self, X) if scores is None else scores.labels

    def predict_proba(self, X: Any) -> Any:
        """Responsibilities: the probability of each component for each row.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
        """
        scores = _score_rows(self, X, responsibilities=True)
        return _Own.predict_proba(self, X) if scores is None else scores.responsibilities

    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        # scikit-learn's own class, and classes derived from it, count as subclasses: objects made before the patch are
        # instances.
        return True if cls is GaussianMixture and _Own in other.__mro__ else NotImplemented

    def _reason_against(self, X: Any) -> tuple[str, str]:
        """Return why emix cannot do it: the kind of the reason, and the reason; empty if it can."""
        overridden = [name for name in _STEPS if getattr(type(self), name) is not getattr(_Own, name)]
        if overridden:
            return type(self).__qualname__, f"{type(self).__qualname__} overrides {', '.join(overridden)}"
        of_numpy = isinstance(X, (np.ndarray, list, tuple)) or is_frame(X)
        if get_config()["array_api_dispatch"] and not of_numpy:
            return "array API", f"X is a {type(X).__name__}, and emix computes with NumPy's arrays"
        return "", ""

    def _fit_rows(self, rows: NDArray[Any]) -> NDArray[np.intp]:
        """Fit checked rows by emix."""
        mixture = EmixMixture(**settings_of(self, _Own))
        mixture.warm_start = self.warm_start and hasattr(self, "converged_")
        if mixture.warm_start:
            before = self._parameters()
            vars(mixture).update(attributes_of(before, rows.dtype), n_features_in_=before.n_features)
        # scikit-learn gives no other warning than that of a fit that did not converge.
        with warnings_held():
            labels = mixture.fit_predict(rows)
        if not mixture.converged_ and self.max_iter > 0:
            warn_convergence(NOT_CONVERGED)
        state: dict[str, Any] = {name: np.array(getattr(mixture, name)) for name in _ARRAYS}
        state["converged_"] = mixture.converged_
        state["n_iter_"] = mixture.n_iter_
        state["lower_bound_"] = np.float64(mixture.lower_bound_)
        state["lower_bounds_"] = mixture.lower_bounds_[1:]
        state["_fitted_parameters"] = parameters_of(vars(mixture))
        self.__dict__.update(state)
        return labels

    def _parameters(self) -> GaussianParameters:
        """Return the parameters that the attributes hold: those of the fit, unless arrays were changed since.

        Raises
        ------
        ValueError
            If the attributes cannot be those of a mixture.
        """
        fitted: GaussianParameters | None = vars(self).get("_fitted_parameters")
        if fitted is not None and fitted.structure.form.name == self.covariance_type:
            weights, means, _, whitening = fitted.arrays()
            factor = fitted.structure.form.precisions_cholesky(whitening)
            if _are(self.weights_, weights) and _are(self.means_, means) and _are(self.precisions_cholesky_, factor):
                return fitted
        return parameters_of_sklearn(
            self.covariance_type, self.weights_, self.means_, self.precisions_cholesky_, vars(self).get("covariances_")
        )


def _is_patched(mixture: Any) -> bool:
    """True for objects of the class above and of classes derived from it.

    Code from before the patch may call a method of the class by its name, with an object of scikit-learn's own. That
    counts as an instance, too, so that `isinstance` does not tell.
    """
    return GaussianMixture in type(mixture).__mro__


def _score_rows(mixture: Any, X: Any, **what: bool) -> Scores | None:
    """Score rows by emix; None if that is scikit-learn's to do, which is said of objects of the class above."""
    if not _is_patched(mixture):
        return None
    check_is_fitted(mixture)
    kind, reason = mixture._reason_against(X)
    if not reason:
        rows = validate_data(mixture, X, reset=False)
        try:
            parameters = mixture._parameters()
        except (TypeError, ValueError) as error:
            kind, reason = "scores", str(error)
        else:
            return score_rows(as_rows(rows), parameters, **{"log_density": False, **what})
    _speak(kind, reason)
    return None


def _namespace_of(check: Any, rows: NDArray[Any]) -> dict[str, Any]:
    """Return the argument `xp` of scikit-learn's check, which it has from 1.8 on."""
    if "xp" not in inspect.signature(check).parameters:
        return {}
    from sklearn.utils._array_api import get_namespace

    return {"xp": get_namespace(rows)[0]}


def _are(array: Any, fitted: NDArray[np.float64]) -> bool:
    """True if an attribute holds these numbers, in its own precision."""
    if type(array) is not np.ndarray:
        return False
    with np.errstate(over="ignore", under="ignore"):
        return np.array_equal(array, fitted.astype(array.dtype, copy=False))


def speak_again() -> None:
    """Let each kind of reason to fall through be said once more."""
    _spoken.clear()


def _speak(kind: str, reason: str) -> None:
    """Warn that scikit-learn's implementation did the work, once for each kind of reason."""
    if kind in _spoken:
        return
    _spoken.add(kind)
    warn(
        "GaussianMixture, which emix.patch_sklearn has patched, fell through to scikit-learn's own implementation: "
        f"{reason.rstrip('.')}. Later ones of this kind are not said again."
    )
