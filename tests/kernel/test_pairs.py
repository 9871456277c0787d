"""Two components of a mixture alone: their rows, and the sums of random halves of these, beside NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emix.gaussian import label_sums
from emix.gaussian.forms import FORMS

Array = NDArray[np.float64]

MANY = 15_000  # rows of which the lock is released, and which are more than one chunk


def scored(n: int, d: int, K: int) -> tuple[Array, Array, Array]:
    """Rows, responsibilities and log-densities."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), rng.dirichlet(np.full(K, 0.2), size=n), rng.normal(size=n)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "d", "K"), [(1, 1, 2), (300, 3, 4), (MANY, 2, 3)])
def test_the_rows_of_a_pair(clusters: Any, n: int, d: int, K: int, weighted: bool) -> None:
    X, responsibilities, log_density = scored(n, d, K)
    weight = np.random.default_rng(1).integers(0, 3, n).astype(np.float64) if weighted and n > 1 else None
    rows, shares, extremes = np.empty((n, d)), np.empty(n), np.empty((2, d))
    n_found, *sums, log_likelihood = clusters.rows_of_pair(
        X, weight, responsibilities, log_density, 1, 0, 0.3, 0.01, rows, shares, extremes
    )
    share = responsibilities[:, 0] + responsibilities[:, 1]
    counts = (share > 0.01) & (True if weight is None else weight > 0.0)
    held = share[counts] if weight is None else share[counts] * weight[counts]
    assert n_found == counts.sum()
    np.testing.assert_array_equal(rows[:n_found], X[counts])
    np.testing.assert_array_equal(shares[:n_found], held)
    np.testing.assert_array_equal(extremes, [X[counts].min(axis=0), X[counts].max(axis=0)])
    # Sums of at most 15 000 numbers, each rounded.
    np.testing.assert_allclose(sums, [held.sum(), held.max(), np.square(held / held.max()).sum()], rtol=1e-12)
    of_pair = log_density[counts] + np.log(share[counts]) - np.log(0.3)
    assert log_likelihood == pytest.approx(held @ of_pair, rel=1e-11)


def test_a_pair_without_rows(clusters: Any) -> None:
    X, responsibilities, log_density = scored(20, 2, 3)
    responsibilities[:] = [0.0, 0.0, 1.0]
    found = clusters.rows_of_pair(
        X, None, responsibilities, log_density, 0, 1, 0.3, 0.01, np.empty((20, 2)), np.empty(20), np.empty((2, 2))
    )
    assert found == (0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"X": np.ones((0, 2))}, "there are no rows, expected 1 or more"),
        ({"first": 3}, "a component is 3, expected 0 to 2"),
        ({"second": -1}, "a component is -1, expected 0 to 2"),
        ({"responsibilities": np.ones((8, 3))}, "responsibilities has 8 numbers, expected 9"),
        ({"log_density": np.ones(8)}, "log-densities has 8 numbers, expected 9"),
        ({"weight": np.ones(8)}, "weight has 8 numbers, expected 9"),
        ({"rows": np.ones((8, 2))}, "rows has 8 numbers, expected 9"),
        ({"rows": np.ones((9, 1))}, "a row has 1 numbers, expected 2"),
        ({"shares": np.ones(8)}, "shares has 8 numbers, expected 9"),
        ({"extremes": np.ones((1, 2))}, "extremes has 1 numbers, expected 2"),
        ({"extremes": np.ones((2, 1))}, "a column's extremes has 1 numbers, expected 2"),
    ],
)
def test_rows_of_a_pair_that_do_not_fit_are_refused(clusters: Any, changed: dict[str, Any], text: str) -> None:
    fits = {
        "X": np.ones((9, 2)), "weight": None, "responsibilities": np.ones((9, 3)), "log_density": np.ones(9),
        "first": 0, "second": 1, "pair_weight": 0.5, "least": 0.0, "rows": np.ones((9, 2)), "shares": np.ones(9),
        "extremes": np.ones((2, 2)),
    }  # fmt: skip
    with pytest.raises(ValueError, match=text):
        clusters.rows_of_pair(*(fits | changed).values())


@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize(("n", "d"), [(1, 1), (33, 2), (300, 7), (MANY, 3)])
def test_sums_of_random_halves(clusters: Any, form: int, n: int, d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_sums, "clusters", clusters)
    rng = np.random.default_rng(0)
    X, weight, uniforms = rng.normal(5.0, size=(n, d)), rng.uniform(0.1, 2.0, n), rng.random((3, -(-n // 32)))
    expected, seen = [], []
    for numbers in uniforms:
        bits = (numbers * 2.0**32).astype(np.uint64)
        labels = np.array([int(bits[i // 32]) >> (i % 32) & 1 for i in range(n)], dtype=np.intp)
        seen.append(labels)
        expected.append(label_sums.statistics_of_labels(list(FORMS.values())[form], X, weight, labels, None, 1, 2))
    found = np.full(np.shape(expected), np.nan)
    clusters.sums_of_halves(form, X, weight, uniforms, found)
    # Of many rows the chunks of statistics_of_labels are others: sums round in another order.
    np.testing.assert_allclose(found, expected, rtol=0 if n < MANY else 1e-11, atol=0 if n < MANY else 1e-9)
    if n >= 33:
        assert len({labels.tobytes() for labels in seen}) == 3
        assert all(0 < labels.sum() < n for labels in seen)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"X": np.ones((0, 2))}, "there are no rows, expected 1 or more"),
        ({"form": 4}, "the covariance form has the code 4, expected 0 to 3"),
        ({"weight": np.ones(39)}, "weight has 39 numbers, expected 40"),
        ({"uniforms": np.ones((3, 1))}, "uniforms has 1 numbers, expected 2"),
        ({"statistics": np.ones((2, 18))}, "sums has 2 numbers, expected 3"),
        ({"statistics": np.ones((3, 17))}, "statistics has 17 numbers, expected 18"),
    ],
)
def test_halves_that_do_not_fit_are_refused(clusters: Any, changed: dict[str, Any], text: str) -> None:
    fits = {
        "form": 0, "X": np.ones((40, 2)), "weight": np.ones(40), "uniforms": np.zeros((3, 2)),
        "statistics": np.ones((3, 18)),
    }  # fmt: skip
    with pytest.raises(ValueError, match=text):
        clusters.sums_of_halves(*(fits | changed).values())
