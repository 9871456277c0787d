"""Parameters of a mixture as a value: what they derive, how they are named, moved, copied and compared."""

from __future__ import annotations

import copy
import pickle
import re
from dataclasses import FrozenInstanceError
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from emix.exceptions import DegenerateCovarianceError
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import score_rows
from emix.gaussian.structures import STRUCTURES
from gaussian.examples import clusters, each_structure, in_form, start

K, D = 3, 2
X = clusters(100, D, K)


def other(structure: str) -> GaussianParameters:
    """Parameters that differ from the start's in everything."""
    theta = start(structure, X, K, seed=1)
    return GaussianParameters.from_covariances(structure, theta.weights, theta.means + 0.3, theta.covariances * 1.3)


@each_structure
def test_whitening_and_log_determinants(structure: str) -> None:
    theta = start(structure, X, K)
    full = STRUCTURES[structure].form.to_full(theta.covariances, K, D)
    assert theta.log_det_whitening.shape == (K,)
    np.testing.assert_allclose(theta.log_det_whitening, -0.5 * np.linalg.slogdet(full)[1], rtol=1e-12)
    assert theta.whitening.shape == theta.covariances.shape == STRUCTURES[structure].form.shape(K, D)
    assert (theta.n_components, theta.n_features) == (K, D)


@pytest.mark.parametrize(("structure", "expected"), [("full", 17), ("tied", 11), ("diag", 14), ("spherical", 11)])
def test_free_parameters(structure: str, expected: int) -> None:
    # 2 weights, 6 means, and 9, 3, 6 or 3 for the covariances.
    assert start(structure, X, K).n_free_parameters == expected


@each_structure
def test_from_precisions(structure: str) -> None:
    theta = start(structure, X, K)
    full = np.linalg.inv(STRUCTURES[structure].form.to_full(theta.covariances, K, D))
    found = GaussianParameters.from_precisions(
        structure, theta.weights, theta.means, in_form(structure, full, np.ones(K))
    )
    np.testing.assert_allclose(found.covariances, theta.covariances, rtol=1e-12)
    assert found.structure is STRUCTURES[structure]


def test_degenerate_matrices_are_refused() -> None:
    bad = [np.eye(2), -np.eye(2)]
    with pytest.raises(DegenerateCovarianceError, match="the covariance of component 1 is not positive definite"):
        GaussianParameters.from_covariances("full", [0.5, 0.5], np.zeros((2, 2)), bad)
    with pytest.raises(DegenerateCovarianceError, match="the precision of component 1 is not positive definite"):
        GaussianParameters.from_precisions("full", [0.5, 0.5], np.zeros((2, 2)), bad)


def test_arrays_are_copied_and_become_float64() -> None:
    means = np.zeros((2, 2), dtype=np.float32)
    theta: Any = GaussianParameters.from_covariances("diag", [1, 0], means, np.ones((2, 2), dtype=np.float32))
    means[:] = 7
    assert not theta.means.any()
    assert {a.dtype for a in (theta.weights, theta.means, theta.covariances, theta.whitening)} == {np.dtype("float64")}
    with pytest.raises(FrozenInstanceError):
        theta.weights = np.ones(2)


@each_structure
def test_arrays_are_read_only(structure: str) -> None:
    theta = start(structure, X, K)
    model = GaussianModel(K, D, structure)
    after = model.m_step(model.e_step(X, theta)[0])
    for made in (theta, after, pickle.loads(pickle.dumps(theta)), copy.copy(theta), copy.deepcopy(theta)):
        for name in ("packed", "weights", "means", "covariances", "whitening", "log_det_whitening"):
            with pytest.raises(ValueError, match="read-only"):
                getattr(made, name)[...] = 0.0


# Distance


@each_structure
def test_distance_is_the_largest_of_three(structure: str) -> None:
    a, b = start(structure, X, K), other(structure)
    full_a = STRUCTURES[structure].form.to_full(a.covariances, K, D)
    full_b = STRUCTURES[structure].form.to_full(b.covariances, K, D)
    terms = []
    for k in range(K):
        W = np.linalg.inv(np.linalg.cholesky(full_a[k]))
        terms += [
            abs(np.log(b.weights[k] / a.weights[k])),
            np.linalg.norm(W @ (b.means[k] - a.means[k])),
            np.linalg.norm(W @ (full_b[k] - full_a[k]) @ W.T),
        ]
    assert a.distance(b) == pytest.approx(max(terms), rel=1e-12)
    assert a.distance(a) == 0.0


