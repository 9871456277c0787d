"""Layouts of packed arrays, by name: the codes, sizes and offsets of kernel/shared/layout.pxi for Python.

Each function returns slices of a packed array, and its size. A test compares them with the compiled ones.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

__all__ = [
    "DIAG",
    "EEE",
    "EEI",
    "EEV",
    "EII",
    "EVE",
    "EVI",
    "EVV",
    "FULL",
    "SPHERICAL",
    "TIED",
    "VEE",
    "VEI",
    "VEV",
    "VII",
    "VVE",
    "VVI",
    "VVV",
    "ArgumentsLayout",
    "DensityLayout",
    "ParametersLayout",
    "SlotLayout",
    "StatisticsLayout",
    "arguments_layout",
    "density_layout",
    "parameters_layout",
    "slot_layout",
    "spread_size",
    "statistics_layout",
]

# Codes of the covariance forms.
FULL, TIED, DIAG, SPHERICAL = range(4)

# Codes of the covariance structures whose M-step is compiled. The first four are numbered as their forms.
VVV, EEE, VVI, VII, EEI, EII, VEI, EVI, VEE, EVE, VVE, EEV, VEV, EVV = range(14)


def spread_size(form: int, n_components: int, n_features: int) -> int:
    """Numbers of Σ, W or S of all components."""
    K, d = n_components, n_features
    return (K * d * d, d * d, K * d, K)[form]


def _deviations_size(form: int, n_components: int, n_features: int) -> int:
    return (n_components * n_features, n_features, 0, 0)[form]


class SlotLayout(NamedTuple):
    """Sums of one share of the rows: [N (K) | s (K, d) | S | log-likelihood]."""

    size: int
    weight: slice
    shift: slice
    scatter: slice
    log_likelihood: slice


class StatisticsLayout(NamedTuple):
    """Sums of all rows, and their centres: [N (K) | s (K, d) | S | c (K, d)]."""

    size: int
    weight: slice
    shift: slice
    scatter: slice
    center: slice


class DensityLayout(NamedTuple):
    """The mixture that an E-step evaluates: [log π (K) | μ (K, d) | W | log det W (K) | √diag Σ]."""

    size: int
    log_weights: slice
    means: slice
    whitening: slice
    log_det: slice
    deviations: slice


class ParametersLayout(NamedTuple):
    """The result of an M-step: [π (K) | Σ | density]; the density's parts are named here too."""

    size: int
    weights: slice
    covariances: slice
    density: slice
    means: slice
    whitening: slice
    log_det: slice


class ArgumentsLayout(NamedTuple):
    """The numbers that the kernel's loops read: [c (K, d) | b (K, d) | a (K) | margin (K) | W | m (d)]."""

    size: int
    center: slice
    offset: slice
    log_constant: slice
    margin: slice
    whitening: slice
    origin: slice


def _slices(*sizes: int, first: int = 0) -> tuple[slice, ...]:
    """Slices of parts that lie one behind the other."""
    found = []
    for size in sizes:
        found.append(slice(first, first + size))
        first += size
    return tuple(found)


@cache
def slot_layout(form: int, n_components: int, n_features: int) -> SlotLayout:
    """Layout of a slot."""
    K, d = n_components, n_features
    parts = _slices(K, K * d, spread_size(form, K, d), 1)
    return SlotLayout(parts[-1].stop, *parts)


@cache
def statistics_layout(form: int, n_components: int, n_features: int) -> StatisticsLayout:
    """Layout of statistics."""
    K, d = n_components, n_features
    parts = _slices(K, K * d, spread_size(form, K, d), K * d)
    return StatisticsLayout(parts[-1].stop, *parts)


@cache
def density_layout(form: int, n_components: int, n_features: int) -> DensityLayout:
    """Layout of a density."""
    K, d = n_components, n_features
    parts = _slices(K, K * d, spread_size(form, K, d), K, _deviations_size(form, K, d))
    return DensityLayout(parts[-1].stop, *parts)


@cache
def parameters_layout(form: int, n_components: int, n_features: int) -> ParametersLayout:
    """Layout of parameters."""
    K, d = n_components, n_features
    spread = spread_size(form, K, d)
    weights, covariances = _slices(K, spread)
    size = covariances.stop + density_layout(form, K, d).size
    _, means, whitening, log_det = _slices(K, K * d, spread, K, first=covariances.stop)
    return ParametersLayout(size, weights, covariances, slice(covariances.stop, size), means, whitening, log_det)


@cache
def arguments_layout(form: int, n_components: int, n_features: int) -> ArgumentsLayout:
    """Layout of the kernel's arguments."""
    K, d = n_components, n_features
    parts = _slices(K * d, K * d, K, K, spread_size(form, K, d), d)
    return ArgumentsLayout(parts[-1].stop, *parts)
