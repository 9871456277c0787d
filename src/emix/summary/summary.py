"""The text summary of a fitted mixture, with the facts that a statistician asks for first."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from emix.estimators.fit_state import parameters_of
from emix.gaussian.reg_covar import shown_ridge
from emix.summary.description import Description, Summary, Table
from emix.summary.fitted import (
    Assignment,
    assign,
    check_mixture,
    column_names,
    criteria,
    full_covariances,
    size_and_covariances,
    stop_sentence,
)
from emix.summary.text_table import format_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from emix.estimators.gaussian_mixture import GaussianMixture

# Nobody reads larger or more covariance matrices than these. The summary then shows standard
# deviations and says where the matrices are.
_MAX_MATRIX_FEATURES = 8
_MAX_MATRICES = 12
_MAX_REPORTED_RUNS = 5


def summary(
    estimator: GaussianMixture,
    X: Any = None,
    sample_weight: NDArray[np.floating] | None = None,
    *,
    feature_names: Sequence[str] | None = None,
) -> Summary:
    """Describe a fitted mixture in plain text, which is also a table in a notebook.

    Parameters
    ----------
    estimator : GaussianMixture
        A fitted mixture.
    X : array, frame or stream of rows of shape (n_samples, n_features), optional
        Rows, usually those of the fit: the log-likelihood and the criteria are theirs, and n is their number or
        weight. With them the summary also has the number of rows in each component, the mean largest responsibility,
        and ICL. Without them a stream (`partial_fit`) has no criteria.
    sample_weight : ndarray of shape (n_samples,), optional
        The weights of `X`.
    feature_names : sequence of str, optional
        Names of the columns; by default those of the fit.

    Returns
    -------
    Summary
        A str: lines without a final newline. Log-likelihoods are totals in nats; covariances are in the columns' units.
        Notebooks show it as tables.

    Raises
    ------
    NotFittedError
        If the mixture is not fitted.
    TypeError
        If `estimator` is no mixture of emix, or an argument is of the wrong kind.
    ValueError
        If `feature_names` does not have one name a column, `X` has other columns than the fit, or `sample_weight` is
        not one weight for each row of `X`.
    """
    described = describe(estimator, X, sample_weight, feature_names=feature_names)
    return Summary(described.text(), described.html())


@np.errstate(under="ignore")  # tiny weights and variances underflow
def describe(
    estimator: GaussianMixture,
    X: Any = None,
    sample_weight: NDArray[np.floating] | None = None,
    *,
    feature_names: Sequence[str] | None = None,
) -> Description:
    """Return the heading, the facts and the tables of a fitted mixture; the arguments are those of `summary`."""
    check_mixture(estimator)
    estimator = copy.copy(estimator)  # stays one fit, even if another thread fits again
    names = column_names(estimator, feature_names)
    if X is None and sample_weight is not None:
        raise ValueError("sample_weight is given, but not X: pass the rows that it weights")
    heading = f"Gaussian mixture: {size_and_covariances(estimator)}"
    assignment = None if X is None else assign(estimator, X, sample_weight)
    weighted = assignment is not None and assignment.weight_range is not None
    facts = _data_facts(names, assignment)
    facts += _fit_facts(estimator, assignment, weighted=weighted)
    doubts = getattr(estimator, "columns_in_doubt_", None)  # None if the parameters were given
    if doubts is not None:
        facts += [("Warning", text) for text in doubts.messages(estimator.reg_covar, names)]
    components_table = _component_table(estimator, names, assignment, weighted=weighted)
    return Description(heading, facts, [components_table, *_covariance_tables(estimator, names)])


def _data_facts(
    names: list[str],
    assignment: Assignment | None,
) -> list[tuple[str, str]]:
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    columns = f"{len(names)} column{'s' if len(names) > 1 else ''} ({shown})"
    if assignment is None:
        return [("Data", columns)]
    facts = [("Data", f"{assignment.n_rows} rows, {columns}")]
    if assignment.weight_range is not None:
        least, greatest = assignment.weight_range
        facts.append(("Row weights", f"total {assignment.total_weight:.8g}, from {least:.6g} to {greatest:.6g}"))
    return facts


def _fit_facts(estimator: GaussianMixture, assignment: Assignment | None, *, weighted: bool) -> list[tuple[str, str]]:
    values = criteria(estimator, assignment)
    if values is None:
        return [("Fit", "none: the parameters were given")]
    mean = values.log_likelihood / values.total_weight
    total = f"{values.log_likelihood:.6f} nats (mean {mean:.6f})"
    if values.bic is None or values.aic is None:
        # The estimate has the log-density of each row under the parameters just before it.
        total = f"about {values.log_likelihood:.6g} nats (mean {mean:.4f}), an estimate: score(X) tells that of rows"
    facts = [("Log-likelihood", total), ("Free parameters", f"{values.n_parameters}")]
    if values.bic is None or values.aic is None:
        facts.append(("BIC", "none of a stream: pass X to summary, or call bic(X)"))
    else:
        if assignment is None:
            weighted = vars(estimator).get("_fit_weight") is not None
        n = f"{values.total_weight:.10g}" + (", the sum of the row weights" if weighted else "")
        facts.append(("BIC", f"{values.bic:.4f} (n = {n}; lower is better, as for AIC and ICL)"))
        facts.append(("AIC", f"{values.aic:.4f}"))
    if values.icl is not None:
        facts.append(("ICL", f"{values.icl:.4f}"))
    if assignment is not None and len(assignment.counts) > 1:
        facts.append(("Separation", f"mean largest responsibility {assignment.certainty:.4f}"))
    n_iter = int(estimator.n_iter_)
    facts.append(("Iterations", f"{n_iter}, {stop_sentence(estimator)}"))
    facts += _run_facts(estimator)
    facts.append(("Settings", _settings(estimator)))
    seconds = getattr(estimator, "fit_time_", None)
    if seconds is not None:
        facts.append(("Time", format_seconds(float(seconds))))
    return facts


def _settings(estimator: GaussianMixture) -> str:
    """Describe the settings that repeat the fit: the start, its seed, and reg_covar."""
    given = [name for name in ("weights_init", "means_init", "precisions_init") if getattr(estimator, name) is not None]
    seed = estimator.random_state
    texts = [
        f"start {estimator.init_params}" + (f" (given: {', '.join(given)})" if given else ""),
        f"random_state = {seed if seed is None or isinstance(seed, (int, np.integer)) else 'a generator'}",
        f"n_init = {estimator.n_init}",
        f"reg_covar = {shown_ridge(estimator.reg_covar)}",
    ]
    return ", ".join(texts)


def _run_facts(estimator: GaussianMixture) -> list[tuple[str, str]]:
    """Describe the results of the restarts, and the runs that were set aside.

    A degenerate run is kept only if all are degenerate; the text says that too.
    """
    runs = list(getattr(estimator, "runs_", None) or [])
    degenerate = sorted((run for run in runs if run.degenerate), key=lambda run: not run.chosen)
    facts = [
        ("Degenerate" if run.chosen else "Set aside", f"run {run.run}: {run.message}")
        for run in degenerate[:_MAX_REPORTED_RUNS]
    ]
    if len(degenerate) > _MAX_REPORTED_RUNS:
        facts.append(("", f"and {len(degenerate) - _MAX_REPORTED_RUNS} more, see the model's runs_"))
    if len(degenerate) == len(runs) > 1:
        return [("Runs", f"{len(runs)}; all are degenerate, the best of them is kept"), *facts]
    if len(runs) < 2:
        return facts
    chosen = next(run for run in runs if run.chosen)
    sound = [run for run in runs if not run.degenerate and run.objective is not None]
    # The runs that ended in the mode of the chosen one are the nearest to it.
    sound.sort(key=lambda run: abs((run.objective or 0.0) - (chosen.objective or 0.0)))
    text = f"{len(runs)}; {chosen.n_alike} reached the best log-likelihood"
    others = [run.log_likelihood for run in sound[chosen.n_alike :] if run.log_likelihood is not None]
    if others:
        text += f", the next best is {max(others):.6f}"
    return [("Runs", text), *facts]


def _component_table(
    estimator: GaussianMixture,
    names: list[str],
    assignment: Assignment | None,
    *,
    weighted: bool,
) -> Table:
    """Return the table of weights and means, a row per component."""
    n_components = len(estimator.weights_)
    header = ["Component", "weight"]
    columns = [[str(k) for k in range(n_components)], format_numbers(estimator.weights_)]
    if assignment is not None:
        header.append("row weight" if weighted else "rows")
        columns.append([f"{count:.10g}" for count in assignment.counts])
    deviations = _standard_deviations(estimator)
    for j, name in enumerate(names):
        header.append(name)
        columns.append(format_numbers(estimator.means_[:, j], resolution=float(deviations[:, j].min())))
    note = "" if assignment is None else "; rows by largest responsibility"
    return Table(f"Weights and means{note}", header, columns)


def _covariance_tables(estimator: GaussianMixture, names: list[str]) -> list[Table]:
    """Covariances in the structure's form, matrices or variances alone; a common covariance once."""
    n_components, n_features = estimator.means_.shape
    labels = [str(k) for k in range(n_components)]
    covariances = np.asarray(estimator.covariances_, dtype=np.float64)
    structure = parameters_of(vars(estimator)).structure
    if not structure.form.has_matrices:
        variances = covariances.reshape(n_components, -1)
        columns = names if structure.form.has_directions else ["variance"]
        title = "Variances" if structure.form.has_directions else "Variances, the same for all columns"
        if structure.is_common:
            labels, variances = ["all"], variances[:1]
            title = "Variances, the same for all components"
            if not structure.form.has_directions:
                title = "Variance, the same for all columns and components"
        cells = [labels, *(format_numbers(variances[:, j]) for j in range(len(columns)))]
        return [Table(title, ["Component", *columns], cells)]
    if n_features > _MAX_MATRIX_FEATURES or (n_components > _MAX_MATRICES and not structure.is_common):
        deviations = _standard_deviations(estimator)
        cells = [labels, *(format_numbers(deviations[:, j]) for j in range(n_features))]
        title = "Standard deviations (the covariance matrices are in the model's covariances_)"
        return [Table(title, ["Component", *names], cells)]
    if structure.is_common:
        return [_matrix("Covariances, the same for all components", covariances, names)]
    return [_matrix(f"Covariances of component {k}", matrix, names) for k, matrix in enumerate(covariances)]


def _matrix(title: str, matrix: NDArray[np.float64], names: list[str]) -> Table:
    # The whole matrix has one format, fine enough for its smallest variance: it looks symmetric.
    text = format_numbers(matrix.ravel(), resolution=float(matrix.diagonal().min()))
    d = len(names)
    return Table(title, ["", *names], [names, *([*text[j::d]] for j in range(d))])


def _standard_deviations(estimator: GaussianMixture) -> NDArray[np.float64]:
    variances = np.diagonal(full_covariances(estimator), axis1=1, axis2=2)
    return np.sqrt(variances)


def format_seconds(seconds: float) -> str:
    """Write a duration with the unit that suits it.

    Examples
    --------
    >>> format_seconds(0.00234)
    '2.3 ms'
    >>> format_seconds(75.2)
    '75.2 s'
    """
    return f"{1000 * seconds:.1f} ms" if seconds < 1.0 else f"{seconds:.1f} s"
