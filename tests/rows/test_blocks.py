"""Blocks of rows from a function, from .npy files, and from Arrow: batches, checks, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pads
import pytest
from numpy.typing import NDArray

import emix
from emix import BlockSource
from emix.rows.arrays import ArraySource, as_source
from emix.rows.npy import NpySource
from emix.rows.sampling import Sample
from emix.rows.source import RowSource

N, D = 3000, 3
X = np.random.default_rng(0).normal(size=(N, D))
WEIGHT = np.random.default_rng(1).uniform(size=N)
WEIGHT[::7] = 0.0
NAMES = ["a", "b", "c"]


def cut(rows: Any, *sizes: int) -> list[Any]:
    """Parts of these lengths, by turns, until all rows are used."""
    parts, first = [], 0
    while first < len(rows):
        for size in sizes:
            parts.append(rows[first : first + size])
            first += size
    return parts


def frame(rows: NDArray[Any] = X, weight: NDArray[Any] | None = WEIGHT) -> pd.DataFrame:
    found = pd.DataFrame(rows, columns=NAMES)
    return found if weight is None else found.assign(w=weight)


def table() -> pa.Table:
    return pa.table({**{name: X[:, j] for j, name in enumerate(NAMES)}, "w": WEIGHT})


def pairs(*sizes: int) -> Callable[[], Iterator[Any]]:
    return lambda: zip(cut(X, *sizes), cut(WEIGHT, *sizes), strict=True)


WEIGHTED: dict[str, Callable[[], RowSource]] = {
    "pairs": lambda: BlockSource(pairs(7, 501)),
    "pandas": lambda: BlockSource(lambda: iter(cut(frame(), 100, 900)), weight="w"),
    "polars": lambda: BlockSource(lambda: iter(cut(pl.DataFrame(frame()), 1000)), NAMES, "w"),
    "table": lambda: BlockSource(table(), weight="w"),
    "batches": lambda: BlockSource(lambda: table().to_batches(max_chunksize=333), NAMES, weight="w"),
    "reader": lambda: BlockSource(lambda: table().to_reader(max_chunksize=333), weight="w"),
    "dataset": lambda: BlockSource(pads.dataset(table()), NAMES, weight="w"),
    "arrow and weights": lambda: BlockSource(lambda: iter([(table().select(NAMES), WEIGHT)])),
    "weights of all rows": lambda: BlockSource(lambda: cut(X, 256), sample_weight=WEIGHT),
}


@pytest.mark.parametrize("unit", [1, 7, 512, 4096])
@pytest.mark.parametrize("kind", WEIGHTED)
def test_they_are_read_as_an_array_is(kind: str, unit: int) -> None:
    stream, array = WEIGHTED[kind](), ArraySource(X, WEIGHT)
    samples = [Sample(3, 100), Sample(3, 100)]
    found, expected = stream.read(samples[0]), array.read(samples[1])
    for name in ("n_rows", "n_counted", "total_weight", "largest_weight", "squared_weight", "first_bad"):
        assert getattr(found, name) == getattr(expected, name), name
    np.testing.assert_array_equal(found.column_range, expected.column_range)
    for one, other in zip(samples[0].drawn(), samples[1].drawn(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (stream.n_rows, stream.n_features, stream.dtype, stream.whole) == (N, D, np.float64, None)
    batches = list(stream.batches(unit))
    np.testing.assert_array_equal(np.concatenate([batch.X for batch in batches]), X)
    np.testing.assert_array_equal(np.concatenate([batch.weight for batch in batches]), WEIGHT)  # type: ignore[arg-type]
    assert all(len(batch.X) % unit == 0 for batch in batches[:-1])


def test_what_is_known_of_the_rows_is_known_from_the_first_pass_on() -> None:
    passes = []

    def blocks() -> Iterator[Any]:
        passes.append(0)
        return iter(cut(X.astype(np.float32), 100))

    source = BlockSource(blocks)
    assert passes == []
    assert source.dtype == np.float32
    assert (source.n_rows, source.n_features, source.feature_names, source.total_weight) == (N, D, None, N)
    assert len(passes) == 1
    assert BlockSource(lambda: cut(frame(weight=None), 500)).feature_names == tuple(NAMES)
    with pytest.raises(AttributeError, match="'BlockSource' object has no attribute 'n_row'"):
        source.n_row  # noqa: B018


def test_memory_of_a_block_may_be_used_again() -> None:
    def blocks() -> Iterator[NDArray[np.float64]]:
        buffer = np.empty((100, D))
        for part in cut(X, 100):
            buffer[:] = part
            yield buffer

    source = BlockSource(blocks)
    np.testing.assert_array_equal(np.concatenate([batch.X for batch in source.batches(512)]), X)


def test_blocks_without_rows_are_passed_over() -> None:
    source = BlockSource(lambda: [X[:0], X[:1000], X[:0], X[1000:], X[:0]])
    assert source.n_rows == N


def test_tiny_and_huge_weights_have_a_unit() -> None:
    for size in (2.0**-1000, 2.0**900):
        stream = BlockSource(lambda size=size: [(X, WEIGHT * size)])
        array = ArraySource(X, WEIGHT * size)
        assert stream.weight_unit == array.weight_unit != 1.0
        moderate = stream.without_unit()
        assert moderate.weight_unit == 1.0
        assert moderate.total_weight == array.without_unit().total_weight == moderate.read().total_weight
        (batch,) = moderate.batches(4096)
        np.testing.assert_array_equal(batch.weight, array.sample_weight)
        assert as_source(moderate) is moderate


def spoilt(row: int, value: float) -> NDArray[np.float64]:
    rows = X.copy()
    rows[row, 1] = value
    return rows


BAD: list[tuple[Callable[[], Any], dict[str, Any], str]] = [
    (lambda: cut(spoilt(750, np.nan), 500), {}, r"Input block 1 contains NaN: the first is in row 250, column 1\."),
    (lambda: cut(frame(spoilt(750, np.inf), None), 500), {}, r"Input block 1 contains infinity: .* column 1 \('b'\)"),
    (lambda: cut(spoilt(2999, 1e200), 500), {}, "Input block 5 contains a value too large to fit: 1e.200 in row 499"),
    (lambda: [(X, -WEIGHT)], {}, r"Negative values in the weights of block 0: -.* in row 1\."),
    (lambda: [(X, WEIGHT * np.nan)], {}, "the weights of block 0 contains NaN in row 0"),
    (lambda: [(X, WEIGHT * 0.0)], {}, "must contain at least one non-zero number"),
    (lambda: [(X, WEIGHT[:5])], {}, r"the weights of block 0 have shape \(5,\), expected \(3000,\)"),
    (lambda: [X * 1e-160], {}, "contains a column too small to fit: column 0"),
    (list, {}, r"the stream of blocks: Found array with 0 sample\(s\)"),
    (lambda: [X[:0]], {}, r"Found array with 0 sample\(s\)"),
    (lambda: [X, X[:, :2]], {}, "block 1 has 2 columns, expected 3, as block 0 has"),
    (lambda: [X, X.astype(np.float32)], {}, "block 1 has rows of float32, expected float64, as block 0 has"),
    (
        lambda: [X.astype(np.float32), np.ones((2, 3), int)],
        {},
        "all float32 or all float64: other numbers, such as int",
    ),
    (lambda: [X, (X, WEIGHT)], {}, "block 1 has weights, expected no weights, as block 0 has"),
    (lambda: [frame(weight=None), X], {}, "block 1 has no names of columns, expected the columns 'a', 'b', 'c'"),
    (lambda: [frame(), frame()[["b", "a", "c", "w"]]], {}, "block 1 has the columns 'b', 'a', 'c', 'w', expected the"),
    (lambda: [X[0]], {}, "Expected 2D array, got 1D array instead: block 0 has shape"),
    (lambda: [X, X.astype(str)], {}, "block 1 has dtype <U32, expected numbers"),
    (lambda: [X, "rows"], {}, "block 1"),
    (lambda: [(X, WEIGHT, WEIGHT)], {}, r"block 0 is a tuple of 3, expected \(rows, weights\)"),
    (lambda: [(frame(), WEIGHT)], {"weight": "w"}, "block 0 is a tuple with weights, but weight='w' names a column"),
    (lambda: [X], {"weight": "w"}, "block 0 is a ndarray without names of columns"),
    (lambda: [frame()], {"columns": ["a", "v"]}, "block 0 has the columns 'a', 'b', 'c', 'w', expected one 'v'"),
    (lambda: [table()], {"weight": "v"}, "block 0 has the columns 'a', 'b', 'c', 'w', expected one 'v'"),
    (
        lambda: [pa.table({"a": [1.0, 2.0], "b": [1.0, None]})],
        {},
        r"Input block 0 contains null: the first is in row 1, column 1 \('b'\)",
    ),
    (
        lambda: [pa.table({"a": pa.array(["u", "v"]).dictionary_encode()})],
        {},
        r"block 0 has column 0 \('a'\) of the type dictionary<.*>, expected numbers",
    ),
    (lambda: 5, {}, "blocks returned 5, expected an iterator of blocks of rows"),
]


@pytest.mark.parametrize(("blocks", "arguments", "message"), BAD)
def test_blocks_that_are_no_rows_are_refused(
    blocks: Callable[[], Any], arguments: dict[str, Any], message: str
) -> None:
    source = BlockSource(blocks, **arguments)
    for _ in range(2):  # it does not count as read
        with pytest.raises((ValueError, TypeError), match=message):
            source.read()
    with pytest.raises((ValueError, TypeError), match=message):
        emix.GaussianMixture(2).fit(source)


def test_integers_are_float64_as_other_blocks_are() -> None:
    source = BlockSource(lambda: [X, np.ones((5, 3), dtype=np.int16), np.ones((5, 3), dtype=bool)])
    assert (source.n_rows, source.dtype) == (N + 10, np.float64)


def test_weights_of_all_rows_are_one_for_each() -> None:
    for n, message in ((N - 1, "block 5 has rows up to number 2999"), (N + 1, r"\(3001,\), expected \(3000,\)")):
        source = BlockSource(lambda: cut(X, 500), sample_weight=np.ones(n))
        with pytest.raises(ValueError, match=message):
            source.read()
    source = BlockSource(lambda: cut(X, 500), sample_weight=-np.ones(N))
    with pytest.raises(ValueError, match=r"Negative values in sample_weight: -1 in row 0"):
        source.read()


class Later:
    """Blocks that are others from the second pass on."""

    def __init__(self, first: list[Any], later: Any) -> None:
        self.first, self.later, self.passes = first, later, 0

    def __call__(self) -> Iterator[Any]:
        self.passes += 1
        yield from self.first if self.passes == 1 else self.later


def broken() -> Iterator[Any]:
    yield X[:1000]
    raise OSError("the line is dead")


@pytest.mark.parametrize(
    ("later", "error", "message"),
    [
        ([X[:2500]], ValueError, "gave 2500 rows, the last in block 0, expected 3000 rows, as in the first pass"),
        ([X, X[:1]], ValueError, "gave more than 3000 rows, which are exceeded in block 1, expected 3000 rows"),
        ([], ValueError, "gave 0 rows, expected 3000 rows"),
        ([X[:, :2]], ValueError, "block 0 has 2 columns, expected 3, as the first pass has"),
        (broken(), OSError, "the line is dead"),
    ],
)
def test_a_pass_that_is_not_the_first_again(later: Any, error: type[Exception], message: str) -> None:
    source = BlockSource(Later([X], later))
    source.read()
    with pytest.raises(error, match=message) as raised:
        list(source.batches(512))
    if error is OSError:
        assert raised.value.__notes__ == ["emix was reading block 1 of a pass over the rows."]
    assert not any(thread.name == "emix reader" for thread in threading.enumerate())


def test_a_pass_with_another_sum_of_weights() -> None:
    source = BlockSource(Later([(X, WEIGHT)], [(X, 1.001 * WEIGHT)]))
    source.read()
    with pytest.raises(ValueError, match=r"gave weights with the sum .*, expected .*, as in the first pass"):
        list(source.batches(512))


class Sometimes:
    """Blocks of other rows from the third pass on: after the one that checks them, and the first E-step."""

    def __init__(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        self.change, self.passes = change, 0

    def __call__(self) -> Iterator[Any]:
        self.passes += 1
        for number, part in enumerate(cut(X, 500)):
            yield self.change(part) if self.passes > 2 and number == 4 else part


START = emix.GaussianParameters.from_covariances("full", [0.5, 0.5], X[:2], np.stack([np.cov(X.T)] * 2))


def test_a_bad_value_of_a_later_pass_is_named_with_its_block() -> None:
    def spoil(part: NDArray[Any]) -> NDArray[Any]:
        bad = part.copy()
        bad[7, 2] = np.nan
        return bad

    message = r"The rows changed between passes\. Input block 4 contains NaN: the first is in row 7, column 2\."
    with pytest.raises(ValueError, match=message):
        emix.fit_em(emix.GaussianModel(2, 3), Sometimes(spoil), START)


def test_rows_that_change_may_be_why_the_log_likelihood_falls() -> None:
    with pytest.warns(emix.ConvergenceWarning) as caught:
        emix.fit_em(emix.GaussianModel(2, 3), Sometimes(lambda part: part + 50.0), START, max_iter=2)
    assert any("fell in 1 iterations" in str(w.message) for w in caught)
    assert any("Or the rows changed between passes: check that each pass reads" in str(w.message) for w in caught)


def test_what_can_be_read_only_once_is_refused() -> None:
    generator = (part for part in cut(X, 100))
    with pytest.raises(TypeError, match="blocks is a generator, which can be read only once; a fit makes many passes"):
        BlockSource(generator)
    for once in (generator, table().to_reader()):
        with pytest.raises(TypeError, match=r"which can be read only once; a fit makes many passes\. Pass a callable"):
            emix.GaussianMixture(2).fit(once)
    same = BlockSource(lambda: generator)
    same.read()
    with pytest.raises(TypeError, match="blocks returned the same generator as for the pass before"):
        list(same.batches(1))
    with pytest.raises(TypeError, match="blocks is a list, which is no callable"):
        BlockSource([X])
    with pytest.raises(TypeError, match="columns is 'ab', expected a list of names"):
        BlockSource(lambda: [table()], "ab")


# .npy files


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, ">f8", np.float16])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_files_are_the_rows(tmp_path: Path, dtype: Any, order: Any) -> None:
    rows = np.asarray(100 * X, dtype=dtype, order=order)
    paths = [tmp_path / f"{i}.npy" for i in range(3)]
    for path, part in zip(paths, (rows[:1], rows[1:2000], rows[2000:]), strict=True):
        np.save(path, part)
    source = NpySource(paths, WEIGHT)
    assert source.dtype == (np.float32 if dtype is np.float32 else np.float64)
    assert source.n_rows == N
    for unit in (1, 7, 512):
        batches = list(source.batches(unit))
        np.testing.assert_array_equal(np.concatenate([batch.X for batch in batches]), rows)
        np.testing.assert_array_equal(np.concatenate([batch.weight for batch in batches]), WEIGHT)  # type: ignore[arg-type]


def test_npy_files_that_are_not_rows(tmp_path: Path) -> None:
    good, other = tmp_path / "good.npy", tmp_path / "other.npy"
    np.save(good, X)
    for content, message in (
        (X[:, :2], r"other.npy has 2 columns, expected 3, as .*good.npy has"),
        (X[0], r"Expected 2D array, got 1D array instead: .*other.npy holds one of shape \(3,\)"),
        (X.astype(str), r"other.npy has dtype <U32, expected numbers"),
        (X + 1j, "Complex data not supported: .*other.npy has dtype complex128"),
    ):
        np.save(other, content)
        with pytest.raises(ValueError, match=message):
            NpySource([good, other])
    np.save(other, X[:0])
    with pytest.raises(ValueError, match=r"other.npy: Found array with 0 sample\(s\)"):
        NpySource([other])
    np.save(other, spoilt(700, np.nan))
    with pytest.raises(ValueError, match=r"Input .*other.npy contains NaN: the first is in row 700, column 1\."):
        NpySource([good, other]).read()
    other.write_bytes(good.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"other.npy cannot be read as a .npy file of numbers"):
        NpySource([other])
    other.write_text("1,2,3")
    with pytest.raises(ValueError, match=r"other.npy cannot be read as a .npy file of numbers"):
        NpySource([other])
    with pytest.raises(FileNotFoundError, match=r"nothing.npy"):
        NpySource([tmp_path / "nothing.npy"])


def test_npy_file_that_changes_between_passes(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    np.save(path, X)
    source = NpySource([path])
    source.read()
    np.save(path, X[:100])
    with pytest.raises(ValueError, match=r"rows.npy has changed since it was first read"):
        list(source.batches(1))
