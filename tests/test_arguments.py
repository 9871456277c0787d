"""Arguments that are a number or a name, and where they are refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import emix
from emix.arguments import choice_of, integer_in_range, real_in_range
from emix.exceptions import shown
from emix.gaussian.structures import NAMES, OF_ONE_COLUMN


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
    text = f"The 'x' parameter of M must be a float in the range [0.0, inf). Got {shown(value)} instead."
    refused(error, text, real_in_range, "x", value, 0.0, caller="M")


@pytest.mark.parametrize("value", ["fulll", "Full", 3, None, ["full"]])
def test_names_that_are_none_are_refused_with_those_that_are(value: Any) -> None:
    text = f"The 'a' parameter of M must be a str among {{'full', 'tied'}}. Got {value!r} instead."
    refused(ValueError, text, choice_of, "a", value, ("tied", "full"), "M")
    assert choice_of("a", "tied", ("tied", "full"), "M") == "tied"


@pytest.mark.parametrize("structure", ["fulll", "eee", 3, None, ["full"]])
def test_unknown_structures(structure: Any) -> None:
    among = f"must be a str among {{{', '.join(map(repr, sorted(NAMES)))}}}. Got {structure!r} instead."
    arguments = structure, [1.0], [[0.0]], [[[1.0]]]
    text = f"The 'structure' parameter of GaussianParameters {among}"
    refused(ValueError, text, emix.GaussianParameters.from_covariances, *arguments)
    refused(ValueError, text, emix.GaussianParameters.from_precisions, *arguments)
    refused(ValueError, f"The 'structure' parameter of GaussianModel {among}", emix.GaussianModel, 1, 1, structure)
    among = among.replace(repr(sorted(NAMES))[1:-1], repr(sorted((*NAMES, *OF_ONE_COLUMN)))[1:-1])
    text = f"The 'covariance_type' parameter of GaussianMixture {among}"
    refused(ValueError, text, emix.GaussianMixture.from_parameters, *arguments[1:], covariance_type=structure)
    refused(ValueError, text, emix.GaussianMixture(covariance_type=structure).fit, np.eye(3))


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-2, ValueError), (1.5, TypeError), (True, TypeError)])
def test_sizes_and_threads_of_a_model(value: Any, error: type[Exception]) -> None:
    for name in ("n_components", "n_features", "n_threads"):
        arguments = {"n_components": 2, "n_features": 3, name: value}
        text = f"The '{name}' parameter of GaussianModel must be an int in the range [1, inf). Got {value!r} instead."
        refused(error, text, emix.GaussianModel, **arguments)
    model = emix.GaussianModel(np.int64(2), np.int8(3), n_threads=np.int64(1))
    assert type(model.n_components) is type(model.n_features) is type(model.n_threads) is int


@pytest.mark.parametrize("value", [0, -1, 0.5])
def test_threads_of_a_fitted_mixture(value: Any) -> None:
    X = np.random.default_rng(0).normal(size=(3000, 2))
    gm = emix.GaussianMixture(n_threads=1).fit(X)
    gm.n_threads = value
    text = f"n_threads is {value!r}, expected None or an int of 1 or more."
    refused(ValueError, text, gm.score_samples, X)


@pytest.mark.parametrize("value", ["auto", 0.0, 3, np.float32(0.5)])
def test_reg_covar_is_a_number_or_auto(value: Any) -> None:
    assert emix.GaussianModel(2, 2, reg_covar=value).reg_covar == value


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        ("Auto", ValueError, "'auto' or a float"),
        ("1e-6", ValueError, "'auto' or a float"),
        (-1.0, ValueError, "a float"),
        (np.nan, ValueError, "a float"),
        (None, TypeError, "a float"),
        ([1.0, 2.0], TypeError, "a float"),
    ],
)
def test_other_reg_covars_are_refused(value: Any, error: type[Exception], expected: str) -> None:
    for made, caller in (
        (lambda: emix.GaussianModel(2, 2, reg_covar=value), "GaussianModel"),
        (lambda: emix.GaussianMixture(2, reg_covar=value).fit([[0.0], [1.0], [2.0]]), "GaussianMixture"),
    ):
        refused(error, f"The 'reg_covar' parameter of {caller} must be {expected} in the range [0.0, inf). Got", made)
