"""EM for a Gaussian mixture with full covariances in plain NumPy.

The code that a good NumPy programmer would write: vectorized over rows, log-sum-exp for the
responsibilities, Cholesky factors instead of inverses and determinants, covariances about the new
means. It shares no line with emix, so it serves as a reference in the tests and as the first row of
the comparison. It stores the n x K responsibilities and an n x d temporary per component; that is
what such code costs.

Everything is computed in float64, whatever the dtype of ``X``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Fit(NamedTuple):
    """Result of :func:`fit`."""

    weights: Array
    means: Array
    covariances: Array
    #: Total log-likelihood (nats) of the parameters above, not of those one M-step before.
    log_likelihood: float
    #: Number of M-steps.
    n_iter: int
    #: Total log-likelihood at each E-step, the closing one included.
    history: list[float]


def log_joint(X: NDArray[np.floating], weights: Array, means: Array, covariances: Array) -> Array:
    """log(weight_k) + log N(x_i; mean_k, covariance_k), in nats.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    weights : ndarray of shape (n_components,)
    means : ndarray of shape (n_components, n_features)
    covariances : ndarray of shape (n_components, n_features, n_features)

    Returns
    -------
    ndarray of shape (n_samples, n_components)

    Raises
    ------
    numpy.linalg.LinAlgError
        If a covariance is not positive definite.
    """
    X = np.asarray(X, dtype=np.float64)
    n_samples, n_features = X.shape
    lower = np.linalg.cholesky(covariances)
    whitening = np.linalg.solve(lower, np.broadcast_to(np.eye(n_features), lower.shape))
    half_log_det = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    constant = np.log(weights) - half_log_det - 0.5 * n_features * np.log(2.0 * np.pi)
    result = np.empty((n_samples, len(weights)))
    # One component at a time: all at once would take n x K x d.
    for k in range(len(weights)):
        whitened = (X - means[k]) @ whitening[k].T
        result[:, k] = constant[k] - 0.5 * np.einsum("ij,ij->i", whitened, whitened)
    return result


def e_step(
    X: NDArray[np.floating],
    weights: Array,
    means: Array,
    covariances: Array,
    sample_weight: Array | None = None,
) -> tuple[Array, float]:
    """Responsibilities and the total log-likelihood (nats).

    Parameters are those of :func:`log_joint`; ``sample_weight`` has shape (n_samples,) and weighs
    the log-likelihood only.

    Returns
    -------
    responsibilities : ndarray of shape (n_samples, n_components)
        Rows sum to one.
    log_likelihood : float
    """
    log_p = log_joint(X, weights, means, covariances)
    # log sum_k exp(log_p) = m + log sum_k exp(log_p - m), m the row's maximum: nothing overflows.
    largest = log_p.max(axis=1, keepdims=True)
    responsibilities = np.exp(log_p - largest)
    total = responsibilities.sum(axis=1, keepdims=True)
    responsibilities /= total
    log_density = largest[:, 0] + np.log(total[:, 0])
    if sample_weight is None:
        return responsibilities, float(log_density.sum())
    return responsibilities, float(sample_weight @ log_density)


def m_step(
    X: NDArray[np.floating],
    responsibilities: Array,
    sample_weight: Array | None = None,
    reg_covar: float = 0.0,
) -> tuple[Array, Array, Array]:
    """Weights, means and covariances that maximize Q; ``reg_covar`` is added to the diagonals.

    Raises
    ------
    ValueError
        If a component has no rows left.
    """
    X = np.asarray(X, dtype=np.float64)
    if sample_weight is not None:
        responsibilities = responsibilities * sample_weight[:, np.newaxis]
    n_effective = responsibilities.sum(axis=0)
    if not n_effective.all():
        raise ValueError(f"component {int(n_effective.argmin())} has no rows left")
    means = responsibilities.T @ X / n_effective[:, np.newaxis]
    n_components, n_features = means.shape
    covariances = np.empty((n_components, n_features, n_features))
    for k in range(n_components):
        centred = X - means[k]
        covariances[k] = (responsibilities[:, k] * centred.T) @ centred / n_effective[k]
        covariances[k].flat[:: n_features + 1] += reg_covar
    return n_effective / n_effective.sum(), means, covariances


def fit(
    X: NDArray[np.floating],
    weights: Array,
    means: Array,
    covariances: Array,
    *,
    sample_weight: Array | None = None,
    reg_covar: float = 0.0,
    n_iter: int = 100,
    tol: float = 0.0,
) -> Fit:
    """Run EM from the given parameters.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    weights, means, covariances : ndarray
        The start, in the shapes of :func:`log_joint`. Not modified.
    sample_weight : ndarray of shape (n_samples,), optional
    reg_covar : float
        Added to the diagonals of the covariances in each M-step.
    n_iter : int
        Number of iterations, exact when ``tol`` is 0.
    tol : float
        Stop when the log-likelihood per unit of weight changes by at most this. 0 never stops.

    Returns
    -------
    Fit

    Examples
    --------
    >>> import numpy as np
    >>> X = np.concatenate([np.random.default_rng(0).normal(c, 1.0, (500, 2)) for c in (-4.0, 4.0)])
    >>> start = (np.array([0.5, 0.5]), X[[0, 999]], np.stack([np.eye(2)] * 2))
    >>> result = fit(X, *start, n_iter=20)
    >>> print(result.weights.round(3), result.n_iter)
    [0.5 0.5] 20
    """
    total_weight = float(len(X)) if sample_weight is None else float(sample_weight.sum())
    responsibilities, log_likelihood = e_step(X, weights, means, covariances, sample_weight)
    history = [log_likelihood]
    iteration = 0
    while iteration < n_iter:
        weights, means, covariances = m_step(X, responsibilities, sample_weight, reg_covar)
        responsibilities, log_likelihood = e_step(X, weights, means, covariances, sample_weight)
        history.append(log_likelihood)
        iteration += 1
        if tol > 0.0 and abs(history[-1] - history[-2]) <= tol * total_weight:
            break
    return Fit(weights, means, covariances, log_likelihood, iteration, history)
