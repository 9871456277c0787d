"""Scores of rows under a mixture: the E-step without the sums."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import warn
from emix.gaussian.operations import operations_per_row
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.shortcuts.origin import MAX_REACH, may_pay
from emix.kernel import factors
from emix.kernel.layout import arguments_layout
from emix.kernel.level import has_own_threads, kernel_for
from emix.parallel.threads import plan, run_in_threads
from emix.rows.source import RowSource
from emix.rows.validation import FloatArray

__all__ = ["Scores", "ZeroDensities", "not_finite", "score_rows", "scorer_arguments", "warn_of_zero_densities"]

# Rows that the kernel takes at a time in double precision; in single they are twice as many.
BLOCK_ROWS: int = kernel_for(np.dtype(np.float64)).block_rows

# Rows far from every component are taken as many at a time as have so many numbers, one for each feature and component.
FAR_NUMBERS = 1 << 20


class Scores(NamedTuple):
    """Scores of rows, in the rows' dtype; None where not asked for.

    Attributes
    ----------
    log_density : ndarray of shape (n_samples,) or None
        log p(x), nats; -inf where the density underflows, never NaN.
    responsibilities : ndarray of shape (n_samples, K) or None
        p(k | x); every row sums to one.
    labels : ndarray of shape (n_samples,), intp, or None
        The most probable component, the first of equals.
    """

    log_density: FloatArray | None
    responsibilities: FloatArray | None
    labels: NDArray[np.intp] | None


def score_rows(
    X: FloatArray,
    parameters: GaussianParameters,
    *,
    log_density: bool = True,
    responsibilities: bool = False,
    labels: bool = False,
    n_threads: int | None = None,
    warn_of_zeros: bool = False,
) -> Scores:
    """Score checked rows under a mixture.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64 or float32
        Finite; any strides.
    parameters : GaussianParameters
    log_density, responsibilities, labels : bool
        What to compute.
    n_threads : int or None
        None: what the process may use, one for small work.
    warn_of_zeros : bool
        Warn if the density of a row underflows.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        If X has not as many columns as the parameters have features.
    """
    n_rows, d = X.shape
    K = parameters.n_components
    if d != parameters.n_features:
        raise ValueError(f"X has {d} columns, expected {parameters.n_features}, as the parameters have.")
    scorer = _scorer(parameters, X.dtype)
    if scorer is None:
        return _score_in_double(
            X, parameters, log_density, responsibilities, labels, n_threads=n_threads, warn_of_zeros=warn_of_zeros
        )
    scores = _room(n_rows, K, X.dtype, log_density, responsibilities, labels)
    if _score(X, scorer, K, n_threads, scores):
        _score_far_rows(X, parameters, n_threads, scores)
        if warn_of_zeros and scores.log_density is not None:
            warn_of_zero_densities(X, scores.log_density)
    return scores


def _room(
    n_rows: int, n_components: int, dtype: np.dtype[Any], log_density: bool, responsibilities: bool, labels: bool
) -> Scores:
    return Scores(
        np.empty(n_rows, dtype) if log_density else None,
        np.empty((n_rows, n_components), dtype) if responsibilities else None,
        np.empty(n_rows, np.intp) if labels else None,
    )


def _scorer(parameters: GaussianParameters, dtype: np.dtype[Any], *, origin: bool = True) -> Any:
    """Return the kernel's Scorer of rows of a dtype under the parameters, made once for each dtype.

    None if the dtype cannot hold the parameters.
    """
    key = "scorer_single" if dtype.char == "f" else "scorer_double"
    found = parameters.__dict__.get(key) if origin else None
    if found is None:
        sizes = parameters.structure.form.code, parameters.n_components, parameters.n_features
        arguments = scorer_arguments(parameters, dtype, origin=origin)
        if arguments is None:
            return None
        found = kernel_for(dtype).Scorer(*sizes, arguments)
        if origin:
            # Two threads may both get here: either's will do.
            parameters.__dict__[key] = found
    return found


def scorer_arguments(
    parameters: GaussianParameters, dtype: np.dtype[Any], *, origin: bool = True
) -> NDArray[Any] | None:
    """Return the numbers that a Scorer reads: about an origin if that is allowed and may pay.

    None if the dtype cannot hold them.
    """
    structure, K, d = parameters.structure, parameters.n_components, parameters.n_features
    arguments = np.empty(arguments_layout(structure.form.code, K, d).size)
    limit = MAX_REACH[dtype.char] if origin and may_pay(structure, K, d) else 0.0
    factors.prepare(structure.form.code, K, d, dtype.char == "f", limit, parameters.density, arguments)
    if dtype.char == "d":
        return arguments
    with np.errstate(over="ignore", under="ignore"):
        rounded = arguments.astype(dtype)
    # Weights of 0 and components without an origin have infinities and NaN there.
    overflows = np.isinf(rounded) & np.isfinite(arguments)
    return None if overflows.any() else rounded


def _score_in_double(
    X: FloatArray,
    parameters: GaussianParameters,
    log_density: bool,
    responsibilities: bool,
    labels: bool,
    **how: Any,
) -> Scores:
    """Scores of rows of single precision under parameters that only double precision can hold."""
    what = {"log_density": log_density, "responsibilities": responsibilities, "labels": labels}
    found = score_rows(X.astype(np.float64), parameters, **what, **how)
    with np.errstate(over="ignore", under="ignore"):
        return Scores(
            None if found.log_density is None else found.log_density.astype(np.float32),
            None if found.responsibilities is None else found.responsibilities.astype(np.float32),
            found.labels,
        )


def _score(X: FloatArray, scorer: Any, n_components: int, n_threads: int | None, scores: Scores) -> int:
    """Fill the arrays that were asked for; return the number of rows that are far from every component."""
    n_rows, d = X.shape
    # One block, which is one thread's, needs no plan: that would be a sixth of the time for a single row.
    threads, rows_per_call = 1, BLOCK_ROWS
    if n_rows > BLOCK_ROWS:
        most = 1 if has_own_threads() else -(-n_rows // BLOCK_ROWS)
        threads, rows_per_call = plan(n_rows, operations_per_row(n_components, d), BLOCK_ROWS, n_threads, most)
    if threads == 1 and n_rows <= rows_per_call:
        n_far: int = scorer.score(X, 0, n_rows, *scores, None)
        return n_far
    return _score_in_threads(X, scorer, scores, threads, rows_per_call)


def _score_in_threads(X: FloatArray, scorer: Any, scores: Scores, threads: int, rows_per_call: int) -> int:
    """Score each thread's share of the rows, a while at a time; return the number of far rows."""
    n_blocks = -(-len(X) // BLOCK_ROWS)
    n_far = np.zeros(threads, dtype=np.int64)

    def share(thread: int, stop: NDArray[np.int32] | None) -> None:
        last = min(len(X), (thread + 1) * n_blocks // threads * BLOCK_ROWS)
        for first in range(thread * n_blocks // threads * BLOCK_ROWS, last, rows_per_call):
            end = min(first + rows_per_call, last)
            n_far[thread] += scorer.score(X, first, end, *scores, stop)

    run_in_threads(share, threads)
    return int(n_far.sum())


def _score_far_rows(X: FloatArray, parameters: GaussianParameters, n_threads: int | None, scores: Scores) -> None:
    """Score far rows once more, about each component's mean; the nearest component gets those that stay far.

    About an origin squares overflow before they are scaled. Nothing is done to other rows.
    """
    K, d = parameters.n_components, parameters.n_features
    about_means = _scorer(parameters, X.dtype, origin=False) if may_pay(parameters.structure, K, d) else None
    if about_means is None and scores.responsibilities is None and scores.labels is None:
        return
    far = _far_rows(scores, K)
    arrays: tuple[Any, ...] = scores
    step = max(1, FAR_NUMBERS // (K * d))
    for start in range(0, len(far), step):
        rows = far[start : start + step]
        if about_means is not None:
            again = _room(len(rows), K, X.dtype, *(array is not None for array in arrays))
            n_far = _score(X[rows], about_means, K, n_threads, again)
            for array, values in zip(arrays, again, strict=True):
                if array is not None:
                    array[rows] = values
            if not n_far:
                continue
            rows = rows[_far_rows(again, K)]
        nearest = _nearest_by_scale(X[rows].astype(np.float64), parameters)
        if scores.responsibilities is not None:
            scores.responsibilities[rows, nearest] = 1.0  # the others are 0
        if scores.labels is not None:
            scores.labels[rows] = nearest


def warn_of_zero_densities(X: FloatArray, log_density: FloatArray) -> None:
    """Warn if the density of a row is zero."""
    found = ZeroDensities()
    found.add(X, log_density)
    found.warn()


class ZeroDensities:
    """Counts rows whose density is zero, of one array after another."""

    def __init__(self) -> None:
        self._n_rows = self._n_zero = 0
        self._first = ""

    def add(self, X: FloatArray, log_density: FloatArray) -> None:
        """Count in the next rows."""
        zero = np.flatnonzero(log_density == -np.inf)
        if zero.size and not self._n_zero:
            row = X[zero[0]]
            column = int(np.abs(row).argmax())
            self._kind, self._first = X.dtype.name, f"{row[column]:g} in column {column}"
        self._n_rows, self._n_zero = self._n_rows + len(X), self._n_zero + zero.size

    def joined(self, other: ZeroDensities) -> ZeroDensities:
        """Return the counts of both; the rows of the other come after these."""
        both = ZeroDensities()
        both.__dict__.update(vars(self) if self._n_zero else vars(other))
        both._n_rows, both._n_zero = self._n_rows + other._n_rows, self._n_zero + other._n_zero
        return both

    def warn(self) -> None:
        """Warn if there were any."""
        if self._n_zero:
            warn(
                f"The density is zero in {self._kind}, and its logarithm -inf, for {self._n_zero} of {self._n_rows} "
                f"rows, which are far from every component. The first has {self._first}. Look for values that stand "
                "for missing ones, or leave such rows out.",
                RuntimeWarning,
            )


def _far_rows(scores: Scores, n_components: int) -> NDArray[np.intp]:
    """Rows that the kernel marked as far, by what there is: density 0, label K, or responsibilities 0."""
    if scores.log_density is not None:
        return np.flatnonzero(scores.log_density == -np.inf)
    if scores.labels is not None:
        return np.flatnonzero(scores.labels == n_components)
    assert scores.responsibilities is not None
    # Responsibilities of other rows add up to 1. A product of matrices is the fastest way to see it.
    return np.flatnonzero(scores.responsibilities @ np.ones(n_components, scores.responsibilities.dtype) == 0.0)


@np.errstate(under="ignore")
def _nearest_by_scale(X: NDArray[np.float64], parameters: GaussianParameters) -> NDArray[np.intp]:
    """For each row the component, of weight above zero, with the smallest ‖W(x − μ)‖; of equals, of larger weight.

    x, μ and W are divided by their largest magnitudes first, and the norm is taken of y / max |y|: nothing overflows.
    """
    means, W, weights = parameters.means, parameters.whitening, parameters.weights
    scale = np.maximum(np.abs(X).max(axis=1), np.abs(means).max())[:, np.newaxis, np.newaxis]
    z = X[:, np.newaxis] / scale - means / scale
    y = parameters.structure.form.whitened(W / np.abs(W).max(), z)
    largest = np.abs(y).max(axis=2)
    norm = np.linalg.norm(y / np.where(largest > 0.0, largest, 1.0)[:, :, np.newaxis], axis=2) * largest
    norm[:, weights <= 0.0] = np.inf
    nearest: NDArray[np.intp] = np.where(norm == norm.min(axis=1, keepdims=True), weights, -1.0).argmax(axis=1)
    return nearest


def not_finite(source: RowSource, parameters: GaussianParameters, n_threads: int | None) -> ValueError:
    """Return the error of a log-likelihood that is not finite: it names the first row that makes it so.

    Raises
    ------
    ValueError
        If the source can check its rows again, by a method `check_again`, and has one now that no fit can take.
    """
    if (check := getattr(source, "check_again", None)) is not None:
        check()
    batch: Any
    for batch in source.batches(1):
        density = score_rows(batch.X, parameters, n_threads=n_threads).log_density
        assert density is not None
        counts = np.ones(len(density)) if batch.weight is None else batch.weight
        bad = np.flatnonzero(~np.isfinite(density) & (counts > 0.0))
        if bad.size:
            return ValueError(
                f"The log-likelihood is not finite: row {batch.first_row + bad[0]} lies so far from every component "
                f"that its density is zero in {source.dtype.name}. Start closer to the data, scale the columns, or "
                "leave the row out."
            )
    return ValueError(
        "The log-likelihood is not finite, though that of every row is: the sum overflows. Divide the columns, or "
        "sample_weight, by their largest magnitudes."
        + (" Or the rows changed between passes, which must give the same." if source.whole is None else "")
    )
