"""The scatter of all rows about their mean: against a naive sum, once for a source, whatever its precision and form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emix.gaussian import total_scatter as module
from emix.gaussian.model import GaussianModel
from emix.gaussian.parameters import GaussianParameters
from emix.gaussian.total_scatter import total_scatter
from emix.rows.arrays import ArraySource
from rows.streams import BatchSource

Array = NDArray[Any]
N_ROWS = 40_000


def rows(d: int, dtype: str, weighted: bool, offset: float) -> tuple[Array, NDArray[np.float64] | None]:
    rng = np.random.default_rng(d)
    X = (offset + rng.normal(size=(N_ROWS, d))).astype(dtype)
    return X, rng.uniform(0.0, 2.0, N_ROWS) if weighted else None


def assert_is_the_scatter(found: tuple[Array, Array], X: Array, weight: Array | None) -> None:
    """The mean in the rows' precision, and a naive sum about it in the widest floats."""
    origin, scatter = found
    w = np.ones(len(X)) if weight is None else weight
    z = X.astype(np.longdouble) - origin
    spread = np.sqrt(np.diagonal(scatter) / w.sum())
    # Rounded to the rows' precision, from a sum in double precision
    assert (np.abs((w @ z) / w.sum()) <= np.finfo(X.dtype).eps * np.abs(origin) + 2.0**-50 * spread).all()
    np.testing.assert_array_equal(origin, origin.astype(X.dtype))
    expected = np.tril(((z.T * w) @ z).astype(float))
    # 40 000 terms, each rounded twice; about the middle of the columns first
    np.testing.assert_allclose(scatter, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 17])
@pytest.mark.parametrize(("dtype", "offset"), [("float64", 0.0), ("float64", 1e8), ("float32", 0.0), ("float32", 1e3)])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_the_naive_sum(d: int, dtype: str, offset: float, weighted: bool) -> None:
    X, weight = rows(d, dtype, weighted, offset)
    # A source of its own for each: one keeps the result.
    one, two = (total_scatter(ArraySource(X, weight), n_threads) for n_threads in (1, 2))
    for found, other in zip(one, two, strict=True):
        np.testing.assert_array_equal(found, other)
    assert_is_the_scatter(one, X, weight)


@pytest.mark.parametrize("weighted", [False, True])
def test_single_precision_at_an_offset_of_1e8_is_summed_in_double(weighted: bool) -> None:
    # Neighbours of single precision are 8 apart there: the rows are a few hundred of them.
    X, weight = rows(3, "float32", weighted, 0.0)
    X = (1e8 + 1000.0 * X.astype(np.float64)).astype(np.float32)
    assert_is_the_scatter(total_scatter(ArraySource(X, weight), None), X, weight)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("step", [1, 7])
def test_batches_have_the_same_bits(dtype: str, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    X, weight = rows(4, dtype, True, 100.0)
    expected = total_scatter(ArraySource(X, weight), None)
    monkeypatch.setattr(module, "WIDENED", 5)  # rows of single precision are widened in other pieces too
    found = total_scatter(BatchSource(X, weight, step), None)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_rows_far_out_move_the_centre_to_the_mean() -> None:
    """Without a second pass about the mean, rounding of the middle, 5e11, would be left of the scatter."""
    X, _ = rows(3, "float64", False, 0.0)
    X[7] = 1e12
    weight = np.ones(N_ROWS)
    weight[7] = 1e-20
    assert_is_the_scatter(total_scatter(ArraySource(X, weight), None), X, weight)


def test_a_scatter_that_overflows_is_not_finite() -> None:
    X, _ = rows(2, "float64", False, 0.0)
    with np.errstate(all="raise"):  # it is told by its value alone
        _, scatter = total_scatter(ArraySource(1e155 * X), None)
    assert not np.isfinite(scatter).all()


def test_it_is_found_once_for_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    X, weight = rows(5, "float64", True, 0.0)
    source = ArraySource(X, weight)
    calls: list[None] = []

    class Counting(module.LocalSums):
        def __init__(self, *arguments: Any) -> None:
            calls.append(None)
            super().__init__(*arguments)

    monkeypatch.setattr(module, "LocalSums", Counting)
    found = []
    for K in (3, 4):
        theta = GaussianParameters.from_covariances("tied", np.full(K, 1 / K), X[:K], np.eye(5))
        found.append(GaussianModel(K, 5, "tied").begin(source).e_step(theta))
        assert list(source.kept) == ["total scatter"]
    assert len(calls) == 1
    assert total_scatter(source, None) is source.kept["total scatter"]
    # The rows of another source are others.
    GaussianModel(K, 5, "tied").begin((X, weight)).e_step(theta)
    assert len(calls) == 2


def test_other_structures_do_without() -> None:
    X, weight = rows(5, "float64", True, 0.0)
    source = ArraySource(X, weight)
    theta = GaussianParameters.from_covariances("diag", np.full(4, 0.25), X[:4], np.ones((4, 5)))
    GaussianModel(4, 5, "diag").begin(source).e_step(theta)
    assert not source.kept
