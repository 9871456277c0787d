"""The Old Faithful data: the values of R's `faithful`."""

from __future__ import annotations

import numpy as np

from emix.datasets import load_faithful


def test_values_are_those_of_r() -> None:
    data = load_faithful().data
    assert data.shape == (272, 2)
    assert data.dtype == np.float64
    # summary(faithful) and head(faithful) in R
    np.testing.assert_array_equal(data[:3], [[3.6, 79.0], [1.8, 54.0], [3.333, 74.0]])
    np.testing.assert_array_equal(data.min(axis=0), [1.6, 43.0])
    np.testing.assert_array_equal(data.max(axis=0), [5.1, 96.0])
    np.testing.assert_array_equal(np.median(data, axis=0), [4.0, 76.0])
    # R prints four decimals of the mean
    np.testing.assert_allclose(data.mean(axis=0), [3.4878, 70.8971], rtol=0, atol=5e-5)


def test_names_and_source_are_given() -> None:
    faithful = load_faithful()
    assert faithful.feature_names == ("eruptions", "waiting")
    assert all(name in faithful.description for name in ("eruptions", "waiting", "minutes", "Azzalini", "Härdle"))


def test_each_call_gives_an_array_of_its_own() -> None:
    load_faithful().data[:] = 0.0
    assert load_faithful().data.min() > 0.0
