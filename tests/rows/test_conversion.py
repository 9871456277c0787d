"""Numbers of any kind and dimension; what makes of them rows is tested in test_validation.py."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from emix.rows.conversion import as_numbers, is_frame, is_ready


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
