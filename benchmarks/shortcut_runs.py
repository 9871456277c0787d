"""Runs in the measured processes: fits with all shortcuts or without one, and counts of the passes that use each."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from time import process_time
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from data import Start
from emix import EMResult, GaussianMixture, GaussianModel, GaussianParameters, fit_em
from emix.gaussian.run import GaussianRun
from emix.gaussian.shortcuts import SHORTCUTS as SWITCHES
from emix.gaussian.shortcuts import Shortcut as Policy
from emix.gaussian.sums import PassOutcome, PassRequest
from emix.kernel.level import kernel_for
from emix.random_source import seed_of
from emix.rows.arrays import ArraySource
from emix.rows.source import RowSource
from emix.starts.starting_parameters import make_start
from peers import in_structure

#: Rows of a fit before those that are timed, which loads what is loaded on first use.
_FEW_ROWS = 2_000

#: A small fit is repeated for so many seconds, and the fastest counts.
_LEAST_SECONDS = 0.3


def all_but(name: str) -> tuple[str, ...]:
    """Return the shortcuts of a `GaussianModel` that are left on where one is switched off.

    Parameters
    ----------
    name : str
        The one. A text that is no switch's name, as the empty one, leaves all on.
    """
    return tuple(one for one in SWITCHES if one != name)


class PassCounter(Policy):
    """Counts the passes of a run, and those that use each of its shortcuts. It leaves nothing out itself."""

    name: ClassVar[str] = "counter"
    room = None

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    @classmethod
    def for_run(cls, source: RowSource, model: GaussianModel) -> Self:
        """Return a counter, which any run can have."""
        return cls()

    def before(self, request: PassRequest) -> PassRequest:
        """Return the request as it is."""
        return request

    def holds(self, request: PassRequest, outcome: PassOutcome) -> bool:
        """A counter changes no sums."""
        return True

    def after(self, request: PassRequest, outcome: PassOutcome) -> None:
        """Count the pass that counts, and what the other shortcuts have asked for in it."""
        parts = request.parts
        self.counts["passes"] += 1
        self.counts["bounds"] += any(part.bounds is not None for part in parts.get("bounds", ()))
        self.counts["screen"] += bool(parts.get("screen", False))
        self.counts["origin"] += parts.get("origin") is not None


class CountingModel(GaussianModel):
    """A model with all shortcuts that counts the passes of its runs.

    Attributes
    ----------
    counter : PassCounter
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.counter = PassCounter()

    def begin(self, data: Any) -> GaussianRun:
        """Return a run that has the counter beside its shortcuts."""
        run = super().begin(data)
        run.shortcuts.append(self.counter)
        return run

    def uses(self, dtype: np.dtype[Any]) -> dict[str, int]:
        """Passes so far, and how many of them used each shortcut, or could (packing, larger blocks)."""
        kernel, n_passes = kernel_for(dtype), self.counter.counts["passes"]
        larger = kernel.super_block_rows(self.n_features) > kernel.super_block_rows(1)
        return {
            **self.counter.counts,
            "packing": n_passes,
            "larger blocks": n_passes if larger else 0,
        }


def used(data: str, start: str, structure: str, n_iter: int) -> dict[str, int]:
    """Passes of so many iterations, and how many of them use each shortcut, or could (packing, larger blocks)."""
    X = np.load(data)
    with np.load(start) as arrays:
        given = Start(arrays["weights"], arrays["means"], arrays["covariances"])
    model = CountingModel(*given.means.shape, structure)
    covariances = in_structure(given.covariances, structure)
    parameters = GaussianParameters.from_covariances(structure, given.weights, given.means, covariances)
    run = model.begin(X)
    for _ in range(n_iter):
        parameters = model.m_step(run.e_step(parameters)[0])
    run.e_step(parameters)  # the closing one
    return model.uses(X.dtype)


def fit_by_defaults(X: NDArray[np.floating], model: GaussianModel) -> EMResult:
    """Fit a model as `GaussianMixture` does by default, with random_state 0."""
    defaults = GaussianMixture()
    source = ArraySource(X)
    start = make_start(defaults.init_params, source, model, seed_of(0), 0)
    return fit_em(model, source, start, tol=defaults.tol, max_iter=defaults.max_iter)


def whole_fit(data: str, n_components: int, structure: str, without: str = "") -> dict[str, Any]:
    """Fit with the estimator's defaults, a small one several times; seconds of all threads, the least of them."""
    X = np.load(data)
    model = GaussianModel(n_components, X.shape[1], structure, "auto", shortcuts=all_but(without))
    warnings.simplefilter("ignore")
    result = fit_by_defaults(X[:_FEW_ROWS], model)
    seconds: list[float] = []
    while sum(seconds) < _LEAST_SECONDS:
        begin = process_time()
        result = fit_by_defaults(X, model)
        seconds.append(process_time() - begin)
    return {
        "seconds": min(seconds),
        "iterations": result.n_iter,
        "log_likelihood": result.log_likelihood,
        "bits": hashlib.sha256(result.parameters.covariances.tobytes()).hexdigest(),
    }


def uses_of_whole_fit(data: str, n_components: int, structure: str) -> dict[str, int]:
    """Passes of a fit with the estimator's defaults, and how many of them use each shortcut, or could."""
    X = np.load(data)
    model = CountingModel(n_components, X.shape[1], structure, "auto")
    warnings.simplefilter("ignore")
    fit_by_defaults(X, model)
    return model.uses(X.dtype)
