"""Estimators and distributions as HTML for notebooks, in scikit-learn's manner: parameters, and whether fitted."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import numpy as np

from emix.arguments import counted
from emix.estimators.sklearn_protocol import changed_params
from emix.exceptions import shown
from emix.summary.html import block, escape, table_html
from emix.summary.text_table import format_numbers

if TYPE_CHECKING:
    from typing import Any

    from emix.estimators.sklearn_protocol import SklearnEstimator
    from emix.normal.multivariate_normal import MultivariateNormal

__all__ = ["estimator_html", "normal_html"]

# Numbers of features of a distribution whose correlations are shown too.
_MOST_CORRELATIONS = 8
_MOST_FEATURES = 30


def estimator_html(estimator: SklearnEstimator) -> str:
    """Return an estimator's name, whether it is fitted, and its parameters: those that were changed come first, bold.

    Parameters
    ----------
    estimator : SklearnEstimator

    Returns
    -------
    str
        HTML that needs nothing else, for a light and a dark page.
    """
    signature = inspect.signature(type(estimator)).parameters
    defaults = {name: "" if one.default is one.empty else shown(one.default) for name, one in signature.items()}
    values = estimator.get_params(deep=False)
    changed = changed_params(estimator)
    names = sorted(values, key=lambda name: name not in changed)  # a stable sort
    columns = [names, [shown(values[name]) for name in names], [defaults[name] for name in names]]
    state = "fitted" if estimator.__sklearn_is_fitted__() else "not fitted"
    count = f"{len(changed)} of {len(names)} parameters changed" if changed else f"{len(names)} parameters, all default"
    table = table_html(["parameter", "value", "default"], columns, changed=range(len(changed)))
    return block(
        f'<p class="emix-title">{escape(type(estimator).__name__)}<span class="emix-badge">{state}</span></p>',
        _results(estimator),
        f"<details><summary>{count}</summary>{table}</details>",
    )


def _results(estimator: Any) -> str:
    """Return the changed parameters, and the few results that are asked for first, in a line."""
    changed = changed_params(estimator)
    parts = [f"{name}={shown(value)}" for name, value in changed.items()]
    line = f"<p>{escape(', '.join(parts))}</p>" if parts else ""
    fitted = vars(estimator).get("best_", estimator)  # of a selector, the mixture that was chosen
    if not fitted.__sklearn_is_fitted__() or not hasattr(fitted, "means_"):
        return line  # of an estimator that is no mixture, its parameters
    k, d = fitted.means_.shape
    found = [counted(k, "component"), counted(d, "column")]
    if fitted is not estimator:
        found.insert(0, f"chosen: {fitted.covariance_type}")
    if hasattr(fitted, "log_likelihood_"):
        found.append(f"log-likelihood {fitted.log_likelihood_:.6g} nats")
        found.append(f"{fitted.n_iter_} iterations, {'converged' if fitted.converged_ else 'not converged'}")
    return f"{line}<p>{escape(', '.join(found))}</p>"


def normal_html(normal: MultivariateNormal) -> str:
    """Return a distribution's means, standard deviations and, of a few features, correlations.

    Parameters
    ----------
    normal : MultivariateNormal

    Returns
    -------
    str
        HTML that needs nothing else, for a light and a dark page.
    """
    d = normal.n_features
    given = getattr(normal, "feature_names_in_", None)
    names = [f"x{j}" for j in range(d)] if given is None else [str(name) for name in given]
    deviations = np.sqrt(np.diagonal(normal.covariance))
    header = ["feature", "mean", "standard deviation"]
    least = float(deviations[deviations > 0.0].min(initial=np.inf))
    columns = [names, format_numbers(normal.mean, resolution=least), format_numbers(deviations)]
    if 1 < d <= _MOST_CORRELATIONS:
        with np.errstate(invalid="ignore", divide="ignore"):  # a constant feature has no correlation
            correlations = normal.covariance / np.outer(deviations, deviations)
        header += [f"correlation with {name}" for name in names[:-1]]
        columns += [
            ["" if i <= j else "—" if np.isnan(correlations[i, j]) else f"{correlations[i, j]:.3f}" for i in range(d)]
            for j in range(d - 1)
        ]
    more = f"<p>and {d - _MOST_FEATURES} more</p>" if d > _MOST_FEATURES else ""
    plural = "s" if d > 1 else ""
    singular = f", of rank {normal.rank}" if normal.rank < d else ""
    return block(
        f'<p class="emix-title">MultivariateNormal<span class="emix-badge">{d} feature{plural}{singular}</span></p>',
        table_html(header, [column[:_MOST_FEATURES] for column in columns]),
        more,
    )
