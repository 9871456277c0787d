"""The attributes that a fit gives its estimator, and its last warnings."""

from __future__ import annotations

from typing import Any

from emix.estimators.fit_state import attributes_of
from emix.estimators.fit_warnings import warn_of_doubts, warn_of_infinite_precisions
from emix.estimators.mixture_runs import Runs
from emix.estimators.parameters_check import Settings
from emix.exceptions import warn_convergence
from emix.gaussian.collapse import Names
from emix.rows.source import RowSource, without_unit

__all__ = ["NOT_CONVERGED", "REPORT", "all_count_once", "attributes_of_fit"]

REPORT = (
    "log_likelihood_", "total_weight_", "lower_bound_", "lower_bounds_", "columns_in_doubt_", "history_", "runs_",
    "converged_", "n_iter_", "stopped_by_", "fit_time_", "_fit_weight", "_stream",
)  # fmt: skip
"""Attributes that tell of a fit, besides its parameters."""

# The words of scikit-learn, which its users may look for.
NOT_CONVERGED = (
    "Best performing initialization did not converge. Try different init parameters, or increase max_iter, tol, or "
    "check for degenerate data."
)


def attributes_of_fit(
    estimator: Any, settings: Settings, found: Runs, source: RowSource, names: Names, seconds: float
) -> dict[str, Any]:
    """Return all attributes of an estimator after a fit, those before it included; warn of what is doubtful.

    Parameters
    ----------
    estimator : GaussianMixture
        It is left as it is.
    settings : Settings
    found : Runs
        On the rows with their weights in the source's `weight_unit`.
    source : RowSource
        With the weights as they were given.
    names : ndarray of str or None
        Of the columns.
    seconds : float
        Time that the fit took.

    Returns
    -------
    dict of str to object
    """
    # Means are taken before the unit of the weights comes in: in a very small unit, totals have few bits.
    weight = without_unit(source).total_weight
    means = [record.log_likelihood / weight for record in found.result.history if record.accepted]
    result, runs, doubts = found if source.weight_unit == 1.0 else found.in_unit(source.weight_unit)

    if not result.converged and settings.max_iter > 0 and result.stopped_by != "callback":
        warn_convergence(NOT_CONVERGED)
    chosen = runs[0] if len(runs) == 1 else next(report for report in runs if report.chosen)
    if chosen.degenerate or doubts:
        warn_of_doubts(source, settings, chosen, doubts, names)
    published = attributes_of(result.parameters, source.dtype)
    warn_of_infinite_precisions(result.parameters, published["precisions_"])
    total_weight = source.total_weight
    # All attributes, settings too, are replaced in one assignment.
    state = {
        **vars(estimator),
        **published,
        "log_likelihood_": result.log_likelihood,
        "total_weight_": total_weight,
        "lower_bound_": found.result.log_likelihood / weight,
        "lower_bounds_": means,
        "columns_in_doubt_": doubts,
        "history_": result.history,
        "runs_": runs,
        "converged_": result.converged,
        "n_iter_": result.n_iter,
        "stopped_by_": result.stopped_by,
        "n_features_in_": source.n_features,
        "fit_time_": seconds,
        "_fit_weight": None if all_count_once(source) else total_weight,
        "_stream": None,
    }
    if names is not None:
        state["feature_names_in_"] = names
    elif "feature_names_in_" in state:
        del state["feature_names_in_"]
    return state


def all_count_once(source: RowSource) -> bool:
    """True if there are no weights, or all are 1: equal, and as many in all as rows."""
    return source.total_weight == source.effective_rows == source.n_rows
