"""Components, marginals and conditionals of a mixture: against loops over components with SciPy, and themselves."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emix import DegenerateCovarianceError, GaussianMixture, MixtureSelector, MultivariateNormal, NotFittedError
from emix.gaussian.structures import STRUCTURES
from estimators.mixtures import X, each_type

Array = NDArray[np.float64]

# Some rounding errors of conditional means and log-densities of well-conditioned components.
CLOSE = 1e-10
NAMES = ["height", "weight", "age"]

each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def fitted(covariance_type: str, dtype: Any = np.float64, offset: float = 0.0) -> GaussianMixture:
    return GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit((X + offset).astype(dtype))


def matrices(gm: GaussianMixture) -> Array:
    form = STRUCTURES[gm.covariance_type].form
    return form.to_full(np.asarray(gm.covariances_, dtype=np.float64), len(gm.weights_), gm.n_features_in_)


def by_hand(gm: GaussianMixture, known: list[int], values: Array) -> tuple[Array, Array, Array]:
    """Weights, means and covariances of the other features by the formulae, component by component."""
    others = [j for j in range(gm.n_features_in_) if j not in known]
    log_weights, means, covariances = [], [], []
    for weight, mean, sigma in zip(gm.weights_, gm.means_, matrices(gm), strict=True):
        inner, cross = sigma[np.ix_(known, known)], sigma[np.ix_(others, known)]
        marginal = scipy.stats.multivariate_normal(mean[known], inner)
        log_weights.append(np.log(weight) + marginal.logpdf(values))
        gain = cross @ np.linalg.inv(inner)
        means.append(mean[others] + gain @ (values - mean[known]))
        covariances.append(sigma[np.ix_(others, others)] - gain @ cross.T)
    weights = np.exp(np.array(log_weights) - np.max(log_weights))
    return weights / weights.sum(), np.array(means), np.array(covariances)


# Components


@each_type
def test_components_add_up_to_the_mixture(covariance_type: str) -> None:
    gm = fitted(covariance_type)
    parts = [weight * gm.component(k).pdf(X) for k, weight in enumerate(gm.weights_)]
    np.testing.assert_allclose(np.log(np.sum(parts, axis=0)), gm.score_samples(X), rtol=CLOSE, atol=CLOSE)
    assert gm.component(-1) == gm.component(2)
    assert isinstance(gm.component(np.int64(0)), MultivariateNormal)


def test_bad_components_are_named() -> None:
    gm: Any = fitted("full")
    for bad in (3, -4):
        with pytest.raises(ValueError, match=rf"k is {bad}, expected a component from 0 to 2\."):
            gm.component(bad)
    for wrong in (1.0, "a", True, None):
        with pytest.raises(TypeError, match="expected an int: the number of a component"):
            gm.component(wrong)
    line = np.array([[1.0, 1.0], [1.0, 1.0 + 1.3e-15]])
    thin = GaussianMixture.from_parameters([1.0], [[0.0, 0.0]], line[None])
    with pytest.raises(DegenerateCovarianceError, match="component 0 has no density: its covariance is not positive"):
        thin.component(0)


# Marginals


@each_type
@each_dtype
def test_marginals_hold_the_same_parameters(covariance_type: str, dtype: Any) -> None:
    gm = fitted(covariance_type, dtype)
    part = gm.marginal([2, 0])
    assert part.covariances_.dtype == part.means_.dtype == dtype
    np.testing.assert_array_equal(part.weights_, gm.weights_)
    np.testing.assert_array_equal(part.means_, gm.means_[:, [2, 0]])
    np.testing.assert_array_equal(matrices(part), matrices(gm)[:, [2, 0]][:, :, [2, 0]])
    assert part.n_features_in_ == 2
    again = pickle.loads(pickle.dumps(part))
    np.testing.assert_array_equal(again.score_samples(X[:, :2]), part.score_samples(X[:, :2]))


def test_covariance_types_that_hold_for_some_features_are_kept() -> None:
    kept = {name: fitted(name).marginal([0, 2]).covariance_type for name in STRUCTURES}
    closed = {"full", "tied", "diag", "spherical", "EEI", "EII", "VEI", "VEE"}
    assert kept == {name: name if name in closed else "diag" if name == "EVI" else "full" for name in STRUCTURES}
    under = {name: fitted(name).conditional({1: X[0, 1]}).covariance_type for name in STRUCTURES}
    assert under == kept
    # The user's word for a structure is kept too.
    assert GaussianMixture(2, covariance_type="VVV").fit(X).marginal(0).covariance_type == "VVV"
    # Matrices of one mixture are multiples of one another in VEE, and stay so.
    for part in (fitted("VEE").marginal([0, 2]), fitted("VEE").conditional({1: X[0, 1]})):
        ratios = part.covariances_ / part.covariances_[0]
        np.testing.assert_allclose(ratios, ratios[:, :1, :1] * np.ones((2, 2)), rtol=CLOSE)


def test_marginal_density_is_the_integral_of_the_density() -> None:
    gm = GaussianMixture(3, random_state=0).fit(X[:, :2])
    y, step = np.linspace(-40.0, 40.0, 4001, retstep=True)
    for x in (-3.0, 0.0, 2.0):
        density = np.exp(gm.score_samples(np.column_stack([np.full(len(y), x), y])))
        # The trapezoidal rule converges faster than any power for a sum of Gaussians.
        assert np.exp(gm.marginal(0).score_samples([[x]]))[0] == pytest.approx(density.sum() * step, rel=1e-10)


# Conditionals


@each_type
@each_dtype
@pytest.mark.parametrize("known", [[1], [2, 0]])
def test_conditionals_are_those_by_hand(covariance_type: str, dtype: Any, known: list[int]) -> None:
    gm = fitted(covariance_type, dtype)
    points = X[::40][:, known]
    many = gm.conditional(dict(zip(known, points.T, strict=True)))
    # Attributes of float32 are rounded: by hand, only so many digits can agree.
    close = CLOSE if dtype is np.float64 else 2e-3
    for i, point in enumerate(points):
        weights, means, covariances = by_hand(gm, known, point)
        one = gm.conditional(dict(zip(known, point, strict=True)))
        assert one.means_.dtype == dtype
        np.testing.assert_allclose(many.weights[i], weights, rtol=0, atol=close)
        np.testing.assert_allclose(many.means[i], means, rtol=close, atol=close)
        np.testing.assert_allclose(many.covariances, covariances, rtol=close, atol=close)
        np.testing.assert_array_equal(one.weights_, many.weights[i].astype(dtype))
        # Products of one row and of many may be summed in another order.
        np.testing.assert_allclose(one.means_, many.means[i], rtol=1e-12 if dtype is np.float64 else 1e-6)
        np.testing.assert_allclose(matrices(one), many.covariances, rtol=1e-12 if dtype is np.float64 else 1e-6)


@each_type
def test_conditional_times_marginal_is_the_joint_density(covariance_type: str) -> None:
    gm, rows = fitted(covariance_type), X[::17]
    many = gm.conditional({0: rows[:, 0], 2: rows[:, 2]})
    joint = many.logpdf(rows[:, 1]) + gm.marginal([0, 2]).score_samples(rows[:, [0, 2]])
    np.testing.assert_allclose(joint, gm.score_samples(rows), rtol=CLOSE, atol=CLOSE)


@each_type
def test_an_offset_costs_no_accuracy(covariance_type: str) -> None:
    rows = X[::40, :2]
    gm = fitted(covariance_type, offset=1e8)
    weights, means, deviations = gm.weights_, gm.means_ - 1e8, matrices(gm)
    at_zero = GaussianMixture.from_parameters(weights, means, deviations)
    far, near = (m.conditional({0: r[:, 0], 1: r[:, 1]}) for m, r in ((gm, rows + 1e8), (at_zero, rows)))
    # Values and means near 1e8 are rounded to 1.5e-8.
    np.testing.assert_allclose(far.means - 1e8, near.means, rtol=0, atol=1e-6)
    np.testing.assert_allclose(far.weights, near.weights, rtol=0, atol=1e-6)
    np.testing.assert_allclose(far.covariance(), near.covariance(), rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), covariance_type=st.sampled_from(sorted(STRUCTURES)))
def test_conditionals_and_marginals_commute(seed: int, covariance_type: str) -> None:
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(4, 6))
    spread = STRUCTURES[covariance_type].form.from_pooled(factor @ factor.T, 2)
    gm = GaussianMixture.from_parameters([0.3, 0.7], 2 * rng.normal(size=(2, 4)), spread, covariance_type)
    a, b = rng.normal(size=2)
    once, twice = gm.conditional({1: a, 3: b}), gm.conditional({3: b}).conditional({1: a})
    marginal = gm.conditional({3: b}).marginal([1, 0]), gm.marginal([1, 0, 3]).conditional({2: b})
    for one, other in ((once, twice), marginal):
        # Conditional means are sums of a few terms, of up to some tens.
        np.testing.assert_allclose(one.weights_, other.weights_, rtol=1e-9)
        np.testing.assert_allclose(one.means_, other.means_, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(matrices(one), matrices(other), rtol=1e-9, atol=1e-9)


def test_units_do_not_matter() -> None:
    gm, units = fitted("full"), np.array([2.0**-300, 2.0**250, 1.0])
    scaled = GaussianMixture.from_parameters(
        gm.weights_, gm.means_ * units, gm.covariances_ * units[:, None] * units, "full"
    )
    here, there = (m.conditional({0: X[::40, 0] * u[0], 2: X[::40, 2]}) for m, u in ((gm, np.ones(3)), (scaled, units)))
    # Powers of two change no bit, but for the logarithm of the determinant.
    np.testing.assert_array_equal(there.means, here.means * units[1])
    np.testing.assert_allclose(there.weights, here.weights, rtol=0, atol=1e-12)
    np.testing.assert_allclose(there.std(), here.std() * units[1], rtol=1e-12)


def test_far_values_are_weighted_by_their_logarithms() -> None:
    gm = GaussianMixture.from_parameters([0.5, 0.5], [[0.0, 0.0], [1.0, 5.0]], [[[1.0, 0.5], [0.5, 1.0]]] * 2)
    # Both densities underflow at −100; their ratio is exp((100² − 101²)/2).
    under = gm.conditional({0: -100.0})
    assert under.weights_[1] == pytest.approx(np.exp(-201 / 2), rel=1e-10)
    np.testing.assert_allclose(under.means_.ravel(), [-50.0, 5 - 50.5], rtol=1e-12)
    assert np.isfinite(gm.conditional({0: 1e150}).means_).all()
    for values in (1e160, [0.0, 1e160]):
        with pytest.raises(
            ValueError, match=r"given has values at which the density is zero( \(row 1, 1 of 2\))?: they"
        ):
            gm.conditional({0: values})


def test_means_that_overflow_are_refused() -> None:
    # The mean of the other feature rises by 7.9e153 for each unit of the given one.
    steep = GaussianMixture.from_parameters([1.0], [[0.0, 1.75e308]], [[[1.0, 7.9e153], [7.9e153, 6.4e307]]])
    np.testing.assert_allclose(steep.conditional({0: 1e152}).means_, 1.75e308 + 7.9e305, rtol=1e-12)
    for values in (1e153, [0.0, 1e153]):
        with pytest.raises(
            ValueError, match=r"given has values at which a conditional mean overflows( \(row 1, 1 of 2\))?: they"
        ):
            steep.conditional({0: values})


def test_nothing_given_is_a_copy() -> None:
    gm = fitted("full")
    copied = gm.conditional({})
    assert copied is not gm
    np.testing.assert_array_equal(copied.score_samples(X), gm.score_samples(X))
    assert len(gm.conditional({0: []})) == 0


# Names and settings


def test_names_and_settings_are_kept(tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=NAMES)
    gm = GaussianMixture(3, random_state=5, n_threads=1, means_init=X[:3]).fit(frame)
    assert gm.component(0).feature_names_in_.tolist() == NAMES
    pair = gm.marginal(["age", "height"])
    assert pair.feature_names_in_.tolist() == ["age", "height"]
    np.testing.assert_array_equal(pair.means_, gm.marginal([2, 0]).means_)
    np.testing.assert_array_equal(gm.marginal([False, True, False]).means_, gm.marginal("weight").means_)
    assert (pair.random_state, pair.n_threads, pair.means_init) == (5, 1, None)
    pair.score_samples(frame[["age", "height"]])
    left = gm.conditional({"weight": 0.5})
    assert left.feature_names_in_.tolist() == ["height", "age"]
    np.testing.assert_array_equal(left.means_, gm.conditional({-2: 0.5}).means_)
    many = gm.conditional({"weight": frame["weight"]})
    assert many.feature_names is not None and many.feature_names.tolist() == ["height", "age"]
    assert many[0].feature_names_in_.tolist() == ["height", "age"]
    left.save(tmp_path / "left.npz")
    loaded = GaussianMixture.load(tmp_path / "left.npz")
    np.testing.assert_array_equal(
        loaded.score_samples(frame[["height", "age"]]), left.score_samples(frame[["height", "age"]])
    )
    assert copy.deepcopy(left).fit(X).converged_
    # Columns of one name can only be told apart by number.
    twins = GaussianMixture(2, random_state=0).fit(pd.DataFrame(X, columns=["a", "a", "b"]))
    assert not hasattr(twins.component(0), "feature_names_in_")
    assert twins.marginal([1]).feature_names_in_.tolist() == ["a"]


def test_attributes_of_users_count() -> None:
    gm = fitted("full")
    gm.means_ = gm.means_ + 1.0
    np.testing.assert_allclose(gm.marginal([0]).means_, gm.means_[:, :1], rtol=1e-15)
    np.testing.assert_allclose(gm.mean(), gm.weights_ @ gm.means_, rtol=1e-14)


def test_a_selector_has_the_operations_of_its_mixture() -> None:
    selector = MixtureSelector([2, 3], ["full", "tied"], random_state=0).fit(X)
    best = selector.best_
    assert type(selector.marginal(0)) is GaussianMixture
    np.testing.assert_array_equal(selector.conditional({0: 1.0}).means_, best.conditional({0: 1.0}).means_)
    assert selector.component(0) == best.component(0)
    np.testing.assert_array_equal(selector.mahalanobis(X), best.mahalanobis(X))
    assert selector.kl_divergence(best, 10) == best.kl_divergence(selector, 10) == (0.0, 0.0)


# Bad input


def test_bad_features_are_named() -> None:
    gm: Any = GaussianMixture(3, random_state=0).fit(pd.DataFrame(X, columns=NAMES))
    with pytest.raises(ValueError, match=r"features names a feature twice: \['age', 2\]\. Name each once\."):
        gm.marginal(["age", 2])
    with pytest.raises(ValueError, match=r"features has 'wieght', which no feature .* Did you mean 'weight'\?"):
        gm.marginal(["wieght"])
    with pytest.raises(ValueError, match=r"given has 'wieght', which no feature .* Did you mean 'weight'\?"):
        gm.conditional({"wieght": 1.0})
    with pytest.raises(ValueError, match=r"features is empty, expected at least one feature"):
        gm.marginal([])
    for unordered in ({"age", "height"}, {"age": 1.0}):
        with pytest.raises(TypeError, match=r"features is \{.*\}, expected a sequence: the features of the result are"):
            gm.marginal(unordered)
    with pytest.raises(ValueError, match=r"features has feature 3, expected one from 0 to 2\.$"):
        gm.marginal(3)
    numbered = GaussianMixture(1).fit(pd.DataFrame(X[:, :2], columns=[10, 20]))
    with pytest.raises(ValueError, match=r"feature 20, .* by position; a frame's labels are names only if all are str"):
        numbered.marginal(20)
    with pytest.raises(TypeError, match=r"features has 0\.5, expected features by name, 'height', 'weight', 'age', or"):
        gm.marginal(0.5)
    with pytest.raises(ValueError, match=r"given names all 3 features, expected at least one to be left out"):
        gm.conditional({0: 1.0, 1: [1.0, 2.0], 2: 1.0})
    with pytest.raises(TypeError, match=r"given is 1\.0, expected a mapping of features to values"):
        gm.conditional(1.0)
    with pytest.raises(ValueError, match=r"given has nan for feature 1 \('weight'\), expected a finite number"):
        gm.conditional({"weight": np.nan})
    with pytest.raises(ValueError, match=r"given has inf for feature 1 \('weight'\), row 1, expected a finite"):
        gm.conditional({"weight": [0.0, np.inf]})
    with pytest.raises(
        ValueError, match=r"given has an array of shape \(3,\) for feature 2 \('age'\), expected 2 numb"
    ):
        gm.conditional({"weight": [0.0, 1.0], "age": [1.0, 2.0, 3.0]})
    unfitted: Any = GaussianMixture()
    for operation in (lambda: unfitted.marginal(0), lambda: unfitted.conditional({0: 1.0}), unfitted.mean):
        with pytest.raises(NotFittedError, match="This GaussianMixture instance is not fitted yet"):
            operation()
    with pytest.raises(NotFittedError, match="This MixtureSelector instance is not fitted yet"):
        MixtureSelector().mean()


# Classes derived from GaussianMixture


class Diagonal(GaussianMixture):
    """A mixture that sets parameters by itself, and has one of its own."""

    def __init__(self, n_components: int = 1, *, tag: str = "") -> None:
        super().__init__(n_components, covariance_type="diag", tol=1e-3, random_state=0)
        self.tag = tag


def test_mixtures_made_of_a_derived_class_are_plain() -> None:
    gm = Diagonal(2, tag="mine").fit(X)
    for made in (gm.marginal([0, 1]), gm.conditional({2: 0.5}), gm.conditional({})):
        assert isinstance(made, GaussianMixture) and type(made) is GaussianMixture
        assert (made.covariance_type, made.tol, made.random_state) == ("diag", 1e-3, 0)
    np.testing.assert_array_equal(gm.marginal([0, 1]).means_, gm.means_[:, :2])
    np.testing.assert_array_equal(gm.conditional({}).score_samples(X), gm.score_samples(X))
