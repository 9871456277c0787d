"""Fits whose high likelihood comes from a component on a few rows are recognized."""

from __future__ import annotations

import numpy as np
import pytest

from emix.estimators.degeneracy import degeneracy, effective_rows
from emix.models.covariance import STRUCTURES
from emix.models.parameters import GaussianParameters


def test_effective_rows() -> None:
    assert effective_rows(7, None) == 7.0
    # Equal weights, whatever their unit, and rows that do not count.
    assert effective_rows(4, np.full(4, 1e-200)) == pytest.approx(4.0, rel=1e-15)
    assert effective_rows(4, np.array([0.0, 3.0, 3.0, 0.0])) == pytest.approx(2.0, rel=1e-15)
    many = np.random.default_rng(0).uniform(size=150_000)  # more than are taken at one time
    assert effective_rows(150_000, many) == pytest.approx(many.sum() ** 2 / (many @ many), rel=1e-12)
    assert effective_rows(2, np.array([1.0, 3.0])) == pytest.approx(16.0 / 10.0, rel=1e-15)


@pytest.mark.parametrize(("structure", "least"), [("full", 6), ("diag", 2), ("spherical", 2)])
def test_component_with_few_rows(structure: str, least: int) -> None:
    covariances = {"full": np.stack([np.eye(3)] * 2), "diag": np.ones((2, 3)), "spherical": np.ones(2)}[structure]
    theta = GaussianParameters.from_covariances(structure, [0.9, 0.1], np.zeros((2, 3)), covariances)
    assert degeneracy(theta, 10.0 * least + 1.0) is None
    message = degeneracy(theta, 10.0 * least)
    assert message == f"component 1 holds {least} rows, too few for its covariance: {least} or less"


def test_component_that_is_narrow_in_one_direction() -> None:
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    narrow = rotation @ np.diag([1.0, 1.0, 1e-9]) @ rotation.T
    # Units of the columns do not matter.
    units = np.diag([1e-5, 1.0, 1e5])
    covariances = np.stack([units @ units, units @ narrow @ units])
    theta = GaussianParameters.from_covariances("full", [0.5, 0.5], np.zeros((2, 3)), covariances)
    message = degeneracy(theta, 1000.0)
    assert message is not None
    assert message.startswith("component 1 has shrunk to 2e-09 of the pooled variance")
    wide = GaussianParameters.from_covariances("full", [0.5, 0.5], np.zeros((2, 3)), covariances[[0, 0]])
    assert degeneracy(wide, 1000.0) is None


def test_tied_likelihood_is_bounded() -> None:
    theta = GaussianParameters.from_covariances("tied", [0.999, 0.001], [[0.0], [1e6]], [[1e-6]])
    assert degeneracy(theta, 10.0) is None


@pytest.mark.parametrize("largest", [1e200, 1.5e308])
def test_covariances_beyond_all_bounds_are_told_from_sound_ones(largest: float) -> None:
    covariances = np.array([[1.0, 1e-200], [largest, largest]])
    theta = GaussianParameters.from_covariances("diag", [0.5, 0.5], np.zeros((2, 2)), covariances)
    assert degeneracy(theta, 1000.0) is not None


def test_pooled_covariance_that_is_not_finite() -> None:
    covariances = np.full((2, 2), 1e308)
    theta = GaussianParameters.of(STRUCTURES["diag"], np.array([0.9, 0.9]), np.zeros((2, 2)), covariances)
    assert degeneracy(theta, 1000.0) == "the pooled covariance is not finite"
