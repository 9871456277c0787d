"""Seeds and generators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emix
from emix.random_source import random_source, seed_of


def test_an_int_is_its_own_seed() -> None:
    assert seed_of(7) == seed_of(np.int64(7)) == 7
    assert random_source(7).random() == random_source(7).random()


def test_generators_give_seeds() -> None:
    for make in (np.random.default_rng, np.random.RandomState):
        source = make(0)
        assert random_source(source) is source
        seeds = [seed_of(source), seed_of(source)]
        assert seeds[0] != seeds[1]
        assert seed_of(make(0)) == seeds[0]


def test_without_a_seed_each_is_another() -> None:
    assert seed_of(None) != seed_of(None)
    assert random_source(None).random() != random_source(None).random()


def test_without_a_seed_that_of_numpy_counts() -> None:
    X = np.random.default_rng(0).normal(size=(60, 2))

    def results() -> list[Any]:
        np.random.seed(3)  # noqa: NPY002 (what it does is tested)
        mixture = emix.GaussianMixture(4, init_params="random_from_data", tol=1e-2, covariance_type="tied").fit(X)
        normal = emix.MultivariateNormal([0.0, 0.0], np.eye(2))
        return [mixture.means_, mixture.sample(5)[0], normal.rvs(3), seed_of(None)]

    first, second = results(), results()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_module_of_the_legacy_generator() -> None:
    # The module itself is a source, as it is for scikit-learn: NumPy's one generator of former days, seeded by it.
    source: Any = np.random
    source.seed(0)
    first = seed_of(source)
    source.seed(0)
    assert seed_of(source) == first


@pytest.mark.parametrize("bad", [True, 1.0, "0", [1], np.random.SeedSequence(0)])
def test_what_is_no_source_of_random_numbers(bad: Any) -> None:
    for function in (random_source, seed_of):
        with pytest.raises(
            TypeError, match=r"must be None, an int in the range \[0, inf\), a numpy\.random\.Generator"
        ):
            function(bad)
        with pytest.raises(ValueError, match=r"Got -1 instead"):
            function(-1)
