"""Numbers of any kind and dimension, and tables by their names; what makes rows of them is in test_validation.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pads
import pytest
from numpy.lib.recfunctions import structured_to_unstructured
from numpy.typing import NDArray

import emix
from emix.rows.blocks import BlockSource
from emix.rows.conversion import as_numbers, is_frame, is_ready
from emix.rows.validation import as_rows, as_sample_weight, feature_names


def refused(error: type[Exception], text: str, function: Any, *arguments: Any, **keywords: Any) -> None:
    with pytest.raises(error, match=re.escape(text)):
        function(*arguments, **keywords)


def test_dimension_and_what_is_not_finite_are_kept() -> None:
    assert as_numbers(3, "x").shape == ()
    assert np.isnan(as_numbers([[[np.nan]]], "x")).all()


def test_object_without_array_interface_is_named() -> None:
    with pytest.raises(TypeError, match=r"x holds <object object at .*>, expected numbers"):
        as_numbers(object(), "x")


def test_what_is_ready() -> None:
    assert is_ready(np.zeros((2, 2)))
    assert is_ready(np.zeros(2, dtype=np.float32)[::-1])
    assert not is_ready([[1.0]])
    assert not is_ready(np.zeros((2, 2), dtype=">f8"))
    assert not is_ready(np.ma.MaskedArray([[1.0]]))


def test_what_is_a_frame() -> None:
    assert is_frame(pd.DataFrame({"a": [1]}))
    assert is_frame(pl.DataFrame({"a": [1]}))
    assert not is_frame(pd.Series([1]))
    assert not is_frame(np.zeros((1, 1)))


@pytest.mark.skipif(np.finfo(np.longdouble).max == np.finfo(np.float64).max, reason="no longer float here")
def test_longer_floats_in_any_error_state() -> None:
    with np.errstate(all="raise"):
        found = as_numbers(np.array(["1e4000", "1e-4000", "0.5"], dtype=np.longdouble), "x")
    assert found.tolist() == [np.inf, 0.0, 0.5]


# Tables


@pytest.mark.parametrize("table", [pa.table, pa.record_batch, lambda data: pl.DataFrame(data).to_arrow()])
def test_arrow_tables_are_read_by_their_names(table: Any) -> None:
    X = table({"b": [3.0, 4.0], "a": [1, 2]})
    np.testing.assert_array_equal(as_rows(X), [[3.0, 1.0], [4.0, 2.0]])
    assert list(feature_names(X)) == ["b", "a"]
    assert as_rows(table({"a": np.float32([1.0])})).dtype == np.float32
    np.testing.assert_array_equal(as_rows(table({"a": [True, False]})), [[1.0], [0.0]])
    refused(ValueError, "contains NaN: the first is in row 1, column 1 ('b')", as_rows, table(MISSING))
    refused(
        ValueError, "X holds 'x' in row 0, column 1 ('b'), expected numbers", as_rows, table({"a": [1.0], "b": ["x"]})
    )
    refused(ValueError, "while a minimum of 1 is required", as_rows, table({}))


MISSING = {"a": [1.0, 2.0], "b": [1, None]}


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": pd.array([1, 2], dtype="Int64"), "b": pd.array([1, pd.NA], dtype="Int64")}),
        pd.DataFrame({"a": [1.0, 2.0], "b": pd.array([1.0, pd.NA], dtype="Float32")}),
        pd.DataFrame({"a": [1.0, 2.0], "b": pd.array([True, pd.NA], dtype="boolean")}),
        pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, pd.NA]}, dtype=object),
        pd.DataFrame(MISSING).convert_dtypes(dtype_backend="pyarrow"),
    ],
)
def test_missing_value_of_a_nullable_column_is_missing(frame: Any) -> None:
    text = (
        "Input X contains NaN: the first is in row 1, column 1 ('b'). Expected finite numbers. Leave out rows with miss"
    )
    refused(ValueError, text, as_rows, frame)
    refused(ValueError, "Input sample_weight contains NaN in row 1", as_sample_weight, frame["b"], 2)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_messages_name_the_column(make: Any) -> None:
    text = "too large to fit: 1e+200 in row 1, column 1 ('height'). Expected absolute values of at most 1e+150"
    refused(ValueError, text, as_rows, make({"age": [1.0, 2.0], "height": [1.0, 1e200]}), to_fit=True)
    text = "contains infinity: the first is in row 0, column 1 ('height')"
    refused(ValueError, text, as_rows, make({"age": [1.0], "height": [np.inf]}))
    refused(ValueError, "column 1 ('height'), expected numbers", as_rows, make({"age": [1.0], "height": ["tall"]}))
    day = np.array(["2024-01-01"], dtype="M8[ms]")
    refused(ValueError, "column 0 ('born'), expected numbers", as_rows, make({"born": day}))


def test_names_of_complex_and_huge_columns() -> None:
    text = "Complex data not supported: X has dtype complex128 in column 1 ('b'), expected real numbers"
    refused(ValueError, text, as_rows, pd.DataFrame({"a": [1.0], "b": [1j]}))
    text = "X holds a number too large for float64 in row 1, column 1 ('b'), expected absolute values below 1.8e308"
    refused(ValueError, text, as_rows, pd.DataFrame({"a": [1, 2], "b": [1, 10**400]}))
    refused(ValueError, "X contains NaN: the first is in row 0, column 0.", as_rows, pd.DataFrame([[np.nan]]))
    refused(ValueError, "column 1 ('height')", as_rows, [[1.0, np.nan]], names=["age", "height"])


class Interchange:
    """A table that has nothing but the interchange protocol of data frames."""

    def __dataframe__(self) -> None:
        raise AssertionError("not to be called")


class Stream:
    """A table that has nothing but Arrow's stream of columns."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> None:
        raise AssertionError("not to be called")


