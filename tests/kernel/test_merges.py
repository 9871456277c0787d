"""Compiled agglomeration against loops over the definition, at every instruction-set level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[np.float64]


def scatter(Z: Array, weight: Array) -> Array:
    centred = Z - weight @ Z / weight.sum()
    return (centred.T * weight) @ centred


def naive_merges(Z: Array, weight: Array, criterion: Any) -> tuple[list[tuple[int, int]], list[float]]:
    """Try all pairs before each merge, with sums from scratch."""
    members = {i: [i] for i in range(len(Z))}
    merges, heights = [], []
    while len(members) > 1:
        alone = {a: criterion(weight[rows].sum(), scatter(Z[rows], weight[rows])) for a, rows in members.items()}
        cost = {}
        for a in members:
            for b in members:
                if a < b:
                    rows = members[a] + members[b]
                    together = criterion(weight[rows].sum(), scatter(Z[rows], weight[rows]))
                    cost[a, b] = together - alone[a] - alone[b]
        a, b = min(cost, key=cost.__getitem__)
        merges.append((a, b))
        heights.append(cost[a, b])
        members[a] += members.pop(b)
    return merges, heights


def rows_and_weights(n: int, d: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed + 100 * n + d)
    return rng.normal(size=(n, d)) + 3.0 * rng.integers(3, size=(n, 1)), rng.uniform(0.1, 3.0, n)


def merged(clusters: Any, Y: Array, weight: Array, prior: float, step: int = 10**6) -> tuple[Any, Array]:
    p, n = Y.shape
    size, line = clusters.merger_workspace(n, p)
    kept, joined, heights = np.empty(n - 1, dtype=np.intp), np.empty(n - 1, dtype=np.intp), np.empty(n - 1)
    # What the buffers hold before must not matter.
    costs, work = np.full((n, line), np.nan), np.full(size, np.nan)
    places = np.full((8, n + 1), -7, dtype=np.intp)
    merger = clusters.DeterminantMerges(Y, weight, p, prior, costs, work, places, kept, joined, heights)
    left = n - 1
    while left:
        after = merger.advance(step)
        assert after == max(0, left - step)
        left = after
    return list(zip(kept.tolist(), joined.tolist(), strict=True)), heights


# Vectors hold 2, 4 or 8 clusters. From 4, 10 and 22 columns on, small clusters have factors of 1, 3 and 7 columns.
@pytest.mark.parametrize(
    ("n", "d"), [(2, 1), (3, 2), (9, 1), (25, 2), (33, 3), (36, 4), (30, 9), (32, 10), (40, 22), (12, 40)]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_determinant_merges(clusters: Any, n: int, d: int, weighted: bool) -> None:
    Z, weight = rows_and_weights(n, d)
    weight = weight if weighted else np.ones(n)
    prior = d + 2.0

    def criterion(mass: float, W: Array) -> float:
        _, log_det = np.linalg.slogdet((W + np.eye(d)) / (mass + prior))
        return float((mass + prior) * log_det)

    expected, heights = naive_merges(Z, weight, criterion)
    found, costs = merged(clusters, np.ascontiguousarray(Z.T), weight, prior, step=5)
    assert found == expected
    # Differences of terms of size n d log n
    np.testing.assert_allclose(costs, heights, rtol=1e-9, atol=1e-10)


def test_determinants_of_many_columns_do_not_overflow(clusters: Any) -> None:
    # 300 pivots of 1e7 at the last merge
    Y = np.random.default_rng(0).normal(size=(300, 12)) * 1e3
    _, costs = merged(clusters, Y, np.full(12, 10.0), 302.0)
    mass = 120.0 + 302.0
    _, log_det = np.linalg.slogdet((scatter(Y.T, np.full(12, 10.0)) + np.eye(300)) / mass)
    alone = -300 * 312.0 * np.log(312.0)
    # Eigenvalues of 1 beside those of 1e8: rounding of these is 1e-8 of those.
    assert costs.sum() == pytest.approx(mass * log_det - 12 * alone, rel=1e-9)


def test_rows_without_columns_merge_in_their_order(clusters: Any) -> None:
    size, line = clusters.merger_workspace(4, 0)
    kept, joined, heights = np.empty(3, dtype=np.intp), np.empty(3, dtype=np.intp), np.empty(3)
    buffers = np.empty((4, line)), np.empty(size), np.empty((8, 5), dtype=np.intp)
    merger = clusters.DeterminantMerges(np.zeros((1, 4)), np.ones(4), 0, 2.0, *buffers, kept, joined, heights)
    assert merger.advance(3) == 0
    assert (kept.tolist(), joined.tolist()) == ([0, 0, 0], [1, 2, 3])


def test_costs_that_are_not_finite_end_the_merges(clusters: Any) -> None:
    with pytest.raises(ValueError, match="no merge has a finite cost, expected weights and sphered rows"):
        merged(clusters, np.full((2, 5), np.nan), np.ones(5), 4.0)


@pytest.mark.parametrize(("n", "d"), [(2, 1), (3, 2), (17, 1), (40, 3), (33, 10)])
@pytest.mark.parametrize("weighted", [False, True])
def test_ward(clusters: Any, n: int, d: int, weighted: bool) -> None:
    Z, weight = rows_and_weights(n, d)
    weight = weight if weighted else np.ones(n)
    expected, heights = naive_merges(Z, weight, lambda mass, W: float(np.trace(W)))
    a, b, costs = np.empty(n - 1, dtype=np.intp), np.empty(n - 1, dtype=np.intp), np.empty(n - 1)
    features = np.ascontiguousarray(Z.T)
    clusters.ward(features, weight.copy(), np.empty((2, n)), np.empty((3, n), dtype=np.intp), a, b, costs)
    order = np.argsort(costs, kind="stable")
    kept, joined = np.empty(n - 1, dtype=np.intp), np.empty(n - 1, dtype=np.intp)
    clusters.named_merges(a[order], b[order], np.empty(n, dtype=np.intp), kept, joined)
    assert list(zip(kept.tolist(), joined.tolist(), strict=True)) == expected
    # The naive cost is a difference of sums of squares.
    np.testing.assert_allclose(costs[order], heights, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 3), (50, 1), (300, 4), (77, 12)])
def test_sphered_rows(clusters: Any, n: int, d: int) -> None:
    X, weight = rows_and_weights(n, d)
    Y = np.empty((d, n))
    p = clusters.sphere(X, weight, 2.0**-53, d, Y)
    assert p == min(d, n - 1)
    assert clusters.sphere(X, weight, 2.0**-53, p - 2, np.empty((d, n))) == max(p - 1, min(p, 1))
    np.testing.assert_allclose(Y[:p] @ weight, 0.0, rtol=0.0, atol=1e-11 * weight.sum())
    # Gram-Schmidt loses as many digits as the columns' condition number has, 3 here.
    np.testing.assert_allclose((Y[:p] * weight) @ Y[:p].T / weight.sum(), np.eye(p), rtol=0.0, atol=1e-12)


def test_columns_that_tell_nothing_are_left_out(clusters: Any) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 100))
    X = np.column_stack([np.full(100, 7.0), a, a * 3.0 - 1.0, b + 1e5, a - 2.0 * b, b * 1e-150])
    Y = np.empty((6, 100))
    assert clusters.sphere(X, np.ones(100), 2.0**-53, 6, Y) == 2
    single = np.ascontiguousarray(X.astype(np.float32).astype(np.float64)[:, :5])
    assert clusters.sphere(single, np.ones(100), 2.0**-24, 6, Y[:5]) == 2


def test_equal_rows(clusters: Any) -> None:
    X = np.random.default_rng(0).integers(-2, 3, size=(400, 3)) * 1.0
    X[7] = -X[7]  # −0 and 0 are equal
    equals, table = np.empty(400, dtype=np.intp), np.empty(512, dtype=np.intp)
    n_distinct = clusters.distinct_rows(X, table, equals)
    expected = [next(j for j in range(400) if (X[j] == X[i]).all()) for i in range(400)]
    np.testing.assert_array_equal(equals, expected)
    assert n_distinct == len(set(expected))


def test_labels_of_merges(clusters: Any) -> None:
    kept, joined = np.array([1, 0, 1, 0]), np.array([3, 2, 4, 1])
    labels = np.empty(5, dtype=np.intp)
    expected = [[0, 1, 2, 3, 4], [0, 1, 2, 1, 3], [0, 1, 0, 1, 2], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]]
    for n_merges, clustering in enumerate(expected):
        assert clusters.merge_labels(kept, joined, n_merges, labels) == 5 - n_merges
        assert labels.tolist() == clustering


REFUSED: list[tuple[str, Any, str]] = [
    ("merge_labels", lambda: ([1], [1], 1, np.empty(2, dtype=np.intp)), "merge 0 is of clusters 1 and 1"),
    ("merge_labels", lambda: ([0], [2], 1, np.empty(2, dtype=np.intp)), "merge 0 is of clusters 0 and 2"),
    ("merge_labels", lambda: ([0], [1], 2, np.empty(2, dtype=np.intp)), "merges 0 to 2 are asked for, of 1"),
    ("named_merges", lambda: ([0], [2], np.empty(2, dtype=np.intp), [0], [0]), "merge 0 is of rows 0 and 2, of 2"),
    ("named_merges", lambda: ([0], [1], np.empty(3, dtype=np.intp), [0], [0]), "a has 1 numbers, expected 2"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), REFUSED)
def test_places_outside_of_the_rows_are_refused(clusters: Any, name: str, arguments: Any, message: str) -> None:
    arrays = [np.array(a, dtype=np.intp) if isinstance(a, list) else a for a in arguments()]
    with pytest.raises(ValueError, match=message):
        getattr(clusters, name)(*arrays)


def test_buffers_of_another_size_are_refused(clusters: Any) -> None:
    def places(*shape: int) -> NDArray[np.intp]:
        return np.empty(shape, dtype=np.intp)

    Y, ones = np.ones((2, 9)), np.ones(9)
    size, line = clusters.merger_workspace(9, 2)
    right = [Y, ones, 2, 4.0, np.empty((9, line)), np.empty(size), places(8, 10), places(8), places(8), np.empty(8)]
    clusters.DeterminantMerges(*right)
    wrong = [Y[:, :8].copy(), ones[1:], 3, None, np.empty((9, line + 1)), np.empty(size - 1), places(8, 9)]
    wrong += [places(9), places(7), np.empty(9)]
    for i, other in enumerate(wrong):
        if other is not None:
            with pytest.raises(ValueError, match="expected"):
                clusters.DeterminantMerges(*right[:i], other, *right[i + 1 :])
    right = [Y, ones, np.empty((2, 9)), places(3, 9), places(8), places(8), np.empty(8)]
    for i, other in enumerate([None, ones[1:], np.empty((2, 8)), places(2, 9), places(9), places(9), np.empty(9)]):
        if other is not None:
            with pytest.raises(ValueError, match="expected"):
                clusters.ward(*right[:i], other, *right[i + 1 :])
    with pytest.raises(ValueError, match="the number of rows is 4097, expected 1 to 4096"):
        clusters.ward(np.zeros((1, 4097)), np.ones(4097), np.empty((2, 4097)), places(3, 4097), *right[4:])
    with pytest.raises(ValueError, match="the number of rows is 8193, expected 1 to 8192"):
        clusters.merger_workspace(8193, 2)
    with pytest.raises(ValueError, match="the table has 8 places, expected a power of two above 9"):
        clusters.distinct_rows(np.ones((9, 2)), places(8), places(9))
