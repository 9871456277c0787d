"""Scores of rows; how exact they are, and what far rows get, is in kernel/test_accuracy.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from emix.gaussian import scoring, sums
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.scoring import score_rows
from emix.kernel import level
from emix.parallel import threads
from gaussian.examples import (
    clusters,
    each_structure,
    in_form,
    joint_scores,
    naive_joint,
    naive_responsibilities,
    start,
)

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
ALL = {"log_density": True, "responsibilities": True, "labels": True}


@each_structure
@each_dtype
def test_all_scores(structure: str, dtype: str) -> None:
    X = clusters(700, 3, 4).astype(dtype)
    theta = start(structure, X, 4)
    scores = score_rows(X, theta, **ALL)
    joint = naive_joint(X, theta)
    # Some ten operations on numbers of some tens of nats.
    atol = 500 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(joint_scores(X, theta), joint, rtol=0, atol=atol)
    np.testing.assert_allclose(scores.log_density, logsumexp(joint, axis=1), rtol=0, atol=atol)
    np.testing.assert_allclose(scores.responsibilities, naive_responsibilities(X, theta), rtol=0, atol=atol)
    np.testing.assert_array_equal(scores.labels, joint_scores(X, theta).argmax(axis=1))
    assert {np.asarray(a).dtype for a in (scores.log_density, scores.responsibilities)} == {np.dtype(dtype)}
    assert scores.labels is not None and scores.labels.dtype == np.intp


def test_one_gaussian_is_scipy_s() -> None:
    X = clusters(50, 3, 1)
    theta = start("full", X, 1)
    expected = multivariate_normal(theta.means[0], theta.covariances[0]).logpdf(X)
    np.testing.assert_allclose(score_rows(X, theta).log_density, expected, rtol=1e-12)


@each_structure
@each_dtype
@given(seed=st.integers(0, 2**32 - 1), distance=st.floats(0, 1e4))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_responsibilities_sum_to_one(structure: str, dtype: str, seed: int, distance: float) -> None:
    rng = np.random.default_rng(seed)
    X = (clusters(40, 2, 3, seed) + distance * rng.normal(size=(40, 2))).astype(dtype)
    r = score_rows(X, start(structure, clusters(40, 2, 3, seed), 3), responsibilities=True).responsibilities
    assert r is not None and (r >= 0).all() and (r <= 1 + 4 * np.finfo(dtype).eps).all()
    # Three quotients, each rounded.
    np.testing.assert_allclose(r.sum(axis=1), 1.0, rtol=0, atol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("names", [(name,) for name in ALL] + [("labels", "responsibilities"), ()])
def test_only_what_is_asked_for(names: tuple[str, ...]) -> None:
    X = clusters(300, 2, 3)
    theta = start("full", X, 3)
    everything = score_rows(X, theta, **ALL)
    some = score_rows(X, theta, **{name: name in names for name in ALL})
    for name in ALL:
        if name in names:
            np.testing.assert_array_equal(getattr(some, name), getattr(everything, name))
        else:
            assert getattr(some, name) is None


@pytest.mark.parametrize("names", [("labels",), ("responsibilities",), ("log_density",), ("labels", "log_density")])
def test_far_rows_whatever_is_asked_for(names: tuple[str, ...]) -> None:
    X = np.array([[0.0, 0.0], [1e200, 0.0], [3.0, 3.0], [-1e200, 1e199]])
    theta = GaussianParameters.from_covariances("spherical", [0.5, 0.5], [[0.0, 0.0], [3.0, 3.0]], [1.0, 2.0])
    scores = score_rows(X, theta, **{name: name in names for name in ALL})
    if scores.labels is not None:
        assert scores.labels.tolist() == [0, 1, 1, 1]
    if scores.responsibilities is not None:
        np.testing.assert_array_equal(scores.responsibilities[[1, 3]], [[0, 1], [0, 1]])
    if scores.log_density is not None:
        np.testing.assert_array_equal(np.isfinite(scores.log_density), [True, False, True, False])


@each_structure
@each_dtype
def test_same_bits_in_any_number_of_threads_and_any_layout(
    structure: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = clusters(3000, 3, 3).astype(dtype)
    theta = start(structure, X, 3)
    expected = score_rows(X, theta, n_threads=1, **ALL)
    monkeypatch.setattr(threads, "OPERATIONS_PER_THREAD", 1.0)
    variants: list[tuple[Any, int, float]] = [
        (X, 2, 2e9),
        (X, 3, 2e9),
        (X, 50, 2e9),
        (X, 2, 1.0),
        (X[::-1].copy()[::-1], 1, 2e9),
    ]
    for rows, n_threads, operations in [*variants, (np.asfortranarray(X), 1, 2e9)]:
        monkeypatch.setattr(threads, "OPERATIONS_PER_CALL", operations)
        found = score_rows(rows, theta, n_threads=n_threads, **ALL)
        for name in ALL:
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_rows_are_scored_one_by_one_as_together() -> None:
    X = clusters(300, 3, 3)
    theta = start("full", X, 3)
    together = score_rows(X, theta, **ALL)
    for i in (0, 7, 255, 256, 299):
        alone = score_rows(X[i : i + 1], theta, **ALL)
        for name in ALL:
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[i])


@pytest.mark.parametrize("structure", ["spherical", "diag"])
@pytest.mark.parametrize(
    ("dtype", "sd", "far"), [("float32", 1e6, 2e19), ("float32", 1e15, 2e19), ("float64", 1e90, 1e160)]
)
def test_squares_overflow_later_than_those_of_rows(structure: str, dtype: str, sd: float, far: float) -> None:
    # Enough components for sums about one origin, where z is squared before it is scaled.
    K, d = 6, 4
    means = sd * np.random.default_rng(0).normal(size=(K, d))
    variances = np.full((K, d) if structure == "diag" else K, sd * sd)
    parameters = GaussianParameters.from_covariances(structure, np.full(K, 1 / K), means, variances)
    X = np.vstack([means[0], np.full(d, far), means[1]]).astype(dtype)
    scores = score_rows(X, parameters, responsibilities=True, labels=True)
    assert scores.log_density is not None and scores.responsibilities is not None
    # In units of sd, where nothing overflows. float32: half the squares of numbers of seven digits.
    y = (X[:, np.newaxis].astype(np.longdouble) - means) / sd
    expected = -0.5 * np.sum(y * y, axis=2) - d * np.log(sd) - 0.5 * d * np.log(2 * np.pi) - np.log(K)
    density = logsumexp(expected.astype(np.float64), axis=1)
    np.testing.assert_allclose(scores.log_density, density, rtol=1e-5 if dtype == "float32" else 1e-12)
    # Quotients, each rounded.
    np.testing.assert_allclose(scores.responsibilities.sum(axis=1), 1.0, rtol=8 * np.finfo(dtype).eps)
    assert score_rows(X, parameters, labels=True, log_density=False).labels is not None


def test_component_of_weight_zero() -> None:
    X = clusters(30, 2, 2)
    theta = GaussianParameters.from_covariances("full", [0.0, 1.0], X[:2], np.stack([np.eye(2)] * 2))
    scores = score_rows(X, theta, **ALL)
    np.testing.assert_array_equal(scores.log_density, joint_scores(X, theta)[:, 1])
    np.testing.assert_array_equal(scores.responsibilities, [[0.0, 1.0]] * 30)
    np.testing.assert_array_equal(scores.labels, 1)


@pytest.mark.parametrize("d", [1, 2, 4, 6])
def test_rows_of_other_columns_are_refused(d: int) -> None:
    theta = GaussianParameters.from_covariances("diag", [0.5, 0.5], np.zeros((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match=f"X has {d} columns, expected 3, as the parameters have"):
        score_rows(np.zeros((5, d)), theta)


@pytest.mark.parametrize(("forced", "expected"), [("blas", 1), ("baseline", 3)])
def test_one_thread_beside_those_of_blas(forced: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []

    def seen(task: Any, n_threads: int) -> None:
        used.append(n_threads)
        threads.run_in_threads(task, n_threads)

    monkeypatch.setattr(level, "level_in_use", forced)
    monkeypatch.setattr(scoring, "run_in_threads", seen)
    monkeypatch.setattr(sums, "run_in_threads", seen)
    X = clusters(5000, 3, 3)
    theta = start("full", X, 3)
    score_rows(X, theta, n_threads=3)
    GaussianModel(3, 3, n_threads=3).e_step(X, theta)
    # One thread may do without `run_in_threads`.
    assert max(used, default=1) == expected


@pytest.mark.parametrize(
    ("dtype", "variance", "away", "far"), [("float32", 1e20, 5e12, 2e19), ("float64", 1e276, 5e140, 2e154)]
)
@pytest.mark.parametrize("structure", ["diag", "spherical"])
def test_far_rows_of_a_mixture_partly_about_an_origin(
    structure: str, dtype: str, variance: float, away: float, far: float
) -> None:
    # The first component is at the origin, where z² overflows; the second is beyond its limit, and its y² does not.
    d = 8
    means = np.zeros((2, d))
    means[1, 0] = away
    variances = np.full((2, d) if structure == "diag" else 2, variance)
    theta = GaussianParameters.from_covariances(structure, [0.999, 0.001], means, variances)
    X = np.zeros((3, d), dtype)
    X[:, 0] = [-far, -1e-2 * far, far]
    scores = score_rows(X, theta, responsibilities=True, labels=True)
    # The nearer of two equally wide: billions of nats apart.
    assert scores.labels is not None and scores.labels.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(scores.responsibilities, [[1, 0], [1, 0], [0, 1]])
    sd = np.sqrt(variance)
    y = (X[:, 0].astype(np.float64) - means[scores.labels, 0]) / sd
    expected = -0.5 * y * y - d * np.log(sd) - 0.5 * d * np.log(2 * np.pi) + np.log(theta.weights[scores.labels])
    # float32: half the squares of numbers of seven digits.
    np.testing.assert_allclose(scores.log_density, expected, rtol=1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize(("dtype", "variance"), [("float32", 1e-40), ("float32", 1e-32), ("float64", 1e-310)])
@pytest.mark.parametrize("structure", ["diag", "spherical"])
def test_a_very_narrow_component_about_the_mean_of_others(structure: str, dtype: str, variance: float) -> None:
    # Its centre is the origin of the wide ones, but 1 / variance overflows.
    d = 8
    shape = (2, d) if structure == "diag" else 2
    variances = np.ones(shape)
    variances[1] = variance
    theta = GaussianParameters.from_covariances(structure, [0.5, 0.5], np.zeros((2, d)), variances)
    X = np.zeros((2, d), dtype)
    X[1] = 1.0
    scores = score_rows(X, theta, responsibilities=True, labels=True)
    constant = np.log(0.5) - 0.5 * d * np.log(2 * np.pi)
    expected = [constant - 0.5 * d * np.log(variance), constant - 0.5 * d]
    # Nothing but constants, or a square of d: a few roundings.
    np.testing.assert_allclose(scores.log_density, expected, rtol=1e-6 if dtype == "float32" else 1e-14)
    np.testing.assert_array_equal(scores.labels, [1, 0])
    np.testing.assert_array_equal(scores.responsibilities, [[0, 1], [1, 0]])


def rows_some_far(structure: str, n: int = 3000, n_far: int = 600) -> tuple[Any, GaussianParameters, Any]:
    """Rows about wide components, some beyond what squares of one origin can hold, half of these beyond all squares."""
    rng = np.random.default_rng(0)
    K, d, sd = 6, 4, 1e90
    means = sd * rng.normal(size=(K, d))
    matrices = sd * sd * rng.uniform(1.0, 2.0, (K, d))[:, :, np.newaxis] * np.eye(d)
    covariances = in_form(structure, matrices, np.arange(1, K + 1) / 21)
    X = sd * rng.normal(size=(n, d))
    far = np.sort(rng.choice(n, n_far, replace=False))
    X[far[::2]] *= 1e160 / sd
    X[far[1::2]] *= 1e250 / sd
    return X, GaussianParameters.from_covariances(structure, np.arange(1, K + 1) / 21, means, covariances), far


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("n_threads", [1, 2])
def test_only_far_rows_are_scored_again(name: str, n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    X, theta, far = rows_some_far("spherical")
    scored, stoppable = [], []

    class Counting:
        def __init__(self, *arguments: Any) -> None:
            self.scorer = level.kernel_for(np.dtype(np.float64)).Scorer(*arguments)

        def score(self, X: Any, first: int, last: int, *rest: Any) -> Any:
            scored.append(last - first)
            stoppable.append(rest[-1] is not None)
            return self.scorer.score(X, first, last, *rest)

    monkeypatch.setattr(scoring, "kernel_for", lambda dtype: SimpleNamespace(Scorer=Counting))
    monkeypatch.setattr(scoring, "has_own_threads", lambda: False)
    score_rows(X, theta, n_threads=n_threads, **{other: other == name for other in ALL})
    assert sum(scored) == len(X) + len(far)
    assert all(stoppable) == (n_threads > 1)


@each_structure
def test_far_rows_are_scored_as_alone_whatever_is_asked_for(structure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    X, theta, far = rows_some_far(structure)
    expected = score_rows(X, theta, **ALL)
    assert expected.log_density is not None and expected.responsibilities is not None
    assert (expected.log_density[far[1::2]] == -np.inf).all()
    assert np.isfinite(np.delete(expected.log_density, far[1::2])).all()
    np.testing.assert_allclose(expected.responsibilities.sum(axis=1), 1.0, rtol=0, atol=1e-15)  # quotients, rounded
    np.testing.assert_array_equal(expected.responsibilities.argmax(axis=1), expected.labels)
    alone = score_rows(X[far], theta, **ALL)
    for name in ALL:
        np.testing.assert_array_equal(getattr(alone, name), getattr(expected, name)[far])
    for numbers in (1, 24 * 100):
        monkeypatch.setattr(scoring, "FAR_NUMBERS", numbers)
        for names in [(name,) for name in ALL] + [("labels", "responsibilities"), tuple(ALL)]:
            found = score_rows(X, theta, n_threads=2, **{name: name in names for name in ALL})
            for name in names:
                np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_single_rows_under_parameters_beyond_single_precision(structure: str) -> None:
    """1/√1e-80 is no number of single precision; rows at a mean would have NaN for a density."""
    covariances = {"full": [[[1e-80]], [[1.0]]], "tied": [[1e-80]], "diag": [[1e-80], [1.0]], "spherical": [1e-80, 1.0]}
    theta = GaussianParameters.from_covariances(structure, [0.5, 0.5], [[0.0], [1.0]], covariances[structure])
    X = np.array([[0.0], [1.0], [0.25]])
    with np.errstate(all="raise"):
        found, expected = (
            score_rows(rows, theta, responsibilities=True, labels=True) for rows in (X.astype(np.float32), X)
        )
    for name in ("log_density", "responsibilities"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.dtype == np.float32
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(one, other.astype(np.float32))
    np.testing.assert_array_equal(found.labels, expected.labels)
