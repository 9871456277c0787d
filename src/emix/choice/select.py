"""select_mixture: fit mixtures of several sizes and structures, and choose one."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emix.choice.cross_validation import HeldOut, cross_validate
from emix.choice.fits import CellFit, Fitter
from emix.choice.request import Cell, cells_of, check_covariance_types, check_criterion, check_folds, check_n_components
from emix.choice.selection import (
    MixtureRow,
    MixtureSelection,
    SelectionInterrupted,
    choose,
    mixture_name,
    ranked_rows,
    value_of,
)
from emix.choice.sweep import Sweep, SweepEnded, n_parameters
from emix.estimators.criteria import aic, bic, icl, warn_of_n
from emix.estimators.fit_attributes import attributes_of_fit
from emix.estimators.gaussian_mixture import GaussianMixture
from emix.estimators.parameters_check import Settings, check_settings
from emix.exceptions import shown, warn
from emix.random_source import seed_of
from emix.rows.arrays import ArraySource
from emix.rows.validation import as_rows, as_sample_weight, check_column_range, feature_names

__all__ = ["select_mixture"]

# The first few mixtures of the table are searched for better modes, and so are those that take their places. A mixture
# that is further behind the best is not: its criterion, minus twice a log-likelihood, would have to fall by so much.
BEST_SEARCHED, MOST_SEARCHED, FAR_BEHIND = 5, 24, 20.0

# Share of the passes that a search for a better mode of a mixture may take: there may be two dozen of them. On wine and
# breast cancer a sweep ends with the same best mixture for a share of 0.015, 0.035 and 0.075, in 2.7, 2.9 and 3.4 s of
# one processor.
SHARE = 0.035
# The same for the mixture that is chosen. Of 16 sweeps of eight data sets four end with a higher mode of it for all
# passes, by 3.2 to 5.1 nats in all, and four for half of them, in one case 0.5 nats lower.
SHARE_OF_CHOSEN = 0.5

_NOT_HELD_OUT = HeldOut()


def select_mixture(
    X: Any,
    n_components: Any = range(1, 10),
    covariance_types: Any = "all",
    criterion: str = "bic",
    *,
    sample_weight: ArrayLike | None = None,
    n_init: int = 1,
    n_folds: int = 5,
    random_state: int | np.random.Generator | np.random.RandomState | None = None,
    n_threads: int | None = None,
    verbose: int = 0,
    tol: float = 1e-6,
    reg_covar: float | Literal["auto"] = "auto",
    max_iter: int = 1000,
    init_params: str = "auto",
    callback: Callable[[MixtureRow], object] | None = None,
) -> MixtureSelection:
    """Choose the number of components and the covariance structure of a Gaussian mixture.

    Every structure is fitted with every number of components, in two phases: from starts of its own, two agglomerations
    and k-means (or as `init_params` and `n_init` say); then from the parameters of its neighbours, a component split or
    two merged, or another structure's, which are kept where the likelihood is higher. A run that will hardly come as
    high as the best so far is given up. The first one, from mclust's agglomeration, is not. With ``init_params="auto"``
    the best few of the table are then also fitted as `GaussianMixture` would, and the better fits kept. Fits in which a
    component collapsed stand in the table and are never chosen: their likelihood says little about the data.

    Parameters
    ----------
    X : array_like or data frame of shape (n_samples, n_features)
        float64 and float32 are fitted as they are, without a copy.
    n_components : int or iterable of int
        Numbers of components. Those beyond the number of distinct rows, and for "cv" of the rows without a fold,
        are left out with a warning.
    covariance_types : "all", str or iterable of str
        Names of covariance structures, as `covariance_type` of `GaussianMixture`. "all": every structure there is. With
        one column there are two, "E", one variance for all components ("tied"), and "V", one for each ("full").
    criterion : {"bic", "aic", "icl", "cv"}
        "bic", "aic", "icl" are those of `GaussianMixture`, smaller is better. "cv" is the log-likelihood of rows that
        were held out of the fit; chosen is the mixture with fewest parameters within one standard error of the best.
    sample_weight : array_like of shape (n_samples,), optional
        Weights of the rows, not negative. A weight of 2 counts as the row written twice; for "cv" a row is held out
        whole.
    n_init : int
        Starts of its own for each mixture. With ``init_params="auto"`` 1 is those above, and more are added to them.
    n_folds : int
        Parts of the rows that are held out in turn, for "cv".
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Source of the starts and of the folds; an int gives the same result each time.
    n_threads : int or None
        Most threads to use; results do not depend on it.
    verbose : int
        1 prints a line as each mixture is fitted.
    tol, reg_covar, max_iter, init_params
        As those of `GaussianMixture`.
    callback : callable, optional
        Called with the `MixtureRow` of each mixture as it is fitted, and again of one for which a better fit is found;
        one call after the other, in any thread. It ends the sweep by returning True: the choice is among the mixtures
        that are fitted by then, and `MixtureSelection.stopped_by_` says so. By "cv" these are held out all the same.
        An error that it raises ends the sweep.

    Returns
    -------
    MixtureSelection
        `best_`, a fitted GaussianMixture; `table_`, a row for each mixture; `to_pandas` and `plot`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be, or every mixture collapsed.
    SelectionInterrupted
        After Ctrl-C. It is a KeyboardInterrupt; its attribute `table` has the mixtures that were fitted by then.

    Warns
    -----
    UserWarning
        If numbers of components are left out; if n of BIC or ICL may not be the number of rows; if more than half of
        the mixtures collapsed, or the chosen one, of several components, has more free parameters than there are rows;
        as `GaussianMixture.fit` does of the mixture that is chosen.

    Notes
    -----
    Time grows with the number of mixtures, and with the rows as that of a fit does. "cv" takes `n_folds` times as long
    again.

    References
    ----------
    C. Fraley and A. E. Raftery (2002), Model-based clustering, discriminant analysis, and density estimation, Journal
    of the American Statistical Association 97, 611-631 (choice by BIC; its sign is the other one there).

    Examples
    --------
    >>> import emix
    >>> faithful = emix.load_faithful()
    >>> selection = emix.select_mixture(faithful.data, range(1, 5), ["full", "tied"], random_state=0)
    >>> selection.best_.covariance_type, selection.best_.n_components
    ('tied', 3)
    >>> round(selection.best_row_.bic, 2)
    2314.3
    """
    caller = "select_mixture"
    mixture = GaussianMixture(
        tol=tol,
        reg_covar=reg_covar,
        max_iter=max_iter,
        n_init=n_init,
        init_params=init_params,
        random_state=random_state,
        verbose=verbose,
        n_threads=n_threads,
    )
    return select_from(mixture, X, n_components, covariance_types, criterion, sample_weight, n_folds, caller, callback)


def select_from(
    mixture: GaussianMixture,
    X: Any,
    n_components: Any,
    covariance_types: Any,
    criterion: str,
    sample_weight: ArrayLike | None,
    n_folds: int,
    caller: str,
    callback: Callable[[MixtureRow], object] | None = None,
) -> MixtureSelection:
    """Choose with the settings of an estimator, whose number of components and structure do not count."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {shown(callback)}, expected a function of a MixtureRow, or None.")
    criterion = check_criterion(criterion, caller=caller)
    numbers = check_n_components(n_components, caller=caller)
    settings = check_settings(mixture, caller)
    names = feature_names(X)
    rows = as_rows(X, caller=caller, to_fit=True)
    weight = as_sample_weight(sample_weight, rows.shape[0])
    source = ArraySource(rows, weight)
    structures = check_covariance_types(covariance_types, source.n_features, caller=caller)
    cells = cells_of(numbers, structures, source, caller=caller)
    check_column_range(source.columns, rows.dtype.char, names)
    if criterion == "cv":
        n_rows = source.n_rows if weight is None else int(np.count_nonzero(weight))
        n_folds, cells = check_folds(n_folds, n_rows, cells, caller=caller)
    elif criterion in ("bic", "icl"):
        warn_of_n(criterion, source.total_weight, weight, None)
    seed = seed_of(mixture.random_state)

    moderate, quiet = source.without_unit(), settings._replace(verbose=0)
    fitter = Fitter(moderate, quiet, seed, names)
    follower = _Follower(source, bool(settings.verbose), callback)
    sweep = Sweep(cells, fitter, settings.n_threads, follower if settings.verbose or callback is not None else None)
    held_out: dict[Cell, HeldOut] = {}
    table_of = _Tables(sweep, source)
    try:
        with suppress(SweepEnded):
            sweep.run()
            if criterion != "cv" and settings.init_params == "auto":
                _search_the_best(sweep, table_of, criterion)
                sweep.order()
        follower.is_over = True  # the mixture that is chosen is searched in any case
        done = [cell for cell in cells if cell in sweep.fits]
        if criterion == "cv":

            def on_fold(training: ArraySource) -> Fitter:
                return Fitter(training, quiet, seed, names)

            held_out = cross_validate(done, moderate, on_fold, n_folds, seed, settings.n_threads)
        row = choose(table_of(held_out), criterion)
        best = next(cell for cell in done if cell[0] == row.covariance_type and cell.n_components == row.n_components)
        if settings.init_params == "auto":
            sweep.search([best], SHARE_OF_CHOSEN)
    except KeyboardInterrupt as interrupt:
        raise SelectionInterrupted(table_of(held_out)) from interrupt
    table = table_of(held_out)
    row = table[done.index(best)]
    _warn_of_the_choice(row, table, source)
    chosen = _as_mixture(mixture, fitter.settings_of(best), sweep.fits[best], source, names)
    return MixtureSelection(chosen, row, table, criterion, "callback" if follower.has_ended else "end", len(cells))