@each_structure
@pytest.mark.parametrize("part", ["weights", "means", "covariances"])
def test_distance_sees_each_part(structure: str, part: str) -> None:
    a, b = start(structure, X, K), other(structure)
    values = {name: getattr(b if name == part else a, name) for name in ("weights", "means", "covariances")}
    assert a.distance(GaussianParameters.from_covariances(structure, **values)) > 1e-3


@each_structure
@pytest.mark.parametrize(("factor", "offset"), [(1.0, 1e6), (2.0**40, 0.0), (2.0**-40, 0.0), (1e3, -1e7)])
def test_distance_is_free_of_scale_and_origin(structure: str, factor: float, offset: float) -> None:
    a, b = start(structure, X, K), other(structure)

    def moved(theta: GaussianParameters) -> GaussianParameters:
        return GaussianParameters.from_covariances(
            structure, theta.weights, theta.means * factor + offset, theta.covariances * factor**2
        )

    # Means at 1e7 of a spread of 1e3 are rounded to 2e-9, 1e6 of a spread of 1 to 1e-10.
    assert moved(a).distance(moved(b)) == pytest.approx(a.distance(b), rel=1e-9)


@pytest.mark.parametrize("structure", ["full", "tied"])
def test_distance_is_free_of_linear_maps(structure: str) -> None:
    A = np.array([[3.0, 1.0], [-0.5, 0.1]])
    a, b = start(structure, X, K), other(structure)
    images = [
        GaussianParameters.from_covariances(structure, t.weights, t.means @ A.T, A @ t.covariances @ A.T)
        for t in (a, b)
    ]
    assert images[0].distance(images[1]) == pytest.approx(a.distance(b), rel=1e-11)


@each_structure
def test_component_of_weight_zero_in_both_counts_for_nothing(structure: str) -> None:
    theta = start(structure, X, K)
    dead = [
        GaussianParameters.from_covariances(structure, [0.5, 0.5, 0.0], theta.means + move, theta.covariances)
        for move in (np.zeros((K, D)), np.array([[0.0, 0.0], [0.0, 0.0], [9.0, 9.0]]))
    ]
    assert dead[0].distance(dead[1]) == 0.0
    assert dead[0].distance(theta) == np.inf
    assert theta.distance(dead[0]) == np.inf


# Names, order and copies


@each_structure
def test_digest_names_the_parameters(structure: str) -> None:
    a, b = start(structure, X, K), other(structure)
    twin = GaussianParameters.from_covariances(structure, a.weights, a.means, a.covariances)
    assert a.digest == twin.digest
    assert len(a.digest) == 64
    changed = [
        GaussianParameters.from_covariances(structure, b.weights, a.means, a.covariances),
        GaussianParameters.from_covariances(structure, a.weights, np.nextafter(a.means, 99), a.covariances),
        GaussianParameters.from_covariances(structure, a.weights, a.means, a.covariances * 1.5),
        a.permuted([1, 0, 2]),
    ]
    assert len({a.digest, *(theta.digest for theta in changed)}) == 5


def test_digest_names_the_structure() -> None:
    # The same bytes: a diag of one feature and a spherical.
    values = [
        GaussianParameters.from_covariances(name, [0.5, 0.5], [[0.0], [1.0]], np.ones(shape))
        for name, shape in (("diag", (2, 1)), ("spherical", (2,)), ("full", (2, 1, 1)))
    ]
    assert len({theta.digest for theta in values}) == 3


@each_structure
def test_permuted_is_the_same_mixture(structure: str) -> None:
    theta = start(structure, X, K)
    expected = score_rows(X, theta).log_density
    for order in permutations(range(K)):
        moved = theta.permuted(order)
        np.testing.assert_array_equal(moved.weights, theta.weights[list(order)])
        # Only the order of K terms.
        np.testing.assert_allclose(score_rows(X, moved).log_density, expected, rtol=1e-14)
        back = moved.permuted(np.argsort(order))
        assert back.digest == theta.digest


