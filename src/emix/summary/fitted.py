"""Facts of a fitted mixture for display: names, full covariances, criteria, reason for stopping."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emix.arguments import counted
from emix.estimators.criteria import aic, bic, entropies, icl
from emix.estimators.fit_state import parameters_of
from emix.estimators.fitted_mixture import FittedMixture
from emix.estimators.stream_scores import batches_to_score
from emix.exceptions import not_fitted, shown
from emix.gaussian.scoring import score_rows
from emix.rows.opening import stream_of
from emix.rows.validation import (
    FloatArray,
    as_rows,
    as_sample_weight,
    check_feature_names,
    check_n_features,
    feature_names,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from emix.estimators.gaussian_mixture import GaussianMixture

ROWS_AT_A_TIME = 65_536

# Two sums of the same rows differ by rounding, at most by this part (float32 rows have float32 log-densities).
SAME = 1e-6


@dataclass(frozen=True)
class Criteria:
    """Information criteria of a fit, or of the rows that are given; lower is better for all of them.

    Attributes
    ----------
    log_likelihood : float
        Total, nats.
    n_parameters : int
        Free parameters.
    total_weight : float
        The n of BIC: the number of rows, or the sum of their weights.
    bic, aic : float or None
        None of a stream without rows, whose log-likelihood is an estimate under parameters of before.
    icl : float or None
        BIC plus twice the entropy of the responsibilities, so that overlap costs. None without
        the data.
    """

    log_likelihood: float
    n_parameters: int
    total_weight: float
    bic: float | None
    aic: float | None
    icl: float | None


def criteria(estimator: GaussianMixture, assignment: Assignment | None = None) -> Criteria | None:
    """Compute the criteria of the rows of an assignment, or without one from the fit itself.

    Return None for a mixture of given parameters (`from_parameters`) that was never fitted.
    """
    log_likelihood = getattr(estimator, "log_likelihood_", None)
    if log_likelihood is None or not math.isfinite(log_likelihood):
        return None
    n, total, entropy = estimator.n_parameters_, float(log_likelihood), None
    weight, is_stream = estimator.total_weight_, is_of_stream(estimator)
    if assignment is not None:
        entropy = assignment.entropy
        # Of the rows of the fit both are one sum, to rounding: then the fit's own number is the one to show.
        same = math.isclose(weight, assignment.total_weight, rel_tol=SAME)
        if is_stream or not same or not math.isclose(total, assignment.log_likelihood, rel_tol=SAME, abs_tol=SAME):
            weight, total = assignment.total_weight, assignment.log_likelihood
    elif is_stream:
        return Criteria(total, n, weight, None, None, None)
    return Criteria(
        log_likelihood=total,
        n_parameters=n,
        total_weight=weight,
        bic=bic(total, n, weight),
        aic=aic(total, n),
        icl=None if entropy is None else icl(total, n, weight, entropy),
    )


def is_of_stream(estimator: GaussianMixture) -> bool:
    """True if the parameters are those of a stream, of which no log-likelihood is known."""
    return str(getattr(estimator, "stopped_by_", "")) == "partial_fit"


@dataclass(frozen=True)
class Assignment:
    """Summary of the rows' responsibilities, with the rows' weights.

    Attributes
    ----------
    n_rows : int
    counts : ndarray of shape (n_components,)
        Weight of the rows whose largest responsibility is the component's.
    certainty : float
        Mean of each row's largest responsibility.
    entropy : float
        −Σ r log r over rows and components, nats.
    total_weight : float
    log_likelihood : float
        Total of the rows, nats.
    weight_range : tuple of float, or None
        Least and greatest weight; None where rows have none.
    """

    n_rows: int
    counts: NDArray[np.float64]
    certainty: float
    entropy: float
    total_weight: float
    log_likelihood: float
    weight_range: tuple[float, float] | None = None


def assign(estimator: GaussianMixture, X: Any, sample_weight: NDArray[np.floating] | None = None) -> Assignment:
    """Summarize the responsibilities of rows or of a stream, some rows at a time: never n × K numbers at once."""
    counts, n_rows = np.zeros(len(estimator.weights_)), 0
    largest = entropy = log_likelihood = total = 0.0
    least, greatest = math.inf, -math.inf
    for rows, weight in _some_at_a_time(estimator, X, sample_weight):
        w = row_weights(rows, weight)
        r, log_density = _scores(estimator, rows)
        counts += np.bincount(r.argmax(axis=1), minlength=len(counts), weights=w)
        largest += float(r.max(axis=1) @ w)
        entropy += float(entropies(r) @ w)
        log_likelihood += float(log_density @ w)
        total, n_rows = total + float(w.sum()), n_rows + len(rows)
        if weight is not None:
            least, greatest = min(least, float(w.min())), max(greatest, float(w.max()))
    weights = (least, greatest) if greatest >= least else None
    return Assignment(n_rows, counts, largest / total, entropy, total, log_likelihood, weights)


def _some_at_a_time(
    estimator: GaussianMixture, X: Any, sample_weight: Any
) -> Iterator[tuple[FloatArray, NDArray[np.float64] | None]]:
    """Hand out rows, or a stream's, and their weights if there are any."""
    stream = stream_of(X, sample_weight)
    if stream is not None:
        for batch in batches_to_score(stream, vars(estimator), type(estimator).__name__):
            for start in range(0, len(batch.X), ROWS_AT_A_TIME):
                part = slice(start, start + ROWS_AT_A_TIME)
                yield batch.X[part], None if batch.weight is None else batch.weight[part]
        return
    X = rows_of(estimator, X)
    weight = as_sample_weight(sample_weight, len(X))
    for start in range(0, len(X), ROWS_AT_A_TIME):
        part = slice(start, start + ROWS_AT_A_TIME)
        yield X[part], None if weight is None else weight[part]


