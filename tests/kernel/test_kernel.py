"""Every compiled level against the formulae, for every structure and precision."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest

from emix.kernel.level import kernel_of_level
from kernel.naive import (
    Array,
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
def test_sums_do_not_depend_on_threads_or_chunks(level: str, dtype: str, structure: str) -> None:
    case = random_case(structure, dtype, 7 * SUPER + 19, 3, 3, weighted=True)
    expected = accumulate(level, case)
    for n_threads in (2, 3):
        np.testing.assert_array_equal(accumulate(level, case, n_threads=n_threads), expected)
    np.testing.assert_array_equal(accumulate(level, case, splits=(SUPER, 3 * SUPER)), expected)
    np.testing.assert_array_equal(accumulate(level, case, splits=(4 * SUPER,), n_threads=2), expected)


def batches_of(case: Case, first_rows: tuple[int, ...]) -> Any:
    """(first row, one past the last, copies of the rows, of their weights) of batches that begin at these rows."""
    for first, last in itertools.pairwise((*first_rows, len(case.X))):
        weight = None if case.sample_weight is None else case.sample_weight[first:last].copy()
        yield first, last, case.X[first:last].copy(), weight


@each_level
@each_dtype
@each_structure
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("d", [3, 26])
def test_batches_have_the_bits_of_all_rows_at_once(
    level: str, dtype: str, structure: str, weighted: bool, d: int
) -> None:
    kernel, K, n_slots = kernel_of_level(level, dtype), 3, 3
    b = kernel.super_block_rows(d)
    case = random_case(structure, dtype, 7 * b + 19, d, K, weighted)
    case = replace(case, center=3 * case.center, X=3 * case.X, margin=np.full(K, 42, dtype))  # some rows are packed
    expected = accumulate(level, case, n_slots=n_slots)
    for first_rows in [(0, b), (0, 3 * b, 4 * b), tuple(range(0, 8 * b, b)), (0, 5 * b)]:
        for n_threads in (1, 2):
            slots = np.zeros_like(expected)
            run = accumulator(kernel, case, slots, n_threads)
            for first, last, X, weight in batches_of(case, first_rows):
                rows = kernel.Rows(X, weight, first)
                for thread in range(n_threads):
                    run.accumulate(rows, thread, first, last, None)
            np.testing.assert_array_equal(slots, expected)


@each_level
@each_dtype
def test_labels_and_bounds_of_batches(level: str, dtype: str) -> None:
    """Labels, sums and bounds of batches are those of all rows, whose numbers are those of the whole source."""
    kernel, K, d = kernel_of_level(level, dtype), 3, 2
    b = kernel.super_block_rows(d)
    case = random_case("full", dtype, 5 * b + 19, d, K, weighted=True)
    n, group = len(case.X), kernel.group_rows(K)
    order = np.arange(n, dtype=np.uint16)
    order[: 2 * b], order[2 * b :] = order[: 2 * b][::-1].copy(), order[2 * b :][::-1].copy()
    found = []
    for first_rows in [(0,), (0, 2 * b)]:
        slots, near = np.zeros((3, 1 + K * (1 + d + d * d))), np.zeros((-(-n // group), K), np.float32)
        labels, bounded_labels = np.zeros((2, n), np.uint16)
        still = np.ones(K, np.float32), np.zeros(K, np.float32)
        run, counts = accumulator(kernel, case, slots), np.zeros(2)
        for first, last, X, weight in batches_of(case, first_rows):
            rows = kernel.Rows(X, weight, first)
            counts[0] += run.accumulate_labelled(rows, 0, first, last, 0, labels, None)
        for first, last, X, weight in batches_of(case, first_rows):
            rows = kernel.Rows(X, weight, first)
            bounds = order, near, *still, bounded_labels
            counts[1] += run.accumulate_bounded(rows, 0, first, last, 0, *bounds, None)
        found.append((slots, labels, bounded_labels, near, counts))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(other, one)
    assert case.sample_weight is not None
    counted = case.sample_weight > 0  # others have no best component
    np.testing.assert_array_equal(found[0][1][counted], score(level, case)[2][counted])
    np.testing.assert_array_equal(found[0][2], found[0][1])


@each_level
@each_structure
def test_each_super_block_goes_to_its_slot(level: str, structure: str) -> None:
    case = random_case(structure, "float64", 3 * SUPER, 2, 2)
    slots = accumulate(level, case)
    for slot in range(3):
        alone = replace(case, X=case.X[slot * SUPER : (slot + 1) * SUPER])
        np.testing.assert_array_equal(accumulate(level, alone, n_slots=1)[0], slots[slot])


@each_level
@pytest.mark.parametrize("structure", ["full", "tied"])
def test_long_super_blocks(level: str, structure: str) -> None:
    """With many features blocks are longer, and so are super-blocks."""
    kernel, d = kernel_of_level(level, "float64"), 26
    super_block = kernel.super_block_rows(d)
    assert super_block > SUPER == kernel.super_block_rows(2) == kernel.super_block_rows(200)
    n = 9 * super_block + 300
    case = random_case(structure, "float64", n, d, 2, weighted=True)
    case = replace(case, margin=np.full(2, 42.0))
    slots = accumulate(level, case)
    scores = reference_scores(case)
    expected = reference_sums(
        case,
        scores.responsibilities,
        scores.responsibilities_bound,
        scores.log_density,
        scores.log_density_bound,
        n_added=super_block,
    )
    for found, (value, bound) in zip(divide(case, slots.sum(axis=0)), expected, strict=True):
        if np.ndim(value) == 3:
            value, bound = in_structure(structure, value), in_structure(structure, bound)
        assert_within(found, value, bound)
    for n_threads, splits in [(2, ()), (3, (4 * super_block,))]:
        other = accumulate(level, case, n_threads=n_threads, splits=splits)
        np.testing.assert_array_equal(other, slots)


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


@each_level
def test_what_does_not_belong_together_is_refused(level: str) -> None:
    case = random_case("full", "float64", 10, 3, 2, weighted=True)
    kernel = kernel_of_level(level, "float64")
    slots = np.zeros((1, 2 + 6 + 18 + 1))
    with pytest.raises(ValueError, match="slots are 1 × 5, expected a width of 27"):
        accumulator(kernel, case, np.zeros((1, 5)))
    with pytest.raises(ValueError, match="X is 10 × 0, expected one row and one feature at least"):
        kernel.Rows(case.X[:, :0])
    with pytest.raises(ValueError, match="9 weights for 10 rows"):
        kernel.Rows(case.X, np.ones(9))
    # A super-block has 512 rows: row 5 would be taken for the first of one.
    for first_row in (5, -512):
        with pytest.raises(ValueError, match=f"first_row is {first_row}, expected a multiple of super_block_rows, 512"):
            kernel.Rows(case.X, None, first_row)
    with pytest.raises(ValueError, match="a workspace has 10 numbers"):
        kernel.Accumulator(*case.arguments, np.zeros((1, 10)), slots)
    with pytest.raises(ValueError, match="36 numbers are not the parameters of 2 components in 3 dimensions"):
        kernel.Scorer(*case.arguments[:-1], case.arguments[-1][1:])
    run, rows = accumulator(kernel, case, slots), kernel.Rows(case.X, case.sample_weight)
    with pytest.raises(ValueError, match="thread 1 has no workspace: there are 1"):
        run.accumulate(rows, 1, 0, 10, None)
    with pytest.raises(ValueError, match="thread 0 has no workspace: there are 0"):
        accumulator(kernel, case, slots, n_threads=0).accumulate(rows, 0, 0, 10, None)
    with pytest.raises(ValueError, match="rows 0 to 11 are asked for, of the 10 from row 0 on"):
        run.accumulate(rows, 0, 0, 11, None)
    with pytest.raises(ValueError, match="first_row is 5, expected a multiple of super_block_rows, 512"):
        run.accumulate(rows, 0, 5, 10, None)
    with pytest.raises(ValueError, match="rows 0 to 10 are asked for, of the 10 from row 512 on"):
        run.accumulate(kernel.Rows(case.X, None, 512), 0, 0, 10, None)
    with pytest.raises(ValueError, match="rows have 2 features, expected 3"):
        run.accumulate(kernel.Rows(case.X[:, :2]), 0, 0, 10, None)
    with pytest.raises(TypeError, match="rows"):
        run.accumulate(None, 0, 0, 10, None)
    with pytest.raises(ValueError, match="rows have 2 features, expected 3"):
        kernel.Scorer(*case.arguments).score(case.X[:, :2], 0, 10, None, None, None, None)
    assert not slots.any()


@each_level
@pytest.mark.parametrize("code", [-1, 4])
def test_unknown_structures_are_refused(level: str, code: int) -> None:
    case = random_case("full", "float64", 10, 3, 2)
    kernel = kernel_of_level(level, "float64")
    _, *sizes_and_arguments = case.arguments
    text = f"the covariance form has the code {code}, expected 0 to 3"
    with pytest.raises(ValueError, match=text):
        kernel.Scorer(code, *sizes_and_arguments)
    workspace, slots = np.zeros((1, kernel.workspace_size(2, 3))), np.zeros((1, 27))
    with pytest.raises(ValueError, match=text):
        kernel.Accumulator(code, *sizes_and_arguments, workspace, slots)
    with pytest.raises(ValueError, match="there are -1 components and 3 features, expected 1 or more of each"):
        kernel.Scorer(0, -1, *sizes_and_arguments[1:])


def elementary_case(dtype: str, x: Any, n_flat: int) -> Case:
    """log p = 0 of `n_flat` components whatever the row, and −½x² of the last."""
    K = n_flat + 1
    whitening = np.zeros(K, dtype)
    whitening[-1] = 1
    zeros = np.zeros((K, 1), dtype)
    return Case(
        x[:, None].astype(dtype), None, "spherical", zeros, zeros, whitening, zeros[:, 0], np.full(K, np.inf, dtype)
    )


@each_level
@each_dtype
def test_exponential(level: str, dtype: str) -> None:
    lowest = 707.0 if dtype == "float64" else 86.9
    exponents = np.concatenate([np.linspace(0, lowest, 1500), np.geomspace(1e-12, 1, 300)])
    case = elementary_case(dtype, np.sqrt(2 * exponents), 1)
    x = case.X[:, 0]
    eps = float(np.finfo(dtype).eps)
    for actual, t in zip(score(level, case)[1][:, 1], x * x / 2):
        e = mpmath.exp(-mpmath.mpf(float(t)))
        # An ulp or two for the exponential, one each for the sum, the division and the product.
        assert abs(mpmath.mpf(float(actual)) / (e / (1 + e)) - 1) <= 4 * eps, t


@each_level
@each_dtype
def test_exponential_vanishes_where_it_would_underflow(level: str, dtype: str) -> None:
    case = elementary_case(dtype, np.sqrt(2 * np.array([745.5, 1e4, 1e8, 1e30])), 1)
    log_density, responsibilities, *_ = score(level, case)
    np.testing.assert_array_equal(responsibilities, [[1, 0]] * 4)
    np.testing.assert_array_equal(log_density, 0)


@each_level
@each_dtype
def test_logarithm(level: str, dtype: str) -> None:
    x = np.sqrt(2 * np.geomspace(1e-9, 30, 400))
    eps = float(np.finfo(dtype).eps)
    for n_flat in (1, 2, 3, 5, 90, 181, 1000):
        case = elementary_case(dtype, x, n_flat)
        t = case.X[:, 0] * case.X[:, 0] / 2
        for actual, exponent in zip(score(level, case)[0], t):
            total = n_flat + mpmath.exp(-mpmath.mpf(float(exponent)))
            # The sum is rounded once, half an eps, and the logarithm to an ulp or so.
            assert abs(mpmath.mpf(float(actual)) - mpmath.log(total)) <= eps * (1 + mpmath.log(total)), exponent


@each_level
def test_bounds_of_another_shape_are_refused(level: str) -> None:
    case = random_case("full", "float64", 600, 3, 2)
    kernel = kernel_of_level(level, "float64")
    slots = np.zeros((1, 2 + 6 + 18 + 1))
    run, rows = accumulator(kernel, case, slots), kernel.Rows(case.X, case.sample_weight)
    n_groups = -(-600 // kernel.group_rows(2))
    right: dict[str, Array] = {
        "order": np.arange(600, dtype=np.uint16),
        "near": np.zeros((n_groups, 2), np.float32),
        "shrink": np.ones(2, np.float32),
        "moved": np.zeros(2, np.float32),
        "labels": np.zeros(600, np.uint16),
    }
    for name, wrong, message in [
        ("order", np.arange(599, dtype=np.uint16), "rows 0 to 600 are asked for, of the 599 from row 0 on"),
        ("near", right["near"][1:], f"near is {n_groups - 1} × 2, expected {n_groups} × 2"),
        ("near", np.zeros((n_groups, 1), np.float32), f"near is {n_groups} × 1, expected {n_groups} × 2"),
        ("shrink", right["shrink"][1:], "shrink has 1 numbers, expected 2"),
        ("moved", right["moved"][1:], "moved has 1 numbers, expected 2"),
        ("labels", right["labels"][1:], "labels has 599 numbers, expected 600"),
    ]:
        with pytest.raises(ValueError, match=message):
            run.accumulate_bounded(rows, 0, 0, 600, 0, *{**right, name: wrong}.values(), None)
    assert not slots.any()
    assert run.accumulate_bounded(rows, 0, 0, 600, 0, *right.values(), None) > 0
    assert slots.any()
