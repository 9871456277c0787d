"""Parameters of the constructor. Their error texts, as a fit gives them, are tested in test_bad_input.py."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from emix import GaussianMixture
from emix.estimators.parameters_check import (
    check_settings,
    check_spread,
    check_weights,
    integer_in_range,
    real_in_range,
)


def refused(error: type[Exception], text: str, function: Any, *arguments: Any, **keywords: Any) -> None:
    with pytest.raises(error, match=re.escape(text)):
        function(*arguments, **keywords)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_integers(value: Any) -> None:
    found = integer_in_range("n", value, 1, caller="M")
    assert found == 3
    assert type(found) is int


@pytest.mark.parametrize(
    ("value", "error"),
    [(0, ValueError), (-1, ValueError), (1.0, TypeError), ("1", TypeError), (None, TypeError), (True, TypeError)],
)
def test_bad_integers(value: Any, error: type[Exception]) -> None:
    text = f"The 'n' parameter of M must be an int in the range [1, inf). Got {value!r} instead."
    refused(error, text, integer_in_range, "n", value, 1, caller="M")


@pytest.mark.parametrize("value", [0, 0.0, 1e-3, np.float32(0.5), np.int8(2)])
def test_reals(value: Any) -> None:
    found = real_in_range("x", value, 0.0, caller="M")
    assert found == value
    assert type(found) is float


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (-1e-9, ValueError),
        (np.nan, ValueError),
        (np.inf, ValueError),
        (np.float32(np.inf), ValueError),
        pytest.param(10**400, ValueError, id="no float"),
        ("1", TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_bad_reals(value: Any, error: type[Exception]) -> None:
    text = f"The 'x' parameter of M must be a float in the range [0.0, inf). Got {value!r} instead."
    refused(error, text, real_in_range, "x", value, 0.0, caller="M")


def test_numbers_of_numpy_are_numbers() -> None:
    settings = check_settings(
        GaussianMixture(np.int64(2), tol=np.float32(0.5), n_threads=np.int8(3), warm_start=np.True_, verbose=True)
    )
    assert settings.n_components == 2
    assert settings.tol == 0.5
    assert settings.n_threads == 3
    assert settings.warm_start is True
    assert settings.verbose == 1


# Parts of a start


def test_weights_are_normalized_to_the_last_bit() -> None:
    assert check_weights([0.25, 0.75], 2, argument="w").tolist() == [0.25, 0.75]
    single = np.array([0.1, 0.2, 0.7], dtype=np.float32)
    found = check_weights(single, 3, argument="w")
    assert found.dtype == np.float64
    # The sum of three quotients may be off by one rounding.
    assert found.sum() == pytest.approx(1.0, abs=3e-16)


def test_words_of_scikit_learn_about_weights() -> None:
    # Its tests want the least where its text says "max".
    text = "The parameter 'weights' should be in the range [0, 1], but got max value 1.10000, min value 1.50000"
    refused(ValueError, text, check_weights, [1.1, 1.5], 2, argument="w")


@pytest.mark.parametrize("spread", [0, 12, 120])
def test_units_of_columns_do_not_matter(spread: int) -> None:
    rng = np.random.default_rng(0)
    factor = np.eye(6) + 0.3 * rng.normal(size=(6, 6))
    scale = rng.permutation(np.logspace(-spread, spread, 6))
    matrix = factor @ factor.T * scale[:, np.newaxis] * scale
    found = check_spread(matrix, "tied", 3, 6, "covariance", argument="c")
    np.testing.assert_array_equal(found, (matrix + matrix.T) / 2)
    # Correlations of 1 and of more are as singular, and as wrong, in any units.
    singular = np.outer(scale, scale)
    singular[0, 1] = singular[1, 0] = -singular[0, 1]
    refused(ValueError, "has the eigenvalue", check_spread, singular, "tied", 3, 6, "covariance", argument="c")
    skewed = matrix.copy()
    skewed[0, 1] *= 1.01
    refused(ValueError, "c is not symmetric", check_spread, skewed, "tied", 3, 6, "covariance", argument="c")


def test_infinite_correlations_and_diagonals_are_refused() -> None:
    tiny = np.array([[1e-300, 1e100], [1e100, 1e-300]])
    refused(ValueError, "has the eigenvalue -inf", check_spread, tiny, "tied", 3, 2, "covariance", argument="c")
    zero = np.diag([1.0, 0.0])
    refused(
        ValueError, "c has 0 at [1, 1] of its diagonal", check_spread, zero, "tied", 3, 2, "precision", argument="c"
    )


def test_matrices_become_exactly_symmetric() -> None:
    matrix = np.array([[2.0, 1.0], [1.0 + 1e-9, 2.0]])
    found = check_spread(matrix, "tied", 3, 2, "precision", argument="p")
    np.testing.assert_array_equal(found, found.T)


def test_tiny_units_in_any_error_state() -> None:
    # Its correlation, 1e-400, and the part of a rounding of the sum in the second weight are below the smallest number.
    matrix = np.array([[1e200, 1e-200], [1e-200, 1e200]])
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(check_spread(matrix, "tied", 3, 2, "covariance", argument="c"), matrix)
        assert check_weights([1.0 - 2.0**-40, 5e-324], 2, argument="w").tolist() == [1.0, 5e-324]
