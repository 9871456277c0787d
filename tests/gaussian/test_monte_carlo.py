"""Integrals by draws: against closed forms, within their standard errors."""

from __future__ import annotations

import math

import numpy as np

from emix.gaussian.monte_carlo import divergence_by_draws, log_densities_of_draws
from emix.gaussian.parameters import GaussianParameters


def normal(mean: list[float], variance: float) -> GaussianParameters:
    return GaussianParameters.from_covariances("spherical", [1.0], [mean], [variance])


def test_divergence_of_two_normals_within_its_error() -> None:
    ours, theirs = normal([1.0, 0.0], 4.0), normal([0.0, 0.0], 1.0)
    exact = 0.5 * (2 * (4.0 - 1.0 - math.log(4.0)) + 1.0)
    for seed in range(3):
        found = divergence_by_draws(ours, theirs, 20_000, np.random.default_rng(seed))
        # Four standard errors: one seed in 16 000 is beyond.
        assert abs(found.estimate - exact) < 4 * found.standard_error
        # log p − log q = ½(z² (4 − 1) + …) has about the deviation √(2·2)·1.5 = 3, and 2 from the shift.
        assert 2.0 < found.standard_error * math.sqrt(20_000) < 5.0


def test_draws_in_parts_and_their_number() -> None:
    # 2²⁰ numbers are drawn at a time, so that these are five parts.
    wide = GaussianParameters.from_covariances("spherical", [0.5, 0.5], np.zeros((2, 50_000)), [1.0, 1.0])
    found = log_densities_of_draws(wide, 100, np.random.RandomState(0))
    assert found.shape == (100,)
    # −d/2 (log 2π + 1), with the deviation √(d/2) of ½χ² for a row, and a tenth of it for their mean.
    assert abs(found.mean() + 25_000 * (math.log(2 * math.pi) + 1)) < 4 * math.sqrt(25_000) / 10


def test_a_mixture_of_which_the_other_is_no_part_is_infinitely_far() -> None:
    found = divergence_by_draws(normal([1e200], 1.0), normal([0.0], 1.0), 10, np.random.default_rng(0))
    assert found == (math.inf, math.inf)
    same = divergence_by_draws(normal([3.0], 2.0), normal([3.0], 2.0), 10, np.random.default_rng(0))
    assert same == (0.0, 0.0)