@pytest.mark.parametrize(
    ("X", "error", "text"),
    [
        (
            pl.LazyFrame({"b": [1.0], "a": [2.0]}),
            TypeError,
            "X is a polars LazyFrame, whose columns emix cannot read by",
        ),
        (pl.LazyFrame({"a": [1.0]}), TypeError, "a lazy frame with X.collect() or X.compute()"),
        (
            Interchange(),
            TypeError,
            "Interchange, whose columns emix cannot read by their names, expected an array or a",
        ),
        (Stream(), TypeError, "others for example with pyarrow.table(X)"),
        ({"b": [1.0], "a": [2.0]}, TypeError, "X is a dict with the keys 'b', 'a', expected an array or a data frame."),
        (
            np.zeros(3, dtype=[(letter, "f8") for letter in "abcdefg"]),
            ValueError,
            "X is a structured array with the fields 'a', 'b', 'c', 'd', 'e', ..., expected numbers in two dimensions.",
        ),
        (
            np.zeros(3, dtype=[("a", "f8")]),
            ValueError,
            "Pass a data frame, such as pandas.DataFrame(X), or without the names numpy.lib.recfunctions.structured",
        ),
        (np.rec.array([(1.0, 2.0)], names=["a", "b"]), ValueError, "structured array with the fields 'a', 'b'"),
    ],
)
def test_tables_whose_names_are_not_read_are_refused(X: Any, error: type[Exception], text: str) -> None:
    refused(error, text, as_rows, X)


@pytest.mark.parametrize("values", [[1.0, 2.0], ["u", "v"]])
def test_dictionaries_of_arrow_are_refused_wherever_they_come(values: list[Any]) -> None:
    categories = pa.table({"a": [1.0, 2.0], "b": pa.array(values).dictionary_encode()})
    for X in (categories, categories.to_batches()[0]):
        refused(ValueError, "X has column 1 ('b') of the type dictionary<", as_rows, X)
    for data in (categories.to_batches, lambda: [categories]):
        with pytest.raises(ValueError, match=r"block 0 has column 1 \('b'\) of the type dictionary<"):
            BlockSource(data).read()


def blocks() -> list[NDArray[np.float64]]:
    return [np.eye(2)]


@pytest.mark.parametrize(
    ("X", "text"),
    [
        (da.from_array(np.eye(2)), "X is a dask Array, expected an array or a data frame in memory. Convert it first"),
        (dd.from_pandas(pd.DataFrame(np.eye(2)), npartitions=1), "X is a dask DataFrame, expected an array or a data"),
        (da.from_array(np.eye(2)), "with X.compute(): collections of dask are taken by fit, summary and the scores"),
        ("rows.npy", "X is the path 'rows.npy', expected an array or a data frame in memory: paths are taken by fit"),
        (Path("rows.csv"), "X is the path 'rows.csv'"),
        (blocks, "X is a function, expected an array or a data frame in memory: rows that are read block by block are"),
        (blocks, "where parts will do, one block after another: for block in X()."),
        (iter([np.eye(2)]), "X is a list_iterator, expected an array or a data frame in memory"),
        (BlockSource(blocks), "X is a BlockSource, expected an array or a data frame in memory"),
        (BlockSource(blocks), "one batch after another: for batch in X.batches(1) has them as batch.X."),
        (pads.dataset(pa.table({"a": [1.0]})), "one batch after another: for batch in X.to_batches()."),
        (("a.npy", "b.npy"), "X holds paths, such as 'a.npy', expected numbers. Pass a list of paths of .npy files to"),
        (np.array(["a.npy"]), "X holds paths, such as 'a.npy', expected numbers. Pass a list of paths"),
        ((Path("a.npy"),), "X holds paths, such as 'a.npy', expected numbers. Pass a list of paths"),
    ],
)
def test_what_is_read_block_by_block_is_refused_where_arrays_are_taken(X: Any, text: str) -> None:
    refused(TypeError, text, as_rows, X)
    gm = emix.GaussianMixture(1).fit(np.random.default_rng(0).normal(size=(50, 2)))
    for function in (gm.statistics, gm.partial_fit, emix.select_mixture):
        refused(TypeError, text, function, X)


def test_text_that_is_no_path_stays_text() -> None:
    refused(ValueError, "w has dtype <U6, expected numbers: could not convert string", as_numbers, "height", "w")


def test_what_a_structured_array_is_told_to_become() -> None:
    X = np.array([(1.0, 2.0), (3.0, 4.0)], dtype=[("b", "f8"), ("a", "f4")])
    np.testing.assert_array_equal(as_rows(structured_to_unstructured(X)), [[1, 2], [3, 4]])
    assert list(feature_names(pd.DataFrame(X))) == ["b", "a"]
