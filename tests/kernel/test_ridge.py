"""The ridge of an M-step against its formula, from rows and responsibilities."""

from __future__ import annotations

import numpy as np
import pytest

from emix.kernel import factors
from emix.kernel.layout import parameters_layout
from kernel.buffers import Array, packed
from kernel.naive import STRUCTURES, each_structure

EPS = float(np.finfo(np.float64).eps)


def problem(offset: float = 0.0, unit: float | Array = 1.0, zeros: bool = False) -> tuple[Array, Array]:
    """Rows (n, d) and their responsibilities (n, K), of which one component has none."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(40, 3)) * [1.0, 30.0, 0.1] + offset
    if zeros:
        X[:, 1] = 0.0
    r = rng.dirichlet(np.ones(3), size=40) ** 3
    r[:, 1] = 0.0
    return X * unit, r


def statistics_of(structure: str, X: Array, r: Array) -> Array:
    """Sums about centres near the means."""
    N = r.sum(axis=0)
    center = (r.T @ X) / np.where(N > 0.0, N, 1.0)[:, np.newaxis] * 1.01
    z = X[:, np.newaxis] - center
    S = np.einsum("ik,ikj,ikl->kjl", r, z, z)
    diagonals = np.diagonal(S, axis1=1, axis2=2)
    form = {"full": S, "tied": S.sum(axis=0), "diag": diagonals, "spherical": diagonals.sum(axis=1)}[structure]
    return packed(N, np.einsum("ik,ikj->kj", r, z), form, center)


def ridge_of(structure: str, X: Array, r: Array, mixes: bool = False, epsilon: float = EPS) -> Array:
    d = X.shape[1]
    ridge = np.full(1 if structure == "spherical" else d, np.nan)
    columns = factors.Columns(epsilon, np.stack([X.min(axis=0), X.max(axis=0)]))
    sums = statistics_of(structure, X, r)
    factors.ridge(STRUCTURES.index(structure), mixes, r.shape[1], d, np.nan, columns, sums, ridge)
    return ridge


def expected(X: Array, r: Array, epsilon: float = EPS) -> Array:
    """R_j, summed over rows."""
    share = r / r.sum()
    N = share.sum(axis=0)
    means = (share.T @ X) / np.where(N > 0.0, N, 1.0)[:, np.newaxis]
    within = np.einsum("ik,ikj->j", share, (X[:, np.newaxis] - means) ** 2)
    total = np.einsum("ik,ij->j", share, (X - N @ means) ** 2)
    rounding = (epsilon * np.abs(X).max(axis=0)) ** 2 / 12.0
    return 1e-8 * within + 1e-14 * total + rounding


@each_structure
@pytest.mark.parametrize("unit", [1.0, 1e-17, 1e12, np.array([1e-17, 1.0, 1e12])], ids=str)
def test_it_is_the_formula_in_any_units(structure: str, unit: float | Array) -> None:
    X, r = problem(unit=unit)
    R = expected(X, r)
    # Centres lie 1 % beside the means: a few digits cancel.
    np.testing.assert_allclose(ridge_of(structure, X, r), [R.mean()] if structure == "spherical" else R, rtol=1e-12)


@each_structure
def test_powers_of_two_change_no_bit(structure: str) -> None:
    X, r = problem()
    units = 4.0 if structure == "spherical" else np.array([2.0**-50, 1.0, 2.0**40])
    scale = units * units
    np.testing.assert_array_equal(ridge_of(structure, X * units, r), ridge_of(structure, X, r) * scale)


@each_structure
def test_rounding_of_the_rows_is_a_part(structure: str) -> None:
    X, r = problem(offset=1e6)
    R = expected(X, r, epsilon=1e-7)
    assert R.min() > 0.01 / 12.0
    # The variances' own rounding, at an offset of 1e6 eps relative to the spread, has no part in this.
    ridge = ridge_of(structure, X, r, epsilon=1e-7)
    np.testing.assert_allclose(ridge, [R.mean()] if structure == "spherical" else R, rtol=1e-9)


@each_structure
@pytest.mark.parametrize("mixes", [False, True])
def test_a_column_of_zeros(structure: str, mixes: bool) -> None:
    X, r = problem(zeros=True)
    R = expected(X, r)
    assert R[1] == 0.0
    others = R[[0, 2]].mean()
    R[1] = others if mixes else 1.0
    np.testing.assert_allclose(
        ridge_of(structure, X, r, mixes), [others] if structure == "spherical" else R, rtol=1e-12
    )


@each_structure
def test_columns_of_zeros_alone(structure: str) -> None:
    X, r = np.zeros((40, 3)), problem()[1]
    for mixes in (False, True):
        np.testing.assert_array_equal(ridge_of(structure, X, r, mixes), np.ones(1 if structure == "spherical" else 3))


@each_structure
def test_rows_of_1e150_do_not_overflow(structure: str) -> None:
    X, r = problem(unit=3e148)
    assert np.isfinite(ridge_of(structure, X, 1e5 * r)).all()


@each_structure
def test_a_number_is_added_as_it_is(structure: str) -> None:
    X, r = problem()
    code, sums = STRUCTURES.index(structure), statistics_of(structure, X, r)
    ridge = np.empty(1 if structure == "spherical" else 3)
    factors.ridge(code, False, 3, 3, 0.25, None, sums, ridge)
    np.testing.assert_array_equal(ridge, np.full_like(ridge, 0.25))


def test_arrays_of_another_length_are_refused() -> None:
    X, r = problem()
    sums = statistics_of("diag", X, r)
    code = STRUCTURES.index("diag")
    with pytest.raises(ValueError, match="column_range has 4 numbers, expected 6"):
        factors.ridge(code, False, 3, 3, np.nan, factors.Columns(EPS, np.zeros((2, 2))), sums, np.empty(3))
    with pytest.raises(ValueError, match="R has 1 numbers, expected 3"):
        factors.ridge(code, False, 3, 3, np.nan, None, sums, np.empty(1))
    with pytest.raises(ValueError, match="statistics has"):
        factors.is_regular(code, 3, 3, np.nan, None, sums[1:])


@pytest.mark.parametrize("structure", ["full", "tied"])
def test_own_variances_grow_by_a_few_roundings_of_single_precision(structure: str) -> None:
    X, r = problem()
    sums, code = statistics_of(structure, X, r), STRUCTURES.index(structure)
    at = parameters_layout(code, 3, 3)
    found = {}
    for epsilon in (EPS, 2.0**-23):
        parameters = np.empty(at.size)
        columns = factors.Columns(epsilon, np.stack([X.min(axis=0), X.max(axis=0)]))
        factors.maximize(code, 3, 3, np.nan, columns, sums, parameters)
        found[epsilon] = parameters[at.covariances].reshape(-1, 3, 3), ridge_of(structure, X, r, epsilon=epsilon)
    (double, of_double), (single, of_single) = found.values()
    for one, other in zip(double, single):
        grown = np.diagonal(other) - of_single
        own = np.diagonal(one) - of_double
        # 5e-7, to what eps of a variance leaves of it
        np.testing.assert_allclose(
            grown / np.where(own > 0.0, own, 1.0) - 1.0, np.where(own > 0.0, 2.0**-21, -1.0), rtol=1e-6
        )
        np.testing.assert_array_equal(one - np.diag(np.diagonal(one)), other - np.diag(np.diagonal(other)))


@each_structure
@pytest.mark.parametrize(("epsilon", "value"), [(EPS, 1e-145), (2.0**-23, 1e-32)])
def test_constants_whose_rounding_is_too_small_to_invert_are_as_zeros(
    structure: str, epsilon: float, value: float
) -> None:
    X, r = problem(zeros=True)
    expected_of_zeros = ridge_of(structure, X, r, epsilon=epsilon)
    X[:, 1] = value
    np.testing.assert_array_equal(ridge_of(structure, X, r, epsilon=epsilon), expected_of_zeros)
