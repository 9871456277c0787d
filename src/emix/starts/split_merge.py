"""Better modes of a mixture, from one that EM has found: two components become one, and another becomes two.

EM raises the likelihood from where it is and cannot move a component across a gap. A mode that is not the best has,
most often, two components on one group and one component on two. A move merges two components and splits a third, or
splits the merged one anew in another direction. EM then runs a few iterations, and the move stands if the
log-likelihood is higher than before.

References
----------
N. Ueda, R. Nakano, Z. Ghahramani and G. E. Hinton (2000), SMEM algorithm for mixture models, Neural Computation 12,
2109-2128.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.em.loop import iterate
from emix.em.result import EMRecord
from emix.exceptions import DegenerateFitError, warnings_held
from emix.gaussian.collapse import judge_fit
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import score_rows
from emix.rows.arrays import ArraySource
from emix.starts.exploration import Exploration, Mode

__all__ = ["Merger", "Posterior", "improved", "mergers_of", "posterior_of"]

Array = NDArray[np.float64]

# Iterations of EM after a move. After the first few, a run goes on only if it would come as high as the mode with so
# many steps like its last.
ITERATIONS, PATIENCE, FORESIGHT = 200, 3, 4.0
# Iterations for the two halves of a component alone.
SPLIT_ITERATIONS = 6
# Moves that are tried from one mode, the most promising first.
TRIES = 12
# Directions of a split, the widest first; partners of a merger, the nearest first.
DIRECTIONS, PARTNERS = 2, 3
# Halves lie so many standard deviations from the mean: those of a normal distribution cut in two lie at √(2/π) = 0.8.
STEP = math.sqrt(2.0 / math.pi)
# Nats per unit of weight. A move whose estimate falls by more is not tried; a rise that is smaller counts for nothing.
LEAST_ESTIMATE, LEAST_RISE = 0.1, 1e-4
# Rows of smaller responsibility say nothing about a component.
LEAST_RESPONSIBILITY = 1e-3


class Posterior(NamedTuple):
    """The sample under a mode: responsibilities (n, K) times weights, and sums over the rows."""

    parameters: GaussianParameters
    covariances: Array  # matrices (K, d, d)
    responsibilities: Array
    held: Array  # responsibilities × weights (n, K)
    weight: Array  # N (K,)
    own: Array  # Σ_i w_i r_ik log p(x_i | k), nats (K,)


class Merger(NamedTuple):
    """Two components as one of the same moments, and the log-likelihood that it costs, nats."""

    i: int
    j: int
    mean: Array
    covariance: Array  # (d, d)
    cost: float


class _Split(NamedTuple):
    """Two components in the place of one, and the log-likelihood that they gain, nats."""

    shares: Array  # (2,)
    means: Array  # (2, d)
    covariances: Array  # matrices (2, d, d)
    gain: float


class _Move(NamedTuple):
    """A merger, and a split of component k, or of the merged one if k is None."""

    estimate: float
    merger: Merger
    k: int | None
    split: _Split

    @property
    def components(self) -> set[int]:
        """The components that change."""
        return {self.merger.i, self.merger.j} | (set() if self.k is None else {self.k})


def improved(exploration: Exploration, mode: Mode) -> Mode:
    """Return the best mode that moves lead to, `mode` itself if none is better.

    Parameters
    ----------
    exploration : Exploration
        Its passes are used up to the last; moves end there.
    mode : Mode
        On the exploration's rows.

    Returns
    -------
    Mode
        Its start is the mixture after the last move.
    """
    while exploration.left > 0.0 and (better := _round(exploration, mode)) is not mode:
        mode = better
    return mode


def _round(exploration: Exploration, mode: Mode) -> Mode:
    """Try the moves from a mode, the most promising first; the mode after those that led higher.

    Estimates hold for components that are as they were, so that a move may follow another with which it has no
    component in common.
    """
    least = LEAST_RISE * exploration.source.total_weight
    moved: set[int] = set()
    n_tries = 0
    for move in _moves(exploration, mode):
        if exploration.left <= 0.0 or n_tries == TRIES:
            break
        if moved & move.components:
            continue
        n_tries += 1
        start, goal = _moved(mode.result.parameters, move), mode.result.log_likelihood + least
        trial = None if start is None else exploration.run(start, ITERATIONS, _Trial(goal))
        exploration.left -= 1.0 if trial is None else trial.n_iter + 1.0
        if start is not None and trial is not None and trial.log_likelihood > goal:
            mode = Mode(start, trial)
            moved |= move.components
    return mode


class _Trial:
    """Ends a run that will hardly come as high as a mode: a look at its records."""

    def __init__(self, goal: float) -> None:
        self._goal = goal

    def __call__(self, record: EMRecord) -> bool:
        return record.iteration >= PATIENCE and record.log_likelihood + FORESIGHT * record.change < self._goal


@np.errstate(all="ignore")  # a component without rows, or one so narrow that its numbers overflow, makes no move
def _moves(exploration: Exploration, mode: Mode) -> Iterator[_Move]:
    """Moves whose estimate is not too low, the highest first; of those that the passes left are enough for."""
    posterior = posterior_of(exploration, mode.result.parameters)
    K = len(posterior.weight)
    mergers = sorted(mergers_of(posterior), key=lambda merger: merger.cost)
    splits: dict[int, list[_Split]] = {}
    # The heaviest components first: they are the likeliest to lie on two groups.
    for k in np.argsort(-posterior.weight, kind="stable").tolist() if K > 2 else []:
        if exploration.left > 0.0:
            splits[k] = list(_splits(exploration, posterior, [k]))
    found: list[_Move] = []
    for merger in mergers:
        for k, halves in splits.items():
            if k not in (merger.i, merger.j):
                found += [_Move(split.gain - merger.cost, merger, k, split) for split in halves]
    # Another cut through two components that are one group, or nearly.
    for merger in mergers[: K + 2]:
        if exploration.left <= 0.0:
            break
        again = _splits(exploration, posterior, [merger.i, merger.j], merger)
        found += [_Move(split.gain - merger.cost, merger, None, split) for split in again]
    least = -LEAST_ESTIMATE * exploration.source.total_weight
    found = [move for move in found if move.estimate > least]
    return iter(sorted(found, key=lambda move: -move.estimate))


def posterior_of(exploration: Exploration, parameters: GaussianParameters) -> Posterior:
    """Return the sample under these parameters.

    Its arrays are as long as the sample: at most max(4096, 64 K) rows × K components.
    """
    source, form = exploration.source, parameters.structure.form
    scores = score_rows(source.X, parameters, log_density=True, responsibilities=True, n_threads=1)
    assert scores.responsibilities is not None and scores.log_density is not None
    r = scores.responsibilities.astype(np.float64)
    held = r if source.sample_weight is None else r * source.sample_weight[:, np.newaxis]
    weight = held.sum(axis=0)
    # log p(x | k) = log r + log p(x) − log π_k; r log r is 0 where r is.
    logarithms = np.log(np.where(r > 0.0, r, 1.0))
    # einsum, and not BLAS, whose threads would round sums differently.
    own = np.einsum("ik,ik->k", held, logarithms) + np.einsum("i,ik->k", scores.log_density.astype(np.float64), held)
    own -= weight * np.log(parameters.weights)
    covariances = form.to_full(parameters.covariances, *parameters.means.shape)
    return Posterior(parameters, covariances, r, held, weight, own)


def mergers_of(posterior: Posterior) -> Iterator[Merger]:
    """Each component merged with those nearest to it, in units of its own standard deviations."""
    parameters = posterior.parameters
    form, means, pi = parameters.structure.form, parameters.means, parameters.weights
    K, d = means.shape
    pairs: set[tuple[int, int]] = set()
    for i in range(K):
        factor = parameters.whitening if form.is_shared or K == 1 else parameters.whitening[i : i + 1]
        away = form.whitened(factor, (means - means[i])[:, np.newaxis] if not form.is_shared else means - means[i])
        distances = np.square(away.reshape(K, d)).sum(axis=1)
        distances[i] = math.inf
        pairs.update((min(i, j), max(i, j)) for j in np.argsort(distances, kind="stable")[:PARTNERS].tolist() if i != j)
    for i, j in sorted(pairs):
        total = posterior.weight[i] + posterior.weight[j]
        if not posterior.weight[i] > 0.0 < posterior.weight[j]:
            continue
        a, b = posterior.weight[i] / total, posterior.weight[j] / total
        mean, away = a * means[i] + b * means[j], means[i] - means[j]
        moments = a * posterior.covariances[i] + b * posterior.covariances[j] + a * b * np.outer(away, away)
        # Of the form; a common covariance stays as it is.
        covariance = posterior.covariances[0] if form.is_shared else form.to_full(form.from_pooled(moments, 1), 1, d)[0]
        sign, log_det = np.linalg.slogdet(covariance)
        if not (sign > 0.0 and math.isfinite(log_det)):
            continue
        trace = float(np.trace(np.linalg.solve(covariance, moments)))
        merged = -0.5 * total * (d * math.log(2.0 * math.pi) + log_det + trace) + total * math.log(pi[i] + pi[j])
        apart = posterior.own[i] + posterior.own[j] + total * (a * math.log(pi[i]) + b * math.log(pi[j]))
        # Rows that both share cost less: Σ_i w_i r_i log r_i/(r_i + r_j), and that of j.
        r, held = posterior.responsibilities[:, [i, j]], posterior.held[:, [i, j]]
        both = np.where(r > 0.0, r.sum(axis=1, keepdims=True), 1.0)
        apart -= float(np.sum(held * np.log(np.where(r > 0.0, r / both, 1.0))))
        yield Merger(i, j, mean, covariance, max(0.0, apart - merged))


def _splits(
    exploration: Exploration, posterior: Posterior, members: list[int], merger: Merger | None = None
) -> Iterator[_Split]:
    """A component, or a merged one, in two halves: cut across its widest directions, then fitted alone."""
    parameters, source = posterior.parameters, exploration.source
    structure, form = parameters.structure, parameters.structure.form
    d = source.n_features
    k = members[0]
    mean, covariance = (
        (parameters.means[k], posterior.covariances[k]) if merger is None else (merger.mean, merger.covariance)
    )
    held = posterior.held[:, members].sum(axis=1)
    weight = float(held.sum())
    enough = exploration.source.effective_rows * weight / exploration.source.total_weight
    if not enough > 2 * structure.least_rows(d) or not np.isfinite(covariance).all():
        return
    counted = np.flatnonzero(posterior.responsibilities[:, members].sum(axis=1) > LEAST_RESPONSIBILITY)
    rows = ArraySource(source.X[counted], held[counted])
    before = sum(posterior.own[k] for k in members)
    if merger is not None:  # what the merger costs has its own place
        log_det = np.linalg.slogdet(covariance)[1]
        before = -0.5 * weight * (d * math.log(2.0 * math.pi) + log_det + d)
    for direction in _widest(covariance, exploration.deviations):
        step = STEP * direction
        left = form.from_pooled(covariance - np.outer(step, step), 2)
        model = GaussianModel(2, d, form.name, exploration.model.reg_covar, 1)
        try:
            start = GaussianParameters.of(model.structure, np.full(2, 0.5), np.stack([mean + step, mean - step]), left)
            with warnings_held():
                result = iterate(model, rows, start, tol=exploration.tol, max_iter=SPLIT_ITERATIONS)
        except DegenerateFitError:
            continue
        exploration.left -= (result.n_iter + 1) * 2.0 * rows.n_rows / (source.n_rows * len(posterior.weight))
        if judge_fit(result.statistics, model.reg_covar, enough).collapse is not None:
            continue
        halves: GaussianParameters = result.parameters
        gain = result.log_likelihood - before
        yield _Split(halves.weights, halves.means, form.to_full(halves.covariances, 2, d), gain)


def _widest(covariance: Array, deviations: Array) -> Array:
    """Principal axes, the widest first, each as long as the standard deviation in its direction.

    They are those of standardized columns, so that units do not matter. Constant columns have no part in them.
    """
    unit = np.where(deviations > 0.0, deviations, math.inf)
    values, vectors = np.linalg.eigh(covariance / unit / unit[:, np.newaxis])
    axes = (vectors * np.sqrt(np.maximum(values, 0.0))).T[::-1][:DIRECTIONS]
    # The sign of an eigenvector is LAPACK's choice. The first half is the one with the larger sum of coordinates.
    signs = np.where(axes.sum(axis=1, keepdims=True) < 0.0, -1.0, 1.0)
    return np.asarray(signs * axes * deviations)


def _moved(parameters: GaussianParameters, move: _Move) -> GaussianParameters | None:
    """The parameters after a move; None if a covariance is not positive definite."""
    structure, form = parameters.structure, parameters.structure.form
    K, d = parameters.means.shape
    weights, means = parameters.weights.copy(), parameters.means.copy()
    covariances = form.to_full(parameters.covariances, K, d).copy()
    i, j, mean, covariance, _ = move.merger
    weights[i], means[i], covariances[i] = weights[i] + weights[j], mean, covariance
    split = i if move.k is None else move.k
    share = weights[split]
    for place, half in ((split, 0), (j, 1)):
        weights[place] = share * move.split.shares[half]
        means[place], covariances[place] = move.split.means[half], move.split.covariances[half]
    if form.is_shared:
        own = parameters.covariances
    else:
        own = np.concatenate([form.from_pooled(one, 1) for one in covariances])
    try:
        return GaussianParameters.of(structure, weights / weights.sum(), means, structure.project(own, weights))
    except DegenerateFitError:
        return None
