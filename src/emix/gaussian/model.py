"""The Gaussian mixture as EM sees it: the kernel as E-step, a covariance structure as M-step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.arguments import integer_in_range, reg_covar_of
from emix.exceptions import DegenerateCovarianceError
from emix.gaussian.operations import operations_of_pass
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import score_rows
from emix.gaussian.shortcuts.bounded_passes import BoundedPasses, Part
from emix.gaussian.shortcuts.first_look import FirstLook
from emix.gaussian.shortcuts.origin import CommonOrigin
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import CovarianceStructure, RegCovar, shown_ridge, structure_of
from emix.kernel import factors
from emix.kernel.layout import arguments_layout, slot_layout, statistics_layout
from emix.kernel.level import has_own_threads, kernel_for
from emix.parallel.threads import plan, run_in_threads
from emix.rows.arrays import ArraySource, as_source

__all__ = ["GaussianModel", "GaussianParameters", "q_function"]

Array = NDArray[np.float64]

# Nats. A component whose log-density lies further than this (plus log W/N_k, for rare components) below a row's best is
# left out of the row's sums; kernel/shared/limits.pxi has the reason.
NEGLIGIBLE: float = factors.negligible

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
    reg_covar : float or "auto"
        Added to every variance in the M-step, in squared units of the data. "auto": what `emix.GaussianMixture` adds,
        a little that follows the components' own scale, column by column.
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
        reg_covar: RegCovar = 0.0,
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
        self.reg_covar: RegCovar = reg_covar_of(reg_covar, "GaussianModel")
        self.n_threads = n_threads
        self._threads_of_matrices = self.structure.threads_of_matrices(n_components, n_features, n_threads)

    def begin(self, data: Any) -> GaussianRun:
        """Return what a fit keeps between its passes over `data`."""
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

        π_k = N_k / Σ N,  μ_k = c_k + s_k/N_k,  Σ_k = S_k/N_k − δδᵀ + R,  δ = s_k/N_k,  R of reg_covar. A component that
        holds no row keeps its mean at c_k and gets weight zero.

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
        """How far the M-step's Q lies below the highest, for the ridge R that it adds to the variances; total, nats.

        Σ_k N_k/2 · [log det Σ′_k − log det Σ̂_k − tr(Σ′_k⁻¹ (Σ′_k − Σ̂_k))], Σ′ with R and Σ̂ without; infinite where
        Σ̂_k is singular. The log-likelihood can fall by no more than that.
        """
        structure, K, d = self.structure, self.n_components, self.n_features
        if self.reg_covar == 0.0:
            return 0.0
        with_ridge, without = (structure.maximize(statistics, ridge) for ridge in (self.reg_covar, 0.0))
        if max(with_ridge[1], without[1]) >= 0:
            return math.inf
        kept, bare = (GaussianParameters(structure, K, d, packed) for packed, _ in (with_ridge, without))
        weight, _, _ = statistics.in_unit
        determinants = float(weight @ (bare.log_det_whitening - kept.log_det_whitening))
        added = structure.scatter_of(kept.covariances - bare.covariances, weight, d)
        squares = structure.mahalanobis(kept.whitening, added)
        return statistics.unit * max(0.0, determinants - 0.5 * squares)

    def distance(self, old: GaussianParameters, new: GaussianParameters) -> float:
        """How far two successive parameters lie apart, free of scale and origin (`GaussianParameters.distance`)."""
        return old.distance(new)

    def _collapsed(self, component: int, statistics: GaussianStatistics) -> DegenerateCovarianceError:
        weight, _, _ = statistics.in_unit
        total = float(weight.sum())
        share = 1.0 if self.structure.is_shared else float(weight[component]) / total
        n_effective = statistics.unit * total * share
        if self.structure.is_shared:
            which = "the common covariance (covariance_type='tied')"
        else:
            which = f"the covariance of component {component}"
        n_rows = share * statistics.n_rows
        # A covariance of d features is singular on d rows or fewer; one row is enough to make a variance 0.
        least = self.n_features if self.structure.has_matrices else 1
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


def _rows(number: float, digits: int = 6) -> str:
    text = f"{number:.{digits}g}"
    return f"{text} row{'' if text == '1' else 's'}"


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
        self.dtype, self.weight = source.X.dtype, source.total_weight
        self._columns = source.columns
        kernel = kernel_for(self.dtype)
        width = slot_layout(structure.code, K, d).size
        self._n_sums = statistics_layout(structure.code, K, d).size
        n_slots = max(MIN_SLOTS, min(MAX_SLOTS, SLOT_BYTES // (8 * (width - 1))))
        n_slots -= n_slots % MIN_SLOTS  # as many for each of 2 or 4 threads: of 15, one of two would have 8
        super_block = kernel.super_block_rows(d)
        n_slots = min(n_slots, -(-source.n_rows // super_block))
        most = 1 if has_own_threads() else n_slots
        self._n_threads, self._rows_per_call = plan(
            source.n_rows, operations_of_pass(K, d), super_block, model.n_threads, most
        )
        slots = np.zeros((n_slots, width))
        arguments = np.empty(arguments_layout(structure.code, K, d).size)
        rounded = np.empty(len(arguments), np.float32) if self.dtype.char == "f" else None
        self._look = None
        if FirstLook.may_pay(kernel, structure, source.n_rows, K, d):
            self._look = FirstLook(kernel, K, d)
        sketch = None if self._look is None else self._look.sketch
        workspaces = np.empty((self._n_threads, kernel.workspace_size(K, d)), self.dtype)
        self._exchange = factors.Exchange(
            structure.code,
            K,
            d,
            NEGLIGIBLE,
            self._columns,
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
            workspaces,
            slots,
            sketch,
        )
        self._rows = kernel.Rows(source.X, source.sample_weight)
        # A small pass goes to compiled code at once: through a large one's calls 200 × 2 rows take a seventh longer.
        self._in_one_call = self._n_threads == 1 and source.n_rows <= self._rows_per_call and not self._exchange.shared
        self._before: Array | None = None
        self._origin = None
        if CommonOrigin.may_pay(structure, source.n_rows, K, d):
            passes = n_slots, self._n_threads, self._rows_per_call
            self._origin = CommonOrigin(self._exchange, source, structure, K, model.reg_covar, *passes)
        self._passes = None
        if BoundedPasses.may_pay(source.n_rows, K, d):
            threads = structure.threads_of_matrices(K, d, model.n_threads)
            self._passes = BoundedPasses(kernel, source.n_rows, K, d, threads)

    @property
    def effective_rows(self) -> float:
        """How many rows of equal weight the rows are worth."""
        return self.source.effective_rows

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
            jump = self._sums(sums)
            weight, shift, _ = jump.in_unit
            held = np.where(weight > 0.0, weight, 1.0)[:, np.newaxis]
            sums, log_likelihood, *_ = self._pass(parameters, before, center=jump.center + shift / held)
        self._before = sums
        unit = source.weight_unit
        log_likelihood *= unit
        statistics = GaussianStatistics(
            model.structure,
            K,
            d,
            sums,
            self.weight,
            source.n_rows,
            log_likelihood,
            parameters,
            unit,
            self._columns,
        )
        return statistics, log_likelihood

    def _sums(self, packed: Array) -> GaussianStatistics:
        """Sums of a pass that may be taken once more."""
        model, unit = self.model, self.source.weight_unit
        sizes = model.n_components, model.n_features
        return GaussianStatistics(model.structure, *sizes, packed, 0.0, 0, 0.0, None, unit, self._columns)

    def _pass(
        self, parameters: GaussianParameters, before: Array | None, center: Array | None = None, origin: bool = True
    ) -> tuple[Array, float, bool, bool]:
        """Packed statistics and their log-likelihood; has a component shrunk since `before`; do the sums cancel?

        About an origin that components share, where there is one that does and `origin` does not forbid it.
        """
        origin = origin and self._origin is not None and self._origin.begin_pass()
        if self._passes is None and self._look is None:
            self._exchange.begin(parameters.density, before, center, origin)
            if self._in_one_call:
                self._accumulator.accumulate(self._rows, 0, 0, self.source.n_rows, None)
            else:
                run_in_threads(self._accumulate, self._n_threads)
        else:
            parts = [Part(0, self.source.n_rows)] if self._passes is None else self._passes.begin_pass(parameters)
            n_plain = sum(part.last_row - part.first_row for part in parts if part.bounds is None)
            look = self._look is not None and self._look.pays and n_plain > 0
            self._exchange.begin(parameters.density, before, center, origin, look)
            n_live, n_computed = self._accumulate_parts(parts)
            if self._passes is not None:
                self._passes.end_pass(n_live, n_computed, in_full=before is None)
            if self._look is not None and n_plain and before is not None:
                self._look.end_pass(n_live / (n_plain * self.model.n_components))
        sums = np.empty(self._n_sums)
        if self._exchange.shared:
            run_in_threads(lambda thread, stop: self._exchange.add(thread, self._n_threads, sums), self._n_threads)
        log_likelihood, shrunk, cancels, growth = self._exchange.end(before, sums)
        if growth > 1.0 and self._origin is not None and not self._origin.holds(growth, self._sums(sums)):
            return self._pass(parameters, before, center, origin=False)
        return sums, log_likelihood, shrunk, cancels

    def _accumulate(self, thread: int, stop: NDArray[np.int32] | None) -> None:
        """One thread's share of a plain pass."""
        n_rows, step = self.source.n_rows, self._rows_per_call
        if self._exchange.shared:
            self._exchange.empty(thread, self._n_threads)
        for first in range(0, n_rows, step):
            self._accumulator.accumulate(self._rows, thread, first, min(first + step, n_rows), stop)

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
                    place = self._rows, thread, first, min(first + step, last_row)
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
    weight, _, scatter = about_means.in_unit
    held = weight > 0.0
    with np.errstate(divide="ignore"):
        constants = np.log(parameters.weights) + parameters.log_det_whitening
    constants -= 0.5 * parameters.n_features * math.log(2.0 * math.pi)
    squares = parameters.structure.mahalanobis(parameters.whitening, scatter)
    return statistics.unit * float(np.sum(weight[held] * constants[held]) - 0.5 * squares)
