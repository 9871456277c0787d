"""One fit's E-steps: a request for each, the shortcuts that may serve it, and the verdict on what comes back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emix.em.loop import NO_GOAL
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import not_finite
from emix.gaussian.shortcuts import LEAST_WORK, STATELESS, Shortcut
from emix.gaussian.shortcuts.bounds import Bounds
from emix.gaussian.shortcuts.origin import Origin
from emix.gaussian.shortcuts.screen import Screen
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.steps_ahead import Ended, StepsAhead
from emix.gaussian.sums import KernelDensity, LocalSums, PassOutcome, PassRequest, judge
from emix.rows.source import RowSource

if TYPE_CHECKING:
    from emix.gaussian.model import GaussianModel

__all__ = ["GaussianRun"]

Array = NDArray[np.float64]

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
        packing = "packing" in names
        # Rows that are elsewhere have their sums taken there.
        own = None if source.whole is not None else getattr(source, "sums", None)
        self.sums: Any = (
            LocalSums(source, self._form, model.n_components, model.n_threads, packing, sketch)
            if own is None
            else own(model.n_components, packing)
        )
        self._before: PassOutcome | None = None
        self._ahead: StepsAhead | None = None
        # An E-step that was taken together with those before it, and its parameters.
        self._closing: tuple[GaussianParameters, PassOutcome] | None = None

    def anew(self) -> GaussianRun:
        """Return a run for another fit over the same rows: this one if it has no shortcuts. Its fit has ended."""
        if self.shortcuts:
            return GaussianRun(self.model, self.source)
        self._before = self._closing = None
        return self

    @property
    def reads_anew(self) -> bool:
        """True if each pass reads the rows again."""
        return self.source.whole is None

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
        before, self._before = self._before, None
        asked: PassRequest | None = None
        # Shortcuts have parts of a pass of their own.
        lone = None if self.shortcuts else self.sums.lone
        closing = self._closing
        if closing is not None:
            self._closing = None
        if closing is not None and closing[0] is parameters:
            outcome, shrunk, cancels = closing[1], False, False
        elif lone is not None:
            outcome = PassOutcome(np.empty(self.sums.n_sums))
            shrunk, cancels = lone.take(parameters.packed, before, self._columns, outcome)
        else:
            asked, outcome = self._take(self._request(parameters, before))
            shrunk, cancels = judge(outcome, asked)
        if shrunk:
            # A part that was negligible beside the old weight may count beside the new one.
            before = None
            asked, outcome = self._take(self._request(parameters, before))
            _, cancels = judge(outcome, asked)
        if not math.isfinite(outcome.log_likelihood):
            raise not_finite(self.source, parameters, model.n_threads)
        if cancels:
            # A component is about to jump by so many of its new standard deviations that the sums about its old mean
            # hold nothing else. They are taken once more, about the new one.
            asked, outcome = self._take(self._request(parameters, before, self._means(outcome)))
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
        self,
        parameters: GaussianParameters,
        log_likelihood: float,
        enough: float,
        rounding: float,
        most: int,
        goal: tuple[float, float, int] = NO_GOAL,
        first_plain: int = -1,
    ) -> tuple[GaussianParameters, GaussianStatistics, list[float]] | None:
        """Take steps of EM that leave nothing to decide (`emix.gaussian.steps_ahead`); None if there are none.

        `log_likelihood` is that of the E-step before, −∞ if there was none. Steps are taken while it rises by more than
        `enough` and `rounding`, which are those of `StoppingRule`; at most `most`, and none from which the `goal` is
        out of reach. After the `first_plain` they may go further than EM does; with −1 none may.
        """
        found = self._steps_ahead().take(
            parameters, self._before, log_likelihood, enough, rounding, most, goal, first_plain
        )
        if found is None:
            return None
        self._before = found.outcome
        if found.closing is not None:
            self._closing = found.parameters, found.closing
        return found.parameters, found.statistics, found.log_likelihoods

    def advance_each(
        self,
        starts: Array,
        enough: float,
        rounding: float,
        most: int,
        goal: tuple[float, float, int] = NO_GOAL,
        first_plain: int = -1,
    ) -> list[Ended | None] | None:
        """Do runs as a whole, from several starts, in compiled code (`StepsAhead.take_each`); None where it cannot."""
        return self._steps_ahead().take_each(starts, enough, rounding, most, goal, first_plain)

    def _steps_ahead(self) -> StepsAhead:
        if self._ahead is None:
            lone = None if self.shortcuts else self.sums.lone
            self._ahead = StepsAhead(self.model, self.source, lone)
        return self._ahead

    def state(self) -> dict[str, Array]:
        """Return what the next pass reads of those before: the weight N of each component.

        Raises
        ------
        ValueError
            If the run has shortcuts that learn from passes what sums depend on.
        """
        if learning := [one.name for one in self.shortcuts if one.name not in STATELESS]:
            raise ValueError(f"the run takes the shortcuts {learning}, whose state is not kept: allow {STATELESS}.")
        return {} if self._before is None else {"weight_before": self._before.packed[: self.model.n_components]}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Take the `state` of a run over the same rows, before the first pass.

        Raises
        ------
        ValueError
            If it is not one of such a run.
        """
        weight = state.get("weight_before")
        if weight is not None and (weight.shape != (self.model.n_components,) or weight.dtype != np.float64):
            raise ValueError(f"weight_before has shape {weight.shape}, expected {(self.model.n_components,)}, float64.")
        self._before = None if weight is None else PassOutcome(weight)

    def _request(
        self, parameters: GaussianParameters, before: PassOutcome | None, center: Array | None = None
    ) -> PassRequest:
        density = KernelDensity(self._form, self.model.n_components, self.model.n_features, parameters.packed, True)
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
