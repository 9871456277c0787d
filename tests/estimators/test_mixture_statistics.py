"""The two halves of a step of EM as methods: `statistics` and `update_from` are the E-step and the M-step of a fit."""

from __future__ import annotations

import copy
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from emix import ConvergenceWarning, DegenerateCovarianceError, GaussianMixture, GaussianModel, NotFittedError
from emix.estimators.fit_state import parameters_of
from estimators.mixtures import X, blobs, each_type, quietly
from estimators.services import serve

each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])
ARRAYS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
REPORT = ("log_likelihood_", "converged_", "n_iter_", "history_", "runs_", "lower_bound_", "lower_bounds_", "fit_time_")
WEIGHT = np.random.default_rng(0).uniform(0.0, 2.0, len(X))


def fitted(covariance_type: str = "full", rows: Any = X, **settings: Any) -> GaussianMixture:
    """Three iterations: the next step still moves the parameters."""
    gm = GaussianMixture(3, covariance_type=covariance_type, init_params="random_from_data", max_iter=3, random_state=0)
    return quietly(gm.set_params(**settings), rows)


def assert_same_bits(a: GaussianMixture, b: GaussianMixture) -> None:
    for name in ARRAYS:
        assert getattr(a, name).dtype == getattr(b, name).dtype
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


# The E-step


@each_type
@each_dtype
@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_are_those_of_an_e_step(covariance_type: str, dtype: type, weighted: bool) -> None:
    rows, weight = X.astype(dtype), WEIGHT if weighted else None
    gm = fitted(covariance_type)
    found = gm.statistics(rows, weight)
    model = GaussianModel(3, 3, covariance_type)
    expected, log_likelihood = model.e_step(rows if weight is None else (rows, weight), parameters_of(vars(gm)))
    np.testing.assert_array_equal(found.packed, expected.packed)
    assert found.log_likelihood == log_likelihood
    assert found.total_weight == (len(X) if weight is None else weight.sum())
    rel = 1e-12 if dtype is np.float64 else 1e-5  # sums of log-densities in another order
    assert found.log_likelihood == pytest.approx(gm.score(rows, sample_weight=weight) * found.total_weight, rel=rel)


def test_statistics_do_not_depend_on_threads() -> None:
    rows = np.tile(X, (100, 1)) + np.random.default_rng(0).normal(size=(100 * len(X), 3))
    bits = {fitted(n_threads=n).statistics(rows).packed.tobytes() for n in (1, 2, 3)}
    assert len(bits) == 1


def test_arrays_that_were_replaced_count() -> None:
    gm = fitted()
    before = gm.statistics(X)
    gm.means_ = gm.means_ + 0.5
    assert gm.statistics(X).digest != before.digest


# The M-step


@each_type
@each_dtype
@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_and_update_are_a_step_of_the_fit(covariance_type: str, dtype: type, weighted: bool) -> None:
    rows, weight = X.astype(dtype), WEIGHT if weighted else None
    gm = fitted(covariance_type, rows)
    step = quietly(copy.copy(gm).set_params(warm_start=True, max_iter=1), rows, sample_weight=weight)
    assert gm.update_from(gm.statistics(rows, weight)) is gm
    assert_same_bits(gm, step)


def test_there_is_no_report_of_a_fit_afterwards(tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    gm = fitted(rows=frame)
    gm.update_from(gm.statistics(frame))
    assert not [name for name in REPORT if hasattr(gm, name)]
    assert gm.n_features_in_ == 3 and gm.feature_names_in_.tolist() == ["a", "b", "c"]
    gm.save(tmp_path / "model")
    assert_same_bits(GaussianMixture.load(tmp_path / "model"), gm)
    assert gm.set_params(max_iter=1000).fit(frame).converged_


@each_dtype
def test_a_mixture_that_is_not_fitted_takes_parameters(dtype: type) -> None:
    gm = fitted(rows=X.astype(dtype))
    statistics = gm.statistics(X.astype(dtype))
    other = GaussianMixture(3).update_from(statistics)
    assert_same_bits(other, gm.update_from(statistics))
    assert other.n_features_in_ == 3


def test_a_component_without_weight_stays_finite() -> None:
    gm = GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [1e6]], [1.0, 1.0], "spherical")
    rows = np.array([[-1.0], [1.0], [1e6]])
    statistics = gm.statistics(rows, [1.0, 1.0, 0.0]) + gm.statistics(rows[2:]).scaled(0.0)
    with pytest.warns(ConvergenceWarning, match="The step is degenerate: component 1 holds no rows"):
        gm.update_from(statistics)
    np.testing.assert_array_equal(gm.weights_, [1.0, 0.0])
    assert 0.0 <= gm.means_[1, 0] <= 1e6 and gm.covariances_[1] > 0.0
    assert np.isfinite(gm.score_samples(rows)).all()


