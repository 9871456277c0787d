"""Sums, differences, multiples and blends of the statistics of Gaussian mixtures."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emix.kernel.factors import Columns

if TYPE_CHECKING:
    from emix.gaussian.parameters import GaussianParameters
    from emix.gaussian.statistics import GaussianStatistics

__all__ = ["blend_of", "check_alike", "check_shapes", "difference_of", "scaled_by", "sum_of"]

Array = NDArray[np.float64]

# A factor of the weights with an exponent beyond this goes into the unit: sums would overflow, or lose digits.
_MODERATE = 64

# A difference of weights below −ALLOWED of the first is no rounding; below ROUNDED it may be nothing else. Sums of
# 1e9 rows in another order differ by 1e-13.
ALLOWED, ROUNDED = 1e-9, 1e-12

# Rows of single precision have responsibilities that are rounded to it: by so many eps a scatter may be off.
_EPSILONS = 8.0

_REMEDY = "The statistics that are subtracted are not those of a part of these rows under the same parameters."


def check_shapes(a: GaussianStatistics, b: GaussianStatistics, done: str) -> None:
    """Refuse statistics for another structure or shape.

    Parameters
    ----------
    a, b : GaussianStatistics
    done : str
        The word for what cannot be done with them: "added".

    Raises
    ------
    ValueError
        With both structures, or both shapes.
    """
    if a.structure != b.structure:
        raise ValueError(
            f"statistics for the structures {a.structure.name!r} and {b.structure.name!r} cannot be {done}."
        )
    if a.center.shape != b.center.shape:
        raise ValueError(
            f"statistics with centers of shape {a.center.shape} and {b.center.shape} cannot be {done}: take both under "
            "one mixture, of rows with the same columns."
        )


def check_alike(a: GaussianStatistics, b: GaussianStatistics, done: str) -> None:
    """Refuse statistics for another structure or shape, or taken under other parameters.

    Raises
    ------
    ValueError
        With both structures, shapes or digests.
    """
    check_shapes(a, b, done)
    same = a.taken_under is b.taken_under and a.blend == b.blend
    if not same and a.digest != b.digest:
        raise ValueError(
            f"statistics taken under different parameters cannot be {done}: {a.digest[:12]} and {b.digest[:12]}. "
            "Take both under the same parameters."
        )


def sum_of(
    a: GaussianStatistics, b: GaussianStatistics, taken_under: GaussianParameters | None, blend: str
) -> GaussianStatistics:
    """Return the sums of both, with the given origin.

    Each component's are about the centre of the one that holds more of it. Moved by e, the sums of the other gain
    N e eᵀ, at most twice what the variance of both does. Moved the other way, that would cancel.

    Raises
    ------
    ValueError
        If the total weight or the log-likelihood overflows.
    """
    total, log_likelihood = a.total_weight + b.total_weight, a.log_likelihood + b.log_likelihood
    if not (math.isfinite(total) and math.isfinite(log_likelihood)):
        raise ValueError(
            f"statistics with total weights {a.total_weight:g} and {b.total_weight:g} cannot be added: the sum, or "
            "that of the log-likelihoods, is beyond float64. Scale both down."
        )
    unit = max(a.unit, b.unit)
    a, b = a.with_unit(unit), b.with_unit(unit)
    center = a.center
    if not np.array_equal(center, b.center):
        holds_more = a.in_unit[0] >= b.in_unit[0]
        center = np.where(holds_more[:, np.newaxis], center, b.center)
    weight, shift, scatter = (x + y for x, y in zip(a.recentered(center).in_unit, b.recentered(center).in_unit))
    return a.of(
        a.structure,
        center,
        weight,
        shift,
        scatter,
        total,
        a.n_rows + b.n_rows,
        log_likelihood,
        taken_under,
        unit,
        _columns_of_both(a.columns, b.columns),
        blend,
    )


def scaled_by(statistics: GaussianStatistics, factor: float) -> GaussianStatistics:
    """Return the statistics with the weight of every row multiplied; the factor is at least 0.

    Raises
    ------
    ValueError
        If the total weight or the log-likelihood would leave the range of float64.
    """
    total, log_likelihood = statistics.total_weight * factor, statistics.log_likelihood * factor
    lost = total == 0.0 and factor > 0.0 < statistics.total_weight
    if lost or not (math.isfinite(total) and math.isfinite(log_likelihood)):
        raise ValueError(
            f"factor is {factor:g}, but {factor:g} times the total weight {statistics.total_weight:g}, or the "
            f"log-likelihood {statistics.log_likelihood:g}, is beyond float64. Choose a more moderate factor."
        )
    exponent = math.frexp(factor)[1]
    if abs(exponent) <= _MODERATE:
        found = statistics.multiplied(factor)
    else:
        found = statistics.multiplied(math.ldexp(factor, -exponent))
        found = replace(found, unit=math.ldexp(statistics.unit, exponent))
    return replace(found, total_weight=total, log_likelihood=log_likelihood)


def blend_of(a: GaussianStatistics, b: GaussianStatistics, share: float) -> GaussianStatistics:
    """Return (1 − share) of one and `share` of the other, 0 < share < 1."""
    first, second, blend = a.digest, b.digest, a.blend
    if first != second:
        import hashlib  # OpenSSL's library is loaded with it

        blend = hashlib.sha256(f"{first} {second} {share.hex()}".encode()).hexdigest()
    return sum_of(scaled_by(a, 1.0 - share), scaled_by(b, share), b.taken_under, blend)


def difference_of(whole: GaussianStatistics, part: GaussianStatistics) -> GaussianStatistics:
    """Return the statistics of the rows that are not in `part`, about the same centres.

    Raises
    ------
    ValueError
        If `part` cannot be those of a part of the rows.
    """
    n_rows = whole.n_rows - part.n_rows
    if n_rows < 0:
        raise ValueError(
            f"statistics of {part.n_rows} rows cannot be subtracted from those of {whole.n_rows}: {_REMEDY}"
        )
    unit = max(whole.unit, part.unit)
    whole, part = whole.with_unit(unit), part.recentered(whole.center).with_unit(unit)
    total = _total_left(whole.total_weight, part.total_weight)
    weight = _weights_left(whole.in_unit[0], part.in_unit[0])
    held = weight > 0.0
    shift = np.where(held[:, np.newaxis], whole.in_unit[1] - part.in_unit[1], 0.0)
    scatter = whole.in_unit[2] - part.in_unit[2]
    if not whole.structure.form.is_shared:
        scatter[~held] = 0.0
    left = whole.of(
        whole.structure,
        whole.center,
        weight,
        shift,
        scatter,
        total,
        n_rows,
        whole.log_likelihood - part.log_likelihood,
        whole.taken_under,
        unit,
        whole.columns,
        whole.blend,
    )
    _check_spread_left(whole, left)
    return left


def _total_left(whole: float, part: float) -> float:
    """Return the difference of total weights, clipped at zero.

    Raises
    ------
    ValueError
        If it is negative by more than rounding.
    """
    left = whole - part
    if left < -ALLOWED * whole:
        raise ValueError(f"The total weight would be {left:g}, of {whole:g} before. {_REMEDY}")
    return max(0.0, left)


def _weights_left(whole: Array, part: Array) -> Array:
    """Return N − N′ of each component, zero where nothing but rounding is left.

    Raises
    ------
    ValueError
        If one is negative by more than rounding.
    """
    left = whole - part
    # A component may hold less of all rows than these hold of rounding.
    scale = whole + np.finfo(np.float64).eps * whole.sum()
    below = left < -ALLOWED * scale
    if below.any():
        k = int(below.argmax())
        raise ValueError(f"The weight of component {k} would be {left[k]:g}, of {whole[k]:g} before. {_REMEDY}")
    return np.where(left > ROUNDED * scale, left, 0.0)


def _check_spread_left(whole: GaussianStatistics, left: GaussianStatistics) -> None:
    """Refuse a difference whose scatter about the means is not positive, in units of the scatter before.

    Raises
    ------
    ValueError
        If it is not, by more than rounding: the component is named.
    """
    epsilon = 0.0 if whole.columns is None else whole.columns.epsilon
    allowed = max(ALLOWED, _EPSILONS * epsilon)
    form = left.structure.form
    before, after = _about_means(whole), _about_means(left)
    if form.has_matrices:
        deviations = np.sqrt(np.diagonal(before, axis1=-2, axis2=-1))
        deviations = np.where(deviations > 0.0, deviations, np.inf)
        scaled = after / deviations[..., np.newaxis] / deviations[..., np.newaxis, :]
        least = np.linalg.eigvalsh(scaled)[..., 0]
    else:
        least = after / np.where(before > 0.0, before, np.inf)
        least = least if least.ndim == 1 else least.min(axis=1)
    least = np.atleast_1d(least)
    if least.min() < -allowed:
        k = int(least.argmin())
        which = "The common scatter" if form.is_shared else f"The scatter of component {k}"
        raise ValueError(
            f"{which} would not be positive definite: in units of what it was, it has the eigenvalue {least[k]:.3g}. "
            f"{_REMEDY}"
        )


def _about_means(statistics: GaussianStatistics) -> Array:
    """Return S about the means, symmetric."""
    weight, shift, _ = statistics.in_unit
    held = np.where(weight > 0.0, weight, np.inf)[:, np.newaxis]
    scatter = statistics.recentered(statistics.center + shift / held).in_unit[2]
    return (
        np.tril(scatter) + np.tril(scatter, -1).swapaxes(-1, -2) if statistics.structure.form.has_matrices else scatter
    )


def _columns_of_both(a: Columns | None, b: Columns | None) -> Columns | None:
    """Return the columns of both sets of rows together, None if those of one are not known."""
    if a is None or b is None:
        return None
    least, greatest = np.minimum(a.column_range, b.column_range), np.maximum(a.column_range, b.column_range)
    # The lower precision bounds the rounding in both sets of rows.
    return Columns(max(a.epsilon, b.epsilon), np.array([least[0], greatest[1]]))
