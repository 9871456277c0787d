"""Light responsibilities: what they add to a scatter is taken in single precision, and no digit is lost by it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emix import GaussianModel, GaussianParameters
from emix.kernel.level import kernel_of_level
from kernel.naive import Array, Case, Wide, divide, each_level, random_case, score

EPS = 2.0**-53

each_size = pytest.mark.parametrize("d", [24, 32, 33, 50, 64, 75])
each_structure = pytest.mark.parametrize("structure", ["full", "tied"])


def case_with_light_rows(structure: str, d: int, weighted: bool = False) -> Case:
    """Responsibilities between 1 and what the margin leaves out, about evenly on a logarithmic scale."""
    case = random_case(structure, "float64", 700, d, 4, weighted)
    margin = np.full(4, 40.0 + math.log(4.0))
    return replace(case, center=0.7 * case.center, log_constant=np.zeros(4), margin=margin)


def statistics(level: str, case: Case, light: bool) -> Any:
    K, d = case.center.shape
    slots = np.zeros((2, K + K * d + case.whitening.size + 1))
    kernel = kernel_of_level(level, "float64")
    workspaces = np.full((1, kernel.workspace_size(K, d)), np.nan)
    run = kernel.Accumulator(*case.arguments, case.X, case.sample_weight, workspaces, slots, light)
    run.accumulate(0, 0, len(case.X), None)
    return divide(case, slots.sum(axis=0))


def scatter_of(case: Case, r: Array, magnitudes: bool) -> Array:
    """Σ r z zᵀ in long doubles, or with |z| for z; of tied summed over components."""
    z = case.X.astype(Wide)[None] - case.center.astype(Wide)[:, None]
    z = np.abs(z) if magnitudes else z
    S = np.stack([(z[k].T * r[:, k]) @ z[k] for k in range(len(z))])
    return np.tril(S if case.structure == "full" else S.sum(axis=0))


@each_level
@each_structure
@each_size
@pytest.mark.parametrize("weighted", [False, True])
def test_scatter_is_that_of_double_precision(level: str, structure: str, d: int, weighted: bool) -> None:
    case = case_with_light_rows(structure, d, weighted)
    w = np.ones(len(case.X)) if case.sample_weight is None else case.sample_weight
    responsibilities = score(level, case)[1]  # the bits that the statistics have, too
    r = w[:, None].astype(Wide) * responsibilities
    light = (responsibilities > 0) & (responsibilities < 2.0**20 * np.exp(-case.margin))
    assert 0.1 < light.mean() < 0.6
    N, s, S, log_likelihood = statistics(level, case, light=True)
    # Single precision: no more than what the margin leaves out (packed.pxi). Double: at most 256 numbers are added to
    # one another, whose errors grow as √256, and some for z and r.
    single = (w[:, None] * np.exp(-case.margin)).astype(Wide)
    bound = scatter_of(case, single, True) + 32 * EPS * scatter_of(case, r, True)
    assert (np.abs(S - scatter_of(case, r, False)) <= bound).all()
    # All rows are in double precision there.
    plain = statistics(level, case, light=False)
    np.testing.assert_allclose(N, plain[0], rtol=256 * EPS)
    magnitude = np.einsum("ik,ikd->kd", r, np.abs(case.X[:, None] - case.center)).astype(np.float64)
    assert (np.abs(s - plain[1]) <= 256 * EPS * magnitude).all()
    assert log_likelihood == plain[3]


@each_level
@each_structure
def test_single_precision_is_used(level: str, structure: str) -> None:
    case = case_with_light_rows(structure, 50)
    if level != "blas":
        assert (statistics(level, case, light=True)[2] != statistics(level, case, light=False)[2]).any()


@each_level
@each_structure
@pytest.mark.parametrize("narrow", [False, True])
def test_nothing_is_light_without_a_margin_or_where_it_could_vanish(level: str, structure: str, narrow: bool) -> None:
    case = case_with_light_rows(structure, 33)
    if narrow:
        # Standard deviations below 1e-12: squares of a part of them are no numbers of single precision.
        scale = 2.0**-60
        case = replace(case, X=scale * case.X, center=scale * case.center, whitening=case.whitening / scale)
    else:
        case = replace(case, margin=np.full(4, np.inf))
    for a, b in zip(statistics(level, case, light=True), statistics(level, case, light=False), strict=True):
        np.testing.assert_array_equal(a, b)


def test_columns_of_any_range() -> None:
    # Light rows would overflow in single precision; by a power of two nothing else is rounded.
    case = case_with_light_rows("full", 33)
    scale = np.ones(33)
    scale[5] = 2.0**80
    model = GaussianModel(4, 33)
    S = []
    for unit in (np.ones(33), scale):
        start = GaussianParameters.from_covariances(
            "full", np.full(4, 0.25), case.center * unit, np.tile(np.diag(unit * unit), (4, 1, 1))
        )
        run = model.begin(case.X * unit)
        run.e_step(start)  # the first pass leaves nothing out
        S.append(run.e_step(start)[0].scatter / (unit[:, None] * unit))
    # In the order of their sums they differ, as packed rows and others do.
    np.testing.assert_allclose(S[0], S[1], rtol=0, atol=64 * EPS * np.abs(S[0]).max())
