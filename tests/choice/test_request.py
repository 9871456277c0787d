"""Arguments of a choice: every message has the argument, its value, what was expected, what to do."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

import emix
from emix import select_mixture
from emix.choice.request import cells_of, check_covariance_types, check_n_components, count_distinct
from emix.gaussian.structures import STRUCTURES
from emix.rows.arrays import ArraySource

IRIS = load_iris().data


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (range(3, 3), ValueError, r"'n_components' .* is range\(3, 3\), which is empty, expected an int or several"),
        ([], ValueError, r"is \[\], which is empty"),
        ([1, 2, 2, 3, 3], ValueError, "has 2, 3 more than once, expected each number once"),
        ([1, 2.0], TypeError, "must be an int in the range .* Got 2.0 instead"),
        ([True], TypeError, "Got True instead"),
        ([0, 1], ValueError, "must be an int in the range .* Got 0 instead"),
        ("1-9", TypeError, r"is '1-9', expected an int or several, such as range\(1, 10\)"),
        (2.5, TypeError, "is 2.5, expected an int or several"),
        (None, TypeError, "is None, expected an int or several"),
    ],
)
def test_numbers_of_components_that_are_none(given: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        select_mixture(IRIS, given)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (
            "EEL",
            ValueError,
            "'covariance_types' .* has 'EEL', expected 'all' or names among .* Did you mean 'EE[EIV]'?",
        ),
        ("vvv", ValueError, "has 'vvv', .* Did you mean 'VVV'?"),
        (["full", "diagonal"], ValueError, "has 'diagonal', .* Did you mean 'diag'?"),
        ("xyz", ValueError, r"has 'xyz', expected 'all' or names among [^?]*\.$"),
        ([], ValueError, "'covariance_types' .* is empty, expected 'all', a name or several names"),
        (["full", 3], TypeError, "has 3, expected 'all' or names"),
        (7, TypeError, "is 7, expected 'all', a name or several"),
        (["full", "tied", "VVV"], ValueError, "has one structure twice, as 'full', 'VVV': leave one out"),
        ("E", ValueError, "has 'E', a structure of data in one column, but X has 4 columns: use 'EEE'"),
        (["V"], ValueError, "has 'V', a structure of data in one column, but X has 4 columns: use 'VVV'"),
    ],
)
def test_structures_that_do_not_exist(given: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        select_mixture(IRIS, 2, given)


def test_all_is_every_structure_once_and_two_in_one_column() -> None:
    several = check_covariance_types("all", 4, caller="f")
    assert sorted(name for name, _ in several) == sorted(STRUCTURES)
    counts = [structure.n_parameters(3, 3) for _, structure in several]
    assert counts == sorted(counts)
    for given in ("all", ["E", "V"], ("tied", "full")):
        assert [name for name, _ in check_covariance_types(given, 1, caller="f")] == ["tied", "full"]


def test_an_int_is_a_range_of_one() -> None:
    assert check_n_components(np.int64(3), caller="f") == [3]
    assert check_n_components(iter([3, 1]), caller="f") == [3, 1]


def test_criteria_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match=r"'criterion' .* must be one of 'bic', .* Got 'BIC' instead. Did you mean 'b"):
        select_mixture(IRIS, 2, criterion="BIC")
    with pytest.raises(ValueError, match="'criterion' parameter of select_mixture must be a str among"):
        select_mixture(IRIS, 2, criterion="likelihood")


def test_folds_that_there_are_too_few_rows_for() -> None:
    X = IRIS[:6]
    with pytest.raises(ValueError, match=r"n_folds=7 is more than the rows .* n_samples=6, .* lower n_folds"):
        select_mixture(X, 1, "EII", "cv", n_folds=7)
    weight = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match="n_folds=5 is more than the rows of weight above zero, n_samples=3"):
        select_mixture(X, 1, "EII", "cv", sample_weight=weight)
    with pytest.raises(ValueError, match="n_folds=2 leaves 3 of 6 rows to fit, fewer than n_components=4, 6: ask"):
        select_mixture(X, [4, 6], "EII", "cv", n_folds=2)
    with pytest.raises(ValueError, match=r"n_folds.*in the range"):
        select_mixture(X, 1, "EII", "cv", n_folds=1)


def test_components_beyond_the_distinct_rows_are_left_out_aloud() -> None:
    X = np.repeat(np.random.default_rng(0).normal(size=(4, 2)) * 10.0, 20, axis=0)
    X += 0.01 * np.random.default_rng(1).normal(size=(4, 2)).repeat(20, axis=0)
    with pytest.warns(UserWarning, match=r"n_components 5 to 7, 9 left out: X has n_samples=80, with 4 distinct rows"):
        cells = cells_of([1, 5, 6, 7, 9], check_covariance_types("EII", 2, caller="f"), ArraySource(X), caller="f")
    assert [cell.n_components for cell in cells] == [1]
    with pytest.raises(ValueError, match=r"asks for 5, 6 components, but X has n_samples=80, with 4 distinct"):
        select_mixture(X, [5, 6])


def test_components_beyond_the_rows_without_a_fold_are_left_out_aloud() -> None:
    X = np.random.default_rng(0).normal(size=(6, 1))
    message = (
        "n_components 4, 6 left out: criterion='cv' with n_folds=2 leaves 3 of 6 rows to fit, and a component needs a "
        "row of its own. Raise n_folds."
    )
    with pytest.warns(UserWarning, match=re.escape(message)):
        selection = select_mixture(X, [1, 4, 2, 6], "EII", "cv", n_folds=2, random_state=0)
    assert [row.n_components for row in selection.table_] == [1, 2]
    # Of 31 rows in 3 folds, 20 are left without the first.
    X = np.random.default_rng(0).normal(size=(31, 1))
    with pytest.warns(UserWarning, match="n_components 21 left out: .* leaves 20 of 31 rows"):
        select_mixture(X, [1, 21], "EII", "cv", n_folds=3, random_state=0)


def test_distinct_rows_are_counted_as_numbers() -> None:
    X = np.array([[0.0], [-0.0], [1.0], [1.0], [2.0]])
    assert count_distinct(ArraySource(X), 10) == 3
    assert count_distinct(ArraySource(X), 2) == 2
    assert count_distinct(ArraySource(X, np.array([1.0, 1.0, 0.0, 0.0, 1.0])), 10) == 2
    many = np.arange(5000.0).reshape(-1, 1) % 700
    assert count_distinct(ArraySource(many), 701) == 700


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tol": -1.0}, "'tol' parameter of select_mixture"),
        ({"n_init": 0}, "'n_init' parameter of select_mixture"),
        ({"init_params": "means"}, "'init_params' parameter of select_mixture"),
        ({"reg_covar": -1.0}, "'reg_covar' parameter of select_mixture"),
        ({"n_threads": 0}, "'n_threads' parameter of select_mixture"),
        ({"verbose": -1}, "'verbose' parameter of select_mixture"),
        ({"max_iter": -1}, "'max_iter' parameter of select_mixture"),
        ({"sample_weight": [1.0]}, "sample_weight.shape"),
    ],
)
def test_settings_are_those_of_a_mixture(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        select_mixture(IRIS, 2, "full", **settings)


def test_rows_are_refused_in_the_name_of_the_function() -> None:
    with pytest.raises(ValueError, match="minimum of 1 is required by select_mixture"):
        select_mixture(np.empty((0, 2)))


def test_weights_that_are_no_counts_are_doubted_once() -> None:
    with pytest.warns(UserWarning, match="bic takes n to be the sum of sample_weight, 0.15") as caught:
        select_mixture(IRIS, [1, 2], "tied", sample_weight=np.full(150, 1e-3), random_state=0)
    assert len(caught) == 1


def test_nothing_to_choose_says_what_to_try() -> None:
    # Five distinct rows: of five components each has one value.
    X = np.repeat(np.random.default_rng(0).normal(size=(5, 2)), 3, axis=0)
    with pytest.raises(
        ValueError, match=r"There is no mixture to choose: all 2 mixtures collapsed\. .* try: .*fewer comp"
    ):
        select_mixture(X, 5, ["full", "tied"], random_state=0)


def test_bootstrap_speaks_of_its_own_parameters() -> None:
    with pytest.raises(
        ValueError, match=r"'covariance_type' parameter of bootstrap_lrt has 'ful'.*Did you mean 'full'"
    ):
        emix.bootstrap_lrt(IRIS, 1, "ful")
    with pytest.raises(ValueError, match="'covariance_type' parameter of bootstrap_lrt is 'all'"):
        emix.bootstrap_lrt(IRIS, 1, "all")
    with pytest.raises(ValueError, match="'n_components' parameter of bootstrap_lrt"):
        emix.bootstrap_lrt(IRIS, 0)
    with pytest.raises(ValueError, match="'n_bootstrap' parameter of bootstrap_lrt"):
        emix.bootstrap_lrt(IRIS, 1, n_bootstrap=0)
    with pytest.raises(TypeError, match="'covariance_type' parameter of bootstrap_lrt has"):
        emix.bootstrap_lrt(IRIS, 1, ["full", "tied"])  # type: ignore[arg-type]  # wrong on purpose


def test_all_stands_alone() -> None:
    everything = check_covariance_types("all", 2, caller="here")
    assert check_covariance_types(["all"], 2, caller="here") == everything
    with pytest.raises(ValueError, match="'covariance_types' parameter of here has 'all' beside other names"):
        check_covariance_types(["all", "full"], 2, caller="here")


def test_a_number_may_be_an_array_without_dimensions() -> None:
    assert check_n_components(np.array(2), caller="here") == [2]