def _warn_of_the_choice(chosen: MixtureRow, table: list[MixtureRow], source: ArraySource) -> None:
    """Warn if the rows are too few, or too few of their values differ, for the mixtures that were asked for."""
    collapsed = sum(row.degenerate for row in table)
    remedy = "Pass more rows, or ask for fewer components and for covariance_types with fewer parameters."
    if 2 * collapsed > len(table):
        warn(
            f"A component collapsed in {collapsed} of {len(table)} mixtures, so that the choice was among the other "
            f"{len(table) - collapsed}: the rows are too few for so many components, or have few distinct values. "
            f"{remedy}"
        )
    n = source.n_rows if source.sample_weight is None else int(np.count_nonzero(source.sample_weight))
    # Of many columns, one component has more parameters than there are rows by its mean alone.
    if chosen.n_parameters > n and chosen.n_components > 1:
        warn(
            f"The mixture that is chosen, {chosen.covariance_type!r} with {chosen.n_components} components, has "
            f"{chosen.n_parameters} free parameters, more than the {n} rows of X: it describes these rows, and says "
            f"little about others. {remedy}"
        )


def _search_the_best(sweep: Sweep, table_of: _Tables, criterion: str) -> None:
    """Search for better modes of the mixtures that may be chosen, until the first few of the table have been searched.

    A sweep misses the best mode of some mixtures that `GaussianMixture` finds. Without the search, a choice between
    mixtures that are nearly as good would depend on that.
    """
    searched: set[Cell] = set()
    while len(searched) < MOST_SEARCHED:
        best = ranked_rows(table_of({}), criterion)[:BEST_SEARCHED]
        near = [row for row in best if value_of(row, criterion) <= value_of(best[0], criterion) + FAR_BEHIND]
        names = {(row.covariance_type, row.n_components) for row in near}
        found = [cell for cell in sweep.cells if (cell.covariance_type, cell.n_components) in names]
        todo = [cell for cell in found if cell not in searched]
        if not todo:
            return
        searched.update(todo)
        sweep.search(todo, SHARE)


