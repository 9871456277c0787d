"""bootstrap_lrt: its parts by hand, its level under the null, its power, threads."""

from __future__ import annotations

import numpy as np
import pytest

import emix
from emix import GaussianMixture, bootstrap_lrt, load_faithful

FAITHFUL = load_faithful().data


def test_statistic_and_p_value_by_hand() -> None:
    test = bootstrap_lrt(FAITHFUL, 2, "full", n_bootstrap=19, random_state=0)
    two, three = (GaussianMixture(K, covariance_type="full", n_init=10, random_state=0).fit(FAITHFUL) for K in (2, 3))
    # Both fits end within tol of a mode, 1e-6 nats for each of 272 rows.
    assert test.statistic == pytest.approx(2.0 * (three.log_likelihood_ - two.log_likelihood_), abs=1e-2)
    assert test.bootstrap_statistics.shape == (19,)
    assert (test.bootstrap_statistics >= 0.0).all()
    p = (1 + np.count_nonzero(test.bootstrap_statistics >= test.statistic)) / 20
    assert test.p_value == p
    assert test.p_error == pytest.approx(np.sqrt(p * (1 - p) / 19), rel=1e-12)
    assert (test.n_components, test.covariance_type) == (2, "full")
    assert str(test).startswith("2 against 3 components, covariance_type='full': 2 Δ log-likelihood = ")


@pytest.mark.parametrize("n_rows", [100, 12_000], ids=["one after another", "side by side"])
def test_the_same_bits_from_any_number_of_threads(n_rows: int) -> None:
    X = np.random.default_rng(0).normal(size=(n_rows, 8))
    with pytest.warns(emix.ConvergenceWarning, match="stopped at max_iter=20"):  # 20 steps are enough to differ
        found = [
            bootstrap_lrt(X, 1, "tied", n_bootstrap=6, random_state=4, n_threads=n, max_iter=20) for n in (1, 2, 3)
        ]
    assert np.array_equal(found[0].bootstrap_statistics, found[1].bootstrap_statistics)
    assert np.array_equal(found[0].bootstrap_statistics, found[2].bootstrap_statistics)
    assert found[0].statistic == found[1].statistic == found[2].statistic


def test_under_the_null_p_values_are_spread_evenly() -> None:
    # 60 data sets of one Gaussian. A p-value of B = 19 takes 20 values, each as probable. The mean of 60 is 0.525, with
    # a deviation of 0.288/√60 = 0.037; the share at 0.1 or below is 0.1, with a deviation of 0.039. Both are allowed
    # four deviations, which a fair test leaves once in 16 000 times; and the seeds are fixed.
    p = [
        bootstrap_lrt(np.random.default_rng(i).normal(size=(60, 1)), 1, "tied", n_bootstrap=19, random_state=i).p_value
        for i in range(60)
    ]
    assert abs(np.mean(p) - 0.525) < 0.15
    assert np.mean(np.array(p) <= 0.1) < 0.26
    assert len(set(p)) > 12


def test_a_structure_that_does_not_exist() -> None:
    with pytest.raises(
        ValueError, match=r"'covariance_type' parameter of bootstrap_lrt has 'foo', expected a name among "
    ):
        bootstrap_lrt(FAITHFUL, 1, "foo")


def test_under_an_alternative_it_is_small() -> None:
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 1)), rng.normal(5.0, 1.0, size=(60, 1))])
    assert bootstrap_lrt(X, 1, "tied", n_bootstrap=49, random_state=0).p_value == 1 / 50
    assert bootstrap_lrt(X, 2, "tied", n_bootstrap=49, random_state=0).p_value > 0.1


def test_single_precision_stays_single() -> None:
    X = FAITHFUL.astype(np.float32)
    single, double = (bootstrap_lrt(x, 1, "full", n_bootstrap=5, random_state=0) for x in (X, X.astype(float)))
    # In single precision each log-density is rounded to 1e-7 of itself, and the fit ends elsewhere within tol.
    assert single.statistic == pytest.approx(double.statistic, abs=2e-2)


def test_data_on_which_a_component_collapses_are_refused() -> None:
    X = np.vstack([np.random.default_rng(0).normal(size=(30, 2)), np.full((20, 2), 5.0)])
    with pytest.raises(ValueError, match=r"With 2 components the fit to the data is degenerate: .* test fewer"):
        bootstrap_lrt(X, 1, "full", n_bootstrap=5, random_state=0)


def test_too_few_distinct_rows() -> None:
    X = np.repeat([[0.0], [1.0]], 10, axis=0)
    with (
        pytest.warns(UserWarning, match="n_components 3 left out"),
        pytest.raises(ValueError, match="tested against 3"),
    ):
        bootstrap_lrt(X, 2, "tied")


def test_samples_that_collapse_are_counted_out() -> None:
    # Five rows a component are the least that a full covariance in two columns is taken from: samples often have fewer.
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(7, 2)), rng.normal(size=(6, 2)) + 20.0])
    with pytest.warns(UserWarning, match=r"A component collapsed in \d+ of 40 bootstrap samples, which do not count"):
        test = emix.bootstrap_lrt(X, 1, "full", n_bootstrap=40, random_state=0, n_init=3)
    counted = np.isfinite(test.bootstrap_statistics)
    assert 0 < counted.sum() < 40
    assert test.p_value == (1 + np.sum(test.bootstrap_statistics[counted] >= test.statistic)) / (1 + counted.sum())


def test_fits_that_run_out_of_iterations_are_doubtful() -> None:
    with pytest.warns(emix.ConvergenceWarning) as caught:
        bootstrap_lrt(FAITHFUL, 2, "full", n_bootstrap=5, max_iter=1, random_state=0)
    data, samples = (str(warning.message) for warning in caught)
    assert data == (
        "With 2 and with 3 components the fit to the data stopped at max_iter=1 before it converged: the statistic is "
        "doubtful. Raise max_iter."
    )
    assert samples == (
        "In 5 of 5 bootstrap samples a fit stopped at max_iter=1 before it converged: the p-value is doubtful. Raise "
        "max_iter."
    )


def test_one_fit_that_runs_out_of_iterations_is_named() -> None:
    # One Gaussian is fitted by a single step.
    with pytest.warns(emix.ConvergenceWarning) as caught:
        bootstrap_lrt(FAITHFUL, 1, "full", n_bootstrap=5, max_iter=2, random_state=0)
    assert str(caught[0].message).startswith("With 2 components the fit to the data stopped at max_iter=2 before")
