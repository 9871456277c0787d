"""Rows of a stream, and comparisons of mixtures that streams have made."""

from __future__ import annotations

from typing import Any

import numpy as np

from emix import GaussianMixture
from estimators.mixtures import blobs

ARRAYS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")

X = np.random.default_rng(0).permutation(blobs(3000, 3))


def stream(gm: GaussianMixture, rows: Any, batch: int = 500, **keywords: Any) -> GaussianMixture:
    for first in range(0, len(rows), batch):
        gm.partial_fit(rows[first : first + batch], **keywords)
    return gm


def assert_same_bits(a: GaussianMixture, b: GaussianMixture) -> None:
    for name in ARRAYS:
        assert getattr(a, name).dtype == getattr(b, name).dtype
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def assert_near(a: GaussianMixture, b: GaussianMixture, rtol: float) -> None:
    for name in ("weights_", "means_", "covariances_"):
        x, y = getattr(a, name), getattr(b, name)
        np.testing.assert_allclose(x, y, rtol=0.0, atol=rtol * np.abs(y).max(), err_msg=name)
