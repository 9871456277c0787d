"""Warnings at the end of a fit: of its rows, a component that collapsed, columns, infinite precisions."""

from __future__ import annotations

import math

import numpy as np

from emix.em.restarts import RunReport
from emix.estimators.parameters_check import Settings
from emix.exceptions import warn, warn_convergence
from emix.gaussian.collapse import ColumnDoubts, Names
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.structures import STRUCTURES
from emix.rows.source import RowSource
from emix.rows.validation import FloatArray

__all__ = ["warn_of_doubts", "warn_of_infinite_precisions"]

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
