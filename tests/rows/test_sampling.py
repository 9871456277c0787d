"""The bounded sample of rows that a start looks at."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from emix.rows import sampling
from emix.rows.sampling import LARGEST_KEY, SAMPLE_ROWS, Drawn, Sample, likely_key, sample_rows, sample_size
from emix.rows.source import Batch

# Seeds are fixed, so a test that passes once passes always. A right sampler fails at a new seed with this probability.
ERROR = 1e-6


def assert_chi_square(statistic: float, degrees: int) -> None:
    """Neither too uneven nor too even."""
    assert scipy.stats.chi2.ppf(ERROR / 2, degrees) < statistic < scipy.stats.chi2.isf(ERROR / 2, degrees)


@pytest.mark.parametrize("n_rows", [1, 2, 99, 100])
def test_all_rows_if_they_are_few(n_rows: int) -> None:
    np.testing.assert_array_equal(sample_rows(n_rows, 7, 100), np.arange(n_rows))


@pytest.mark.parametrize("n_rows", [101, 5000, 200_000])
def test_size_is_bounded(n_rows: int) -> None:
    for size in (100, SAMPLE_ROWS):
        rows = sample_rows(n_rows, 7, size)
        assert len(rows) == min(size, n_rows)
        assert rows[0] >= 0 and rows[-1] < n_rows
        assert (np.diff(rows) > 0).all()  # ascending, none twice


def test_seed_decides() -> None:
    first, again, other = (sample_rows(1000, seed, 100) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    # Of 100 rows 10 are expected in common, with a standard deviation of 2.8.
    assert len(np.intersect1d(first, other)) < 30
    assert len({sample_rows(1000, seed, 10).tobytes() for seed in (0, 1, -1, 2**32, 2**63, 2**64 - 2)}) == 6


@pytest.mark.parametrize("chunk", [1, 7, 1000, 3000, 1 << 20])
def test_blocks_in_which_rows_come_do_not_matter(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = sample_rows(3000, 3, 200)
    monkeypatch.setattr(sampling, "CHUNK_ROWS", chunk)
    np.testing.assert_array_equal(sample_rows(3000, 3, 200), expected)


def test_row_that_is_drawn_of_more_rows_is_drawn_of_fewer() -> None:
    # Its key is its own: rows that come later only push others out.
    more = sample_rows(4000, 5, 300)
    fewer = sample_rows(2000, 5, 300)
    assert np.isin(more[more < 2000], fewer).all()


def test_each_row_is_as_likely() -> None:
    n_rows, size, n_seeds = 400, 100, 300
    counts = np.zeros(n_rows)
    for seed in range(n_seeds):
        counts[sample_rows(n_rows, seed, size)] += 1
    p = size / n_rows
    # Counts add to size · n_seeds: one degree of freedom less, and covariances of −1 / (n − 1) of the variance.
    statistic = np.sum((counts - n_seeds * p) ** 2) / (n_seeds * p * (1 - p)) * (n_rows - 1) / n_rows
    assert_chi_square(statistic, n_rows - 1)


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_sample_of_many_rows_is_spread_evenly(seed: int) -> None:
    n_rows, n_bins = 200_000, 200
    counts = np.bincount(sample_rows(n_rows, seed) * n_bins // n_rows, minlength=n_bins)
    p = 1.0 / n_bins
    left_out = (n_rows - SAMPLE_ROWS) / (n_rows - 1)  # drawn without replacement
    statistic = np.sum((counts - SAMPLE_ROWS * p) ** 2) / (SAMPLE_ROWS * p * left_out)
    assert_chi_square(statistic, n_bins - 1)


def test_rows_of_weight_zero_are_not_drawn() -> None:
    weight = np.ones(3000)
    weight[::3] = 0.0
    rows = sample_rows(3000, 4, 100, weight)
    assert len(rows) == 100 and (weight[rows] > 0.0).all()
    # They push no others out, and other weights do not matter.
    with_them = sample_rows(3000, 4, 100)
    assert np.isin(with_them[weight[with_them] > 0.0], rows).all()
    few = np.zeros(3000)
    few[[5, 77, 2999]] = [1e-300, 1.0, 1e300]
    np.testing.assert_array_equal(sample_rows(3000, 4, 100, few), [5, 77, 2999])
    np.testing.assert_array_equal(sample_rows(50, 4, 100, weight[:50]), np.flatnonzero(weight[:50]))
    np.testing.assert_array_equal(sample_rows(3000, 4, 100, np.full(3000, 0.1)), sample_rows(3000, 4, 100))


def cut(X: NDArray[np.float64], weight: NDArray[np.float64] | None, lengths: list[int]) -> Iterator[Batch]:
    """Batches of these lengths, again and again."""
    first, i = 0, 0
    while first < len(X):
        last = first + lengths[i % len(lengths)]
        yield Batch(first, X[first:last], None if weight is None else weight[first:last])
        first, i = last, i + 1


def drawn(sample: Sample, batches: Iterator[Batch] | list[Batch]) -> Drawn:
    for batch in batches:
        sample.add(batch)
    return sample.drawn()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("lengths", [[5000], [1, 2, 3], [64], [4999, 1], [0, 700]])
@pytest.mark.parametrize("size", [1, 7, 500, 4000, 5000, 9000])
def test_sample_of_batches_is_that_of_the_whole(size: int, lengths: list[int], weighted: bool) -> None:
    X = np.random.default_rng(0).normal(size=(5000, 2))
    weight = None
    if weighted:
        weight = np.random.default_rng(1).uniform(size=5000)
        weight[::3] = 0.0
    found = drawn(Sample(11, size), cut(X, weight, lengths))
    rows = sample_rows(5000, 11, size, weight)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.X, X[rows])
    if weight is None:
        assert found.weight is None
    else:
        np.testing.assert_array_equal(found.weight, weight[rows])


def test_sample_of_many_rows() -> None:
    X = np.arange(300_000, dtype=np.float32)[:, np.newaxis]
    found = drawn(Sample(-3), cut(X, None, [100_000, 512]))
    rows = sample_rows(300_000, -3)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.X, X[rows])
    assert found.X.dtype == np.float32


def test_order_of_batches_does_not_matter() -> None:
    X = np.random.default_rng(0).normal(size=(3000, 1))
    found = drawn(Sample(2, 100), list(cut(X, None, [70]))[::-1])
    np.testing.assert_array_equal(found.rows, sample_rows(3000, 2, 100))


def test_sample_can_be_asked_while_it_is_filled() -> None:
    X = np.random.default_rng(0).normal(size=(3000, 1))
    sample = Sample(2, 100)
    assert len(sample.drawn().rows) == 0
    for batch in cut(X, None, [90]):
        sample.add(batch)
        n_rows = batch.first_row + len(batch.X)
        np.testing.assert_array_equal(sample.drawn().rows, sample_rows(n_rows, 2, 100))


def test_unit_of_weights() -> None:
    X, weight = np.zeros((30, 1)), np.full(30, 3e-300)
    sample = Sample(2, 10)
    sample.add(Batch(0, X, weight))
    sample.divide_weights(2.0**-996)
    np.testing.assert_array_equal(sample.drawn().weight, np.full(10, 3e-300 * 2.0**996))
    np.testing.assert_array_equal(weight, np.full(30, 3e-300))


@pytest.mark.parametrize(("n_features", "size"), [(1, SAMPLE_ROWS), (113, SAMPLE_ROWS), (1000, 7456), (10**8, 1)])
def test_long_rows_are_fewer(n_features: int, size: int) -> None:
    assert sample_size(n_features) == size
    # With the eighth that waits to be sorted out.
    assert 1.125 * size * n_features * 8 <= 64 << 20 or size == 1


def test_memory_of_a_sample_is_bounded() -> None:
    X = np.zeros((20_000, 500))
    sample = Sample(0)
    tracemalloc.start()
    try:
        for first_row in range(0, 400_000, 20_000):
            sample.add(Batch(first_row, X, None))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The rows held and the keys of a chunk; and the rows of one batch that are on their way, at first most of them.
    assert peak < (64 << 20) + 65_536 * 40 + X.nbytes


@pytest.mark.parametrize("weighted", [False, True])
def test_samples_of_parts_make_the_sample_of_the_whole(weighted: bool) -> None:
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(7000, 2)), rng.integers(0, 4, 7000).astype(float) if weighted else None
    expected = drawn(Sample(3, 200), list(cut(X, weight, [7000])))
    whole, n_held = Sample(3, 200), 0
    for batch in cut(X, weight, [3000, 1, 3999]):
        # A bound that the sample of all rows keeps: few rows above it are handed on.
        part = drawn(Sample(3, 200, likely_key(4000, 200)), [batch])
        n_held += len(part.rows)
        if len(part.rows):
            whole.add_drawn(part)
    assert n_held < 1000
    for one, other in zip(whole.drawn(), expected):
        np.testing.assert_array_equal(one, other)


def test_likely_keys_hold_the_sample() -> None:
    assert likely_key(100, 200) == LARGEST_KEY
    for seed in range(20):
        part = drawn(Sample(seed, 500, likely_key(20_000, 300)), list(cut(np.zeros((20_000, 1)), None, [20_000])))
        assert 300 <= len(part.rows) <= 500
