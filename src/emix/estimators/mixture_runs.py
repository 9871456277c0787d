"""The runs of a fit: from each start through EM to the one that is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.em.loop import Watch, iterate
from emix.em.restarts import Degeneracy, RunReport, best_run
from emix.em.result import EMRecord, EMResult
from emix.estimators.criteria import TOTAL_OVERFLOWS
from emix.estimators.parameters_check import GivenStart, Settings
from emix.estimators.progress import Follower
from emix.exceptions import DegenerateCovarianceError, DegenerateFitError
from emix.gaussian.collapse import ColumnDoubts, Names, judge_fit
from emix.gaussian.model import GaussianModel
from emix.gaussian.operations import operations_of_pass
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.shortcuts import AUTO, SHORTCUTS, STATELESS
from emix.kernel.level import has_own_threads
from emix.parallel.threads import plan_runs
from emix.rows.arrays import ArraySource, SampledRows
from emix.rows.opening import is_mapped
from emix.rows.source import RowSource
from emix.starts.auto import AutoStarts, Start
from emix.starts.exploration import SAME_MODE
from emix.starts.starting_parameters import make_start

if TYPE_CHECKING:
    from emix.estimators.checkpoint import Checkpoint

__all__ = ["Runs", "continue_fit", "count_alike", "first_sound", "fit_from_starts", "model_of"]

# Bounds take up to 8 bytes a row: 32 MB.
MOST_MAPPED_ROWS_WITH_BOUNDS = 1 << 22

# Runs from other starts of a search on a sample, after one that collapsed.
RUNS_AFTER_COLLAPSE = 2

# The words of scikit-learn, which its users may look for.
_COLLAPSED = (
    "Fitting the mixture model failed because some components have ill-defined empirical covariance (for instance "
    "caused by singleton or collapsed samples). Try to decrease the number of components, increase reg_covar, or scale "
    "the input data."
)


class Runs(NamedTuple):
    """Results of the runs of a fit.

    Attributes
    ----------
    result : EMResult
        Of the run that is kept.
    reports : list of RunReport
    columns : ColumnDoubts
        Of the run that is kept.
    """

    result: EMResult
    reports: list[RunReport]
    columns: ColumnDoubts

    def in_unit(self, unit: float) -> Runs:
        """Log-likelihoods of rows whose weights are multiplied by `unit`.

        Raises
        ------
        ValueError
            If that of the run that is kept overflows.
        """
        log_likelihood = unit * self.result.log_likelihood
        if not math.isfinite(log_likelihood):
            raise ValueError(TOTAL_OVERFLOWS)
        history = [
            record._replace(log_likelihood=unit * record.log_likelihood, change=unit * record.change)
            for record in self.result.history
        ]
        reports = [
            report if report.log_likelihood is None else report._replace(log_likelihood=unit * report.log_likelihood)
            for report in self.reports
        ]
        return self._replace(
            result=replace(self.result, log_likelihood=log_likelihood, history=history), reports=reports
        )


def fit_from_starts(
    settings: Settings,
    given: GivenStart,
    seed: int,
    source: RowSource,
    names: Names,
    watch: Watch | None = None,
    search: float = 1.0,
    follower: Follower | None = None,
    *,
    sampled: ArraySource | None = None,
    checkpoint: Checkpoint | None = None,
) -> Runs:
    """Run EM from ``settings.n_init`` starts.

    Parameters
    ----------
    settings : Settings
    given : GivenStart
    seed : int
    source : RowSource
    names : sequence of str or None
        Of the columns, for messages.
    watch : Watch, optional
        It looks at the runs, which are then done one by one.
    search : float
        Share of the passes that the search of ``init_params="auto"`` may take. 0 leaves it out: run 0 starts from
        k-means, run 1 is the hierarchical one.
    follower : Follower, optional
        It follows the runs, which are then done one by one, and may end them.
    sampled : ArraySource, optional
        The rows from which starts are made, where those of `source` do not lie in memory.
    checkpoint : Checkpoint, optional
        It keeps the runs, which are then done one by one, without shortcuts that learn.

    Returns
    -------
    Runs

    Raises
    ------
    DegenerateCovarianceError
        If in every run the covariance of a component collapsed.
    """
    model = model_of(settings, source, checkpoint is not None)
    in_memory: Any = source if sampled is None else sampled
    if checkpoint is not None:
        checkpoint.start_from(given)
        made = cache(partial(_starts, settings, model, given, seed, in_memory, search, follower))

        def start(run: int) -> Start:
            return made()[0](run)  # there is no search before a run begins: one that goes on needs none

        return _best(settings, model, settings.n_init, start, source, names, 1, watch, follower, checkpoint)
    start_of, of_sample = _starts(settings, model, given, seed, in_memory, search, follower)
    at_once = 1
    # A follower sees one run after another, and a stream is read for one.
    by_turns = settings.n_init == 1 or follower is not None or watch is not None or source.whole is None
    if not by_turns and not has_own_threads():
        operations = source.n_rows * operations_of_pass(settings.n_components, source.n_features)
        at_once = plan_runs(settings.n_init, operations, settings.n_threads)
    if at_once > 1:
        model = model_of(settings._replace(n_threads=1), source)
    if settings.n_init > 1 or not of_sample:
        return _best(settings, model, settings.n_init, start_of, source, names, at_once, watch, follower)

    def run(start: Callable[[], Start]) -> Runs:
        return _best(settings, model, 1, lambda _: start(), source, names, 1, watch, follower)

    def of_kmeans() -> Start:
        return Start(make_start("kmeans", in_memory, model, seed, 0), "kmeans")

    # The runs that a larger n_init would do, and the start that does without a search.
    in_turn: list[Callable[[], Start]] = [
        *(partial(start_of, number) for number in range(1 + RUNS_AFTER_COLLAPSE)),
        of_kmeans,
    ]
    return first_sound(run, in_turn, None if follower is None else follower.say)


def first_sound(
    run: Callable[[Callable[[], Start]], Runs],
    starts: Sequence[Callable[[], Start]],
    say: Callable[[str], None] | None = None,
) -> Runs:
    """Do the run from the first start and, if it collapses, from the next. A sample cannot tell which modes do.

    Return the first run without a collapse; if all collapse, the first that did not raise; if all raise, the first
    error is raised. `say` is told of each further run.
    """
    first_error: DegenerateFitError | None = None
    collapsed: Runs | None = None
    for number, start in enumerate(starts):
        if number > 0 and say is not None:
            say("a component collapsed on all rows; again from another start")
        try:
            found = run(start)
        except DegenerateFitError as error:
            first_error = first_error or error
            continue
        if not found.reports[0].degenerate or found.result.stopped_by == "callback":
            return found
        collapsed = collapsed or found
    if collapsed is None:
        assert first_error is not None
        raise first_error
    return collapsed


def _starts(
    settings: Settings,
    model: GaussianModel,
    given: GivenStart,
    seed: int,
    source: ArraySource,
    search: float,
    follower: Follower | None,
) -> tuple[Callable[[int], Start], bool]:
    """Return the function that gives the start of each run, and whether a search on a sample has made the first."""
    kind = settings.init_params
    if kind == "auto" and all(part is None for part in given):
        # A search comes before the runs, which may go side by side.
        say = None if follower is None else follower.say
        starts = AutoStarts(source, model, seed, settings.tol, settings.max_iter, search, say)
        return starts.start, starts.are_of_sample
    kind = "kmeans" if kind == "auto" else kind
    name = kind if given.means is None else "given"
    return lambda run: Start(_start(given, kind, model, seed, run, source), name), False


def model_of(settings: Settings, source: RowSource, stateless: bool = False) -> GaussianModel:
    """Return the model that settings ask for, for the columns of a source; `stateless`: no shortcut learns."""
    plain = type(source) is ArraySource and source.n_rows <= MOST_MAPPED_ROWS_WITH_BOUNDS
    return GaussianModel(
        settings.n_components,
        source.n_features,
        settings.structure,
        settings.reg_covar,
        settings.n_threads,
        AUTO if plain and not stateless else _shortcuts(source, stateless),
    )


def _shortcuts(source: RowSource, stateless: bool) -> str | tuple[str, ...]:
    """Return the shortcuts that a fit of these rows may take.

    Streams take none, so that sums do not depend on how the rows come; neither do few rows of a stream that lie in
    memory. Bounds need some bytes for each row, which is not meant for the rows of a large memory map.
    """
    if source.whole is None or isinstance(source, SampledRows):
        # Rows that are elsewhere do not come in blocks: their sums follow from their partitions.
        return ("packing",) if hasattr(source, "sums") else ()
    if stateless:
        return STATELESS
    if source.n_rows > MOST_MAPPED_ROWS_WITH_BOUNDS and is_mapped(source.whole.X):
        return tuple(name for name in SHORTCUTS if name != "bounds")
    return AUTO


def continue_fit(
    settings: Settings,
    parameters: GaussianParameters,
    source: RowSource,
    names: Names,
    watch: Watch | None = None,
    follower: Follower | None = None,
    checkpoint: Checkpoint | None = None,
) -> Runs:
    """Run EM once, from fitted parameters; the other arguments are those of `fit_from_starts`.

    Raises
    ------
    ValueError
        If they are of another shape than is asked for.
    DegenerateCovarianceError
        If the covariance of a component collapsed.
    """
    sizes = settings.n_components, source.n_features
    if parameters.structure != settings.structure or parameters.means.shape != sizes:
        found, expected = (parameters.structure.name, *parameters.means.shape), (settings.covariance_type, *sizes)
        raise ValueError(
            "warm_start=True goes on from the fitted parameters, but these have (covariance_type, n_components, "
            f"n_features) = {found}, and now {expected} is asked for. Set warm_start=False to start anew."
        )
    if checkpoint is not None:
        checkpoint.start_from(parameters)
    model = model_of(settings, source, checkpoint is not None)
    start = Start(parameters, "parameters before")
    return _best(settings, model, 1, lambda run: start, source, names, 1, watch, follower, checkpoint)


def _start(
    given: GivenStart, init_params: str, model: GaussianModel, seed: int, run: int, source: ArraySource
) -> GaussianParameters:
    """Return the parameters that a run starts from: what was given, and the rest made from the rows."""
    structure = model.structure
    if given.weights is not None and given.means is not None and given.precisions is not None:
        return GaussianParameters.from_precisions(structure, given.weights, given.means, given.precisions, project=True)
    # Weights and covariances of clusters belong to these and not to other means, whose order would be another.
    # A start that makes means only has equal weights and the pooled covariance about them.
    made = make_start(init_params, source, model, seed, run, given.means)
    if given.weights is None and given.means is None and given.precisions is None:
        return made
    weights = made.weights if given.weights is None else given.weights
    means = made.means if given.means is None else given.means
    if given.precisions is None:
        return GaussianParameters.from_covariances(structure, weights, means, made.covariances)
    return GaussianParameters.from_precisions(structure, weights, means, given.precisions, project=True)


def _best(
    settings: Settings,
    model: GaussianModel,
    n_init: int,
    start: Callable[[int], Start],
    source: RowSource,
    names: Names,
    at_once: int = 1,
    watch: Watch | None = None,
    follower: Follower | None = None,
    checkpoint: Checkpoint | None = None,
) -> Runs:
    """Run EM from each start, some at one time, and choose."""
    kinds = [""] * n_init

    def run(index: int, stop: NDArray[np.int32] | None) -> EMResult:
        n_done = 0 if checkpoint is None or (state := checkpoint.state) is None else len(state.history)
        callback = None if follower is None else follower.run_begins(index, n_done)
        parameters, kinds[index], done = start(index) if checkpoint is None else checkpoint.start(index, start)
        # The search takes shortcuts. A run without them has other bits, and is done anew.
        if done is not None and follower is None and checkpoint is None and model.shortcuts:
            return done
        result = iterate(
            model,
            source,
            parameters,
            tol=settings.tol,
            max_iter=settings.max_iter,
            callback=callback,
            watch=watch if stop is None else Watch(_ended_by(stop)),
            keeper=checkpoint,
        )
        if follower is not None:
            follower.run_ends(result)
        return result

    columns: dict[int, ColumnDoubts] = {}  # by the identity of a result, all of which best_run holds

    def degeneracy(result: EMResult) -> Degeneracy | None:
        collapse, columns[id(result)] = judge_fit(result.statistics, settings.reg_covar, source.effective_rows)
        return None if collapse is None else Degeneracy(collapse.message(names), *collapse[:3])

    def of_error(error: DegenerateFitError) -> Degeneracy:
        held = None if error.n_effective is None else error.n_effective / source.total_weight * source.effective_rows
        return Degeneracy(str(error), error.component, None, held)

    do: Callable[[int, Any], EMResult] = run
    judge: Callable[[EMResult], Degeneracy | None] = degeneracy
    if checkpoint is not None:
        do, judge = checkpoint.runs(run, kinds), checkpoint.verdicts(degeneracy)
    try:
        result, reports = best_run(do, n_init, judge, of_error, at_once, kinds)
    except DegenerateFitError as error:
        message = f"{error}{_constant_columns(source, names)} {_COLLAPSED}"
        raise DegenerateCovarianceError(message, error.component, error.n_effective) from error
    if n_init > 1:
        reports = count_alike(reports, source.total_weight)
    return Runs(result, reports, columns[id(result)])


def count_alike(reports: list[RunReport], weight: float) -> list[RunReport]:
    """Return reports that say how many of the runs ended in the same mode; `weight` is the total of the rows."""
    return [report._replace(n_alike=_n_alike(report, reports, weight)) for report in reports]


def _n_alike(report: RunReport, reports: list[RunReport], weight: float) -> int:
    """Return the number of runs that ended in the mode of this one; 0 if it was set aside."""
    if report.degenerate or report.objective is None:
        return 0
    others = (other.objective for other in reports if not other.degenerate and other.objective is not None)
    return sum(abs(other - report.objective) <= SAME_MODE * weight for other in others)


def _ended_by(stop: NDArray[np.int32]) -> Callable[[EMRecord], bool]:
    """Return a callback that ends a run once another thread has set the flag."""

    def callback(record: EMRecord) -> bool:
        return bool(stop[0])

    return callback


def _constant_columns(source: RowSource, names: Names) -> str:
    """Name columns without variance, the plainest reason for a collapse."""
    least, greatest = source.columns.column_range
    constant = ColumnDoubts(constant=tuple(np.flatnonzero(least == greatest).tolist()))
    return "".join(f" {message}" for message in constant.messages(0.0, names))
