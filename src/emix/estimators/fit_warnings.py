"""Warnings at the end of a fit or a step: of rows, a component that collapsed, columns, infinite precisions."""

from __future__ import annotations

import math

import numpy as np

from emix.em.restarts import RunReport
from emix.estimators.parameters_check import Settings
from emix.exceptions import warn, warn_convergence
from emix.gaussian.collapse import LEAST_VARIANCE, ColumnDoubts, Names, judge_fit
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.reg_covar import RegCovar
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import STRUCTURES
from emix.rows.source import RowSource
from emix.rows.validation import FloatArray

__all__ = ["warn_of_doubts", "warn_of_infinite_precisions", "warn_of_step"]

# The largest number of each dtype.
_LARGEST = {character: float(np.finfo(character).max) for character in "df"}


def warn_of_infinite_precisions(parameters: GaussianParameters, precisions: FloatArray) -> None:
    """Warn if a precision is beyond the rows' dtype; NaN is a difference of two that are."""
    kind = precisions.dtype
    # A look at the factors settles nearly all fits, in less than half of the time that NumPy's maximum takes.
    if parameters.has_precisions_within(_LARGEST[kind.char]) or np.maximum.reduce(precisions, axis=None) < math.inf:
        return
    least = 1.0 / _LARGEST[kind.char]
    other = " or pass float64," if kind.char == "f" else ""
    warn(
        f"precisions_ is infinite in places: the inverse of a variance below {least:.2g} is beyond {kind}. Densities "
        "and labels are not affected. Divide the columns by their standard deviations,"
        f"{other} if you need the precisions."
    )


def warn_of_doubts(
    source: RowSource, settings: Settings, chosen: RunReport, doubts: ColumnDoubts, names: Names
) -> None:
    """Warn of rows that are all equal, of a component that collapsed, and of columns."""
    if settings.n_components > 1 and len(doubts.constant) == source.n_features:
        warn(
            f"All {source.n_rows} rows are equal: no start and no number of components can tell groups among them, "
            "and their variances are reg_covar alone. Look at the data, or set n_components=1."
        )
        return
    if chosen.degenerate:
        advice = ["pass more rows"] if settings.n_components == 1 else ["decrease n_components", "increase n_init"]
        if chosen.column is not None:
            advice.insert(0, "leave the column out")
        sizes = settings.n_components, source.n_features
        own = settings.structure.n_parameters(*sizes)
        if any(other.n_parameters(*sizes) < own for other in STRUCTURES.values()):
            advice.append("choose a covariance_type with fewer parameters")
        remedy = " or ".join([", ".join(advice[:-1]), advice[-1]]) if len(advice) > 1 else advice[0]
        warn_convergence(
            f"The fit is degenerate: {chosen.message}. Its log-likelihood says little about the data: {remedy}."
        )
    for message in doubts.messages(settings.reg_covar, names):
        warn(message)


def warn_of_step(
    statistics: GaussianStatistics,
    reg_covar: RegCovar,
    before: GaussianParameters | None,
    after: GaussianParameters,
    n_rows: float,
    names: Names,
    remedy: str,
    *,
    of_few_rows: bool,
    earlier: GaussianStatistics | None = None,
) -> None:
    """Warn of a step from statistics to parameters in which a component collapsed, or a column became constant.

    Parameters
    ----------
    statistics : GaussianStatistics
        Those of the last M-step.
    reg_covar : float or "auto"
    before, after : GaussianParameters
        Before the step, None if there were none, and after it.
    n_rows : float
        Rows that the statistics are worth.
    names : ndarray of str or None
        Of the columns.
    remedy : str
        Ends the message.
    of_few_rows : bool
        As of `judge_fit`.
    earlier : GaussianStatistics, optional
        Those of a step before, after which there was a warning: a component that had collapsed then is none to warn of.
    """
    collapse, doubts = judge_fit(statistics, reg_covar, n_rows, of_few_rows=of_few_rows)
    if collapse is not None and earlier is not None:
        known = judge_fit(earlier, reg_covar, n_rows, of_few_rows=of_few_rows).collapse
        if known is not None and known.component == collapse.component:
            collapse = None
    found = [] if collapse is None else [collapse.message(names)]
    if doubts.constant:
        # A column that was constant before has been warned of.
        old = np.inf if before is None else _variances(before).max(axis=0)
        narrowed = _variances(after).max(axis=0) < LEAST_VARIANCE * old
        new = [j for j in doubts.constant if narrowed[j]]
        if new:
            listed = ", ".join(str(j) if names is None else repr(str(names[j])) for j in new)
            found.append(f"no variance is left in column{'s' * (len(new) > 1)} {listed}, constant in these rows")
    if found:
        warn_convergence(f"The step is degenerate: {'; '.join(found)}. {remedy}")


def _variances(parameters: GaussianParameters) -> FloatArray:
    """Return the variances of each component, (K, d)."""
    form, K, d = parameters.structure.form, parameters.n_components, parameters.n_features
    return np.asarray(np.diagonal(form.to_full(parameters.covariances, K, d), axis1=1, axis2=2))
