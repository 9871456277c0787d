"""Every compiled level against the formulae, for every structure and precision."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from emix.kernel.level import kernel_of_level
from kernel.naive import (
    Case,
    accumulate,
    accumulator,
    assert_within,
    divide,
    each_dtype,
    each_level,
    each_structure,
    in_structure,
    joint_scores,
    random_case,
    reference_scores,
    reference_sums,
    score,
)

BLOCK, SUPER = 256, 512  # in single precision a block is a super-block
# (rows, features, components, weighted): every size of a tile, both ends of a block and of a super-block.
SIZES = [
    *[(BLOCK + 37, d, 3, d % 2 == 0) for d in (1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 33)],
    *[(n, 2, 3, False) for n in (1, 2, 7, BLOCK - 1, BLOCK, BLOCK + 1, SUPER - 1, SUPER, SUPER + 1)],
    *[(BLOCK + 1, 3, K, True) for K in (1, 2, 5, 20)],
]
each_size = pytest.mark.parametrize("size", SIZES, ids=[f"n{n}-d{d}-K{K}" for n, d, K, _ in SIZES])


@cache
def case_and_reference(structure: str, dtype: str, size: tuple[int, int, int, bool]) -> tuple[Case, Any]:
    case = random_case(structure, dtype, *size)
    return case, reference_scores(case)


@each_level
@each_dtype
@each_structure
@each_size
def test_scores(level: str, dtype: str, structure: str, size: tuple[int, int, int, bool]) -> None:
    case, expected = case_and_reference(structure, dtype, size)
    log_density, responsibilities, labels, n_far = score(level, case)
    joint = joint_scores(level, case)
    assert n_far == 0
    assert_within(joint, expected.joint, expected.joint_bound)
    assert_within(log_density, expected.log_density, expected.log_density_bound)
    assert_within(responsibilities, expected.responsibilities, expected.responsibilities_bound)
    # Each is rounded after the division by their sum.
    assert np.abs(responsibilities.sum(axis=1) - 1.0).max() <= 2 * (2 + size[2]) * np.finfo(dtype).eps
    np.testing.assert_array_equal(labels, joint.argmax(axis=1))


@each_level
@each_dtype
@each_structure
@each_size
def test_statistics(level: str, dtype: str, structure: str, size: tuple[int, int, int, bool]) -> None:
    case, scores = case_and_reference(structure, dtype, size)
    N, s, S, log_likelihood = divide(case, accumulate(level, case).sum(axis=0))
    expected = reference_sums(
        case, scores.responsibilities, scores.responsibilities_bound, scores.log_density, scores.log_density_bound
    )
    assert_within(N, *expected[0])
    assert_within(s, *expected[1])
    assert_within(S, *(in_structure(structure, matrices) for matrices in expected[2]))
    assert_within(log_likelihood, *expected[3])


@each_level
@each_dtype
def test_ties_go_to_the_first(level: str, dtype: str) -> None:
    case = random_case("spherical", dtype, 300, 2, 4)
    same = replace(
        case,
        center=np.repeat(case.center[:1], 4, axis=0),
        offset=np.zeros_like(case.offset),
        whitening=np.ones_like(case.whitening),
        log_constant=np.array([-1, 0, 0, 0], dtype),
    )
    assert (score(level, same)[2] == 1).all()


@each_level
@each_dtype
@each_structure
def test_layout_of_the_rows_does_not_matter(level: str, dtype: str, structure: str) -> None:
    case = random_case(structure, dtype, 600, 3, 2, weighted=True)
    wide = np.full((1200, 6), np.nan, dtype)
    wide[::2, 1::2] = case.X
    reversed_ = case.X[::-1, ::-1].copy()
    read_only = case.X.copy()
    read_only.flags.writeable = False
    sums, scores = accumulate(level, case), score(level, case)
    for X in (np.asfortranarray(case.X), wide[::2, 1::2], reversed_[::-1, ::-1], read_only):
        other = replace(case, X=X)
        np.testing.assert_array_equal(accumulate(level, other), sums)
        for array, expected in zip(score(level, other), scores):
            np.testing.assert_array_equal(array, expected)
    assert case.sample_weight is not None
    strided = np.repeat(case.sample_weight, 2)[::-1][::-2]
    strided.flags.writeable = False
    np.testing.assert_array_equal(accumulate(level, replace(case, sample_weight=strided)), sums)


@each_level
@each_dtype
def test_broadcast_rows(level: str, dtype: str) -> None:
    case = random_case("full", dtype, 1, 3, 2)
    repeated = replace(case, X=np.broadcast_to(case.X, (300, 3)))
    log_density = score(level, repeated)[0]
    np.testing.assert_array_equal(log_density, np.full(300, score(level, case)[0][0]))


@each_level
@each_dtype
@each_structure
@pytest.mark.parametrize("d", [1, 3, 8, 9, 26, 33])
@pytest.mark.parametrize("n_live", [0, 1, 2, 31, 64, 128, 255])
def test_few_live_rows_are_gathered(level: str, dtype: str, structure: str, d: int, n_live: int) -> None:
    """Two components too far apart to share a row: the second holds `n_live` rows of a block."""
    case = random_case(structure, dtype, BLOCK, d, 2, weighted=True)
    rng = np.random.default_rng(n_live)
    order = rng.permutation(BLOCK)
    X = case.X.copy()
    X[order[:n_live]] += 100
    center = np.array([[0] * d, [100] * d], dtype)
    case = replace(case, X=X, center=center, log_constant=np.zeros(2, dtype))
    scores = reference_scores(case)
    assert np.count_nonzero(scores.responsibilities[:, 1] > np.finfo(dtype).tiny) == n_live
    expected = reference_sums(
        case, scores.responsibilities, scores.responsibilities_bound, scores.log_density, scores.log_density_bound
    )
    N, s, S, _ = divide(case, accumulate(level, case).sum(axis=0))
    assert_within(N, *expected[0])
    assert_within(s, *expected[1])
    assert_within(S, *(in_structure(structure, matrices) for matrices in expected[2]))


@each_level
@each_dtype
def test_margin_leaves_out_what_lies_below_it(level: str, dtype: str) -> None:
    case = random_case("full", dtype, 300, 2, 4)
    case = replace(case, margin=np.array([0.5, 1, 2, 4], dtype))
    expected = reference_scores(case)
    log_density, responsibilities, *_ = score(level, case)
    assert (expected.responsibilities == 0).any()
    assert_within(responsibilities, expected.responsibilities, expected.responsibilities_bound)
    assert_within(log_density, expected.log_density, expected.log_density_bound)


@each_level
@each_dtype
@each_structure
def test_margin_of_negligible_terms_changes_only_rounding(level: str, dtype: str, structure: str) -> None:
    case = random_case(structure, dtype, 600, 3, 5)
    spread = np.array([0, 6, 8, 10, 12], dtype)[:, None]
    labels = np.arange(600) % 5
    case = replace(case, X=case.X + spread[labels], center=case.center + spread)
    N, s, S, log_likelihood = divide(case, accumulate(level, case).sum(axis=0))
    limited = replace(case, margin=(40 + np.log(N.sum() / N)).astype(dtype))
    assert (reference_scores(limited).responsibilities == 0).any()
    cut = divide(case, accumulate(level, limited).sum(axis=0))
    # exp(−40) = 4e-18 of a component's weight is left out for each unit of the total; then only the order of sums,
    # where rows with nothing left are gathered, differs: 300 eps of magnitudes of some 12².
    rtol = 300 * np.finfo(dtype).eps
    for actual, expected in zip(cut, (N, s, S, log_likelihood)):
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


@each_level
@each_dtype
def test_stop_flag_returns_at_once(level: str, dtype: str) -> None:
    case = random_case("full", dtype, 2000, 3, 2)
    kernel = kernel_of_level(level, dtype)
    stop = np.ones(1, dtype=np.int32)
    slots = np.zeros((4, 2 + 6 + 18 + 1))
    accumulator(kernel, case, slots).accumulate(kernel.Rows(case.X), 0, 0, 2000, stop)
    assert not slots.any()
    density = np.full(2000, 7, dtype)
    kernel.Scorer(*case.arguments).score(case.X, 0, 2000, density, None, None, stop)
    assert (density == 7).all()