class _Tables:
    """Makes the table of a sweep, each row once for a fit."""

    def __init__(self, sweep: Sweep, source: ArraySource) -> None:
        self._sweep, self._source = sweep, source
        self._made: dict[Cell, tuple[CellFit, HeldOut, MixtureRow]] = {}

    def __call__(self, held_out: dict[Cell, HeldOut]) -> list[MixtureRow]:
        sweep = self._sweep
        return [self._row(cell, held_out.get(cell, _NOT_HELD_OUT)) for cell in sweep.cells if cell in sweep.fits]

    def _row(self, cell: Cell, held_out: HeldOut) -> MixtureRow:
        fit = self._sweep.fits[cell]
        made = self._made.get(cell)
        if made is None or made[0] is not fit or made[1] is not held_out:
            made = self._made[cell] = fit, held_out, _row(cell, fit, self._source, held_out)
        return made[2]


def _row(cell: Cell, fit: CellFit, source: ArraySource, held_out: HeldOut) -> MixtureRow:
    free, n = n_parameters(cell, source.n_features), source.total_weight
    if fit.runs is None:
        none = math.nan
        return MixtureRow(
            cell.covariance_type, cell.n_components, free, none, none, none, none, None, False, True, fit.failure
        )
    log_likelihood, entropy = source.weight_unit * fit.log_likelihood, source.weight_unit * fit.entropy
    chosen = next(report for report in fit.runs.reports if report.chosen)
    message = chosen.message
    if held_out.collapsed_without is not None:
        message += f"; collapsed without fold {held_out.collapsed_without}"
    return MixtureRow(
        cell.covariance_type,
        cell.n_components,
        free,
        log_likelihood,
        bic(log_likelihood, free, n),
        aic(log_likelihood, free),
        icl(log_likelihood, free, n, entropy),
        held_out.mean,
        fit.runs.result.converged,
        chosen.degenerate,
        message,
        held_out.error,
        chosen.start,
    )


