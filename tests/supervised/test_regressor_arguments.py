"""Names, bad input, derived classes and changed mixtures of a MixtureRegressor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from emix import GaussianMixture, MixtureRegressor, NotFittedError
from supervised.curves import curve

# Names, and bad input


def test_names_are_kept_and_compared() -> None:
    X, y = curve()
    frame = pd.DataFrame(X, columns=["a", "y"])
    regressor = MixtureRegressor(2, random_state=0).fit(frame, pd.Series(y, name="price"))
    assert regressor.feature_names_in_.tolist() == ["a", "y"]
    assert regressor.mixture_.feature_names_in_.tolist() == ["a", "y", "price"]
    regressor.predict(frame)
    with pytest.raises(ValueError, match=r"Feature names must be in the same order"):
        regressor.predict(frame[["y", "a"]])
    names = regressor.conditional(frame).feature_names
    assert names is not None and names.tolist() == ["price"]
    # An output without a name must not have a feature's.
    plain = MixtureRegressor(2, random_state=0).fit(frame, y)
    assert plain.mixture_.feature_names_in_.tolist() == ["a", "y", "output y"]
    two = MixtureRegressor().fit(frame, np.column_stack([y, X[:, 0] ** 2]))
    assert two.mixture_.feature_names_in_.tolist() == ["a", "y", "y0", "y1"]
    constant = np.full(len(y), 3.0)
    with pytest.warns(UserWarning, match=r"Column 'z' is constant"):
        MixtureRegressor().fit(pd.DataFrame({"x": X[:, 0], "z": constant}), y)
    with pytest.warns(UserWarning, match=r"Columns 'x1', 'y' are linearly dependent"):
        unnamed = MixtureRegressor().fit(X, X[:, 1])
    assert not hasattr(unnamed.mixture_, "feature_names_in_") and unnamed.conditional(X).feature_names is None


def test_a_failed_fit_leaves_the_fit_before() -> None:
    X, y = curve()
    regressor = MixtureRegressor(2, random_state=0).fit(X, y)
    before = regressor.predict(X)
    for bad_X, bad_y in ((X, y[:-1]), (X[:, :1] * np.nan, y), (X, None)):
        with pytest.raises(ValueError):
            regressor.fit(bad_X, bad_y)
    np.testing.assert_array_equal(regressor.predict(X), before)


def test_bad_arguments_are_named() -> None:
    X, y = curve()
    unfitted: Any = MixtureRegressor()
    with pytest.raises(NotFittedError, match=r"This MixtureRegressor instance is not fitted yet.*'from_mixture'"):
        unfitted.predict(X)
    with pytest.raises(ValueError, match=r"MixtureRegressor requires y to be passed, but the target y is None"):
        unfitted.fit(X, None)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[300, 299\] in X and y"):
        unfitted.fit(X, y[:-1])
    with pytest.raises(ValueError, match=r"y has shape \(300, 1, 1\), expected \(n_samples,\) or"):
        unfitted.fit(X, y[:, None, None])
    with pytest.raises(ValueError, match=r"Input y contains NaN: the first is in row 3, column 0"):
        unfitted.fit(X, np.where(np.arange(300) == 3, np.nan, y))
    with pytest.raises(ValueError, match=r"Input X contains infinity: the first is in row 0, column 0"):
        unfitted.fit(np.where(np.arange(300)[:, None] == [0, -1], np.inf, X), y)
    with pytest.raises(ValueError, match=r"y has dtype <U1, expected numbers"):
        unfitted.fit(X, np.full(300, "a"))
    with pytest.raises(ValueError, match=r"The 'n_components' parameter of MixtureRegressor must be an int"):
        MixtureRegressor(0).fit(X, y)
    regressor: Any = MixtureRegressor(2, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"X has 1 features, but MixtureRegressor is expecting 2 features as input"):
        regressor.predict(X[:, :1])
    with pytest.raises(ValueError, match=r"At most one of return_std or return_cov can be requested"):
        regressor.predict(X, return_std=True, return_cov=True)
    with pytest.raises(ValueError, match=r"y has 2 outputs, expected 1 as in the fit"):
        regressor.score(X, np.column_stack([y, y]))
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples"):
        regressor.predictive_log_density(X, y[:-1])


# Classes derived from MixtureRegressor


class Tied(MixtureRegressor):
    """A regressor that sets parameters by itself."""

    def __init__(self, n_components: int = 2) -> None:
        super().__init__(n_components, covariance_type="tied", random_state=0)


def test_a_derived_class_may_set_parameters_by_itself() -> None:
    X, y = curve()
    found = Tied(3).fit(X, y)
    assert found.mixture_.covariances_.shape == (3, 3)
    expected = MixtureRegressor(3, covariance_type="tied", random_state=0).fit(X, y)
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))
    made = Tied.from_mixture(expected.mixture_, 2)
    assert type(made) is Tied and made.n_components == 3
    np.testing.assert_array_equal(made.predict(X), expected.predict(X))


def test_names_of_outputs_are_unlike_those_of_inputs() -> None:
    X, y = curve()
    regressor = MixtureRegressor().fit(pd.DataFrame(X, columns=["y", "output y"]), y)
    assert regressor.mixture_.feature_names_in_.tolist() == ["y", "output y", "output output y"]


@pytest.mark.parametrize("scale", [1e-140, 1e10, 1e140])
@pytest.mark.parametrize("unit", [1e-300, 1e300])
def test_score_does_not_depend_on_units(scale: float, unit: float) -> None:
    X, y = curve()
    weight = np.random.default_rng(0).random(len(X))
    weight[0] = 0.0
    regressor = MixtureRegressor(2, random_state=0).fit(X, y)
    # Of the outputs turned round R² is below zero, and not the 0 of sums that overflow.
    expected = regressor.score(X, -y, weight)
    assert expected == pytest.approx(r2_score(-y, regressor.predict(X), sample_weight=weight), rel=1e-12)  # rounding
    assert expected < -0.5
    scaled = MixtureRegressor.from_mixture(
        GaussianMixture.from_parameters(
            regressor.mixture_.weights_,
            regressor.mixture_.means_ * [1.0, 1.0, scale],
            regressor.mixture_.covariances_ * np.outer([1.0, 1.0, scale], [1.0, 1.0, scale]),
        ),
        2,
    )
    outputs = -y * scale
    outputs[0] = 1e150  # of weight zero
    # Some rounding errors of predictions whose conditioning has another unit.
    assert scaled.score(X, outputs, weight * unit) == pytest.approx(expected, rel=1e-10)


# The mixture of a regressor may be changed


def test_predictions_are_those_of_the_mixture_that_is_there() -> None:
    X, y = curve()
    regressor = MixtureRegressor(2, random_state=0).fit(X, y)
    before = regressor.predict(X)
    other = MixtureRegressor(3, random_state=1).fit(X, -y)
    regressor.mixture_.set_params(n_components=3, random_state=1).fit(np.column_stack([X, -y]))
    np.testing.assert_array_equal(regressor.predict(X), other.predict(X))
    np.testing.assert_array_equal(regressor.predictive_log_density(X, y), other.predictive_log_density(X, y))
    regressor.mixture_.means_ = regressor.mixture_.means_ + np.array([0.0, 0.0, 100.0])
    # Sums of numbers near 100.
    np.testing.assert_allclose(regressor.predict(X), other.predict(X) + 100.0, rtol=1e-13)
    np.testing.assert_allclose(regressor.conditional(X).mean()[:, 0], other.predict(X) + 100.0, rtol=1e-13)
    regressor.mixture_ = MixtureRegressor(2, random_state=0).fit(X, y).mixture_
    np.testing.assert_array_equal(regressor.predict(X), before)
    np.testing.assert_array_equal(regressor.set_params(n_threads=1).predict(X), before)
    regressor.mixture_.fit(X)
    with pytest.raises(
        ValueError, match=r"mixture_ has 2 features, expected 2 inputs and 1 outputs\. Fit the regressor"
    ):
        regressor.predict(X)


def test_a_mixture_that_is_fitted_again_leaves_its_regressor() -> None:
    X, y = curve()
    gm = GaussianMixture(2, random_state=0).fit(np.column_stack([X, y]))
    regressor = MixtureRegressor.from_mixture(gm, 2)
    before = regressor.predict(X)
    gm.fit(np.column_stack([X, -y]))
    gm.means_ = gm.means_ + 1.0
    np.testing.assert_array_equal(regressor.predict(X), before)


def test_structures_of_one_column_are_refused_in_the_words_of_the_regressor() -> None:
    X, y = curve()
    with pytest.raises(ValueError, match=r"parameter of MixtureRegressor has 'E', .* but X and y together have 3 colu"):
        MixtureRegressor(covariance_type="E").fit(X, y)
