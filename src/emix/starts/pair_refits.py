"""Refits of two near components alone, by which a mixture may come to a higher mode.

Two wide components that lie over each other can share their rows in more than one way, and EM cannot go from one to the
other. So the rows of a near pair are given to its two components at random, and EM runs for these two, with
s_i = r_ik + r_il as the weight of row i. The other components stay as they are. By Jensen's inequality the
log-likelihood of the whole mixture rises at least by Σ_i w_i s_i [log f'(x_i) − log f(x_i)], f and f' the density
of the pair before and after. This is the partial EM of Ueda et al. (2000), without their merge and split.

References
----------
N. Ueda, R. Nakano, Z. Ghahramani and G. E. Hinton (2000), SMEM algorithm for mixture models, Neural Computation 12,
2109-2128, section 3.4.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.em.loop import FIRST_PLAIN, Goal, iterate
from emix.em.stopping import StoppingRule
from emix.exceptions import warnings_held
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.run import GaussianRun
from emix.gaussian.scoring import score_rows
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.steps_ahead import Ended
from emix.gaussian.structures import STRUCTURES, CovarianceStructure
from emix.kernel.factors import Columns
from emix.kernel.layout import statistics_layout
from emix.kernel.level import clusters
from emix.parallel.threads import OPERATIONS_PER_CALL
from emix.rows.arrays import ArraySource
from emix.rows.source import EPSILON
from emix.rows.summary import WeightSums
from emix.starts.exploration import FORESIGHT, ITERATIONS, PATIENCE, SAME_MODE, Exploration, watch_for
from emix.starts.uniforms import RandomNumbers

__all__ = ["PAIRS", "ROUNDS", "ROUNDS_AT_ONCE", "NearPairs", "Refit", "can_refit"]

Array = NDArray[np.float64]

# Pairs that are refitted, the nearest, and rounds of refits. In the second best mode of the pixels of a photograph
# (K 6) 48 % of the refits of the nearest pair with random labels lead to the best mode, of the next pair 17 %, and of
# the one after it none (23 samples of 4 096 rows, 10 refits each). Other ways to begin lead there less often: means and
# covariances moved at random 24 to 40 %, unequal parts of the rows 33 to 40 %; on 8 other samples, where random labels
# led there in 64 %, nearest of two drawn rows 30 %, a cut across a random direction 47 %, an inner and an outer part
# 13 %. Of 600 fits 539 end in the best mode with 8 rounds, and 503 with 3, which leave time for more candidates.
PAIRS, ROUNDS = 3, 8

# Rounds whose refits of a pair are one call of compiled code: a refit of 1 800 rows takes 0.19 ms in all. With four
# rounds it takes as long, and some are done for nothing: 536 of 600 fits end in the best mode with two, 531 with four.
ROUNDS_AT_ONCE = 2

# What a call takes beside its passes, and what each of its refits takes, as parts of what a run takes (0.1 ms): 40 and
# 20 µs, the latter for the sums of the halves of 1 800 rows.
A_CALL, A_REFIT = 0.4, 0.2

# Rows that belong to a pair by less than this are left out of its refit.
LEAST_SHARE = 1e-3


class Refit(NamedTuple):
    """Two components refitted, and what their rows gain, in nats per unit of weight.

    The whole mixture is higher by no less, but for rows of shares below LEAST_SHARE: log(1 − LEAST_SHARE) each at most.
    """

    gain: float
    components: NDArray[np.intp]
    pair: GaussianParameters


def can_refit(structure: CovarianceStructure) -> bool:
    """True if a component's covariance depends on its own rows alone, so that two can be fitted without the others."""
    # A structure of another package may share what it likes among components, as long as its M-step is linear.
    ours = STRUCTURES.get(structure.name) is structure
    return ours and structure.is_linear and not structure.is_common


