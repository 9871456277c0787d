"""The Gaussian mixture as EM sees it: the kernel as E-step, a covariance structure as M-step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import DegenerateCovarianceError
from emix.kernel import factors
from emix.kernel.level import has_own_threads
from emix.rows.arrays import ArraySource, as_source
from emix.rows.threads import plan, run_in_threads

from .bounds import CarriedBounds
from .covariance import STRUCTURES, CovarianceStructure
from .kernel_arguments import KernelArguments
from .origin import CommonOrigin
from .parameters import GaussianParameters
from .statistics import GaussianStatistics

__all__ = ["GaussianModel", "GaussianParameters", "q_function"]

Array = NDArray[np.float64]

# Statistics are gathered in this many slots (fewer where they are large: SLOT_BYTES in all, MIN_SLOTS at least), a
# number that depends on neither rows nor threads, so that the order of the sums does not either.
MAX_SLOTS, MIN_SLOTS, SLOT_BYTES = 32, 4, 64 << 20


class GaussianModel:
    """Gaussian mixture of `n_components` components in `n_features` dimensions, for `fit_em`.

    Parameters
    ----------
    n_components : int
    n_features : int
    structure : {"full", "tied", "diag", "spherical"}
        Covariance structure.
    reg_covar : float
        Added to every variance in the M-step, in squared units of the data.
    n_threads : int or None
        None: what the process may use; one thread for small work. Results do not depend on it.

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

    def __init__(
        self,
        n_components: int,
        n_features: int,
        structure: str | CovarianceStructure = "full",
        reg_covar: float = 0.0,
        n_threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.n_features = n_features
        self.structure = STRUCTURES[structure] if isinstance(structure, str) else structure
        self.reg_covar = reg_covar
        self.n_threads = n_threads

    def begin(self, data: Any) -> GaussianRun:
        """Return what a fit keeps between its passes over `data`."""
        return GaussianRun(self, as_source(data))

    def weight(self, data: Any) -> float:
        """Total weight of the rows."""
        return as_source(data).total_weight

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

        π_k = N_k / Σ N,  μ_k = c_k + s_k/N_k,  Σ_k = S_k/N_k − δδᵀ + reg_covar·I,  δ = s_k/N_k. A component that holds
        no row keeps its mean at c_k and gets weight zero.

        Raises
        ------
        DegenerateCovarianceError
            If a covariance is not positive definite: the component, its weight and the rows that hold it are named.
        """
        try:
            return GaussianParameters.of(self.structure, *self.structure.maximize(statistics, self.reg_covar))
        except DegenerateCovarianceError as error:
            raise self._collapsed(error.component, statistics) from None

    def shortfall(self, statistics: GaussianStatistics) -> float:
        """How far the M-step's Q may lie below the highest, for reg_covar = ε added to the variances; total, nats.

        Σ_k N_k/2 · Σ_j [log(1 + ε/λ_kj) + 1/(1 + ε/λ_kj) − 1], λ_kj the eigenvalues before ε is added. The
        log-likelihood can fall by no more than that.
        """
        if self.reg_covar == 0.0:
            return 0.0
        _, _, covariances = self.structure.maximize(statistics, 0.0)
        eigenvalues = self.structure.eigenvalues(covariances, self.n_features)
        weight = statistics.weight if len(eigenvalues) == self.n_components else np.array([statistics.weight.sum()])
        # A variance of zero by rounding would make the bound infinite; eps² of the largest stands for it.
        floor = np.finfo(np.float64).eps ** 2 * max(float(eigenvalues.max()), self.reg_covar)
        ratio = self.reg_covar / np.maximum(eigenvalues, floor)
        return float(0.5 * np.sum(weight * np.sum(np.log1p(ratio) - ratio / (1.0 + ratio), axis=1)))

    def distance(self, old: GaussianParameters, new: GaussianParameters) -> float:
        """How far two successive parameters lie apart, free of scale and origin (`GaussianParameters.distance`)."""
        return old.distance(new)

    def _collapsed(self, component: int, statistics: GaussianStatistics) -> DegenerateCovarianceError:
        if self.structure.is_shared:
            n_effective = float(statistics.weight.sum())
            which = "the common covariance (covariance_type='tied')"
        else:
            n_effective = float(statistics.weight[component])
            which = f"the covariance of component {component}"
        share = n_effective / float(statistics.weight.sum())
        return DegenerateCovarianceError(
            f"Ill-defined empirical covariance: {which}, of weight {share:.6g} (the equivalent of {n_effective:.6g} "
            f"rows of weight 1), is not positive definite with reg_covar={self.reg_covar:g}. Rows that coincide, "
            "columns that depend on each other or fewer rows than features make it so: decrease n_components, increase "
            "reg_covar, or choose a covariance_type with fewer parameters.",
            component,
            n_effective,
        )


class GaussianRun:
    """One fit's passes over its rows: the workspaces, and what the last pass tells the next.

    Parameters
    ----------
    model : GaussianModel
    source : ArraySource
    """

    def __init__(self, model: GaussianModel, source: ArraySource) -> None:
        if source.n_features != model.n_features:
            raise ValueError(f"data have {source.n_features} columns, expected {model.n_features}, as the model has.")
        K, d = model.n_components, model.n_features
        self.model, self.source = model, source
        self.dtype = source.X.dtype
        self._sample_weight, self._weight_unit = _in_moderate_units(source.sample_weight)
        self._means_shape, self._scatter_shape = (K, d), model.structure.shape(K, d)
        self._arguments = KernelArguments(model.structure, K, d, self.dtype, source.column_range)
        width = K + K * d + math.prod(self._scatter_shape) + 1
        super_block = self._arguments.kernel.super_block_rows
        n_slots = max(MIN_SLOTS, min(MAX_SLOTS, SLOT_BYTES // (8 * width)))
        self._n_slots = min(n_slots, -(-source.n_rows // super_block))
        most = 1 if has_own_threads() else self._n_slots
        # Statistics take about as many operations as log-densities.
        operations = 2.0 * operations_per_row(K, d)
        self._n_threads, self._rows_per_call = plan(source.n_rows, operations, super_block, model.n_threads, most)
        self._slots = np.empty((self._n_slots, width))
        self._workspaces = [np.empty(self._arguments.workspace_size, dtype=self.dtype) for _ in range(self._n_threads)]
        self._weight_before: Array | None = None
        self._eps = float(np.finfo(self.dtype).eps)
        passes = self._n_slots, self._n_threads, self._rows_per_call
        self._origin = CommonOrigin(source, self._sample_weight, model.structure, K, *passes)
        self._bounds = None
        if CarriedBounds.may_pay(model.structure, source.n_rows, K, d):
            self._bounds = CarriedBounds(self._arguments.kernel, source.n_rows, K)

    def e_step(self, parameters: GaussianParameters) -> tuple[GaussianStatistics, float]:
        """Return the statistics of all rows under the parameters, and the total log-likelihood, nats.

        Raises
        ------
        ValueError
            If the parameters are not of the model, or the log-likelihood is not finite: a row of which it is so is
            named.
        """
        before, self._weight_before = self._weight_before, None
        statistics = self._pass(parameters, before)
        if before is not None and factors.has_shrunk(before, statistics.weight, 20.0):
            # What was negligible beside the old weight may not be beside the new one.
            before, statistics = None, self._pass(parameters, None)
        if not math.isfinite(statistics.log_likelihood):
            raise self._not_finite(parameters)
        if self._cancels(statistics):
            # A component is about to jump by so many of its new standard deviations that the sums about its old mean
            # hold nothing else. They are taken once more, about the new one.
            held = np.where(statistics.weight > 0.0, statistics.weight, 1.0)[:, np.newaxis]
            statistics = self._pass(parameters, before, center=statistics.center + statistics.shift / held)
        self._weight_before = statistics.weight
        return statistics, statistics.log_likelihood

    def _cancels(self, statistics: GaussianStatistics) -> bool:
        return factors.cancels(
            self.model.structure.code,
            math.sqrt(self._eps),  # of a sum of squares, half of its digits must be left
            16.0 * self._eps,  # no mean of rows is more exact
            statistics.weight,
            statistics.center,
            statistics.shift,
            statistics.scatter.ravel(),
        )

    def _pass(
        self,
        parameters: GaussianParameters,
        weight_before: Array | None,
        center: Array | None = None,
        use_origin: bool = True,
    ) -> GaussianStatistics:
        model, source, arguments, slots = self.model, self.source, self._arguments, self._slots
        if parameters.structure is not model.structure or parameters.means.shape != self._means_shape:
            raise ValueError(
                f"parameters are {parameters.structure.name!r} with means of shape {parameters.means.shape}, expected "
                f"{model.structure.name!r} and {self._means_shape}, as the model has."
            )
        origin = self._origin
        fixed = origin.fixed
        arguments.fill(parameters, weight_before, center, use_origin and origin.in_use, fixed)
        slots[:] = 0.0

        bounds = None if self._bounds is None else self._bounds.begin_pass(parameters)
        n_computed = [0.0] * self._n_threads

        def accumulate(thread: int, stop: NDArray[np.int32]) -> None:
            workspace = self._workspaces[thread]
            for first in range(0, source.n_rows, self._rows_per_call):
                last = min(first + self._rows_per_call, source.n_rows)
                part = (source.X, self._sample_weight, first, last, thread, self._n_threads)
                if bounds is None:
                    arguments.kernel.accumulate(
                        *part, False, *arguments.values, workspace, slots, stop, arguments.origin
                    )
                else:
                    n_computed[thread] += arguments.kernel.accumulate_bounded(
                        *part, *arguments.values, *bounds, workspace, slots, stop, arguments.origin
                    )

        run_in_threads(accumulate, self._n_threads)
        if self._bounds is not None and bounds is not None:
            self._bounds.end_pass(sum(n_computed))
        K, d = model.n_components, model.n_features
        total = np.empty(slots.shape[1])
        log_likelihood = factors.add_slots(model.structure.code, slots, K, d, self._weight_unit, total)
        ratio = 1.0
        if arguments.origin is not None:
            scatter = None if origin.scatter is None else origin.scatter * self._weight_unit
            ratio = factors.leave_origin(
                model.structure.code, model.reg_covar, arguments.center(), arguments.own_center, scatter, total
            )
        statistics = GaussianStatistics(
            structure=model.structure,
            center=arguments.center() if arguments.origin is None else arguments.own_center.copy(),
            weight=total[:K],
            shift=total[K : K + K * d].reshape(K, d),
            scatter=total[K + K * d : -1].reshape(self._scatter_shape),
            total_weight=source.total_weight,
            n_rows=source.n_rows,
            log_likelihood=log_likelihood,
            taken_under=parameters,
        )
        if arguments.origin is not None and not origin.holds(ratio, statistics, model.reg_covar):
            return self._pass(parameters, weight_before, center, use_origin=False)
        return statistics

    def _not_finite(self, parameters: GaussianParameters) -> ValueError:
        from .scoring import score_rows

        density = score_rows(self.source.X, parameters).log_density
        assert density is not None
        counts = np.ones(len(density)) if self.source.sample_weight is None else self.source.sample_weight
        bad = np.flatnonzero(~np.isfinite(density) & (counts > 0.0))
        if not bad.size:
            return ValueError(
                "The log-likelihood is not finite, though that of every row is: the sum overflows. Divide the columns, "
                "or sample_weight, by their largest magnitudes."
            )
        return ValueError(
            f"The log-likelihood is not finite: row {bad[0]} lies so far from every component that its density is zero "
            f"in {self.dtype.name}. Start closer to the data, scale the columns, or leave the row out."
        )


def operations_per_row(n_components: int, n_features: int) -> float:
    """Operations for a row's log-densities, by which threads and calls are planned."""
    return float(n_components * (n_features * n_features + 8 * n_features + 32))


def _in_moderate_units(sample_weight: Array | None) -> tuple[Array | None, float]:
    """Weights whose sums with squares stay within single precision, and their unit, a power of two.

    They are copied only where the largest of them is out of the ordinary.
    """
    if sample_weight is None:
        return None, 1.0
    largest = float(sample_weight.max())
    if 1e-20 < largest < 1e5:
        return sample_weight, 1.0
    unit = 2.0 ** math.floor(math.log2(largest))
    return sample_weight / unit, unit


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
    about_means = statistics.recentered(parameters.means)
    held = about_means.weight > 0.0
    with np.errstate(divide="ignore"):
        constants = np.log(parameters.weights) + parameters.log_det_whitening
    constants -= 0.5 * parameters.n_features * math.log(2.0 * math.pi)
    squares = parameters.structure.mahalanobis(parameters.whitening, about_means.scatter)
    return float(np.sum(about_means.weight[held] * constants[held]) - 0.5 * squares)
