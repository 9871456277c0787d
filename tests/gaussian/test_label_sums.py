"""Statistics of rows that are given to labels."""

from __future__ import annotations

import numpy as np
import pytest

from emix.gaussian import label_sums
from emix.gaussian.label_sums import statistics_of_labels
from emix.gaussian.statistics import GaussianStatistics
from emix.gaussian.structures import STRUCTURES, CovarianceStructure
from emix.parallel.chunks import CHUNK

N, D, K = 2 * CHUNK + 100, 6, 3
rng = np.random.default_rng(0)
X, weight, labels = rng.normal(size=(N, D)), rng.uniform(0.5, 2.0, N), rng.integers(0, K, N).astype(np.intp)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("slot_bytes", [0, label_sums.SLOT_BYTES])
def test_sums_about_the_means_and_about_given_centers(
    structure: str, slot_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_sums, "SLOT_BYTES", slot_bytes)  # 0: one slot for all chunks
    kind, form = STRUCTURES[structure], STRUCTURES[structure].form
    packed = statistics_of_labels(form, X, weight, labels, None, 1, K)
    held, shift, scatter, center = np.split(packed, np.cumsum([K, K * D, len(packed) - K - 2 * K * D]))
    parts = [(X[labels == k], weight[labels == k]) for k in range(K)]
    # 16 000 terms
    np.testing.assert_allclose(held, [w.sum() for _, w in parts], rtol=1e-12)
    means = np.array([np.average(x, axis=0, weights=w) for x, w in parts])
    np.testing.assert_allclose(center.reshape(K, D), means, rtol=0, atol=1e-14)
    # 5 000 terms of about 1, and as many times the rounding of the centre.
    np.testing.assert_allclose(shift, 0.0, rtol=0, atol=1e-10)
    matrices = np.array([np.cov(x.T, aweights=w, bias=True) * w.sum() for x, w in parts])
    variances = np.diagonal(matrices, axis1=1, axis2=2)
    expected = {"full": matrices, "tied": matrices.sum(axis=0), "diag": variances, "spherical": variances.sum(axis=1)}
    # Where positive and negative terms cancel, 1e-13 of the diagonals of some 7 000.
    np.testing.assert_allclose(scatter.reshape(form.shape(K, D)), expected[form.name], rtol=1e-12, atol=1e-9)
    # Moving the centres by e adds N e to s, and the same M-step follows.
    elsewhere = means + 0.5
    moved = statistics_of_labels(form, X, weight, labels, elsewhere, 1)
    np.testing.assert_array_equal(moved[-K * D :], elsewhere.ravel())
    np.testing.assert_allclose(moved[K : K + K * D], np.repeat(-0.5 * held, D), rtol=1e-12)
    for mine, theirs in zip(*(kind.maximize(_statistics(kind, sums), 0.0) for sums in (packed, moved))):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-12)  # of numbers of about 1


def _statistics(kind: CovarianceStructure, packed: label_sums.Array) -> GaussianStatistics:
    return GaussianStatistics(kind, K, D, packed, float(weight.sum()), N, 0.0, taken_under=None)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("slot_bytes", [0, 4000, label_sums.SLOT_BYTES])
def test_same_bits_from_any_number_of_threads(structure: str, slot_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_sums, "SLOT_BYTES", slot_bytes)
    one, two, three = (
        statistics_of_labels(STRUCTURES[structure].form, X, weight, labels, None, n_threads, K)
        for n_threads in (1, 2, 3)
    )
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, three)
