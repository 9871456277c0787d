"""What starts need, at every level, against NumPy's formulae."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emix.gaussian import label_sums
from emix.gaussian.forms import FORMS
from emix.starts import kmeans
from emix.starts import starting_parameters as starts
from emix.starts.uniforms import Uniforms

Array = NDArray[np.float64]

SHAPES = [(1, 1), (3, 2), (255, 3), (256, 4), (257, 5), (600, 9)]  # blocks have 256 rows, groups four features


def rows(n: int, d: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng([seed, n, d])
    return rng.normal(size=(n, d)), rng.uniform(0.5, 2.0, n)


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_standardize(clusters: Any, n: int, d: int, offset: float) -> None:
    X, weight = rows(n, d)
    X = X * 10.0 ** np.arange(d) + offset
    X[:, -1] = 0.1
    Z = np.full((d, n + 3), np.nan)[:, :n]
    clusters.standardize(X, weight, Z)
    centered = X - X[0]  # exact to a rounding of the differences
    centered -= np.average(centered, axis=0, weights=weight)
    deviation = np.sqrt(np.average(centered**2, axis=0, weights=weight))
    np.testing.assert_allclose(Z.T, centered / np.where(deviation > 0.0, deviation, 1.0), rtol=1e-11, atol=1e-13)
    assert not Z[-1].any()


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_scale_columns(clusters: Any, n: int, d: int) -> None:
    X, _ = rows(n, d)
    center, scale = rows(2, d, seed=1)[0]
    Z = np.full((d, n + 3), np.nan)
    clusters.scale_columns(X, center, scale, Z[:, :n])
    np.testing.assert_array_equal(Z[:, :n].T, (X - center) / scale)
    assert np.isnan(Z[:, n:]).all()


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_nearest_centres(clusters: Any, n: int, d: int) -> None:
    Z, weight = rows(n, d)
    centers = np.vstack([rows(4, d, seed=1)[0], np.zeros((1, d)), np.zeros((1, d))])  # the last two are equals
    K = len(centers)
    distance = np.sum((Z[:, None] - centers) ** 2, axis=2)
    labels, least, sums = np.full(n, -1), np.full(n, np.nan), np.full((2, K, 1 + d), np.nan)
    features = np.ascontiguousarray(Z.T)
    moved, held = centers.copy(), np.full(K, np.nan)
    lloyd = clusters.Lloyd(features, weight, moved, sums, held, np.full(n, np.nan))
    for chunk, (first, last) in enumerate([(0, n // 2), (n // 2, n)]):
        clusters.assign(features, centers, first, last, labels, least)
        lloyd.add_up(chunk, first, last)
    np.testing.assert_array_equal(labels, distance.argmin(axis=1))
    np.testing.assert_allclose(least, distance.min(axis=1), rtol=1e-14)  # a sum of d squares
    belongs = (labels[:, None] == np.arange(K)) * weight[:, None]
    # Up to 600 terms of either sign, of about 1.
    expected = belongs.T @ np.column_stack([np.ones(n), Z])
    np.testing.assert_allclose(sums.sum(axis=0), expected, rtol=1e-13, atol=1e-12)
    step, n_empty = lloyd.move()
    expected = np.where(belongs.any(axis=0)[:, None], (belongs.T @ Z) / np.maximum(held, 1e-9)[:, None], centers)
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-12)  # of numbers of about 1
    assert n_empty == np.count_nonzero(held == 0.0) >= 1
    assert step == pytest.approx(np.sum((moved - centers) ** 2))
    with pytest.raises(ValueError, match="chunk is 2, expected 0 to 1"):
        lloyd.add_up(2, 0, 1)
    # Rows that go over to another centre leave the sums of the one for those of the other.
    moved[:] = centers[::-1]
    belongs = belongs[:, [4, 5, 3, 2, 1, 0]]  # of the two equals the first takes all
    for chunk, (first, last) in enumerate([(0, n // 2), (n // 2, n)]):
        lloyd.add_up(chunk, first, last)
    expected = belongs.T @ np.column_stack([np.ones(n), Z])
    np.testing.assert_allclose(sums.sum(axis=0), expected, rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_plus_plus(clusters: Any, n: int, d: int) -> None:
    Z, weight = rows(n, d)
    nearest = np.full(n, np.nan)
    plus_plus = clusters.PlusPlus(np.ascontiguousarray(Z.T), weight, nearest, np.full(n, np.nan))
    assert np.isposinf(nearest).all()
    distance = np.sum((Z[:, None] - Z) ** 2, axis=2)
    plus_plus.add(n // 3)
    np.testing.assert_allclose(nearest, distance[n // 3], rtol=1e-14)
    assert nearest[n // 3] == 0.0
    uniforms = np.array([0.1, 0.5, 0.9])
    found = plus_plus.draw(uniforms)
    if n == 1:
        assert found == -1  # no row lies elsewhere
        return
    mass = np.cumsum(weight * nearest)
    candidates = np.searchsorted(mass, uniforms * mass[-1], side="right")
    potential = weight @ np.minimum(nearest[:, None], distance[:, candidates])
    assert found == candidates[potential.argmin()]
    before = nearest.copy()
    plus_plus.add(n - 1)
    np.testing.assert_allclose(nearest, np.minimum(before, distance[:, n - 1]), rtol=1e-14)
    with pytest.raises(ValueError, match=f"row is -1, expected 0 to {n - 1}"):
        plus_plus.add(-1)
    for n_candidates in (0, 65):
        with pytest.raises(ValueError, match=f"the number of candidates is {n_candidates}, expected 1 to 64"):
            plus_plus.draw(np.zeros(n_candidates))


def test_sums_that_rows_left_are_taken_anew_where_rounding_counts(clusters: Any) -> None:
    Z = np.array([[0.1, 0.2, 0.3, 7.0]])
    weight = np.array([1e9 / 3, 1e9 / 7, 1e9 / 9, 1e-3 / 3])
    centers = np.array([[1.0], [-9.0]])  # the first has all rows
    lloyd = clusters.Lloyd(Z, weight, centers, np.empty((1, 2, 2)), np.empty(2), np.empty(4))
    lloyd.add_up(0, 0, 4)
    assert lloyd.move()[1] == 1
    centers[:] = [[5.0], [0.0]]  # and now the last alone
    lloyd.add_up(0, 0, 4)
    assert lloyd.move()[1] == -1
    np.testing.assert_array_equal(centers, [[5.0], [0.0]])
    lloyd.add_up(0, 0, 4)
    step, n_empty = lloyd.move()
    assert n_empty == 0
    assert centers[0, 0] == pytest.approx(7.0, rel=1e-15)
    assert step == pytest.approx(4.0 + centers[1, 0] ** 2)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize(
    ("n", "d", "K"), [(1, 1, 1), (33, 2, 3), (200, 2, 2), (600, 4, 3), (300, 7, 5), (200, 5, 1), (200, 6, 1)]
)
def test_a_small_start_is_its_steps(
    clusters: Any, weighted: bool, form: int, n: int, d: int, K: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, weight = rows(n, d)
    X[:, 0] += 5.0 * np.random.default_rng(2).integers(0, 3, n)
    ones = weight if weighted else np.ones(n)
    for module in (kmeans, label_sums, starts):
        monkeypatch.setattr(module, "clusters", clusters)
    Z = starts.standardized_rows(X, ones)
    seeds = kmeans.kmeans_plus_plus(Z, ones, K, Uniforms(7, 1))
    _, labels = kmeans.kmeans(Z, ones, Z.take(seeds, axis=0), 1)
    expected = label_sums.statistics_of_labels(list(FORMS.values())[form], X, ones, labels, None, 1, K)
    found = np.full(len(expected), np.nan)
    n_candidates = kmeans.candidates_of(K)
    settings = n_candidates, kmeans.MAX_ITERATIONS, kmeans.SQUARED_STEP
    assert clusters.small_start(form, X, weight if weighted else None, K, 7, 1, *settings, found)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("by_weight", [False, True])
@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize(("n", "d", "K"), [(33, 2, 3), (200, 2, 2), (600, 4, 3), (300, 7, 5)])
def test_without_iterations_clusters_are_the_cells_of_drawn_rows(
    clusters: Any, form: int, n: int, d: int, K: int, by_weight: bool, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, weight = rows(n, d)
    ones = weight if weighted else np.ones(n)
    for module in (kmeans, label_sums, starts):
        monkeypatch.setattr(module, "clusters", clusters)
    Z = starts.standardized_rows(X, ones)
    if by_weight:
        drawn = np.searchsorted(np.cumsum(ones), Uniforms(7, 1).random(K) * ones.sum(), side="right")
        assert len(set(drawn.tolist())) == K
    else:
        drawn = kmeans.kmeans_plus_plus(Z, ones, K, Uniforms(7, 1))
    labels = np.argmin(np.sum((Z[:, np.newaxis] - Z[drawn]) ** 2, axis=2), axis=1)
    expected = label_sums.statistics_of_labels(list(FORMS.values())[form], X, ones, labels, None, 1, K)
    found = np.full(len(expected), np.nan)
    settings = 0 if by_weight else kmeans.candidates_of(K), 0, 0.0
    assert clusters.small_start(form, X, weight if weighted else None, K, 7, 1, *settings, found)
    np.testing.assert_array_equal(found, expected)


def test_a_small_start_leaves_rare_cases_to_others(clusters: Any) -> None:
    X = np.repeat([[0.0], [1.0]], 5, axis=0)  # fewer values than centres
    assert not clusters.small_start(0, X, None, 3, 0, 0, 3, 100, 1e-4, np.empty(12))
    distinct = np.arange(10.0)[:, np.newaxis]
    assert not clusters.small_start(0, distinct, np.zeros(10), 3, 0, 0, 3, 100, 1e-4, np.empty(12))
    assert clusters.small_start(0, distinct, np.ones(10), 3, 0, 0, 3, 100, 1e-4, np.empty(12))
    assert not clusters.small_start(0, X, None, 3, 0, 0, 0, 0, 0.0, np.empty(12))  # a row twice, or its equal


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"X": np.zeros((0, 2))}, "the number of rows is 0, expected 1 to 8192"),
        ({"X": np.zeros((8193, 2))}, "the number of rows is 8193, expected 1 to 8192"),
        ({"X": np.zeros((9, 0))}, "there are no features, expected 1 or more"),
        ({"weight": np.zeros(8)}, "weight has 8 numbers, expected 9"),
        ({"n_clusters": 0}, "there are no centres, expected 1 or more"),
        ({"n_candidates": -1}, "the number of candidates is -1, expected 0 to 64"),
        ({"n_candidates": 65}, "the number of candidates is 65, expected 0 to 64"),
        ({"statistics": np.zeros(7)}, "statistics has 7 numbers, expected 27"),
        ({"form": 4}, "the covariance form has the code 4, expected 0 to 3"),
        ({"form": -1}, "the covariance form has the code -1, expected 0 to 3"),
    ],
)
def test_a_small_start_refuses_what_does_not_fit(clusters: Any, changed: dict[str, Any], text: str) -> None:
    fits = {
        "form": 0,
        "X": of(9, 2),
        "weight": None,
        "n_clusters": 3,
        "seed": 0,
        "restart": 0,
        "n_candidates": 3,
        "most_iterations": 10,
        "squared_step": 1e-4,
        "statistics": of(27),
    }
    with pytest.raises(ValueError, match=text):
        clusters.small_start(*(fits | changed).values())


def forms(matrices: Array) -> list[Array]:
    """A scatter (K, d, d) as each form has it."""
    variances = np.diagonal(matrices, axis1=1, axis2=2)
    return [matrices, matrices.sum(axis=0), variances, variances.sum(axis=1)]


# Features around those of a tile (4 and 2 vectors), rows of a label around those of a group (64).
@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize(("n", "d"), [(1, 1), (300, 3), (300, 4), (700, 5), (190, 16), (190, 17), (130, 37)])
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_sums_of_labels(clusters: Any, form: int, n: int, d: int, offset: float) -> None:
    X, weight = rows(n, d)
    X += offset
    labels = np.random.default_rng(1).integers(0, 3, n)
    K = 4  # the last holds nothing
    shape = forms(np.zeros((K, d, d)))[form].shape
    about = np.repeat(X[:1], K, axis=0)
    slots = np.zeros((2, K * (1 + d) + math.prod(shape)))
    work = np.full((2, clusters.label_workspace(K, d)), np.nan)
    sums = clusters.LabelSums(form, X, weight, labels, about, slots, work)
    for add in (sums.add_means, sums.add_up):
        add(0, 0, n // 3)
        add(1, n // 2, n)
        add(0, n // 3, n // 2)
        if add == sums.add_means:
            sums.center()
    found = np.full(slots.shape[1] + K * d, np.nan)
    sums.finish(found)
    held, shift, center = found[:K], found[K : K + K * d].reshape(K, d), found[-K * d :].reshape(K, d)
    belongs = (labels[:, None] == np.arange(K)) * weight[:, None]
    np.testing.assert_allclose(held, belongs.sum(axis=0), rtol=1e-13)
    # Where nothing is held the centre is the mean of all.
    everything = np.where(held[:, None] > 0.0, belongs.T, weight)
    average = everything @ (X - offset) / everything.sum(axis=1, keepdims=True) + offset
    # Some roundings of the centre itself, and of sums of 700 terms of about 1.
    np.testing.assert_allclose(center, average, rtol=1e-15, atol=1e-14)
    np.testing.assert_array_equal(center, about)
    z = X[:, None] - center
    # Rows less the centre are exact, so that an offset adds nothing.
    np.testing.assert_allclose(shift, np.einsum("ik,ikj->kj", belongs, z), rtol=0, atol=1e-12)
    expected = forms(np.einsum("ik,ika,ikb->kab", belongs, z, z))[form]
    np.testing.assert_allclose(found[K + K * d : -K * d].reshape(shape), expected, rtol=1e-12, atol=1e-11)  # n terms


@pytest.mark.parametrize("d", [3, 9])
def test_sums_of_all_rows_are_those_of_one_label(clusters: Any, d: int) -> None:
    X, weight = rows(300, d)
    found = []
    for labels in (None, np.zeros(300, dtype=np.intp)):
        slots, work = np.zeros((1, 1 + d + d * d)), np.empty((1, clusters.label_workspace(1, d)))
        sums = clusters.LabelSums(1, X, weight, labels, np.zeros((1, d)), slots, work)
        sums.add_up(0, 0, 300)
        found.append(slots)
    np.testing.assert_array_equal(*found)


def test_draws_invert_the_cumulative_sums(clusters: Any) -> None:
    weight = np.array([0.0, 1.0, 0.0, 1.0, 2.0, 0.0])
    uniforms = np.array([0.0, 0.25, 0.5, 1.0 - 2.0**-53, 1.0])
    drawn = np.empty(5, dtype=np.intp)
    assert clusters.draw(weight, uniforms, np.empty(6), drawn)
    np.testing.assert_array_equal(drawn, [1, 3, 4, 4, 4])
    assert not clusters.draw(np.zeros(6), uniforms, np.empty(6), drawn)


# What does not fit together is refused: a step would write behind an array.


def of(*shape: int) -> Array:
    return np.zeros(shape)


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("standardize", (of(4, 2), of(4), of(2, 3)), "a column of X has 4 numbers, expected 3"),
        ("standardize", (of(4, 2), of(4), of(1, 4)), "a row of X has 2 numbers, expected 1"),
        ("standardize", (of(4, 2), of(3), of(2, 4)), "weight has 3 numbers, expected 4"),
        (
            "standardize",
            (of(4, 2), of(4), of(4, 2).T),
            "16 bytes are between the rows of Z, expected",
        ),
        ("standardize", (of(0, 2), of(0), of(2, 0)), "there are no rows, expected 1 or more"),
        ("scale_columns", (of(4, 2), of(2), of(2), of(2, 3)), "a column of X has 4 numbers, expected 3"),
        ("scale_columns", (of(4, 2), of(1), of(2), of(2, 4)), "center has 1 numbers, expected 2"),
        ("scale_columns", (of(4, 2), of(2), of(3), of(2, 4)), "scale has 3 numbers, expected 2"),
        ("draw", (of(4), of(2), of(3), np.zeros(2, np.intp)), "cumulative has 3 numbers, expected 4"),
        ("draw", (of(4), of(2), of(4), np.zeros(1, np.intp)), "rows has 1 numbers, expected 2"),
        ("draw", (of(4), of(0), of(4), np.zeros(0, np.intp)), "there are no draws, expected 1 or more"),
        ("draw", (of(0), of(2), of(0), np.zeros(2, np.intp)), "there are no rows, expected 1 or more"),
        ("PlusPlus", (of(2, 4), of(3), of(4), of(4)), "weight has 3 numbers, expected 4"),
        ("PlusPlus", (of(2, 4), of(4), of(3), of(4)), "nearest has 3 numbers, expected 4"),
        ("PlusPlus", (of(2, 4), of(4), of(4), of(5)), "cumulative has 5 numbers, expected 4"),
        ("PlusPlus", (of(4, 2).T, of(4), of(4), of(4)), "16 bytes are between the rows of Z"),
        ("assign", (of(2, 9), of(3, 2), 0, 9, np.zeros(5, np.intp), None), "labels has 5 numbers, expected 9"),
        ("assign", (of(2, 9), of(3, 2), 0, 9, None, of(5)), "distances has 5 numbers, expected 9"),
        ("assign", (of(2, 9), of(3, 3), 0, 9, None, of(9)), "a centre has 3 numbers, expected 2"),
        ("assign", (of(2, 9), of(3, 2), 0, 10, None, of(9)), "rows 0 to 10 are asked for, of 9"),
        ("assign", (of(2, 9), of(3, 2), -1, 9, None, of(9)), "rows -1 to 9 are asked for, of 9"),
        ("assign", (of(2, 9), of(0, 2), 0, 9, None, of(9)), "there are no centres, expected 1 or more"),
        ("Lloyd", (of(2, 9), of(8), of(3, 2), of(1, 3, 3), of(3), of(9)), "weight has 8 numbers, expected 9"),
        ("Lloyd", (of(2, 9), of(9), of(3, 1), of(1, 3, 3), of(3), of(9)), "a centre has 1 numbers, expected 2"),
        ("Lloyd", (of(2, 9), of(9), of(3, 2), of(1, 2, 3), of(3), of(9)), "sums of a chunk has 6 numbers, expected 9"),
        ("Lloyd", (of(2, 9), of(9), of(3, 2), of(1, 9, 1), of(3), of(9)), "sums of a centre has 1 numbers, expected 3"),
        ("Lloyd", (of(2, 9), of(9), of(3, 2), of(1, 3, 3), of(2), of(9)), "held has 2 numbers, expected 3"),
        ("Lloyd", (of(2, 9), of(9), of(3, 2), of(1, 3, 3), of(3), of(8)), "nearest has 8 numbers, expected 9"),
        ("Lloyd", (of(2, 9), of(9), of(3, 2), of(0, 3, 3), of(3), of(9)), "there are no chunks, expected 1 or more"),
    ],
)
def test_arrays_of_the_wrong_size_are_refused(clusters: Any, name: str, arguments: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        getattr(clusters, name)(*arguments)


def test_sums_of_labels_refuse_what_does_not_fit(clusters: Any) -> None:
    n, d, K = 9, 2, 3
    fits = {
        "form": 0,
        "X": of(n, d),
        "weight": of(n),
        "labels": np.zeros(n, np.intp),
        "centers": of(K, d),
        "slots": of(1, K * (1 + d) + K * d * d),
        "work": of(1, clusters.label_workspace(K, d)),
    }
    sums = clusters.LabelSums(*fits.values())
    for name, wrong, text in (
        ("form", 4, "the covariance form has the code 4, expected 0 to 3"),
        ("form", -1, "the covariance form has the code -1, expected 0 to 3"),
        ("weight", of(n - 1), "weight has 8 numbers, expected 9"),
        ("labels", np.zeros(n + 1, np.intp), "labels has 10 numbers, expected 9"),
        ("labels", np.arange(n), r"labels\[3\] is 3, expected 0 to 2"),
        ("labels", np.full(n, -1), r"labels\[0\] is -1, expected 0 to 2"),
        ("labels", None, "there are 3 centres, expected 1 without labels"),
        ("centers", of(0, d), "there are no centres, expected 1 or more"),
        ("centers", of(K, d + 1), "a centre has 3 numbers, expected 2"),
        ("slots", of(1, 20), "a slot has 20 numbers, expected 21"),
        ("slots", of(0, 21), "there are no slots, expected 1 or more"),
        ("work", of(1, 20), "work has 20 numbers, expected"),
        ("X", of(0, d), "there are no rows, expected 1 or more"),
    ):
        with pytest.raises(ValueError, match=text):
            clusters.LabelSums(*(fits | {name: wrong}).values())
    for add in (sums.add_means, sums.add_up):
        for outside, text in (
            ((1, 0, n), "slot is 1, expected 0 to 0"),
            ((-1, 0, n), "slot is -1, expected 0 to 0"),
            ((0, 0, n + 1), "rows 0 to 10 are asked for, of 9"),
            ((0, -1, n), "rows -1 to 9 are asked for, of 9"),
            ((0, 3, 2), "rows 3 to 2 are asked for, of 9"),
        ):
            with pytest.raises(ValueError, match=text):
                add(*outside)
    with pytest.raises(ValueError, match="statistics has 26 numbers, expected 27"):
        sums.finish(of(26))
    # The order of a call's rows has room for as many.
    many = clusters.LabelSums(0, of(8193, d), of(8193), np.zeros(8193, np.intp), *list(fits.values())[4:])
    with pytest.raises(ValueError, match="the number of rows is 8193, expected 0 to 8192"):
        many.add_up(0, 0, 8193)
