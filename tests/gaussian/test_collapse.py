"""Fits whose high likelihood comes from a component that collapsed are recognized; columns to doubt are named."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emix.gaussian.collapse import Judgement, judge_fit
from emix.gaussian.label_sums import statistics_of_labels
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import STRUCTURES, CovarianceStructure
from emix.kernel.factors import Columns
from gaussian.examples import each_structure

Array = NDArray[np.float64]


def statistics_of(structure: str, X: NDArray[np.floating], labels: NDArray[np.intp]) -> GaussianStatistics:
    """Statistics of rows that are given whole to their labels."""
    kind, K = STRUCTURES[structure], int(labels.max()) + 1
    rows = np.ascontiguousarray(X, np.float64)
    packed = statistics_of_labels(kind.form, rows, np.ones(len(X)), labels, None, 1, K)
    limits = np.stack([rows.min(axis=0), rows.max(axis=0)])
    columns = Columns(float(np.finfo(X.dtype).eps), limits)
    return GaussianStatistics(kind, K, X.shape[1], packed, float(len(X)), len(X), 0.0, None, columns=columns)


def judged(
    structure: str, X: NDArray[np.floating], labels: NDArray[np.intp], reg_covar: float | str = "auto"
) -> Judgement:
    return judge_fit(statistics_of(structure, X, labels), reg_covar, float(len(X)))


def groups(n: int = 60, d: int = 3, K: int = 2, seed: int = 0) -> tuple[Array, NDArray[np.intp]]:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(K), n)
    return 5.0 * rng.normal(size=(K, d))[labels] + rng.normal(size=(K * n, d)), labels


UNITS = [1.0, np.array([1e-17, 1.0, 1e12]), np.array([3e5, 2e-9, 7.0])]


@each_structure
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sound_components_are_not_doubted(structure: str, dtype: str) -> None:
    X, labels = groups()
    for unit in UNITS if not STRUCTURES[structure].mixes_columns and dtype == "float64" else (1.0, 1e-9, 1e12):
        assert judged(structure, (X * unit).astype(dtype), labels) == (None, ((), (), (), ()))


@pytest.mark.parametrize(("structure", "least"), [("full", 6), ("diag", 2), ("spherical", 2)])
def test_component_with_few_rows(structure: str, least: int) -> None:
    X, _ = groups()
    for n_few, collapsed in ((least, True), (least + 1, False)):
        labels = np.zeros(len(X), np.intp)
        labels[:n_few] = 1
        collapse, _ = judged(structure, X, labels)
        assert (collapse is not None) is collapsed
        if collapse is not None:
            assert collapse.message() == f"component 1 holds {least} rows, too few for its covariance: {least} or less"
            assert (collapse.component, collapse.column, collapse.effective_rows) == (1, None, least)


@each_structure
def test_component_without_rows(structure: str) -> None:
    X, labels = groups()
    statistics = statistics_of(structure, X, labels)
    weight, shift, scatter = (part.copy() for part in statistics.in_unit)
    weight[1], shift[1] = 0.0, 0.0
    if not STRUCTURES[structure].form.is_shared:
        scatter[1] = 0.0
    empty = GaussianStatistics.of(statistics.structure, statistics.center, weight, shift, scatter, 60.0, 60, 0.0, None)
    collapse, _ = judge_fit(empty, "auto", 60.0)
    assert collapse is not None
    assert collapse.message() == "component 1 holds no rows"


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "EEI"])
@pytest.mark.parametrize("reg_covar", ["auto", 1e-6])
def test_all_components_on_values_of_one_column_at_once(structure: str, reg_covar: float | str) -> None:
    """Zeros and ones: no component is narrower than another, and what they have in that column is reg_covar alone."""
    X, labels = groups()
    X[:, 1] = labels
    for unit in UNITS:
        collapse, columns = judged(structure, X * unit, labels, reg_covar)
        assert collapse is not None
        common = STRUCTURES[structure].is_common
        who = "the common covariance" if common else "component 0"
        n_rows, whose = (120, "the rows of a component") if common else (60, "its rows")
        assert collapse.message(["a", "b", "c"]) == (
            f"{who} has collapsed: {whose} have one value in column 'b', but for rounding; it holds {n_rows} rows"
        )
        assert collapse.column == 1
        assert columns.constant == columns.dependent == ()


@pytest.mark.parametrize("structure", ["full", "tied"])
def test_all_components_on_planes_of_their_own(structure: str) -> None:
    """x + y is one number in each component, but another one."""
    X, labels = groups()
    X[:, 2] = 3.0 * labels - X[:, 0] - X[:, 1]
    for unit in UNITS:
        collapse, columns = judged(structure, X * unit, labels)
        assert collapse is not None
        whose = "the rows of a component" if structure == "tied" else "its rows"
        assert f"has collapsed: {whose} do not vary in the direction of column" in collapse.message()
        assert columns.dependent == ()


@each_structure
def test_one_component_on_equal_values(structure: str) -> None:
    """As 29 flowers of iris with the same width of their petals."""
    X, labels = groups()
    column = 2 if STRUCTURES[structure].form.has_directions else slice(None)
    X[labels == 1, column] = 1.3
    collapse, _ = judged(structure, X, labels)
    # Where the shape, or all eigenvalues, are those of all components there is a variance left.
    if STRUCTURES[structure].shares_eigenvalues or structure in ("VEI", "VEE", "VEV"):
        assert collapse is None
        return
    assert collapse is not None
    assert collapse.component == 1
    assert collapse.column == (None if structure == "spherical" else 2)
    assert collapse.effective_rows == 60.0


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        (
            "spherical",
            "component 0 has collapsed: its rows have one value in all columns, but for",
        ),
        ("EII", "the common covariance has collapsed: the rows of a component have one value in all columns, but for"),
    ],
)
def test_all_components_on_one_point_each(structure: str, message: str) -> None:
    _, labels = groups()
    X = np.array([[1.0, 2.0, 3.0], [-1.0, 5.0, 0.1]])[labels]
    for unit in (1.0, 1e-9, 1e12):
        collapse, _ = judged(structure, X * unit, labels)
        assert collapse is not None
        n_rows = 120 if structure == "EII" else 60
        assert collapse.message() == f"{message} rounding; it holds {n_rows} rows"
        assert collapse.column is None


@pytest.mark.parametrize("narrow", [3e-9, 3e-8])
def test_component_that_is_narrow_in_one_direction(narrow: float) -> None:
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    labels = np.repeat([0, 1], 3000)
    X = rng.normal(size=(6000, 3))
    # Of the mean of both variances, 0.5
    X[3000:, 2] *= np.sqrt(0.5 * narrow)
    for unit in UNITS:
        collapse, _ = judged("full", (X @ rotation.T) * unit, labels, 0.0)
        assert (collapse is not None) is (narrow < 1e-8)
        if collapse is not None:
            assert collapse.component == 1
            assert collapse.column == int(np.argmax(np.abs(rotation[:, 2])))
            assert "component 1 has collapsed to 3e-09 of the components' mean variance" in collapse.message()


def test_groups_much_farther_apart_than_wide_are_sound() -> None:
    """Over all rows the column is 1e9 times as wide as in a component, beside one of the ordinary kind."""
    X, labels = groups()
    X[:, 0] += 1e9 * labels
    for structure in STRUCTURES:
        assert judged(structure, X, labels)[0] is None


@each_structure
@pytest.mark.parametrize("value", [0.0, 7.3, -1e7, 1e-200])
def test_constant_columns_are_named_and_left_out(structure: str, value: float) -> None:
    X, labels = groups()
    X[:, 1] = value
    collapse, columns = judged(structure, X, labels)
    assert collapse is None
    assert columns == ((1,), (), (), ())
    assert columns.messages("auto", ["a", "b", "c"]) == [
        "Column 'b' is constant, which tells no components apart: leave out what does not vary."
    ]
    X[:] = value
    assert judged(structure, X, labels) == (None, ((0, 1, 2), (), (), ()))


@pytest.mark.parametrize("structure", ["full", "tied"])
def test_dependent_columns_are_named_and_left_out(structure: str) -> None:
    X, labels = groups(d=4)
    X[:, 2] = X[:, 0] - 2.0 * X[:, 3]
    for unit in (1.0, np.array([1e-9, 1.0, 1e5, 1e12])):
        collapse, columns = judged(structure, X * unit, labels)
        assert collapse is None
        assert columns == ((), (0, 2, 3), (), ())
    [message] = columns.messages("auto")
    assert message.startswith("Columns 0, 2, 3 are linearly dependent: one of them follows from the others")


def test_a_collapse_beside_a_constant_and_dependent_columns_is_seen() -> None:
    X, labels = groups(d=6)
    X[:, 1], X[:, 2], X[:, 4] = 5.0, 3.0 * X[:, 0], np.where(labels == 1, 2.0, X[:, 4])
    collapse, columns = judged("full", X, labels)
    assert collapse is not None
    assert (collapse.component, collapse.column) == (1, 4)
    assert columns == ((1,), (0, 2), (), ())


@pytest.mark.parametrize("structure", ["full", "tied", "diag"])
def test_columns_that_a_number_swamps_are_named(structure: str) -> None:
    X, labels = groups()
    own = min(X[labels == k, 1].var() for k in (0, 1))
    if structure == "tied":
        own = np.mean([X[labels == k, 1].var() for k in (0, 1)])
    for share, swamped in ((0.0099, ()), (0.0101, (1,))):
        unit = np.array([10.0, 1.0, 10.0])
        assert judged(structure, X * unit, labels, share * own) == (None, ((), (), swamped, ()))
    [message] = judged(structure, X, labels, 1e3).columns.messages(1e3, ["a", "b", "c"])
    assert message == (
        "reg_covar=1000 is more than 1 % of a component's own variance in columns 'a', 'b', 'c', and part of the "
        "result there. It is in squared units of the data: pass a smaller one, or reg_covar='auto', which follows the "
        "scale of each column."
    )


def test_a_group_far_narrower_than_the_others_is_told_what_auto_adds() -> None:
    X, labels = groups(d=1)
    X[labels == 0] *= 3e3
    _, columns = judged("full", X, labels)
    assert columns == ((), (), (0,), ())
    assert "Pass reg_covar=0 if that is too much." in columns.messages("auto")[0]


@pytest.mark.parametrize("largest", [1e200, 1.5e308])
def test_covariances_beyond_all_bounds_are_told_from_sound_ones(largest: float) -> None:
    kind: CovarianceStructure = STRUCTURES["diag"]
    weight, zeros = np.array([100.0, 100.0]), np.zeros((2, 2))
    scatter = np.array([[1.0, 1e-200], [largest / 100.0, largest / 100.0]]) * weight[:, np.newaxis]
    statistics = GaussianStatistics.of(kind, zeros, weight, zeros, scatter, 200.0, 200, 0.0, None)
    assert judge_fit(statistics, 0.0, 200.0).collapse is not None


def test_covariances_that_are_not_finite() -> None:
    weight, zeros = np.array([100.0, 100.0]), np.zeros((2, 2))
    statistics = GaussianStatistics.of(
        STRUCTURES["diag"], zeros, weight, zeros, np.full((2, 2), np.inf), 200.0, 200, 0.0, None
    )
    collapse, _ = judge_fit(statistics, 0.0, 200.0)
    assert collapse is not None
    assert collapse.message() == "component 0 has a covariance that is not finite"


@pytest.mark.parametrize("structure", ["full", "tied"])
def test_columns_nearly_dependent_beside_the_ridge_are_named(structure: str) -> None:
    """The ridge is 1e-8 of the columns' variances, and 200 times that of their difference."""
    X, labels = groups(n=500)
    for noise, named in ((1e-5, (0, 2)), (1e-2, ())):
        X[:, 2] = X[:, 0] + noise * np.random.default_rng(1).normal(size=len(X))
        for unit in UNITS:
            collapse, columns = judged(structure, X * unit, labels)
            assert collapse is None
            assert columns == ((), (), (), named)
    X[:, 2] = X[:, 0] + 1e-5 * np.random.default_rng(1).normal(size=len(X))
    [message] = judged(structure, X, labels).columns.messages("auto")
    assert message.startswith("Columns 0, 2 are nearly linearly dependent: reg_covar='auto' is more than 1 % of a")
    assert judged(structure, X, labels, 0.0).columns == ((), (), (), ())


def test_lines_far_from_the_origin_are_judged_by_the_rounding_of_their_rows() -> None:
    """At 1e9 rows lie on their line to 1e-7, which is no part of what they vary."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 500)
    x = rng.normal(size=1000) + 1e9
    collapse, columns = judged("full", np.column_stack([x, 3.0 * x + 10.0 * labels]), labels)
    assert collapse is not None
    assert "do not vary in the direction of column" in collapse.message()
    collapse, columns = judged("full", np.column_stack([x, 3.0 * x]), np.zeros(1000, np.intp))
    assert collapse is None
    assert columns.dependent == (0, 1)
