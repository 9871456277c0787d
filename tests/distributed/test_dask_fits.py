"""Fits of dask collections: the fits of the same rows in an array."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import emix
from emix.distributed.source import DaskSource
from emix.gaussian.structures import STRUCTURES
from emix.rows.sampling import SAMPLE_ROWS, Sample
from gaussian.examples import clusters
from partitioned import array_of, cut

pytestmark = pytest.mark.filterwarnings("ignore:.*did not converge:emix.ConvergenceWarning")

K, D = 3, 3
NAMES = ("a", "b", "c")
FEW, MANY = 3000, SAMPLE_ROWS + 20_000
X = clusters(FEW, D, K)
W = np.random.default_rng(1).integers(0, 3, FEW).astype(float)
LENGTHS = (700, 0, 1200, 1, 1099)  # one without rows


def start(structure: str) -> emix.GaussianParameters:
    means = X[[0, 1, 2]]
    covariances = STRUCTURES[structure].form.from_pooled(np.cov(X.T), K)
    return emix.GaussianParameters.from_covariances(structure, np.full(K, 1 / K), means, covariances)


def fitted(data: Any, structure: str = "full", n: int = 10) -> Any:
    """EM from the same start for as many iterations."""
    model = emix.GaussianModel(K, D, structure, "auto", shortcuts=())
    return emix.fit_em(model, data, start(structure), tol=0.0, max_iter=n)


def assert_same_fit(one: Any, other: Any) -> None:
    # The promise: sums of the same rows, added in another order, to rounding.
    assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-12)
    for name in ("weights", "means", "covariances"):
        a, b = getattr(one.parameters, name), getattr(other.parameters, name)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9 * np.abs(b).max(), err_msg=name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_partitions_give_the_fit_of_the_array(structure: str, dtype: Any) -> None:
    rows = X.astype(dtype)
    parts = array_of(cut(rows, LENGTHS))
    one, other = fitted((parts, W), structure), fitted((rows, W), structure)
    if dtype == np.float64:
        assert_same_fit(one, other)
    else:
        # Centres are rounded to single precision: where one falls to the other side, each log-density of a row moves by
        # the rounding of its squares.
        assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=2 * float(np.finfo(np.float32).eps))


def frame(weight: Any = None) -> dd.DataFrame:
    columns = pd.DataFrame(X, columns=NAMES)
    return dd.from_pandas(columns if weight is None else columns.assign(w=weight), npartitions=4)


def weighted(kind: str) -> tuple[Any, Any]:
    """The rows and the weights W, in all the ways in which they may be passed."""
    parts = array_of(cut(X, LENGTHS))
    with_weights = frame(W)
    unknown = array_of(cut(X, LENGTHS), known=False)
    return {
        "array and array": (parts, da.from_array(W, chunks=999)),
        "array and numpy": (parts, W),
        "array and list": (parts, W.tolist()),
        "unknown lengths and numpy": (unknown, W),
        "unknown lengths and array": (unknown, array_of(cut(W, LENGTHS))),
        "frame and column": (with_weights[list(NAMES)], with_weights["w"]),
        "frame and numpy": (frame(), W),
        "frame and array": (frame(), array_of(cut(W, (750, 750, 750, 750)))),
        "columns in blocks": (da.from_array(X, chunks=(1000, 2)), W),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "array and array", "array and numpy", "array and list", "unknown lengths and numpy",
        "unknown lengths and array", "frame and column", "frame and numpy", "frame and array", "columns in blocks",
    ],
)  # fmt: skip
def test_weights(kind: str) -> None:
    assert_same_fit(fitted(weighted(kind)), fitted((X, W)))


def test_weights_of_any_size() -> None:
    for unit in (2.0**-600, 2.0**600):
        one = emix.GaussianMixture(2, random_state=0, max_iter=5).fit(array_of(cut(X, LENGTHS)), sample_weight=unit * W)
        other = emix.GaussianMixture(2, random_state=0, max_iter=5).fit(array_of(cut(X, LENGTHS)), sample_weight=W)
        np.testing.assert_array_equal(one.means_, other.means_)  # a power of two changes no digit
        assert one.log_likelihood_ == unit * other.log_likelihood_
        moderate = DaskSource(array_of(cut(X, LENGTHS)), unit * W)
        assert fitted(moderate).log_likelihood == unit * fitted((array_of(cut(X, LENGTHS)), W)).log_likelihood


def test_shortcuts_of_the_sums_agree() -> None:
    # Packing of live rows is what a partition may do by itself.
    model = emix.GaussianModel(K, D, reg_covar="auto")
    one = emix.fit_em(model, array_of(cut(X, LENGTHS)), start("full"), tol=0.0, max_iter=10)
    assert_same_fit(one, fitted(X))


@pytest.mark.parametrize("kind", ["array", "array with weights", "frame", "frame with weights"])
@pytest.mark.parametrize("n", [FEW, MANY])
def test_a_fit_starts_where_that_of_the_array_does(kind: str, n: int) -> None:
    rows, w = clusters(n, D, K), np.random.default_rng(n).integers(0, 3, n).astype(float)
    weight = w if "weights" in kind else None
    data: Any = da.from_array(rows, chunks=(n // 4, D))
    if "frame" in kind:
        data = dd.from_pandas(pd.DataFrame(rows, columns=NAMES), npartitions=3)
    settings = {"random_state": 5, "n_init": 2, "tol": 1e-4}
    array = emix.GaussianMixture(K, **settings).fit(rows, sample_weight=weight)
    gm = emix.GaussianMixture(K, **settings).fit(data, sample_weight=weight)
    assert gm.history_[0].log_likelihood == pytest.approx(array.history_[0].log_likelihood, rel=1e-12)
    assert [run.start for run in gm.runs_] == [run.start for run in array.runs_]
    assert gm.n_iter_ == array.n_iter_
    assert gm.log_likelihood_ == pytest.approx(array.log_likelihood_, rel=1e-12)
    np.testing.assert_allclose(gm.means_, array.means_, rtol=0, atol=1e-9 * np.abs(rows).max())
    assert gm.total_weight_ == array.total_weight_
    if "frame" in kind:
        assert gm.feature_names_in_.tolist() == list(NAMES)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("share", [0.9, 0.1])  # of rows with a weight: few rows have the smallest keys and count
def test_the_sample_is_that_of_the_rows(known: bool, share: float) -> None:
    lengths = (4000, 0, 1, 2999)
    rows = clusters(7000, D, K)
    weight = (np.random.default_rng(0).random(7000) < share).astype(float)
    parts = array_of(cut(rows, lengths), known)
    found, expected = (Sample(11, 500) for _ in range(2))
    DaskSource(parts, weight).read(found)
    emix.BlockSource(lambda: [(rows, weight)]).read(expected)
    for one, other in zip(found.drawn(), expected.drawn()):
        np.testing.assert_array_equal(one, other)


def test_a_source_can_be_sampled_again() -> None:
    source = DaskSource(array_of(cut(X, LENGTHS)))
    source.read()
    for seed in (1, 2):
        found, expected = (Sample(seed, 100) for _ in range(2))
        source.read(found)
        emix.BlockSource(lambda: [X]).read(expected)
        np.testing.assert_array_equal(found.drawn().rows, expected.drawn().rows)


def test_what_the_first_pass_finds() -> None:
    source = DaskSource(*weighted("frame and column"))
    assert (source.n_rows, source.n_features, source.dtype, source.feature_names) == (FEW, D, np.float64, NAMES)
    assert source.total_weight == W.sum()
    # (Σw)² / Σw²: sums of whole numbers have no rounding, their quotient one.
    assert source.effective_rows == pytest.approx(W.sum() ** 2 / (W @ W), rel=1e-15)
    counted = X[W > 0]
    np.testing.assert_array_equal(source.column_range, [counted.min(axis=0), counted.max(axis=0)])


def test_partitions_fix_the_bits() -> None:
    parts = array_of(cut(X, (100,) * 30))  # two levels of additions
    found = []
    for settings in (
        {"scheduler": "synchronous"},
        {"scheduler": "threads", "num_workers": 1},
        {"scheduler": "threads"},
    ):
        with dask.config.set(settings):
            found.append(fitted(parts))
    assert len({result.log_likelihood for result in found}) == 1
    assert len({result.parameters.digest for result in found}) == 1
    assert_same_fit(found[0], fitted(X))


def test_rows_in_this_process_in_their_order() -> None:
    source = DaskSource(array_of(cut(X, LENGTHS)), W)
    batches = list(source.batches(512))
    assert all(len(batch.X) % 512 == 0 for batch in batches[:-1])
    np.testing.assert_array_equal(np.concatenate([batch.X for batch in batches]), X)
    np.testing.assert_array_equal(np.concatenate([batch.weight for batch in batches]), W)


def test_warm_start_and_callback() -> None:
    data = da.from_array(clusters(MANY, D, K), chunks=(20_000, D))
    settings = {"random_state": 0, "init_params": "kmeans", "tol": 0.0}
    gm = emix.GaussianMixture(K, max_iter=3, warm_start=True, **settings)
    once = emix.GaussianMixture(K, max_iter=6, **settings).fit(data)
    gm.fit(data).fit(data)
    # Parameters go on as they were, but the first pass after the break leaves nothing out.
    np.testing.assert_allclose(gm.means_, once.means_, rtol=1e-12)
    ended = emix.GaussianMixture(K, **settings).fit(data, callback=lambda run, record: record.iteration == 2)
    assert ended.stopped_by_ == "callback"


def test_passes_over_a_collection() -> None:
    passes = []

    def seen(block: NDArray[Any]) -> NDArray[Any]:
        passes.append(0)
        return block

    data = da.from_array(clusters(MANY, D, K), chunks=(MANY, D)).map_blocks(seen, meta=np.empty((0, 0)))
    gm = emix.GaussianMixture(K, random_state=0).fit(data)
    # One that checks and draws the sample, and one for each E-step.
    assert len(passes) == 1 + len(gm.history_)
    passes.clear()
    gm.bic(data)
    assert len(passes) == 1


def test_arrays_do_not_look_for_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(data: Any) -> bool:
        raise AssertionError(f"{type(data)} was asked whether it is dask's")

    monkeypatch.setattr(dask, "is_dask_collection", refuse)
    assert emix.GaussianMixture(K, random_state=0, max_iter=1).fit(X).n_iter_ == 1
