"""Streams: each row is looked at once, and the mixture ends where a fit of all rows would."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import clone

from emix import GaussianMixture, GaussianModel
from emix.estimators.fit_state import parameters_of
from emix.estimators.partial_fit import FIRST_ITERATIONS
from emix.estimators.stream import LEAST_PART, LEAST_ROWS, POWER
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.structures import STRUCTURES
from emix.summary.summary import summary
from estimators.mixtures import each_type, quietly
from estimators.streams import ARRAYS, X, assert_near, assert_same_bits, stream
from gaussian.examples import clusters, naive_joint, naive_responsibilities

Array = NDArray[np.float64]

# Against other ways to the same


@each_type
def test_the_first_call_is_a_short_fit(covariance_type: str) -> None:
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=0)
    fit = quietly(clone(gm).set_params(max_iter=FIRST_ITERATIONS), X[:500])
    gm.partial_fit(X[:500])
    assert_same_bits(gm, fit)
    # A stream keeps the mean log-likelihood: a division by the number of rows and a multiplication, 1e-16 each.
    assert gm.log_likelihood_ == pytest.approx(fit.log_likelihood_, rel=1e-14)
    assert gm.lower_bound_ == pytest.approx(fit.lower_bound_, rel=1e-14)
    assert gm.n_iter_ == fit.n_iter_


@each_type
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_of_one_is_a_step_of_em(covariance_type: str, dtype: type, weighted: bool) -> None:
    rows, weight = X.astype(dtype), np.random.default_rng(0).uniform(0.0, 2.0, len(X)) if weighted else None
    gm = quietly(GaussianMixture(3, covariance_type=covariance_type, max_iter=3, init_params="random_from_data"), rows)
    expected = quietly(copy.copy(gm).set_params(warm_start=True, max_iter=1), rows, sample_weight=weight)
    assert_same_bits(gm.partial_fit(rows, sample_weight=weight, step=1.0), expected)


class Naive:
    """Stepwise EM of full covariances by raw moments, in NumPy."""

    def __init__(self, gm: GaussianMixture) -> None:
        self.theta = parameters_of(vars(gm))
        pi, mu, sigma = self.theta.weights, self.theta.means, self.theta.covariances
        second = sigma + mu[:, :, np.newaxis] * mu[:, np.newaxis, :]
        self.moments: tuple[Any, ...] = (
            pi, pi[:, np.newaxis] * mu, pi[:, np.newaxis, np.newaxis] * second, gm.lower_bound_
        )  # fmt: skip

    @staticmethod
    def of_rows(rows: Array, theta: GaussianParameters) -> tuple[Any, ...]:
        r = naive_responsibilities(rows, theta) / len(rows)
        mean_log_density = np.logaddexp.reduce(naive_joint(rows, theta), axis=1).mean()
        return r.sum(axis=0), r.T @ rows, np.einsum("ik,ij,il->kjl", r, rows, rows), mean_log_density

    @staticmethod
    def blend(old: tuple[Any, ...], new: tuple[Any, ...], share: float) -> tuple[Any, ...]:
        return tuple((1.0 - share) * a + share * b for a, b in zip(old, new))

    @staticmethod
    def maximum(moments: tuple[Any, ...]) -> GaussianParameters:
        weight, first, second, _ = moments
        mu = first / weight[:, np.newaxis]
        sigma = second / weight[:, np.newaxis, np.newaxis] - mu[:, :, np.newaxis] * mu[:, np.newaxis, :]
        return GaussianParameters.of(STRUCTURES["full"], weight / weight.sum(), mu, sigma)


def test_steps_of_one_s_own_are_stepwise_em() -> None:
    gm = quietly(GaussianMixture(3, max_iter=5, reg_covar=0.0, init_params="kmeans", random_state=0), X[:500])
    naive = Naive(gm)
    for t in range(1, 6):
        rows, step = X[500 * t : 500 * t + 500], (t + 2.0) ** -0.6
        gm.partial_fit(rows, step=step)
        naive.moments = naive.blend(naive.moments, naive.of_rows(rows, naive.theta), step)
        naive.theta = naive.maximum(naive.moments)
    # Raw moments of rows near the origin lose a digit or two.
    np.testing.assert_allclose(gm.weights_, naive.theta.weights, rtol=1e-10)
    np.testing.assert_allclose(gm.means_, naive.theta.means, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(gm.covariances_, naive.theta.covariances, rtol=1e-9, atol=1e-9)


def test_default_steps_are_those_of_the_documentation() -> None:
    """Blocks of 50 rows; steps (1 + t)^−0.55; an average with shares 2 / (t + 2) after t + 1 blocks."""
    assert (LEAST_ROWS, POWER) == (50, 0.55)
    gm = quietly(GaussianMixture(3, max_iter=5, reg_covar=0.0, init_params="kmeans", random_state=0), X[:500])
    n_blocks, naive = 10.0, Naive(gm)
    average, theta = naive.moments, naive.theta
    for first in range(500, 2000, 50):
        rows = X[first : first + 50]
        naive.moments = naive.blend(naive.moments, naive.of_rows(rows, theta), (1.0 + n_blocks) ** -0.55)
        n_blocks += 1.0
        theta = naive.maximum(naive.moments)
        average = naive.blend(average, naive.moments, 2.0 / (1.0 + n_blocks))
    theta = naive.maximum(average)
    stream(gm, X[500:2000], 750)
    np.testing.assert_allclose(gm.means_, theta.means, rtol=1e-9, atol=1e-9)  # as above, over thirty steps
    np.testing.assert_allclose(gm.covariances_, theta.covariances, rtol=1e-8, atol=1e-8)
    assert gm.n_iter_ == 5 + 30
    assert gm.lower_bound_ == pytest.approx(average[3], rel=1e-10)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_a_stream_ends_near_the_fit_of_all_rows(covariance_type: str) -> None:
    rows = np.random.default_rng(0).permutation(clusters(100_000, 3, 4, spread=2.0))
    gm = stream(GaussianMixture(4, covariance_type=covariance_type, init_params="kmeans", random_state=0), rows, 1000)
    fit = copy.copy(gm).set_params(warm_start=True, tol=1e-8).fit(rows)
    # 2 nats per free parameter; sampling noise of the fit itself is one half.
    assert fit.log_likelihood_ - gm.score(rows) * len(rows) <= 2.0 * fit.n_parameters_


# What does not matter


@each_type
def test_bits_do_not_depend_on_threads(covariance_type: str) -> None:
    rows = np.tile(X, (4, 1))
    settings: dict[str, Any] = {"covariance_type": covariance_type, "random_state": 0, "init_params": "kmeans"}
    one, three = (stream(GaussianMixture(3, n_threads=n, **settings), rows, 6000) for n in (1, 3))
    assert_same_bits(one, three)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_the_size_of_calls_does_not_matter(covariance_type: str) -> None:
    start = GaussianMixture(3, covariance_type=covariance_type, random_state=0).partial_fit(X[:500])
    whole, parts, few = (stream(copy.copy(start), X[500:], batch) for batch in (2500, 100, 20))
    assert_near(parts, whole, 1e-10)  # the same blocks; averages are moved to other centres on the way
    # Blocks of 20 rows count as 0.4: other steps, and an end that is nearer than sampling noise, 0.5 a parameter.
    assert abs(few.score(X) - whole.score(X)) * len(X) <= 0.25 * whole.n_parameters_


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_the_origin_does_not_matter(covariance_type: str) -> None:
    rows = np.round(X * 2.0**20) / 2.0**20  # 2^27 can be added without rounding
    gm = GaussianMixture(3, covariance_type=covariance_type, init_params="kmeans", reg_covar=1e-9, random_state=0)
    near, far = stream(clone(gm), rows), stream(clone(gm), rows + 2.0**27)
    np.testing.assert_allclose(far.means_ - 2.0**27, near.means_, rtol=0.0, atol=1e-6)  # eps of 1e8 is 1.5e-8
    np.testing.assert_allclose(far.covariances_, near.covariances_, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("power", [-1000, -40, 900])
@pytest.mark.parametrize("step", [None, 0.1])
def test_the_unit_of_weights_does_not_matter(power: int, step: float | None) -> None:
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
    gms = [GaussianMixture(3, init_params="kmeans", random_state=0) for _ in range(2)]
    for first in range(0, 2000, 500):
        part = slice(first, first + 500)
        for gm, unit in zip(gms, (1.0, 2.0**power)):
            gm.partial_fit(X[part], sample_weight=unit * weight[part], step=step)
    assert_same_bits(*gms)
    assert gms[1].total_weight_ == 2.0**power * gms[0].total_weight_
    assert gms[1].log_likelihood_ == pytest.approx(2.0**power * gms[0].log_likelihood_, rel=1e-14)


@pytest.mark.parametrize("step", [None, 0.1])
def test_rows_of_weight_zero_are_left_out(step: float | None) -> None:
    gm = quietly(GaussianMixture(3, random_state=0, max_iter=5), X[:1000])
    both, kept = copy.copy(gm), copy.copy(gm)
    weight = np.repeat([1.0, 0.0], 50)
    far = np.concatenate([X[1000:1050], np.full((50, 3), 1e9)])
    both.partial_fit(far, sample_weight=weight, step=step)
    kept.partial_fit(X[1000:1050], step=step)
    assert_near(both, kept, 1e-12)  # of sums about other centres
    assert both.total_weight_ == kept.total_weight_ == 1050


def test_weights_of_all_sizes_in_one_call() -> None:
    gm = quietly(GaussianMixture(3, random_state=0, max_iter=5), X[:1000])
    tiny = np.repeat([1.0, 1e-300, 5e-324], [100, 100, 100])
    both, kept = copy.copy(gm), copy.copy(gm)
    both.partial_fit(X[1000:1300], sample_weight=tiny)
    kept.partial_fit(X[1000:1100])
    assert_near(both, kept, 1e-12)  # what is left out is below rounding


def test_weights_of_another_size_than_those_of_the_fit() -> None:
    gm = quietly(GaussianMixture(3, random_state=0, max_iter=5), X[:1000])
    for unit in (1e-300, 1e300):
        other = copy.copy(gm).partial_fit(X[1000:1500], sample_weight=np.full(500, unit))
        assert np.isfinite([*other.weights_, *other.means_.ravel(), *other.covariances_.ravel()]).all()
        assert np.isfinite(other.lower_bound_)


# What a stream keeps


@each_type
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda gm: pickle.loads(pickle.dumps(gm)), None])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_stream_goes_on_from_a_copy_or_a_file(tmp_path: Path, covariance_type: str, copied: Any, dtype: type) -> None:
    rows = X.astype(dtype)
    gm = stream(GaussianMixture(3, covariance_type=covariance_type, random_state=0), rows[:1500])
    if copied is None:
        gm.save(tmp_path / "model")
        other = GaussianMixture.load(tmp_path / "model")
    else:
        other = copied(gm)
    assert (other.total_weight_, other.n_iter_, other.stopped_by_) == (1500.0, gm.n_iter_, "partial_fit")
    assert_same_bits(stream(other, rows[1500:]), stream(gm, rows[1500:]))
    assert other.log_likelihood_ == gm.log_likelihood_


def test_files_of_before_go_on(tmp_path: Path) -> None:
    path = Path(__file__).parents[1] / "files" / "written_by_0_1" / "full_float64.npz"
    old = GaussianMixture.load(path)
    rows = old.sample(200)[0]
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        old.partial_fit(rows)
    assert old.n_iter_ > GaussianMixture.load(path).n_iter_
    old.save(tmp_path / "model")
    assert_same_bits(GaussianMixture.load(tmp_path / "model"), old)


def test_the_state_does_not_grow() -> None:
    gm = stream(GaussianMixture(3, random_state=0), X[:1000])
    before = len(pickle.dumps(gm))
    stream(gm, X[1000:])
    assert len(pickle.dumps(gm)) <= before + 16  # counts have more digits


def test_a_fit_starts_anew() -> None:
    gm = stream(GaussianMixture(3, random_state=0), X[:1500])
    again, fresh = gm.fit(X[1500:]), GaussianMixture(3, random_state=0).fit(X[1500:])
    assert_same_bits(again, fresh)
    assert_same_bits(again.partial_fit(X[:500]), fresh.partial_fit(X[:500]))
    assert again.total_weight_ == 2000.0


def test_an_update_starts_anew() -> None:
    gm = stream(GaussianMixture(3, random_state=0), X[:1500])
    gm.update_from(gm.statistics(X))
    fresh = GaussianMixture.from_parameters(gm.weights_, gm.means_, gm.covariances_)
    assert_near(gm.partial_fit(X[:500]), fresh.partial_fit(X[:500]), 1e-9)  # W of Σ, or of the M-step
    assert gm.total_weight_ == 1000.0  # as many again as came


def test_a_fit_counts_as_much_as_its_rows() -> None:
    gm = GaussianMixture(3, random_state=0).fit(X)
    before = gm.log_likelihood_
    moved = parameters_of(vars(gm)).distance(parameters_of(vars(copy.copy(gm).partial_fit(X[:50]))))
    assert 0.0 < moved < 0.1  # 50 rows of 3 000
    assert copy.copy(gm).partial_fit(X[:500]).score(X) * len(X) > before - 2.0 * gm.n_parameters_
    few = GaussianMixture.from_parameters(gm.weights_, gm.means_, gm.covariances_)
    assert moved < parameters_of(vars(few)).distance(parameters_of(vars(few.partial_fit(X[:50]))))


def test_arrays_that_were_replaced_count() -> None:
    gm = stream(GaussianMixture(3, random_state=0), X[:1500])
    gm.means_ = gm.means_ + 0.25
    expected = gm.means_.copy()
    gm.partial_fit(X[1500:2000], step=1e-9)
    # The step moves a mean by 1e-9 of its distance from that of the rows, which is less than 100 times the mean.
    np.testing.assert_allclose(gm.means_, expected, rtol=1e-7)


@each_type
@pytest.mark.parametrize("reg_covar", [0.5, "auto"])
def test_reg_covar_is_not_added_twice(covariance_type: str, reg_covar: Any) -> None:
    gm = quietly(GaussianMixture(3, covariance_type=covariance_type, reg_covar=reg_covar, random_state=0), X)
    before = gm.covariances_.copy()
    gm.partial_fit(X[:500], step=1e-12)
    # "auto" adds 1e-8 of the variance within components, of which equal determinants make some dozens.
    np.testing.assert_allclose(gm.covariances_, before, rtol=0.0, atol=1e-6 * np.abs(before).max())


def test_covariances_below_reg_covar_stay_positive() -> None:
    gm = GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [1.0]], [1e-3, 1e-3], "spherical").set_params(
        reg_covar=1.0
    )
    gm.partial_fit(X[:100, :1])
    assert (gm.covariances_ > 1.0).all()


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "VEV", "EEI"])
def test_a_component_that_loses_all_rows_is_kept(covariance_type: str) -> None:
    rng = np.random.default_rng(0)
    near, far = rng.normal(size=(400, 2)), rng.normal(size=(400, 2)) + 40.0
    gm = GaussianMixture(2, covariance_type=covariance_type, random_state=0)
    gm.partial_fit(rng.permutation(np.concatenate([near, far])))
    lost = int(gm.means_[:, 0].argmax())
    mean = gm.means_[lost].copy()
    for _ in range(1200):
        gm.partial_fit(near[:100], step=0.5)  # 0.5^1200 is 0
    assert 0.0 < gm.weights_[lost] <= 1.001 * LEAST_PART
    np.testing.assert_allclose(gm.means_[lost], mean, rtol=1e-9)  # the rounding of 1 200 blends
    assert all(np.isfinite(getattr(gm, name)).all() for name in ARRAYS)
    assert gm.predict(far[:5]).tolist() == [lost] * 5
    gm.partial_fit(np.concatenate([near, far]), step=0.5)
    assert gm.weights_[lost] == pytest.approx(0.25)  # half of half of the rows


def test_precision_is_that_of_the_rows() -> None:
    single = X.astype(np.float32)
    gm = stream(GaussianMixture(3, random_state=0), single)
    assert all(getattr(gm, name).dtype == np.float32 for name in ARRAYS)
    assert_near(gm, stream(GaussianMixture(3, random_state=0), X), 1e-4)
    assert gm.partial_fit(X[:500]).means_.dtype == np.float64


def test_what_is_reported() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    gm = stream(GaussianMixture(3, random_state=0), frame)
    assert gm.feature_names_in_.tolist() == ["a", "b", "c"] and gm.n_features_in_ == 3
    assert gm.total_weight_ == 3000.0
    assert gm.log_likelihood_ == pytest.approx(gm.lower_bound_ * 3000.0, rel=1e-14)
    # Row i of n has a weight w_i in the average that grows as i, so that Σw² = 4 / (3n). The average differs from the
    # plain mean of log-densities of deviation σ by σ √(Σw² − 1/n) = σ / √(3n); four times that is allowed.
    # Under parameters of the i rows before it a row loses p / (2i) nats, p the number of parameters: p / n on average.
    # `score` gains p / (2n), as its rows are those of the fit.
    deviation, n = gm.score_samples(frame).std(), len(X)
    allowed = 4.0 * deviation / np.sqrt(3 * n) + 1.5 * gm.n_parameters_ / n
    assert gm.lower_bound_ == pytest.approx(gm.score(frame), abs=allowed)
    assert (gm.converged_, gm.stopped_by_) == (False, "partial_fit")
    assert gm.history_ == [] and gm.runs_ == [] and gm.lower_bounds_ == []
    assert gm.fit_time_ > 0.0
    assert "a stream: each row was looked at once" in " ".join(summary(gm).split())
    assert gm.to_sklearn().converged_ is False


def test_lower_bound_falls_if_the_stream_changes() -> None:
    gm = stream(GaussianMixture(3, random_state=0), X[:2000], step=0.2)
    before = gm.lower_bound_
    gm.partial_fit(X[2000:] + 10.0, step=0.2)
    joint = np.logaddexp.reduce(naive_joint(X[:1], parameters_of(vars(gm))), axis=1)
    assert np.isfinite(joint).all()
    assert gm.lower_bound_ < before - 1.0


def test_a_fixed_step_follows_a_drift() -> None:
    rng = np.random.default_rng(0)
    gm = GaussianMixture(2, random_state=0)
    for day in range(100):
        rows = rng.normal(size=(200, 1)) + np.repeat([0.0, 10.0], 100)[:, np.newaxis] + 0.1 * day
        gm.partial_fit(rows, step=0.3)
    # It lags by 0.1 (1 − γ)/γ; means of 100 rows, γ of them new, have a deviation of 0.04.
    np.testing.assert_allclose(np.sort(gm.means_.ravel()) - [9.9, 19.9], -0.1 * 0.7 / 0.3, rtol=0.0, atol=0.2)


def test_one_component_is_the_mean_of_all_rows() -> None:
    gm = stream(GaussianMixture(1, reg_covar=0.0), X, 250)
    model, theta = GaussianModel(1, 3), parameters_of(vars(gm))
    assert model.e_step(X, theta)[0].weight == pytest.approx(3000.0)
    # The average of blends weighs rows unequally: by its effective number of rows, some thousand of these 3 000.
    np.testing.assert_allclose(gm.means_[0], X.mean(axis=0), rtol=0.0, atol=4.0 * X.std() / np.sqrt(1000))
