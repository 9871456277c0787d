"""Statistics are sums: of parts, about any centre, of any weight."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import STRUCTURES
from emix.kernel.factors import Columns
from gaussian.examples import Array, clusters, each_structure, naive_joint, naive_responsibilities, scatter_of, start


def statistics_of(
    structure: str, X: Array, theta: GaussianParameters, weight: Array | None = None
) -> GaussianStatistics:
    model = GaussianModel(*theta.means.shape, structure)
    return model.e_step(X if weight is None else (X, weight), theta)[0]


def test_repr_is_a_line_without_arrays() -> None:
    X = np.random.default_rng(0).normal(size=(50, 30))
    found = statistics_of("full", X, start("full", X, 2), np.full(50, 0.5))
    text = repr(found)
    assert text.startswith(
        "GaussianStatistics(structure='full', n_components=2, n_features=30, total_weight=25, n_rows=50,"
    )
    assert text.endswith(f"log_likelihood={found.log_likelihood:.10g})")


def direct(structure: str, X: Array, theta: GaussianParameters, center: Array, weight: Array) -> GaussianStatistics:
    """The sums as their definitions stand."""
    joint = naive_joint(X, theta)
    r = naive_responsibilities(X, theta) * weight[:, np.newaxis]
    z = [X - c for c in center]
    return GaussianStatistics.of(
        structure=STRUCTURES[structure],
        center=center,
        weight=r.sum(axis=0),
        shift=np.stack([r[:, k] @ z[k] for k in range(len(center))]),
        scatter=scatter_of(STRUCTURES[structure].form, z, list(r.T)),
        total_weight=weight.sum(),
        n_rows=len(X),
        log_likelihood=float(weight @ np.logaddexp.reduce(joint, axis=1)),
        taken_under=theta,
    )


def assert_same(a: GaussianStatistics, b: GaussianStatistics, rtol: float) -> None:
    np.testing.assert_allclose(a.center, b.center, rtol=1e-15)
    for name in ("weight", "shift", "scatter", "total_weight", "log_likelihood"):
        x, y = np.asarray(getattr(a, name)), np.asarray(getattr(b, name))
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol * np.abs(y).max(), err_msg=name)
    assert a.n_rows == b.n_rows
    assert a.digest == b.digest


@each_structure
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_are_their_definitions(structure: str, weighted: bool) -> None:
    X = clusters(700, 3, 4)
    theta = start(structure, X, 4)
    weight = np.random.default_rng(0).uniform(0, 2, 700) if weighted else np.ones(700)
    found = statistics_of(structure, X, theta, weight if weighted else None)
    # Sums of 700 terms that differ in order, and responsibilities that differ by some ten eps.
    assert_same(found, direct(structure, X, theta, theta.means, weight), rtol=1e-12)


@each_structure
def test_parts_add_to_the_whole(structure: str) -> None:
    X = clusters(1500, 3, 4)
    theta = start(structure, X, 4)
    weight = np.random.default_rng(1).uniform(0, 2, 1500)
    whole = statistics_of(structure, X, theta, weight)
    edges = (0, 1, 600, 1100, 1500)
    parts = [statistics_of(structure, X[a:b], theta, weight[a:b]) for a, b in pairwise(edges)]
    # Centres are clamped to the range of each part's columns, the first of which is one row: addition recentres.
    assert not np.array_equal(parts[0].center, parts[1].center)
    total = parts[3] + (parts[1] + parts[2]) + parts[0]
    # Only the order of the sums and recentring, 1500 eps at worst.
    assert_same(total.recentered(whole.center), whole, rtol=1e-12)


@each_structure
def test_recentred_sums_are_those_about_the_other_centre(structure: str) -> None:
    X = clusters(300, 2, 3)
    theta = start(structure, X, 3)
    other = theta.means + np.array([[1.0, -2.0], [0.0, 0.0], [30.0, 5.0]])
    moved = statistics_of(structure, X, theta).recentered(other)
    # The third is moved by some ten spreads: a hundredfold of its scatter comes and must be as exact as that.
    assert_same(moved, direct(structure, X, theta, other, np.ones(300)), rtol=1e-12)


@each_structure
def test_recentred_to_where_they_are_is_the_same_object(structure: str) -> None:
    X = clusters(50, 2, 2)
    statistics = statistics_of(structure, X, start(structure, X, 2))
    assert statistics.recentered(statistics.center.copy()) is statistics


@each_structure
def test_scaled_is_the_weight_of_every_row(structure: str) -> None:
    X = clusters(200, 2, 2)
    theta = start(structure, X, 2)
    scaled = statistics_of(structure, X, theta).scaled(2.5)
    # Multiplied after the sum or before it.
    assert_same(scaled, statistics_of(structure, X, theta, np.full(200, 2.5)), rtol=1e-12)


@each_structure
def test_addition_leaves_its_terms_as_they_were(structure: str) -> None:
    X = clusters(60, 2, 2)
    theta = start(structure, X, 2)
    a, b = statistics_of(structure, X[:30], theta), statistics_of(structure, X[30:], theta)
    before = [np.copy(getattr(s, name)) for s in (a, b) for name in ("center", "weight", "shift", "scatter")]
    assert (a + b).n_rows == 60
    for array, expected in zip(
        [getattr(s, name) for s in (a, b) for name in ("center", "weight", "shift", "scatter")], before
    ):
        np.testing.assert_array_equal(array, expected)


def test_addition_refuses_statistics_of_other_parameters() -> None:
    X = clusters(60, 2, 2)
    a = statistics_of("full", X, start("full", X, 2, seed=0))
    b = statistics_of("full", X, start("full", X, 2, seed=1))
    with pytest.raises(ValueError, match="statistics taken under different parameters cannot be added: ") as error:
        a + b
    assert a.digest[:12] in str(error.value) and b.digest[:12] in str(error.value)
    with pytest.raises(ValueError, match="different parameters"):
        replace(a, taken_under=None) + b


def test_addition_takes_equal_parameters_that_are_another_object() -> None:
    X = clusters(60, 2, 2)
    theta = start("full", X, 2)
    twin = GaussianParameters.from_covariances("full", theta.weights, theta.means, theta.covariances)
    assert (statistics_of("full", X, theta) + statistics_of("full", X, twin)).n_rows == 120


def test_addition_of_a_start_s_statistics() -> None:
    X = clusters(60, 2, 2)
    statistics = replace(statistics_of("full", X, start("full", X, 2)), taken_under=None)
    assert statistics.digest == ""
    assert (statistics + statistics).total_weight == 120.0


def test_addition_of_something_else() -> None:
    X = clusters(60, 2, 2)
    statistics: Any = statistics_of("full", X, start("full", X, 2))
    with pytest.raises(TypeError):
        statistics + 1


# The unit of weights


@each_structure
@pytest.mark.parametrize("power", [-1000, -300, 40, 900])
def test_sums_of_extreme_weights_are_kept_in_a_unit(structure: str, power: int) -> None:
    """Small numbers, whose squares times the weights would underflow."""
    X, weight = 1e-5 * clusters(300, 3, 3), np.random.default_rng(0).uniform(1.0, 2.0, 300)
    theta = start(structure, X, 3)
    plain, found = (statistics_of(structure, X, theta, w) for w in (weight, weight * 2.0**power))
    assert found.unit == 2.0**power
    np.testing.assert_array_equal(found.packed, plain.packed)
    assert found.log_likelihood == plain.log_likelihood * 2.0**power
    assert found.total_weight == plain.total_weight * 2.0**power
    np.testing.assert_array_equal(found.weight, plain.weight * 2.0**power)
    # The M-step knows no unit.
    np.testing.assert_array_equal(
        STRUCTURES[structure].maximize(found, "auto")[0], STRUCTURES[structure].maximize(plain, "auto")[0]
    )


@each_structure
def test_statistics_in_two_units_add(structure: str) -> None:
    X, weight = clusters(400, 3, 3), np.full(400, 1.5)
    weight[200:] *= 2.0**30
    theta = start(structure, X, 3)
    parts = [statistics_of(structure, X[rows], theta, weight[rows]) for rows in (slice(200), slice(200, 400))]
    assert [part.unit for part in parts] == [1.0, 2.0**30]
    for total in (parts[0] + parts[1], parts[1] + parts[0]):
        assert total.unit == 2.0**30
        # Sums of 400 terms in another order.
        assert_same(total, statistics_of(structure, X, theta, weight), rtol=1e-12)


# What is known of the columns


def test_columns_of_a_sum_are_those_of_both_parts() -> None:
    X = clusters(400, 3, 3)
    theta = start("full", X, 3)
    a, b = X[:200], X[200:].astype(np.float32)
    first, second = statistics_of("full", a, theta), statistics_of("full", b, theta)
    total = (first + second).columns
    assert total is not None
    np.testing.assert_array_equal(total.column_range[0], np.minimum(a.min(axis=0), b.min(axis=0)))
    np.testing.assert_array_equal(total.column_range[1], np.maximum(a.max(axis=0), b.max(axis=0)))
    assert total.epsilon == np.finfo(np.float32).eps
    assert (first + replace(second, columns=None)).columns is None


def test_columns_survive_a_pickle() -> None:
    X = clusters(50, 2, 2)
    found = pickle.loads(pickle.dumps(statistics_of("diag", X, start("diag", X, 2)))).columns
    assert found.epsilon == np.finfo(np.float64).eps
    np.testing.assert_array_equal(found.column_range, [X.min(axis=0), X.max(axis=0)])


def test_columns_of_another_shape_are_refused() -> None:
    for shape in ((3, 2), (2, 0)):
        with pytest.raises(ValueError, match=r"column_range has the shape \(\d, \d\), expected \(2, features\)"):
            Columns(1e-16, np.zeros(shape))
