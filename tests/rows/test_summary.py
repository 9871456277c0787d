"""Numbers that a fit has to know of all rows: of batches, of partitions, and their sums."""

from __future__ import annotations

import math
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emix.rows.refusals import BadValue
from emix.rows.source import Batch
from emix.rows.summary import Reading, RowSummary, WeightSums, weight_unit

# Sums of n numbers above zero in two orders differ by less than n eps of them, here 1000 × 2.2e-16.
ROUNDING = 3e-13


def summary_of(X: NDArray[Any], weight: NDArray[np.float64] | None = None) -> RowSummary:
    return RowSummary.of(Batch(0, X, weight))


def assert_same(found: RowSummary, expected: RowSummary, rtol: float = 0.0) -> None:
    assert (found.n_rows, found.n_counted) == (expected.n_rows, expected.n_counted)
    assert str(found.first_bad) == str(expected.first_bad)  # NaN is not NaN
    assert found.largest_weight == expected.largest_weight
    assert found.total_weight == pytest.approx(expected.total_weight, rel=rtol, abs=0)
    assert found.squared_weight == pytest.approx(expected.squared_weight, rel=rtol, abs=0)
    np.testing.assert_array_equal(found.column_range, expected.column_range)
    np.testing.assert_array_equal(found.observed, expected.observed)


def some_rows(n_rows: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    weight = random.uniform(size=n_rows)
    weight[random.integers(n_rows, size=n_rows // 5)] = 0.0
    return random.normal(size=(n_rows, 3)), weight


def test_it_is_of_the_rows() -> None:
    X, weight = some_rows(1000)
    found = summary_of(X, weight)
    assert found.n_rows == 1000 and found.n_counted == np.count_nonzero(weight)
    assert found.total_weight == weight.sum() and found.largest_weight == weight.max()
    # Two orders of a sum of 1000 squares.
    assert found.squared_weight * weight.max() ** 2 == pytest.approx(weight @ weight, rel=ROUNDING)
    counted = X[weight > 0.0]
    np.testing.assert_array_equal(found.column_range, [counted.min(axis=0), counted.max(axis=0)])
    np.testing.assert_array_equal(found.observed, [1000, 1000, 1000])
    assert found.first_bad is None
    assert found.effective_rows == pytest.approx(weight.sum() ** 2 / (weight @ weight), rel=ROUNDING)


def test_rows_without_weights_count_once() -> None:
    X, _ = some_rows(1000)
    assert_same(summary_of(X), summary_of(X, np.ones(1000)))
    assert summary_of(X).effective_rows == 1000.0


def test_n_equal_rows_are_worth_n() -> None:
    # n² of this n has 54 bits, and n² / n in float64 is not n.
    n = 94_906_267
    assert float(n) ** 2 / n != n
    assert WeightSums.of_equal(n).effective_rows == n


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cuts", [[0, 1], [500], [0, 0, 999, 1000], list(range(0, 1000, 7))])
def test_summaries_of_parts_add_to_that_of_the_whole(cuts: list[int], weighted: bool) -> None:
    X, weight = some_rows(1000)
    used = weight if weighted else None
    ends = [*cuts, 1000]
    parts = [
        summary_of(X[first:last], None if used is None else used[first:last]) for first, last in zip([0, *cuts], ends)
    ]
    assert_same(reduce(add, parts), summary_of(X, used), ROUNDING)
    # In any brackets, and, without bad values, in any order.
    assert_same(parts[0] + reduce(add, parts[1:]), summary_of(X, used), ROUNDING)
    assert_same(reduce(add, parts[::-1]), summary_of(X, used), ROUNDING)
    assert_same(parts[0] + parts[1], parts[1] + parts[0])


@pytest.mark.parametrize("size", [2.0**-1074, 2.0**-1022, 1e-200, 1e200, 2.0**1000])
def test_weights_of_any_size_add(size: float) -> None:
    X, _ = some_rows(4)
    weight = np.array([1.0, 2.0, 0.0, 2.0])
    tiny, ordinary = summary_of(X, size * weight), summary_of(X, weight)
    assert tiny.effective_rows == ordinary.effective_rows == 25.0 / 9.0
    assert (tiny + tiny).effective_rows == pytest.approx(50.0 / 9.0, rel=1e-15)  # a rounding or two
    both = tiny + ordinary
    if size < 1.0:  # beside the ordinary weights the others are nothing
        assert both.effective_rows == ordinary.effective_rows and both.largest_weight == 2.0
    else:
        assert both.effective_rows == tiny.effective_rows and both.largest_weight == 2.0 * size
    assert both.total_weight == 5.0 * size + 5.0


def test_no_rows_and_rows_without_weight_change_nothing() -> None:
    X, weight = some_rows(50)
    found, none = summary_of(X, weight), summary_of(X[:0], weight[:0])
    assert none.effective_rows == none.total_weight == 0.0
    assert_same(none + found, found)
    assert_same(found + none, found)
    without = found + summary_of(X * 100.0, np.zeros(50))
    assert without.n_rows == 100 and without.n_counted == found.n_counted
    assert without.effective_rows == found.effective_rows
    np.testing.assert_array_equal(without.column_range, found.column_range)


def test_first_bad_value_counts_from_the_first_row() -> None:
    good, _ = some_rows(10)
    nan, large = good.copy(), np.float32(good)
    nan[[3, 7], 2] = math.nan
    large[4, 1] = 2e15
    found = summary_of(good) + summary_of(nan) + summary_of(nan)
    assert found.first_bad is not None and found.first_bad[:2] == (13, 2)
    np.testing.assert_array_equal(found.observed, [30, 30, 26])
    assert summary_of(large).first_bad == BadValue(4, 1, np.float32(2e15))
    assert summary_of(large.astype(np.float64)).first_bad is None
    reading = Reading(3)
    for first_row, X in ((0, good), (10, nan), (20, nan)):
        reading.add(Batch(first_row, X, None))
    assert_same(reading.summary(), found)


@pytest.mark.parametrize("n_rows", [100, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("length", [1000, 65_536, 70_001])
def test_batches_of_any_length_have_the_same_bits(n_rows: int, length: int) -> None:
    X, weight = some_rows(n_rows)
    reading = Reading(3)
    for first in range(0, n_rows, length):
        reading.add(Batch(first, X[first : first + length], weight[first : first + length]))
    found = reading.summary()
    assert_same(found, summary_of(X, weight))
    assert_same(reading.summary(), found)  # asking changes nothing
    assert WeightSums.of(weight) == (found.n_counted, found.total_weight, found.largest_weight, found.squared_weight)
    if n_rows <= 65_536:
        assert found.total_weight == np.sum(weight)


def test_other_columns_do_not_add() -> None:
    X, _ = some_rows(10)
    with pytest.raises(ValueError, match="rows of 3 and of 2 columns were added, expected the same columns"):
        summary_of(X) + summary_of(X[:, :2])


def test_in_unit() -> None:
    X, weight = some_rows(10)
    found = summary_of(X, 2.0**-1000 * weight).in_unit(2.0**-1000)
    assert_same(found, summary_of(X, weight))


def test_weight_unit() -> None:
    assert weight_unit(1.0, 3) == weight_unit(1e-9, 3) == weight_unit(1e4, 3) == 1.0
    assert weight_unit(1e-11, 3) == 2.0**-37 and weight_unit(1e5, 3) == 2.0**16
    assert weight_unit(5e3, 30) == 2.0**12  # of more columns a lighter row is heavy
    assert weight_unit(2.0**-1074, 1) == 2.0**-1074 and weight_unit(np.finfo(float).max, 1) == 2.0**1023
