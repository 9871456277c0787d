"""Proves a wheel: what an installation must do with NumPy, SciPy and pytest alone."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest

import emix
from emix.gaussian.structures import STRUCTURES


def test_config_names_the_level_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    emix.show_config()
    printed = capsys.readouterr().out
    assert emix.__version__ in printed
    in_use = re.search(r"^level in use +(\w+)", printed, flags=re.MULTILINE)
    available = re.search(r"^levels available +(.+)$", printed, flags=re.MULTILINE)
    assert in_use is not None and available is not None
    assert in_use[1] in available[1].split(", ")
    # The best one, unless another is forced.
    assert in_use[1] == os.environ.get("EMIX_LEVEL", available[1].split(", ")[0])


@pytest.mark.parametrize("covariance_type", STRUCTURES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_fit_finds_two_separate_clusters(covariance_type: str, dtype: type) -> None:
    rng = np.random.default_rng(0)
    label = np.arange(600) % 3 == 0
    X = (rng.standard_normal((600, 3)) + np.where(label, 20.0, -20.0)[:, None]).astype(dtype)

    mixture = emix.GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)

    assert mixture.converged_
    # Forty standard deviations apart, so responsibilities are 0 or 1 and the fit is that of each cluster's rows.
    first = int(np.argmin(mixture.weights_))
    # Means of 200 rows or more, summed in another order than NumPy's, and rounded to X's dtype.
    tolerance = 1e-6 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(mixture.weights_[first], 1 / 3, rtol=tolerance)
    np.testing.assert_allclose(mixture.means_[first], X[label].mean(axis=0, dtype=float), rtol=tolerance)
    np.testing.assert_array_equal(mixture.predict(X) == first, label)
    np.testing.assert_allclose(mixture.predict_proba(X).sum(axis=1), 1, rtol=tolerance)
    # Densities come rounded to X's dtype, float32 to 6e-8 of each.
    total = mixture.score_samples(X).sum(dtype=float)
    np.testing.assert_allclose(total, mixture.log_likelihood_, rtol=1e-6 if dtype is np.float32 else 1e-12)
