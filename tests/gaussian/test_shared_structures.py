"""Structures that share a part of their covariances: Σ_k = λ_k D_k A_k D_kᵀ with equal volumes, shapes or axes."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import emix
from emix.em.loop import iterate
from emix.gaussian.collapse import judge_fit
from emix.gaussian.model import GaussianModel, q_function
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import STRUCTURES
from gaussian.examples import Array, clusters, in_form, start
from gaussian.shared_parts import ITERATED, SHARING, criterion, maximum, pooled_axes

each_sharing = pytest.mark.parametrize("structure", SHARING)
each_iterated = pytest.mark.parametrize("structure", ITERATED)
each_of_axes = pytest.mark.parametrize("structure", ["EVE", "VVE"])


def own_covariances(K: int, d: int, seed: int = 0, rows: int = 3) -> Array:
    """Random covariances, (K, d, d)."""
    roots = np.random.default_rng([seed, K, d]).normal(size=(K, d, d + rows))
    return np.asarray(roots @ roots.transpose(0, 2, 1))


def statistics_with(structure: str, matrices: Array, weight: Array) -> GaussianStatistics:
    """Statistics of components with these covariances of their own, about their means."""
    kind, (K, d, _) = STRUCTURES[structure], matrices.shape
    zeros = np.zeros((K, d))
    covariances = matrices if kind.form.has_matrices else np.diagonal(matrices, axis1=1, axis2=2)
    scatter = kind.form.scatter_of(covariances, weight, d)
    return GaussianStatistics.of(kind, zeros, weight, zeros, scatter, weight.sum(), 100, 0.0, taken_under=None)


def parameters_of(statistics: GaussianStatistics, reg_covar: float = 0.0) -> tuple[GaussianParameters, int]:
    """Those of one M-step, and the first component without whitening."""
    kind = statistics.structure
    packed, failed = kind.maximize(statistics, reg_covar)
    return GaussianParameters(kind, statistics.n_components, statistics.n_features, packed), failed


def full(theta: GaussianParameters) -> Array:
    return theta.structure.form.to_full(theta.covariances, theta.n_components, theta.n_features)


@each_sharing
def test_covariances_share_what_the_letters_say(structure: str) -> None:
    statistics = statistics_with(structure, own_covariances(3, 4), np.array([10.0, 20.0, 30.0]))
    theta, _ = parameters_of(statistics)
    covariances = full(theta)
    volume, shape, orientation = structure
    values = np.linalg.eigvalsh(covariances)
    sizes = np.exp(np.log(values).mean(axis=1))
    if volume == "E":
        np.testing.assert_allclose(sizes, sizes[0], rtol=1e-13)  # eigenvalues of matrices with a condition of 100
    if shape == "E":
        shapes = values / sizes[:, np.newaxis]
        np.testing.assert_allclose(shapes, np.tile(shapes[0], (3, 1)), rtol=1e-12)
    if orientation == "I":
        assert not covariances[:, ~np.eye(4, dtype=bool)].any()
    if orientation == "E":  # then they commute
        product = covariances[0] @ covariances[1]
        np.testing.assert_allclose(product, product.T, rtol=0, atol=1e-13 * np.abs(product).max())
    np.testing.assert_array_equal(covariances, covariances.transpose(0, 2, 1))
    assert len({tuple(row) for row in values.round(9)}) == (1 if volume == shape == "E" else 3)


@each_sharing
def test_one_component_has_its_own_covariance(structure: str) -> None:
    matrices = own_covariances(1, 5)
    theta, _ = parameters_of(statistics_with(structure, matrices, np.array([7.0])))
    expected = matrices if STRUCTURES[structure].form.has_matrices else matrices * np.eye(5)
    np.testing.assert_allclose(full(theta), expected, rtol=0, atol=1e-14 * matrices.max())


@each_sharing
def test_the_ridge_comes_before_the_structure(structure: str) -> None:
    matrices, weight = own_covariances(3, 4), np.array([10.0, 20.0, 30.0])
    with_ridge, _ = parameters_of(statistics_with(structure, matrices, weight), 0.25)
    moved, _ = parameters_of(statistics_with(structure, matrices + 0.25 * np.eye(4), weight))
    np.testing.assert_allclose(with_ridge.covariances, moved.covariances, rtol=1e-11, atol=1e-12)


@each_of_axes
@pytest.mark.parametrize("d", [2, 3, 6])
def test_no_turn_of_two_axes_gains_anything(structure: str, d: int) -> None:
    """A search over intervals of angles, pair by pair, stays where the M-step ended."""
    shares = np.array([1.0, 2.0, 3.0]) / 6.0
    for seed in range(3):
        matrices = own_covariances(3, d, seed, rows=10)
        found = STRUCTURES[structure].project(matrices, shares)
        axes = np.linalg.eigh(found.sum(axis=0))[1].T
        mine, pooled = (
            criterion(structure, matrices, shares, these) for these in (axes, pooled_axes(matrices, shares))
        )
        assert mine == pytest.approx(float(shares @ np.linalg.slogdet(found)[1]), abs=1e-12)
        assert mine < pooled - 1e-6  # where it began
        searched = maximum(structure, matrices, shares, axes)
        assert float(shares @ np.linalg.slogdet(searched)[1]) == pytest.approx(mine, abs=1e-12)


@each_iterated
def test_a_step_never_ends_below_where_it_began(structure: str) -> None:
    """And many steps end where one more has nothing to gain."""
    matrices, weight = own_covariances(4, 5), np.array([5.0, 10.0, 20.0, 30.0])
    statistics = statistics_with(structure, matrices, weight)
    other = STRUCTURES[structure].project(
        own_covariances(4, 5, seed=1) if structure[2] != "I" else np.exp(np.random.default_rng(0).normal(size=(4, 5))),
        weight / 65.0,
    )
    theta = GaussianParameters.of(STRUCTURES[structure], weight / 65.0, np.zeros((4, 5)), other)
    highest, gain = q_function(theta, statistics), np.inf
    for _ in range(300):
        statistics = replace(statistics, taken_under=theta)
        before, theta = highest, parameters_of(statistics)[0]
        highest = q_function(theta, statistics)
        assert highest >= before - 1e-11  # of 65 rows
        gain = STRUCTURES[structure].gain_left(statistics, 0.0, theta)
        if gain <= 1e-14:
            break
    assert gain <= 1e-14
    assert STRUCTURES[structure].gain_left(statistics, 0.0, theta) < 1e-12


@each_iterated
def test_a_fit_has_not_converged_before_its_steps_have(structure: str) -> None:
    X = clusters(400, 4, 3, spread=1.0)
    model = GaussianModel(3, 4, structure)
    before: list[Any] = []

    class Watched(GaussianModel):
        def gain_left(self, statistics: GaussianStatistics, parameters: GaussianParameters) -> float:
            before.append(super().gain_left(statistics, parameters))
            return before[-1]

    result = iterate(Watched(3, 4, structure), X, start(structure, X, 3), tol=1e-9, max_iter=5000)
    assert result.converged
    assert before[-1] <= 1e-9 * 400
    # Steps that may never end their search: the fit goes on to its last iteration.

    class Unsettled(GaussianModel):
        def gain_left(self, statistics: GaussianStatistics, parameters: GaussianParameters) -> float:
            return 1.0

    for stop in ("log_likelihood", "parameters"):
        result = iterate(Unsettled(3, 4, structure), X, result.parameters, tol=1e-9, stop=stop, max_iter=50)
        assert (result.converged, result.stopped_by, result.n_iter) == (False, "max_iter", 50)
    assert model.gain_left(result.statistics, result.parameters) >= 0.0


# Each structure and those that it contains, where E may become V, and I (no orientation) an axis.
CONTAINED = [
    (small, large)
    for small, large in itertools.permutations(
        ["EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV"], 2
    )
    if all(a == b or (a + b) in ("EV", "IE", "IV") for a, b in zip(small, large))
]


@pytest.mark.parametrize(("small", "large"), CONTAINED)
def test_a_wider_structure_goes_on_from_a_narrower_ones_fit(small: str, large: str) -> None:
    X = clusters(200, 3, 2, spread=1.0)
    names = {"VVV": "full", "EEE": "tied", "VVI": "diag", "VII": "spherical"}
    narrow, wide = names.get(small, small), names.get(large, large)
    fitted = iterate(GaussianModel(2, 3, narrow), X, start(narrow, X, 2), tol=1e-12, max_iter=3000)
    theta, kind = fitted.parameters, STRUCTURES[wide]
    matrices = full(theta)
    covariances = {"full": matrices, "tied": matrices[0], "diag": np.diagonal(matrices, axis1=1, axis2=2)}.get(
        kind.form.name, matrices[:, 0, 0]
    )
    begin = GaussianParameters.from_covariances(kind, theta.weights, theta.means, covariances)
    model = GaussianModel(2, 3, kind)
    result = iterate(model, X, begin, tol=1e-10, max_iter=200)
    history = [record.log_likelihood for record in result.history]
    assert history[0] == pytest.approx(fitted.log_likelihood, rel=1e-12)
    assert (np.diff(history) >= -1e-10).all()  # rounding of 200 rows
    assert result.log_likelihood >= fitted.log_likelihood - 1e-10


@each_sharing
@pytest.mark.parametrize("exponent", [-500, -30, 30, 490])
def test_units_do_not_matter(structure: str, exponent: int) -> None:
    X = clusters(200, 3, 2, spread=1.0)
    unit, theta, model = 2.0**exponent, start(structure, X, 2), GaussianModel(2, 3, structure)
    moved = GaussianParameters.of(theta.structure, theta.weights, theta.means * unit, theta.covariances * unit**2)
    for _ in range(4):
        theta = model.m_step(model.e_step(X, theta)[0])
        moved = model.m_step(model.e_step(X * unit, moved)[0])
    # Volumes are exponentials of logarithms of up to 700.
    np.testing.assert_allclose(moved.covariances / unit**2, theta.covariances, rtol=0, atol=1e-11)


@pytest.mark.parametrize("structure", ["EVI", "VEI", "VEE", "EVV", "EVE", "VVE", "VEV"])
@pytest.mark.parametrize("bad", [0.0, -1e-30])
def test_a_component_without_a_covariance_does_not_disturb_the_others(structure: str, bad: float) -> None:
    matrices, weight = own_covariances(4, 3), np.array([10.0, 20.0, 30.0, 5.0])
    matrices[1] = bad * np.eye(3)
    theta, failed = parameters_of(statistics_with(structure, matrices, weight))
    assert failed == 1
    covariances = full(theta)
    assert np.isfinite(covariances).all()
    rest = [0, 2, 3]
    alone, _ = parameters_of(statistics_with(structure, matrices[rest], weight[rest]))
    expected = full(alone)
    if structure[0] == "E":  # λ = Σ p |M|^(1/d), of which the collapsed one has nothing
        expected = expected * (45.0 / 65.0)
    np.testing.assert_allclose(covariances[rest], expected, rtol=1e-6, atol=1e-6)
    assert covariances[1].max() <= 1e-15


@each_sharing
def test_a_component_without_rows_takes_nothing_from_the_others(structure: str) -> None:
    matrices, weight = own_covariances(3, 3), np.array([10.0, 0.0, 30.0])
    theta, failed = parameters_of(statistics_with(structure, matrices, weight), 1e-3)
    assert failed == -1
    alone, _ = parameters_of(statistics_with(structure, matrices[[0, 2]], weight[[0, 2]]), 1e-3)
    assert theta.weights.tolist() == [0.25, 0.0, 0.75]
    np.testing.assert_allclose(full(theta)[[0, 2]], full(alone), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("structure", ["EVI", "EVE", "EVV"])
def test_a_collapse_that_equal_volumes_hide_is_seen(structure: str) -> None:
    """One component on equal values of a column: its other variances grow, so that none of the fitted ones is small."""
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(100, 3)), 8.0 + rng.normal(size=(100, 3))])
    X[100:, 1] = 8.0 + 1e-5 * rng.normal(size=100)
    theta = GaussianParameters.from_covariances(
        structure, [0.5, 0.5], [[0.0] * 3, [8.0] * 3], STRUCTURES[structure].form.from_pooled(np.eye(3), 2)
    )
    model = GaussianModel(2, 3, structure)
    result = iterate(model, X, theta, tol=1e-8, max_iter=50)
    judgement = judge_fit(result.statistics, 0.0, 200.0)
    assert judgement.collapse is not None
    assert (judgement.collapse.component, judgement.collapse.column) == (1, 1)


@each_sharing
def test_regular_is_certain(structure: str) -> None:
    """Where the compiled look says that nothing is near a collapse, the close one finds nothing."""
    n_regular = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        X = clusters(150, 3, 3, seed) * 10.0 ** rng.uniform(-3, 3, size=3)
        X[:40, 1] = X[0, 1] + 10.0 ** rng.uniform(-9, 0) * X[:40, 1]
        run = GaussianModel(3, 3, structure, "auto").begin(X)
        model, theta = GaussianModel(3, 3, structure, "auto"), start(structure, X, 3, seed)
        try:
            for _ in range(5):
                theta = model.m_step(run.e_step(theta)[0])
            statistics, _ = run.e_step(theta)
        except emix.DegenerateCovarianceError:
            continue
        if not statistics.structure.is_regular(statistics, "auto"):
            continue
        n_regular += 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(statistics.structure), "is_regular", lambda *_: False)
            judgement = judge_fit(statistics, "auto", 150.0)
        assert judgement.collapse is None or "too few" in judgement.collapse.message()
        assert not judgement.columns.constant and not judgement.columns.swamped
    assert n_regular >= 3


@each_sharing
def test_rounded_parameters_are_made_exact(structure: str) -> None:
    """Covariances rounded to single precision are of the structure but for that, and come back as its nearest."""
    matrices, weights = own_covariances(3, 4), np.array([0.2, 0.3, 0.5])
    exact = np.asarray(in_form(structure, matrices, weights))
    rounded = exact.astype(np.float32).astype(np.float64)
    found = GaussianParameters.from_covariances(structure, weights, np.zeros((3, 4)), rounded).covariances
    assert STRUCTURES[structure].project(found, weights) is found
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5 * exact.max())


@each_sharing
def test_a_fit_of_the_estimator_goes_through_a_file(structure: str, tmp_path: Any) -> None:
    X = clusters(300, 3, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gm = emix.GaussianMixture(2, covariance_type=structure, init_params="kmeans", random_state=0).fit(X)
    gm.save(tmp_path / "model.npz")
    loaded = emix.GaussianMixture.load(tmp_path / "model.npz")
    assert loaded.covariance_type == structure
    np.testing.assert_array_equal(loaded.score_samples(X), gm.score_samples(X))
    K, d = 2, 3
    assert gm.n_parameters_ == K - 1 + K * d + STRUCTURES[structure].n_parameters(K, d)
    single = emix.GaussianMixture(2, covariance_type=structure, init_params="kmeans", random_state=0)
    single.fit(X.astype(np.float32))
    assert single.covariances_.dtype == np.float32
    np.testing.assert_allclose(single.covariances_, gm.covariances_, rtol=0, atol=1e-2)  # of EM that stops at 1e-6
    single.predict(X.astype(np.float32))


def test_an_unknown_structure_is_told_the_nearest() -> None:
    for wrong, nearest in (("VVEE", "VVE"), ("ful", "full"), ("vev", "VEV"), ("sphere", "spherical")):
        with pytest.raises(ValueError, match=f"Got '{wrong}' instead. Did you mean '{nearest}'"):
            emix.GaussianMixture(2, covariance_type=wrong).fit(np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"Got 'qqq' instead\.$"):
        emix.GaussianMixture(2, covariance_type="qqq").fit(np.zeros((4, 2)))
