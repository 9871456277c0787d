"""Information criteria by their formulae."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from emix.estimators.criteria import aic, bic, entropies, icl


def test_criteria() -> None:
    # Two nats of log-likelihood are worth one parameter of AIC's and log n of BIC's.
    assert aic(-10.0, 3) == 26.0
    assert bic(-10.0, 3, math.exp(2.0)) == 26.0
    assert icl(-10.0, 3, math.exp(2.0), 0.5) == 27.0
    assert bic(0.0, 3, 1.0) == 0.0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_entropies(dtype: type) -> None:
    r = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.25, 0.5], [1e-30, 0.0, 1.0]], dtype=dtype)
    expected = scipy.stats.entropy(r.astype(np.float64), axis=1)
    found = entropies(r)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-14)  # three terms


def test_entropies_of_tiny_responsibilities_in_any_error_state() -> None:
    r = np.array([[1.0, 5e-324, 1e-310]])
    with np.errstate(all="raise"):
        # 1e-310 log 1e-310
        assert entropies(r)[0] == pytest.approx(1e-310 * 310 * math.log(10), rel=1e-4)
