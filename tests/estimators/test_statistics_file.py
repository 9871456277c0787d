"""Statistics that were saved come back to the bit; what is no statistics is refused. Damage: test_model_file.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emix import GaussianMixture, GaussianStatistics, ModelFileError
from emix.files.model_file import load_model, save_model
from emix.gaussian.parameters import GaussianParameters
from estimators.mixtures import X, each_type
from gaussian.examples import UnitVolume


def statistics_of(covariance_type: str = "full", dtype: Any = np.float64, unit: float = 1.0) -> GaussianStatistics:
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    return gm.statistics(X.astype(dtype), sample_weight=np.full(len(X), unit))


def assert_same(a: GaussianStatistics, b: GaussianStatistics) -> None:
    for name in (
        "structure",
        "n_components",
        "n_features",
        "total_weight",
        "n_rows",
        "log_likelihood",
        "unit",
        "blend",
    ):
        assert getattr(a, name) == getattr(b, name), name
    np.testing.assert_array_equal(a.packed, b.packed)
    assert a.digest == b.digest
    assert (a.columns is None) == (b.columns is None)
    if a.columns is not None and b.columns is not None:
        assert a.columns.epsilon == b.columns.epsilon
        np.testing.assert_array_equal(a.columns.column_range, b.columns.column_range)


@each_type
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_statistics_come_back_to_the_bit(tmp_path: Path, covariance_type: str, dtype: type) -> None:
    statistics = statistics_of(covariance_type, dtype)
    statistics.save(tmp_path / "statistics")
    loaded = GaussianStatistics.load(tmp_path / "statistics")
    assert_same(loaded, statistics)
    assert (loaded + statistics).n_rows == 2 * len(X)
    assert statistics.taken_under is not None and loaded.taken_under is not None
    np.testing.assert_array_equal(loaded.taken_under.packed, statistics.taken_under.packed)


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**900])
def test_weights_of_any_size(tmp_path: Path, unit: float) -> None:
    statistics = statistics_of(unit=unit)
    assert statistics.unit != 1.0
    statistics.save(tmp_path / "statistics")
    assert_same(GaussianStatistics.load(tmp_path / "statistics"), statistics)


def test_what_is_not_known_stays_so(tmp_path: Path) -> None:
    statistics = replace(statistics_of(), columns=None, taken_under=None)
    statistics.save(tmp_path / "statistics")
    assert_same(GaussianStatistics.load(tmp_path / "statistics"), statistics)


def test_blends_come_back(tmp_path: Path) -> None:
    first, second = statistics_of(), GaussianMixture(3, random_state=1, max_iter=50).fit(X[::2]).statistics(X)
    blend = first.blended(second, 0.5)
    blend.save(tmp_path / "statistics")
    assert_same(GaussianStatistics.load(tmp_path / "statistics"), blend)


def test_structures_of_one_s_own_are_refused(tmp_path: Path) -> None:
    plain = statistics_of("diag")
    with pytest.raises(ValueError, match="the covariance structure 'unit volume', which is not emix's own"):
        replace(plain, structure=UnitVolume(), taken_under=None).save(tmp_path / "statistics")
    assert not (tmp_path / "statistics").exists()


def test_a_mixture_is_no_statistics_nor_the_other_way(tmp_path: Path) -> None:
    gm = GaussianMixture(3, random_state=0).fit(X)
    gm.save(tmp_path / "mixture")
    gm.statistics(X).save(tmp_path / "statistics")
    with pytest.raises(ModelFileError, match="of kind 'GaussianMixture', expected 'GaussianStatistics'"):
        GaussianStatistics.load(tmp_path / "mixture")
    with pytest.raises(ModelFileError, match="of kind 'GaussianStatistics', expected 'GaussianMixture'"):
        GaussianMixture.load(tmp_path / "statistics")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("structure", "fuller", "KeyError: 'fuller'"),
        ("n_components", 4, "sums have shape"),
        ("n_components", True, "n_components is True, expected an integer from 1 on"),
        ("n_features", 10**12, "sums have shape"),
        ("n_rows", -1, "n_rows is -1"),
        ("blend", 7, "blend is 7, expected a text"),
    ],
)
def test_headers_that_emix_did_not_write(tmp_path: Path, name: str, value: Any, message: str) -> None:
    statistics_of().save(tmp_path / "statistics")
    header, arrays = load_model(tmp_path / "statistics")
    save_model(tmp_path / "statistics", {**header, name: value}, arrays)
    with pytest.raises(ModelFileError, match=f"cannot read .*{message}"):
        GaussianStatistics.load(tmp_path / "statistics")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("sums", lambda a: a * np.nan, "finite float64"),
        ("sums", lambda a: -a, "the weight of a component is -"),
        ("sums", lambda a: a[:-1], "sums have shape"),
        ("sums", lambda a: a.astype(np.float32), "dtype float32"),
        ("totals", lambda a: a * [-1, 1, 1], "total weight, log-likelihood and unit are -"),
        ("totals", lambda a: a * [1, 1, 3], "total weight, log-likelihood and unit are .* 3.0"),
        ("column_range", lambda a: a[::-1], "column_range has shape"),
        ("column_range", lambda a: a[:, :2], "column_range has shape"),
        ("under_means", lambda a: a[:2], "under|shape"),
        ("under_weights", lambda a: a.astype(np.float32), "dtype float32, expected float64"),
    ],
)
def test_arrays_that_emix_did_not_write(tmp_path: Path, name: str, change: Any, message: str) -> None:
    statistics_of().save(tmp_path / "statistics")
    header, arrays = load_model(tmp_path / "statistics")
    save_model(tmp_path / "statistics", header, {**arrays, name: change(arrays[name])})
    with pytest.raises(ModelFileError, match=message):
        GaussianStatistics.load(tmp_path / "statistics")


def test_parameters_of_another_mixture_are_refused(tmp_path: Path) -> None:
    theta = GaussianParameters.from_covariances("full", [0.5, 0.5], np.eye(2, 3), np.stack([np.eye(3)] * 2))
    replace(statistics_of(), taken_under=theta).save(tmp_path / "statistics")
    with pytest.raises(ModelFileError, match=r"parameters are for means of shape \(2, 3\), expected \(3, 3\)"):
        GaussianStatistics.load(tmp_path / "statistics")
