"""Scoring as an ONNX graph, run by onnxruntime: the numbers are those of emix."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest

import emix
from emix.exceptions import NotFittedError
from estimators.mixtures import blobs, each_type, quietly, start

Array = np.ndarray[Any, Any]


class Run(NamedTuple):
    log_density: Array
    responsibilities: Array
    labels: Array


def run(model: onnx.ModelProto | Path, rows: Array) -> Run:
    """Run a graph that ONNX's own checker accepts."""
    if isinstance(model, Path):
        model = onnx.load(model)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == list(Run._fields)
    assert [put.name for put in session.get_inputs()] == ["X"]
    return Run(*session.run(None, {"X": rows}))


def agrees(found: Run, gm: emix.GaussianMixture, rows: Array, tolerance: float) -> None:
    """Hold a run against emix in double precision, on the same rows."""
    expected = gm.score_rows(rows.astype(np.float64), responsibilities=True, labels=True)
    error = np.abs(found.log_density - expected.log_density) / (1.0 + np.abs(expected.log_density))
    assert error.max() <= tolerance
    # A responsibility changes by at most as much as the log-densities of the components, here near |log p| <= 100.
    np.testing.assert_allclose(found.responsibilities, expected.responsibilities, rtol=0.0, atol=100.0 * tolerance)
    # Of components that are equal but for rounding either may be the largest.
    chosen = np.take_along_axis(expected.responsibilities, found.labels[:, np.newaxis], axis=1)[:, 0]
    np.testing.assert_allclose(chosen, expected.responsibilities.max(axis=1), rtol=0.0, atol=200.0 * tolerance)
    assert (found.log_density.dtype, found.responsibilities.dtype, found.labels.dtype) == (*2 * [rows.dtype], np.int64)


def fitted(covariance_type: str, X: Array) -> emix.GaussianMixture:
    return quietly(emix.GaussianMixture(**start(X, covariance_type), max_iter=20), X)


@each_type
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_log_densities_are_those_of_emix(covariance_type: str, offset: float) -> None:
    X = blobs() + offset
    gm = fitted(covariance_type, X)
    agrees(run(gm.to_onnx(), X), gm, X, 1e-10)


@each_type
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_single_precision(covariance_type: str, offset: float) -> None:
    # The means are no numbers of single precision: without what rounding them leaves, 1000 would cost 6e-5 of a unit.
    X = (blobs() + offset).astype(np.float32)
    gm = fitted(covariance_type, X)
    model = gm.to_onnx()
    agrees(run(model, X), gm, X, 1e-5)
    assert model == gm.to_onnx(dtype=np.float32)
    # The rows' values are those of double precision too.
    agrees(run(gm.to_onnx(dtype="float64"), X.astype(np.float64)), gm, X.astype(np.float64), 1e-10)


@pytest.mark.parametrize(("n_components", "n_features"), [(1, 1), (1, 3), (3, 1), (5, 2)])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("n_rows", [1, 60])
def test_sizes(n_components: int, n_features: int, covariance_type: str, n_rows: int) -> None:
    X = blobs(60, n_features)
    gm = quietly(emix.GaussianMixture(n_components, covariance_type=covariance_type, random_state=0), X)
    agrees(run(gm.to_onnx(), X[:n_rows]), gm, X[:n_rows], 1e-10)


@each_type
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_far_out(covariance_type: str, dtype: str) -> None:
    gm = fitted(covariance_type, blobs())
    highest = float(np.finfo(dtype).max)
    # Squares of the last three overflow. Log-densities of the others are near -½‖y‖², up to a quarter of the highest.
    lengths = [1e3, 1e6, 1e-4 * highest**0.5, 1e3 * highest**0.5, 1e-9 * highest, 1e-3 * highest]
    rows = np.multiply.outer(lengths, [1.0, -0.5, 0.25]).astype(dtype)
    found = run(gm.to_onnx(dtype=dtype), rows)
    with pytest.warns(RuntimeWarning, match="The density is zero in float"):
        expected = gm.score_rows(rows, responsibilities=True, labels=True)
    assert expected.log_density is not None
    np.testing.assert_array_equal(found.log_density[3:], -np.inf)
    np.testing.assert_array_equal(expected.log_density[3:], -np.inf)
    np.testing.assert_allclose(
        found.log_density[:3], expected.log_density[:3], rtol=1e-10 if dtype == "float64" else 1e-5
    )
    np.testing.assert_array_equal(found.responsibilities.sum(axis=1), 1.0)
    assert np.isin(found.responsibilities[3:], [0.0, 1.0]).all()
    np.testing.assert_array_equal(found.responsibilities.argmax(axis=1), found.labels)
    # Where components share W, all are equally far from such rows, but for rounding.
    if not covariance_type.startswith("E") and covariance_type != "tied":
        np.testing.assert_array_equal(found.labels, expected.labels)