def _as_mixture(
    mixture: GaussianMixture, settings: Settings, fit: CellFit, source: ArraySource, names: NDArray[np.object_] | None
) -> GaussianMixture:
    """Return the estimator that the fit would have made, with the warnings that it would have given."""
    assert fit.runs is not None
    for message, category in fit.warned:
        warn(message, category)
    found = GaussianMixture(
        settings.n_components,
        covariance_type=settings.covariance_type,
        tol=mixture.tol,
        reg_covar=mixture.reg_covar,
        max_iter=mixture.max_iter,
        n_init=mixture.n_init,
        init_params=settings.init_params,
        random_state=mixture.random_state,
        n_threads=mixture.n_threads,
    )
    found.__dict__ = attributes_of_fit(found, settings, fit.runs, source, names, fit.seconds)
    return found


class _Follower:
    """Prints a line about each fit, and shows its row to the user's function, which may end the sweep.

    Parameters
    ----------
    source : ArraySource
    verbose : bool
    callback : callable or None

    Attributes
    ----------
    has_ended : bool
        True if the callback ended the sweep.
    is_over : bool
        True after the sweep: then nothing ends it, and only lines are printed.
    """

    def __init__(self, source: ArraySource, verbose: bool, callback: Callable[[MixtureRow], object] | None) -> None:
        self._source, self._verbose, self._callback = source, verbose, callback
        self.has_ended = self.is_over = False
        self._lock = threading.Lock()

    def __call__(self, cell: Cell, fit: CellFit) -> None:
        row = _row(cell, fit, self._source, _NOT_HELD_OUT)
        if self._verbose:
            line = mixture_name(cell.covariance_type, cell.n_components)
            if not math.isnan(row.log_likelihood):
                line += f"\t log-likelihood {row.log_likelihood:.5f}\t bic {row.bic:.5f}"
            # One text with its end: lines of several threads stay whole.
            print(line + ("\t collapsed" if row.degenerate else "") + "\n", end="", flush=True)
        if self._callback is None or self.is_over:
            return
        with self._lock:
            if not self.has_ended:
                answer = self._callback(row)
                self.has_ended = isinstance(answer, (bool, np.bool_)) and bool(answer)
        if self.has_ended:
            raise SweepEnded
