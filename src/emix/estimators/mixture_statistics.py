"""Statistics of rows under a mixture, and the M-step that takes them: EM in two halves, which need not be in one place.

References
----------
A. P. Dempster, N. M. Laird and D. B. Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm,
Journal of the Royal Statistical Society B 39, 1-38, section 2.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from emix.estimators.criteria import TOTAL_OVERFLOWS
from emix.estimators.fit_attributes import REPORT
from emix.estimators.fit_state import attributes_of, dtype_of, parameters_of
from emix.estimators.fit_warnings import warn_of_infinite_precisions, warn_of_step
from emix.estimators.fitted_mixture import FittedMixture
from emix.estimators.parameters_check import Settings, check_settings
from emix.gaussian.model import GaussianModel
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import check_one_column
from emix.rows.arrays import ArraySource
from emix.rows.validation import as_sample_weight, check_column_range, feature_names

__all__ = ["MixtureStatistics", "check_sizes", "source_of_rows"]


class MixtureStatistics(FittedMixture):
    """The methods `statistics` and `update_from` of a mixture."""

    def statistics(self, X: Any, sample_weight: ArrayLike | None = None) -> GaussianStatistics:
        """Return the expected sufficient statistics of rows under the mixture: one E-step.

        They are all that an M-step needs of the rows, are small, and add. Whoever has a part of the rows can take
        theirs, and `update_from` of the sum is a step of EM on all rows, to rounding.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
        sample_weight : array_like of shape (n_samples,), optional
            Weights of the rows, not negative.

        Returns
        -------
        GaussianStatistics
            Statistics can be added, subtracted, scaled, blended, saved and loaded. ``statistics.log_likelihood`` is the
            total of the rows under this mixture, nats.

        Raises
        ------
        NotFittedError
            If there are no parameters yet.
        TypeError, ValueError
            If `X` or `sample_weight` is not what it should be, or the log-likelihood is not finite.

        Examples
        --------
        EM where two services have half of the rows each. It ends where one that had all rows would:

        >>> import emix
        >>> X = emix.load_faithful().data
        >>> gm = emix.GaussianMixture(2, random_state=0, max_iter=20).fit(X[:100])
        >>> before = float("-inf")
        >>> while True:
        ...     whole = gm.statistics(X[:136]) + gm.statistics(X[136:])
        ...     if whole.log_likelihood - before <= gm.tol * whole.total_weight:
        ...         break
        ...     before = whole.log_likelihood
        ...     gm = gm.update_from(whole)
        >>> round(whole.log_likelihood, 2)
        -1130.26
        """
        fitted = self._fitted()
        source = source_of_rows(self, fitted, X, sample_weight)
        parameters = parameters_of(fitted)
        K, d = parameters.means.shape
        model = GaussianModel(K, d, parameters.structure, 0.0, fitted["n_threads"])
        found = model.e_step(source, parameters)[0]
        if not math.isfinite(found.log_likelihood):
            raise ValueError(TOTAL_OVERFLOWS)
        return found

    def update_from(self, statistics: GaussianStatistics) -> Self:
        """Take the parameters that maximize the likelihood expected from statistics: one M-step.

        Parameters
        ----------
        statistics : GaussianStatistics
            For this mixture's covariance type and number of components. Those of `statistics`, or sums of them, make it
            a step of EM, with which the log-likelihood does not fall. Others are taken as they are: a blend, or
            statistics under parameters of before.

        Returns
        -------
        self
            With new parameters, and no report of a fit: `log_likelihood_`, `converged_`, `n_iter_`, `history_` and the
            like are gone, as after `from_parameters`. The log-likelihood of the new parameters is in the statistics
            that are taken next. A mixture that is not fitted takes its parameters too. If anything goes wrong it is
            left as it was.

        Raises
        ------
        TypeError, ValueError
            If `statistics` are something else, for another covariance type, number of components or of features, hold
            no rows, or a number is not finite; or a parameter of the mixture is not what it should be.
        DegenerateCovarianceError
            If the covariance of a component is not positive definite.

        Warns
        -----
        ConvergenceWarning
            If a component collapsed: it holds too few rows, or rows that are equal in some direction.

        Examples
        --------
        >>> import emix
        >>> X = emix.load_faithful().data
        >>> gm = emix.GaussianMixture(2, random_state=0).fit(X)
        >>> gm.update_from(gm.statistics(X)).weights_.max().round(3).item()  # it had converged
        0.644
        """
        if not isinstance(statistics, GaussianStatistics):
            raise TypeError(
                f"statistics are a {type(statistics).__name__}, expected GaussianStatistics: those that the method "
                "statistics of a mixture returns."
            )
        settings = check_settings(self)
        before = vars(self)
        (K, d), n_features = statistics.center.shape, before.get("n_features_in_")
        asked = d if n_features is None else n_features
        check_sizes("statistics are", statistics.structure, (K, d), settings, asked)
        if not np.isfinite(statistics.packed).all():
            raise ValueError("statistics hold a number that is not finite: sums overflowed. Scale the columns.")
        if not statistics.weight.sum() > 0.0:
            raise ValueError("statistics hold no weight: all rows were subtracted, or scaled to nothing.")
        model = GaussianModel(K, d, settings.structure, settings.reg_covar, settings.n_threads)
        parameters = model.m_step(statistics)
        dtype = dtype_of(before["means_"]) if "means_" in before else _dtype_of_rows(statistics)
        published = attributes_of(parameters, dtype)
        warn_of_infinite_precisions(parameters, published["precisions_"])
        warn_of_step(
            statistics,
            settings.reg_covar,
            parameters_of(before) if "_parameters" in before else None,
            parameters,
            statistics.n_rows,
            before.get("feature_names_in_"),
            "Its parameters say little about the data: take the statistics of more rows, or of fewer components.",
            of_few_rows=True,
        )
        kept = {name: value for name, value in before.items() if name not in REPORT}
        self.__dict__ = {**kept, **published, "n_features_in_": d}
        return self


def source_of_rows(
    mixture: FittedMixture, fitted: dict[str, Any], X: Any, sample_weight: ArrayLike | None
) -> ArraySource:
    """Return rows with the columns of a fitted mixture, whose squares can be summed."""
    rows = mixture._rows(fitted, X, to_fit=True)
    source = ArraySource(rows, as_sample_weight(sample_weight, rows.shape[0]))
    check_column_range(source.columns, rows.dtype.char, feature_names(X))
    return source


def check_sizes(
    found: str, structure: Any, shape: tuple[int, ...], settings: Settings, n_features: int, remedy: str = ""
) -> None:
    """Refuse statistics or parameters for another covariance type or shape than the settings ask for.

    Parameters
    ----------
    found : str
        Begins the message.
    structure : CovarianceStructure
    shape : tuple of int
        (n_components, n_features)
    settings : Settings
    n_features : int
        Those of the fit.
    remedy : str
        Ends the message.

    Raises
    ------
    ValueError
        With both.
    """
    check_one_column(settings.covariance_type, shape[1], "GaussianMixture")
    asked = settings.n_components, n_features
    if structure == settings.structure and shape == asked:
        return
    raise ValueError(
        f"{found} for (covariance_type, n_components, n_features) = {(structure.name, *shape)}, expected "
        f"{(settings.covariance_type, *asked)}, as the mixture has.{remedy}"
    )


def _dtype_of_rows(statistics: GaussianStatistics) -> np.dtype[Any]:
    single = statistics.columns is not None and statistics.columns.epsilon > np.finfo(np.float64).eps
    return np.dtype(np.float32 if single else np.float64)