class _Pair(NamedTuple):
    components: NDArray[np.intp]
    source: ArraySource  # of its rows, with their shares as weights
    log_likelihood: float  # before, of a density that integrates to 1
    run: GaussianRun  # of two components over these rows
    X: Array  # the rows in double precision
    weight: Array  # of the rows: their shares of their own weights
    rule: StoppingRule


class NearPairs:
    """The nearest pairs of components of a mode, to refit as often as is asked for.

    Parameters
    ----------
    exploration : Exploration
        The passes that refits make are taken from what it has left.
    parameters : GaussianParameters
        A mode on its rows.
    distances : ndarray of shape (K, K)
        Between components; symmetric, the diagonal is not looked at.
    """

    def __init__(
        self,
        exploration: Exploration,
        parameters: GaussianParameters,
        distances: Array,
    ) -> None:
        self._exploration, self._parameters = exploration, parameters
        first, second = np.triu_indices(len(distances), 1)
        nearest = np.argsort(distances[first, second], kind="stable")[:PAIRS]
        self._pairs = list[_Pair]()
        scores = score_rows(exploration.source.X, parameters, responsibilities=True, n_threads=1)
        assert scores.responsibilities is not None and scores.log_density is not None
        log_density = scores.log_density.astype(np.float64, copy=False)
        responsibilities = scores.responsibilities.astype(np.float64, copy=False)
        model = GaussianModel(
            2, parameters.n_features, exploration.model.structure, exploration.model.reg_covar, 1, ("packing",)
        )
        X = exploration.rows_in_double
        room = np.empty(X.shape), np.empty(len(X))  # pairs keep no more than their own rows
        for k in nearest:
            components = np.array([first[k], second[k]])
            pair = _pair(exploration, model, parameters, log_density, responsibilities, components, room)
            if pair is not None:
                self._pairs.append(pair)

    def refits(self, numbers: RandomNumbers, least: float, rounds: range) -> list[Refit]:
        """Refit pairs: the nearest in each round, the next in every second, the one after it in every fourth.

        Parameters
        ----------
        numbers : RandomNumbers
        least : float
            Refits that gain less, in nats per unit of weight, are given up or left out, as are those that come back.
        rounds : range
            Numbers of the rounds, from 0 on.

        Returns
        -------
        list of Refit
            The one that gains most first.
        """
        exploration, found = self._exploration, list[Refit]()
        if exploration.left <= 0.0:
            return found
        starts = [
            _random_halves(pair, numbers, sum(number % 2**place == 0 for number in rounds))
            for place, pair in enumerate(self._pairs)
        ]
        ends: list[list[Ended]] = [[] for _ in starts]
        room = exploration.left / max(1, sum(map(len, starts)))

        def refit(place: int, stop: object) -> None:
            if len(starts[place]):
                ends[place] = _refitted(exploration, self._pairs[place], starts[place], least, room)

        exploration.each(len(starts), refit)
        for pair, ended in zip(self._pairs, ends):
            a_step = _part_of_pass(exploration, pair)
            exploration.left -= A_CALL * exploration.passes_of_a_run if ended else 0.0
            for end in ended:
                exploration.left -= A_REFIT * exploration.passes_of_a_run + (end.n_iter + 1) * a_step
                gain = (end.log_likelihood - pair.log_likelihood) / exploration.source.total_weight
                if end.parameters is not None and gain >= least and math.fabs(gain) > SAME_MODE:
                    found.append(Refit(gain, pair.components, end.parameters))
        return sorted(found, key=lambda refit: -refit.gain)

    def mixture(self, refit: Refit) -> GaussianParameters:
        """Return the whole mixture with a pair refitted."""
        _, components, pair = refit
        weights, means = self._parameters.weights.copy(), self._parameters.means.copy()
        covariances = self._parameters.covariances.copy()
        weights[components] = pair.weights * weights[components].sum()
        means[components], covariances[components] = pair.means, pair.covariances
        return GaussianParameters.of(self._parameters.structure, weights, means, covariances)


