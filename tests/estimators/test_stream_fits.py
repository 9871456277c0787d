"""GaussianMixture of rows that do not lie in memory: the fit and the scores of the same rows in an array."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import emix
from emix.estimators.parameters_check import check_given_start, check_settings
from emix.estimators.rows_to_fit import rows_to_fit
from emix.gaussian.structures import STRUCTURES
from emix.rows.sampling import SAMPLE_ROWS
from gaussian.examples import clusters
from rows.streams import BatchSource

pytestmark = pytest.mark.filterwarnings("ignore:.*did not converge:emix.ConvergenceWarning")

Array = NDArray[np.float64]
K, D = 3, 3
NAMES = ("a", "b", "c")
FEW, MANY = 3000, SAMPLE_ROWS + 20_000


def rows(n: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(n)
    return clusters(n, D, K), rng.integers(0, 3, n).astype(float)


def blocks_of(X: Array, weight: Array | None = None, size: int = 7001) -> Callable[[], Iterator[Any]]:
    def blocks() -> Iterator[Any]:
        for first in range(0, len(X), size):
            part = slice(first, first + size)
            yield X[part] if weight is None else (X[part], weight[part])

    return blocks


def parameters_after(start: emix.GaussianParameters, X: Array, weight: Array | None, structure: str, n: int) -> Any:
    """EM in memory without shortcuts."""
    model = emix.GaussianModel(K, D, structure, "auto", shortcuts=())
    return emix.fit_em(model, (X, weight), start, tol=0.0, max_iter=n)


def start_of(X: Any, weight: Any, **settings: Any) -> emix.GaussianParameters:
    """The first start of a fit, which a fit of no iterations keeps."""
    gm = emix.GaussianMixture(K, random_state=5, max_iter=0, **settings).fit(X, sample_weight=weight)
    means = gm.means_.astype(np.float64)
    return emix.GaussianParameters.from_covariances(gm.covariance_type, gm.weights_, means, gm.covariances_)


@pytest.mark.parametrize("n", [FEW, MANY])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("init_params", ["auto", "kmeans", "hierarchical"])
def test_a_stream_starts_where_an_array_does(n: int, weighted: bool, init_params: str) -> None:
    X, w = rows(n)
    weight = w if weighted else None
    found = []
    for data, sample_weight in ((X, weight), (blocks_of(X, weight), None)):
        gm = emix.GaussianMixture(K, random_state=5, init_params=init_params, tol=1e-3)
        gm.fit(data, sample_weight=sample_weight)
        found.append(gm)
    array, stream = found
    # The log-likelihood of the start, before the first step: of the same parameters, in which sums are added otherwise.
    assert stream.history_[0].log_likelihood == pytest.approx(array.history_[0].log_likelihood, rel=1e-12)
    assert stream.runs_[0].start == array.runs_[0].start
    assert stream.n_iter_ == array.n_iter_
    assert stream.log_likelihood_ == pytest.approx(array.log_likelihood_, rel=1e-12)
    for name in ("weights_", "means_", "covariances_"):
        one, other = getattr(stream, name), getattr(array, name)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9 * np.abs(other).max())
    assert stream.total_weight_ == array.total_weight_


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("n", [FEW, MANY])
@pytest.mark.parametrize("weighted", [False, True])
def test_bits_are_those_in_memory_without_shortcuts(structure: str, n: int, weighted: bool) -> None:
    X, w = rows(n)
    weight = w if weighted else None
    start = start_of(X, weight, covariance_type=structure, init_params="kmeans")
    expected = parameters_after(start, X, weight, structure, 4)
    for size in (999, 4096, n):
        gm = emix.GaussianMixture.from_parameters(start.weights, start.means, start.covariances, structure)
        gm.set_params(warm_start=True, tol=0.0, max_iter=4, n_threads=None if size == n else 2)
        gm.fit(blocks_of(X, weight, size))
        assert gm.log_likelihood_ == expected.log_likelihood
        assert [record.log_likelihood for record in gm.history_] == [r.log_likelihood for r in expected.history]
        for name in ("weights", "means", "covariances"):
            np.testing.assert_array_equal(getattr(gm, f"{name}_"), getattr(expected.parameters, name))


def test_a_run_from_a_start_has_the_bits_in_memory() -> None:
    X, _ = rows(MANY)
    gm = emix.GaussianMixture(K, random_state=5, init_params="kmeans", tol=0.0, max_iter=5)
    settings = check_settings(gm)
    read = rows_to_fit(blocks_of(X), None, settings, "GaussianMixture", lambda: 5)
    assert check_given_start(gm, settings, D).means is None
    assert read.sampled is not None and len(read.sampled.X) == SAMPLE_ROWS
    start = start_of(X, None, init_params="kmeans")
    expected = parameters_after(start, X, None, "full", 5)
    np.testing.assert_array_equal(gm.fit(blocks_of(X)).means_, expected.parameters.means)


def sources(X: Array, folder: Path) -> dict[str, Any]:
    table = pa.table({name: X[:, j] for j, name in enumerate(NAMES)})
    pq.write_table(table, folder / "rows.parquet", row_group_size=10_000)
    np.save(folder / "rows.npy", X)
    np.save(folder / "1.npy", X[:1])
    np.save(folder / "2.npy", X[1:])
    return {
        "npy": folder / "rows.npy",
        "list of npy": [str(folder / "1.npy"), str(folder / "2.npy")],
        "parquet": str(folder / "rows.parquet"),
        "parquet source": emix.ParquetSource(folder / "rows.parquet"),
        "function": blocks_of(X),
        "reader": lambda: table.to_reader(max_chunksize=999),
        "blocks": emix.BlockSource(table),
        "dataset": pads.dataset(table),
        "table": table,
        "another source": BatchSource(X),
    }


@pytest.mark.parametrize("n", [FEW, MANY])
def test_every_source_gives_the_same_fit_and_scores(n: int, tmp_path: Path) -> None:
    X, _ = rows(n)
    array = emix.GaussianMixture(K, random_state=1).fit(X)
    streams = sources(X, tmp_path)
    first = emix.GaussianMixture(K, random_state=1).fit(streams["npy"])
    for name, data in streams.items():
        gm = emix.GaussianMixture(K, random_state=1).fit(data)
        if name == "table" and n == FEW:  # few rows of a table are an array
            assert gm.log_likelihood_ == array.log_likelihood_
        else:
            np.testing.assert_array_equal(gm.means_, first.means_, err_msg=name)
            assert gm.log_likelihood_ == first.log_likelihood_
        named = getattr(gm, "feature_names_in_", None)
        assert (
            named is None if name in ("npy", "list of npy", "function", "another source") else list(named) == [*NAMES]
        )
        np.testing.assert_array_equal(gm.score_samples(data), density(gm, X))
        np.testing.assert_array_equal(gm.predict(data), gm.predict_proba(data).argmax(axis=1))
        scores = gm.score_rows(data, labels=True)
        np.testing.assert_array_equal(scores.log_density, density(gm, X))
        assert scores.responsibilities is None
        # Sums of as many log-densities, added in another order.
        assert gm.score(data) * n == pytest.approx(gm.log_likelihood_, rel=1e-12)
        p = gm.n_parameters_
        assert gm.bic(data) == pytest.approx(p * np.log(n) - 2 * gm.log_likelihood_, rel=1e-12)
        assert gm.aic(data) == pytest.approx(2 * p - 2 * gm.log_likelihood_, rel=1e-12)
        r = gm.predict_proba(data)
        entropy = -np.sum(r * np.log(np.where(r > 0, r, 1)))
        assert gm.icl(data) == pytest.approx(gm.bic(data) + 2 * entropy, rel=1e-12)
        assert len(emix.GaussianMixture(K, random_state=1).fit_predict(data)) == n


def density(gm: emix.GaussianMixture, X: Array) -> Array:
    """Log-densities of the rows in an array, whatever the names of the fit."""
    bare = emix.GaussianMixture.from_parameters(gm.weights_, gm.means_, gm.covariances_)
    found: Array = bare.score_samples(X)
    return found


def test_warm_start_goes_on_over_a_stream() -> None:
    X, _ = rows(MANY)
    gm = emix.GaussianMixture(K, random_state=0, init_params="kmeans", tol=0.0, max_iter=3, warm_start=True)
    once = emix.GaussianMixture(K, random_state=0, init_params="kmeans", tol=0.0, max_iter=6).fit(blocks_of(X))
    gm.fit(blocks_of(X)).fit(blocks_of(X, size=500))
    # Parameters go on as they were, but the first pass after the break leaves nothing out.
    np.testing.assert_allclose(gm.means_, once.means_, rtol=1e-12)
    assert gm.runs_[0].start == "parameters before"


@pytest.mark.parametrize("n", [FEW, MANY])
def test_passes_over_a_stream(n: int) -> None:
    X, _ = rows(n)
    passes = []

    def counted() -> Iterator[Any]:
        passes.append(0)
        return blocks_of(X)()

    gm = emix.GaussianMixture(K, random_state=0).fit(counted)
    # One that checks and draws the sample, and one for each E-step. Few rows are all in the sample.
    assert len(passes) == (1 if n == FEW else 1 + len(gm.history_))
    for score in (gm.score_samples, gm.predict, gm.predict_proba, gm.score, gm.icl):
        passes.clear()
        score(counted)
        assert len(passes) == 1


def test_several_runs_over_a_stream() -> None:
    X, _ = rows(MANY)
    for init_params in ("auto", "random"):
        settings = {"n_init": 3, "init_params": init_params, "random_state": 2, "tol": 1e-4}
        array = emix.GaussianMixture(K, **settings).fit(X)
        stream = emix.GaussianMixture(K, **settings).fit(blocks_of(X))
        assert stream.log_likelihood_ == pytest.approx(array.log_likelihood_, rel=1e-12)
        assert [run.start for run in stream.runs_] == [run.start for run in array.runs_]


def test_criteria_of_weighted_streams() -> None:
    X, w = rows(FEW)
    gm = emix.GaussianMixture(K, random_state=0).fit(X, sample_weight=w)
    data = blocks_of(X, w, 100)
    for criterion in (gm.score, gm.bic, gm.aic, gm.icl):
        expected = criterion(X, sample_weight=w)
        assert criterion(data) == pytest.approx(expected, rel=1e-12)
        assert criterion(blocks_of(X), sample_weight=w) == pytest.approx(expected, rel=1e-12)
    with pytest.warns(UserWarning, match="bic was called without sample_weight, but the fit had weights"):
        gm.bic(blocks_of(X))
    with pytest.warns(UserWarning, match="bic takes n to be the sum of sample_weight"):
        gm.bic(blocks_of(X, 100 * np.random.default_rng(0).uniform(size=FEW)))
    with pytest.raises(ValueError, match="all weights of the rows are zero"):
        gm.score(blocks_of(X, np.zeros(FEW)))


def test_rows_far_out_are_counted_once() -> None:
    X, _ = rows(FEW)
    gm = emix.GaussianMixture(K, random_state=0).fit(X)
    X[[5, 2000]] = 1e200
    message = r"The density is zero in float64, .* for 2 of 3000 rows, .* The first has 1e\+200 in column 0\."
    for score in (gm.score_samples, gm.score):
        with pytest.warns(RuntimeWarning, match=message) as caught:
            score(blocks_of(X, size=100))
        assert len(caught) == 1


def test_streams_with_other_columns_than_the_fit(tmp_path: Path) -> None:
    X, _ = rows(FEW)
    streams = sources(X, tmp_path)
    gm = emix.GaussianMixture(K, random_state=0).fit(streams["parquet"])
    with pytest.raises(ValueError, match="X has 2 features, but GaussianMixture is expecting 3 features as input"):
        emix.GaussianMixture(K, random_state=0).fit(X).predict(blocks_of(X[:, :2]))
    with pytest.raises(ValueError, match="The feature names should match those that were passed during fit"):
        gm.predict(emix.ParquetSource(tmp_path / "rows.parquet", ["b", "a", "c"]))
    path = str(tmp_path / "more.parquet")
    pq.write_table(pa.table({"id": np.arange(FEW), **{name: X[:, j] for j, name in enumerate("abc")}}), path)
    remedy = f"Pass emix.ParquetSource({path!r}, columns=['a', 'b', 'c']), which reads the columns of the fit by name."
    with pytest.raises(ValueError, match=re.escape(remedy)):
        gm.predict(path)
    chosen = gm.predict(emix.ParquetSource(path, columns=["a", "b", "c"]))
    np.testing.assert_array_equal(chosen, gm.predict(streams["parquet"]))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        gm.predict(streams["npy"])
    with pytest.raises(ValueError, match="Input block 0 contains NaN: the first is in row 7, column 0"):
        gm.score(blocks_of(np.where(np.arange(FEW)[:, np.newaxis] == 7, np.nan, X)))
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        gm.score_samples(list)


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (list, ValueError, r"Found array with 0 sample\(s\)"),
    (lambda: [np.eye(3)[:2]], ValueError, "Expected n_samples >= n_components but got n_components = 3, n_samples = 2"),
    (
        lambda: [(np.eye(3), [1.0, 1.0, 0.0])],
        ValueError,
        "n_components = 3, number of rows with a weight above zero = 2",
    ),
    (lambda: [np.full((9, 3), np.inf)], ValueError, "Input block 0 contains infinity"),
]


@pytest.mark.parametrize(("data", "error", "message"), BAD)
def test_a_fit_that_fails_leaves_the_estimator_as_it_was(
    data: Callable[[], Any], error: type[Exception], message: str
) -> None:
    gm = emix.GaussianMixture(K, random_state=0).fit(rows(FEW)[0])
    before = dict(vars(gm))
    with pytest.raises(error, match=message):
        gm.fit(data)
    assert vars(gm) == before


class Breaking:
    """Blocks that break off in the middle of a pass."""

    def __init__(self, X: Array, in_pass: int, error: BaseException | None) -> None:
        self.X, self.in_pass, self.error, self.passes = X, in_pass, error, 0

    def __call__(self) -> Iterator[Array]:
        self.passes += 1
        for number, block in enumerate(blocks_of(self.X, size=25_000)()):
            if self.passes == self.in_pass and number == 3:
                if self.error is None:
                    return
                if isinstance(self.error, KeyboardInterrupt):
                    signal.raise_signal(signal.SIGINT)  # to the main thread, wherever it is
                    continue
                raise self.error
            yield block


@pytest.mark.parametrize("in_pass", [1, 2, 4])
@pytest.mark.parametrize("error", [OSError("the line is dead"), KeyboardInterrupt(), None], ids=repr)
def test_a_reader_that_breaks_off(in_pass: int, error: BaseException | None) -> None:
    X, _ = rows(MANY)
    gm = emix.GaussianMixture(K, random_state=0, tol=0.0, max_iter=5)
    before = dict(vars(gm))
    data = Breaking(X, in_pass, error)
    if error is None and in_pass == 1:  # then the first pass is that of fewer rows, and the second has more
        expected: tuple[type[BaseException], str] = (ValueError, "gave more than 75000 rows")
    elif error is None:
        expected = (ValueError, "gave 75000 rows, the last in block 2, expected 85536 rows, as in the first pass")
    else:
        expected = (type(error), "the line is dead" if isinstance(error, OSError) else "^$")
    with pytest.raises(expected[0], match=expected[1]):
        gm.fit(data)
    assert vars(gm) == before
    # An interrupt may come while the thread is started: it then ends by itself within a moment.
    for thread in threading.enumerate():
        if thread.name == "emix reader":
            thread.join(10.0)
            assert not thread.is_alive()


def test_weights_are_given_once(tmp_path: Path) -> None:
    X, w = rows(FEW)
    pq.write_table(pa.table({"a": X[:, 0], "w": w}), tmp_path / "rows.parquet")
    source = emix.ParquetSource(tmp_path / "rows.parquet", weight="w")
    with pytest.raises(ValueError, match="sample_weight was passed with a ParquetSource, which has its own weights"):
        emix.GaussianMixture(1).fit(source, sample_weight=w)
    with pytest.raises(TypeError, match=r"sample_weight is 'w', expected one weight for each row\. A column of"):
        emix.GaussianMixture(1).fit(str(tmp_path / "rows.parquet"), sample_weight="w")
    with pytest.raises(ValueError, match="Sample weights must be 1D"):
        emix.GaussianMixture(1).fit(blocks_of(X), sample_weight=X)
    unweighted = emix.ParquetSource(tmp_path / "rows.parquet", ["a"])
    found = emix.GaussianMixture(1).fit(unweighted, sample_weight=w)
    assert found.log_likelihood_ == emix.GaussianMixture(1).fit(source).log_likelihood_
    assert found.total_weight_ == w.sum()
    assert unweighted.total_weight == FEW  # as it was


def test_paths_of_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(TypeError, match=r"X is the path '.*rows.csv', expected one that ends in .npy or .parquet, or"):
        emix.GaussianMixture(1).fit(path)
    with pytest.raises(TypeError, match=r"X is a list of paths with '.*rows.csv', expected paths that end in .npy"):
        emix.GaussianMixture(1).fit([path])
    with pytest.raises(FileNotFoundError):
        emix.GaussianMixture(1).fit("nowhere.csv")


# Memory maps


def mapped(X: NDArray[Any], folder: Path) -> NDArray[Any]:
    np.save(folder / "mapped.npy", X)
    found: NDArray[Any] = np.load(folder / "mapped.npy", mmap_mode="r")
    return found


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_memory_map_is_the_array(dtype: Any, order: Any, tmp_path: Path) -> None:
    X, w = rows(MANY)
    X = np.asarray(X, dtype=dtype, order=order)
    there = mapped(X, tmp_path)
    found, expected = (emix.GaussianMixture(K, random_state=0).fit(data, sample_weight=w) for data in (there, X))
    assert found.log_likelihood_ == expected.log_likelihood_
    np.testing.assert_array_equal(found.means_, expected.means_)
    np.testing.assert_array_equal(found.score_samples(there), expected.score_samples(X))
    for method in ("score", "bic", "aic", "icl"):
        one, other = (getattr(gm, method)(data, sample_weight=w) for gm, data in ((found, there), (expected, X)))
        assert one == pytest.approx(other, rel=1e-12 if dtype is np.float64 else 1e-6)


def test_a_memory_map_of_other_numbers_is_converted_block_by_block(tmp_path: Path) -> None:
    X = np.round(100 * rows(MANY)[0]).astype(np.int32)
    there = mapped(X, tmp_path)
    gm = emix.GaussianMixture(K, random_state=0)
    expected = emix.GaussianMixture(K, random_state=0).fit(X)
    assert gm.fit(there).log_likelihood_ == pytest.approx(expected.log_likelihood_, rel=1e-12)
    assert gm.score(there) * MANY == pytest.approx(gm.log_likelihood_, rel=1e-12)


def test_bad_values_of_a_memory_map_are_named(tmp_path: Path) -> None:
    X, _ = rows(MANY)
    X[70_000, 1] = np.nan
    with pytest.raises(ValueError, match=r"Input X contains NaN: the first is in row 70000, column 1\."):
        emix.GaussianMixture(K).fit(mapped(X, tmp_path))
    X[70_000, 1] = 1e200
    with pytest.raises(ValueError, match=r"Input X contains a value too large to fit: 1e\+200 in row 70000, column 1"):
        emix.GaussianMixture(K).fit(mapped(X, tmp_path))
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array instead"):
        emix.GaussianMixture(K).fit(mapped(X[0], tmp_path))
