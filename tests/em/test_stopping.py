"""The stopping rule: its bounds, how parameters become a vector, and the log-likelihood's falls."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from emix import ConvergenceWarning, EMRecord, GaussianParameters
from emix.em.stopping import StoppingRule, pack, relative_distance


def rule(
    tol: float = 0.0,
    stop: str = "log_likelihood",
    weight: float = 1.0,
    dtype: str = "float64",
    rows: float | None = None,
) -> StoppingRule:
    """A rule for data of a weight, of so many rows of equal weight; by default of weight 1 each."""
    run = SimpleNamespace(weight=weight, dtype=np.dtype(dtype), effective_rows=weight if rows is None else rows)
    return StoppingRule(tol, stop, object(), run)


def verdict(
    rule: StoppingRule, before: float, now: float, old: Any = 0.0, new: Any = 1.0, log_prior: float = 0.0
) -> str | None:
    """The rule's verdict on log-likelihoods of two E-steps, with a log-prior that does not change."""
    first = EMRecord(0, before, math.nan, 0.0, log_prior=log_prior)
    assert rule.reached(first, old, None) is None  # nothing to compare with
    return rule.reached(EMRecord(1, now, now - before, 0.0, log_prior=log_prior), new, None)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("dtype", "units", "weight"),
    [
        ("float64", 8.0 * 2.0**-52, 1000.0),
        ("float32", 8.0 * 2.0**-23, 1.0),
        ("float32", 2.0 * 2.0**-23, 16.0),  # errors of rows average out: 8 / √16
        ("float32", 2.0**-23, 1000.0),  # but not those that all rows have in common
    ],
)
def test_rounding_is_some_eps_of_log_likelihood_and_weight(
    dtype: str, units: float, weight: float, sign: float
) -> None:
    now = -(2.0**12)
    bound = units * (2.0**12 + weight)
    # The differences lie well above float64's own rounding of 4096 + bound, 9e-13.
    assert verdict(rule(weight=weight, dtype=dtype), now - sign * 0.9 * bound, now) == "rounding"
    if sign > 0.0:
        assert verdict(rule(weight=weight, dtype=dtype), now - 1.1 * bound, now) is None
    else:
        falling = rule(weight=weight, dtype=dtype)
        assert verdict(falling, now + 1.1 * bound, now) is None
        with pytest.warns(ConvergenceWarning, match="fell in 1 iterations, most in iteration 1"):
            falling.warn_of_falls()


@pytest.mark.parametrize("unit", [2.0**-20, 1.0, 2.0**20])
def test_rounding_counts_rows_whatever_the_unit_of_their_weights(unit: float) -> None:
    # 64 rows: 8 / √64 = 1 eps of |ℓ| + W, both in the unit.
    bound = unit * 2.0**-23 * (2.0**12 + 64.0)
    now = -unit * 2.0**12
    of_64_rows = {"weight": 64.0 * unit, "dtype": "float32", "rows": 64.0}
    assert verdict(rule(**of_64_rows), now - 0.9 * bound, now) == "rounding"
    assert verdict(rule(**of_64_rows), now - 1.1 * bound, now) is None


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rounding_of_a_log_prior_is_that_of_double_precision(dtype: str) -> None:
    # ℓ and log-prior cancel in the objective, which says nothing of how they were rounded. Rows do not enter the prior.
    size = 2.0**40
    of_prior = 8.0 * 2.0**-52 * size
    of_rows = 8.0 * float(np.finfo(dtype).eps) * (1.0 + 1.0)
    now = -1.0
    bound = of_rows + of_prior
    assert verdict(rule(dtype=dtype), now - 0.9 * bound, now, log_prior=size) == "rounding"
    assert verdict(rule(dtype=dtype), now - 1.1 * bound, now, log_prior=size) is None
    assert verdict(rule(dtype=dtype), now - 0.9 * bound, now, log_prior=-size) == "rounding"


@pytest.mark.parametrize(
    ("log_likelihood", "log_prior", "text"),
    [
        (-math.inf, -1.0, "the log-likelihood is -inf after 3 iterations"),
        (math.nan, -math.inf, "the log-likelihood is nan after 3 iterations"),
        (-1.0, math.inf, "the log-prior is inf after 3 iterations"),
        (-1e308, -1e308, "the objective is -inf after 3 iterations"),
    ],
)
def test_the_part_that_is_not_finite_is_named(log_likelihood: float, log_prior: float, text: str) -> None:
    with pytest.raises(ValueError, match=f"{text}, expected a finite one"):
        rule().reached(EMRecord(3, log_likelihood, math.nan, 0.0, log_prior=log_prior), 0.0, None)