def test_of_equally_far_components_the_one_of_largest_weight_gets_a_row() -> None:
    gm = emix.GaussianMixture.from_parameters([0.25, 0.5, 0.25, 0.0], [[0.0], [0.0], [0.0], [1e199]], np.ones(4), "VII")
    found = run(gm.to_onnx(), np.array([[1e200], [0.0]]))
    assert found.labels.tolist() == [1, 1]
    assert found.responsibilities[0].tolist() == [0.0, 1.0, 0.0, 0.0]
    # Rounded twice; and onnxruntime 1.20 has 1e-308 for exp(-inf).
    np.testing.assert_allclose(found.responsibilities[1], [0.25, 0.5, 0.25, 0.0], rtol=1e-15, atol=1e-300)


def test_a_row_without_a_number_gets_nan_and_no_label() -> None:
    gm = fitted("full", blobs())
    rows = blobs(6)
    for i, value in enumerate([np.nan, np.inf, -np.inf]):
        rows[2 * i, i] = value
    found = run(gm.to_onnx(), rows)
    assert np.isnan(found.log_density[::2]).all() and np.isnan(found.responsibilities[::2]).all()
    assert found.labels[::2].tolist() == [-1, -1, -1]
    agrees(Run(*(values[1::2] for values in found)), gm, rows[1::2], 1e-10)


def test_metadata() -> None:
    frame = pl.DataFrame({"length, mm": [1.0, 2.0, 4.0, 7.0, 5.0], "größe": [3.0, 1.0, 1.5, 0.0, 2.5]})
    model = emix.GaussianMixture(1, covariance_type="VVV").fit(frame).to_onnx()
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties == {
        "emix_version": emix.__version__,
        "covariance_type": "full",
        "n_components": "1",
        "feature_names": json.dumps(["length, mm", "größe"]),
    }
    assert (model.producer_name, model.producer_version) == ("emix", emix.__version__)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 13)]
    nameless = emix.GaussianMixture(1).fit([[1.0], [2.0], [4.0]]).to_onnx()
    assert {entry.key: entry.value for entry in nameless.metadata_props}["feature_names"] == "null"


def test_parameters_of_the_user_s_own_are_exported() -> None:
    gm = fitted("diag", blobs())
    gm.means_ = [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    agrees(run(gm.to_onnx(), blobs()), gm, blobs(), 1e-10)


def test_a_file_is_what_is_returned(tmp_path: Path) -> None:
    gm = fitted("full", blobs())
    path = tmp_path / "mixture.onnx"
    path.write_bytes(b"old")
    model = gm.to_onnx(path)
    assert path.read_bytes() == model.SerializeToString()
    assert [entry.name for entry in tmp_path.iterdir()] == ["mixture.onnx"]
    agrees(run(path, blobs()), gm, blobs(), 1e-10)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        gm.to_onnx(tmp_path / "nowhere" / "mixture.onnx")


@pytest.mark.parametrize("dtype", ["float16", "int64", "doubble", ">f8", 64])
def test_other_dtypes_are_refused(dtype: Any, tmp_path: Path) -> None:
    gm = fitted("full", blobs())
    path = tmp_path / "mixture.onnx"
    with pytest.raises(ValueError, match=f"dtype is '?{dtype}'?, expected 'float64' or 'float32'"):
        gm.to_onnx(path, dtype=dtype)
    assert not path.exists()


@pytest.mark.parametrize("unit", [1e-60, 1e60])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_parameters_beyond_single_precision_are_refused(covariance_type: str, unit: float) -> None:
    gm = fitted(covariance_type, blobs() * unit)
    message = "dtype is 'float32', which cannot hold the means and the inverse standard deviations of this mixture"
    with pytest.raises(ValueError, match=message):
        gm.to_onnx(dtype="float32")
    agrees(run(gm.to_onnx(), blobs() * unit), gm, blobs() * unit, 1e-10)


def test_a_mixture_without_parameters_is_refused() -> None:
    with pytest.raises(NotFittedError):
        emix.GaussianMixture().to_onnx()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    gm = fitted("full", blobs())
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'to_onnx needs onnx, which is not installed: pip install "emix\[onnx\]"'):
        gm.to_onnx()
