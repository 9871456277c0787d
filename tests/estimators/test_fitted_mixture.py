"""What a mixture says of rows and draws, whether it was fitted or its parameters are known."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import scipy.stats

from emix import GaussianMixture, NotFittedError
from emix.gaussian.structures import STRUCTURES
from estimators.mixtures import X, each_type

# Scores


@each_type
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_fit_predict_is_fit_then_predict(covariance_type: str, dtype: type) -> None:
    data = X.astype(dtype)
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=0)
    labels = gm.fit_predict(data)
    np.testing.assert_array_equal(labels, gm.predict(data))
    np.testing.assert_array_equal(labels, gm.predict_proba(data).argmax(axis=1))
    assert labels.dtype == np.intp
    assert gm.predict_proba(data).dtype == gm.score_samples(data).dtype == dtype


def test_rows_far_from_everything() -> None:
    gm = GaussianMixture(3, random_state=0).fit(X)
    far = np.array([[1e160, 0.0, 0.0], [1e300, -1e300, 1e300], [0.0, 0.0, 1e100]])
    responsibilities = gm.predict_proba(far)
    np.testing.assert_allclose(responsibilities.sum(axis=1), 1.0, rtol=1e-15)
    with pytest.warns(RuntimeWarning, match="The density is zero in float64, and its logarithm -inf, for 2 of 3 rows"):
        density = gm.score_samples(far)
    np.testing.assert_array_equal(np.isneginf(density), [True, True, False])
    np.testing.assert_array_equal(gm.predict(far), responsibilities.argmax(axis=1))


@pytest.mark.parametrize(("dtype", "far"), [(np.float64, 1e154), (np.float32, 2e19)])
def test_a_density_of_zero_is_warned_of(dtype: type, far: float) -> None:
    # ½‖x‖² of the row is beyond the largest number: 1.8e308, 3.4e38.
    gm = GaussianMixture.from_parameters([1.0], np.zeros((1, 2)), np.full(1, 0.25), "spherical")
    rows = np.array([[1.0, 2.0], [0.0, -far], [far, 0.0]], dtype=dtype)
    name = np.dtype(dtype).name
    text = (
        f"The density is zero in {name}, and its logarithm -inf, for 2 of 3 rows, which are far from every component. "
        f"The first has {rows[1, 1]:g} in column 1. Look for values that stand for missing ones, or leave such rows "
        "out."
    )
    for use in (gm.score_samples, gm.score, gm.bic, gm.aic, gm.icl, gm.score_rows):
        with pytest.warns(RuntimeWarning, match=re.escape(text)) as caught:
            use(rows)
        assert len(caught) == 1
        assert caught[0].filename == __file__
    # Nothing of these is lost.
    assert gm.predict(rows).tolist() == [0, 0, 0]
    assert gm.predict_proba(rows).tolist() == [[1.0]] * 3
    # A row that is as far as a density may be.
    assert gm.score_samples(np.array([[far / 10.0, 0.0]], dtype=dtype)) == pytest.approx(-2.0 * (far / 10.0) ** 2)


def test_scikit_learns_name_of_the_number_of_parameters() -> None:
    gm = GaussianMixture(3, random_state=0).fit(X)
    assert gm._n_parameters() == gm.n_parameters_ == 2 + 3 * 3 + 3 * 6
    with pytest.raises(NotFittedError, match="not fitted yet"):
        GaussianMixture(3)._n_parameters()


def test_scoring_leaves_the_estimator_alone() -> None:
    gm = GaussianMixture(3, random_state=0).fit(X)
    before = dict(vars(gm))
    gm.predict(X), gm.predict_proba(X), gm.score_samples(X), gm.score(X), gm.sample(3), gm.bic(X), gm.icl(X)
    assert vars(gm).keys() == before.keys()
    assert all(vars(gm)[name] is value for name, value in before.items())


def test_criteria_are_their_formulae() -> None:
    gm = GaussianMixture(3, random_state=0).fit(X)
    total, n = gm.score_samples(X).sum(), len(X)
    n_parameters = 2 + 3 * 3 + 3 * 6
    assert gm.n_parameters_ == n_parameters
    assert gm.aic(X) == pytest.approx(-2.0 * total + 2.0 * n_parameters, rel=1e-14)
    assert gm.bic(X) == pytest.approx(-2.0 * total + math.log(n) * n_parameters, rel=1e-14)
    # Entropies of 300 rows in another order; the rest is the same arithmetic.
    entropy = scipy.stats.entropy(gm.predict_proba(X), axis=1).sum()
    assert gm.icl(X) == pytest.approx(gm.bic(X) + 2.0 * entropy, rel=1e-12)
    one = GaussianMixture().fit(X)
    assert one.icl(X) == pytest.approx(one.bic(X), rel=1e-15)


def test_scores_of_one_pass_are_those_of_the_methods() -> None:
    gm = GaussianMixture(3, random_state=0).fit(X)
    scores = gm.score_rows(X, responsibilities=True, labels=True)
    np.testing.assert_array_equal(scores.log_density, gm.score_samples(X))
    np.testing.assert_array_equal(scores.responsibilities, gm.predict_proba(X))
    np.testing.assert_array_equal(scores.labels, gm.predict(X))
    assert gm.score_rows(X, log_density=False, labels=True).log_density is None
    with pytest.raises(ValueError, match="not fitted"):
        GaussianMixture(3).score_rows(X)
    assert not hasattr(GaussianMixture(3), "n_parameters_")


# Samples


@each_type
def test_samples_have_the_mixtures_moments(covariance_type: str) -> None:
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    rows, labels = gm.sample(200_000)
    assert rows.shape == (200_000, 3)
    assert rows.dtype == np.float64
    assert np.all(np.diff(labels) >= 0)
    covariances = STRUCTURES[covariance_type].form.to_full(np.asarray(gm.covariances_), 3, 3)
    for k in range(3):
        mine = rows[labels == k]
        # Five standard errors of a share, of a mean, of a covariance.
        assert len(mine) / 200_000 == pytest.approx(gm.weights_[k], abs=5.0 * math.sqrt(0.25 / 200_000))
        deviations = np.sqrt(np.diag(covariances[k]))
        np.testing.assert_allclose(
            mine.mean(axis=0), gm.means_[k], rtol=0, atol=5.0 * deviations.max() / math.sqrt(len(mine))
        )
        bound = 5.0 * math.sqrt(2.0 / len(mine)) * deviations.max() ** 2
        np.testing.assert_allclose(np.cov(mine, rowvar=False), covariances[k], rtol=0, atol=bound)


def test_sample_by_seed() -> None:
    gm = GaussianMixture.from_parameters([0.3, 0.7], [[0.0], [9.0]], [1.0, 1.0], "spherical").set_params(random_state=0)
    np.testing.assert_array_equal(gm.sample(5)[0], gm.sample(5)[0])
    gm.set_params(random_state=np.random.default_rng(0))
    assert not np.array_equal(gm.sample(5)[0], gm.sample(5)[0])


# Known parameters


@each_type
def test_known_parameters_score_as_scipy_does(covariance_type: str) -> None:
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    known = GaussianMixture.from_parameters(gm.weights_, gm.means_, gm.covariances_, covariance_type)
    full = STRUCTURES[covariance_type].form.to_full(np.asarray(gm.covariances_), 3, 3)
    density = sum(
        w * scipy.stats.multivariate_normal(m, c).pdf(X) for w, m, c in zip(gm.weights_, gm.means_, full, strict=True)
    )
    # SciPy takes eigenvalues of covariances with condition numbers up to 1e4.
    np.testing.assert_allclose(known.score_samples(X), np.log(density), rtol=1e-10)
    np.testing.assert_array_equal(known.predict(X), gm.predict(X))
    assert known.n_components == 3
    assert known.covariance_type == covariance_type
    assert not hasattr(known, "log_likelihood_")


def test_components_may_be_put_in_another_order() -> None:
    gm = GaussianMixture(3, random_state=0).fit(X)
    labels, density = gm.predict(X), gm.score_samples(X)
    order = np.array([2, 0, 1])
    gm.weights_, gm.means_, gm.covariances_ = gm.weights_[order], gm.means_[order], gm.covariances_[order]
    np.testing.assert_allclose(gm.score_samples(X), density, rtol=1e-10)  # the same terms in another order
    np.testing.assert_array_equal(order[gm.predict(X)], labels)


def test_scores_under_tiny_weights_in_any_error_state() -> None:
    gm = GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [1e-3]], [[[1.0]], [[1.0]]])
    rows, weight = np.array([[0.0], [0.5], [3.0]]), np.full(3, 2.0**-1060)
    expected = gm.score(rows)
    with np.errstate(all="raise"):
        # Σw is exact, of Σ w log p some 14 digits below the smallest normal number are left out.
        assert gm.score(rows, sample_weight=weight) == pytest.approx(expected, rel=1e-2)
        for criterion in (gm.icl, gm.bic):
            with pytest.warns(UserWarning, match=r"takes n to be the sum of sample_weight, 2\.42"):
                assert math.isfinite(criterion(rows, weight))