def _part_of_pass(exploration: Exploration, pair: _Pair) -> float:
    """Return the cost of one pass of a refit, as a part of a pass of all components over all rows of the sample."""
    part: float = 2.0 / exploration.model.n_components * pair.source.n_rows / exploration.source.n_rows
    return part


def _random_halves(pair: _Pair, numbers: RandomNumbers, n: int) -> Array:
    """Packed statistics, n times, of the two halves into which a pair's rows fall at random."""
    (n_rows, d), form = pair.X.shape, pair.run.model.structure.form.code
    statistics = np.empty((n, statistics_layout(form, 2, d).size))
    # Each number gives 32 labels.
    each = -(-n_rows // 32)
    uniforms = numbers.random(n * each).reshape(n, each)
    # So many at a time that a signal need not wait.
    at_once = max(1, int(OPERATIONS_PER_CALL / (n_rows * d * (d + 3))))
    for first in range(0, n, at_once):
        part = slice(first, first + at_once)
        clusters.sums_of_halves(form, pair.X, pair.weight, uniforms[part], statistics[part])
    return statistics


def _refitted(exploration: Exploration, pair: _Pair, starts: Array, least: float, room: float) -> list[Ended]:
    """Run EM for a pair alone from each of the starts, each run in no more than `room` passes, or a few steps."""
    most = min(ITERATIONS, max(PATIENCE, int(room / _part_of_pass(exploration, pair))))
    goal = Goal(pair.log_likelihood + least * exploration.source.total_weight, FORESIGHT, PATIENCE)
    how = pair.rule.enough, pair.rule.rounding, most, goal, FIRST_PLAIN
    ended = pair.run.advance_each(starts, *how) or [None] * len(starts)
    # What asks for decisions is done anew by the loop.
    return [
        _refitted_by_steps(exploration, pair, start, most, goal) if end is None else end
        for start, end in zip(starts, ended)
    ]


def _refitted_by_steps(exploration: Exploration, pair: _Pair, start: Array, most: int, goal: Goal) -> Ended:
    """Do one run that compiled code leaves to the loop."""
    source, model = pair.source, pair.run.model
    statistics = GaussianStatistics(
        model.structure, 2, model.n_features, start, source.total_weight, source.n_rows, 0.0, None, 1.0, source.columns
    )
    try:
        with warnings_held():
            result = iterate(
                model, source, model.m_step(statistics), tol=exploration.tol, max_iter=most, watch=watch_for(goal),
                run=pair.run.anew(),
            )  # fmt: skip
    except ValueError:  # a component collapsed
        return Ended(None, -math.inf, PATIENCE)
    return Ended(result.parameters, result.log_likelihood, result.n_iter)


def _pair(
    exploration: Exploration,
    model: GaussianModel,
    parameters: GaussianParameters,
    log_density: Array,
    responsibilities: Array,
    components: NDArray[np.intp],
    room: tuple[Array, Array],
) -> _Pair | None:
    """Return a pair, its rows weighted by their shares; None if they are too few for two components."""
    source, X = exploration.source, exploration.rows_in_double
    extremes = np.empty((2, X.shape[1]))
    n_rows, *sums, log_likelihood = clusters.rows_of_pair(
        X, source.sample_weight, responsibilities, log_density, *components.tolist(),
        parameters.weights[components].sum(), LEAST_SHARE, *room, extremes,
    )  # fmt: skip
    if n_rows <= 2 * (parameters.n_features + 1):
        return None
    rows, weight = (numbers[:n_rows].copy() for numbers in room)
    of_pair = ArraySource(
        rows if source.dtype == rows.dtype else rows.astype(np.float32),
        weight,
        columns=Columns(EPSILON[source.dtype.char], extremes),
        weight_sums=WeightSums(n_rows, *sums),
    )
    run = model.begin(of_pair)
    rule = StoppingRule(exploration.tol, "log_likelihood", model, run)
    return _Pair(components, of_pair, log_likelihood, run, rows, weight, rule)
