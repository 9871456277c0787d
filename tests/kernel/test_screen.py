"""A first look in single precision leaves out only what would have been left out, so that not a bit changes."""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import emix.gaussian.sums
import emix.kernel.level
from emix import GaussianModel, GaussianParameters
from emix.gaussian.shortcuts.bounds import Bounds
from emix.gaussian.shortcuts.screen import Screen
from emix.gaussian.sums import Counts, Part
from emix.kernel import factors
from emix.kernel.factors import PassOutcome
from emix.kernel.layout import FULL, TIED
from emix.kernel.level import available_levels, kernel_for, kernel_of_level
from emix.rows.arrays import as_source
from gaussian.examples import bits_of, density_of, request_of, shortcut_of, sums_of

Array = NDArray[np.float64]

has_none = {level: kernel_of_level(level, "float64").cost_of_first_look(64, 0.0) > 1.0 for level in available_levels()}
each_level_that_has_it = pytest.mark.parametrize("level", [level for level in has_none if not has_none[level]])

SIZES = [(2_273, 16, 32, False), (2_048, 3, 41, True), (16_384 + 1_024 + 77, 4, 30, False), (2_500, 17, 64, True)]
each_size = pytest.mark.parametrize("size", SIZES, ids=[f"n{n}-K{K}-d{d}" for n, K, d, _ in SIZES])


def problem(
    n: int, K: int, d: int, weighted: bool = False, condition: float = 30.0, separation: float = 2.0
) -> tuple[Any, GaussianParameters]:
    """Rows of components of their own shapes and sizes, and parameters near theirs."""
    rng = np.random.default_rng([n, K, d])
    means = separation * rng.normal(size=(K, d))
    factor = np.linalg.qr(rng.normal(size=(K, d, d)))[0] * np.geomspace(1.0, condition**-0.5, d)
    X = means[(which := rng.integers(K, size=n))] + np.einsum("nij,nj->ni", factor[which], rng.normal(size=(n, d)))
    weight = rng.uniform(0.1, 3.0, n) if weighted else None
    covariances = factor @ np.swapaxes(factor, 1, 2) * rng.uniform(0.5, 2.0, size=(K, 1, 1))
    weights = rng.dirichlet(np.full(K, 3.0))
    return (X, weight), GaussianParameters.from_covariances("full", weights, means + 0.1, covariances)


def passes(rows: Any, theta: GaussianParameters, look: bool, n_threads: int = 2) -> tuple[bytes, Array]:
    """Bits of the sums of two passes; with `look`, the second takes a first look, and what each component has kept."""
    source, K = as_source(rows), theta.n_components
    screen = Screen(kernel_for(source.dtype), K, theta.n_features)
    sums = sums_of(source, theta, n_threads, sketch=screen.room if look else None)
    request = request_of(theta, source)  # the first pass leaves nothing out
    first = sums.take(request)
    request = request._replace(before=first)
    if look:
        screen.pays = True
        request = screen.before(request)
        assert request.parts == {"screen": True}
    second = sums.take(request)
    return bits_of(first) + bits_of(second), screen.room[:K].astype(np.float64) if look else np.empty(0)


@each_level_that_has_it
@each_size
@pytest.mark.parametrize("negligible", [40.0, 0.01])
def test_not_a_bit_changes(
    level: str, size: tuple[int, int, int, bool], negligible: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emix.kernel.level, "level_in_use", level)
    # 0.01: whether a component counts is as good as tossed in many rows, so that a bound which errs would show.
    monkeypatch.setattr(emix.gaussian.sums, "NEGLIGIBLE", negligible)
    rows, theta = problem(*size, separation=2.0 if negligible == 40.0 else 0.1)
    expected, _ = passes(rows, theta, False)
    found, kept = passes(rows, theta, True)
    assert kept.min() > 0.9
    assert found == expected
    assert passes(rows, theta, True, n_threads=1)[0] == expected


@each_level_that_has_it
@pytest.mark.parametrize("layout", ["columns first", "every second row and column", "backwards"])
def test_not_a_bit_changes_wherever_rows_lie(level: str, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emix.kernel.level, "level_in_use", level)
    (X, weight), theta = problem(3_000, 4, 27, weighted=True)
    expected, _ = passes((X, weight), theta, False)
    if layout == "columns first":
        other = np.asfortranarray(X)
    elif layout == "backwards":
        other = X[::-1].copy()[::-1]
    else:
        wide = np.zeros((6_000, 54))
        other = wide[::2, ::2]
        other[:] = X
    assert passes((other, weight), theta, True)[0] == expected


