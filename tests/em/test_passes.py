"""Passes over data: whole, by rows from arrays and from callables, and how partial statistics are added."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from em.examples import NormalWithGaps
from emix import EMRun, GaussianModel, GaussianParameters, fit_em
from emix.em.loop import iterate
from emix.em.passes import BLOCK_ROWS, add_results, begin_run
from emix.rows.arrays import ArraySource

N = 2 * BLOCK_ROWS + 100
RNG = np.random.default_rng(0)
ROWS = np.where(RNG.random(N) < 0.3, RNG.normal(0.0, 1.0, N), RNG.normal(4.0, 1.0, N))
WEIGHT = RNG.uniform(0.0, 2.0, N)


class Moments(NamedTuple):
    n: Any
    total: Any


@dataclass(frozen=True)
class Sums:
    n: Any
    total: Any
    nested: tuple[float, ...] = field(default=(1.0, 2.0))


def pair(n: Any, total: Any) -> Any:
    return n, total


class Means:
    """Means of two normals of variance one and equal weight."""

    by_rows = True

    def __init__(self, make: Callable[[Any, Any], Any] = pair, read: Callable[[Any], Any] = tuple) -> None:
        self._make, self._read = make, read
        self.blocks: list[int] = []

    def e_step(self, x: Any, means: Any) -> tuple[Any, float]:
        self.blocks.append(len(x))
        p = np.exp(-0.5 * (x[:, None] - means) ** 2) / np.sqrt(8.0 * np.pi)
        r = p / p.sum(axis=1, keepdims=True)
        return self._make(r.sum(axis=0), x @ r), float(np.log(p.sum(axis=1)).sum())

    def m_step(self, statistics: Any) -> Any:
        n, total = self._read(statistics)
        return total / n


class WeightedMeans(Means):
    """The same with weighted rows."""

    def e_step(self, data: Any, means: Any) -> tuple[Any, float]:
        x, w = data
        assert len(x) == len(w)
        p = np.exp(-0.5 * (x[:, None] - means) ** 2) / np.sqrt(8.0 * np.pi)
        r = w[:, None] * p / p.sum(axis=1, keepdims=True)
        return (r.sum(axis=0), x @ r), float(w @ np.log(p.sum(axis=1)))

    def weight(self, data: Any) -> float:
        return float(data[1].sum())


def fit(model: Any, data: Any, **changed: Any) -> Any:
    return iterate(model, data, np.array([-1.0, 1.0]), **({"tol": 0.0, "max_iter": 8} | changed))


class Whole(Means):
    by_rows = False


WHOLE = fit(Whole(), ROWS)


def blocks(sizes: list[int]) -> Callable[[], Iterator[Any]]:
    return lambda: iter(np.split(ROWS, np.cumsum(sizes)[:-1]))


# Blocks


@pytest.mark.parametrize(
    "data",
    [
        ROWS,
        ROWS.tolist(),
        blocks([N]),
        blocks([1, 10_000, N - 10_001]),
        lambda: [ROWS[:500], ROWS[500:]],
        lambda: (ROWS[i : i + 3000] for i in range(0, N, 3000)),
    ],
    ids=["array", "list", "one block", "uneven blocks", "a list each time", "generator"],
)
def test_blocks_give_what_the_whole_gives(data: Any) -> None:
    result = fit(Means(), data)
    # Sums of 16 484 terms in another order: a relative 16 484 eps at the very worst, and 8 iterations that contract.
    np.testing.assert_allclose(result.parameters, WHOLE.parameters, rtol=1e-11)
    assert result.log_likelihood == pytest.approx(WHOLE.log_likelihood, rel=1e-11)
    assert len(result.history) == len(WHOLE.history)


def test_arrays_come_in_blocks_and_others_whole() -> None:
    model = Means()
    fit(model, ROWS, max_iter=1)
    assert model.blocks == 2 * [BLOCK_ROWS, BLOCK_ROWS, 100]
    whole = Whole()
    fit(whole, ROWS, max_iter=1)
    assert whole.blocks == [N, N]


def test_tuple_of_arrays_is_cut_alike() -> None:
    result = fit(WeightedMeans(), (ROWS, WEIGHT))
    plain = fit(type("Whole", (WeightedMeans,), {"by_rows": False})(), (ROWS, WEIGHT))
    np.testing.assert_allclose(result.parameters, plain.parameters, rtol=1e-11)  # as above
    source = fit(WeightedMeans(), lambda: ((ROWS[i : i + 999], WEIGHT[i : i + 999]) for i in range(0, N, 999)))
    np.testing.assert_allclose(source.parameters, plain.parameters, rtol=1e-11)


def test_rows_of_a_matrix() -> None:
    X = np.random.default_rng(1).normal(size=(30, 2))
    X[::3, 0] = np.nan
    start = {"mean": np.zeros(2), "covariance": np.eye(2)}
    whole = iterate(NormalWithGaps(), X, start, tol=0.0, max_iter=3)
    parts = iterate(NormalWithGaps(), lambda: iter([X[:7], X[7:]]), start, tol=0.0, max_iter=3)
    np.testing.assert_allclose(parts.parameters["covariance"], whole.parameters["covariance"], rtol=1e-12)


# Total weight


def test_weight_is_the_number_of_rows_unless_the_model_says() -> None:
    assert begin_run(Means(), ROWS).weight == N
    assert begin_run(Means(), blocks([5, N - 5])).weight == N
    assert begin_run(Whole(), ROWS).weight == 1.0
    assert begin_run(WeightedMeans(), (ROWS, WEIGHT)).weight == pytest.approx(WEIGHT.sum(), rel=1e-12)
    assert begin_run(GaussianModel(1, 1), (ROWS[:, None], WEIGHT)).weight == pytest.approx(WEIGHT.sum(), rel=1e-12)


def test_precision_is_that_of_the_rows_where_the_model_tells() -> None:
    assert begin_run(GaussianModel(1, 1), ROWS[:, None].astype(np.float32)).dtype == np.float32
    assert begin_run(Means(), ROWS).dtype == "float64"


def own_run(**attributes: Any) -> Any:
    """A model whose run has these attributes."""
    run = SimpleNamespace(e_step=lambda theta: (theta, 0.0), **attributes)
    return SimpleNamespace(begin=lambda data: run, m_step=lambda theta: theta)


@pytest.mark.parametrize(
    ("model", "data", "weight", "effective_rows", "dtype"),
    [
        (Whole(), ROWS, 1.0, 1.0, "float64"),
        (Means(), ROWS, N, N, "float64"),
        (own_run(), ROWS, 1.0, 1.0, "float64"),
        (own_run(weight=6), ROWS, 6.0, 6.0, "float64"),
        (own_run(weight=6.0, effective_rows=np.int64(3), dtype="float32"), ROWS, 6.0, 3.0, "float32"),
        (own_run(dtype=np.float32), ROWS, 1.0, 1.0, "float32"),
        # Weights 1 and 3: (1 + 3)² / (1 + 9) rows.
        (GaussianModel(1, 1), (np.float32([[0.0], [1.0]]), [1.0, 3.0]), 4.0, 1.6, "float32"),
    ],
    ids=["whole", "by rows", "of begin", "with weight", "with all", "with a type for dtype", "Gaussian"],
)
def test_every_run_has_the_attributes_of_the_protocol(
    model: Any, data: Any, weight: float, effective_rows: float, dtype: str
) -> None:
    run = begin_run(model, data)
    assert (type(run.weight), type(run.effective_rows)) == (float, float)
    assert (run.weight, run.effective_rows) == (weight, pytest.approx(effective_rows, rel=1e-15))  # one division
    assert isinstance(run.dtype, np.dtype) and run.dtype == dtype


def test_a_run_of_gaussians_keeps_the_protocol_by_itself() -> None:
    run: EMRun[GaussianParameters, Any] = GaussianModel(1, 1).begin(ROWS[:, None])
    assert (run.weight, run.effective_rows, run.dtype) == (N, N, np.dtype(np.float64))


class Counted:
    """An array that counts how often it is read."""

    def __init__(self, values: Any) -> None:
        self._values, self.reads = values, 0

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        self.reads += 1
        return np.asarray(self._values, dtype=dtype)


def test_rows_and_weights_are_read_once_and_the_run_tells_weight_and_precision() -> None:
    # 8 eps of single precision, averaged over rows: the fit in float32 stops by rounding, if the run's dtype is used.
    rows, weight = Counted(ROWS[:, None].astype(np.float32)), Counted(WEIGHT)
    start = GaussianParameters.from_covariances("full", [0.3, 0.7], [[-1.0], [5.0]], [[[1.0]], [[1.0]]])

    class Silent(GaussianModel):
        def weight(self, data: Any) -> float:
            raise AssertionError("the weight is the run's")

    result = fit_em(Silent(2, 1), (rows, weight), start, tol=0.0)
    assert (rows.reads, weight.reads) == (1, 1)
    assert result.n_iter > 2
    assert result.stopped_by == "rounding"
    # The last change is more than double precision explains: 8 eps of |ℓ| + W.
    total = float(WEIGHT.sum())
    assert abs(result.history[-1].change) > 8.0 * 2.0**-52 * (abs(result.log_likelihood) + total)


def test_every_result_of_a_run_is_checked_until_one_is_as_it_should_be() -> None:
    returned: list[Any] = [(0.0, np.float32(-3.0)), (0.0, Fraction(-2)), (0.0, np.ones(2))]
    run = SimpleNamespace(e_step=lambda theta: returned.pop(0))
    found = begin_run(SimpleNamespace(begin=lambda data: run), None)
    assert [found.e_step(0.0), found.e_step(0.0)] == [(0.0, -3.0), (0.0, -2.0)]
    with pytest.raises(TypeError, match="with one number, the total of the data"):
        found.e_step(0.0)


def test_a_run_of_the_models_own_makes_the_passes() -> None:
    begun: list[Any] = []

    class Cached:
        def begin(self, data: Any) -> Any:
            begun.append(data)
            n, mean = len(data), float(np.mean(data))

            class Run:
                def e_step(self, theta: float) -> tuple[float, float]:
                    return mean, -0.5 * n * (mean - theta) ** 2

            return Run()

        def m_step(self, statistics: float) -> float:
            return statistics

    result = iterate(Cached(), ROWS, 0.0, tol=0.0, max_iter=3)
    assert result.parameters == pytest.approx(ROWS.mean())
    assert len(begun) == 1 and begun[0] is ROWS


# What cannot be read again


def test_one_shot_iterator_is_refused() -> None:
    message = r"data is a generator, which can be read only once.*callable that returns a new iterator for each pass"
    with pytest.raises(TypeError, match=message):
        fit(Means(), (block for block in [ROWS]))
    with pytest.raises(TypeError, match="data is a list_iterator"):
        fit(Means(), iter([ROWS]))


def test_callable_that_returns_the_same_iterator_is_refused() -> None:
    same = iter([ROWS])
    with pytest.raises(TypeError, match=r"returned the same iterator twice.*return a new one at each call"):
        fit(Means(), lambda: same)


def test_callable_is_called_once_for_each_pass_and_all_of_it_is_read() -> None:
    opened = read = 0

    def blocks() -> Any:
        nonlocal opened, read
        opened += 1
        yield ROWS[:3]
        yield ROWS[3:]
        read += 1

    result = fit(Means(), blocks)
    # One pass more than E-steps: the first counts the rows.
    assert opened == read == len(result.history) + 1


def test_callable_whose_iterators_share_what_they_read_is_refused() -> None:
    once = iter([ROWS])
    with pytest.raises(ValueError, match="data gave no blocks on this pass: a callable must return a new iterator"):
        fit(Means(), lambda: (block for block in once))


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"arrays with \[5, 4\] rows, expected as many rows in each"):
        fit(WeightedMeans(), (ROWS[:5], WEIGHT[:4]))


@pytest.mark.parametrize("data", [ROWS[:0], lambda: iter([])])
def test_no_rows_are_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="data has no rows, expected at least one"):
        fit(Means(), data)


# Statistics


@pytest.mark.parametrize(
    ("make", "read"),
    [
        (pair, lambda s: s),
        (lambda n, t: [n, t], lambda s: s),
        (Moments, lambda s: s),
        (Sums, lambda s: (s.n, s.total)),
        (lambda n, t: {"n": n, "total": t}, lambda s: (s["n"], s["total"])),
        (lambda n, t: np.stack([n, t]), lambda s: s),
        (lambda n, t: {"all": (Moments(*n), t.tolist())}, lambda s: (np.array(s["all"][0]), np.array(s["all"][1]))),
    ],
    ids=["tuple", "list", "namedtuple", "dataclass", "dict", "array", "nested"],
)
def test_statistics_of_any_kind(make: Callable[[Any, Any], Any], read: Callable[[Any], Any]) -> None:
    result = fit(Means(make, read), ROWS)
    np.testing.assert_allclose(result.parameters, WHOLE.parameters, rtol=1e-11)  # as above


def test_added_results_keep_their_type_and_leave_the_parts_alone() -> None:
    a, b = Sums(1, np.array([1.0])), Sums(2.5, np.array([2.0]), (3.0, 4.0))
    total = add_results(a, b)
    assert total == Sums(3.5, np.array([3.0]), (4.0, 6.0))
    assert (a.n, b.n) == (1, 2.5) and a.total == [1.0]
    assert add_results(Moments(1, 2), Moments(3, 4)) == Moments(4, 6)
    assert add_results(1, np.float64(2.0)) == 3.0


def test_own_addition_is_used() -> None:
    model = GaussianModel(1, 2, "diag")
    X = np.random.default_rng(2).normal(size=(40, 2))
    theta = GaussianParameters.from_covariances("diag", [1.0], [[0.0, 0.0]], [[1.0, 1.0]])
    both = add_results(model.e_step(X[:15], theta)[0], model.e_step(X[15:], theta)[0])
    np.testing.assert_allclose(both.scatter, model.e_step(X, theta)[0].scatter, rtol=1e-13)  # 40 terms
    with pytest.raises(ValueError, match="statistics taken under different parameters cannot be added"):
        add_results(model.e_step(X, theta)[0], model.e_step(X, model.m_step(both))[0])


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ((1.0,), [1.0], "statistics of two blocks are a tuple and a list, expected one type"),
        (None, None, "statistics hold a NoneType, expected numbers, arrays, tuples, dicts or dataclasses"),
        ({"n": {1}}, {"n": {2}}, "statistics hold a set.*give the type an __add__"),
    ],
)
def test_statistics_that_do_not_add(a: Any, b: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        add_results(a, b)


@pytest.mark.parametrize(("a", "b"), [({"n": 1}, {"n": 1, "m": 2}), ({"n": 1, "m": 2}, {"n": 1})])
def test_nothing_is_lost_of_dicts_with_different_keys(a: Any, b: Any) -> None:
    with pytest.raises(ValueError, match=r"dicts with the keys \['n'.*\] and \['n'"):
        add_results(a, b)


def test_tuples_of_different_lengths() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        add_results((1, 2), (1,))


@pytest.mark.parametrize("weighted", [False, True])
def test_a_model_by_rows_takes_a_source_of_rows(weighted: bool) -> None:
    X, weight = ROWS[:, np.newaxis], WEIGHT if weighted else None

    class Mean:
        by_rows = True

        def e_step(self, block: Any, mean: float) -> tuple[Any, float]:
            rows, w = block if weighted else (block, np.ones(len(block)))
            return (float(w.sum()), float(w @ rows[:, 0])), -0.5 * float(w @ (rows[:, 0] - mean) ** 2)

        def m_step(self, statistics: Any) -> float:
            return float(statistics[1] / statistics[0])

    found = fit_em(Mean(), ArraySource(X, weight), 0.0).parameters
    assert found == pytest.approx(np.average(ROWS, weights=weight), rel=1e-12)  # some 1e4 sums, each rounded