@each_structure
@pytest.mark.parametrize("how", [lambda t: pickle.loads(pickle.dumps(t)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize("named", [False, True])
def test_pickle_and_copy(structure: str, how: Any, named: bool) -> None:
    theta = start(structure, X, K)
    if named:
        assert theta.digest
        score_rows(X, theta)
    twin = how(theta)
    # What is derived is taken anew, of what arrived.
    assert set(twin.__dict__) == {"structure", "n_components", "n_features", "packed"}
    assert twin.digest == theta.digest
    assert twin.structure is theta.structure
    for name in ("whitening", "log_det_whitening"):
        np.testing.assert_array_equal(getattr(twin, name), getattr(theta, name))


def test_repr_is_short() -> None:
    assert "whitening" not in repr(start("full", X, K))


SHAPES = {"full": (2, 3, 3), "tied": (3, 3), "diag": (2, 3), "spherical": (2,)}


@pytest.mark.parametrize("make", [GaussianParameters.from_covariances, GaussianParameters.from_precisions])
@pytest.mark.parametrize("structure", SHAPES)
def test_shapes_that_do_not_belong_together_are_refused(make: Any, structure: str) -> None:
    weights, means, right = [0.5, 0.5], np.zeros((2, 3)), SHAPES[structure]
    what = "covariances" if make == GaussianParameters.from_covariances else "precisions"
    for wrong in [(1,), (2, 1), (3,), (2, 6), (1, 3, 3), (2, 3, 2), (2, 2), (4, 4), ()]:
        text = re.escape(f"{what} has shape {wrong}, expected {right}: means of shape (2, 3) are of 2 components in 3 ")
        with pytest.raises(ValueError, match=text):
            make(structure, weights, means, np.ones(wrong))
    good = np.broadcast_to(np.eye(3) if len(right) > 1 and right[-2:] == (3, 3) else 1.0, right)
    with pytest.raises(ValueError, match=r"weights has shape \(1,\), expected \(2,\)"):
        make(structure, [1.0], means, good)
    for bad in (np.zeros(3), np.zeros((0, 3)), np.zeros((2, 0)), 0.0):
        with pytest.raises(ValueError, match=r"means has shape .* expected \(n_components, n_features\)"):
            make(structure, weights, bad, good)
    assert make(structure, weights, means, good).n_features == 3


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"weights": [1.5, -0.5]}, "weights[1] is -0.5, expected 0 or more: the weight of component 1."),
        ({"weights": [0.5, np.nan]}, "weights[1] is nan, expected finite numbers."),
        ({"weights": [0.5, 0.500002]}, "weights sum to 1.000002, expected 1: divide them by their sum."),
        ({"weights": [3.0, 1.0]}, "weights sum to 4, expected 1: divide them by their sum."),
        ({"weights": [0.0, 0.0]}, "weights sum to 0, expected 1: divide them by their sum."),
        ({"means": [[0.0, 0.0], [np.inf, 1.0]]}, "means[1, 0] is inf, expected finite numbers."),
        ({"spread": [np.eye(2), [[1.0, np.nan], [0.0, 1.0]]]}, "[1, 0, 1] is nan, expected finite numbers."),
        ({"spread": [np.eye(2), [[1e4, 0.0], [50.0, 1.0]]]}, "[1, 0, 1] is 0 and "),
        ({"spread": [np.eye(2), [[1e4, 0.0], [50.0, 1.0]]]}, "[1, 1, 0] is 50, expected a symmetric matrix."),
    ],
)
def test_what_cannot_be_a_mixture_is_refused(changed: dict[str, Any], text: str) -> None:
    arguments = {"weights": [0.5, 0.5], "means": np.zeros((2, 2)), "spread": [np.eye(2)] * 2} | changed
    for make, name in (
        (GaussianParameters.from_covariances, "covariances"),
        (GaussianParameters.from_precisions, "precisions"),
    ):
        with pytest.raises(ValueError, match=re.escape(name + text if text.startswith("[") else text)):
            make("full", *arguments.values())


def test_a_matrix_of_all_components_that_is_not_symmetric_is_refused() -> None:
    text = re.escape("covariances[0, 1] is 0.25 and covariances[1, 0] is 0, expected a symmetric matrix.")
    with pytest.raises(ValueError, match=text):
        GaussianParameters.from_covariances("tied", [1.0], [[0.0, 0.0]], [[1.0, 0.25], [0.0, 1.0]])


def test_rounded_weights_and_matrices_are_taken_as_they_are() -> None:
    weights = np.full(7, 1 / 7, dtype=np.float32)
    covariance = np.array([[1.0, 0.1], [0.1 + 1e-7, 1e-1]])
    theta = GaussianParameters.from_covariances("full", weights, np.zeros((7, 2)), [covariance] * 7)
    assert weights.astype(float).sum() != 1.0
    np.testing.assert_array_equal(theta.weights, weights.astype(float))
    np.testing.assert_array_equal(theta.covariances[0], covariance)
