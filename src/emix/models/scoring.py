"""Scores of rows under a mixture: the E-step without the sums."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.kernel import factors
from emix.kernel.level import has_own_threads, kernel_for
from emix.rows.threads import plan, run_in_threads
from emix.rows.validation import FloatArray

from .operations import operations_per_row
from .origin import MAX_REACH, may_pay
from .parameters import GaussianParameters

__all__ = ["Scores", "score_rows"]

# Rows that the kernel takes at a time, at every level and precision.
BLOCK_ROWS: int = kernel_for(np.dtype(np.float64)).block_rows


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
    dtype = X.dtype
    scorer = _scorer(parameters, dtype)
    density = np.empty(n_rows, dtype) if log_density else None
    posterior = np.empty((n_rows, K), dtype) if responsibilities else None
    best = np.empty(n_rows, np.intp) if labels else None
    outputs = density, posterior, best

    # One block, which is one thread's, needs no plan: that would be a sixth of the time for a single row.
    threads, rows_per_call = 1, BLOCK_ROWS
    if n_rows > BLOCK_ROWS:
        most = 1 if has_own_threads() else -(-n_rows // BLOCK_ROWS)
        threads, rows_per_call = plan(n_rows, operations_per_row(K, d), BLOCK_ROWS, n_threads, most)
    if threads == 1 and n_rows <= rows_per_call:
        n_far = scorer.score(X, 0, n_rows, *outputs, None)
    else:
        n_far = _score_in_threads(X, scorer, outputs, threads, rows_per_call)
    if n_far and may_pay(parameters.structure, K, d):
        # About an origin squares overflow before they are scaled: these rows once more, about each component's mean.
        n_far = _score_far_rows(X, parameters, outputs)
    if n_far and (responsibilities or labels):
        known = density if density is not None else score_rows(X, parameters, n_threads=n_threads).log_density
        assert known is not None
        _settle_far_rows(X, parameters, known, posterior, best)
    return Scores(*outputs)


def _scorer(parameters: GaussianParameters, dtype: np.dtype[Any], *, origin: bool = True) -> Any:
    """Return the kernel's Scorer of rows of a dtype under the parameters, made once for each dtype."""
    key = "scorer_single" if dtype.char == "f" else "scorer_double"
    found = parameters.__dict__.get(key) if origin else None
    if found is None:
        sizes = parameters.structure.code, parameters.n_components, parameters.n_features
        found = kernel_for(dtype).Scorer(*sizes, _arguments(parameters, dtype, origin=origin))
        if origin:
            # Two threads may both get here: either's will do.
            parameters.__dict__[key] = found
    return found


def _arguments(parameters: GaussianParameters, dtype: np.dtype[Any], *, origin: bool = True) -> NDArray[Any]:
    """What the Scorer takes, about an origin where there is one and it may pay."""
    structure, K, d = parameters.structure, parameters.n_components, parameters.n_features
    arguments = np.empty(2 * K * (1 + d) + parameters.covariances.size + d)
    limit = MAX_REACH[dtype.char] if origin and may_pay(structure, K, d) else 0.0
    factors.prepare(structure.code, K, d, dtype.char == "f", limit, parameters.packed, arguments)
    return arguments.astype(dtype, copy=False)


def _score_far_rows(X: FloatArray, parameters: GaussianParameters, outputs: tuple[NDArray[Any] | None, ...]) -> int:
    """Score rows without a finite log-density about each component's mean; return how many have none there, too."""
    density = outputs[0]
    if density is None:
        density = np.empty(len(X), X.dtype)
        _scorer(parameters, X.dtype).score(X, 0, len(X), density, None, None, None)
    far = np.flatnonzero(density == -np.inf)
    again = [None if out is None else np.empty((len(far), *out.shape[1:]), out.dtype) for out in outputs]
    n_far: int = _scorer(parameters, X.dtype, origin=False).score(X[far], 0, len(far), *again, None)
    for out, scores in zip(outputs, again, strict=True):
        if out is not None:
            out[far] = scores
    return n_far


def _score_in_threads(
    X: FloatArray,
    scorer: Any,
    outputs: tuple[NDArray[Any] | None, ...],
    threads: int,
    rows_per_call: int,
) -> int:
    """Score each thread's share of the rows, a while at a time; return how many are far from every component."""
    n_blocks = -(-len(X) // BLOCK_ROWS)
    n_far = np.zeros(threads, dtype=np.int64)

    def share(thread: int, stop: NDArray[np.int32] | None) -> None:
        last = min(len(X), (thread + 1) * n_blocks // threads * BLOCK_ROWS)
        for first in range(thread * n_blocks // threads * BLOCK_ROWS, last, rows_per_call):
            end = min(first + rows_per_call, last)
            n_far[thread] += scorer.score(X, first, end, *outputs, stop)

    run_in_threads(share, threads)
    return int(n_far.sum())


def _settle_far_rows(
    X: FloatArray,
    parameters: GaussianParameters,
    density: FloatArray,
    posterior: FloatArray | None,
    best: NDArray[np.intp] | None,
) -> None:
    """Give rows whose every squared distance overflows to the component with the smallest ‖W(x − μ)‖."""
    for row in np.flatnonzero(density == -np.inf):
        component = _nearest_by_scale(X[row].astype(np.float64), parameters)
        if posterior is not None:
            posterior[row] = 0.0
            posterior[row, component] = 1.0
        if best is not None:
            best[row] = component


def _nearest_by_scale(x: NDArray[np.float64], parameters: GaussianParameters) -> int:
    """The component, of weight above zero, with the smallest ‖W(x − μ)‖; of equals, the one of larger weight.

    x, μ and W are divided by their largest magnitudes first, and the norm is taken of y / max |y|: nothing overflows.
    """
    scale = max(float(np.abs(x).max()), float(np.abs(parameters.means).max()))
    z = x / scale - parameters.means / scale
    steepness = float(np.abs(parameters.whitening).max())
    y = parameters.structure.whitened(parameters.whitening / steepness, z)
    largest = np.abs(y).max(axis=1)
    norm = np.linalg.norm(y / np.where(largest > 0.0, largest, 1.0)[:, np.newaxis], axis=1) * largest
    norm[parameters.weights <= 0.0] = np.inf
    candidates = np.flatnonzero(norm == norm.min())
    weights: Any = parameters.weights[candidates]
    return int(candidates[np.argmax(weights)])