@each_level_that_has_it
def test_not_a_bit_changes_with_bounds_and_rows_without_weight(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emix.kernel.level, "level_in_use", level)
    (X, weight), theta = problem(20_000, 24, 32, weighted=True, separation=3.0)
    # Neighbours are of one component, so that whole blocks leave out the first.
    X = X[np.argsort(X[:, 0])]
    weight[::3] = 0.0
    source, kernel, found = as_source((X, weight)), kernel_for(X.dtype), []
    for look in (False, True):
        bounds, screen = Bounds(kernel, len(X), 24, 32), Screen(kernel, 24, 32)
        sums, bits = sums_of(source, theta, sketch=screen.room if look else None), b""
        before = None
        for _ in range(6):
            request = bounds.before(request_of(theta, source, before))
            if look:
                screen.pays = before is not None
                request = screen.before(request)
            before = sums.take(request)
            bounds.after(request, before)
            bits += bits_of(before)
        assert bounds.carried is not None
        found.append(bits)
    assert found[0] == found[1]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no mprotect, by which a page cannot be read")
@each_level_that_has_it
def test_nothing_behind_the_rows_is_read(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emix.kernel.level, "level_in_use", level)
    (X, _), theta = problem(2_273, 16, 32)  # of its last block most of a tile is listed
    n_bytes = -(-X.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, n_bytes + mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    rows = np.frombuffer(memory, offset=n_bytes - X.nbytes, count=X.size).reshape(X.shape)
    rows[...] = X
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    assert protect(address + n_bytes, mmap.PAGESIZE, 0) == 0
    try:
        assert passes((rows, None), theta, True)[0] == passes((X, None), theta, False)[0]
    finally:
        assert protect(address + n_bytes, mmap.PAGESIZE, 3) == 0


@each_level_that_has_it
def test_not_a_bit_changes_beyond_single_precision(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emix.kernel.level, "level_in_use", level)
    (X, _), theta = problem(2_300, 4, 26)
    # Rows of which squares, or sums of them, overflow, for all components or nearly
    X[::50] *= np.geomspace(1e3, 1e120, len(X[::50]))[:, np.newaxis]
    expected, _ = passes((X, None), theta, False)
    found, kept = passes((X, None), theta, True)
    assert kept.min() > 0.9
    assert found == expected


@each_level_that_has_it
def test_columns_may_have_any_units(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emix.kernel.level, "level_in_use", level)
    (X, _), theta = problem(2_300, 4, 26)
    units = 2.0 ** np.linspace(-80, 80, 26).round()
    scaled = GaussianParameters.from_covariances(
        "full", theta.weights, theta.means * units, theta.covariances * np.outer(units, units)
    )
    _, plain = passes((X, None), theta, True)
    expected, _ = passes((X * units, None), scaled, False)
    found, kept = passes((X * units, None), scaled, True)
    np.testing.assert_allclose(kept, plain, rtol=1e-6)  # of single precision
    assert found == expected


@each_level_that_has_it
def test_components_of_which_a_look_tells_nothing_are_computed(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emix.kernel.level, "level_in_use", level)
    (X, _), theta = problem(2_300, 5, 26)
    X[:20] = theta.means[2]
    covariances = theta.covariances.copy()
    # Columns that all but depend on each other; deviations that single precision does not hold; no weight at all.
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(26, 2))
    covariances[1] = loadings @ loadings.T + 1e-9 * np.eye(26)
    covariances[2] = 1e-90 * np.eye(26)
    theta = GaussianParameters.from_covariances("full", [0.3, 0.3, 0.2, 0.0, 0.2], theta.means, covariances)
    expected, _ = passes((X, None), theta, False)
    found, kept = passes((X, None), theta, True)
    np.testing.assert_array_equal(kept > 0.0, [True, False, False, False, True])
    assert found == expected


def sketch(theta: GaussianParameters, center: Array | None = None) -> Array:
    """The sketch of a pass, [kept | 1 / √diag Σ | W D in panels]"""
    K, d = theta.n_components, theta.n_features
    room = np.full(factors.sketch_size(K, d), np.nan, np.float32)
    limits = np.array([[-1e9] * d, [1e9] * d])
    arguments, slots = np.empty(2 * K * (1 + d) + K * d * d + d), np.zeros((1, K * (1 + d) + K * d * d + 1))
    buffers = factors.PassBuffers(FULL, K, d, 40.0, arguments, None, slots, room)
    columns, before = factors.Columns(2e-16, limits), PassOutcome(np.ones(K))
    buffers.begin(density_of(theta), before, center, columns, False, True)
    return room