# Two services


@each_type
@pytest.mark.parametrize("weighted", [False, True])
def test_two_services_get_the_fit_of_the_whole(covariance_type: str, weighted: bool) -> None:
    """Half of the rows in each service, which differ in where theirs lie."""
    n_steps, weight = 15, WEIGHT if weighted else None
    order = np.argsort(X[:, 0])
    halves = order[:150], order[150:]
    gm = fitted(covariance_type, X)
    whole = quietly(copy.copy(gm).set_params(warm_start=True, max_iter=n_steps, tol=0.0), X, sample_weight=weight)
    for _ in range(n_steps):
        parts = [gm.statistics(X[half], None if weight is None else weight[half]) for half in halves]
        gm.update_from(parts[0] + parts[1])
    # Sums in another order, 1e-15, and what fifteen steps make of it.
    for name in ("weights_", "means_", "covariances_"):
        scale = np.abs(getattr(whole, name)).max()
        np.testing.assert_allclose(getattr(gm, name), getattr(whole, name), rtol=0.0, atol=1e-11 * scale)
    total = gm.statistics(X, weight).log_likelihood
    assert total == pytest.approx(whole.log_likelihood_, rel=1e-13 * n_steps)


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_two_processes_exchange_statistics_alone(covariance_type: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    rows = blobs(3000, 4, seed=1) + 1e6
    gm = fitted(covariance_type, rows)
    whole = copy.copy(gm).set_params(warm_start=True, max_iter=1000).fit(rows)
    services: list[Any] = []
    try:
        for half in (rows[::2], rows[1::2]):
            here, there = spawn.Pipe()
            process = spawn.Process(target=serve, args=(there, half, None))
            process.start()
            there.close()
            services.append((process, here))
        before = -np.inf
        while True:
            for _, connection in services:
                connection.send(gm)
            total = sum(connection.recv() for _, connection in services)
            if abs(total.log_likelihood - before) <= gm.tol * total.total_weight:
                break
            before = total.log_likelihood
            gm.update_from(total)
    finally:
        for process, connection in services:
            connection.send(None)
            process.join(60)
    assert [process.exitcode for process, _ in services] == [0, 0]
    # The same stop after the same steps; sums in another order, carried on by some dozens of them.
    assert total.log_likelihood == pytest.approx(whole.log_likelihood_, rel=1e-13)
    for name in ("weights_", "means_", "covariances_"):
        scale = np.abs(getattr(whole, name)).max()
        np.testing.assert_allclose(getattr(gm, name), getattr(whole, name), rtol=0.0, atol=1e-10 * scale)


# Bad input


def refused(gm: GaussianMixture, call: Any, error: type[Exception], message: str) -> None:
    """A call fails, and leaves the mixture as it was."""
    before = dict(vars(gm))
    with pytest.raises(error, match=message):
        call()
    assert vars(gm) == before


@pytest.mark.parametrize(
    ("rows", "weight", "error", "message"),
    [
        (X[:, :2], None, ValueError, "X has 2 features, but GaussianMixture is expecting 3 features"),
        (X[:0], None, ValueError, r"Found array with 0 sample\(s\)"),
        (X * np.nan, None, ValueError, "contains NaN"),
        (X * 1e200, None, ValueError, "1e\\+150"),
        (X, -np.ones(len(X)), ValueError, "sample_weight"),
        (X, np.ones(3), ValueError, "one weight for each row"),
        (X, np.full(len(X), 1e305), ValueError, "Divide sample_weight by its largest value"),
    ],
)
def test_rows_that_have_no_statistics(rows: Any, weight: Any, error: type[Exception], message: str) -> None:
    gm = fitted()
    refused(gm, lambda: gm.statistics(rows, weight), error, message)


def test_names_of_columns_are_compared() -> None:
    gm = fitted(rows=pd.DataFrame(X, columns=["a", "b", "c"]))
    other = pd.DataFrame(X, columns=["a", "c", "b"])
    refused(gm, lambda: gm.statistics(other), ValueError, "Feature names must be in the same order")
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        gm.statistics(X)


def test_a_mixture_without_parameters_has_no_statistics() -> None:
    with pytest.raises(NotFittedError):
        GaussianMixture().statistics(X)


@pytest.mark.parametrize("is_fitted", [True, False])
def test_statistics_of_another_mixture_are_refused(is_fitted: bool) -> None:
    gm = fitted() if is_fitted else GaussianMixture(3)
    tied = fitted("tied").statistics(X)
    two = quietly(GaussianMixture(2, max_iter=1), X).statistics(X)
    flat = fitted(rows=X[:, :2]).statistics(X[:, :2])
    expected = r"expected \('full', 3, 3\), as the mixture has\."
    refused(gm, lambda: gm.update_from(tied), ValueError, r"= \('tied', 3, 3\), " + expected)
    refused(gm, lambda: gm.update_from(two), ValueError, r"= \('full', 2, 3\), " + expected)
    if is_fitted:
        refused(gm, lambda: gm.update_from(flat), ValueError, r"= \('full', 3, 2\), " + expected)
    anything: Any = X
    refused(gm, lambda: gm.update_from(anything), TypeError, "statistics are a ndarray, expected GaussianStatistics")


@pytest.mark.parametrize("is_fitted", [True, False])
def test_a_structure_of_one_column_is_refused_for_several(is_fitted: bool) -> None:
    statistics = fitted("tied").statistics(X)
    gm = (fitted("tied") if is_fitted else GaussianMixture(3)).set_params(covariance_type="E")
    refused(gm, lambda: gm.update_from(statistics), ValueError, "has 'E', a structure of data in one column")


def test_statistics_of_nothing_are_refused() -> None:
    gm = fitted()
    statistics = gm.statistics(X)
    refused(gm, lambda: gm.update_from(statistics - statistics), ValueError, "statistics hold no weight")
    refused(gm, lambda: gm.update_from(statistics.scaled(0.0)), ValueError, "statistics hold no weight")


def test_a_covariance_that_collapsed_is_refused() -> None:
    rows: NDArray[np.float64] = np.repeat([[0.0, 0.0], [500.0, 500.0]], 10, axis=0)
    gm = GaussianMixture.from_parameters([0.5, 0.5], rows[[0, -1]], np.ones((2, 2)), "diag").set_params(reg_covar=0.0)
    refused(gm, lambda: gm.update_from(gm.statistics(rows)), DegenerateCovarianceError, "is not positive definite")


@pytest.mark.parametrize("is_fitted", [True, False])
def test_a_step_that_collapses_is_warned_of(is_fitted: bool) -> None:
    gm = fitted("diag", X)
    statistics = gm.statistics(np.repeat(X[:1], 30, axis=0))
    gm = gm if is_fitted else GaussianMixture(3, covariance_type="diag")
    with pytest.warns(ConvergenceWarning, match=r"The step is degenerate: .*no variance is left in columns 0, 1, 2"):
        gm.update_from(statistics)


def test_a_column_that_was_constant_before_is_not_warned_of_again() -> None:
    rows = np.c_[X, np.ones(len(X))]
    gm = fitted("diag", rows)
    gm.update_from(gm.statistics(rows))  # warnings are errors
    assert gm.covariances_[0, 3] > 0.0
