"""One fit's E-steps: a request for each, the shortcuts that may serve it, and the verdict on what comes back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.operations import operations_of_pass
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.reg_covar import ridge_of
from emix.gaussian.scoring import score_rows
from emix.gaussian.shortcuts import LEAST_WORK, Shortcut
from emix.gaussian.shortcuts.bounds import Bounds
from emix.gaussian.shortcuts.origin import Origin
from emix.gaussian.shortcuts.screen import Screen
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import STRUCTURES
from emix.gaussian.sums import KernelDensity, LocalSums, PassOutcome, PassRequest
from emix.kernel import factors
from emix.kernel.factors import judge as judge_sums
from emix.rows.source import RowSource

if TYPE_CHECKING:
    from emix.gaussian.model import GaussianModel

__all__ = ["GaussianRun"]

Array = NDArray[np.float64]

# Steps in one call of compiled code: at most so many, and no more than take some milliseconds, so that signals and
# other threads need not wait.
MOST_STEPS, OPERATIONS_AHEAD = 64, 5e7

# In the order in which a pass asks them: one that may refuse its sums comes before those that count.
_POLICIES: tuple[type[Origin], type[Bounds], type[Screen]] = (Origin, Bounds, Screen)


class GaussianRun:
    """The E-steps of one fit over one source.

    Parameters
    ----------
    model : GaussianModel
    source : RowSource

    Attributes
    ----------
    weight : float
        Total weight of the rows.
    dtype : numpy.dtype
        Precision of the rows, and of their log-densities.
    shortcuts : list of Shortcut
        Those that this run may take.
    """

    def __init__(self, model: GaussianModel, source: RowSource) -> None:
        if source.n_features != model.n_features:
            raise ValueError(f"data have {source.n_features} columns, expected {model.n_features}, as the model has.")
        if source.n_rows < 1:
            raise ValueError(f"data have {source.n_rows} rows, expected at least one.")
        self.model, self.source = model, source
        self.dtype, self.weight = source.dtype, source.total_weight
        self._columns, self._unit = source.columns, source.weight_unit
        self._form = model.structure.form.code
        names = model.shortcuts
        self.shortcuts: list[Shortcut] = []
        sketch = None
        # Shortcuts need all rows in memory, and enough of them.
        if source.n_rows * model.n_components * model.n_features >= LEAST_WORK and source.whole is not None:
            for one in _POLICIES:
                if one.name in names and (shortcut := one.for_run(source, model)) is not None:
                    self.shortcuts.append(shortcut)
                    sketch = sketch if shortcut.room is None else shortcut.room
        self.sums = LocalSums(source, self._form, model.n_components, model.n_threads, "packing" in names, sketch)
        self._before: PassOutcome | None = None
        self._alone: tuple[Any, Any, int, int, int] | None = None

    @property
    def effective_rows(self) -> float:
        """Number of rows of equal weight that the rows are worth."""
        return self.source.effective_rows

    def e_step(self, parameters: GaussianParameters) -> tuple[GaussianStatistics, float]:
        """Return the statistics of all rows under the parameters, and the total log-likelihood, nats.

        Raises
        ------
        ValueError
            If the parameters are not of the model, or the log-likelihood is not finite: a row of which it is so is
            named.
        """
        model = self.model
        K, d = model.n_components, model.n_features
        if not isinstance(parameters, GaussianParameters):
            raise TypeError(
                f"parameters are a {type(parameters).__name__}, expected GaussianParameters: make them with "
                "emix.GaussianParameters.from_covariances(structure, weights, means, covariances)."
            )
        # Identity first: comparing two objects costs a call, in each iteration.
        same = parameters.structure is model.structure or parameters.structure == model.structure
        if not same or parameters.n_components != K or parameters.n_features != d:
            raise ValueError(
                f"parameters are {parameters.structure.name!r} with means of shape {parameters.means.shape}, expected "
                f"{model.structure.name!r} and {(K, d)}, as the model has."
            )
        density = KernelDensity(self._form, K, d, parameters.packed, True)
        before, self._before = self._before, None
        asked: PassRequest | None = None
        if self.shortcuts:
            asked, outcome = self._take(self._request(density, before))
        else:
            outcome = self.sums.take_plain(density, before, None, self._columns)
        shrunk, cancels = judge_sums(density, before, self._columns, outcome)
        if shrunk:
            # A part that was negligible beside the old weight may count beside the new one.
            before = None
            asked, outcome = self._take(self._request(density, before))
            _, cancels = judge_sums(density, before, self._columns, outcome)
        if not math.isfinite(outcome.log_likelihood):
            raise self._not_finite(parameters)
        if cancels:
            # A component is about to jump by so many of its new standard deviations that the sums about its old mean
            # hold nothing else. They are taken once more, about the new one.
            asked, outcome = self._take(self._request(density, before, self._means(outcome)))
        if asked is not None:
            # Shortcuts learn from the pass that counts, once.
            for shortcut in self.shortcuts:
                shortcut.after(asked, outcome)
        self._before = outcome
        log_likelihood = self._unit * outcome.log_likelihood
        statistics = GaussianStatistics(
            model.structure, K, d, outcome.packed, self.weight, self.source.n_rows, log_likelihood, parameters,
            self._unit, self._columns,
        )  # fmt: skip
        return statistics, log_likelihood

    def advance(
        self, parameters: GaussianParameters, log_likelihood: float, enough: float, rounding: float, most: int
    ) -> tuple[GaussianParameters, GaussianStatistics, list[float]] | None:
        """Take steps of EM after which there is nothing to decide, in one call of compiled code.

        The results have the bits of `e_step` and `m_step`, one after the other.

        Parameters
        ----------
        parameters : GaussianParameters
            Those of the next E-step, which is the first to be taken.
        log_likelihood : float
            That of the E-step before.
        enough, rounding : float
            As `StoppingRule` has them: steps are taken while the log-likelihood rises by more.
        most : int
            Most E-steps.

        Returns
        -------
        GaussianParameters
            Those of the next E-step, which is to be decided about.
        GaussianStatistics
            Of the last E-step that was taken.
        list of float
            Log-likelihoods, one for each E-step.

        None in place of the three if no step was taken.
        """
        if self._alone is None:
            self._alone = self._means_to_advance()
        accumulator, rows, address, structure, most_at_once = self._alone
        before = self._before
        if not address or before is None:
            return None
        model, columns = self.model, self._columns
        K, d, kind = model.n_components, model.n_features, model.structure
        found = np.empty(min(most, most_at_once))
        lines, sums = np.empty((3, len(parameters.packed))), np.empty((2, len(before.packed)))
        lines[0], sums[0] = parameters.packed, before.packed
        n, line, under, last = factors.advance(
            self.sums.buffers, accumulator, rows, address, structure, ridge_of(model.reg_covar), columns,
            enough, rounding, self.weight, lines, sums, log_likelihood, found,
        )  # fmt: skip
        if not n:
            return None
        values: list[float] = found[:n].tolist()
        # Copies: each line alone is kept for as long as someone needs it.
        self._before = PassOutcome(sums[last].copy(), values[-1])
        taken_under = GaussianParameters(kind, K, d, lines[under].copy())
        statistics = GaussianStatistics(
            kind, K, d, self._before.packed, self.weight, self.source.n_rows, values[-1], taken_under, 1.0, columns
        )
        return GaussianParameters(kind, K, d, lines[line].copy()), statistics, values

    def _means_to_advance(self) -> tuple[Any, Any, int, int, int]:
        """Return what `advance` needs: accumulator, rows, address, number of the M-step, most steps; address 0: never.

        A model of another class may have steps of its own, and so may a structure that is not of this package.
        """
        model, structure = self.model, self.model.structure
        operations = self.source.n_rows * operations_of_pass(model.n_components, model.n_features)
        most = min(MOST_STEPS, int(OPERATIONS_AHEAD / operations))
        ours = model.has_plain_steps and STRUCTURES.get(structure.name) is structure
        alone = self.sums.alone if ours and most > 1 and self._unit == 1.0 and not self.shortcuts else None
        if alone is None:
            return None, None, 0, 0, 0
        return *alone, getattr(structure, "m_step", 0), most

    def _request(self, density: KernelDensity, before: PassOutcome | None, center: Array | None = None) -> PassRequest:
        return PassRequest(density, before, center, self._columns, self._unit)

    def _take(self, request: PassRequest) -> tuple[PassRequest, PassOutcome]:
        """Take a pass with the shortcuts that serve it; again without one whose sums are not exact enough."""
        shortcuts = self.shortcuts
        while True:
            asked = request
            for shortcut in shortcuts:
                asked = shortcut.before(asked)
            outcome = self.sums.take(asked)
            refused = next((one for one in shortcuts if not one.holds(asked, outcome)), None)
            if refused is None:
                return asked, outcome
            shortcuts = [one for one in shortcuts if one is not refused]

    def _means(self, outcome: PassOutcome) -> Array:
        """The means that an M-step would find from these sums."""
        model = self.model
        sums = GaussianStatistics(
            model.structure, model.n_components, model.n_features, outcome.packed, 0.0, 0, 0.0, None, 1.0, self._columns
        )
        weight, shift, _ = sums.in_unit
        return np.asarray(sums.center + shift / np.where(weight > 0.0, weight, 1.0)[:, np.newaxis])

    def _not_finite(self, parameters: GaussianParameters) -> ValueError:
        overflows = ValueError(
            "The log-likelihood is not finite, though that of every row is: the sum overflows. Divide the columns, "
            "or sample_weight, by their largest magnitudes."
        )
        batch: Any
        for batch in self.source.batches(1):
            density = score_rows(batch.X, parameters, n_threads=self.model.n_threads).log_density
            assert density is not None
            counts = np.ones(len(density)) if batch.weight is None else batch.weight
            bad = np.flatnonzero(~np.isfinite(density) & (counts > 0.0))
            if bad.size:
                return ValueError(
                    f"The log-likelihood is not finite: row {batch.first_row + bad[0]} lies so far from every "
                    f"component that its density is zero in {self.dtype.name}. Start closer to the data, scale the "
                    "columns, or leave the row out."
                )
        return overflows
