"""Which columns are constant, and where reg_covar counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import emix
from emix.faces.scales import column_variances, scale_warnings

RNG = np.random.default_rng(0)
ROWS = np.concatenate([RNG.normal(size=(150, 4)), RNG.normal(4.0, 2.0, size=(150, 4))])
ROWS[:, 1] += 1e6
WEIGHTS = RNG.uniform(0.0, 2.0, size=300)
NAMES = ["a", "b", "c", "d"]


def fit(rows: np.ndarray, structure: str = "full", **keywords: object) -> emix.GaussianMixture:
    return emix.GaussianMixture(2, covariance_type=structure, random_state=0, **keywords).fit(rows)


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_variances_are_those_of_the_data(structure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emix.faces.scales._ROWS_AT_A_TIME", 100)
    mixture = fit(ROWS, structure)
    # rounding of numbers of size 1e6 in sums of 300
    np.testing.assert_allclose(column_variances(mixture, pd.DataFrame(ROWS)), ROWS.var(axis=0), rtol=1e-9)
    expected = np.cov(ROWS.T, aweights=WEIGHTS, bias=True).diagonal()
    np.testing.assert_allclose(column_variances(mixture, ROWS, WEIGHTS), expected, rtol=1e-9)


@pytest.mark.parametrize("structure", ["full", "tied", "diag"])
def test_a_mixture_knows_the_variances_of_its_data(structure: str) -> None:
    """An M-step gives the mixture the data's mean and variances, and adds reg_covar to these."""
    np.testing.assert_allclose(column_variances(fit(ROWS, structure, reg_covar=0.5)), ROWS.var(axis=0), rtol=1e-9)


@pytest.mark.parametrize("value", [0.0, 7.3, -1e7])
def test_constant_columns_are_named(value: float) -> None:
    rows = ROWS.copy()
    rows[:, 1] = value
    mixture = fit(rows)
    text = "column b is constant, which tells no components apart: better left out"
    assert scale_warnings(mixture, NAMES, rows) == [text]
    assert scale_warnings(mixture, NAMES) == [text]
    rows[:, 2:] = value
    assert "columns b, c, d are constant" in scale_warnings(fit(rows), NAMES, rows)[0]


def test_columns_in_which_reg_covar_counts_are_named() -> None:
    assert scale_warnings(fit(ROWS), NAMES, ROWS) == []
    rows = ROWS * [1.0, 1.0, 1e-3, 1.0]
    text = scale_warnings(fit(rows), NAMES, rows)
    assert text == [
        f"reg_covar = 1e-06 is large for column c (variance {rows[:, 2].var():.3g}): rescale, or lower reg_covar"
    ]
    assert scale_warnings(fit(rows, reg_covar=1e-9), NAMES, rows) == []
    rows = ROWS * 1e-4
    text = scale_warnings(fit(rows), NAMES, rows)
    assert text[0].startswith("reg_covar = 1e-06 is large for columns a, b, c and 1 more (variance ")


def test_the_limit_is_a_hundredth_of_the_variance() -> None:
    variance = float(ROWS[:, 0].var())
    for share, n_warnings in ((0.009, 0), (0.011, 1)):
        mixture = fit(ROWS[:, :1], reg_covar=share * variance)
        assert len(scale_warnings(mixture, ["a"], ROWS[:, :1])) == n_warnings
