"""Numbers of operations in a Gaussian mixture's passes over rows, by which threads and calls are planned."""

from __future__ import annotations

__all__ = ["operations_of_pass", "operations_per_row"]


def operations_per_row(n_components: int, n_features: int) -> float:
    """Return the number of operations for a row's log-densities."""
    return float(n_components * (n_features * n_features + 8 * n_features + 32))


def operations_of_pass(n_components: int, n_features: int) -> float:
    """Return the number for a row in a pass of a fit: sums take about as many operations as log-densities."""
    return 2.0 * operations_per_row(n_components, n_features)
