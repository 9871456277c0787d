"""The two protocols of the loop: a model, which the user writes, and a run, the passes of one fit over its data."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import numpy as np

__all__ = ["EMModel", "EMRun"]

Parameters = TypeVar("Parameters")
Statistics = TypeVar("Statistics")
# mypy asks for these two in EMRun: a run only takes parameters, and only gives statistics.
Parameters_contra = TypeVar("Parameters_contra", contravariant=True)
Statistics_co = TypeVar("Statistics_co", covariant=True)


class EMModel(Protocol[Parameters, Statistics]):
    """A model with latent variables that `fit_em` can fit: its two steps, and optional hooks.

    The hooks are found by name. A model without a hook has the behaviour that is named last.

    - ``by_rows = True``: `e_step` may be given any part of the rows, and statistics add, field by field. Data are then
      an array, a tuple of arrays with rows in common, or a callable that returns a new iterator over blocks. Else
      `e_step` is given all data at once.
    - ``begin(data) -> EMRun``: returns an object that makes the passes of one fit and keeps what it needs between them.
      The loop calls its `e_step`, and the model's is not used. A run may leave out `weight`, `effective_rows` and
      `dtype`. Else the loop makes the run, from the model's `e_step`.
    - ``weight(data) -> float``: total weight of the data, the unit of `tol`. It is not called if the run has a weight.
      Else the number of rows with ``by_rows``, and 1 without.
    - ``log_prior(parameters) -> float``: log of a prior density, or another penalty, that the M-step takes into
      account; nats, up to a constant. It is added to the log-likelihood, and the sum is the *objective*: its change
      decides about convergence, it must not fall, and the best of several runs has the highest. Else the objective is
      the log-likelihood.
    - ``shortfall(statistics) -> float``: how far the M-step may fall short of the highest Q (plus log-prior), nats. It
      is called only if the objective fell. Else 0: the M-step maximizes.
    - ``shortfall_reason: str``: the setting that makes the M-step fall short, for the warning of a fall. Else the
      warning speaks of the M-step's shortfall.
    - ``gain_left(statistics, parameters) -> float``: how much further an M-step that iterates, and ended before its
      maximum, could have raised Q (plus log-prior) from these statistics to these parameters, nats. It is called only
      if the fit would be converged, and that is put off while it is more than the tolerance. Else 0.
    - ``distance(old, new) -> float``: how far the parameters moved, for ``stop="parameters"``. Else the largest
      ``|Δθ| / (1 + |θ|)``.
    """

    def e_step(self, data: Any, parameters: Parameters) -> tuple[Statistics, float]:
        """Expected sufficient statistics under the parameters, and the total log-likelihood of `data`, nats."""

    def m_step(self, statistics: Statistics) -> Parameters:
        """Parameters that maximize Q (plus log-prior, if the model has one) given the statistics."""


class EMRun(Protocol[Parameters_contra, Statistics_co]):
    """The passes of one fit over its data: what the hook ``begin`` of a model returns, and what the loop works with.

    A run belongs to one fit and may keep workspaces, bounds or caches between passes.

    A run may have a method ``advance(parameters, log_likelihood, enough, rounding, most)``: it takes at most `most`
    E-steps, the first under these parameters, each followed by its M-step, as long as each raises the log-likelihood,
    which was `log_likelihood` before, by more than `enough` and than `rounding` (``|ℓ| + weight``). It returns the
    parameters of the next E-step, the statistics of the last one and a list of the log-likelihoods, or None if it took
    no step. The loop calls it if there is neither a callback nor a log-prior; of an eager fit (`Watch` in loop.py) also
    before the first E-step, where `log_likelihood` is −∞. Where a fit has a goal (`Goal` in loop.py), it gets
    (log-likelihood, steps ahead, E-steps that are spared) as a sixth argument, and ends before an E-step from which the
    goal is out of reach. A seventh is the number of steps before those that may go further than EM does (`Watch` in
    loop.py), −1 if none may.

    A run that a fit may go on with in another process has two more methods: ``state()`` returns what it keeps between
    passes and results depend on, as arrays by name, and ``restore(state)``, called before the first pass, takes it. The
    loop calls them if it has a keeper (keeping.py).

    A run whose passes read their rows anew, which may then be others, has an attribute ``reads_anew``, which is True:
    the warning of a log-likelihood that fell says so.
    """

    @property
    def weight(self) -> float:
        """Total weight W of the data, the unit of `tol`."""

    @property
    def effective_rows(self) -> float:
        """Number of rows of equal weight that the data are worth. Rounding of single precision averages out over them.

        It is read only if `dtype` is single precision.
        """

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of the log-densities that the log-likelihood is summed from."""

    def e_step(self, parameters: Parameters_contra) -> tuple[Statistics_co, float]:
        """Expected sufficient statistics of all data under the parameters, and their total log-likelihood, nats."""