@pytest.mark.parametrize(
    ("hooks", "text"),
    [
        ({}, "The log-likelihood fell in 1 iterations, most in iteration 1, by 2 nats: more than rounding explains."),
        ({"shortfall": lambda statistics: 0.5}, "more than rounding and the M-step's shortfall explain."),
        (
            {"shortfall": lambda statistics: 0.5, "shortfall_reason": "shrinkage"},
            "than rounding and shrinkage explain.",
        ),
        ({"log_prior": lambda theta: 0.0}, "The objective fell in 1 iterations"),
        ({"log_prior": None}, "The log-likelihood fell in 1 iterations"),
    ],
)
def test_a_fall_is_explained_in_the_words_of_the_model(hooks: dict[str, Any], text: str) -> None:
    run = SimpleNamespace(weight=1.0, dtype=np.dtype("float64"), effective_rows=1.0)
    watched = StoppingRule(0.0, "log_likelihood", SimpleNamespace(**hooks), run)
    assert verdict(watched, -1.0, -3.0) is None
    with pytest.warns(ConvergenceWarning, match=re.escape(text)):
        watched.warn_of_falls()


@pytest.mark.parametrize("weight", [0.25, 1.0, 1e6])
def test_tol_is_per_unit_of_weight(weight: float) -> None:
    assert verdict(rule(0.5, weight=weight), 0.0, 0.5 * weight) == "log_likelihood"
    assert verdict(rule(0.5, weight=weight), 0.0, 0.51 * weight) is None


def test_parameters_decide_where_they_are_asked_for() -> None:
    # The log-likelihood stands still, the parameters do not, and the other way round.
    assert verdict(rule(0.1, "parameters"), -5.0, -5.0, old=1.0, new=1.3) is None
    assert verdict(rule(0.1, "parameters"), -5.0, -1.0, old=1.0, new=1.19) == "parameters"


def test_no_fall_is_convergence_by_parameters() -> None:
    watched = rule(0.1, "parameters")
    assert verdict(watched, -1.0, -5.0, old=1.0, new=1.0) is None
    with pytest.warns(ConvergenceWarning, match="by 4 nats"):
        watched.warn_of_falls()


def test_no_warning_without_a_fall() -> None:
    watched = rule()
    verdict(watched, -5.0, -1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watched.warn_of_falls()


def test_relative_distance() -> None:
    assert relative_distance(3.0, 4.0) == 0.25
    assert relative_distance([0.0, -1.0], [0.5, -1.0]) == 0.5
    assert relative_distance((), ()) == 0.0
    # NaN is no distance below any tol.
    assert not relative_distance(0.0, math.nan) <= 1e300


def test_pack_takes_what_parameters_are_made_of() -> None:
    @dataclass
    class Inner:
        x: float
        y: Any

    class Own:
        def pack(self) -> list[float]:
            return [8.0, 9.0]

    parameters = {"a": 1, "b": (2.0, [3.0]), "c": Inner(4.0, np.array([[5.0, 6.0]])), "d": np.float32(7.0), "e": Own()}
    np.testing.assert_array_equal(pack(parameters), np.arange(1.0, 10.0))


def test_distance_of_gaussians_is_free_of_scale_and_origin() -> None:
    rng = np.random.default_rng(0)
    a, b = (
        (rng.dirichlet([5.0, 5.0]), rng.normal(size=(2, 3)), np.stack([np.cov(rng.normal(size=(3, 9)))] * 2))
        for _ in range(2)
    )

    def distance(scale: np.ndarray[Any, Any], origin: float) -> float:
        moved = [
            GaussianParameters.from_covariances("full", pi, (mu + origin) @ scale, scale.T @ sigma @ scale)
            for pi, mu, sigma in (a, b)
        ]
        return moved[0].distance(moved[1])

    expected = distance(np.eye(3), 0.0)
    # Covariances of condition number 10 or so, and 1e3 of the scales squared: 1e7 eps.
    assert distance(np.diag([1.0, 1e3, 1e-3]) @ (np.eye(3) + np.tri(3, k=-1)), 0.0) == pytest.approx(expected, rel=1e-9)
    # At 1e6 the means are rounded to 1e-10.
    assert distance(np.eye(3), 1e6) == pytest.approx(expected, rel=1e-8)
