"""Scores of rows under a mixture: the E-step without the sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.kernel.level import has_own_threads, kernel_for
from emix.rows.threads import plan, run_in_threads
from emix.rows.validation import FloatArray

from .gaussian import operations_per_row
from .kernel_arguments import arguments_for_scores
from .parameters import GaussianParameters

__all__ = ["Scores", "score_rows"]


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of rows, in the rows' dtype; None where not asked for.

    Attributes
    ----------
    log_density : ndarray of shape (n_samples,) or None
        log p(x), nats; -inf where the density underflows, never NaN.
    responsibilities : ndarray of shape (n_samples, K) or None
        p(k | x); every row sums to one.
    joint : ndarray of shape (n_samples, K) or None
        log π_k p_k(x).
    labels : ndarray of shape (n_samples,), intp, or None
        The most probable component, the first of equals.
    """

    log_density: FloatArray | None
    responsibilities: FloatArray | None
    joint: FloatArray | None
    labels: NDArray[np.intp] | None


def score_rows(
    X: FloatArray,
    parameters: GaussianParameters,
    *,
    log_density: bool = True,
    responsibilities: bool = False,
    joint: bool = False,
    labels: bool = False,
    n_threads: int | None = None,
) -> Scores:
    """Score checked rows under a mixture.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64 or float32
        Finite; any strides.
    parameters : GaussianParameters
    log_density, responsibilities, joint, labels : bool
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
    kernel = kernel_for(X.dtype)
    density = np.empty(n_rows, dtype=X.dtype) if log_density else None
    posterior = np.empty((n_rows, K), dtype=X.dtype) if responsibilities else None
    components = np.empty((n_rows, K), dtype=X.dtype) if joint else None
    best = np.empty(n_rows, dtype=np.intp) if labels else None
    arguments = arguments_for_scores(parameters, X.dtype)

    block = kernel.block_rows
    n_blocks = -(-n_rows // block)
    most = 1 if has_own_threads() else n_blocks
    threads, rows_per_call = plan(n_rows, operations_per_row(K, d), block, n_threads, most)
    n_far = np.zeros(threads, dtype=np.int64)

    def score(thread: int, stop: NDArray[np.int32]) -> None:
        workspace = np.empty(kernel.workspace_size(K, d), dtype=X.dtype)
        last = min(n_rows, (thread + 1) * n_blocks // threads * block)
        for first in range(thread * n_blocks // threads * block, last, rows_per_call):
            n_far[thread] += kernel.score(
                X,
                first,
                min(first + rows_per_call, last),
                *arguments,
                workspace,
                density,
                posterior,
                components,
                best,
                stop,
            )

    run_in_threads(score, threads)
    if n_far.any() and (responsibilities or labels):
        if density is None:
            density_of_all = score_rows(X, parameters, n_threads=n_threads).log_density
        else:
            density_of_all = density
        assert density_of_all is not None
        _settle_far_rows(X, parameters, density_of_all, posterior, best)
    return Scores(density, posterior, components, best)


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
