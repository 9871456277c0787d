"""The Gaussian mixture as a model for `fit_em`: the kernel as E-step, a covariance structure as M-step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from emix.arguments import integer_in_range
from emix.exceptions import DegenerateCovarianceError
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.reg_covar import RegCovar, reg_covar_of, shown_ridge
from emix.gaussian.run import GaussianRun
from emix.gaussian.shortcuts import AUTO, SHORTCUTS, shortcut_names
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import CovarianceStructure, check_one_column, structure_of
from emix.rows.arrays import as_source

__all__ = ["GaussianModel", "GaussianParameters", "q_function"]


class GaussianModel:
    """Gaussian mixture of `n_components` components in `n_features` dimensions, for `fit_em`.

    Parameters
    ----------
    n_components : int
    n_features : int
    structure : str or CovarianceStructure
        Covariance structure; a name is one of those of `covariance_type` of `emix.GaussianMixture`.
    reg_covar : float or "auto"
        Added to every variance in the M-step, in squared units of the data. "auto": what `emix.GaussianMixture` adds,
        a little that follows the components' own scale, column by column.
    n_threads : int or None
        None: what the process may use; one thread for small work. Results do not depend on it.
    shortcuts : "auto" or iterable of {"origin", "bounds", "screen", "packing"}
        Work that may be left out of passes where that pays (`emix.gaussian.shortcuts`). "auto" allows all, () none.
        Sums differ by rounding only.

    Examples
    --------
    >>> import emix
    >>> import numpy as np
    >>> x = np.array([[0.0], [1.0], [5.0], [6.0]])
    >>> start = emix.GaussianParameters.from_covariances("full", [0.5, 0.5], [[0.0], [6.0]], np.ones((2, 1, 1)))
    >>> result = emix.fit_em(emix.GaussianModel(2, 1), x, start, tol=1e-9, max_iter=100)
    >>> result.parameters.means.round(2).ravel()
    array([0.5, 5.5])
    """

    shortfall_reason = "reg_covar"  # in the warning that the log-likelihood fell

    def __init__(
        self,
        n_components: int,
        n_features: int,
        structure: str | CovarianceStructure = "full",
        reg_covar: RegCovar = 0.0,
        n_threads: int | None = None,
        shortcuts: str | Iterable[str] = AUTO,
    ) -> None:
        # The estimator passes plain ints. This condition sees it in a third of the time that the checks take.
        if not (type(n_components) is type(n_features) is int and n_components > 0 < n_features and n_threads is None):
            caller = type(self).__name__
            n_components = integer_in_range("n_components", n_components, 1, caller=caller)
            n_features = integer_in_range("n_features", n_features, 1, caller=caller)
            n_threads = None if n_threads is None else integer_in_range("n_threads", n_threads, 1, caller=caller)
        self.n_components = n_components
        self.n_features = n_features
        self.structure = structure_of(structure, "GaussianModel")
        if isinstance(structure, str):
            check_one_column(structure, n_features, "GaussianModel", "structure")
        self.reg_covar: RegCovar = reg_covar_of(reg_covar, "GaussianModel")
        self.n_threads = n_threads
        self.shortcuts = SHORTCUTS if shortcuts is AUTO else shortcut_names(shortcuts)
        self._threads_of_matrices = self.structure.form.threads_of_matrices(n_components, n_features, n_threads)

    @property
    def has_plain_steps(self) -> bool:
        """True if a run may take several steps at once: M-steps are those of this class, and take one thread."""
        return type(self).m_step is _M_STEP and self._threads_of_matrices == 1

    def begin(self, data: Any) -> GaussianRun:
        """Return the E-steps of one fit to `data`, with all that they keep between passes."""
        return GaussianRun(self, as_source(data))

    def weight(self, data: Any) -> float:
        """Total weight of the rows."""
        return float(as_source(data).total_weight)

    def e_step(self, data: Any, parameters: GaussianParameters) -> tuple[GaussianStatistics, float]:
        """Expected sufficient statistics of the rows under the parameters, and the total log-likelihood, nats.

        Parameters
        ----------
        data : array_like of shape (n_samples, n_features), or a tuple of it and sample weights (n_samples,)
        parameters : GaussianParameters
        """
        return self.begin(data).e_step(parameters)

    def m_step(self, statistics: GaussianStatistics) -> GaussianParameters:
        """Parameters that maximize Q given the statistics (with reg_covar, nearly).

        π_k = N_k / Σ N and μ_k = c_k + δ_k with δ_k = s_k/N_k. The structure fits the Σ_k to Ŵ_k + R, where
        Ŵ_k = S_k/N_k − δ_k δ_kᵀ and R is that of reg_covar. A component that holds no row keeps its mean at c_k and
        gets weight zero.

        Raises
        ------
        DegenerateCovarianceError
            If a covariance is not positive definite: the component, its weight and the rows that hold it are named.
        """
        packed, failed = self.structure.maximize(statistics, self.reg_covar, self._threads_of_matrices)
        if failed >= 0:
            raise self._collapsed(failed, statistics)
        return GaussianParameters(self.structure, self.n_components, self.n_features, packed)

    def shortfall(self, statistics: GaussianStatistics) -> float:
        """Return the shortfall of the M-step's Q below the highest, for the ridge R on the variances; total, nats.

        Q(Σ̂) − Q(Σ′), Σ′ with R and Σ̂ without; infinite where Σ̂_k is singular. The log-likelihood can fall by no more
        than that. Where Σ̂ is linear in the Ŵ_k, it is taken as
        Σ_k N_k/2 · [log det Σ′_k − log det Σ̂_k − tr(Σ′_k⁻¹ (Σ′_k − Σ̂_k))], which has more digits.
        """
        structure, K, d = self.structure, self.n_components, self.n_features
        if self.reg_covar == 0.0:
            return 0.0
        with_ridge, without = (structure.maximize(statistics, ridge) for ridge in (self.reg_covar, 0.0))
        if max(with_ridge[1], without[1]) >= 0:
            return math.inf
        kept, bare = (GaussianParameters(structure, K, d, packed) for packed, _ in (with_ridge, without))
        if not structure.is_linear:
            return max(0.0, q_function(bare, statistics) - q_function(kept, statistics))
        weight, _, _ = statistics.in_unit
        determinants = float(weight @ (bare.log_det_whitening - kept.log_det_whitening))
        added = structure.form.scatter_of(kept.covariances - bare.covariances, weight, d)
        squares = structure.form.mahalanobis(kept.whitening, added)
        return statistics.unit * max(0.0, determinants - 0.5 * squares)

    def gain_left(self, statistics: GaussianStatistics, parameters: GaussianParameters) -> float:
        """Return what the M-step from the statistics to the parameters left to gain of Q; nats.

        0 where the M-step has a closed form. Others begin where the step before ended, and make a few sweeps: the fit
        has not converged before they have.
        """
        return self.structure.gain_left(statistics, self.reg_covar, parameters)

    def distance(self, old: GaussianParameters, new: GaussianParameters) -> float:
        """Return the distance of two parameters, free of scale and origin (`GaussianParameters.distance`)."""
        return old.distance(new)

    def _collapsed(self, component: int, statistics: GaussianStatistics) -> DegenerateCovarianceError:
        weight, _, _ = statistics.in_unit
        total = float(weight.sum())
        share = 1.0 if self.structure.is_common else float(weight[component]) / total
        n_effective = statistics.unit * total * share
        which = self.structure.whose(component)
        if self.structure.is_common:
            which += f" (covariance_type={self.structure.name!r})"
        n_rows = share * statistics.n_rows
        # A covariance of d features is singular on d rows or fewer; one row is enough to make a variance 0.
        least = self.n_features if self.structure.form.has_matrices else 1
        if n_rows <= least + 0.5:
            reason = (
                f"It holds {_rows(n_rows, 3)}, and needs more than {least}: an outlier, or a few "
                "rows far from the others, have a component of their own. Look at them, decrease n_components"
            )
        else:
            reason = (
                "Rows that coincide, a column with one value in it or columns that depend on each other make it so: "
                "leave such columns out, decrease n_components"
            )
        remedy = "pass a number for reg_covar" if self.reg_covar == "auto" else "increase reg_covar"
        return DegenerateCovarianceError(
            f"Ill-defined empirical covariance: {which}, of weight {share:.6g} (the equivalent of {_rows(n_effective)} "
            f"of weight 1), is not positive definite with reg_covar={shown_ridge(self.reg_covar)}. {reason}, {remedy}, "
            "or choose a covariance_type with fewer parameters.",
            component,
            n_effective,
        )


_M_STEP = GaussianModel.m_step


def _rows(number: float, digits: int = 6) -> str:
    text = f"{number:.{digits}g}"
    return f"{text} row{'' if text == '1' else 's'}"


def q_function(parameters: GaussianParameters, statistics: GaussianStatistics) -> float:
    """Q(θ, θ⁽ᵗ⁾) = E[log p(X, Z | θ)] of a Gaussian mixture, the expectation over Z given X under θ⁽ᵗ⁾; total, nats.

    Σ_k N_k (log π_k − d/2 log 2π + Σ_j log W_k[j, j]) − ½ Σ_k tr(W_k S_k W_kᵀ), S_k about the means of θ.

    Parameters
    ----------
    parameters : GaussianParameters
        θ.
    statistics : GaussianStatistics
        Taken under θ⁽ᵗ⁾.

    Returns
    -------
    float

    References
    ----------
    A. P. Dempster, N. M. Laird and D. B. Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm,
    Journal of the Royal Statistical Society B 39, 1-38, equation 2.17.
    """
    if not isinstance(parameters, GaussianParameters) or not isinstance(statistics, GaussianStatistics):
        raise TypeError(
            f"parameters are a {type(parameters).__name__} and statistics a {type(statistics).__name__}, expected "
            "GaussianParameters and GaussianStatistics, in this order."
        )
    about_means = statistics.recentered(parameters.means)
    weight, _, scatter = about_means.in_unit
    held = weight > 0.0
    with np.errstate(divide="ignore"):
        constants = np.log(parameters.weights) + parameters.log_det_whitening
    constants -= 0.5 * parameters.n_features * math.log(2.0 * math.pi)
    squares = parameters.structure.form.mahalanobis(parameters.whitening, scatter)
    return statistics.unit * float(np.sum(weight[held] * constants[held]) - 0.5 * squares)
