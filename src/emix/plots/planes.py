"""Projection of a mixture in d dimensions to the line or plane that is drawn."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emix.arguments import did_you_mean
from emix.exceptions import shown
from emix.plots.style import plain

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

# 86.5 % of a two-dimensional Gaussian lies within two standard deviations, 98.9 % within three.
_MARGIN_DEVIATIONS = 3.0
# A label beside a panel holds about fifty characters, twelve of which are not loadings.
_LABEL_LENGTH = 38
_NAME_LENGTH = 24
# Largest number of names that a message lists.
_MOST_NAMES = 12
# Largest number of constant columns that a title names.
_FEW_NAMES = 3


@dataclass(frozen=True)
class View:
    """A mixture seen on one or two axes z = (x − origin) Aᵀ.

    Attributes
    ----------
    axes : ndarray of shape (n_axes, n_features)
        A.
    origin : ndarray of shape (n_features,)
    labels : tuple of str
        A label per axis.
    note : str
        Description of the axes if they are not simply the columns; else empty.
    weights : ndarray of shape (n_components,)
    means : ndarray of shape (n_components, n_axes)
    covariances : ndarray of shape (n_components, n_axes, n_axes)
    """

    axes: NDArray[np.float64]
    origin: NDArray[np.float64]
    labels: tuple[str, ...]
    note: str
    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    covariances: NDArray[np.float64]

    @property
    def n_axes(self) -> int:
        """Number of axes, one or two."""
        return len(self.axes)

    def project(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return rows on the view's axes, shape (n_samples, n_axes)."""
        return (rows - self.origin) @ self.axes.T

    def limits(self, axis: int, points: NDArray[np.float64]) -> tuple[float, float]:
        """Return the range of an axis that holds the points and the body of every component."""
        deviations = _MARGIN_DEVIATIONS * np.sqrt(self.covariances[:, axis, axis])
        low = min((self.means[:, axis] - deviations).min(), points.min(initial=np.inf))
        high = max((self.means[:, axis] + deviations).max(), points.max(initial=-np.inf))
        margin = 0.03 * (high - low)
        return float(low - margin), float(high + margin)

    def log_densities(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return logarithms of π_k p_k(z) for points of the view, shape (n_points, n_components)."""
        out = np.empty((len(z), len(self.weights)))
        with np.errstate(divide="ignore"):  # a component of weight zero: log 0 = −inf is right
            log_weights = np.log(self.weights)
        for k, (mean, covariance) in enumerate(zip(self.means, self.covariances, strict=True)):
            factor = np.linalg.cholesky(covariance)
            y = np.linalg.solve(factor, (z - mean).T)
            log_det = float(np.log(factor.diagonal()).sum())
            out[:, k] = log_weights[k] - 0.5 * (y * y).sum(axis=0) - log_det - 0.5 * self.n_axes * np.log(2.0 * np.pi)
        return out


def choose_view(
    weights: ArrayLike,
    means: ArrayLike,
    covariances: NDArray[np.float64],
    names: list[str],
    features: Any = None,
    least: int = 2,
    constant: Collection[int] = (),
) -> View:
    """Return the view of a mixture on one or two of its columns, or on its principal plane.

    Columns that are `constant` are left out of more than two, as long as two are left: what they vary by is reg_covar,
    which standardizing would make as large as the variance of the others.

    Raises
    ------
    TypeError, ValueError
        If `features` are not two different columns (from `least` to two), by number or by name.
    """
    pi, mu = np.asarray(weights, dtype=np.float64), np.asarray(means, dtype=np.float64)
    n_features = mu.shape[1]
    origin = np.zeros(n_features)
    labels: tuple[str, ...]
    if features is not None:
        chosen = columns_of(features, names, least, 2)
        axes = np.eye(n_features)[chosen]
        labels = tuple(plain(names[j]) for j in chosen)
        count = "two" if len(chosen) == 2 else "one"
        note = f"seen on {' and '.join(labels)}, {count} of {n_features} columns" if n_features > len(chosen) else ""
    else:
        kept = _varying(n_features, constant)
        part = [names[j] for j in kept]
        note = _left_out([names[j] for j in range(n_features) if j not in kept])
        axes = np.zeros((min(len(kept), 2), n_features))
        if len(kept) <= 2:
            axes[:, kept] = np.eye(len(kept))
            labels = tuple(map(plain, part))
        else:
            square = np.ix_(range(len(pi)), kept, kept)
            directions, deviations, origin[kept], shares = principal_plane(pi, mu[:, kept], covariances[square])
            axes[:, kept] = directions / deviations
            labels = tuple(
                f"PC {i} ({share:.0%}): {_loadings(direction, part)}"
                for i, (direction, share) in enumerate(zip(directions, shares, strict=True), start=1)
            )
            plane = (
                f"seen on the first two principal components (PC) of the {len(kept)} standardized columns "
                f"({shares.sum():.0%} of their variance; loadings on the axes)"
            )
            note = f"{plane}\n{note}" if note else plane
    seen = axes @ covariances @ axes.T
    return View(axes, origin, labels, note, pi, (mu - origin) @ axes.T, seen)


def _varying(n_features: int, constant: Collection[int]) -> list[int]:
    """Return the columns that a view is made of: those that are not constant, or the first constant ones beside."""
    varying = [j for j in range(n_features) if j not in constant]
    return sorted([*varying, *sorted(constant)[: max(0, 2 - len(varying))]])


def _left_out(names: list[str]) -> str:
    """Say which constant columns a view leaves out; empty if there are none."""
    if not names:
        return ""
    few = ", ".join(plain(name, _NAME_LENGTH) for name in names[:_FEW_NAMES])
    more = f" and {len(names) - _FEW_NAMES} more" if len(names) > _FEW_NAMES else ""
    return f"without {few}{more}, which {'are' if len(names) > 1 else 'is'} constant"


_COUNTS = {(2, 2): "two different columns", (1, 2): "one or two different columns"}


def columns_of(features: Any, names: list[str], least: int, most: int) -> list[int]:
    """Return the numbers of columns that are given by number or by name; one alone need not be in a list.

    Raises
    ------
    TypeError
        If `features` holds anything but numbers and names.
    ValueError
        If there are no such columns, or they are not different, fewer than `least` or more than `most`.
    """
    count = _COUNTS.get((least, most), f"{least} to {most} different columns")
    wanted = f"expected {count} of the mixture, by number from 0 to {len(names) - 1} or by name: "
    wanted += ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
    if least == 1 and isinstance(features, (str, int, np.integer)) and not isinstance(features, bool):
        features = [features]
    if isinstance(features, (str, bytes)) or not isinstance(features, Iterable):
        raise TypeError(f"features is {shown(features)}, {wanted}")
    numbers: list[int] = []
    near = ""
    for feature in (given := list(features)):
        if isinstance(feature, str):
            if names.count(feature) > 1:
                raise ValueError(f"features has {feature!r}, the name of several columns: give their numbers")
            numbers.append(names.index(feature) if feature in names else -1)
            near = near or ("" if feature in names else did_you_mean(feature, names))
        elif isinstance(feature, (int, np.integer)) and not isinstance(feature, bool):
            numbers.append(int(feature))
        else:
            raise TypeError(f"features has {shown(feature)}, {wanted}")
    unique = len(set(numbers)) == len(numbers)
    if not least <= len(numbers) <= most or not unique or not all(0 <= j < len(names) for j in numbers):
        raise ValueError(f"features is {shown(tuple(given))}, {wanted}{'.' + near if near else ''}")
    return numbers


def principal_plane(
    pi: NDArray[np.float64], mu: NDArray[np.float64], covariances: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return unit directions in standardized columns, columns' deviations, centre, shares of variance.

    All four follow from the parameters: the mixture's mean is Σ π_k μ_k, and its covariance
    Σ π_k (Σ_k + (μ_k − μ)(μ_k − μ)ᵀ).
    """
    centre = pi @ mu
    between = mu - centre
    total = np.einsum("k,kij->ij", pi, covariances) + (pi[:, None] * between).T @ between
    deviations = np.sqrt(total.diagonal())
    values, vectors = np.linalg.eigh(total / np.outer(deviations, deviations))
    largest = vectors[:, [-1, -2]].T
    # An eigenvector's sign is free. Its largest entry is made positive, so that the picture is unique.
    signs = np.sign(largest[np.arange(2), np.abs(largest).argmax(axis=1)])
    return signs[:, None] * largest, deviations, centre, values[[-1, -2]] / values.sum()


def _loadings(direction: NDArray[np.float64], names: list[str]) -> str:
    """Return the largest loadings of a direction with their columns, as many as a label can hold."""
    text = ""
    for j in np.argsort(-np.abs(direction), kind="stable"):
        name = plain(names[j], _NAME_LENGTH)
        term = f"{'−' if direction[j] < 0.0 else '+'} {abs(direction[j]):.2f} {name}"
        if text and len(text) + len(term) > _LABEL_LENGTH:
            return f"{text} …"
        text = f"{text} {term}" if text else term.removeprefix("+ ")
    return text
