"""Numbers of operations in a Gaussian mixture's passes over rows, by which threads and calls are planned."""

from __future__ import annotations

from emix.gaussian.forms import CovarianceForm

__all__ = ["operations_in_form", "operations_of_pass", "operations_per_row"]


def operations_per_row(n_components: int, n_features: int) -> float:
    """Return the number of operations for a row's log-densities."""
    return float(n_components * (n_features * n_features + 8 * n_features + 32))


def operations_of_pass(n_components: int, n_features: int) -> float:
    """Return the number for a row in a pass of a fit: sums take about as many operations as log-densities."""
    return 2.0 * operations_per_row(n_components, n_features)


def operations_in_form(form: CovarianceForm, n_components: int, n_features: int) -> float:
    """Return the number of operations that take as long as one row of a pass, where the form of covariances counts.

    Full covariances take those of `operations_of_pass`. A pass with other forms takes the time of these, 0.7 to 1.1
    times, from five components on (measured with AVX-512, 2 to 50 columns, K 5 to 64); with fewer it takes longer.
    """
    if form.has_matrices and not form.is_shared:
        return operations_of_pass(n_components, n_features)
    return 2.0 * n_components * (5.0 * n_features + 40.0)
