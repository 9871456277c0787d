"""Parquet files as the source of rows: batches, checks, and files that are not what they should be."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import emix
from emix import ParquetSource
from emix.rows.arrays import ArraySource, as_source
from emix.rows.sampling import Sample
from emix.rows.source import Batch, RowSource

N_ROWS = 1000
X = np.random.default_rng(0).normal(size=(N_ROWS, 3))
WEIGHT = np.random.default_rng(1).uniform(size=N_ROWS)
WEIGHT[::7] = 0.0


def table(rows: NDArray[Any] = X, weight: NDArray[np.float64] | None = WEIGHT) -> pa.Table:
    columns = {name: rows[:, j] for j, name in enumerate("abc")}
    return pa.table(columns if weight is None else {**columns, "w": weight})


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., str]:
    """Writes a file, in row groups of 300 rows, and returns its path."""

    def write(content: Any, name: str = "rows.parquet", **options: Any) -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        pq.write_table(
            content if isinstance(content, pa.Table) else pa.table(content), path, row_group_size=300, **options
        )
        return str(path)

    return write


def in_parts(written: Callable[..., str], whole: pa.Table, cuts: list[int], folder: str = "parts") -> str:
    """Write a folder of files that begin and end at the cuts, the last of them first."""
    ends = [*cuts, whole.num_rows]
    for i, (first, last) in reversed(list(enumerate(zip([0, *cuts], ends)))):
        path = written(whole.slice(first, last - first), f"{folder}/part-{i:02d}.parquet")
    return os.path.dirname(path)


def joined(batches: list[Batch]) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
    weights = [batch.weight for batch in batches if batch.weight is not None]
    assert len(weights) in (0, len(batches))
    return np.concatenate([batch.X for batch in batches]), np.concatenate(weights) if weights else None


@pytest.mark.parametrize("unit", [1, 7, 64, 512, 1000, 4096])
@pytest.mark.parametrize("cuts", [[], [1], [500, 500, 999], [300, 601]])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_batches_are_the_rows(written: Callable[..., str], cuts: list[int], unit: int, dtype: Any) -> None:
    rows = X.astype(dtype)
    path = in_parts(written, table(rows), cuts)
    source = ParquetSource(path, weight="w")
    assert (source.n_rows, source.n_features, source.dtype) == (N_ROWS, 3, dtype)
    assert source.feature_names == ("a", "b", "c") and source.whole is None
    for _ in range(2):
        batches = list(source.batches(unit))
        found, weight = joined(batches)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, rows)
        np.testing.assert_array_equal(weight, WEIGHT)
        assert all(len(batch.X) % unit == 0 for batch in batches[:-1])
        assert all(batch.X.strides[0] == batch.X.itemsize and batch.noise is None for batch in batches)
        assert [batch.first_row for batch in batches] == [0, *np.cumsum([len(batch.X) for batch in batches])[:-1]]
        assert len({id(batch.X) for batch in batches}) == len(batches)  # each can be kept


@pytest.mark.parametrize("unit", [512, 999])
def test_batches_are_bounded(written: Callable[..., str], unit: int) -> None:
    n_rows = 150_000
    long = written({"a": np.arange(n_rows)})
    lengths = [len(batch.X) for batch in ParquetSource(long).batches(unit)]
    assert lengths[0] == 65_536 - 65_536 % unit and sum(lengths) == n_rows
    np.testing.assert_array_equal(joined(list(ParquetSource(long).batches(unit)))[0][:, 0], np.arange(n_rows))
    wide = written({f"c{j}": np.zeros(20_000) for j in range(300)})
    lengths = [len(batch.X) for batch in ParquetSource(wide).batches(unit)]
    assert max(lengths) * 300 * 8 <= 8 << 20 and sum(lengths) == 20_000
    assert [len(batch.X) for batch in ParquetSource(wide).batches(19_999)] == [19_999, 1]


@pytest.mark.parametrize("cuts", [[], [300, 601]])
@pytest.mark.parametrize("size", [1.0, 1e-200, 2.0**-1060, 1e200])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_read_as_an_array_is(written: Callable[..., str], cuts: list[int], size: float, weighted: bool) -> None:
    weight = WEIGHT * size if weighted else None
    path = in_parts(written, table(weight=weight), cuts)
    stream, array = ParquetSource(path, weight="w" if weighted else None), ArraySource(X, weight)
    samples = [Sample(3, 100) for _ in range(3)]
    summary, expected = stream.read(samples[0]), array.read(samples[1])
    assert stream.read(samples[2]) is summary
    for name in ("n_rows", "n_counted", "total_weight", "largest_weight", "squared_weight", "first_bad"):
        assert getattr(summary, name) == getattr(expected, name), name
    for name in ("total_weight", "effective_rows", "weight_unit"):
        assert getattr(stream, name) == getattr(array, name), name
    np.testing.assert_array_equal(summary.column_range, array.column_range)
    np.testing.assert_array_equal(stream.column_range, array.column_range)
    assert stream.columns is stream.columns and stream.columns.epsilon == array.columns.epsilon
    for sample in (samples[0], samples[2]):
        for found, same in zip(sample.drawn(), samples[1].drawn()):
            np.testing.assert_array_equal(found, same)
    np.testing.assert_array_equal(joined(list(stream.batches(64)))[1], array.sample_weight)
    moderate = stream.without_unit()
    assert moderate.weight_unit == 1.0
    assert moderate.total_weight == array.without_unit().total_weight
    assert moderate.effective_rows == array.effective_rows
    np.testing.assert_array_equal(joined(list(moderate.batches(64)))[1], array.sample_weight)
    assert stream.total_weight == array.total_weight  # as before


def test_totals_of_many_rows_have_the_bits_of_an_array(written: Callable[..., str]) -> None:
    weight = np.random.default_rng(2).uniform(size=150_000)
    path = in_parts(written, pa.table({"a": np.arange(150_000.0), "w": weight}), [70_000, 70_001])
    stream, array = ParquetSource(path, weight="w"), ArraySource(np.zeros((150_000, 1)), weight)
    assert stream.total_weight == array.total_weight and stream.effective_rows == array.effective_rows


def test_columns_in_the_order_asked_for(written: Callable[..., str]) -> None:
    source = ParquetSource(written(table()), columns=["c", "a"])
    assert source.feature_names == ("c", "a")
    (batch,) = source.batches(N_ROWS)
    np.testing.assert_array_equal(batch.X, X[:, [2, 0]])
    assert batch.weight is None
    assert ParquetSource(written(table())).feature_names == ("a", "b", "c", "w")  # no weight is asked for
    # Names are whole, also where a dot would lead into a column.
    nested = written({"a.b": X[:, 0], "a": X[:, 1], "n": [{"a": 1}] * N_ROWS})
    (batch,) = ParquetSource(nested, ["a"]).batches(N_ROWS)
    np.testing.assert_array_equal(batch.X[:, 0], X[:, 1])


def test_numbers_of_any_kind(written: Callable[..., str]) -> None:
    columns: dict[str, Any] = {
        "bool": pa.array([True, False, True]),
        "uint8": pa.array([1, 2, 255], pa.uint8()),
        "int64": pa.array([-(2**63), 2**53 + 1, 5]),
        "float32": pa.array([0.1, 2.0, 3.0], pa.float32()),
        "float64": pa.array([0.1, 2.0, 3.0]),
        "decimal": pa.array([Decimal("0.10"), Decimal("-2.00"), Decimal("3.25")]),
    }
    path = written(columns)
    (batch,) = ParquetSource(path).batches(3)
    expected = np.column_stack([np.array(column.to_pylist(), dtype=np.float64) for column in columns.values()])
    assert batch.X.dtype == np.float64
    np.testing.assert_array_equal(batch.X, expected)
    (batch,) = ParquetSource(path, ["float32"]).batches(3)
    assert batch.X.dtype == np.float32


def test_float32_in_all_files_or_none(written: Callable[..., str]) -> None:
    written(table(X.astype(np.float32)), "mixed/1.parquet")
    path = written(table(X), "mixed/2.parquet")
    rows = joined(list(ParquetSource(os.path.dirname(path), ["a", "b", "c"]).batches(64)))[0]
    np.testing.assert_array_equal(rows, np.concatenate([X.astype(np.float32), X]))
    assert rows.dtype == np.float64


def test_index_of_pandas_is_no_column(tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c"], index=np.arange(N_ROWS) * 3)
    for name in (None, "label"):
        frame.rename_axis(name).to_parquet(tmp_path / "frame.parquet")
        source = ParquetSource(tmp_path / "frame.parquet")
        assert source.feature_names == ("a", "b", "c")
    assert ParquetSource(tmp_path / "frame.parquet", ["label"]).column_range[1, 0] == 3.0 * (N_ROWS - 1)


def spoilt(row: int, column: int, value: float, dtype: Any = np.float64) -> pa.Table:
    rows = X.astype(dtype)
    rows[row, column] = value
    return table(rows)


def weights(row: int, value: float) -> pa.Table:
    weight = WEIGHT.copy()
    weight[row] = value
    return table(weight=weight)


NULL = pa.table({"a": pa.array([1, None, 3]), "w": pa.array([1.0, 2.0, None])})
BAD_VALUES: list[tuple[pa.Table, str]] = [
    (spoilt(700, 1, math.nan), r"Input .*rows.parquet \(row group 2\) contains NaN: .* row 700, column 1 \('b'\)"),
    (spoilt(0, 0, math.inf), r"contains infinity: the first is in row 0, column 0 \('a'\)"),
    (spoilt(999, 2, -math.inf), r"contains -infinity: the first is in row 999, column 2 \('c'\)"),
    (spoilt(5, 2, 2e150), r"contains a value too large to fit: 2e\+150 in row 5, column 2 \('c'\)"),
    (spoilt(5, 2, 2e15, np.float32), "Expected absolute values of at most 1e\\+15 in float32"),
    (table(X * 1e-160), r"contains a column too small to fit: column 0 \('a'\) varies by"),
    (table(np.float32(X * 1e-20)), "Expected at least 1e-15 in float32"),
    (weights(650, math.nan), r"Input column 'w' of .*rows.parquet \(row group 2\) contains NaN in row 650"),
    (weights(999, math.inf), r"Input column 'w' of .*rows.parquet \(row group 3\) contains infinity in row 999"),
    (weights(3, -1.0), r"Negative values in column 'w' of .*rows.parquet \(row group 0\): -1 in row 3"),
    (table(weight=np.zeros(N_ROWS)), "all 1000 values of column 'w' of .* are zero. Pass weight=None"),
    (table(weight=np.full(N_ROWS, 1e308)), r"column 'w' of .*: divide the weights by their largest, 1e\+308"),
    (NULL, r"contains null: the first is in row 1, column 0 \('a'\)"),
    (pa.table({"a": pa.array([True, None]), "w": [1, 1]}), r"contains null: the first is in row 1, column 0 \('a'\)"),
    (pa.table({"a": pa.nulls(2), "w": [1, 1]}), r"contains null: the first is in row 0, column 0 \('a'\)"),
    (NULL.set_column(0, "a", pa.array([1, 2, 3])), "contains null: the first is in row 2, column 'w'"),
]


@pytest.mark.parametrize(("content", "message"), BAD_VALUES)
def test_bad_values_are_refused_by_the_first_pass(written: Callable[..., str], content: pa.Table, message: str) -> None:
    source = ParquetSource(written(content), weight="w")
    for _ in range(2):  # it does not count as read
        with pytest.raises(ValueError, match=message):
            source.read(Sample(0))
    with pytest.raises(ValueError, match=message):
        next(source.batches(64))


def test_rows_are_counted_within_their_file(written: Callable[..., str]) -> None:
    path = in_parts(written, spoilt(700, 1, math.nan), [300, 650])
    with pytest.raises(ValueError, match=r"Input .*part-02.parquet \(row group 0\) contains NaN: .* in row 50, "):
        ParquetSource(path, weight="w").read()
    path = in_parts(written, weights(650, -1.0), [300, 650], "other")
    with pytest.raises(ValueError, match=r"Negative .* column 'w' of .*part-02.parquet \(row group 0\): -1 in row 0"):
        ParquetSource(path, weight="w").read()


def text_after(n_rows: int, value: Any) -> pa.Table:
    return pa.table({"a": X[:, 0], "b": pa.array([None] * n_rows + [value] * (N_ROWS - n_rows))})


COLORS = pa.array(["red", "blue"] * 500).dictionary_encode()
TABLES: list[tuple[pa.Table, dict[str, Any], type[Exception], str]] = [
    (
        text_after(0, "1"),
        {},
        ValueError,
        r"holds '1' in row 0, column 1 \('b'\), which has the type string, expected num",
    ),
    (text_after(700, "x"), {}, ValueError, "holds 'x' in row 700, column 1"),
    (text_after(N_ROWS, "x").cast(pa.schema({"a": "double", "b": "string"})), {}, ValueError, "holds column 1"),
    (pa.table({"a": COLORS}), {}, ValueError, r"holds 'red' in row 0, column 0 \('a'\), which has the type dictionary"),
    (pa.table({"a": pa.array([0, 86_400_000], pa.timestamp("ms"))}), {}, ValueError, r"type timestamp\[ms\], expected"),
    (pa.table({"a": [[1.0], [2.0]]}), {}, ValueError, "holds .* in row 0, column 0 .*type list"),
    (pa.table({"a": X[:, 0], "t": ["x"] * N_ROWS}), {"weight": "t"}, ValueError, "weight names those that are read"),
    (
        table(),
        {"columns": ["a", "d"]},
        ValueError,
        "columns asks for the column 'd', but .* has the columns 'a', 'b', ",
    ),
    (table(), {"weight": "v"}, ValueError, "weight asks for the column 'v', but"),
    (table(), {"columns": ["a", "b", "a"]}, ValueError, "columns names 'a' twice"),
    (table(), {"columns": "ab"}, TypeError, r"columns is 'ab', expected a list of names, such as \['x', 'y'\]"),
    (table(), {"columns": [0]}, TypeError, r"columns is \[0\], expected a list of names"),
    (table(), {"columns": []}, ValueError, r"Found array with 0 feature\(s\)"),
    (table().select(["w"]), {"weight": "w"}, ValueError, r"Found array with 0 feature\(s\)"),
    (table().slice(0, 0), {}, ValueError, r"Found array with 0 sample\(s\) \(shape=\(0, 4\)\) while a minimum of 1"),
    (pa.Table.from_arrays([X[:, 0], X[:, 1]], ["a", "a"]), {}, ValueError, "has several columns of that name"),
]


@pytest.mark.parametrize(("content", "arguments", "error", "message"), TABLES)
def test_tables_that_are_not_rows_are_refused_at_once(
    written: Callable[..., str], content: pa.Table, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ParquetSource(written(content), **arguments)


def test_files_of_a_folder_have_the_same_columns(written: Callable[..., str]) -> None:
    written(table(), "folder/1.parquet")
    path = os.path.dirname(written(table(weight=None), "folder/2.parquet"))
    with pytest.raises(ValueError, match=r"2.parquet has other columns than .*1.parquet: only one of them has 'w'"):
        ParquetSource(path)
    with pytest.raises(ValueError, match=r"weight asks for the column 'w', but .*2.parquet has the columns 'a', 'b'"):
        ParquetSource(path, ["a"], weight="w")
    assert ParquetSource(path, ["b", "a"]).n_rows == 2 * N_ROWS
    # In another order they are found by their names.
    written(table().select(["w", "c", "b", "a"]), "folder/2.parquet")
    np.testing.assert_array_equal(joined(list(ParquetSource(path, weight="w").batches(1)))[0], np.concatenate([X, X]))


def test_files_without_rows_are_passed_over(written: Callable[..., str]) -> None:
    path = in_parts(written, table(), [0, 400, 400, 1000])
    np.testing.assert_array_equal(joined(list(ParquetSource(path, weight="w").batches(64)))[0], X)


def test_what_is_no_parquet_file(tmp_path: Path, written: Callable[..., str]) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ParquetSource(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "_SUCCESS").touch()
    with pytest.raises(ValueError, match=r"The folder .* has no file that ends in .parquet"):
        ParquetSource(tmp_path / "folder")
    text = tmp_path / "text.parquet"
    text.write_text("a,b\n1,2\n" * 10)
    with pytest.raises(ValueError, match=r"text.parquet cannot be read as a Parquet file: .*magic bytes"):
        ParquetSource(text)
    # The footer is whole, the pages are not.
    content = bytearray(Path(written(table(), compression="none", use_dictionary=False)).read_bytes())
    content[4:3000] = b"\xff" * 2996
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged.parquet cannot be read as a Parquet file"):
        ParquetSource(damaged).read()


def test_file_that_changes_between_passes(written: Callable[..., str]) -> None:
    path = written(table())
    source = ParquetSource(path, weight="w")
    source.read()
    written(table().slice(0, 900))
    with pytest.raises(ValueError, match=r"has changed since it was first read: it had 1000 rows then and has 900 now"):
        list(source.batches(64))
    # As many rows, and bytes, but other values.
    written(table())
    source = ParquetSource(path, weight="w")
    written(table(X[::-1]))
    os.utime(path, (0, 0))
    with pytest.raises(ValueError, match=r"has changed since it was first read: it was written anew"):
        source.read()
    os.remove(path)
    with pytest.raises(FileNotFoundError):
        source.read()


def test_memory_does_not_grow_with_the_rows(written: Callable[..., str]) -> None:
    def peak(n_rows: int) -> int:
        source = ParquetSource(written({"a": np.arange(float(n_rows)), "w": np.ones(n_rows)}), weight="w")
        tracemalloc.start()
        try:
            source.read()
            for _ in source.batches(512):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # A batch of 65 536 rows with their weights is a megabyte. Three are held, and a slice of weights; PyArrow's memory
    # is its own. All rows are eight megabytes, and sixteen.
    assert peak(500_000) < 4.7e6
    assert peak(1_000_000) < 4.7e6


def test_it_is_a_row_source(written: Callable[..., str]) -> None:
    source: RowSource = ParquetSource(written(table()))
    assert as_source(source) is source
    assert emix.ParquetSource is ParquetSource


def test_it_can_be_sent_to_another_process(written: Callable[..., str]) -> None:
    source = ParquetSource(written(table(weight=WEIGHT * 1e-200)), weight="w")
    source.read()
    for sent in (pickle.loads(pickle.dumps(source)), pickle.loads(pickle.dumps(source.without_unit()))):
        np.testing.assert_array_equal(joined(list(sent.batches(64)))[0], X)
    assert sent.weight_unit == 1.0 and sent.total_weight == source.total_weight / source.weight_unit


def test_pyarrow_is_missing(written: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(table())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'reading Parquet files needs pyarrow, .*: pip install "emix\[parquet\]"'):
        ParquetSource(path)


def test_threads_that_read_one_source_for_the_first_time_find_the_same(written: Callable[..., str]) -> None:
    # Weights that have a unit: nobody may see it before all of the summary is there.
    rows = np.random.default_rng(2).normal(size=(20_000, 3))
    path = written(table(rows, np.full(20_000, 1e-200)))
    for _ in range(5):
        source = ParquetSource(path, columns=list("abc"), weight="w")
        with ThreadPoolExecutor(3) as pool:
            reads = [pool.submit(source.read) for _ in range(3)]
            found = {(read.result().total_weight, source.weight_unit) for read in reads}
        assert len(found) == 1
        assert found.pop()[0] == pytest.approx(2e-196, rel=1e-12)  # 20 000 sums of rounded numbers


def test_reading_does_not_import_pandas(written: Callable[..., str]) -> None:
    # PyArrow's own conversion does, for seconds, and an interrupt during that import is lost.
    path = written({"a": [0.5, 1.5], "b": [1, 2], "c": [True, False], "d": np.array([1, 2], np.float16)})
    code = (
        f"import sys, emix; X = next(emix.ParquetSource({path!r}).batches(1)).X; print(X.tolist());"
        "assert 'pandas' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[[0.5, 1.0, 1.0, 1.0], [1.5, 2.0, 0.0, 2.0]]\n"


def test_hidden_and_unfinished_files_of_a_folder_are_left_out(written: Callable[..., str]) -> None:
    path = written(table(X[:5], None), "folder/b.parquet")
    for name in ("_tmp.parquet", ".hidden.parquet"):
        written(table(X[5:9], None), f"folder/{name}")
    assert ParquetSource(os.path.dirname(path)).n_rows == 5


@pytest.mark.parametrize("path", [3, None, ["a.parquet", "b.parquet"], b"a.parquet"])
def test_paths_that_are_none_are_refused(path: Any) -> None:
    with pytest.raises(
        TypeError, match=f"path is a {type(path).__name__}, expected the path of a file, or of a folder"
    ):
        ParquetSource(path)


def test_columns_may_come_from_a_generator(written: Callable[..., str]) -> None:
    assert ParquetSource(written(table()), (name for name in "ba")).feature_names == ("b", "a")
