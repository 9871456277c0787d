"""Names of the outputs of a regression: where they come from, where they show, and that they change no number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import polars as pl
import pytest

from emix import MixtureRegressor, select_mixture

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(3)
X = RNG.normal(size=(200, 2))
Y = np.column_stack([X[:, 0] ** 2, X.sum(axis=1)]) + 0.1 * RNG.normal(size=(200, 2))
FRAME = pd.DataFrame(X, columns=["width", "height"])


def fitted(X_given: object, y: object) -> MixtureRegressor:
    return MixtureRegressor(2, random_state=0).fit(X_given, y)


@pytest.mark.parametrize(
    ("y", "names"),
    [
        (pd.DataFrame(Y, columns=["price", "mass"]), ["price", "mass"]),
        (pl.DataFrame(Y, schema=["price", "mass"]), ["price", "mass"]),
        (pd.Series(Y[:, 0], name="price"), ["price"]),
        (pl.Series("price", Y[:, 0]), ["price"]),
    ],
)
@pytest.mark.parametrize("X_given", [X, FRAME])
def test_frames_and_series_name_the_outputs(X_given: object, y: object, names: list[str]) -> None:
    regressor = fitted(X_given, y)
    assert regressor.output_names_.tolist() == names
    conditional = regressor.conditional(X_given[:3])
    assert conditional[0].feature_names_in_.tolist() == names
    predicted = regressor.predict(X_given)
    assert type(predicted) is np.ndarray  # as scikit-learn's regressors
    np.testing.assert_array_equal(predicted, fitted(X_given, np.asarray(y)).predict(X_given))


@pytest.mark.parametrize("y", [Y, Y[:, 0], pd.Series(Y[:, 0]), pd.DataFrame(Y), Y.tolist()])
def test_others_have_none(y: object) -> None:
    regressor = fitted(X, y)
    assert not hasattr(regressor, "output_names_")
    named = fitted(FRAME, pd.Series(Y[:, 0], name="price"))
    assert hasattr(named, "output_names_")
    assert not hasattr(named.fit(FRAME, y), "output_names_")  # those of the fit before are gone


def test_the_summary_of_the_mixture_has_them() -> None:
    regressor = fitted(FRAME, pd.Series(Y[:, 0], name="price"))
    assert "3 columns (width, height, price)" in str(regressor.mixture_.summary())


def test_a_name_that_is_an_input_too_is_kept_apart() -> None:
    regressor = fitted(FRAME, pd.Series(Y[:, 0], name="width"))
    assert regressor.output_names_.tolist() == ["width"]
    assert regressor.mixture_.feature_names_in_.tolist() == ["width", "height", "output width"]


def test_they_are_saved_and_a_mixture_s_own_are_taken(tmp_path: Path) -> None:
    for X_given in (X, FRAME):
        regressor = fitted(X_given, pd.DataFrame(Y, columns=["price", "mass"]))
        regressor.save(tmp_path / "regressor.npz")
        assert MixtureRegressor.load(tmp_path / "regressor.npz").output_names_.tolist() == ["price", "mass"]
    mixture = select_mixture(FRAME.assign(price=Y[:, 0]), 2, "full", random_state=0).best_
    assert MixtureRegressor.from_mixture(mixture, "price").output_names_.tolist() == ["price"]
