"""The benchmarks' data are the same on every run and as they are said to be."""

from __future__ import annotations

import numpy as np
import pytest

from baseline_numpy import e_step
from data import (
    MAIN_PROBLEMS,
    MORE_PROBLEMS,
    QUICK_PROBLEMS,
    REVISION_PROBLEMS,
    SKIPPING_PROBLEMS,
    Problem,
    make_components,
    make_data,
    make_start,
)


def test_same_rows_every_time() -> None:
    problem = Problem(1_000, 4, 3)
    np.testing.assert_array_equal(make_data(problem), make_data(problem))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_shape_and_dtype(dtype: str) -> None:
    X = make_data(Problem(100, 4, 3, dtype=dtype))
    assert X.shape == (100, 4)
    assert X.dtype == dtype
    assert X.flags.c_contiguous


def test_rows_come_from_the_components() -> None:
    problem = Problem(20_000, 3, 2)
    X = make_data(problem)
    weights, means, covariances = make_components(2, 3)
    # The mean of 20 000 rows has a standard error below 0.03 here; five of them.
    np.testing.assert_allclose(X.mean(axis=0), weights @ means, rtol=0, atol=0.15)
    assert np.linalg.eigvalsh(covariances).min() >= 0.5


def test_components_overlap_moderately() -> None:
    X = make_data(Problem(2_000, 10, 10))
    responsibilities, _ = e_step(X, *make_components(10, 10))
    # Most rows have an owner, and many are shared.
    assert 0.8 < responsibilities.max(axis=1).mean() < 0.995


def test_start_is_at_rows_with_unit_covariances() -> None:
    problem = Problem(500, 3, 4)
    X = make_data(problem)
    start = make_start(problem, X)
    assert all((mean == X).all(axis=1).any() for mean in start.means)
    np.testing.assert_array_equal(start.covariances, np.stack([np.eye(3)] * 4))
    np.testing.assert_array_equal(start.weights, np.full(4, 0.25))


def test_names_are_distinct() -> None:
    for problems in (MAIN_PROBLEMS + MORE_PROBLEMS + SKIPPING_PROBLEMS, QUICK_PROBLEMS, REVISION_PROBLEMS):
        assert len({problem.name for problem in problems}) == len(problems)
    assert Problem(1_000_000, 2, 3, dtype="float32").name == "1 000 000 × 2, K 3, full, float32"
