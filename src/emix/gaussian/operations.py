"""How many operations a Gaussian mixture's passes over rows take, by which threads and calls are planned."""

from __future__ import annotations

__all__ = ["operations_of_pass", "operations_per_row"]


def operations_per_row(n_components: int, n_features: int) -> float:
    """Operations for a row's log-densities."""
    return float(n_components * (n_features * n_features + 8 * n_features + 32))


def operations_of_pass(n_components: int, n_features: int) -> float:
    """The same for a row in a pass of a fit: statistics take about as many as log-densities."""
    return 2.0 * operations_per_row(n_components, n_features)
