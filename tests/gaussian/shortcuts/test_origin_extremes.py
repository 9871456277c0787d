"""One origin for components far apart, narrow, nearly singular or in huge units: used as far as no digit is lost."""

from __future__ import annotations

import numpy as np
import pytest

from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.shortcuts.origin import MAX_FAILURES, MAX_REACH
from gaussian.examples import request_of
from gaussian.shortcuts.origins import (
    assert_same,
    assert_same_bits,
    begin,
    e_step,
    each_dtype,
    each_structure,
    n_moved,
    naive_sums,
    origin_of,
    problem,
)


@each_structure
@each_dtype
def test_across_the_limit(structure: str, dtype: str) -> None:
    """Just within the limit the sums are those of a plain pass to reach² eps; beyond it they are its very bits."""
    eps = float(np.finfo(dtype).eps)
    reached = {False: 0, True: 0}
    for separation in np.geomspace(2.0, 2000.0, 12):
        X, theta = problem(structure, separation, dtype=dtype, n=3000)
        found, used = e_step(X, theta)
        plain, _ = e_step(X, theta, use_origin=False)
        reached[used] += 1
        if used:
            assert_same(found, plain, 4 * MAX_REACH[np.dtype(dtype).char] * eps)
            continue
        assert_same_bits(found, plain)
    assert min(reached.values()) >= 2


@each_structure
@pytest.mark.parametrize("separation", [1e3, 1e4, 1e6])
def test_means_far_apart(structure: str, separation: float) -> None:
    """About one origin the covariances would lose reach² eps, more than 1e-12 at the least of these separations."""
    X, theta = problem(structure, separation)
    found, used = e_step(X, theta)
    assert not used
    assert_same(found, naive_sums(X, theta), 1e-12)


@pytest.mark.parametrize("structure", ["diag", "spherical"])
def test_one_component_beyond_the_limit_is_treated_alone(structure: str) -> None:
    X, theta = problem(structure)
    shape = theta.covariances[0].shape
    near = GaussianParameters.from_covariances(
        structure, theta.weights, theta.means, np.stack([*theta.covariances[:3], np.full(shape, 1e-5)])
    )
    found, used = e_step(X, near)
    assert used
    run = begin(X, near)
    run.e_step(near)
    assert n_moved(run) == 3
    plain, _ = e_step(X, near, use_origin=False)
    np.testing.assert_allclose(found.weight, plain.weight, rtol=1e-12)
    np.testing.assert_allclose(found.scatter, plain.scatter, rtol=1e-11)


@pytest.mark.parametrize("condition", [1e4, 1e8, 1e12])
@pytest.mark.parametrize("separation", [1.0, 3.0, 30.0])
def test_tied_at_high_condition_numbers(condition: float, separation: float) -> None:
    """The covariance errs by at most 16 times what sums for each component lose: d eps κ."""
    X, theta = problem("tied", separation, condition=condition)
    found, used = e_step(X, theta)
    # At 30 the reach² is 9 times what that allows and more; at 3 it is a seventh of it and less.
    assert used is (separation < 30.0)
    assert_same(found, e_step(X, theta, use_origin=False)[0], 17 * 5 * 2.2e-16 * condition + 1e-11)


def test_a_scatter_that_overflows_is_left() -> None:
    X, theta = problem("tied")
    # 8 000 rows of weight 29 000, which is no unit of its own: 2.3e308
    rows = np.tile(1e150 * np.sign(X - X.mean(axis=0)), (2, 1))
    run = begin((rows, np.full(len(rows), 2.9e4)), theta)
    assert not origin_of(run).before(request_of(theta, run.source)).parts
    assert origin_of(run).failures == MAX_FAILURES


def test_rows_far_out_do_not_move_the_origin_of_tied() -> None:
    """The middle of the columns is 5e11 standard deviations from their mean."""
    X, theta = problem("tied")
    X[7] = 1e12
    weight = np.ones(len(X))
    weight[7] = 1e-20
    found, used = e_step((X, weight), theta)
    assert used
    plain, _ = e_step((X, weight), theta, use_origin=False)
    np.testing.assert_allclose(found.scatter, plain.scatter, rtol=1e-9, atol=1e-9 * np.abs(plain.scatter).max())


@each_structure
@each_dtype
def test_huge_and_tiny_units(structure: str, dtype: str) -> None:
    for scale in (2.0**494, 2.0**-494) if dtype == "float64" else (2.0**45, 2.0**-45):
        X, theta = problem(structure, dtype=dtype, n=40_000)
        scaled = GaussianParameters.from_covariances(
            theta.structure, theta.weights, theta.means * scale, theta.covariances * scale**2
        )
        found, used = e_step((X * scale).astype(dtype), scaled)
        assert used
        plain, _ = e_step(X, theta)
        np.testing.assert_allclose(found.weight, plain.weight, rtol=1e-10 if dtype == "float64" else 1e-5)
        tolerance = 1e-10 if dtype == "float64" else 1e-4
        np.testing.assert_allclose(found.scatter / scale**2, plain.scatter, rtol=tolerance, atol=tolerance * 40_000)


@each_structure
@pytest.mark.parametrize("d", [13, 32, 64])
@pytest.mark.parametrize("weight", [1.0, 9e3, 9.9e4])
def test_the_largest_rows_of_single_precision_and_weights(structure: str, d: int, weight: float) -> None:
    K, n, scale = 2, 3000, 1e15
    rng = np.random.default_rng(d)
    X = (scale * rng.choice([-1, 1], size=(n, d))).astype(np.float32)
    shape = {"tied": np.eye(d), "diag": np.ones((K, d)), "spherical": np.ones(K)}[structure]
    means = 0.1 * scale * rng.normal(size=(K, d))
    theta = GaussianParameters.from_covariances(structure, np.full(K, 1 / K), means, shape * scale**2)
    found, used = e_step((X, np.full(n, weight)), theta)
    plain, _ = e_step(X.astype(np.float64), theta, use_origin=False)
    assert used
    np.testing.assert_allclose(found.weight, weight * plain.weight, rtol=1e-5)
    # Roundings of 3 000 rows, relative to the diagonal.
    largest = weight * np.abs(plain.scatter).max()
    np.testing.assert_allclose(found.scatter, weight * plain.scatter, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("structure", ["diag", "spherical"])
@pytest.mark.parametrize(("dtype", "variance"), [("float64", 1e-310), ("float32", 1e-40)])
def test_a_very_narrow_component_where_the_origin_is(structure: str, dtype: str, variance: float) -> None:
    X, theta = problem(structure, dtype=dtype, n=3000)
    X = np.vstack([X, -X])
    X[:10] = 0.0
    # Pairs of means about 0, which their sum is to the bit, and the narrow one there, where some rows coincide.
    pairs = np.repeat(theta.means, 2, axis=0) * np.tile([[1.0], [-1.0]], (4, 1))
    means = np.vstack([pairs, np.zeros((1, 5))])
    wide = np.repeat(theta.covariances, 2, axis=0)
    variances = np.concatenate([wide, np.full_like(wide[:1], variance)])
    narrow = GaussianParameters.from_covariances(structure, np.full(9, 1 / 9), means, variances)
    found, used = e_step(X, narrow)
    plain, _ = e_step(X, narrow, use_origin=False)
    assert used
    assert found.weight[8] == 10.0
    rtol = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(found.weight, plain.weight, rtol=rtol)
    np.testing.assert_allclose(found.scatter, plain.scatter, rtol=rtol, atol=rtol * plain.scatter.max())
    assert found.log_likelihood == pytest.approx(plain.log_likelihood, rel=rtol)
