"""Rows from what users pass: nothing copied that need not be, and every refusal says what to do."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse

from emix.kernel.factors import Columns
from emix.rows.validation import (
    as_rows,
    as_sample_weight,
    check_column_range,
    check_enough_rows,
    check_feature_names,
    check_n_features,
    feature_names,
)

RNG = np.random.default_rng(0)


def refused(error: type[Exception], text: str, function: Any, *arguments: Any, **keywords: Any) -> None:
    with pytest.raises(error, match=re.escape(text)):
        function(*arguments, **keywords)


# What passes through


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "view",
    [
        lambda X: X,
        np.asfortranarray,
        lambda X: X[::2],
        lambda X: X[:, ::2],
        lambda X: X[::-1, ::-1],
        lambda X: X.T,
        lambda X: np.broadcast_to(X[0], X.shape),
    ],
    ids=["C", "Fortran", "rows", "columns", "reversed", "transposed", "broadcast"],
)
def test_floats_pass_without_a_copy(dtype: type, view: Any) -> None:
    X = view(RNG.normal(size=(10, 6)).astype(dtype))
    X.flags.writeable = False
    assert as_rows(X) is X


def test_checking_makes_no_array_as_large_as_the_data() -> None:
    X = RNG.normal(size=(100_000, 8))
    X[-1, -1] = np.nan
    tracemalloc.start()
    try:
        as_rows(X[:-1], to_fit=True)
        with pytest.raises(ValueError, match="NaN"):
            as_rows(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A boolean for each value would be 800 kB.
    assert peak < 600_000


def test_memory_map_is_read_where_it_lies(tmp_path: Any) -> None:
    X = np.lib.format.open_memmap(tmp_path / "X.npy", mode="w+", dtype=np.float64, shape=(5, 2))
    X[:] = 1.0
    rows = as_rows(X)
    assert type(rows) is np.ndarray
    assert np.shares_memory(rows, X)


@pytest.mark.parametrize(
    ("X", "dtype"),
    [
        ([[1, 2], [3, 4]], np.float64),
        (np.array([[1, 2], [3, 4]], dtype=np.int8), np.float64),
        (np.array([[True, False], [False, True]]), np.float64),
        (np.array([[1, 2], [3, 4]], dtype=np.float16), np.float64),
        (np.array([[1, 2], [3, 4]], dtype=np.longdouble), np.float64),
        (np.array([[1, 2], [3, 4]], dtype=">f8"), np.float64),
        (np.array([[1, 2], [3, 4]], dtype=">f4"), np.float32),
        (np.array([[1, 2.5], [3, True]], dtype=object), np.float64),
        (np.ma.MaskedArray([[1.0, 2.0], [3.0, 4.0]]), np.float64),
    ],
)
def test_other_numbers_become_native_floats(X: Any, dtype: type) -> None:
    rows = as_rows(X)
    assert rows.dtype == dtype
    assert rows.dtype.isnative
    np.testing.assert_array_equal(rows, np.array(X, dtype=np.float64))


def test_unaligned_array_is_aligned() -> None:
    packed = np.zeros(4, dtype=np.dtype([("flag", "i1"), ("values", "f8", 3)]))
    assert not packed["values"].flags.aligned
    assert as_rows(packed["values"]).flags.aligned


# Frames


FRAME = {"a": [1.0, 2.0, 3.0], "b": [4, 5, 6], "c": [True, False, True]}


@pytest.mark.parametrize("frame", [pd.DataFrame(FRAME), pl.DataFrame(FRAME), pd.DataFrame(FRAME).convert_dtypes()])
def test_frames_of_numbers(frame: Any) -> None:
    np.testing.assert_array_equal(as_rows(frame), [[1, 4, 1], [2, 5, 0], [3, 6, 1]])
    names = feature_names(frame)
    assert names is not None
    assert names.dtype == object
    assert names.tolist() == ["a", "b", "c"]


def test_frame_of_one_dtype_is_not_copied() -> None:
    X = RNG.normal(size=(5, 2)).astype(np.float32)
    assert np.shares_memory(as_rows(pd.DataFrame(X, copy=False)), X)
    assert as_rows(pl.DataFrame({"a": X[:, 0], "b": X[:, 1]})).dtype == np.float32


def test_names_are_kept_only_if_all_are_strings() -> None:
    assert feature_names(np.zeros((2, 2))) is None
    assert feature_names([[1.0, 2.0]]) is None
    assert feature_names(pd.DataFrame(np.zeros((2, 2)))) is None
    refused(TypeError, "names of types ['int', 'str']", feature_names, pd.DataFrame({"a": [1.0], 0: [2.0]}))


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1.0, None], "b": [1.0, 2.0]}),
        pl.DataFrame({"a": [1.0, None], "b": [1.0, 2.0]}),
        pl.DataFrame({"a": [1, None], "b": [1, 2]}),
    ],
)
def test_missing_value_of_a_frame_is_named(frame: Any) -> None:
    refused(ValueError, "Input X contains NaN: the first is in row 1, column 0 ('a')", as_rows, frame)


@pytest.mark.parametrize(
    "frame",
    [pd.DataFrame({"a": [1.0], "b": ["x"]}), pl.DataFrame({"a": [1.0], "b": ["x"]}), pd.DataFrame({"b": ["x"]})],
)
def test_text_in_a_frame_is_named(frame: Any) -> None:
    refused(ValueError, "could not convert string to float: X holds 'x' in row 0, column", as_rows, frame)


def test_dates_in_a_frame() -> None:
    dates = [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2)]
    refused(ValueError, "expected numbers", as_rows, pd.DataFrame({"a": dates}))
    refused(ValueError, "expected numbers", as_rows, pl.DataFrame({"a": dates}))


# What is refused


@pytest.mark.parametrize(
    ("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "-infinity")], ids=["NaN", "inf", "-inf"]
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_first_value_that_is_not_finite_is_named(value: float, kind: str, dtype: type, order: Any) -> None:
    # Beyond the rows that the search looks at together.
    X = np.zeros((200_000, 3), dtype=dtype, order=order)
    X[150_000, 1] = value
    X[150_000, 2] = X[190_000, 0] = np.nan
    refused(
        ValueError,
        f"Input X contains {kind}: the first is in row 150000, column 1. Expected finite numbers.",
        as_rows,
        X,
    )


def test_finite_values_whose_sum_overflows_are_finite() -> None:
    X = np.full((10, 2), 1e308)
    assert as_rows(X) is X


@pytest.mark.parametrize(("dtype", "limit"), [(np.float64, 1e150), (np.float32, 1e15)])
def test_magnitude_to_fit(dtype: type, limit: float) -> None:
    X = np.array([[1.0, -limit], [limit, 0.0]], dtype=dtype)
    assert as_rows(X, to_fit=True) is X
    X[1, 0] = -2 * limit
    assert as_rows(X) is X
    refused(ValueError, f"Expected absolute values of at most {limit:g} in {X.dtype}", as_rows, X, to_fit=True)
    refused(ValueError, "in row 1, column 0", as_rows, X, to_fit=True)


@pytest.mark.parametrize(
    ("X", "error", "text"),
    [
        ([1.0, 2.0], ValueError, "Expected 2D array, got 1D array instead: X has shape (2,). Reshape your data"),
        (1.0, ValueError, "Expected 2D array, got 0D array instead"),
        (np.zeros((2, 2, 2)), ValueError, "Found array with dim 3, while dim <= 2 is required"),
        (pd.Series([1.0, 2.0]), ValueError, "got 1D array instead"),
        (np.zeros((0, 3)), ValueError, "0 sample(s) (shape=(0, 3)) while a minimum of 1 is required"),
        (np.zeros((12, 0)), ValueError, "0 feature(s) (shape=(12, 0)) while a minimum of 1 is required"),
        ([], ValueError, "got 1D array instead"),
        ([[1.0, 2.0], [3.0]], ValueError, "X is not a rectangular array of numbers"),
        (np.array([[1j, 2.0]]), ValueError, "Complex data not supported: X has dtype complex128"),
        (np.array([[1j, 2.0]], dtype=object), ValueError, "Complex data not supported: X holds 1j in row 0, column 0"),
        ([["a", "b"]], ValueError, "X has dtype <U1, expected numbers"),
        ([["1", "2"]], ValueError, "X has dtype <U1, expected numbers"),
        (np.array([[b"1"]]), ValueError, "X has dtype |S1, expected numbers"),
        (np.array([[1.0, "2"]], dtype=object), ValueError, "X holds '2' in row 0, column 1, expected numbers"),
        (np.array([[1.0, {}]], dtype=object), TypeError, "X holds {} in row 0, column 1, expected numbers"),
        (np.array([["2024-01-01"]], dtype="M8[D]"), ValueError, "expected numbers"),
        (
            [[1.0, 2.0], [3.0, 10**400]],
            ValueError,
            "X holds a number too large for float64 in row 1, column 1, expected",
        ),
        ([[-(10**400)]], ValueError, "too large for float64 in row 0, column 0"),
        (None, ValueError, "Expected 2D array, got 0D array"),
        (np.array([[None, 1.0]], dtype=object), ValueError, "X contains NaN: the first is in row 0, column 0"),
        (scipy.sparse.eye_array(3), TypeError, "Sparse data was passed as X, but dense data is required"),
        (scipy.sparse.csr_matrix(np.eye(3)), TypeError, "Use X.toarray()"),
        (np.matrix(np.eye(2)), TypeError, "np.matrix is not supported"),
        (np.ma.MaskedArray([[1.0, 2.0]], mask=[[True, False]]), ValueError, "masked array with 1 masked values"),
    ],
)
def test_refusals(X: Any, error: type[Exception], text: str) -> None:
    refused(error, text, as_rows, X)


def test_argument_and_caller_are_named() -> None:
    refused(ValueError, "Input points contains NaN", as_rows, [[np.nan]], name="points")
    refused(ValueError, "is required by Mixture", as_rows, np.zeros((0, 1)), caller="Mixture")


def test_scipy_is_not_imported_to_look_for_sparse_data() -> None:
    code = (
        "import sys; import emix.rows.validation as v; v.as_rows([[1, 2]]); "
        "assert not any(m.split('.')[0] in ('scipy', 'sklearn', 'pandas', 'polars') for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


# What a fit cannot take


@pytest.mark.parametrize(
    ("kind", "limit", "remedy"),
    [
        ("f", 1e-15, "Multiply the column by a large number, or pass float64, in which 1e-153 is enough."),
        ("d", 1e-153, "Multiply the column by a large number."),
    ],
)
def test_columns_that_vary_too_little(kind: str, limit: float, remedy: str) -> None:
    check_column_range(Columns(1e-16, np.array([[1.0, 0.0, -limit], [1.0, limit, limit]])), kind)
    dtype = np.dtype(kind)
    text = (
        f"Input data contains a column too small to fit: column 1 ('b') varies by {limit / 2:.3g}. Expected at least "
        f"{limit:g} in {dtype}, or a constant. {remedy}"
    )
    columns = Columns(1e-16, np.array([[1.0, 0.0, 0.0], [2.0, limit / 2, limit / 4]]))
    refused(ValueError, text, check_column_range, columns, kind, ["a", "b", "c"], name="data")


# Weights


def test_no_weights_stay_none() -> None:
    assert as_sample_weight(None, 3) is None


def test_good_weights_are_not_copied() -> None:
    weight = np.array([0.0, 1.0, 2.5])
    assert as_sample_weight(weight, 3) is weight


@pytest.mark.parametrize(
    "weight",
    [
        [1, 2, 3],
        np.array([1, 2, 3], dtype=np.int32),
        pd.Series([1, 2, 3]),
        pl.Series([1, 2, 3]),
        np.arange(1.0, 7.0)[::2],
    ],
)
def test_weights_become_contiguous_float64(weight: Any) -> None:
    found = as_sample_weight(weight, 3)
    assert found is not None
    assert found.dtype == np.float64
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, np.asarray(weight, dtype=float))


@pytest.mark.parametrize(
    ("weight", "text"),
    [
        ([1.0, 2.0], "sample_weight.shape == (2,), expected (3,)"),
        (np.ones((3, 1)), "Sample weights must be 1D: sample_weight has shape (3, 1), expected (3,)"),
        (2.0, "Sample weights must be 1D: sample_weight has shape (), expected (3,)"),
        ([1.0, np.nan, 1.0], "Input sample_weight contains NaN in row 1"),
        ([1.0, 1.0, np.inf], "Input sample_weight contains infinity in row 2"),
        ([np.inf, -np.inf, 1.0], "Input sample_weight contains infinity in row 0"),
        ([1.0, -0.5, 1.0], "Negative values in sample_weight: -0.5 in row 1"),
        ([0.0, 0.0, 0.0], "Sample weights must contain at least one non-zero number: all 3 values"),
        ([1e308, 1e308, 1e308], "sample_weight has a sum that overflows: divide the weights by their largest, 1e+308"),
        (["a", "b", "c"], "sample_weight has dtype <U1, expected numbers"),
        ([1j, 0, 0], "Complex data not supported: sample_weight"),
    ],
)
def test_bad_weights(weight: Any, text: str) -> None:
    refused(ValueError, text, as_sample_weight, weight, 3)


def test_rows_of_weight_zero_do_not_count() -> None:
    check_enough_rows(3, 3)
    check_enough_rows(3, 2, np.array([1.0, 0.0, 1.0]))
    refused(
        ValueError,
        "Expected n_samples >= n_components but got n_components = 4, n_samples = 3",
        check_enough_rows,
        3,
        4,
    )
    refused(
        ValueError,
        "n_components = 3, number of rows with a weight above zero = 2",
        check_enough_rows,
        3,
        3,
        np.array([1.0, 0.0, 1.0]),
    )


# Features


def names_of(*names: str) -> Any:
    return np.array(names, dtype=object)


def test_same_names_pass() -> None:
    check_feature_names(None, None, caller="M")
    check_feature_names(names_of("a", "b"), names_of("a", "b"), caller="M")


def test_names_on_one_side_only_warn() -> None:
    with pytest.warns(UserWarning, match="X has feature names, but M was fitted without feature names"):
        check_feature_names(names_of("a"), None, caller="M")
    with pytest.warns(UserWarning, match="X does not have valid feature names, but M was fitted with feature names"):
        check_feature_names(None, names_of("a"), caller="M")


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (names_of("b", "a"), "Feature names must be in the same order as they were in fit."),
        (
            names_of("a", "c"),
            "Feature names unseen at fit time:\n- c\nFeature names seen at fit time, yet now missing:\n- b\n",
        ),
        (names_of("a"), "yet now missing:\n- b\n"),
        (names_of(*"abcdefghi"), "unseen at fit time:\n- c\n- d\n- e\n- f\n- g\n- ...\n"),
    ],
)
def test_other_names_are_listed(found: Any, text: str) -> None:
    refused(ValueError, text, check_feature_names, found, names_of("a", "b"), caller="M")


def test_number_of_features() -> None:
    check_n_features(np.zeros((1, 2)), 2, caller="M")
    refused(
        ValueError,
        "X has 1 features, but M is expecting 2 features as input.",
        check_n_features,
        np.zeros((1, 1)),
        2,
        caller="M",
    )
