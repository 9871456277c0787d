"""The stopping rule: its bounds, how parameters become a vector, and the log-likelihood's falls."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from emix import ConvergenceWarning, GaussianParameters
from emix.em.stopping import StoppingRule, pack, relative_distance


def rule(
    tol: float = 0.0,
    stop: str = "log_likelihood",
    weight: float = 1.0,
    dtype: str = "float64",
    rows: float | None = None,
) -> StoppingRule:
    """A rule for data of a weight, of so many rows of equal weight; by default of weight 1 each."""
    passes = SimpleNamespace(weight=weight, dtype=dtype, effective_rows=lambda: weight if rows is None else rows)
    return StoppingRule(tol, stop, object(), passes)


def verdict(rule: StoppingRule, before: float, now: float, old: Any = 0.0, new: Any = 1.0) -> str | None:
    assert rule.reached(0, old, None, before, math.nan) is None  # nothing to compare with
    return rule.reached(1, new, None, now, now - before)


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
