"""The Gaussian mixture as EM sees it: the kernel as E-step, a covariance structure as M-step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.arguments import integer_in_range
from emix.exceptions import DegenerateCovarianceError
from emix.kernel import factors
from emix.kernel.level import has_own_threads, kernel_for
from emix.rows.arrays import ArraySource, as_source
from emix.rows.threads import plan, run_in_threads

from .bounded_passes import BoundedPasses, Part
from .covariance import CovarianceStructure, structure_of
from .first_look import FirstLook
from .operations import operations_of_pass
from .origin import CommonOrigin
from .parameters import GaussianParameters
from .scoring import score_rows
from .statistics import GaussianStatistics

__all__ = ["GaussianModel", "GaussianParameters", "q_function"]

Array = NDArray[np.float64]

# A component whose log-density lies further than this (plus log W/N_k, for rare components) below a row's best adds
# exp(−40) = 4e-18 of the row's weight at most: less than rounding in its sums and in the others'.
NEGLIGIBLE = 40.0

# Of rows' precisions, by their dtypes' characters.
EPSILON = {character: float(np.finfo(character).eps) for character in "df"}

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
        # Those of an estimator's fits are plain ints, which this sees in a third of the time of the checks.
        if not (type(n_components) is type(n_features) is int and n_components > 0 < n_features and n_threads is None):
            caller = type(self).__name__
            n_components = integer_in_range("n_components", n_components, 1, caller=caller)
            n_features = integer_in_range("n_features", n_features, 1, caller=caller)
            n_threads = None if n_threads is None else integer_in_range("n_threads", n_threads, 1, caller=caller)
        self.n_components = n_components
        self.n_features = n_features
        self.structure = structure_of(structure, "GaussianModel")
        self.reg_covar = reg_covar
        self.n_threads = n_threads
        self._threads_of_matrices = self.structure.threads_of_matrices(n_components, n_features, n_threads)

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
        packed, failed = self.structure.maximize(statistics, self.reg_covar, self._threads_of_matrices)
        if failed >= 0:
            raise self._collapsed(failed, statistics)
        return GaussianParameters(self.structure, self.n_components, self.n_features, packed)

    def shortfall(self, statistics: GaussianStatistics) -> float:
        """How far the M-step's Q may lie below the highest, for reg_covar = ε added to the variances; total, nats.

        Σ_k N_k/2 · Σ_j [log(1 + ε/λ_kj) + 1/(1 + ε/λ_kj) − 1], λ_kj the eigenvalues before ε is added. The
        log-likelihood can fall by no more than that.
        """
        if self.reg_covar == 0.0:
            return 0.0
        packed, _ = self.structure.maximize(statistics, 0.0)
        bare = GaussianParameters(self.structure, self.n_components, self.n_features, packed)
        eigenvalues = self.structure.eigenvalues(bare.covariances, self.n_features)
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
        K, d, structure = model.n_components, model.n_features, model.structure
        self.model, self.source = model, source
        self.dtype = source.X.dtype
        kernel = kernel_for(self.dtype)
        spread = math.prod(structure.shape(K, d))
        self._width = K * (1 + d) + spread
        n_slots = max(MIN_SLOTS, min(MAX_SLOTS, SLOT_BYTES // (8 * self._width)))
        n_slots -= n_slots % MIN_SLOTS  # as many for each of 2 or 4 threads: of 15, one of two would have 8
        super_block = kernel.super_block_rows(d)
        n_slots = min(n_slots, -(-source.n_rows // super_block))
        most = 1 if has_own_threads() else n_slots
        self._n_threads, self._rows_per_call = plan(
            source.n_rows, operations_of_pass(K, d), super_block, model.n_threads, most
        )
        slots = np.zeros((n_slots, self._width + 1))
        arguments = np.empty(2 * K * (1 + d) + spread + d)
        rounded = np.empty(len(arguments), np.float32) if self.dtype.char == "f" else None
        self._look = None
        if FirstLook.may_pay(kernel, structure, source.n_rows, K, d):
            self._look = FirstLook(kernel, K, d)
        sketch = None if self._look is None else self._look.sketch
        workspaces = np.empty((self._n_threads, kernel.workspace_size(K, d)), self.dtype)
        sample_weight, unit = _in_moderate_units(source.sample_weight, d)
        self._exchange = factors.Exchange(
            structure.code,
            K,
            d,
            NEGLIGIBLE,
            EPSILON[self.dtype.char],
            unit,
            source.column_range,
            arguments,
            rounded,
            slots,
            sketch,
        )
        self._accumulator = kernel.Accumulator(
            structure.code,
            K,
            d,
            arguments if rounded is None else rounded,
            source.X,
            sample_weight,
            workspaces,
            slots,
            self._exchange.squares_fit_single,
            sketch,
        )
        self._before: Array | None = None
        self._origin = None
        if CommonOrigin.may_pay(structure, source.n_rows, K, d):
            rows = source, sample_weight, unit
            passes = n_slots, self._n_threads, self._rows_per_call
            self._origin = CommonOrigin(self._exchange, *rows, structure, K, model.reg_covar, *passes)
        self._passes = None
        if BoundedPasses.may_pay(source.n_rows, K, d):
            threads = structure.threads_of_matrices(K, d, model.n_threads)
            self._passes = BoundedPasses(kernel, source.n_rows, K, d, threads)

    def e_step(self, parameters: GaussianParameters) -> tuple[GaussianStatistics, float]:
        """Return the statistics of all rows under the parameters, and the total log-likelihood, nats.

        Raises
        ------
        ValueError
            If the parameters are not of the model, or the log-likelihood is not finite: a row of which it is so is
            named.
        """
        model, source = self.model, self.source
        K, d = model.n_components, model.n_features
        if parameters.structure is not model.structure or parameters.n_components != K or parameters.n_features != d:
            raise ValueError(
                f"parameters are {parameters.structure.name!r} with means of shape {parameters.means.shape}, expected "
                f"{model.structure.name!r} and {(K, d)}, as the model has."
            )
        before, self._before = self._before, None
        sums, log_likelihood, shrunk, cancels = self._pass(parameters, before)
        if shrunk:
            # What was negligible beside the old weight may not be beside the new one.
            before = None
            sums, log_likelihood, _, cancels = self._pass(parameters, before)
        if not math.isfinite(log_likelihood):
            raise self._not_finite(parameters)
        if cancels:
            # A component is about to jump by so many of its new standard deviations that the sums about its old mean
            # hold nothing else. They are taken once more, about the new one.
            jump = GaussianStatistics(model.structure, K, d, sums, 0.0, 0, 0.0, None)
            held = np.where(jump.weight > 0.0, jump.weight, 1.0)[:, np.newaxis]
            sums, log_likelihood, *_ = self._pass(parameters, before, center=jump.center + jump.shift / held)
        self._before = sums
        statistics = GaussianStatistics(
            model.structure, K, d, sums, source.total_weight, source.n_rows, log_likelihood, parameters
        )
        return statistics, log_likelihood

    def _pass(
        self, parameters: GaussianParameters, before: Array | None, center: Array | None = None, origin: bool = True
    ) -> tuple[Array, float, bool, bool]:
        """Packed statistics and their log-likelihood; has a component shrunk since `before`; do the sums cancel?

        About an origin that components share, where there is one that does and `origin` does not forbid it.
        """
        origin = origin and self._origin is not None and self._origin.begin_pass()
        if self._passes is None and self._look is None:
            self._exchange.begin(parameters.packed, before, center, origin)
            run_in_threads(self._accumulate, self._n_threads)
        else:
            parts = [Part(0, self.source.n_rows)] if self._passes is None else self._passes.begin_pass(parameters)
            n_plain = sum(part.last_row - part.first_row for part in parts if part.bounds is None)
            look = self._look is not None and self._look.pays and n_plain > 0
            self._exchange.begin(parameters.packed, before, center, origin, look)
            n_live, n_computed = self._accumulate_parts(parts)
            if self._passes is not None:
                self._passes.end_pass(n_live, n_computed, in_full=before is None)
            if self._look is not None and n_plain and before is not None:
                self._look.end_pass(n_live / (n_plain * self.model.n_components))
        structure, K, d = self.model.structure, self.model.n_components, self.model.n_features
        sums = np.empty(self._width + K * d)
        if self._exchange.shared:
            run_in_threads(lambda thread, stop: self._exchange.add(thread, self._n_threads, sums), self._n_threads)
        log_likelihood, shrunk, cancels, growth = self._exchange.end(before, sums)
        if growth > 1.0 and self._origin is not None:
            statistics = GaussianStatistics(structure, K, d, sums, 0.0, 0, 0.0, None)
            if not self._origin.holds(growth, statistics):
                return self._pass(parameters, before, center, origin=False)
        return sums, log_likelihood, shrunk, cancels

    def _accumulate(self, thread: int, stop: NDArray[np.int32] | None) -> None:
        """One thread's share of a plain pass."""
        n_rows, step = self.source.n_rows, self._rows_per_call
        if self._exchange.shared:
            self._exchange.empty(thread, self._n_threads)
        for first in range(0, n_rows, step):
            self._accumulator.accumulate(thread, first, min(first + step, n_rows), stop)

    def _accumulate_parts(self, parts: list[Part]) -> tuple[float, float]:
        """A pass in parts.

        Returns how many responsibilities are above 0 in plain ones, and how many log-densities of a group and component
        were computed in those with bounds.
        """
        accumulator, step = self._accumulator, self._rows_per_call
        counts = np.zeros((self._n_threads, 2))

        def share(thread: int, stop: NDArray[np.int32] | None) -> None:
            if self._exchange.shared:
                self._exchange.empty(thread, self._n_threads)
            for first_row, last_row, bounds, labels in parts:
                for first in range(first_row, last_row, step):
                    place = thread, first, min(first + step, last_row)
                    if bounds is not None:
                        counts[thread, 1] += accumulator.accumulate_bounded(*place, *bounds, stop)
                    elif labels is not None:
                        counts[thread, 0] += accumulator.accumulate_labelled(*place, first_row, labels, stop)
                    else:
                        counts[thread, 0] += accumulator.accumulate(*place, stop)

        run_in_threads(share, self._n_threads)
        n_live, n_computed = counts.sum(axis=0)
        return float(n_live), float(n_computed)

    def _not_finite(self, parameters: GaussianParameters) -> ValueError:
        density = score_rows(self.source.X, parameters, n_threads=self.model.n_threads).log_density
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


def _in_moderate_units(sample_weight: Array | None, n_features: int) -> tuple[Array | None, float]:
    """Weights whose sums with squares stay within single precision, and their unit, a power of two.

    They are copied only where the largest of them is out of the ordinary.
    """
    if sample_weight is None:
        return None, 1.0
    largest = float(sample_weight.max())
    # Rows go up to 1e15, their distance from an origin up to 2e15 in each of d features, and where ‖z‖² is one number
    # for all features (kernel/origin.pxi), a block of 512 rows adds up 512 w d 4e30 before it is widened: w d ≤ 1.5e5
    # keeps that below 3.1e38, as w ≤ 1e5 does what is summed feature by feature, or as light rows (kernel/packed.pxi).
    # Of these 3e-33 n / Σ w of a variance may vanish: 3e-15 for 1e8 rows at the lower end.
    if 1e-10 < largest < min(1e5, 1.5e5 / n_features):
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
