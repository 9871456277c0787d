"""LonePass: the passes of one thread, each in one call, have the bits of `begin`, `accumulate` and `end`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import emix
from emix.gaussian.structures import STRUCTURES
from emix.gaussian.sums import KernelDensity, LocalSums, PassOutcome, PassRequest, judge
from emix.rows.arrays import ArraySource

RNG = np.random.default_rng(0)
X = np.vstack([RNG.normal(size=(90, 3)), RNG.normal(3.0, 1.4, size=(60, 3))])
K, D = 2, 3


def sums_and_start(structure: str, dtype: str = "float64") -> tuple[LocalSums, emix.GaussianParameters]:
    kind = STRUCTURES[structure]
    source = ArraySource(X.astype(dtype))
    covariances = kind.form.from_pooled(2.0 * np.eye(D), K)
    theta = emix.GaussianParameters.from_covariances(kind, [0.3, 0.7], [[0.0, 0.1, 0.0], [2.0, 3.0, 3.0]], covariances)
    return LocalSums(source, kind.form.code, K), theta


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_the_same_bits_as_a_pass_in_steps(structure: str, dtype: str) -> None:
    sums, theta = sums_and_start(structure, dtype)
    columns, before = sums.source.columns, None
    assert sums.lone is not None
    for _ in range(3):  # without a pass before, and with one
        request = PassRequest(KernelDensity(theta.structure.form.code, K, D, theta.packed, True), before, None, columns)
        expected = sums.take(request)
        outcome = PassOutcome(np.empty(sums.n_sums))
        assert sums.lone.take(theta.packed, before, columns, outcome) == judge(expected, request)
        np.testing.assert_array_equal(outcome.packed, expected.packed)
        assert (outcome.log_likelihood, outcome.growth) == (expected.log_likelihood, expected.growth)
        statistics = emix.GaussianModel(K, D, structure).e_step(sums.source, theta)[0]
        theta, before = emix.GaussianModel(K, D, structure).m_step(statistics), outcome


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("parameters", "parameters has 3 numbers, expected 54"),
        ("outcome", "statistics has 3 numbers, expected 32"),
        ("before", "before has 1 numbers, expected 2 or more"),
    ],
)
def test_arrays_of_another_size_are_refused(wrong: str, message: str) -> None:
    sums, theta = sums_and_start("full")
    assert sums.lone is not None
    parameters = np.zeros(3) if wrong == "parameters" else theta.packed
    before = PassOutcome(np.ones(1)) if wrong == "before" else None
    outcome = PassOutcome(np.empty(3 if wrong == "outcome" else sums.n_sums))
    with pytest.raises(ValueError, match=re.escape(message)):
        sums.lone.take(parameters, before, sums.source.columns, outcome)


@pytest.mark.parametrize("capsule", [0, object(), None])
def test_what_is_no_capsule_of_a_kernel_is_refused(capsule: Any) -> None:
    class Forged:
        def alone(self, rows: Any) -> Any:
            return capsule

    sums, _ = sums_and_start("full")
    assert sums.lone is not None
    with pytest.raises(ValueError, match="PyCapsule"):
        type(sums.lone)(sums.buffers, Forged(), object())
