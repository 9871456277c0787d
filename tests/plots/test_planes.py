"""The view of a mixture on a line or a plane."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from emix.plots.planes import choose_view, principal_plane

RNG = np.random.default_rng(3)
WEIGHTS = np.array([0.2, 0.5, 0.3])
MEANS = RNG.normal(size=(3, 4)) * [1.0, 10.0, 100.0, 0.1]
FACTORS = RNG.normal(size=(3, 4, 4)) * np.array([1.0, 10.0, 100.0, 0.1])[:, None]
COVARIANCES = FACTORS @ FACTORS.transpose(0, 2, 1)
NAMES = ["a", "b", "c", "d"]


def test_two_columns_are_seen_as_they_are() -> None:
    view = choose_view(WEIGHTS, MEANS[:, :2], COVARIANCES[:, :2, :2], NAMES[:2])
    assert view.labels == ("a", "b")
    assert view.note == ""
    np.testing.assert_array_equal(view.project(MEANS[:, :2]), MEANS[:, :2])


def test_log_densities_are_those_of_scipy() -> None:
    view = choose_view(WEIGHTS, MEANS, COVARIANCES, NAMES, features=(2, 0))
    z = RNG.normal(size=(20, 2))
    for k, weight in enumerate(WEIGHTS):
        part = np.ix_([2, 0], [2, 0])
        expected = np.log(weight) + multivariate_normal(MEANS[k, [2, 0]], COVARIANCES[k][part]).logpdf(z)
        # the same sums in another order: some units in the last place
        np.testing.assert_allclose(view.log_densities(z)[:, k], expected, rtol=1e-12)
    assert view.note == "seen on c and a, two of 4 columns"


def test_a_component_without_weight_has_no_density() -> None:
    view = choose_view([1.0, 0.0], np.zeros((2, 1)), np.ones((2, 1, 1)), ["a"])
    assert view.log_densities(np.zeros((1, 1)))[0, 1] == -np.inf


def test_principal_plane_is_that_of_the_mixture() -> None:
    """Against the eigenvectors of the correlation matrix of a large sample."""
    rng = np.random.default_rng(0)
    k = rng.choice(3, p=WEIGHTS, size=200_000)
    sample = MEANS[k] + np.einsum("nij,nj->ni", FACTORS[k], rng.normal(size=(len(k), 4)))
    directions, deviations, centre, shares = principal_plane(WEIGHTS, MEANS, COVARIANCES)
    # Sampling errors: a part of 1/sqrt(200 000) = 0.0022, times some.
    np.testing.assert_allclose(deviations, sample.std(axis=0), rtol=0.01)
    np.testing.assert_allclose(centre, sample.mean(axis=0), rtol=0, atol=0.01 * deviations.max())
    values = np.linalg.eigvalsh(np.corrcoef(sample.T))[::-1]
    np.testing.assert_allclose(shares, values[:2] / 4, rtol=0, atol=0.01)
    scores = (sample - centre) @ (directions / deviations).T
    np.testing.assert_allclose(scores.var(axis=0), values[:2], rtol=0.02)
    np.testing.assert_allclose(directions @ directions.T, np.eye(2), rtol=0, atol=1e-12)


def test_principal_plane_does_not_depend_on_units() -> None:
    units = np.array([1.0, 1e3, 1e-3, 60.0])
    directions, _, _, shares = principal_plane(WEIGHTS, MEANS, COVARIANCES)
    others, _, _, other_shares = principal_plane(WEIGHTS, MEANS * units, COVARIANCES * np.outer(units, units))
    # Rounding, grown by the gap of the eigenvalues, which is not small here.
    np.testing.assert_allclose(others, directions, rtol=0, atol=1e-10)
    np.testing.assert_allclose(other_shares, shares, rtol=0, atol=1e-12)


def test_labels_say_what_is_seen() -> None:
    view = choose_view(WEIGHTS, MEANS, COVARIANCES, ["length of the sepal in centimetres", "b", "c", "d"])
    assert view.note.startswith("seen on the first two principal components (PC) of the 4 standardized columns (")
    assert all(label.startswith(f"PC {i} (") for i, label in enumerate(view.labels, start=1))
    assert max(map(len, view.labels)) < 60
    assert not any("centimetres" in label for label in view.labels)


def test_labels_give_the_loadings() -> None:
    covariance = np.array([[[1.0, -0.8, 0.0], [-0.8, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    view = choose_view([1.0], np.zeros((1, 3)), covariance, ["a", "b", "c"])
    # Eigenvalues 1.8, 1, 0.2 of 3; the first direction is (1, −1, 0)/√2, either of whose signs is right.
    assert view.labels[0] in ("PC 1 (60%): 0.71 a − 0.71 b + 0.00 c", "PC 1 (60%): 0.71 b − 0.71 a + 0.00 c")
    assert view.labels[1].startswith("PC 2 (33%): 1.00 c")


def test_constant_columns_are_left_out() -> None:
    """Their variance is that of reg_covar: standardized, it would be as large as that of the others."""
    square = np.ix_(range(3), [0, 2, 3], [0, 2, 3])
    expected = choose_view(WEIGHTS, MEANS[:, [0, 2, 3]], COVARIANCES[square], ["a", "c", "d"])
    view = choose_view(WEIGHTS, MEANS, COVARIANCES, NAMES, constant=(1,))
    np.testing.assert_array_equal(view.axes[:, [0, 2, 3]], expected.axes)
    assert not view.axes[:, 1].any()
    assert view.labels == expected.labels
    assert view.note == f"{expected.note}\nwithout b, which is constant"


@pytest.mark.parametrize(("constant", "seen"), [((0, 2), ("b", "d")), ((0, 1, 3), ("a", "c")), (range(4), ("a", "b"))])
def test_two_columns_that_are_left_are_seen_as_they_are(constant: tuple[int, ...], seen: tuple[str, str]) -> None:
    view = choose_view(WEIGHTS, MEANS, COVARIANCES, NAMES, constant=constant)
    assert view.labels == seen
    np.testing.assert_array_equal(view.project(MEANS), MEANS[:, [NAMES.index(name) for name in seen]])
    assert "which are constant" in view.note


@pytest.mark.parametrize("features", [(0, 0), (0, 4), (-1, 2)])
def test_features_that_are_not_two_columns_are_refused(features: tuple[int, int]) -> None:
    with pytest.raises(
        ValueError, match=r"features is .*, expected two different columns of the mixture, by number from 0 to 3"
    ):
        choose_view(WEIGHTS, MEANS, COVARIANCES, NAMES, features)


def test_limits_hold_points_and_components() -> None:
    view = choose_view([1.0], [[0.0]], np.array([[[4.0]]]), ["a"])
    low, high = view.limits(0, np.array([10.0]))
    assert low < -6.0  # three deviations of 2
    assert 10.0 < high < 11.0
