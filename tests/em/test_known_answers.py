"""fit_em with models of its own whose answers are published, or known from a closed form or direct maximization."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.optimize

from em.examples import COINS, START, Alleles, Array, BloodGroups, GeneticLinkage, NormalWithGaps, TwoCoins
from emix import fit_em

# Most fits here are of few iterations, as is meant.
pytestmark = pytest.mark.filterwarnings("ignore:EM did not converge in:emix.ConvergenceWarning")


def test_genetic_linkage() -> None:
    visited: list[float] = []

    class Watched(GeneticLinkage):
        def m_step(self, statistics: tuple[float, float]) -> float:
            visited.append(super().m_step(statistics))
            return visited[-1]

    model = Watched()
    # log ℓ is flat at θ̂: θ is exact to some sqrt(eps) once ℓ no longer changes, and a step later to its 0.13.
    result = fit_em(model, model.COUNTS, 0.5, tol=1e-12, stop="parameters", max_iter=100)
    assert result.converged and result.stopped_by == "parameters"
    assert result.parameters == pytest.approx(model.THETA, rel=1e-11)
    assert result.parameters == pytest.approx(0.6268214979, abs=1e-10)  # published digits
    # The rate at which the error shrinks in a step; the fifth and sixth errors are about 1e-6, far above rounding.
    assert (visited[6] - model.THETA) / (visited[5] - model.THETA) == pytest.approx(0.1328, abs=1e-4)
    assert result.log_likelihood == model.log_likelihood(model.COUNTS, result.parameters)


def test_two_coins() -> None:
    result = fit_em(TwoCoins(), COINS, START, tol=0.0, max_iter=10)
    np.testing.assert_array_equal(result.parameters.round(2), [0.80, 0.52])  # published digits
    assert result.n_iter == 10
    assert all(record.change >= 0.0 for record in result.history[1:])


def test_blood_groups() -> None:
    model = BloodGroups()
    result = fit_em(model, model.COUNTS, Alleles(1 / 3, 1 / 3, 1 / 3), tol=1e-15, max_iter=1000)
    found = np.array([result.parameters.a, result.parameters.b, result.parameters.o])
    np.testing.assert_array_equal(found.round(4), [0.2136, 0.0501, 0.7363])  # published digits

    def loss(angles: Array) -> float:  # frequencies are squares of a unit vector's coordinates
        u, v = angles
        p = Alleles(math.sin(u) ** 2, (math.cos(u) * math.sin(v)) ** 2, (math.cos(u) * math.cos(v)) ** 2)
        return -model.log_likelihood(model.COUNTS, p)

    direct = scipy.optimize.minimize(loss, [0.5, 0.5], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-11})
    assert result.log_likelihood == pytest.approx(-direct.fun, abs=1e-9)  # fatol, and rounding of 500 nats


def gaps(n_rows: int, monotone: bool) -> Array:
    rng = np.random.default_rng(7)
    X = rng.normal(size=(n_rows, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]]) + [3.0, -1.0]
    X[: n_rows // 4, 1] = np.nan
    if not monotone:
        X[n_rows // 4 : n_rows // 2, 0] = np.nan
    return X


def fit_gaps(X: Array) -> Any:
    start = {"mean": np.nanmean(X, axis=0), "covariance": np.diag(np.nanvar(X, axis=0))}
    return fit_em(NormalWithGaps(), X, start, tol=1e-13, max_iter=500)


def test_normal_with_missing_entries_by_direct_maximization() -> None:
    X = gaps(60, monotone=False)
    result = fit_gaps(X)
    model = NormalWithGaps()

    def loss(v: Array) -> float:
        factor = np.array([[math.exp(v[2]), 0.0], [v[3], math.exp(v[4])]])
        return -model.e_step(X, {"mean": v[:2], "covariance": factor @ factor.T})[1]

    direct = scipy.optimize.minimize(loss, [3.0, -1.0, 0.0, 0.0, 0.0], method="BFGS", options={"gtol": 1e-5})
    factor = np.array([[math.exp(direct.x[2]), 0.0], [direct.x[3], math.exp(direct.x[4])]])
    # A gradient of 1e-5 leaves a parameter, known to 0.1 at best from 60 rows, off by 1e-5 · 0.1² and ℓ by less.
    assert result.log_likelihood == pytest.approx(-direct.fun, abs=1e-8)
    np.testing.assert_allclose(result.parameters["mean"], direct.x[:2], rtol=0, atol=1e-5)
    np.testing.assert_allclose(result.parameters["covariance"], factor @ factor.T, rtol=0, atol=1e-5)


def test_normal_with_monotone_gaps_by_its_closed_form() -> None:
    # T. W. Anderson (1957): the first column by itself, the second by its regression on the first where both are seen.
    X = gaps(60, monotone=True)
    result = fit_gaps(X)
    both = X[~np.isnan(X[:, 1])]
    mean, variance = X[:, 0].mean(), X[:, 0].var()
    c = np.cov(both.T, bias=True)
    slope = c[0, 1] / c[0, 0]
    second = both[:, 1].mean() + slope * (mean - both[:, 0].mean())
    cross = slope * variance
    # EM stops when ℓ rises by less than 6e-12; being flat there, it leaves parameters off by its root.
    np.testing.assert_allclose(result.parameters["mean"], [mean, second], rtol=0, atol=1e-6)
    last = c[1, 1] + slope**2 * (variance - c[0, 0])
    np.testing.assert_allclose(result.parameters["covariance"], [[variance, cross], [cross, last]], rtol=0, atol=1e-6)
