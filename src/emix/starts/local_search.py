"""Better modes of a mixture, from one that EM has found: a few components are made anew, and EM runs again.

EM raises the likelihood from where it is and cannot move a component across a gap. A mode that is not the best has,
most often, a few components in the wrong place and the others in the right one. So an iterated local search disturbs a
few components that lie near each other, runs EM, and keeps what is higher. On a sample of many rows pairs of components
are refitted instead, where the structure allows it (`emix.starts.pair_refits`).

References
----------
H. R. Lourenço, O. C. Martin and T. Stützle (2003), Iterated local search, in F. Glover and G. A. Kochenberger (eds.),
Handbook of Metaheuristics, 320-353.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.em.loop import Goal
from emix.exceptions import DegenerateFitError
from emix.gaussian.parameters import GaussianParameters, full_covariances
from emix.gaussian.scoring import score_rows
from emix.kernel import factors
from emix.parallel.threads import OPERATIONS_PER_CALL
from emix.starts.exploration import FORESIGHT, ITERATIONS, PATIENCE, SAME_MODE, Exploration, Mode
from emix.starts.kmeans import draw_rows
from emix.starts.pair_refits import PAIRS, ROUNDS, ROUNDS_AT_ONCE, NearPairs, can_refit
from emix.starts.starting_parameters import start_of_labels
from emix.starts.uniforms import Uniforms

__all__ = ["LocalSearch"]

Array = NDArray[np.float64]
Labels = NDArray[np.intp]

# Nats per unit of weight. A rise that is smaller counts for nothing.
LEAST_RISE = 1e-5

# A climb ends after FAILURES failures in a row for each component, but not before LONGER times the tries of its last
# rise. Of 30 seeds on wine 83 % ended in the best mode known with LONGER = 2, and 93 % with 4. Of 100 on digits 89 did
# with FAILURES = 5, and 91 with 7.
FAILURES, LONGER = 7, 4

# Kinds of disturbance, by turns, and how many components take part: for up to FEW components, and for more. On wine,
# K 3, half of the climbs reach the best mode known within 3 000 passes with shuffles and reseeds, and 3 % within 12 000
# with reseeds alone. On digits, K 10, shuffles gain nothing: 7 of 16 climbs reach it within 12 000 passes where every
# fourth disturbance is one, and 14 with these.
FEW = 3
TURNS_OF_FEW = (("reseed", 2), ("shuffle", 2), ("move", 3))
TURNS = (("reseed", 2), ("reseed", 3), ("move", 3), ("reseed", 4), ("reseed", 5))

# What a disturbance takes beside its run, as a part of what a run takes beside its passes (0.1 ms): new labels of 4 096
# rows and their sums take 0.25 to 0.35 ms.
A_TRY = 2.5

# Disturbances of a mode of a sample that are tried side by side.
TRIES_AT_ONCE = 2

# Part of the rows that a shuffle gives to other components, from the least to the most.
LEAST_PART, MOST_PART = 0.05, 0.4


class LocalSearch:
    """Climbs from modes to higher ones, with one stream of random numbers.

    Parameters
    ----------
    exploration : Exploration
        Of the rows on which climbs are made.
    seed, stream : int
        The same pair gives the same numbers.

    Attributes
    ----------
    was_long : bool
        True if the last climb still rose after as many tries as may fail at its beginning.
    rivals : list of Mode
        Lower modes that are within the noise of a higher one, so that all rows may rank them the other way. Empty if
        the exploration looks at all rows.
    """

    def __init__(self, exploration: Exploration, seed: int, stream: int = 0) -> None:
        self.was_long = False
        self.rivals: list[Mode] = []
        self._exploration = exploration
        self._numbers = Uniforms(seed, 0, 1 + stream)
        source = exploration.source
        self._weight = np.ones(source.n_rows) if source.sample_weight is None else source.sample_weight
        self._scaled: Array | None = None
        # Where all rows are looked at, which are few then, disturbances do better: of 100 seeds on wine 92 end in the
        # best mode known, and 64 with refits. Of a sample, refits and further candidates do.
        self._has_pairs = exploration.is_of_sample and can_refit(exploration.model.structure)
        # Of few rows a disturbance begins where the one before it led.
        self._at_once = TRIES_AT_ONCE if exploration.is_of_sample else 1
        K = exploration.model.n_components
        self._turns = TURNS if K > FEW else tuple(turn for turn in TURNS_OF_FEW if turn[1] <= K)

    def climbed(self, mode: Mode, exploration: Exploration) -> Mode:
        """Return the last of ever higher modes, `mode` itself if neither refits nor disturbances lead higher.

        Parameters
        ----------
        mode : Mode
            On the exploration's rows.
        exploration : Exploration
            Of the rows of this search, or a part of theirs. Its passes are used up to the last; the climb ends there.

        Returns
        -------
        Mode
            Its start is the mixture after the last refit or disturbance.
        """
        self._exploration = exploration
        K, weight = exploration.model.n_components, exploration.source.total_weight
        self.was_long = False
        if self._has_pairs:
            return self._by_pairs(mode)
        n_tries, most = 0, FAILURES * K
        surroundings: _Surroundings | None = None
        while n_tries < most and exploration.left > 0.0:
            if surroundings is None:
                surroundings = _surroundings(exploration, mode.result.parameters)
            turns = [self._turns[(n_tries + i) % len(self._turns)] for i in range(self._at_once)]
            found = self._tried(mode, surroundings, turns)
            n_tries += len(turns)
            if found is None:
                continue
            if found.result.log_likelihood > mode.result.log_likelihood + SAME_MODE * weight:
                self.was_long = n_tries > FAILURES * K
                most = LONGER * n_tries + FAILURES * K
                self._leave(mode, found)
            mode, surroundings = found, None
        return mode

    def _leave(self, mode: Mode, higher: Mode) -> None:
        """Keep a mode as a rival of a higher one, if it is one."""
        rise = higher.result.log_likelihood - mode.result.log_likelihood
        if rise < self._exploration.noise * self._exploration.source.total_weight:
            self._add_rival(mode)

    def _add_rival(self, mode: Mode) -> None:
        if not any(self._exploration.agree(mode.result, rival.result) for rival in self.rivals):
            self.rivals.append(mode)

    def _by_pairs(self, mode: Mode) -> Mode:
        """Return the last of ever higher modes to which refits of pairs lead."""
        exploration = self._exploration
        higher: Mode | None = mode
        while higher is not None and exploration.left > 0.0:
            mode, higher = higher, None
            exploration.left -= 1.0 + PAIRS * exploration.passes_of_a_run
            pairs = NearPairs(exploration, mode.result.parameters, _distances(exploration, mode.result.parameters))
            gains = list[float]()
            for first in range(0, ROUNDS, ROUNDS_AT_ONCE):
                rounds = range(first, first + ROUNDS_AT_ONCE)
                higher = self._higher_by_pairs(mode, pairs, gains, rounds)
                if higher is not None or exploration.left <= 0.0:
                    break
        return mode if higher is None else higher

    def _higher_by_pairs(self, mode: Mode, pairs: NearPairs, gains: list[float], rounds: range) -> Mode | None:
        """Return a higher mode from a refit of a pair, if any. Refits that gain as one before are passed over."""
        exploration = self._exploration
        weight, noise = exploration.source.total_weight, exploration.noise
        for refit in pairs.refits(self._numbers, -noise, rounds):
            if exploration.left <= 0.0:
                break
            if any(math.fabs(refit.gain - other) < SAME_MODE for other in gains):
                continue
            gains.append(refit.gain)
            found = _mode_from(pairs.mixture(refit), mode.result.log_likelihood - noise * weight, exploration)
            if found is None:
                continue
            rise = (found.result.log_likelihood - mode.result.log_likelihood) / weight
            if rise > SAME_MODE:
                self._leave(mode, found)
                return found
            if rise < -SAME_MODE:
                self._add_rival(found)
        return None

    def _tried(self, mode: Mode, surroundings: _Surroundings, turns: list[tuple[str, int]]) -> Mode | None:
        """Return the best mode after disturbances, each of `mode`; None if none of them is higher than it."""
        weight = self._exploration.source.total_weight
        goal = mode.result.log_likelihood + LEAST_RISE * weight
        disturbed = [self._disturbed(surroundings, *turn) for turn in turns]
        found: list[Mode | None] = [None] * len(turns)

        def run(number: int, part: Exploration) -> None:
            part.left -= 1.0 + A_TRY * part.passes_of_a_run
            labels = disturbed[number]
            if labels is None:
                return
            try:
                start = start_of_labels(part.source, part.model, self._weight, labels)
            except DegenerateFitError:
                return
            found[number] = _mode_from(start, goal, part)

        self._exploration.shared(len(turns), run)
        higher = [one for one in found if one is not None]
        return max(higher, key=lambda one: one.result.log_likelihood, default=None)

    def _disturbed(self, surroundings: _Surroundings, kind: str, size: int) -> Labels | None:
        """Give the rows of a few near components to them anew; None if these have too few rows.

        "shuffle" gives some of the rows to one of the components at random. "reseed" draws a row for each component and
        gives each row to the nearest of these. "move" merges two components and reseeds a third as two.
        """
        numbers, labels = self._numbers, surroundings.labels.copy()
        K = len(surroundings.distances)
        uniforms = numbers.random(K + 2)
        k = int(uniforms[K] * K)
        near = np.argsort(surroundings.distances[k] * uniforms[:K], kind="stable")  # k itself is the first
        members = near[:size]
        if kind == "move":
            labels[labels == k] = near[1]
            members = np.array([k, near[2 + int(uniforms[K + 1] * (K - 2))]])
        is_member = np.zeros(K, dtype=bool)
        is_member[members] = True
        rows = np.flatnonzero(is_member[labels])
        if kind == "shuffle":
            part = LEAST_PART * (MOST_PART / LEAST_PART) ** uniforms[K + 1]
            drawn = numbers.random(len(rows))
            chosen = drawn < part
            labels[rows[chosen]] = members[(drawn[chosen] / part * len(members)).astype(np.intp)]
            return labels
        if self._scaled is None:
            self._scaled = self._exploration.source.X / self._exploration.unit
        weight, Z = self._weight[rows], self._scaled[rows]
        if np.count_nonzero(weight) < 2 * len(members):
            return None
        seeds = Z[draw_rows(weight, len(members), numbers)]
        away = Z - seeds[:, np.newaxis]
        labels[rows] = members[np.argmin(np.einsum("klj,klj->kl", away, away), axis=0)]
        return labels


def _mode_from(start: GaussianParameters, goal: float, exploration: Exploration) -> Mode | None:
    """Return the mode to which EM comes, None if it does not come above a log-likelihood."""
    most = min(ITERATIONS, max(PATIENCE, int(exploration.left)))
    trial = exploration.run(start, most, Goal(goal, FORESIGHT, PATIENCE))
    exploration.left -= 1.0 if trial is None else trial.n_iter + 1.0
    exploration.left -= exploration.passes_of_a_run
    return None if trial is None or not trial.log_likelihood > goal else Mode(start, trial)


class _Surroundings(NamedTuple):
    labels: Labels  # the component of each row
    distances: Array


def _surroundings(exploration: Exploration, parameters: GaussianParameters) -> _Surroundings:
    labels = score_rows(exploration.source.X, parameters, log_density=False, labels=True, n_threads=1).labels
    assert labels is not None
    exploration.left -= 1.0
    return _Surroundings(labels, _distances(exploration, parameters))


def _distances(exploration: Exploration, parameters: GaussianParameters) -> Array:
    """Squared distances between components, by their spreads (K, K); least on the diagonal."""
    K, d = parameters.means.shape
    covariances = np.ascontiguousarray(full_covariances(parameters))
    distances = np.empty((K, K))
    # Parts so short that a signal need not wait. A constant column, of deviation 0, has no part in distances.
    at_once = max(1, int(OPERATIONS_PER_CALL / (K * d**3)))
    for first in range(0, K, at_once):
        last = min(first + at_once, K)
        factors.distances(parameters.means, covariances, exploration.deviations, first, last, distances)
    return distances
