"""A log-likelihood that falls is warned of, unless rounding or the M-step explains the fall."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from em.examples import Scripted
from emix import ConvergenceWarning, GaussianModel, GaussianParameters, fit_em
from emix.em.loop import iterate

# Most fits here are of few iterations, as is meant.
pytestmark = pytest.mark.filterwarnings("ignore:EM did not converge in:emix.ConvergenceWarning")


def test_fall_warns_once_and_never_converges() -> None:
    # Falls of 1, then 1.5; the fall of 1 is within tol.
    model = Scripted([-10.0, -5.0, -6.0, -7.5, -5.0, -4.0])
    with pytest.warns(ConvergenceWarning, match=r"fell in 2 iterations, most in iteration 3, by 1\.5 nats") as caught:
        result = fit_em(model, None, 0, tol=2.0, max_iter=5)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # shown where fit_em was called
    assert (result.n_iter, result.stopped_by) == (5, "log_likelihood")


def test_rows_that_are_read_anew_may_have_changed() -> None:
    class Summed(Scripted):
        by_rows = True

    falling = [-10.0, -5.0, -6.0, -4.0]
    with pytest.warns(ConvergenceWarning, match="fell in 1 iterations.* Or the rows changed between passes"):
        fit_em(Summed(falling), lambda: [np.zeros((1, 1))], 0, tol=0.0, max_iter=3)
    with pytest.warns(ConvergenceWarning, match=r"fell in 1 iterations.* check the model's steps\.$"):
        fit_em(Summed(falling), np.zeros((1, 1)), 0, tol=0.0, max_iter=3)


def test_fall_that_the_m_step_explains_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = iterate(Scripted([-10.0, -5.0, -6.0, -4.0], shortfall=1.1), None, 0, tol=0.0, max_iter=3)
    assert result.n_iter == 3
    with pytest.warns(ConvergenceWarning, match="fell in 1 iterations"):
        fit_em(Scripted([-10.0, -5.0, -6.0, -4.0], shortfall=0.9), None, 0, tol=0.0, max_iter=3)


def test_shortfall_is_that_of_the_step_that_fell() -> None:
    class Once(Scripted):
        def shortfall(self, statistics: int) -> float:
            return 1.1 if statistics == 1 else 0.0  # of the second M-step

    fit_em(Once([-10.0, -5.0, -6.0, -4.0]), None, 0, tol=0.0, max_iter=3)
    with pytest.warns(ConvergenceWarning, match="most in iteration 3"):
        fit_em(Once([-10.0, -5.0, -4.0, -5.0]), None, 0, tol=0.0, max_iter=3)


def test_fall_by_rounding_does_not_warn() -> None:
    # rounding: 8 eps (1e5 + 1) = 1.8e-10
    assert fit_em(Scripted([-1e5, -1e5 - 1e-10]), None, 0, tol=0.0, max_iter=1).stopped_by == "rounding"
    with pytest.warns(ConvergenceWarning):
        fit_em(Scripted([-1e5, -1e5 - 1e-9]), None, 0, tol=0.0, max_iter=1)


def test_reg_covar_may_make_the_likelihood_fall_without_a_warning() -> None:
    # From the mode of reg_covar = 0 a step with a large one goes down; with one component, by just the shortfall.
    X = np.random.default_rng(0).normal(size=(200, 2))
    start = GaussianParameters.from_covariances("full", [1.0], [X.mean(axis=0)], [np.cov(X.T, bias=True)])
    model = GaussianModel(1, 2, reg_covar=0.5)
    result = fit_em(model, X, start, tol=0.0, max_iter=1)
    shortfall = model.shortfall(model.e_step(X, start)[0])
    assert shortfall > 10.0
    # The fall is a difference of two log-likelihoods of some 600 nats, each summed to 1e-13 or so.
    assert -result.history[1].change == pytest.approx(shortfall, rel=1e-12)


def test_a_fall_of_a_mixture_speaks_of_reg_covar() -> None:
    class Worse(GaussianModel):
        def m_step(self, statistics: Any) -> GaussianParameters:
            found = super().m_step(statistics)
            return GaussianParameters.of(found.structure, found.weights, found.means + 1.0, found.covariances)

    X = np.random.default_rng(0).normal(size=(200, 2))
    start = GaussianParameters.from_covariances("full", [1.0], [X.mean(axis=0)], [np.cov(X.T, bias=True)])
    with pytest.warns(ConvergenceWarning, match="more than rounding and reg_covar explain"):
        fit_em(Worse(1, 2), X, start, max_iter=1)
