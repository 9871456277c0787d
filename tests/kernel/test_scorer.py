"""What a Scorer writes, and where: ranges of rows, ties, rows that no component reaches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emix.kernel.level import kernel_of_level
from kernel.naive import Case, each_dtype, each_level, joint_scores, random_case, score

BLOCK = 512  # of single precision, two of double


def empty_outputs(case: Case) -> tuple[np.ndarray, ...]:
    n, K, dtype = len(case.X), len(case.center), case.X.dtype
    return np.full(n, 7, dtype), np.full((n, K), 7, dtype), np.full(n, 7, np.intp)


def scorer_of(level: str, case: Case) -> Any:
    return kernel_of_level(level, case.X.dtype.name).Scorer(*case.arguments)


@each_level
@each_dtype
@pytest.mark.parametrize("K", [1, 2, 5, 8, 9, 19])
def test_only_the_range_is_written(level: str, dtype: str, K: int) -> None:
    case = random_case("full", dtype, 2 * BLOCK + 40, 3, K)
    expected = score(level, case)
    scorer = scorer_of(level, case)
    for first, last in [(0, 1), (3, 3 + BLOCK - 1), (5, 5 + BLOCK), (7, 7 + BLOCK + 1), (2 * BLOCK, 2 * BLOCK + 39)]:
        outputs = empty_outputs(case)
        assert scorer.score(case.X, first, last, *outputs, None) == 0
        for array, whole in zip(outputs, expected):
            np.testing.assert_array_equal(array[first:last], whole[first:last])
            assert (array[:first] == 7).all() and (array[last:] == 7).all()


@each_level
@each_dtype
def test_same_bits_in_one_call_and_in_many(level: str, dtype: str) -> None:
    # One call is long enough to release the lock, the others are not.
    case = random_case("full", dtype, 12_000, 3, 3)
    expected = score(level, case)
    outputs = empty_outputs(case)
    scorer = scorer_of(level, case)
    for first in range(0, len(case.X), BLOCK):
        scorer.score(case.X, first, min(first + BLOCK, len(case.X)), *outputs, None)
    for array, whole in zip(outputs, expected):
        np.testing.assert_array_equal(array, whole)


@each_level
@each_dtype
@pytest.mark.parametrize("asked", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
def test_same_bits_whatever_else_is_asked_for(level: str, dtype: str, asked: tuple[int, ...]) -> None:
    case = random_case("tied", dtype, BLOCK + 11, 5, 6)
    expected = score(level, case)
    outputs = empty_outputs(case)
    scorer_of(level, case).score(
        case.X, 0, len(case.X), *(array if i in asked else None for i, array in enumerate(outputs)), None
    )
    for i in asked:
        np.testing.assert_array_equal(outputs[i], expected[i])


@each_level
@each_dtype
def test_labels_are_the_first_of_the_largest(level: str, dtype: str) -> None:
    # Components 1 and 4, and 2 and 3, are the same twice: every row is a tie between two of them.
    case = random_case("full", dtype, BLOCK + 37, 2, 6)
    twins = [5, 1, 2, 2, 1, 5]
    case = replace(
        case,
        center=case.center[twins],
        offset=case.offset[twins],
        whitening=case.whitening[twins],
        log_constant=case.log_constant[twins],
    )
    _, _, labels, _ = score(level, case)
    np.testing.assert_array_equal(labels, joint_scores(level, case).argmax(axis=1))
    assert set(labels) == {0, 1, 2}


@each_level
@each_dtype
@pytest.mark.parametrize("n", [1, 5, BLOCK, BLOCK + 3])
def test_rows_that_no_component_reaches(level: str, dtype: str, n: int) -> None:
    case = random_case("full", dtype, n, 2, 3)
    X = case.X.copy()
    far = np.zeros(n, dtype=bool)
    far[:: 2 if n > 1 else 1] = True  # the last row too where n is odd: copies of it fill the block, and do not count
    X[far] = np.finfo(dtype).max / 4
    case = replace(case, X=X)
    log_density, responsibilities, labels, n_far = score(level, case)
    assert n_far == far.sum()
    assert (log_density[far] == -np.inf).all() and np.isfinite(log_density[~far]).all()
    assert (responsibilities[far] == 0).all()
    assert (labels[far] == 3).all() and (labels[~far] < 3).all()


@each_level
@each_dtype
def test_outputs_of_another_shape_are_refused(level: str, dtype: str) -> None:
    case = random_case("full", dtype, 10, 2, 3)
    scorer = scorer_of(level, case)
    density, responsibilities, labels = empty_outputs(case)
    for wrong, message in [
        ((density[:9], None, None), "log_density has 9 numbers, expected 10"),
        ((None, responsibilities[:9], None), "responsibilities is 9 × 3, expected 10 × 3"),
        ((None, np.zeros((10, 2), dtype), None), "responsibilities is 10 × 2, expected 10 × 3"),
        ((None, None, labels[:2]), "labels has 2 numbers, expected 10"),
    ]:
        with pytest.raises(ValueError, match=message):
            scorer.score(case.X, 0, 10, *wrong, None)
    assert (density == 7).all() and (responsibilities == 7).all() and (labels == 7).all()
