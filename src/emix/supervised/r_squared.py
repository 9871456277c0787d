"""The coefficient of determination R², as scikit-learn's r2_score."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import warn
from emix.rows.validation import FloatArray

__all__ = ["r_squared"]


@np.errstate(under="ignore", over="ignore")
def r_squared(true: FloatArray, predicted: FloatArray, sample_weight: NDArray[np.float64] | None) -> float:
    """Return 1 − Σw(y − ŷ)² / Σw(y − ȳ)², the mean over outputs; at most 1.

    An output that does not vary counts 1 if it is predicted exactly, else 0. Of one row R² is NaN, with a warning.

    Parameters
    ----------
    true, predicted : ndarray of shape (n_samples, n_outputs)
    sample_weight : ndarray of shape (n_samples,) or None
    """
    if len(true) < 2:
        warn("R² is not defined for fewer than two rows: the score is NaN. Pass more rows.")
        return math.nan
    weight = np.ones(len(true)) if sample_weight is None else sample_weight
    held = weight > 0.0
    truth, weight = true[held].astype(np.float64), weight[held] / weight.max()
    # R² has no unit. In units of the largest weight and of each output's range no sum overflows or vanishes.
    ranges = np.ptp(truth, axis=0)
    unit = np.where(ranges > 0.0, ranges, 1.0)
    left = weight @ np.square((truth - predicted[held]) / unit)
    about = (truth - np.average(truth, axis=0, weights=weight)) / unit
    total = np.where(ranges > 0.0, weight @ np.square(about), 0.0)
    shares = np.where(total > 0.0, left / np.where(total > 0.0, total, 1.0), left > 0.0)
    return float(np.mean(1.0 - shares))
