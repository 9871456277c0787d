"""Summaries of the command as JSON: one object on one line of standard output.

The keys are stable: later versions may add some, and take none away.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from emix.cli.outputs import write_results
from emix.files.json_values import NOT_PLAIN, plain_value
from emix.summary.fitted import column_names, covariance_type, criteria

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from emix.choice.selection import MixtureRow
    from emix.cli.long_tables import LongTable
    from emix.cli.tables import Table
    from emix.estimators.gaussian_mixture import GaussianMixture
    from emix.summary.fitted import Assignment

_NULL = "null stands for what there is not, and for a number that is not finite"
_MODEL_KEYS = """\
  model    n_components, covariance_type, feature_names, weights, means, covariances (in the shape of covariances_)"""
_FIT_KEYS = """\
  fit      log_likelihood (total, nats), n_parameters, total_weight, bic, aic, icl, rows (weight of the rows of each
           component), converged, degenerate, n_iter, stopped_by, seconds, settings (n_init, init_params, tol,
           reg_covar, max_iter, random_state), runs (run, log_likelihood, n_iter, converged, degenerate, chosen, ...)"""

FIT_KEYS = f"""\
keys of --json ({_NULL}):
  emix     version
  command  fit
  data     file, n_rows, n_used (the rows that have a value in every column)
{_MODEL_KEYS}
{_FIT_KEYS}
  choice   criterion, mixtures (covariance_type, n_components, n_parameters, log_likelihood, bic, aic, icl, cv,
           cv_error, converged, degenerate, message, start, chosen); null if one mixture was asked for
  files    model, picture
with --target, instead of model, fit and choice:
  classifier  classes (class, prior, n_components, covariance_type, weights, means, covariances), log_likelihood,
           n_parameters, bic

"""

INFO_KEYS = f"""\
keys of --json ({_NULL}):
  emix     version
  command  info
{_MODEL_KEYS}
{_FIT_KEYS};
           null if the parameters were given; icl and rows are always null, as they need the data
  files    model
of a model of --target, instead of model and fit:
  classifier  as of emix fit

"""

SCORE_KEYS = f"""\
keys of --json ({_NULL}):
  emix     version
  command  score
  data     file, n_rows, n_used (the rows that have a value in every column)
  scores   total, mean and least (log-densities, nats), rows (number of the rows of each component)
  files    model, scores

"""


def write_json(command: str, content: Mapping[str, Any]) -> None:
    """Write an object to standard output, with the version and the command's name before its keys."""
    from emix import __version__

    # ASCII alone, whatever the encoding of standard output is.
    text = json.dumps({"emix": __version__, "command": command, **_plain(content)}, allow_nan=False)
    write_results(f"{text}\n")


def data_facts(source: str, table: Table | LongTable) -> dict[str, Any]:
    """Return the size of a table: its rows in the file, and those that have a value in every column."""
    return {"file": source, "n_rows": table.n_rows, "n_used": table.n_used}


def model_facts(estimator: GaussianMixture, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the parameters of a mixture."""
    return {
        "n_components": len(estimator.weights_),
        "covariance_type": covariance_type(estimator),
        "feature_names": column_names(estimator, names),
        "weights": estimator.weights_,
        "means": estimator.means_,
        "covariances": estimator.covariances_,
    }


def fit_facts(estimator: GaussianMixture, assignment: Assignment | None = None) -> dict[str, Any] | None:
    """Return the report of a mixture about its fit; None if its parameters were given."""
    values = criteria(estimator, assignment)
    if values is None:
        return None
    settings = ("n_init", "init_params", "tol", "reg_covar", "max_iter", "random_state")
    return {
        "log_likelihood": values.log_likelihood,
        "n_parameters": values.n_parameters,
        "total_weight": values.total_weight,
        "bic": values.bic,
        "aic": values.aic,
        "icl": values.icl,
        "rows": None if assignment is None else assignment.counts,
        "converged": estimator.converged_,
        "degenerate": is_degenerate(estimator),
        "n_iter": estimator.n_iter_,
        "stopped_by": estimator.stopped_by_,
        "seconds": estimator.fit_time_,
        "settings": {name: getattr(estimator, name) for name in settings},
        "runs": [run._asdict() for run in estimator.runs_],
    }


def choice_facts(table: list[MixtureRow], criterion: str, best: MixtureRow | None) -> dict[str, Any]:
    """Return the mixtures among which one was chosen, or is not yet."""
    return {"criterion": criterion, "mixtures": [row._asdict() | {"chosen": row == best} for row in table]}


def is_degenerate(estimator: GaussianMixture) -> bool:
    """True if a component of the run that is kept has collapsed."""
    return any(run.chosen and run.degenerate for run in estimator.runs_)


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it; what it cannot hold, such as infinity or a random generator, as None."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    plain = plain_value(value)
    return None if plain is NOT_PLAIN else plain
