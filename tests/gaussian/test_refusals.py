"""Data and parameters that a model cannot take: the error names the row, the shape or the structure."""

from __future__ import annotations

import numpy as np
import pytest

from emix.gaussian.model import GaussianModel
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
