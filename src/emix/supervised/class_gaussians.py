"""Gaussians of labelled rows, one for each class, whose covariances have a structure together (EDDA).

Where the class of each row is known, the sums of the rows of each class are sufficient statistics, and one M-step is
the fit. Structures without a closed form take M-steps until no more is to be gained.

References
----------
H. Bensmail and G. Celeux (1996), Regularized Gaussian discriminant analysis through eigenvalue decomposition, Journal
of the American Statistical Association 91, 1743-1748.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.em.loop import iterate
from emix.em.result import EMResult
from emix.gaussian.label_sums import statistics_of_labels
from emix.gaussian.model import GaussianModel, q_function
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.reg_covar import RegCovar
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import CovarianceStructure
from emix.rows.arrays import ArraySource

__all__ = ["fit_class_gaussians"]


class _LabelledModel:
    """Gaussian model whose responsibilities are known: an E-step gives the same sums each time.

    Its log-likelihood is that of rows and labels together, Σ w log(π_c p_c(x)).
    """

    def __init__(self, model: GaussianModel, statistics: GaussianStatistics) -> None:
        self._statistics = statistics
        self.m_step, self.gain_left, self.shortfall = model.m_step, model.gain_left, model.shortfall
        self.shortfall_reason = model.shortfall_reason

    def weight(self, data: Any) -> float:
        return self._statistics.total_weight

    def e_step(self, data: Any, parameters: GaussianParameters) -> tuple[GaussianStatistics, float]:
        log_likelihood = q_function(parameters, self._statistics)
        # An M-step that iterates goes on from the parameters under which statistics were taken.
        return replace(self._statistics, taken_under=parameters, log_likelihood=log_likelihood), log_likelihood


def fit_class_gaussians(
    source: ArraySource,
    labels: NDArray[np.intp],
    n_classes: int,
    structure: CovarianceStructure,
    *,
    reg_covar: RegCovar,
    tol: float,
    max_iter: int,
    n_threads: int | None,
) -> EMResult:
    """Fit a Gaussian to each class, with covariances of one structure.

    Parameters
    ----------
    source : ArraySource
        Rows of weight above zero, their weights in a moderate unit.
    labels : ndarray of shape (n_rows,), intp
        Number of each row's class; each class has a row.
    n_classes : int
    structure : CovarianceStructure
    reg_covar, tol, max_iter, n_threads
        As those of `emix.GaussianMixture`, checked.

    Returns
    -------
    EMResult
        Its parameters are those of the classes: weights, means and covariances; its log-likelihood is that of rows and
        labels together.

    Raises
    ------
    DegenerateCovarianceError
        If a covariance is not positive definite.
    """
    model = GaussianModel(n_classes, source.n_features, structure, reg_covar, n_threads)
    X = np.ascontiguousarray(source.X, dtype=np.float64)
    weight = np.ones(len(X)) if source.sample_weight is None else source.sample_weight
    packed = statistics_of_labels(structure.form, X, weight, labels, None, n_threads, n_classes)
    statistics = GaussianStatistics(
        structure, n_classes, source.n_features, packed, float(packed[:n_classes].sum()), len(X), 0.0, None,
        columns=source.columns,
    )  # fmt: skip
    start = model.m_step(statistics)
    return iterate(_LabelledModel(model, statistics), None, start, tol=tol, max_iter=max_iter)
