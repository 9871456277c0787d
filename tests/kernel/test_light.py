"""Light responsibilities: what they add to a scatter is taken in single precision, whose errors are below rounding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emix import GaussianModel, GaussianParameters
from emix.kernel.level import available_levels, kernel_for, kernel_of_level
from kernel.naive import (
    Array,
    Case,
    Wide,
    accumulate,
    accumulator,
    divide,
    each_level,
    joint_scores,
    random_case,
    score,
)

EPS = 2.0**-53
LIMIT = 2.0**20  # times what the margin leaves out

# Features from which on all levels have light rows, with last vectors of all sizes.
each_size = pytest.mark.parametrize("d", [26, 27, 33, 40, 41, 50, 64, 75])
each_level_that_has_them = pytest.mark.parametrize(
    "level", [level for level in available_levels() if kernel_of_level(level, "float64").has_light_rows]
)


def case_of_light_rows(d: int, weighted: bool = False, margin: float = 42.0) -> Case:
    """Component 0 is light in a part of the rows and dead in all others, so that its rows are packed."""
    case = random_case("full", "float64", 700, d, 2, weighted)
    # Of one shape and near each other: how much the components differ is a linear function of the row.
    step = case.center[1] - case.center[0]
    alike = replace(
        case,
        center=case.center[[0, 0]] + np.array([np.zeros(d), 0.1 * step]),
        offset=case.offset[[0, 0]],
        whitening=case.whitening[[0, 0]],
        log_constant=np.zeros(2),
        margin=np.full(2, margin),
    )
    difference = np.diff(joint_scores("baseline", alike))
    # A standard deviation of 7 nats, and the largest responsibility half of the limit
    center = case.center[[0, 0]] + np.array([np.zeros(d), 0.7 * step / difference.std()])
    alike = replace(alike, center=center)
    highest = -np.diff(joint_scores("baseline", alike)).min()
    alike = replace(alike, log_constant=np.array([np.log(LIMIT / 2.0) - margin - highest, 0.0]))
    r = score("baseline", alike)[1][:, 0]
    assert 0.0 < r.max() < LIMIT * np.exp(-margin)
    assert 0.1 < (r > 0).mean() < 0.7
    return alike


def total(level: str, case: Case, light: bool) -> Any:
    return divide(case, accumulate(level, case, light=light).sum(axis=0))


def products(case: Case, r: Array, magnitudes: bool) -> Array:
    """Σ r z zᵀ of component 0 in long doubles, its lower triangle, or with |z| for z."""
    z = case.X.astype(Wide) - case.center[0].astype(Wide)
    z = np.abs(z) if magnitudes else z
    return np.tril((z.T * r) @ z)


@each_level_that_has_them
@each_size
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layout", ["C", "F", "order"])
def test_errors_are_those_of_single_precision(level: str, d: int, weighted: bool, layout: str) -> None:
    case = case_of_light_rows(d, weighted)
    if layout == "F":
        case = replace(case, X=np.asfortranarray(case.X))
    w = np.ones(len(case.X)) if case.sample_weight is None else case.sample_weight
    r = w.astype(Wide) * score(level, case)[1][:, 0]  # the bits that the statistics have, too
    N, s, S, _ = in_an_order(level, case) if layout == "order" else total(level, case, light=True)
    error, scale = np.abs(S[0] - products(case, r, False)), products(case, r, True)
    # Two factors are rounded, and no more than 256 of them added up (packed.pxi).
    assert (error <= 258 * 2.0**-24 * scale).all()
    assert (error > 2.0**-40 * scale).any()  # it is single precision
    # Sums of no more than 700 numbers, of which z is rounded too, in double precision.
    z = case.X.astype(Wide) - case.center[0]
    assert abs(N[0] - r.sum()) <= 702 * EPS * r.sum()
    assert (np.abs(s[0] - r @ z) <= 702 * EPS * (r @ np.abs(z))).all()


def in_an_order(level: str, case: Case) -> Any:
    """The statistics of rows visited in another order, with bounds that know nothing."""
    K, d = case.center.shape
    n = len(case.X)
    kernel = kernel_of_level(level, "float64")
    slots = np.zeros((1, K + K * d + case.whitening.size + 1))
    run = accumulator(kernel, case, slots, light=True)
    order = np.random.default_rng(0).permutation(n).astype(np.uint16)
    near = np.zeros((-(-n // kernel.group_rows(K)), K), np.float32)
    run.accumulate_bounded(0, 0, n, 0, order, near, np.ones(K, np.float32), np.zeros(K, np.float32), None, None)
    return divide(case, slots[0])


def differ(level: str, case: Case) -> bool:
    """Is the scatter another where light rows may be taken in single precision?"""
    return bool((total(level, case, light=True)[2] != total(level, case, light=False)[2]).any())


@each_level
def test_nothing_is_light_where_squares_could_vanish(level: str) -> None:
    case = case_of_light_rows(50)
    assert differ(level, case) == kernel_of_level(level, "float64").has_light_rows
    scale = 2.0**-60  # of the standard deviations, which are about 1
    narrow = replace(case, X=scale * case.X, center=scale * case.center, whitening=case.whitening / scale)
    assert not differ(level, narrow)


@each_level
def test_nothing_is_light_that_is_beyond_the_range_of_single_precision(level: str) -> None:
    assert not differ(level, case_of_light_rows(50, margin=401.0))


@each_level
def test_single_precision_has_no_lighter_rows(level: str) -> None:
    case = random_case("full", "float32", 700, 50, 2)
    assert not differ(level, replace(case, margin=np.full(2, np.float32(42.0))))


@each_level_that_has_them
def test_tied_rows_may_be_light(level: str) -> None:
    case = random_case("tied", "float64", 700, 50, 4)
    case = replace(case, center=0.7 * case.center, log_constant=np.zeros(4), margin=np.full(4, 42.0))
    light, plain = (total(level, case, light)[2] for light in (True, False))
    assert (light != plain).any()
    # All are added to one scatter, beside which the light part is below rounding; sums in another order differ.
    deviation = np.sqrt(plain.diagonal())
    assert (np.abs(light - plain) <= 26 * EPS * deviation[:, None] * deviation).all()  # 26 = √700


def test_columns_of_any_range() -> None:
    # Light rows would overflow in single precision; by a power of two nothing else is rounded.
    case = random_case("full", "float64", 2_000, 50, 4)
    scale = np.ones(50)
    scale[5] = 2.0**80
    S = []
    for unit in (np.ones(50), scale):
        start = GaussianParameters.from_covariances(
            "full", np.full(4, 0.25), 0.7 * case.center * unit, np.tile(np.diag(unit * unit), (4, 1, 1))
        )
        run = GaussianModel(4, 50).begin(case.X * unit)
        run.e_step(start)  # the first pass leaves nothing out
        S.append(run.e_step(start)[0].scatter / (unit[:, None] * unit))
    assert (S[0] != S[1]).any() == kernel_for(np.dtype(np.float64)).has_light_rows
    deviation = np.sqrt(np.einsum("kii->ki", S[1]))
    # 45 = √2000 roundings
    assert (np.abs(S[0] - S[1]) <= 45 * EPS * deviation[:, :, None] * deviation[:, None]).all()
