"""Q(θ, θ⁽ᵗ⁾), EM's own theorem, and how far reg_covar may make the likelihood fall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emix.gaussian.model import GaussianModel, q_function
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.statistics import GaussianStatistics
from gaussian.examples import (
    Array,
    UnitVolume,
    after,
    clusters,
    each_structure,
    in_form,
    naive_joint,
    naive_responsibilities,
    start,
)
from gaussian.shared_parts import SHARING

seeds = st.integers(0, 2**32 - 1)
# Without a deadline: times depend on the machine. Derandomized: a failure is the same everywhere.
quick = settings(max_examples=25, deadline=None, derandomize=True)
K, D = 3, 2


def random_parameters(structure: str, seed: int, spread: float = 3.0) -> GaussianParameters:
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(K, D, D + 2)) * rng.uniform(0.3, 2.0)
    weights = rng.dirichlet(np.ones(K)) * 0.97 + 0.01
    covariances = in_form(structure, roots @ roots.transpose(0, 2, 1), weights)
    return GaussianParameters.from_covariances(structure, weights, spread * rng.normal(size=(K, D)), covariances)


def stepped(theta: GaussianParameters, size: float, rng: np.random.Generator) -> Array:
    """A random step from covariances of a structure that shares a part of them, within it."""
    volume, shape, orientation = theta.structure.name
    full = theta.structure.form.to_full(theta.covariances, K, D)
    if orientation == "I":
        axes = np.broadcast_to(np.eye(D), full.shape)
    elif orientation == "E":  # of a mean of the covariances
        axes = np.broadcast_to(
            np.linalg.eigh(np.sum(full / np.trace(full, axis1=1, axis2=2)[:, None, None], 0))[1], full.shape
        )
    else:
        axes = np.linalg.eigh(full)[1]
    variances = np.diagonal(axes.transpose(0, 2, 1) @ full @ axes, axis1=1, axis2=2)
    volumes = size * rng.normal(size=(K if volume == "V" else 1, 1))
    shapes = size * rng.normal(size=(K if shape == "V" else 1, D))
    turns = size * rng.normal(size=(K if orientation == "V" else 1, 1, 1)) * (orientation != "I")
    variances = variances * np.exp(volumes + shapes - shapes.mean(axis=1, keepdims=True))
    turn = np.cos(turns) * np.eye(D) + np.sin(turns) * np.array([[0.0, 1.0], [-1.0, 0.0]])
    moved = turn @ ((axes * variances[:, np.newaxis, :]) @ axes.transpose(0, 2, 1)) @ turn.transpose(0, 2, 1)
    return np.diagonal(moved, axis1=1, axis2=2).copy() if orientation == "I" else moved


def settled(model: GaussianModel, statistics: GaussianStatistics) -> GaussianParameters:
    """The M-step; one that iterates goes on until it has nothing to gain."""
    best = model.m_step(statistics)
    while model.gain_left(statistics, best) > 1e-13:
        best = model.m_step(replace(statistics, taken_under=best))
    return best


def perturbed(theta: GaussianParameters, size: float, seed: int) -> GaussianParameters:
    """Parameters a random step away: weights by softmax, covariances by a congruence in their structure."""
    rng = np.random.default_rng(seed)
    weights = theta.weights * np.exp(size * rng.normal(size=K))
    means = theta.means + size * rng.normal(size=(K, D))
    if theta.structure.name in SHARING:
        covariances = stepped(theta, size, rng)
        return GaussianParameters.from_covariances(theta.structure, weights / weights.sum(), means, covariances)
    step = size * rng.normal(size=theta.covariances.shape)
    if theta.structure.is_common:
        step = step[:1] if not theta.structure.form.is_shared else step
    if theta.structure.form.has_matrices:
        move = np.eye(D) + step
        covariances = move @ theta.covariances @ np.swapaxes(move, -1, -2)
    else:
        covariances = theta.covariances * np.exp(step)
    return GaussianParameters.from_covariances(theta.structure, weights / weights.sum(), means, covariances)


def rounding(log_likelihood: float, n: int) -> float:
    """Of a sum of n log-densities, and of Q beside it: some hundred eps of their magnitudes."""
    return 1e-12 * (abs(log_likelihood) + n)


@each_structure
@given(seed=seeds)
@quick
def test_q_is_the_expected_complete_log_likelihood(structure: str, seed: int) -> None:
    X = clusters(60, D, K, seed)
    before, theta = random_parameters(structure, seed), random_parameters(structure, seed + 1)
    weight = np.random.default_rng(seed).uniform(0, 2, 60)
    statistics, _ = GaussianModel(K, D, structure).e_step((X, weight), before)
    r = weight[:, np.newaxis] * naive_responsibilities(X, before)
    terms = r * naive_joint(X, theta)
    # Relative to what is added; far means make terms that are larger than their sum.
    assert q_function(theta, statistics) == pytest.approx(terms.sum(), abs=1e-11 * (60 + np.abs(terms).sum()))


@each_structure
@given(seed=seeds)
@quick
def test_theorem_of_em(structure: str, seed: int) -> None:
    """ℓ(θ) − ℓ(θ⁽ᵗ⁾) ≥ Q(θ, θ⁽ᵗ⁾) − Q(θ⁽ᵗ⁾, θ⁽ᵗ⁾) for any θ: Dempster, Laird and Rubin, lemma 1."""
    X = clusters(60, D, K, seed)
    model = GaussianModel(K, D, structure)
    before, theta = random_parameters(structure, seed), random_parameters(structure, seed + 1)
    statistics, old = model.e_step(X, before)
    new = model.e_step(X, theta)[1]
    at_before, at_theta = q_function(before, statistics), q_function(theta, statistics)
    slack = rounding(abs(old) + abs(new) + abs(at_before) + abs(at_theta), 60)
    assert new - old >= at_theta - at_before - slack


@each_structure
@given(seed=seeds, exponent=st.integers(-6, 0))
@quick
def test_nothing_near_the_m_step_s_parameters_has_a_higher_q(structure: str, seed: int, exponent: int) -> None:
    X = clusters(60, D, K, seed)
    theta = start(structure, X, K, seed)
    model = GaussianModel(K, D, structure)
    statistics, log_likelihood = model.e_step(X, theta)
    once = model.m_step(statistics)
    # A few sweeps are not the maximum, but never worse than where they began.
    assert q_function(once, statistics) >= q_function(theta, statistics) - rounding(log_likelihood, 60)
    best = settled(model, statistics)
    highest = q_function(best, statistics)
    assert highest >= q_function(once, statistics) - rounding(log_likelihood, 60)
    if structure in ("EVE", "VVE"):  # whose axes are the best of those near them
        exponent = min(exponent, -2)
    other = perturbed(best, 10.0**exponent, seed)
    assert q_function(other, statistics) <= highest + rounding(log_likelihood, 60)


@each_structure
@given(seed=seeds)
@quick
def test_likelihood_never_falls(structure: str, seed: int) -> None:
    X = clusters(80, D, K, seed)
    weight = np.random.default_rng(seed).uniform(0.1, 2, 80)
    _, history = after(8, structure, (X, weight), start(structure, X, K, seed))
    assert (np.diff(history) >= -rounding(history[0], 80)).all()


@each_structure
@pytest.mark.parametrize("reg_covar", [1e-6, 1e-2, 1.0, 100.0])
def test_a_fall_is_within_the_shortfall(structure: str, reg_covar: float) -> None:
    X = clusters(200, D, K)
    model = GaussianModel(K, D, structure, reg_covar)
    exact = GaussianModel(K, D, structure)
    theta, old = after(60, structure, X, start(structure, X, K))
    fell = False
    for _ in range(3):
        statistics, log_likelihood = model.e_step(X, theta)
        shortfall = model.shortfall(statistics)
        # It is, to rounding, what the M-step with reg_covar loses of the highest Q.
        lost = q_function(exact.m_step(statistics), statistics) - q_function(model.m_step(statistics), statistics)
        assert shortfall == pytest.approx(lost, abs=rounding(log_likelihood, 200))
        theta = model.m_step(statistics)
        change = model.e_step(X, theta)[1] - log_likelihood
        assert change >= -shortfall - rounding(log_likelihood, 200)
        fell = fell or change < 0.0
    assert fell or reg_covar < 1e-2
    assert old[-1] >= old[0]


@pytest.mark.parametrize("reg_covar", [1e-3, 1.0, 100.0])
def test_shortfall_where_the_fit_is_not_linear_in_the_scatter(reg_covar: float) -> None:
    X = clusters(200, D, K)
    begin = start("diag", X, K)
    kind = UnitVolume()
    model = GaussianModel(K, D, kind, reg_covar)
    theta = GaussianParameters.of(kind, begin.weights, begin.means, np.ones((K, D)))
    statistics, _ = model.e_step(X, theta)
    r = naive_responsibilities(X, theta)
    held = r.sum(axis=0)
    means = r.T @ X / held[:, np.newaxis]
    own = np.stack([np.average((X - means[k]) ** 2, axis=0, weights=r[:, k]) for k in range(K)])

    def q(variances: Array) -> float:
        covariances = variances / np.sqrt(variances.prod(axis=1, keepdims=True))
        return float((r * naive_joint(X, GaussianParameters.of(kind, held / 200.0, means, covariances))).sum())

    shortfall = model.shortfall(statistics)
    assert shortfall == pytest.approx(q(own) - q(own + reg_covar), abs=rounding(q(own), 200))
    assert shortfall > 0.0
    # The tangent at Σ′, which is exact where the ridge moves Σ̂ by R, is another number.
    kept, bare = model.m_step(statistics).covariances, GaussianModel(K, D, kind).m_step(statistics).covariances
    tangent = 0.5 * held @ (np.log(kept / bare) - (kept - bare) / kept).sum(axis=1)
    assert abs(tangent - shortfall) > 0.1 * shortfall


@each_structure
def test_no_shortfall_without_reg_covar(structure: str) -> None:
    X = clusters(50, D, K)
    model = GaussianModel(K, D, structure)
    assert model.shortfall(model.e_step(X, start(structure, X, K))[0]) == 0.0


def test_shortfall_is_infinite_where_a_variance_is_zero() -> None:
    X = np.column_stack([clusters(50, 1, 1), np.zeros(50)])
    model = GaussianModel(1, 2, "full", reg_covar=1e-6)
    theta = GaussianParameters.from_covariances("full", [1.0], [[0.0, 0.0]], [np.eye(2)])
    # Without reg_covar the likelihood has no bound, nor has what the M-step falls short.
    assert model.shortfall(model.e_step(X, theta)[0]) == np.inf


def test_q_leaves_out_a_component_that_neither_has() -> None:
    X = clusters(50, 1, 1)
    theta = GaussianParameters.from_covariances("full", [1.0, 0.0], [[0.0], [3.0]], np.ones((2, 1, 1)))
    alone = GaussianParameters.from_covariances("full", [1.0], [[0.0]], np.ones((1, 1, 1)))
    found = q_function(theta, GaussianModel(2, 1).e_step(X, theta)[0])
    assert found == pytest.approx(q_function(alone, GaussianModel(1, 1).e_step(X, alone)[0]), rel=1e-14)


def test_q_of_an_impossible_component_is_minus_infinity() -> None:
    X = clusters(50, 1, 1)
    covariances = np.ones((2, 1, 1))
    before = GaussianParameters.from_covariances("full", [0.5, 0.5], [[0.0], [1.0]], covariances)
    theta = GaussianParameters.from_covariances("full", [1.0, 0.0], [[0.0], [1.0]], covariances)
    assert q_function(theta, GaussianModel(2, 1).e_step(X, before)[0]) == -np.inf


def affine(structure: str, rng: np.random.Generator) -> Array:
    """A linear map under which the structure is closed."""
    if structure in ("full", "tied", "VEE", "EVV"):
        return np.eye(D) + 0.4 * rng.normal(size=(D, D))
    if structure in ("diag", "EEI", "VEI", "EVI"):
        return np.diag(rng.choice([-1, 1], D) * rng.uniform(0.01, 100, D))
    return np.linalg.qr(rng.normal(size=(D, D)))[0] * rng.uniform(0.01, 100)


@each_structure
@given(seed=seeds)
@quick
def test_affine_equivariance(structure: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = clusters(60, D, K, seed)
    A, b = affine(structure, rng), 10 * rng.normal(size=D)
    theta = start(structure, X, K, seed)

    def moved(parameters: GaussianParameters) -> GaussianParameters:
        full = A @ parameters.structure.form.to_full(parameters.covariances, K, D) @ A.T
        covariances = in_form(structure, full, np.ones(K))
        return GaussianParameters.from_covariances(
            structure, parameters.weights, parameters.means @ A.T + b, covariances
        )

    plain, history = after(3, structure, X, theta)
    image, image_history = after(3, structure, X @ A.T + b, moved(theta))
    expected = moved(plain)
    # Rounding of the images, times the condition of the map and of the covariances, a hundred or so each.
    assert expected.distance(image) < 1e-8
    np.testing.assert_allclose(image_history, history - 60 * np.linalg.slogdet(A)[1], rtol=1e-9, atol=1e-7)


@each_structure
@given(seed=seeds)
@quick
def test_weights_are_repeated_rows(structure: str, seed: int) -> None:
    X = clusters(60, D, K, seed)
    counts = np.random.default_rng(seed).integers(0, 4, 60)
    theta = start(structure, X, K, seed)
    weighted, history = after(3, structure, (X, counts.astype(float)), theta)
    repeated, expected = after(3, structure, np.repeat(X, counts, axis=0), theta)
    assert repeated.distance(weighted) < 1e-9  # the order of sums, over three iterations
    np.testing.assert_allclose(history, expected, rtol=1e-11)


@each_structure
@given(seed=seeds)
@quick
def test_order_of_rows_and_components_does_not_count(structure: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = clusters(60, D, K, seed)
    theta = start(structure, X, K, seed)
    order = rng.permutation(K)
    plain, history = after(3, structure, X, theta)
    other, other_history = after(3, structure, rng.permutation(X), theta.permuted(order))
    assert plain.permuted(order).distance(other) < 1e-9  # the order of sums, over three iterations
    np.testing.assert_allclose(other_history, history, rtol=1e-11)
