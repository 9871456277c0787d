"""Posterior probabilities of classes, each of which has a mixture of Gaussians for its density."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.parameters import GaussianParameters, full_covariances
from emix.gaussian.scoring import score_rows
from emix.gaussian.structures import STRUCTURES
from emix.rows.validation import FloatArray

__all__ = ["ClassScores", "score_classes"]

Array = NDArray[np.float64]


class ClassScores(NamedTuple):
    """Scores of rows under the mixtures of classes, float64.

    Attributes
    ----------
    log_joint : ndarray of shape (n_samples, n_classes)
        log(π_c p_c(x)), nats; -inf where the density underflows.
    log_posterior : ndarray of shape (n_samples, n_classes)
        log p(c | x), nats. Posteriors of a row sum to one, however far it is from all classes.
    log_density : ndarray of shape (n_samples,)
        log Σ_c π_c p_c(x), nats.
    """

    log_joint: Array
    log_posterior: Array
    log_density: Array


def score_classes(
    X: FloatArray, priors: Array, parameters: Sequence[GaussianParameters], n_threads: int | None
) -> ClassScores:
    """Score checked rows under the mixture of each class.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64 or float32
        Single precision is scored in double: a log-density of −1000 is rounded to 6e-5 in single.
    priors : ndarray of shape (n_classes,)
    parameters : sequence of GaussianParameters
        Of the classes' mixtures.
    n_threads : int or None

    Returns
    -------
    ClassScores
    """
    rows = X.astype(np.float64, copy=False)
    with np.errstate(divide="ignore"):
        log_priors = np.log(priors)
    joint = np.empty((len(rows), len(priors)))
    for c, of_class in enumerate(parameters):
        density = score_rows(rows, of_class, n_threads=n_threads).log_density
        assert density is not None
        joint[:, c] = density + log_priors[c]
    highest = joint.max(axis=1)
    far = highest == -np.inf
    with np.errstate(under="ignore", divide="ignore"):
        about = joint - np.where(far, 0.0, highest)[:, np.newaxis]
        log_sum = np.log(np.exp(about).sum(axis=1))
        posterior = about - np.where(far, 0.0, log_sum)[:, np.newaxis]
    density = highest + np.where(far, 0.0, log_sum)
    if far.any():
        # All densities underflow. The class of the nearest component has the whole posterior, as in GaussianMixture.
        nearest = _nearest_class(rows[far], priors, parameters, n_threads)
        posterior[far] = np.where(nearest[:, np.newaxis] == np.arange(len(priors)), 0.0, -np.inf)
    return ClassScores(joint, posterior, density)


def _nearest_class(
    rows: Array, priors: Array, parameters: Sequence[GaussianParameters], n_threads: int | None
) -> NDArray[np.intp]:
    """Return the class of the component that is nearest by its own covariance, for rows whose densities underflow."""
    components = GaussianParameters.of(
        STRUCTURES["full"],
        np.concatenate([prior * one.weights for prior, one in zip(priors, parameters)]),
        np.concatenate([one.means for one in parameters]),
        np.concatenate([full_covariances(one) for one in parameters]),
    )
    labels = score_rows(rows, components, log_density=False, labels=True, n_threads=n_threads).labels
    assert labels is not None
    return np.repeat(np.arange(len(priors)), [one.n_components for one in parameters])[labels]
