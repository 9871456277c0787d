"""The criterion of Banfield and Raftery: against its definition, and against mclust."""

from __future__ import annotations

import numpy as np
import pytest

from emix import load_faithful
from emix.rows.arrays import ArraySource
from emix.starts import agglomeration
from emix.starts.agglomeration import banfield_raftery, banfield_raftery_of, hierarchical_of
from row_groups import Array, assert_same_partition, blobs, ones


def turned_columns(X: Array, weight: Array) -> Array:
    """U √D of the singular value decomposition of standardized columns, by NumPy."""
    Z = X - weight @ X / weight.sum()
    Z /= np.sqrt(weight @ (Z * Z) / weight.sum())
    _, D, axes = np.linalg.svd(np.sqrt(weight)[:, np.newaxis] * Z, full_matrices=False)
    return Z @ axes.T / np.sqrt(D)


def greedy_merges(Z: Array, mass: Array) -> list[tuple[int, int]]:
    """The criterion as it is written, all pairs at each merge; of equal costs the last."""
    n, p = Z.shape
    away = Z - mass @ Z / mass.sum()
    floor = float(mass @ (away * away).sum(axis=1)) / (mass.sum() * p)
    members = {i: [i] for i in range(n)}

    def term(rows: list[int]) -> float:
        w = mass[rows]
        z = Z[rows] - w @ Z[rows] / w.sum()
        scatter = (w * z.T) @ z
        determinant = np.linalg.det(scatter / w.sum()) if len(rows) > p else 0.0
        return float(w.sum() * np.log(determinant + (np.trace(scatter) + floor) / w.sum()))

    merges = []
    while len(members) > 1:
        names = sorted(members)
        costs = {
            (b, a): term(members[a] + members[b]) - term(members[a]) - term(members[b])
            for a in names
            for b in names
            if a < b
        }
        least = min(costs.values())
        # Rounding must not say which of two is less.
        b, a = max(pair for pair, cost in costs.items() if cost <= least + 1e-12)
        merges.append((a, b))
        members[a] += members.pop(b)
    return merges


@pytest.mark.parametrize(("n", "d"), [(2, 1), (12, 1), (25, 2), (30, 4), (24, 9)])
@pytest.mark.parametrize("weighted", [False, True])
def test_banfield_raftery_is_the_criterion_as_it_is_written(n: int, d: int, weighted: bool) -> None:
    X = blobs(n, d, seed=n + d)
    weight = np.random.default_rng(n).uniform(0.5, 2.0, n) if weighted else np.ones(n)
    mass = weight * weight.sum() / (weight @ weight)
    found = banfield_raftery(X, weight)
    expected = greedy_merges(turned_columns(X, mass), mass)
    assert list(zip(found.kept.tolist(), found.joined.tolist(), strict=True)) == expected


def test_banfield_raftery_of_faithful_is_that_of_mclust() -> None:
    # Sizes of the clusters of mclust 6.0.0, hclass(hc(faithful, modelName = "VVV", use = "SVD"), 2:9). The rows have
    # 16 pairs of equal ones, so that the order of equal costs counts.
    expected = {
        2: [97, 175],
        3: [40, 97, 135],
        4: [32, 40, 65, 135],
        5: [32, 40, 65, 65, 70],
        6: [29, 32, 36, 40, 65, 70],
        7: [29, 31, 32, 34, 36, 40, 70],
        8: [14, 26, 29, 31, 32, 34, 36, 70],
        9: [11, 14, 26, 29, 31, 32, 34, 36, 59],
    }
    X = load_faithful().data
    merges = banfield_raftery(X, ones(X))
    for K, sizes in expected.items():
        assert sorted(np.bincount(merges.labels(K)).tolist()) == sizes


def test_banfield_raftery_does_not_depend_on_units_or_columns_that_tell_nothing() -> None:
    X = blobs(80, 3)
    expected = banfield_raftery(X, ones(X)).labels(5)
    other = np.column_stack([X[:, 2] * 1e6 + 3.0, X[:, 0], np.full(80, 7.0), X[:, 1] * 1e-8])
    assert_same_partition(banfield_raftery(other, np.full(80, 5.0)).labels(5), expected)


def test_rows_that_leave_no_finite_cost_are_merged_with_a_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(X: Array, weight: Array) -> None:
        raise ValueError("no merge has a finite cost")

    monkeypatch.setattr(agglomeration, "banfield_raftery", fails)
    source = ArraySource(blobs(80, 3))
    found, expected = banfield_raftery_of(source, 0), hierarchical_of(source, 0)
    assert np.array_equal(found.merges.labels(5), expected.merges.labels(5))


def test_digits_of_which_a_sample_leaves_no_finite_cost() -> None:
    # 937 images: in 60 directions rounding makes a scatter matrix indefinite, with some instruction sets at least.
    source = ArraySource(pytest.importorskip("sklearn.datasets").load_digits().data)
    labels = banfield_raftery_of(source, 0).merges.labels(5)
    assert np.bincount(labels, minlength=5).min() > 0
