"""Components about one origin: the same sums and densities as the formulae give, at every level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kernel.naive import (
    Case,
    accumulate,
    assert_within,
    divide,
    each_dtype,
    each_level,
    in_structure,
    joint_scores,
    random_case,
    reference_scores,
    reference_sums,
    score,
)

each_structure = pytest.mark.parametrize("structure", ["tied", "diag", "spherical"])

# (rows, features, components): every remainder of a tile in all three.
SIZES = [
    *[(293, d, 3) for d in (1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 33)],
    *[(n, 3, 2) for n in (1, 7, 255, 256, 257, 513)],
    *[(257, 5, K) for K in (1, 2, 4, 5, 6, 7, 8, 21)],
]


def case_about_origin(structure: str, dtype: str, n: int, d: int, K: int, spread: float = 1.0, every: int = 1) -> Case:
    """A random case, every so many of its components about one origin, `spread` from it."""
    case = random_case(structure, dtype, n, d, K, weighted=n % 2 == 1)
    origin = case.X.mean(axis=0)
    away = spread * np.random.default_rng(d).normal(size=(K, d))
    offset = np.stack([case.matrix(k) @ away[k] for k in range(K)]).astype(dtype)
    center = case.center.copy()
    center[::every] = origin
    return replace(
        case, center=center, offset=np.where((np.arange(K) % every == 0)[:, None], offset, case.offset), origin=origin
    )


def assert_is_the_formula(level: str, case: Case) -> None:
    expected = reference_scores(case)
    log_density, responsibilities, labels, n_far = score(level, case)
    joint = joint_scores(level, case)
    assert n_far == 0
    assert_within(joint, expected.joint, expected.joint_bound)
    assert_within(log_density, expected.log_density, expected.log_density_bound)
    assert_within(responsibilities, expected.responsibilities, expected.responsibilities_bound)
    np.testing.assert_array_equal(labels, joint.argmax(axis=1))
    N, s, S, log_likelihood = divide(case, accumulate(level, case).sum(axis=0))
    sums = reference_sums(
        case, expected.responsibilities, expected.responsibilities_bound, expected.log_density,
        expected.log_density_bound,
    )  # fmt: skip
    assert_within(N, *sums[0])
    assert_within(s, *sums[1])
    if case.structure == "tied":
        assert not S.any()
    else:
        assert_within(S, *(in_structure(case.structure, matrices) for matrices in sums[2]))
    assert_within(log_likelihood, *sums[3])


@each_level
@each_dtype
@each_structure
@pytest.mark.parametrize("size", SIZES, ids=[f"n{n}-d{d}-K{K}" for n, d, K in SIZES])
def test_scores_and_statistics(level: str, dtype: str, structure: str, size: tuple[int, int, int]) -> None:
    assert_is_the_formula(level, case_about_origin(structure, dtype, *size))


@each_level
@each_dtype
@pytest.mark.parametrize("structure", ["diag", "spherical"])
@pytest.mark.parametrize("every", [2, 3, 20])
def test_components_about_the_origin_and_others(level: str, dtype: str, structure: str, every: int) -> None:
    assert_is_the_formula(level, case_about_origin(structure, dtype, 300, 5, 11, every=every))


@each_level
@each_dtype
@each_structure
@pytest.mark.parametrize("d", [2, 9, 40])
def test_few_live_rows(level: str, dtype: str, structure: str, d: int) -> None:
    case = case_about_origin(structure, dtype, 513, d, 20, spread=4.0)
    case = replace(case, margin=np.full_like(case.margin, 5.0))
    assert_is_the_formula(level, case)


@each_level
@each_dtype
@each_structure
def test_sums_do_not_depend_on_threads_or_chunks(level: str, dtype: str, structure: str) -> None:
    case = case_about_origin(structure, dtype, 4001, 6, 5)
    sums = accumulate(level, case)
    for n_threads, splits in [(2, ()), (3, (1024, 2048)), (1, (512,))]:
        np.testing.assert_array_equal(accumulate(level, case, n_threads=n_threads, splits=splits), sums)


@each_level
@each_dtype
@each_structure
def test_rows_of_weight_zero_add_nothing_wherever_they_lie(level: str, dtype: str, structure: str) -> None:
    case = case_about_origin(structure, dtype, 301, 3, 3)
    assert case.sample_weight is not None
    far = case.sample_weight == 0.0
    X = case.X.copy()
    X[far] = np.sign(X[far]) * np.finfo(dtype).max / 8
    slots = accumulate(level, replace(case, X=X))
    np.testing.assert_array_equal(slots, accumulate(level, case))
    n_far = score(level, replace(case, X=X))[3]
    assert n_far == far.sum()
