"""Super-blocks of rows: their sums have the same bits in any threads, chunks and batches of the rows."""

from __future__ import annotations

import itertools
from dataclasses import replace
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
    random_case,
    reference_scores,
    reference_sums,
    score,
)

SUPER = 512  # rows, with few features or very many


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
