"""Steps of EM in which there is nothing to decide: many of them in one call of compiled code (kernel/mstep/steps.pxi).

In a fit of some hundred rows, the Python between two compiled steps takes longer than these do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.em.loop import NO_GOAL
from emix.gaussian.operations import operations_of_pass
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.reg_covar import ridge_of
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import STRUCTURES
from emix.kernel.factors import LonePass, PassOutcome
from emix.kernel.layout import parameters_layout, statistics_layout
from emix.parallel.threads import OPERATIONS_PER_CALL
from emix.rows.source import RowSource

if TYPE_CHECKING:
    from emix.gaussian.model import GaussianModel

__all__ = ["Ended", "StepsAhead", "Taken"]

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
    closing : PassOutcome or None
        Of the next E-step, after which the fit may end, or which follows the most steps that were asked for. None if it
        has to be taken again.
    """

    parameters: GaussianParameters
    statistics: GaussianStatistics
    log_likelihoods: list[float]
    outcome: PassOutcome
    closing: PassOutcome | None = None


class Ended(NamedTuple):
    """The end of a run that was taken in compiled code as a whole.

    Attributes
    ----------
    parameters : GaussianParameters or None
        None if an M-step failed: a component collapsed.
    log_likelihood : float
        Of these parameters, total; −∞ if there are none.
    n_iter : int
        Number of M-steps after the first.
    """

    parameters: GaussianParameters | None
    log_likelihood: float
    n_iter: int


class StepsAhead:
    """Takes steps for one run, with the bits of its `e_step` and of the model's `m_step`, one after the other.

    Other bits have only steps that may go further than EM does (`first_plain` of `take`), and a first E-step with no
    other before it: the weights of the components, π W, take the place of those that it found.

    Parameters
    ----------
    model : GaussianModel
    source : RowSource
    lone : LonePass or None
        The run's pass, if it is one call.
    """

    def __init__(self, model: GaussianModel, source: RowSource, lone: LonePass | None) -> None:
        self._model, self._source = model, source
        structure = model.structure
        self._n_sums = statistics_layout(structure.form.code, model.n_components, model.n_features).size
        operations = source.n_rows * operations_of_pass(model.n_components, model.n_features)
        self._most = min(MOST_STEPS, int(OPERATIONS / operations))
        # A model of another class may have steps of its own, and so may a structure that is not of this package.
        ours = model.has_plain_steps and STRUCTURES.get(structure.name) is structure
        self._lone = lone if ours and self._most > 1 and source.weight_unit == 1.0 else None
        self._m_step: int = getattr(structure, "m_step", 0)

    def take(
        self,
        parameters: GaussianParameters,
        before: PassOutcome | None,
        log_likelihood: float,
        enough: float,
        rounding: float,
        most: int,
        goal: tuple[float, float, int] = NO_GOAL,
        first_plain: int = -1,
    ) -> Taken | None:
        """Take steps while the log-likelihood rises by more than the stopping rule calls enough.

        Parameters
        ----------
        parameters : GaussianParameters
            Those of the next E-step, which is the first to be taken.
        before : PassOutcome or None
        log_likelihood : float
            Those of the E-step before; None and −∞ of a run's first.
        enough, rounding : float
            As `StoppingRule` has them.
        most : int
            Most E-steps.
        goal : (float, float, int)
            A log-likelihood, and how many steps like the last one have to reach it, of those after the first few. The
            steps end before one from which it is out of reach.
        first_plain : int
            Number of M-steps before those that may go further than EM does; −1: none may.

        Returns
        -------
        Taken or None
            None if no step was taken.

        Notes
        -----
        The E-step after those taken is done as well, unless it asks for decisions: it is `Taken.closing`.
        """
        if self._lone is None or parameters.structure != self._model.structure:
            return None  # `e_step` has the words for another structure
        model, source, size = self._model, self._source, len(parameters.packed)
        K, d, structure = model.n_components, model.n_features, model.structure
        rising, under, following = np.empty(min(most, self._most)), np.empty(size), np.empty(size)
        outcome, closing = PassOutcome(np.empty(self._n_sums)), PassOutcome(np.empty(self._n_sums))
        n, is_closed, has_failed = self._lone.advance(
            self._m_step, ridge_of(model.reg_covar), source.columns, enough, rounding, source.total_weight,
            parameters.packed, before, log_likelihood, rising, outcome, under, following, closing, *goal, first_plain,
        )  # fmt: skip
        if not n:
            return None
        statistics = GaussianStatistics(
            structure, K, d, outcome.packed, source.total_weight, source.n_rows, outcome.log_likelihood,
            GaussianParameters(structure, K, d, under), 1.0, source.columns,
        )  # fmt: skip
        if has_failed:
            model.m_step(statistics)  # raises the error that names the component
        following_parameters = GaussianParameters(structure, K, d, following)
        log_likelihoods: list[float] = rising[:n].tolist()
        return Taken(following_parameters, statistics, log_likelihoods, outcome, closing if is_closed else None)

    def take_each(
        self,
        starts: NDArray[np.float64],
        enough: float,
        rounding: float,
        most: int,
        goal: tuple[float, float, int] = NO_GOAL,
        first_plain: int = -1,
    ) -> list[Ended | None] | None:
        """Take the steps of `take` from each of several starts, until nothing is left to decide.

        Parameters
        ----------
        starts : ndarray of shape (n_starts, n_sums)
            Packed statistics, whose M-step a run begins with.
        enough, rounding, most, goal, first_plain
            As `take` has them; `most` for each run.

        Returns
        -------
        list of (Ended or None), or None
            None for a run in which a pass has to be taken anew, since a component shrank or sums cancel; None in the
            place of the list if steps have to be taken one by one.
        """
        model, source = self._model, self._source
        if self._lone is None or not model.structure.is_linear:
            return None
        K, d, structure, n = model.n_components, model.n_features, model.structure, len(starts)
        found, ended = np.empty((n, parameters_layout(structure.form.code, K, d).size)), np.empty(n)
        n_iter = np.empty(n, dtype=np.intp)
        # So many at a time that a signal need not wait.
        at_once = max(1, int(OPERATIONS_PER_CALL / (most * source.n_rows * operations_of_pass(K, d))))
        for first in range(0, n, at_once):
            part = slice(first, first + at_once)
            self._lone.advance_each(
                self._m_step, ridge_of(model.reg_covar), source.columns, enough, rounding, source.total_weight,
                starts[part], found[part], ended[part], n_iter[part], most, *goal, first_plain,
            )  # fmt: skip
        return [
            None
            if np.isnan(total)
            else Ended(GaussianParameters(structure, K, d, packed) if total > -np.inf else None, total, taken)
            for packed, total, taken in zip(found, ended.tolist(), n_iter.tolist())
        ]
