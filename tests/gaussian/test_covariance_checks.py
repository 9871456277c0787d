"""Answers about matrices that do not depend on the units of their columns."""

from __future__ import annotations

import numpy as np
import pytest

from emix.gaussian.covariance_checks import asymmetric_element, correlations, least_eigenvalue

UNITS = [np.ones(3), np.array([1e-160, 1.0, 1e150]), np.array([2.0**40, 2.0**-30, 1.0])]
CORRELATION = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, -0.25], [0.0, -0.25, 1.0]])


@pytest.mark.parametrize("units", UNITS)
def test_correlations(units: np.ndarray) -> None:
    matrix = CORRELATION * units[:, np.newaxis] * units
    # Two divisions and a root; variances of 1e-320 keep four digits.
    np.testing.assert_allclose(correlations(matrix), CORRELATION, rtol=1e-3 if units.min() < 1e-100 else 1e-15)
    np.testing.assert_array_equal(correlations(np.stack([matrix] * 2))[1], correlations(matrix))


@pytest.mark.parametrize("units", [UNITS[0], UNITS[2]])
def test_the_elements_that_are_farthest_apart(units: np.ndarray) -> None:
    scale = units[:, np.newaxis] * units
    matrices = np.stack([CORRELATION] * 2)
    assert asymmetric_element(matrices * scale) is None
    matrices[1, 0, 1] += 0.9e-5  # rounding of single precision, and less than the tolerance
    assert asymmetric_element(matrices * scale) is None
    matrices[1, 2, 1] += 2e-5
    matrices[0, 2, 0] += 3e-5
    assert asymmetric_element(matrices * scale) == ((0, 0, 2), (0, 2, 0))
    assert asymmetric_element(matrices[1] * scale) == ((1, 2), (2, 1))
    assert asymmetric_element(matrices * scale, 1e-4) is None


def test_an_element_beside_a_diagonal_of_zeros() -> None:
    assert asymmetric_element(np.array([[0.0, 0.0], [1e-300, 1.0]])) == ((0, 1), (1, 0))


def test_least_eigenvalue() -> None:
    assert least_eigenvalue(np.array([[1.0, 0.25], [0.25, 1.0]])) == pytest.approx(0.75, rel=1e-14)
    assert least_eigenvalue(np.array([[1.0, np.inf], [np.inf, 1.0]])) == -np.inf
