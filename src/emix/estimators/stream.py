"""State of a stream: blended statistics, their average, and what was seen. Stepwise EM moves it by rows that come.

A step takes the statistics s of some rows under the parameters θ, blends them in, and maximizes:

    S ← (1 − γ) S + γ s(rows; θ)        θ ← M(S)        A ← (1 − α) A + α S

Rows are taken in blocks, and γ falls with the number of blocks t: γ = (1 + t)^−κ. Large steps forget the start quickly
and follow a mixture whose components overlap, where EM is slow; but each S is as noisy as the few blocks that it holds.
The average A over the stream, later ones counting for more, has that noise no more, and the mixture is M(A). That is
the averaging of Polyak and Ruppert, which makes the order of the error that of a fit to all rows at once.

References
----------
O. Cappé and E. Moulines (2009), On-line expectation-maximization algorithm for latent data models, Journal of the Royal
Statistical Society B 71, 593-613: the steps, and their averaging.
B. T. Polyak and A. B. Juditsky (1992), Acceleration of stochastic approximation by averaging, SIAM Journal on Control
and Optimization 30, 838-855.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from emix.exceptions import DegenerateCovarianceError
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.reg_covar import RegCovar
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.statistics_arithmetic import scaled_by, sum_of
from emix.kernel.factors import Columns
from emix.rows.arrays import ArraySource

__all__ = ["Stream", "statistics_of_parameters"]

# κ, and the rows of a block: as many as free parameters, at least so many. Measured by benchmarks/streams.py.
POWER = 0.55
LEAST_ROWS = 50

# Rows that have at most this part of the weight so far are below the rounding of all sums. They are left out: their
# weights may be too small to divide by.
NEGLIGIBLE = 1e-18

# Least part of the weight that a component keeps in S: 0.95^t is 0 from 14 500 steps on. Its mean and covariance stay,
# and rows that come there again find it.
LEAST_PART = 1e-100


class Stream(NamedTuple):
    """State that a stream keeps of its rows.

    Attributes
    ----------
    blend : GaussianStatistics
        S.
    average : GaussianStatistics
        A; its M-step gives the parameters of the mixture.
    n_rows : float
        Number of rows that were seen. Rows with weights count as many as are worth the same, (Σw)² / Σw² of a block.
    total_weight : float
        Their weight, as it was given.
    """

    blend: GaussianStatistics
    average: GaussianStatistics
    n_rows: float
    total_weight: float

    def advanced(self, model: GaussianModel, source: ArraySource) -> tuple[Stream, GaussianParameters, int]:
        """Take steps by blocks of rows; return the parameters of the mixture and the number of steps."""
        blend, average, n_rows, total = self
        parameters, size, n_steps = model.m_step(blend), _rows_of_block(model), 0
        for block in _blocks(source.without_unit(), size):
            found, _ = model.e_step(block, parameters)
            weight = found.total_weight * source.weight_unit
            if weight <= NEGLIGIBLE * total:
                continue
            total, before, n_rows = total + weight, n_rows, n_rows + block.effective_rows
            # The blocks that these rows are worth: their weight in rows of mean weight.
            n_blocks = weight / (total / n_rows) / size
            blend = _blended(blend, found, n_blocks * (1.0 + before / size) ** -POWER)
            parameters = model.m_step(blend)
            blend = _kept(blend.recentered(parameters.means))
            average = _blended(average, blend, 2.0 * n_blocks / (1.0 + n_rows / size))
            n_steps += 1
        parameters = model.m_step(average)
        return Stream(blend, average.recentered(parameters.means), n_rows, total), parameters, n_steps

    def stepped(
        self, model: GaussianModel, source: ArraySource, parameters: GaussianParameters, step: float
    ) -> tuple[Stream, GaussianParameters, int]:
        """Take one step of a given size from the parameters of the mixture."""
        found, _ = model.e_step(source.without_unit(), parameters)
        blend = _blended(self.average, found, step)
        parameters = model.m_step(blend)
        blend = _kept(blend.recentered(parameters.means))
        weight = self.total_weight + source.total_weight
        return Stream(blend, blend, self.n_rows + source.effective_rows, weight), parameters, 1


def statistics_of_parameters(
    parameters: GaussianParameters, reg_covar: RegCovar, columns: Columns, n_rows: int, mean_log_likelihood: float
) -> GaussianStatistics:
    """Return statistics of total weight 1, of which an M-step makes the parameters.

    A number for `reg_covar` is taken off the variances, as an M-step adds it, unless they do not hold so much.
    """
    structure, form, (K, d) = parameters.structure, parameters.structure.form, parameters.means.shape
    covariances = parameters.covariances
    if not isinstance(reg_covar, str) and reg_covar > 0.0:
        less = covariances - reg_covar * (np.eye(d) if form.has_matrices else 1.0)
        with suppress(DegenerateCovarianceError):
            form.whiten(less, K, d)
            covariances = less
    return GaussianStatistics.of(
        structure,
        parameters.means,
        parameters.weights,
        np.zeros((K, d)),
        form.scatter_of(covariances, parameters.weights, d),
        1.0,
        n_rows,
        mean_log_likelihood,
        parameters,
        1.0,
        columns,
    )


def _rows_of_block(model: GaussianModel) -> int:
    K, d = model.n_components, model.n_features
    return max(LEAST_ROWS, K - 1 + K * d + model.structure.n_parameters(K, d))


def _blocks(source: ArraySource, size: int) -> Iterator[ArraySource]:
    """Hand out rows in parts of nearly equal length, of at least `size` rows where there are so many."""
    n_blocks = max(1, source.n_rows // size)
    edges = np.arange(n_blocks + 1) * source.n_rows // n_blocks
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist()):
        weight = None if source.sample_weight is None else source.sample_weight[first:last]
        if weight is None or weight.any():
            block = ArraySource(source.X[first:last], weight)
            block.whole = block.whole._replace(first_row=first)  # messages name rows
            yield block


def _blended(old: GaussianStatistics, new: GaussianStatistics, share: float) -> GaussianStatistics:
    """Return (1 − share) of the old and `share` of the new, both as if of the new one's total weight."""
    if share >= 1.0:
        return new
    factor = (1.0 - share) * new.total_weight / old.total_weight
    both = sum_of(scaled_by(old, factor), scaled_by(new, share), new.taken_under, "")
    return replace(both, n_rows=new.n_rows)


def _kept(statistics: GaussianStatistics) -> GaussianStatistics:
    """Return statistics about the means in which no component that has weight has next to none."""
    weight, shift, scatter = statistics.in_unit
    least = LEAST_PART * weight.sum()
    faint = (weight > 0.0) & (weight < least)
    if not faint.any():
        return statistics
    factor = np.ones(len(weight))
    factor[faint] = least / weight[faint]
    form = statistics.structure.form
    own = 1.0 if form.is_shared else factor.reshape(-1, *[1] * (scatter.ndim - 1))
    return GaussianStatistics.of(
        statistics.structure,
        statistics.center,
        weight * factor,
        shift * factor[:, np.newaxis],
        scatter * own,
        statistics.total_weight,
        statistics.n_rows,
        statistics.log_likelihood,
        statistics.taken_under,
        statistics.unit,
        statistics.columns,
    )
