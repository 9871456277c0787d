"""Data and parameters that a model cannot take: the error names the row, the shape or the structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emix.em.loop import fit_em
from emix.gaussian.model import GaussianModel, q_function
from emix.gaussian.parameters import GaussianParameters
from gaussian.examples import clusters, start


def test_columns_that_the_model_does_not_have() -> None:
    with pytest.raises(ValueError, match="data have 2 columns, expected 3, as the model has"):
        GaussianModel(1, 3).begin(np.zeros((5, 2)))


@pytest.mark.parametrize(("dtype", "far", "variance"), [("float64", 1e149, 1e-20), ("float32", 1e14, 1e-12)])
def test_row_without_a_density_is_named(dtype: str, far: float, variance: float) -> None:
    X = (clusters(1000, 2, 2) * np.sqrt(variance)).astype(dtype)
    theta = start("full", X, 2)
    X[700, 1] = far
    model = GaussianModel(2, 2)
    with pytest.raises(ValueError, match=f"not finite: row 700 lies so far from .* zero in {dtype}"):
        model.e_step(X, theta)
    weight = np.ones(1000)
    weight[700] = 0.0
    statistics, log_likelihood = model.e_step((X, weight), theta)
    assert np.isfinite(log_likelihood) and np.isfinite(statistics.scatter).all()
    assert statistics.weight.sum() == pytest.approx(999.0, rel=1e-6)


@pytest.mark.parametrize(("K", "d"), [(1, 2), (2, 1), (3, 2), (2, 4)])
def test_parameters_of_another_shape_are_refused(K: int, d: int) -> None:
    theta = GaussianParameters.from_covariances("diag", np.full(K, 1.0 / K), np.zeros((K, d)), np.ones((K, d)))
    run = GaussianModel(2, 2, "diag").begin(np.zeros((5, 2)))
    text = rf"parameters are 'diag' with means of shape \({K}, {d}\), expected 'diag' and \(2, 2\), as the model has"
    with pytest.raises(ValueError, match=text):
        run.e_step(theta)


def test_parameters_of_another_structure_are_refused() -> None:
    theta = GaussianParameters.from_covariances("diag", [0.5, 0.5], np.zeros((2, 2)), np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"parameters are 'diag' .* expected 'full'"):
        GaussianModel(2, 2, "full").e_step(np.zeros((5, 2)), theta)


def test_sum_that_overflows_names_no_row() -> None:
    # −½·1e300·9e4 from each row; 2048 of the rows share a sum.
    X = np.full((70_000, 1), 1e150)
    theta = GaussianParameters.from_covariances("diag", [1.0], [[0.0]], [[1.0]])
    with pytest.raises(ValueError, match="The log-likelihood is not finite, though that of every row is"):
        GaussianModel(1, 1, "diag").e_step((X, np.full(len(X), 9e4)), theta)


@pytest.mark.parametrize("start", [None, np.zeros((2, 2)), 3.0])
def test_starts_that_are_no_parameters(start: object) -> None:
    text = f"parameters are a {type(start).__name__}, expected GaussianParameters: make them with"
    with pytest.raises(TypeError, match=text):
        fit_em(GaussianModel(2, 2), clusters(100, 2, 2), start)


def test_a_path_of_another_file_is_no_data(tmp_path: Path) -> None:
    theta = start("full", clusters(100, 2, 2), 2)
    (tmp_path / "rows.csv").write_text("1,2\n")
    with pytest.raises(TypeError, match=r"data is the path '.*rows.csv', expected one that ends in .npy or .parquet"):
        fit_em(GaussianModel(2, 2), str(tmp_path / "rows.csv"), theta)
    with pytest.raises(FileNotFoundError, match=r"rows\.parquet"):
        fit_em(GaussianModel(2, 2), "rows.parquet", theta)


def test_arguments_of_q_in_the_other_order() -> None:
    X = clusters(100, 2, 2)
    theta = start("full", X, 2)
    statistics, _ = GaussianModel(2, 2).e_step(X, theta)
    with pytest.raises(TypeError, match="parameters are a GaussianStatistics and statistics a GaussianParameters"):
        q_function(statistics, theta)  # type: ignore[arg-type]  # the mistake is the test