@pytest.mark.parametrize("d", [1, 4, 7, 24, 50])
def test_what_is_kept_covers_every_rounding(d: int) -> None:
    """kept ≤ (1 − ρ)² for ρ of the formula, from the variance inflation factors as a regression defines them."""
    _, theta = problem(10, 3, d)
    gamma = (d + 3) * 2.0**-24 / (1 - (d + 3) * 2.0**-24)
    for k, kept in enumerate(sketch(theta)[:3]):
        covariance = theta.covariances[k]
        inflation = 0.0
        for j in range(d):
            others = np.arange(d) != j
            slope = np.linalg.lstsq(covariance[np.ix_(others, others)], covariance[others, j], rcond=None)[0]
            inflation += covariance[j, j] / (covariance[j, j] - covariance[others, j] @ slope)
        error = gamma * np.sqrt(d * inflation)
        assert (1 - error) ** 2 * (1 - gamma) * (1 - 1e-5) < kept < (1 - error) ** 2 * (1 - gamma)


def test_sums_about_other_centres_are_not_looked_at() -> None:
    _, theta = problem(10, 3, 8)
    assert (sketch(theta)[:3] > 0.9).all()
    center = theta.means.copy()
    center[1, 4] += 1.0
    np.testing.assert_array_equal(sketch(theta, center)[:3] > 0.9, [True, False, True])


def test_a_sketch_must_have_its_size() -> None:
    arguments, slots = np.zeros(2 * 2 * 4 + 2 * 9 + 3), np.zeros((1, 2 * 4 + 18 + 1))
    with pytest.raises(ValueError, match="sketch has 5 numbers, expected 40"):
        factors.PassBuffers(FULL, 2, 3, 40.0, arguments, None, slots, np.zeros(5, np.float32))
    kernel = kernel_for(np.dtype(np.float64))
    workspaces = np.empty((1, kernel.workspace_size(2, 3)))
    for code, size in [(0, 5), (1, factors.sketch_size(2, 3))]:
        with pytest.raises(ValueError, match="sketch"):
            kernel.Accumulator(
                code, 2, 3, arguments[: None if code == 0 else -9], workspaces,
                slots if code == 0 else slots[:, :-9], np.zeros(size, np.float32)
            )  # fmt: skip


@each_level_that_has_it
def test_it_is_taken_where_few_responsibilities_are_above_zero(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emix.kernel.level, "level_in_use", level)
    kernel = kernel_for(np.dtype(np.float64))
    assert Screen.may_pay(kernel, FULL, 3_000, 8, 64)
    for form, n, K, d in [(TIED, 3_000, 8, 64), (FULL, 500, 8, 64), (FULL, 3_000, 2, 64), (FULL, 3_000, 8, 8)]:
        assert not Screen.may_pay(kernel, form, n, K, d)
    for separation, expected in [(0.05, [False, False, False]), (2.0, [False, True, True])]:
        rows, theta = problem(3_000, 8, 64, separation=separation, condition=1.0)
        run = GaussianModel(8, 64).begin(rows)
        screen = shortcut_of(run, Screen)
        assert screen is not None
        found = []
        for _ in range(3):
            run.e_step(theta)
            found.append(screen.pays)
        assert found == expected


def test_a_pass_in_full_or_with_bounds_alone_decides_nothing() -> None:
    """Such a pass says nothing of the share of responsibilities above 0."""
    rows, theta = problem(3_000, 8, 64)
    source = as_source(rows)
    screen, before = Screen(kernel_for(source.dtype), 8, 64), PassOutcome(np.ones(8))
    for request, counts in (
        (request_of(theta, source), Counts(n_live=8.0, n_plain=8)),
        (request_of(theta, source, before), Counts(n_computed=8.0)),
    ):
        for pays in (False, True):
            screen.pays = pays
            screen.after(request, PassOutcome(np.ones(8), counts=counts))
            assert screen.pays is pays


def test_no_look_is_asked_for_where_all_rows_have_bounds() -> None:
    rows, theta = problem(3_000, 8, 64)
    source = as_source(rows)
    screen, plain = Screen(kernel_for(source.dtype), 8, 64), request_of(theta, source)
    for pays, parts, expected in (
        (False, {}, False),
        (True, {}, True),
        (True, {"bounds": [Part(0, 3_000, bounds=())]}, False),
        (True, {"bounds": [Part(0, 512), Part(512, 3_000, bounds=())]}, True),
        (True, {"bounds": [Part(0, 3_000, labels=np.empty(3_000, np.uint16))]}, True),
    ):
        screen.pays = pays
        assert screen.before(plain._replace(parts=parts)).parts == {**parts, "screen": expected}


@pytest.mark.parametrize("level", [level for level in has_none if has_none[level]])
def test_other_levels_have_none(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emix.kernel.level, "level_in_use", level)
    assert not Screen.may_pay(kernel_for(np.dtype(np.float64)), FULL, 10**6, 64, 64)
