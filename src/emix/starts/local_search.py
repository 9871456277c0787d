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

# Numbers of the covariance matrices of pairs that are made at one time.
NUMBERS_AT_ONCE = 100_000

# Part of the rows that a shuffle gives to other components, from the least to the most.
LEAST_PART, MOST_PART = 0.05, 0.4


class LocalSearch:
    """Climbs from modes to higher ones, with one stream of random numbers.

    Parameters
    ----------
    exploration : Exploration
        Its passes are used up to the last; the search ends there.
    seed : int

    Attributes
    ----------
    was_long : bool
        True if the last climb still rose after as many tries as may fail at its beginning.
    rivals : list of Mode
        Lower modes that are within the noise of a higher one, so that all rows may rank them the other way. Empty if
        the exploration looks at all rows.
    """

    def __init__(self, exploration: Exploration, seed: int) -> None:
        self.was_long = False
        self.rivals: list[Mode] = []
        self._exploration = exploration
        self._numbers = Uniforms(seed, 0, 1)
        source = exploration.source
        self._weight = np.ones(source.n_rows) if source.sample_weight is None else source.sample_weight
        self._scaled: Array | None = None
        # Where all rows are looked at, which are few then, disturbances do better: of 100 seeds on wine 92 end in the
        # best mode known, and 64 with refits. Of a sample, refits and further candidates do.
        self._has_pairs = exploration.noise > 0.0 and can_refit(exploration.model.structure)
        K = exploration.model.n_components
        self._turns = TURNS if K > FEW else tuple(turn for turn in TURNS_OF_FEW if turn[1] <= K)

    def climbed(self, mode: Mode) -> Mode:
        """Return the last of ever higher modes, `mode` itself if neither refits nor disturbances lead higher.

        Parameters
        ----------
        mode : Mode
            On the exploration's rows.

        Returns
        -------
        Mode
            Its start is the mixture after the last refit or disturbance.
        """
        exploration = self._exploration
        K, weight = exploration.model.n_components, exploration.source.total_weight
        self.was_long = False
        if self._has_pairs:
            return self._by_pairs(mode)
        n_tries, most = 0, FAILURES * K
        surroundings: _Surroundings | None = None
        while n_tries < most and exploration.left > 0.0:
            if surroundings is None:
                surroundings = _surroundings(exploration, mode.result.parameters)
            found = self._tried(mode, surroundings, self._turns[n_tries % len(self._turns)])
            n_tries += 1
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
        for gain, start in pairs.refits(self._numbers, -noise, rounds):
            if exploration.left <= 0.0:
                break
            if any(math.fabs(gain - other) < SAME_MODE for other in gains):
                continue
            gains.append(gain)
            found = self._from(start, mode.result.log_likelihood - noise * weight)
            if found is None:
                continue
            rise = (found.result.log_likelihood - mode.result.log_likelihood) / weight
            if rise > SAME_MODE:
                self._leave(mode, found)
                return found
            if rise < -SAME_MODE:
                self._add_rival(found)
        return None

    def _tried(self, mode: Mode, surroundings: _Surroundings, turn: tuple[str, int]) -> Mode | None:
        """Return the mode after one disturbance, None if it is not higher."""
        exploration = self._exploration
        goal = mode.result.log_likelihood + LEAST_RISE * exploration.source.total_weight
        exploration.left -= 1.0
        labels = self._disturbed(surroundings, *turn)
        if labels is None:
            return None
        try:
            start = start_of_labels(exploration.source, exploration.model, self._weight, labels)
        except DegenerateFitError:
            return None
        return self._from(start, goal)

    def _from(self, start: GaussianParameters, goal: float) -> Mode | None:
        """Return the mode to which EM comes, None if it does not come above a log-likelihood."""
        exploration = self._exploration
        most = min(ITERATIONS, max(PATIENCE, int(exploration.left)))
        trial = exploration.run(start, most, Goal(goal, FORESIGHT, PATIENCE))
        exploration.left -= 1.0 if trial is None else trial.n_iter + 1.0
        exploration.left -= exploration.passes_of_a_run
        return None if trial is None or not trial.log_likelihood > goal else Mode(start, trial)

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
    K = parameters.n_components
    covariances = full_covariances(parameters)
    # In units of the columns, so that nothing overflows. A constant column has no part in distances.
    varies = exploration.deviations > 0.0
    unit = exploration.deviations[varies]
    means = parameters.means[:, varies] / unit
    covariances = covariances[:, varies][:, :, varies] / unit / unit[:, np.newaxis]
    distances = np.empty((K, K))
    at_once = max(1, NUMBERS_AT_ONCE // max(1, covariances.size))
    for first in range(0, K, at_once):
        part = slice(first, first + at_once)
        away = means[part, np.newaxis] - means
        solved = np.linalg.solve(covariances[part, np.newaxis] + covariances, away[..., np.newaxis])[..., 0]
        distances[part] = np.einsum("klj,klj->kl", away, solved)
    np.fill_diagonal(distances, -1.0)
    return distances
