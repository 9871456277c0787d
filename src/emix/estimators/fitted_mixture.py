"""Methods of a fitted mixture: score rows, tell their components, draw new ones."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from emix.arguments import integer_in_range
from emix.estimators.criteria import aic, bic, icl, warn_of_n
from emix.estimators.fit_state import dtype_of, parameters_of, relinked, unlinked
from emix.estimators.sklearn_protocol import SklearnEstimator
from emix.estimators.stream_scores import Totals, scores_of_stream, totals_of_rows, totals_of_stream
from emix.exceptions import not_fitted
from emix.gaussian.drawing import draw
from emix.gaussian.scoring import Scores, score_rows
from emix.random_source import random_source
from emix.rows.opening import stream_of
from emix.rows.validation import FloatArray, as_sample_weight, rows_to_score

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["FittedMixture"]


class FittedMixture(SklearnEstimator):
    """Methods of a Gaussian mixture that has parameters.

    All take rows as arrays and data frames, and the streams that `GaussianMixture.fit` takes; these are read once, and
    what is returned for each row is as long as they are. Of a Dask collection it is lazy: a Dask array, or, of a data
    frame's log-densities and labels, a series; numbers for all rows are computed at once.
    """

    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    random_state: int | np.random.Generator | np.random.RandomState | None
    n_threads: int | None

    @property
    def n_parameters_(self) -> int:
        """Number of free parameters: of the weights, the means and the covariances."""
        return self._n_parameters()

    def _n_parameters(self) -> int:
        """`n_parameters_` under the name that it has in scikit-learn."""
        return int(parameters_of(self._fitted()).n_free_parameters)

    def score_samples(self, X: Any) -> FloatArray:
        """Log-density of each row, nats.

        Parameters
        ----------
        X : array_like, data frame or stream of rows of shape (n_samples, n_features)
            The streams are those of `GaussianMixture.fit`. They are read once; only what is returned is as long as
            their rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            In `X`'s dtype; -inf where the density underflows.

        Warns
        -----
        RuntimeWarning
            If the density of a row underflows to zero; so do `score`, `score_rows` and the criteria.
        """
        fitted = self._fitted()
        density = self._scores(fitted, X, log_density=True).log_density
        assert density is not None
        return density

    def predict(self, X: Any) -> NDArray[np.intp]:
        """Component that each row most probably comes from.

        Parameters
        ----------
        X : array_like, data frame or stream of rows of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), intp
        """
        fitted = self._fitted()
        labels = self._scores(fitted, X, labels=True).labels
        assert labels is not None
        return labels

    def predict_proba(self, X: Any) -> FloatArray:
        """Responsibilities: the probability of each component for each row.

        Parameters
        ----------
        X : array_like, data frame or stream of rows of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            In `X`'s dtype; rows sum to one.
        """
        fitted = self._fitted()
        responsibilities = self._scores(fitted, X, responsibilities=True).responsibilities
        assert responsibilities is not None
        return responsibilities

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log-density of the rows, nats.

        Parameters
        ----------
        X : array_like, data frame or stream of rows of shape (n_samples, n_features)
        y : object
            Ignored.
        sample_weight : array_like of shape (n_samples,), optional

        Returns
        -------
        float
            Weighted.
        """
        fitted = self._fitted()
        found = self._totals(fitted, X, sample_weight)
        return found.log_density / found.weight

    def score_rows(
        self, X: Any, *, log_density: bool = True, responsibilities: bool = False, labels: bool = False
    ) -> Scores:
        """Several of `score_samples`, `predict_proba` and `predict` in one pass over the rows.

        Parameters
        ----------
        X : array_like, data frame or stream of rows of shape (n_samples, n_features)
        log_density, responsibilities, labels : bool
            What to compute.

        Returns
        -------
        Scores
            With attributes of these names, None where it was not asked for.

        Examples
        --------
        >>> import emix
        >>> gm = emix.GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]])
        >>> scores = gm.score_rows([[1.0], [5.0]], labels=True)
        >>> scores.log_density.round(3).tolist(), scores.labels.tolist()
        ([-2.094, -2.112], [0, 1])
        """
        fitted = self._fitted()
        return self._scores(fitted, X, log_density=log_density, responsibilities=responsibilities, labels=labels)

    def bic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Bayesian information criterion, p log n − 2 log L; smaller is better.

        Parameters
        ----------
        X : array_like, data frame or stream of rows of shape (n_samples, n_features)
        sample_weight : array_like of shape (n_samples,), optional
            By default those that a stream brings. n is their sum, else the number of rows.

        Returns
        -------
        float

        Warns
        -----
        UserWarning
            If the fit had weights and none are given, or their sum is less than half or more than twice the number of
            rows, though they are no counts of rows: n may not be what it should be.
        """
        fitted = self._fitted()
        found = self._totals(fitted, X, sample_weight).in_unit()
        warn_of_n("bic", found.weight, found.weights, fitted.get("_fit_weight"))
        return bic(found.log_density, parameters_of(fitted).n_free_parameters, found.weight)

    def aic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Akaike's information criterion, 2 p − 2 log L; smaller is better.

        Parameters
        ----------
        X : array_like, data frame or stream of rows of shape (n_samples, n_features)
        sample_weight : array_like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        fitted = self._fitted()
        total = self._totals(fitted, X, sample_weight).in_unit().log_density
        return aic(total, parameters_of(fitted).n_free_parameters)

    def icl(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Integrated completed likelihood, BIC + 2 × entropy of the responsibilities; smaller is better.

        The entropy, −Σ r log r over rows and components, is what overlap costs: ICL prefers components that are
        clusters.

        Parameters
        ----------
        X : array_like, data frame or stream of rows of shape (n_samples, n_features)
        sample_weight : array_like of shape (n_samples,), optional

        Returns
        -------
        float

        Warns
        -----
        UserWarning
            As `bic`.

        References
        ----------
        C. Biernacki, G. Celeux and G. Govaert (2000), Assessing a mixture model for clustering with the integrated
        completed likelihood, IEEE Transactions on Pattern Analysis and Machine Intelligence 22, 719-725.
        """
        fitted = self._fitted()
        found = self._totals(fitted, X, sample_weight, entropy=True).in_unit()
        warn_of_n("icl", found.weight, found.weights, fitted.get("_fit_weight"))
        return icl(found.log_density, parameters_of(fitted).n_free_parameters, found.weight, found.entropy)

    def sample(self, n_samples: int = 1) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Draw rows from the mixture.

        Parameters
        ----------
        n_samples : int

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), float64
            Sorted by component, as scikit-learn does.
        y : ndarray of shape (n_samples,), intp
            The component of each row.
        """
        parameters = parameters_of(self._fitted())
        try:
            n_samples = integer_in_range("n_samples", n_samples, 1, caller="sample")
        except ValueError as error:
            raise ValueError(f"Invalid value for 'n_samples': {error}") from error
        return draw(parameters, n_samples, random_source(self.random_state))

    def to_onnx(self, path: str | os.PathLike[str] | None = None, *, dtype: DTypeLike | None = None) -> ModelProto:
        """Export scoring to ONNX, for services without Python.

        Parameters
        ----------
        path : str or os.PathLike, optional
            The file to write, whole or not at all; ".onnx" is the customary ending.
        dtype : {"float64", "float32"}, optional
            Type of the rows that the graph takes, and of its results; by default that of the rows of the fit.

        Returns
        -------
        onnx.ModelProto
            Of opset 13. Its input is ``X`` (n_samples, n_features). Its outputs are ``log_density`` (n_samples,), nats,
            ``responsibilities`` (n_samples, n_components) and ``labels`` (n_samples,), int64. Its metadata are
            ``emix_version``, ``covariance_type``, ``n_components`` and ``feature_names``, a list in JSON or null.

        Raises
        ------
        ImportError
            If onnx, the extra "onnx", is not installed.
        NotFittedError
            If there are no parameters yet.
        ValueError
            If single precision cannot hold the parameters, or `dtype` is another.
        OSError
            If the file cannot be written.

        Notes
        -----
        A graph cannot refuse rows: one that holds a NaN or an infinity gets NaN, and the label -1. It takes
        n_samples × n_components × n_features numbers of memory: score large tables in parts.

        Examples
        --------
        >>> import emix
        >>> gm = emix.GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> model = gm.to_onnx()
        >>> [output.name for output in model.graph.output]
        ['log_density', 'responsibilities', 'labels']
        """
        from emix.estimators.onnx_export import export_mixture

        fitted = self._fitted()
        names = fitted.get("feature_names_in_")
        if dtype is None:  # a user's own means_ may have any dtype
            dtype = dtype_of(fitted["means_"])
        return export_mixture(parameters_of(fitted), dtype, path, None if names is None else names.tolist())

    def __getstate__(self) -> dict[str, Any]:
        return unlinked(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(relinked(state))

    def _fitted(self) -> dict[str, Any]:
        """Return the estimator's attributes, all of one fit.

        A method looks at them once and reads nothing else, as a fit in another thread may put others in their place
        meanwhile: it assigns them all at once.
        """
        attributes = vars(self)
        if "_parameters" not in attributes:
            raise not_fitted(type(self).__name__)
        return attributes

    def _rows(self, fitted: dict[str, Any], X: Any, *, to_fit: bool = False) -> FloatArray:
        """Return rows to score, with the columns of the fit; `to_fit` is that of `as_rows`."""
        caller: str = fitted.get("_caller", type(self).__name__)
        return rows_to_score(X, fitted["n_features_in_"], fitted.get("feature_names_in_"), caller=caller, to_fit=to_fit)

    def _score_rows(
        self,
        fitted: dict[str, Any],
        rows: FloatArray,
        *,
        log_density: bool = False,
        responsibilities: bool = False,
        labels: bool = False,
    ) -> Scores:
        """Score rows that `_rows` has checked."""
        return score_rows(
            rows,
            parameters_of(fitted),
            log_density=log_density,
            responsibilities=responsibilities,
            labels=labels,
            n_threads=fitted["n_threads"],
            warn_of_zeros=True,
        )

    def _scores(self, fitted: dict[str, Any], X: Any, **what: bool) -> Scores:
        """Scores of rows or of a stream, as the user gave them."""
        # An array, the usual case, saves a call.
        if type(X) is np.ndarray or (stream := stream_of(X)) is None:
            return self._score_rows(fitted, self._rows(fitted, X), **what)
        return scores_of_stream(stream, fitted, type(self).__name__, **what)

    def _totals(self, fitted: dict[str, Any], X: Any, sample_weight: Any, *, entropy: bool = False) -> Totals:
        """Sums over rows or a stream, as the user gave them."""
        if type(X) is not np.ndarray and (stream := stream_of(X, sample_weight)) is not None:
            return totals_of_stream(stream, fitted, type(self).__name__, entropy=entropy)
        rows = self._rows(fitted, X)
        weight = as_sample_weight(sample_weight, rows.shape[0])
        return totals_of_rows(rows, weight, fitted, entropy=entropy)