def check_mixture(estimator: Any) -> None:
    """Refuse anything but a fitted mixture of emix.

    Raises
    ------
    NotFittedError
        If it is a mixture that is not fitted.
    TypeError
        If it is something else.
    """
    if isinstance(estimator, FittedMixture):
        if not estimator.__sklearn_is_fitted__():
            raise not_fitted(type(estimator).__name__)
        return
    if isinstance(estimator, type):
        raise TypeError(
            f"estimator is the class {estimator.__name__}, expected a fitted emix.GaussianMixture: "
            "emix.GaussianMixture(...).fit(X)."
        )
    remedy = ""
    if all(hasattr(estimator, name) for name in ("weights_", "means_", "covariances_", "covariance_type")):
        remedy = (
            ". Make one of its parameters: "
            "emix.GaussianMixture.from_parameters(m.weights_, m.means_, m.covariances_, m.covariance_type)"
        )
    kind = type(estimator)
    raise TypeError(
        f"estimator is a {kind.__name__} of {kind.__module__}, expected a fitted emix.GaussianMixture{remedy}."
    )


def rows_of(estimator: GaussianMixture, X: Any) -> FloatArray:
    """Return rows as an array. If X and the fit have names of columns, the names must be the same.

    Raises
    ------
    TypeError, ValueError
        As in the methods of the estimator.
    """
    caller = type(estimator).__name__
    names, fitted = feature_names(X), getattr(estimator, "feature_names_in_", None)
    if names is not None and fitted is not None:
        check_feature_names(names, fitted, caller=caller)
    rows = as_rows(X, caller=caller)
    check_n_features(rows, estimator.means_.shape[1], caller=caller)
    return rows


def responsibilities(estimator: GaussianMixture, rows: FloatArray) -> NDArray[np.float64]:
    """Return responsibilities of rows that `rows_of` has returned, shape (n_samples, n_components)."""
    return _scores(estimator, rows)[0]


def _scores(estimator: GaussianMixture, rows: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return responsibilities (n, K) and log-densities (n,) of rows."""
    found = score_rows(
        rows, parameters_of(vars(estimator)), log_density=True, responsibilities=True, n_threads=estimator.n_threads
    )
    return np.asarray(found.responsibilities, dtype=np.float64), np.asarray(found.log_density, dtype=np.float64)


def row_weights(rows: Any, sample_weight: NDArray[np.floating] | None) -> NDArray[np.float64]:
    """Return the weights of the rows: 1 for each row if none are given."""
    if sample_weight is None:
        return np.ones(len(rows))
    return np.asarray(sample_weight, dtype=np.float64)


def column_names(estimator: GaussianMixture, given: Sequence[str] | None = None) -> list[str]:
    """Return the names of the columns: the given names, or those of the fit, or x0, x1, …"""
    n_features = estimator.means_.shape[1]
    names = given if given is not None else getattr(estimator, "feature_names_in_", None)
    if names is None:
        return [f"x{j}" for j in range(n_features)]
    if isinstance(names, (str, bytes)) or not hasattr(names, "__len__"):
        raise TypeError(f"feature_names is {shown(names)}, expected a list of {n_features} names, one for each column")
    if len(names) != n_features:
        raise ValueError(
            f"feature_names has {len(names)} names, but the mixture has {n_features} columns: give one name a column"
        )
    return [str(name) for name in names]


def full_covariances(estimator: GaussianMixture) -> NDArray[np.float64]:
    """Return covariances of all components as matrices, shape (n_components, n_features, n_features)."""
    n_components, n_features = estimator.means_.shape
    covariances = np.asarray(estimator.covariances_, dtype=np.float64)
    return parameters_of(vars(estimator)).structure.form.to_full(covariances, n_components, n_features)


def covariance_type(estimator: GaussianMixture) -> str:
    """Return the word for the covariances of the fit: that of the setting, unless it was changed since."""
    structure, word = parameters_of(vars(estimator)).structure, estimator.covariance_type
    return word if word in (structure.name, structure.alias) else structure.name


def size_and_covariances(estimator: GaussianMixture) -> str:
    """Return the number of components and the covariances of the fit: "3 components, full covariances"."""
    return f"{counted(len(estimator.weights_), 'component')}, {covariance_type(estimator)} covariances"


def stop_sentence(estimator: GaussianMixture) -> str:
    """Return the reason why the fit stopped, in words."""
    reasons = {
        "log_likelihood": f"converged: the log-likelihood changed by less than tol = {estimator.tol:g} per row",
        "parameters": f"converged: the parameters changed by less than tol = {estimator.tol:g}",
        "rounding": "converged: the log-likelihood no longer changes beyond rounding",
        "max_iter": f"NOT converged: stopped at max_iter = {estimator.max_iter}",
        "callback": "stopped by the callback",
        "partial_fit": "a stream: each row was looked at once",
    }
    stopped_by = str(getattr(estimator, "stopped_by_", ""))
    return reasons.get(stopped_by, stopped_by or "unknown")
