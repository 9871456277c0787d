"""Steps of EM in which there is nothing to decide: many of them in one call of compiled code (kernel/mstep/steps.pxi).

In a fit of some hundred rows, the Python between two compiled steps takes longer than these do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emix.gaussian.operations import operations_of_pass
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.reg_covar import ridge_of
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import STRUCTURES
from emix.gaussian.sums import LocalSums, PassOutcome
from emix.kernel import factors
from emix.rows.source import RowSource

if TYPE_CHECKING:
    from emix.gaussian.model import GaussianModel

__all__ = ["StepsAhead", "Taken"]

# Steps in one call of compiled code: at most so many, and no more than take some milliseconds, so that signals and
# other threads need not wait.
MOST_STEPS, OPERATIONS = 64, 5e7


class Taken(NamedTuple):
    """Results of steps that were taken.

    Attributes
    ----------
    parameters : GaussianParameters
        Those of the next E-step, which is to be decided about.
    statistics : GaussianStatistics
        Of the last E-step that was taken.
    log_likelihoods : list of float
        One for each E-step.
    outcome : PassOutcome
        Of the last E-step that was taken.
    """

    parameters: GaussianParameters
    statistics: GaussianStatistics
    log_likelihoods: list[float]
    outcome: PassOutcome


class StepsAhead:
    """Takes steps for one run, with the bits of its `e_step` and of the model's `m_step`, one after the other.

    Parameters
    ----------
    model : GaussianModel
    source : RowSource
    sums : LocalSums
        Those of the run.
    plain : bool
        True if no shortcut has a part in the run's passes.
    """

    def __init__(self, model: GaussianModel, source: RowSource, sums: LocalSums, *, plain: bool) -> None:
        self._model, self._source, self._sums = model, source, sums
        self._weight, self._columns = source.total_weight, source.columns
        structure = model.structure
        operations = source.n_rows * operations_of_pass(model.n_components, model.n_features)
        self._most = min(MOST_STEPS, int(OPERATIONS / operations))
        # A model of another class may have steps of its own, and so may a structure that is not of this package.
        ours = model.has_plain_steps and STRUCTURES.get(structure.name) is structure
        self._alone: tuple[Any, Any, int] | None = None
        if ours and plain and self._most > 1 and source.weight_unit == 1.0:
            self._alone = sums.alone
        self._m_step: int = getattr(structure, "m_step", 0)

    def take(
        self,
        parameters: GaussianParameters,
        before: PassOutcome,
        log_likelihood: float,
        enough: float,
        rounding: float,
        most: int,
    ) -> Taken | None:
        """Take steps while the log-likelihood rises by more than the stopping rule calls enough.

        Parameters
        ----------
        parameters : GaussianParameters
            Those of the next E-step, which is the first to be taken.
        before : PassOutcome
        log_likelihood : float
            Those of the E-step before.
        enough, rounding : float
            As `StoppingRule` has them.
        most : int
            Most E-steps.

        Returns
        -------
        Taken or None
            None if no step was taken.
        """
        if self._alone is None:
            return None
        model, columns, weight = self._model, self._columns, self._weight
        K, d, structure = model.n_components, model.n_features, model.structure
        found = np.empty(min(most, self._most))
        lines, sums = np.empty((3, len(parameters.packed))), np.empty((2, len(before.packed)))
        lines[0], sums[0] = parameters.packed, before.packed
        n, line, under, last = factors.advance(
            self._sums.buffers, *self._alone, self._m_step, ridge_of(model.reg_covar), columns, enough, rounding,
            weight, lines, sums, log_likelihood, found,
        )  # fmt: skip
        if not n:
            return None
        values: list[float] = found[:n].tolist()
        # Copies: each line alone is kept for as long as someone needs it.
        outcome = PassOutcome(sums[last].copy(), values[-1])
        taken_under = GaussianParameters(structure, K, d, lines[under].copy())
        statistics = GaussianStatistics(
            structure, K, d, outcome.packed, weight, self._source.n_rows, values[-1], taken_under, 1.0, columns
        )
        return Taken(GaussianParameters(structure, K, d, lines[line].copy()), statistics, values, outcome)
