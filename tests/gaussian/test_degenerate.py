"""Components whose covariances are singular: the M-step names them and the reason, or reg_covar holds them."""

from __future__ import annotations

import numpy as np
import pytest

from emix.exceptions import DegenerateCovarianceError
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.structures import STRUCTURES
from gaussian.examples import after, clusters, each_structure, start


def test_collapsed_component_is_named() -> None:
    X = np.concatenate([clusters(90, 2, 1), np.full((10, 2), 50.0)])
    theta = GaussianParameters.from_covariances("full", [0.5, 0.5], [[0, 0], [50, 50]], np.stack([np.eye(2)] * 2))
    model = GaussianModel(2, 2, "full")
    with pytest.raises(DegenerateCovarianceError) as error:
        model.m_step(model.e_step(X, theta)[0])
    assert str(error.value) == (
        "Ill-defined empirical covariance: the covariance of component 1, of weight 0.1 (the equivalent of 10 rows of "
        "weight 1), is not positive definite with reg_covar=0. Rows that coincide, a column with one value in it or "
        "columns that depend on each other make it so: leave such columns out, decrease n_components, increase "
        "reg_covar, or choose a covariance_type with fewer parameters."
    )
    assert (error.value.component, error.value.n_effective) == (1, pytest.approx(10.0))
    assert GaussianModel(2, 2, "full", 1e-6).m_step(model.e_step(X, theta)[0]).covariances[1, 0, 0] == 1e-6


@pytest.mark.parametrize(("structure", "least"), [("full", 2), ("diag", 1)])
def test_an_outlier_with_a_component_of_its_own_is_called_so(structure: str, least: int) -> None:
    X = np.concatenate([clusters(99, 2, 1), [[1e6, 1e6]]])
    spread = {"full": np.stack([np.eye(2)] * 2), "diag": np.ones((2, 2))}[structure]
    theta = GaussianParameters.from_covariances(structure, [0.5, 0.5], [[0, 0], [1e6, 1e6]], spread)
    model = GaussianModel(2, 2, structure)
    expected = (
        rf"\(the equivalent of 1 row of weight 1\), .* It holds 1 row, and needs more than {least}: an outlier, or"
    )
    with pytest.raises(DegenerateCovarianceError, match=expected):
        model.m_step(model.e_step(X, theta)[0])


@each_structure
def test_rows_that_all_coincide(structure: str) -> None:
    X = np.full((20, 2), 3.0)
    theta = start(structure, clusters(20, 2, 2), 2)
    model = GaussianModel(2, 2, structure)
    statistics, _ = model.e_step(X, theta)
    which = "common covariance" if STRUCTURES[structure].is_common else "component 0"
    with pytest.raises(DegenerateCovarianceError, match=which):
        model.m_step(statistics)


@pytest.mark.parametrize("structure", ["full", "tied"])
def test_columns_that_depend_on_each_other(structure: str) -> None:
    X = clusters(200, 5, 1)
    theta = start(structure, X, 1)
    X[:, -1] = 3.0 * X[:, 0] + X[:, 1]
    model = GaussianModel(1, 5, structure)
    with pytest.raises(DegenerateCovarianceError, match="columns that depend on each other"):
        model.m_step(model.e_step(X, theta)[0])


@each_structure
def test_component_that_loses_all_rows(structure: str) -> None:
    X = clusters(100, 2, 1)
    K, d = 2, 2
    base = start(structure, X, K)
    theta = GaussianParameters.from_covariances(
        structure, base.weights, np.array([[0.0, 0.0], [1e4, 1e4]]), base.covariances
    )
    model = GaussianModel(K, d, structure, reg_covar=1e-3)
    statistics, _ = model.e_step(X, theta)
    assert statistics.weight[1] == 0.0
    lost = model.m_step(statistics)
    assert lost.weights.tolist() == [1.0, 0.0]
    np.testing.assert_array_equal(lost.means[1], statistics.center[1])
    # It holds nothing from now on, and takes nothing from the other.
    found, history = after(5, structure, X, lost, reg_covar=1e-3)
    alone = GaussianParameters.from_covariances(
        structure, [1.0], lost.means[:1], lost.covariances if structure == "tied" else lost.covariances[:1]
    )
    _, expected = after(5, structure, X, alone, reg_covar=1e-3)
    assert found.weights.tolist() == [1.0, 0.0]
    np.testing.assert_allclose(history, expected, rtol=1e-12)
    if not STRUCTURES[structure].shares_eigenvalues:
        with pytest.raises(DegenerateCovarianceError, match="component 1, of weight 0 "):
            GaussianModel(K, d, structure).m_step(statistics)
