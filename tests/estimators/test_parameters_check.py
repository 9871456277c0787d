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
)


def refused(error: type[Exception], text: str, function: Any, *arguments: Any, **keywords: Any) -> None:
    with pytest.raises(error, match=re.escape(text)):
        function(*arguments, **keywords)


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


def test_bounds_of_impossible_weights() -> None:
    # scikit-learn prints them exchanged.
    text = "The parameter 'weights' should be in the range [0, 1], but got min value 1.10000, max value 1.50000"
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


# Components that start alike


TWINS = {
    "means alone": {"means_init": [[0.0], [5.0], [0.0]]},
    "zeros of both signs": {"means_init": [[0.0], [5.0], [-0.0]]},
    "other weights": {"means_init": [[0.0], [5.0], [0.0]], "weights_init": [0.2, 0.3, 0.5]},
    "equal precisions": {"means_init": [[0.0], [5.0], [0.0]], "precisions_init": np.ones((3, 1, 1))},
    "tied": {"means_init": [[0.0], [5.0], [0.0]], "precisions_init": [[1.0]], "covariance_type": "tied"},
}


@pytest.mark.parametrize("start", TWINS.values(), ids=TWINS.keys())
def test_components_that_start_alike_are_warned_of(start: dict[str, Any]) -> None:
    X = np.linspace(0.0, 9.0, 40)[:, np.newaxis] ** 1.5
    text = (
        "means_init[0] and means_init[2] are equal, and so are the covariances that go with them. Such components stay "
        "one, counted twice, or rounding parts them. Give means that differ."
    )
    with pytest.warns(UserWarning, match=re.escape(text)) as caught:
        gm = GaussianMixture(3, reg_covar=0.0, **start).fit(X)
    assert len(caught) == 1
    # What is said of them is so: of equal weight they stay the same in every bit.
    if "weights_init" not in start:
        np.testing.assert_array_equal(gm.means_[2], gm.means_[0])
    assert not np.allclose(gm.means_[1], gm.means_[0])


def test_components_that_differ_in_their_precisions_part() -> None:
    X = np.linspace(0.0, 9.0, 40)[:, np.newaxis] ** 1.5
    start = {"means_init": [[0.0], [0.0]], "precisions_init": [[[1.0]], [[0.1]]]}
    gm = GaussianMixture(2, reg_covar=0.0, **start).fit(X)  # warnings are errors
    assert not np.allclose(gm.means_[1], gm.means_[0])


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data", "hierarchical"])
def test_equal_rows_are_warned_of_in_the_same_words_whatever_the_start(init_params: str) -> None:
    X = np.tile([[3.0, -2.0]], (30, 1))
    text = (
        "All 30 rows are equal: no start and no number of components can tell groups among them, and their variances "
        "are reg_covar alone. Look at the data, or set n_components=1."
    )
    with pytest.warns(UserWarning, match=re.escape(text)) as caught:
        GaussianMixture(2, init_params=init_params, random_state=0).fit(X)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="Columns 0, 1 are constant"):
        GaussianMixture(1, init_params=init_params).fit(X)
