"""The Old Faithful data: the values of R's `faithful`."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris

import emix
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


def test_a_data_set_shows_itself_in_a_line() -> None:
    text = "<Dataset: 272 rows, 2 columns (eruptions, waiting); see .data, .feature_names, .description>"
    assert repr(load_faithful()) == text
    assert load_faithful() != load_faithful()  # another array each; equal arrays are not asked for


@pytest.mark.parametrize("method", ["fit", "fit_predict"])
def test_a_data_set_in_the_place_of_its_rows_is_refused_in_a_line(method: str) -> None:
    faithful = load_faithful()
    with pytest.raises(TypeError, match=r"^X is a Dataset, expected an array or a data frame: pass X\.data\.$"):
        getattr(emix.GaussianMixture(2), method)(faithful)
    with pytest.raises(TypeError, match=r"^X is a Bunch, expected an array or a data frame: pass X\.data\.$"):
        getattr(emix.GaussianMixture(2), method)(load_iris())
    with pytest.raises(TypeError, match=r"^X is a dict, expected an array or a data frame: pass X\['data'\]\.$"):
        getattr(emix.GaussianMixture(2), method)({"data": faithful.data})
