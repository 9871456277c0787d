"""Results of a fit: a record of each E-step, and the end.

The objective is what EM raises: the log-likelihood, plus the log-prior of a model that has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

__all__ = ["EMRecord", "EMResult", "Rise", "record_of"]


class EMRecord(NamedTuple):
    """One E-step of a fit.

    Attributes
    ----------
    iteration : int
        Number of M-steps before this E-step.
    log_likelihood : float
        Log-likelihood of the parameters after that many M-steps; total, nats.
    change : float
        Objective minus that of the E-step before; NaN for the first.
    seconds : float
        Time since the fit began; of E-steps that a run took at once, when the last of them had ended.
    accepted : bool
        False if an acceleration tried these parameters and went back.
    log_prior : float
        The model's log_prior of the parameters, nats; 0 if it has none.
    """

    iteration: int
    log_likelihood: float
    change: float
    seconds: float
    accepted: bool = True
    log_prior: float = 0.0

    @property
    def objective(self) -> float:
        """log_likelihood + log_prior: the quantity that EM raises."""
        return self.log_likelihood + self.log_prior


# A record from the tuple of all its fields, in half of the time: one is made for each E-step.
record_of: Callable[[tuple[int, float, float, float, bool, float]], EMRecord] = partial(tuple.__new__, EMRecord)


class Rise(NamedTuple):
    """E-steps that a run took at once, each of which raised the log-likelihood.

    Attributes
    ----------
    iteration : int
        Number of M-steps before the first of them.
    before : float
        Log-likelihood of the E-step before.
    seconds : float
        Time since the fit began, when the last of them had ended.
    log_likelihoods : list of float
        One for each.
    """

    iteration: int
    before: float
    seconds: float
    log_likelihoods: list[float]

    def records(self) -> Iterator[EMRecord]:
        """Give a record for each of them."""
        before = self.before
        for number, log_likelihood in enumerate(self.log_likelihoods, self.iteration):
            yield record_of((number, log_likelihood, log_likelihood - before, self.seconds, True, 0.0))
            before = log_likelihood

    def last(self) -> EMRecord:
        """Return the record of the last of them."""
        found = self.log_likelihoods
        before = found[-2] if len(found) > 1 else self.before
        return EMRecord(self.iteration + len(found) - 1, found[-1], found[-1] - before, self.seconds)


@dataclass(frozen=True, init=False, eq=False)
class EMResult:
    """The result of a fit by `fit_em`.

    Attributes
    ----------
    parameters : object
        θ after the last M-step.
    log_likelihood : float
        Log-likelihood of these parameters; total, nats.
    n_iter : int
        Number of M-steps.
    converged : bool
    stopped_by : str
        "log_likelihood" or "parameters": its change fell to `tol`; "objective" in place of "log_likelihood" if the
        model has a log_prior. "rounding": the change could not be told from rounding. "max_iter". "callback".
    history : list of EMRecord
        A record for each E-step.
    statistics : object
        Expected statistics of the closing E-step, under the parameters returned.
    log_prior : float
        The model's log_prior of these parameters, nats; 0 if it has none.
    """

    parameters: Any
    log_likelihood: float
    n_iter: int
    converged: bool
    stopped_by: str
    history: list[EMRecord] = field(repr=False)
    statistics: Any = field(repr=False, default=None)
    log_prior: float = 0.0

    def __init__(
        self,
        parameters: Any,
        log_likelihood: float,
        n_iter: int,
        converged: bool,
        stopped_by: str,
        history: Sequence[EMRecord | Rise],
        statistics: Any = None,
        log_prior: float = 0.0,
        plain: bool = False,
    ) -> None:
        # The generated __init__ of a frozen dataclass calls object.__setattr__ for each field, in twice the time.
        fields = self.__dict__
        fields["parameters"], fields["log_likelihood"], fields["n_iter"] = parameters, log_likelihood, n_iter
        fields["converged"], fields["stopped_by"], fields["_steps"] = converged, stopped_by, history
        if plain:
            fields["history"] = history
        fields["statistics"], fields["log_prior"] = statistics, log_prior

    def __getattr__(self, name: str) -> Any:
        # Most results are of runs that nobody looks at: the list of records is made when it is asked for.
        if name == "history" and "_steps" in self.__dict__:
            history: list[EMRecord] = []
            for step in self.__dict__["_steps"]:
                if isinstance(step, Rise):
                    history.extend(step.records())
                else:
                    history.append(step)
            return self.__dict__.setdefault("history", history)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    @property
    def objective(self) -> float:
        """log_likelihood + log_prior: the quantity that EM raises."""
        return self.log_likelihood + self.log_prior
