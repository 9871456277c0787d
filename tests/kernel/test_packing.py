"""Rows of which few are live are packed; without packing every sum is over all rows of a block, and agrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kernel.naive import (
    Case,
    accumulate,
    assert_within,
    divide,
    each_dtype,
    each_level,
    each_structure,
    in_structure,
    random_case,
    reference_sums,
    score,
)

N_ROWS, N_FEATURES, N_LIVE, AWAY = 1024, 40, 12, 20.0


def case_of_few_live_rows(structure: str, dtype: str, about_origin: bool) -> Case:
    """The second of two components, far from the first, holds N_LIVE rows, of any weights.

    With weights of 1 all sums can agree to the bit, packed or not: N and s of few rows are exact, and where BLAS adds
    the products of a block one after the other, rows of zeros between them change nothing.
    """
    case = random_case(structure, dtype, N_ROWS, N_FEATURES, 2)
    rng = np.random.default_rng(3)
    X = case.X.copy()
    X[rng.permutation(N_ROWS)[:N_LIVE]] += AWAY
    weight = rng.uniform(0.5, 2.0, N_ROWS)
    means = np.zeros((2, N_FEATURES), dtype)
    means[1] = AWAY
    case = replace(
        case, X=X, sample_weight=weight, center=means, offset=np.zeros_like(means), log_constant=np.zeros(2, dtype)
    )
    if about_origin:
        offset = np.stack([case.matrix(k) @ means[k] for k in range(2)])
        case = replace(case, center=np.zeros_like(means), offset=offset, origin=np.zeros_like(means[0]))
    return case


@each_level
@each_dtype
@each_structure
@pytest.mark.parametrize("about_origin", [False, True])
def test_sums_with_and_without_packing_agree(level: str, dtype: str, structure: str, about_origin: bool) -> None:
    case = case_of_few_live_rows(structure, dtype, about_origin)
    log_density, r, *_ = score(level, case)
    assert np.count_nonzero(r[:, 1]) == N_LIVE
    # The responsibilities are the kernel's own, so that sums alone are rounded: those of a block, of up to 1024 rows
    # here, before they are added to a double.
    exact = np.zeros_like(r), log_density, np.zeros_like(log_density)
    expected = reference_sums(case, r, *exact, n_added=N_ROWS)
    found = {packing: accumulate(level, case, packing=packing).sum(axis=0) for packing in (True, False)}
    for sums in found.values():
        N, s, S, log_likelihood = divide(case, sums)
        assert_within(N, *expected[0])
        assert_within(s, *expected[1])
        if not (about_origin and structure == "tied"):  # whose scatter is not summed
            assert_within(S, *(in_structure(structure, matrices) for matrices in expected[2]))
        assert_within(log_likelihood, *expected[3])
    # The order of sums is another one, which shows in some bit.
    assert (found[True] != found[False]).any()
    # Where most rows of both components are live, nothing is packed anyway.
    mostly_live = replace(case, offset=np.zeros_like(case.offset), center=np.zeros_like(case.center))
    np.testing.assert_array_equal(accumulate(level, mostly_live, packing=False), accumulate(level, mostly_live))
