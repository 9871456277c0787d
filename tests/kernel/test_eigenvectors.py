"""Eigenvalues and eigenvectors of symmetric matrices."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emix.kernel import factors

Array = NDArray[np.float64]


def decomposed(matrix: Array) -> tuple[Array, Array]:
    values, vectors = np.empty(len(matrix)), np.empty(matrix.shape)
    factors.eigenvectors(matrix.copy(), values, vectors)
    return values, vectors


def matrix_with(values: Array, seed: int = 0) -> Array:
    axes = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))[0]
    found = (axes * values) @ axes.T
    return np.asarray((found + found.T) / 2.0)


SPECTRA = {
    "one": [3.0],
    "equal": [2.0, 2.0, 2.0],
    "two equal": [5.0, 1.0, 1.0],
    "wide": [1e8, 1.0, 1e-8, 1e-16],
    "negative": [1.0, -1e-17, -2.0],
    "zeros": [1.0, 0.0, 0.0],
    "many": np.linspace(0.1, 9.0, 60).tolist(),
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("unit", [1.0, 1e300, 1e-300])
def test_a_matrix_is_its_eigenvectors(name: str, unit: float) -> None:
    spectrum = np.array(SPECTRA[name])
    matrix = matrix_with(spectrum) * (unit / np.abs(spectrum).max())
    values, vectors = decomposed(matrix)
    d, scale = len(spectrum), unit
    # Relative to the largest eigenvalue: a handful of roundings for each column.
    tolerance = 1e-15 * (4 + d)
    assert (np.diff(values) <= 0.0).all()
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(d), rtol=0, atol=tolerance)
    np.testing.assert_allclose((vectors.T * (values / scale)) @ vectors, matrix / scale, rtol=0, atol=tolerance)
    expected = np.sort(np.linalg.eigvalsh(matrix / scale))[::-1]
    np.testing.assert_allclose(values / scale, expected, rtol=0, atol=tolerance)


def test_a_diagonal_matrix_is_sorted_and_no_more() -> None:
    values, vectors = decomposed(np.diag([1.0, 3.0, 2.0]))
    np.testing.assert_array_equal(values, [3.0, 2.0, 1.0])
    np.testing.assert_array_equal(vectors, np.eye(3)[[1, 2, 0]])


@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_column_that_stands_alone_keeps_its_variance(place: int) -> None:
    """However small it is beside others: it may be that of a constant column, which is the ridge alone."""
    others = matrix_with(np.array([3.0, 2.0, 0.5]))
    matrix = np.insert(np.insert(others, place, 0.0, axis=0), place, 0.0, axis=1)
    matrix[place, place] = 1e-55
    values, vectors = decomposed(matrix)
    assert values[-1] == pytest.approx(1e-55, rel=1e-15)
    np.testing.assert_array_equal(np.abs(vectors[-1]), np.eye(4)[place])
    np.testing.assert_allclose(values[:-1], [3.0, 2.0, 0.5], rtol=1e-14)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_matrix_that_is_not_finite_ends(bad: float) -> None:
    matrix = np.eye(3)
    matrix[0, 1] = matrix[1, 0] = bad
    values, vectors = decomposed(matrix)
    np.testing.assert_array_equal(values, np.ones(3))
    np.testing.assert_array_equal(vectors, np.eye(3))


def test_arrays_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="matrix is 2 × 3, expected 2 × 2"):
        factors.eigenvectors(np.zeros((2, 3)), np.zeros(2), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="values has 3 numbers, expected 2"):
        factors.eigenvectors(np.zeros((2, 2)), np.zeros(3), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="vectors is 3 × 2, expected 2 × 2"):
        factors.eigenvectors(np.zeros((2, 2)), np.zeros(2), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="the structure 0 shares no part"):
        factors.project(0, 1, np.ones(1), np.ones(1))
