"""Rows that lie far from all components, of which a sample has too few for a component of their own."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import emix
from emix.rows.arrays import ArraySource
from emix.starts.far_start import far_start
from emix.starts.starting_parameters import start_of_labels

Array = NDArray[np.float64]


def with_background(n: int, n_far: int, seed: int, spread: float = 30.0) -> tuple[Array, NDArray[np.intp]]:
    """Four groups in four columns, and rows spread wide among them; labels, with 4 for these."""
    rng = np.random.default_rng(seed)
    centers = 8.0 * rng.normal(size=(4, 4))
    labels = rng.integers(4, size=n)
    X = centers[labels] + rng.normal(size=(n, 4))
    far = rng.permutation(n)[:n_far]
    X[far], labels[far] = spread * rng.normal(size=(n_far, 4)), 4
    return X, labels


def of_groups(X: Array, labels: NDArray[np.intp], K: int, structure: str = "full") -> emix.GaussianParameters:
    """The mixture of the groups with the background left out, one of them cut in two."""
    own = labels < 4
    cut = labels[own].copy()
    cut[(cut == 0) & (X[own, 0] > np.median(X[own][cut == 0, 0]))] = K - 1
    model = emix.GaussianModel(K, X.shape[1], structure, "auto")
    return start_of_labels(ArraySource(X[own]), model, np.ones(own.sum()), cut)


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "VEV"])
def test_the_last_component_holds_the_far_rows(structure: str) -> None:
    X, labels = with_background(20_000, 60, 0)
    model = emix.GaussianModel(5, 4, structure, "auto")
    start = far_start(ArraySource(X), model, of_groups(X, labels, 5, structure))
    assert start is not None
    # All but the few that lie within a group.
    assert start.weights[4] == pytest.approx(60 / 20_000, rel=0.2)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("K", "spread", "is_worth_it"), [(5, 30.0, True), (5, 3.0, True), (4, 30.0, True), (4, 3.0, False)]
)
def test_a_start_is_worth_its_merger(K: int, spread: float, is_worth_it: bool, weighted: bool) -> None:
    X, labels = with_background(20_000, 60, 0, spread)
    unit = np.ldexp(1.0, [-480, 480, 0, -20])
    own, model = labels < 4, emix.GaussianModel(K, 4, "full", "auto")
    for rows in (X, X * unit):
        # With five components two share a group, and their merger costs next to nothing; with four, 0.3 nats a row.
        theta = start_of_labels(ArraySource(rows[own]), model, np.ones(own.sum()), labels[own])
        if K == 5:
            theta = of_groups(rows, labels, 5)
        source = ArraySource(rows, np.full(len(rows), 3.0) if weighted else None)
        assert far_start(source, model, theta) is not None
        assert (far_start(source, model, theta, ArraySource(rows[:4096])) is not None) == is_worth_it


def test_units_do_not_matter() -> None:
    X, labels = with_background(20_000, 60, 0)
    model, unit = emix.GaussianModel(5, 4, "full", "auto"), np.ldexp(1.0, [-480, 480, 0, -20])
    expected = far_start(ArraySource(X), model, of_groups(X, labels, 5))
    found = far_start(ArraySource(X * unit), model, of_groups(X * unit, labels, 5))
    assert expected is not None
    assert found is not None
    np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-9)


def test_weights_count_and_rows_of_none_do_not() -> None:
    X, labels = with_background(20_000, 60, 0)
    model, theta = emix.GaussianModel(5, 4, "full", "auto"), of_groups(X, labels, 5)
    weight = np.where(labels == 4, 0.0, 1.0)
    assert far_start(ArraySource(X, weight), model, theta) is None
    start = far_start(ArraySource(X, np.where(labels == 4, 3.0, 1.0)), model, theta)
    assert start is not None
    assert start.weights[4] == pytest.approx(3 * 60 / (20_000 + 120), rel=0.2)


@pytest.mark.parametrize("n_far", [0, 5])
def test_no_start_from_too_few(n_far: int) -> None:
    X, labels = with_background(20_000, n_far, 1)
    assert far_start(ArraySource(X), emix.GaussianModel(5, 4, "full", "auto"), of_groups(X, labels, 5)) is None


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_fit_of_many_rows_finds_a_background_of_few(seed: int) -> None:
    X, labels = with_background(100_000, 100, seed)
    truth = start_of_labels(ArraySource(X), emix.GaussianModel(5, 4, "full", "auto"), np.ones(len(X)), labels)
    known = emix.fit_em(emix.GaussianModel(5, 4, "full", "auto"), X, truth, tol=1e-6)
    gm = emix.GaussianMixture(5, random_state=seed).fit(X)
    # Without the start, seed 0 ends 0.8 nats a row below.
    assert gm.log_likelihood_ >= known.log_likelihood - 1e-3 * len(X)
