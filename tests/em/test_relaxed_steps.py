"""Steps that go further than EM does: the log-likelihood does not fall, and they end where EM does, in fewer steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emix
from emix.em.loop import Watch, iterate
from emix.em.result import EMResult
from emix.exceptions import DegenerateFitError, warnings_held
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import STRUCTURES
from emix.kernel.level import has_own_threads
from emix.rows.arrays import ArraySource
from emix.starts.starting_parameters import make_start

RNG = np.random.default_rng(0)
X = np.vstack([RNG.normal(size=(90, 3)), RNG.normal(1.5, 1.4, size=(60, 3)), RNG.normal(-1.0, 0.5, size=(50, 3))])

# Steps are longer by this factor each (kernel/mstep/relaxation.pxi).
LONGER = 1.4


def relaxed(model: emix.GaussianModel, source: ArraySource, start: emix.GaussianParameters, **how: Any) -> EMResult:
    return iterate(model, source, start, watch=Watch(lambda record: False, eager=True, first_plain=0), **how)


def assert_never_falls(result: EMResult) -> None:
    rising = np.array([record.log_likelihood for record in result.history])
    # Rounding of a sum over rows, as the stopping rule allows for it.
    assert (np.diff(rising) >= -1e-12 * (np.abs(rising[1:]) + len(X))).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_end_is_a_mode(structure: str, dtype: type) -> None:
    source, model = ArraySource(X.astype(dtype)), emix.GaussianModel(3, 3, structure, "auto")
    tol = 1e-9 if dtype is np.float64 else 1e-7
    result = relaxed(model, source, make_start("random_from_data", source, model, 2, 0), tol=tol, max_iter=5000)
    assert result.converged
    if dtype is np.float64:
        assert_never_falls(result)
    statistics, log_likelihood = model.e_step(source, result.parameters)
    assert log_likelihood == result.log_likelihood
    assert np.array_equal(statistics.packed, result.statistics.packed)
    # Where it converged, so has EM: its next step rises no more than the last. Single precision rounds log-densities.
    rounding = 0.0 if dtype is np.float64 else len(X) * 1e-6
    _, further = model.e_step(source, model.m_step(statistics))
    assert further - log_likelihood <= tol * len(X) + rounding


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical", "VEV"])
@pytest.mark.parametrize("tol", [1e-5, 1e-8])
def test_a_step_that_goes_too_far_ends_no_fit(structure: str, tol: float) -> None:
    rng = np.random.default_rng(5)
    for seed in range(12):
        rows = rng.normal(size=(400, 2)) * np.repeat([[1.0], [2.0]], 200, axis=0)
        source, model = ArraySource(rows), emix.GaussianModel(3, 2, structure, "auto")
        result = relaxed(model, source, make_start("k-means++", source, model, seed, 0), tol=tol, max_iter=5000)
        assert result.converged
        _, further = model.e_step(source, model.m_step(result.statistics))
        # EM's steps shrink; that of a component that still narrows may grow a little.
        assert further - result.log_likelihood <= 1.01 * tol * len(rows)


def beyond(a: GaussianStatistics, b: GaussianStatistics, length: float) -> GaussianStatistics:
    """a + length (b − a), about the centres of b."""
    moved = a.recentered(b.center)
    weight, shift, scatter = (one + length * (other - one) for one, other in zip(moved.in_unit, b.in_unit))
    return GaussianStatistics.of(
        b.structure, b.center, weight, shift, scatter, b.total_weight, b.n_rows, b.log_likelihood, b.taken_under,
        b.unit, b.columns,
    )  # fmt: skip


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_m_step_is_that_of_sums_further_on(structure: str) -> None:
    source, model = ArraySource(X), emix.GaussianModel(3, 3, structure, "auto")
    # Some steps from the start on, sums change little.
    start = iterate(model, source, make_start("kmeans", source, model, 0, 0), tol=0.0, max_iter=4).parameters
    sums = [model.e_step(source, start)]
    for _ in range(2):
        sums.append(model.e_step(source, model.m_step(sums[-1][0])))
    run = model.begin(source)
    first, log_likelihood = run.e_step(start)
    passed = run.advance(model.m_step(first), log_likelihood, 0.0, 0.0, 3, first_plain=0)
    if passed is None:
        assert has_own_threads()
        return
    _, statistics, rising = passed
    assert rising[:2] == [sums[1][1], sums[2][1]]
    assert len(rising) == 3
    expected = model.m_step(beyond(sums[1][0], sums[2][0], LONGER))
    found = statistics.taken_under
    assert found is not None
    # Sums are about other centres in between: some hundred roundings.
    np.testing.assert_allclose(found.means, expected.means, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-11)
    np.testing.assert_allclose(found.covariances, expected.covariances, rtol=1e-10, atol=1e-11)
    # EM itself would be elsewhere.
    assert np.abs(found.means - model.m_step(sums[2][0]).means).max() > 1e-6


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical", "VEV"])
def test_fewer_steps_where_components_overlap(structure: str) -> None:
    rows = np.random.default_rng(3).normal(size=(400, 2)) * np.repeat([[1.0], [2.0]], 200, axis=0)
    source, model = ArraySource(rows), emix.GaussianModel(3, 2, structure, "auto")
    start = make_start("kmeans", source, model, 0, 0)
    plain = iterate(model, source, start, tol=1e-8, max_iter=10_000)
    found = relaxed(model, source, start, tol=1e-8, max_iter=10_000)
    assert_never_falls(found)
    # Both end some way before the mode; where steps shrink by 1 % each, by 100 tol.
    assert found.log_likelihood >= plain.log_likelihood - 100 * 1e-8 * len(rows)
    if not has_own_threads():
        assert found.n_iter < plain.n_iter / 2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.sampled_from(sorted(STRUCTURES)), st.sampled_from(["auto", 1e-3]))
def test_also_where_steps_go_too_far(seed: int, K: int, name: str, reg_covar: Any) -> None:
    # Few rows, some equal and some far out: sums that go further often have no covariance, or lower the likelihood.
    rng = np.random.default_rng(seed)
    rows = np.vstack([rng.normal(size=(20, 2)), np.full((4, 2), 3.0), rng.normal(size=(3, 2)) * 1e3])
    source, model = ArraySource(rows), emix.GaussianModel(K, 2, name, reg_covar)
    with warnings_held(), np.errstate(all="ignore"):
        try:
            start = make_start("random_from_data", source, model, seed, 0)
            result = relaxed(model, source, start, tol=1e-9, max_iter=300)
        except DegenerateFitError:
            return
    assert np.isfinite(result.parameters.packed).all()
    # R lets the likelihood of EM itself fall where a component narrows to it: here by some nats, never to the start.
    assert result.log_likelihood > result.history[0].log_likelihood


@pytest.mark.parametrize("plain", [2, 7])
def test_the_first_steps_are_those_of_em(plain: int) -> None:
    source, model = ArraySource(X), emix.GaussianModel(3, 3, "full", "auto")
    start = make_start("random_from_data", source, model, 1, 0)
    found = iterate(
        model, source, start, tol=1e-9, max_iter=30, watch=Watch(lambda record: False, eager=True, first_plain=plain)
    )
    em = iterate(model, source, start, tol=1e-9, max_iter=30)
    one, other = ([record.log_likelihood for record in result.history] for result in (found, em))
    assert one[: plain + 1] == other[: plain + 1]
    # Without `advance` all steps are those of EM.
    assert has_own_threads() or one[plain + 1] != other[plain + 1]


def test_a_run_begun_anew_has_the_same_bits() -> None:
    source, model = ArraySource(X), emix.GaussianModel(3, 3, "full", "auto")
    run = model.begin(source)
    for seed in range(3):
        start = make_start("random_from_data", source, model, seed, 0)
        found = iterate(model, source, start, tol=1e-9, max_iter=50, run=run.anew())
        expected = iterate(model, source, start, tol=1e-9, max_iter=50)
        assert np.array_equal(found.parameters.packed, expected.parameters.packed)
        assert found.log_likelihood == expected.log_likelihood
    # A run that learns from its passes is not used twice.
    many = ArraySource(np.random.default_rng(0).normal(size=(3000, 10)))
    learning = emix.GaussianModel(3, 10, "tied", "auto").begin(many)
    assert learning.shortcuts
    assert learning.anew() is not learning
