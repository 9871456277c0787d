"""Checks of matrices that should be covariances. They do not depend on the units of the columns.

All elements are finite: `emix.arguments.check_finite` comes first. Messages are the callers' own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ROUNDED_ELEMENT", "asymmetric_element", "correlations", "least_eigenvalue"]

Array = NDArray[np.float64]

# Largest distance of two elements of a matrix that should be equal, in units in which its diagonal is 1: numpy.isclose
# allows as much.
ROUNDED_ELEMENT = 1e-5


def correlations(matrices: Array, deviations: Array | None = None) -> Array:
    """Return matrices (…, d, d) in units in which their diagonals are 1; `deviations` (…, d) are the roots of these.

    In two steps, since a product of two deviations may underflow.
    """
    if deviations is None:
        deviations = np.sqrt(np.diagonal(matrices, axis1=-2, axis2=-1))
    with np.errstate(over="ignore"):  # of a matrix that is no covariance
        scaled: Array = matrices / deviations[..., np.newaxis] / deviations[..., np.newaxis, :]
    return scaled


def asymmetric_element(matrices: Array, tolerance: float = ROUNDED_ELEMENT) -> tuple[tuple[int, ...], ...] | None:
    """Return the places of the two mirrored elements that are the farthest apart.

    Parameters
    ----------
    matrices : ndarray of shape (…, d, d)
    tolerance : float
        As a part of √|A_ii A_jj|, up to which two elements A_ij and A_ji count as equal.

    Returns
    -------
    tuple of two tuples of int, or None
        None if the matrices are symmetric but for rounding.
    """
    mirrored = matrices.swapaxes(-1, -2)
    if np.array_equal(matrices, mirrored):
        return None
    deviations = np.sqrt(np.abs(np.diagonal(matrices, axis1=-2, axis2=-1)))
    allowed = tolerance * deviations[..., np.newaxis] * deviations[..., np.newaxis, :]
    gap = np.abs(matrices - mirrored)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # beside a diagonal of zeros
        excess = np.where(gap > allowed, gap / allowed, 0.0)
    if not excess.any():
        return None
    here = tuple(int(i) for i in np.unravel_index(int(excess.argmax()), excess.shape))
    return here, (*here[:-2], here[-1], here[-2])


def least_eigenvalue(correlation: Array) -> float:
    """Return the least eigenvalue of a symmetric matrix (d, d), −∞ if an element is not finite."""
    # LAPACK may never return from a matrix with infinities.
    return float(np.linalg.eigvalsh(correlation)[0]) if np.isfinite(correlation).all() else -np.inf
