"""A fit with a checkpoint has the same bits whether or not it was ended, and wherever."""

from __future__ import annotations

import errno
import math
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.base import clone

import emix
import emix.estimators.mixture_runs
from emix import DegenerateCovarianceError, EMRecord, GaussianMixture
from emix.estimators.fit_state import parameters_of
from emix.files.held_file import HeldFile
from emix.files.model_file import load_model
from emix.gaussian.structures import STRUCTURES
from emix.rows.sampling import SAMPLE_ROWS
from emix.starts.auto import INIT_PARAMS
from estimators.kept_fits import (
    EndedError,
    assert_same_fit,
    ended_after,
    fit_with_ends,
    mixture,
    not_converged,
    plain_fit,
    results,
    rows,
)
from rows.streams import BatchSource

pytestmark = not_converged

X = rows()


def whole(gm: GaussianMixture, data: Any, path: Path, **arguments: Any) -> GaussianMixture:
    """The fit that nothing ends."""
    fitted = gm.fit(data, checkpoint=path, **arguments)
    assert not list(path.parent.iterdir())
    return fitted


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "kept"
    folder.mkdir()
    return folder / "fit.checkpoint"


# The same bits


@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_all_structures(covariance_type: str, path: Path) -> None:
    settings = {"covariance_type": covariance_type}
    fitted = fit_with_ends(mixture(**settings), X, path, [1, 4, 2])
    assert not list(path.parent.iterdir())
    assert_same_fit(fitted, whole(mixture(**settings), X, path))


@pytest.mark.parametrize("init_params", INIT_PARAMS)
@pytest.mark.parametrize("ends", [[3, 14, 1], [40], [13, 13, 13, 2]])
def test_several_runs_of_all_starts(init_params: str, ends: list[int], path: Path) -> None:
    # 13 E-steps are a run: a fit is ended in the middle of runs, and between them. "auto" searches for its starts.
    settings = {"init_params": init_params, "n_init": 4, "max_iter": 15 if init_params == "auto" else 12}
    fitted = fit_with_ends(mixture(**settings), X, path, ends)
    assert_same_fit(fitted, whole(mixture(**settings), X, path))
    assert len(fitted.runs_) == 4


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "VEV"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_of_shapes_that_take_shortcuts(covariance_type: str, dtype: str, path: Path) -> None:
    data = rows(6000, 5).astype(dtype)
    settings = {"covariance_type": covariance_type, "n_components": 4, "max_iter": 20}
    fitted = fit_with_ends(mixture(**settings), data, path, [3, 2])
    assert_same_fit(fitted, whole(mixture(**settings), data, path))
    # Without a checkpoint shortcuts change sums by rounding only, which float32 has more of.
    usual = mixture(**settings).fit(data)
    assert fitted.log_likelihood_ == pytest.approx(usual.log_likelihood_, rel=1e-12 if dtype == "float64" else 1e-6)


def blocks() -> Iterator[Any]:
    for first in range(0, len(X), 100):
        yield X[first : first + 100]


def weighted_blocks() -> Iterator[Any]:
    for first in range(0, len(X), 250):
        yield X[first : first + 250], np.arange(first, first + len(X[first : first + 250])) % 3.0


@pytest.mark.parametrize("kind", ["map", "npy", "blocks", "weighted blocks", "parquet", "batches", "fortran", "frame"])
def test_all_sources(kind: str, path: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", X)
    table = pa.table(dict(zip("abc", X.T, strict=True)))
    pq.write_table(table, tmp_path / "rows.parquet")
    data: Any = {
        "map": np.load(tmp_path / "rows.npy", mmap_mode="r"),
        "npy": str(tmp_path / "rows.npy"),
        "blocks": blocks,
        "weighted blocks": weighted_blocks,
        "parquet": emix.ParquetSource(tmp_path / "rows.parquet"),
        "batches": BatchSource(X),
        "fortran": np.asfortranarray(X),
        "frame": table.to_pandas(),
    }[kind]
    fitted = fit_with_ends(mixture(n_init=2), data, path, [5, 12])
    assert_same_fit(fitted, whole(mixture(n_init=2), data, path))


@pytest.mark.parametrize("unit", [1.0, 2.0**-1040, 3e300])
def test_weights_of_any_size(unit: float, path: Path) -> None:
    w = unit * np.random.default_rng(0).integers(0, 4, len(X))
    fitted = fit_with_ends(mixture(n_init=2), X, path, [5, 12], sample_weight=w)
    assert_same_fit(fitted, whole(mixture(n_init=2), X, path, sample_weight=w))


def test_a_given_start(path: Path) -> None:
    settings = {"means_init": X[:3], "weights_init": [0.2, 0.3, 0.5]}
    fitted = fit_with_ends(mixture(**settings), X, path, [5])
    assert_same_fit(fitted, whole(mixture(**settings), X, path))


def test_warm_start(path: Path) -> None:
    def begun() -> GaussianMixture:
        return mixture(max_iter=2, warm_start=True).fit(X).set_params(max_iter=12)

    fitted = fit_with_ends(begun(), X, path, [5, 2])
    assert_same_fit(fitted, whole(begun(), X, path))
    assert fitted.runs_[0].start == "parameters before"


def test_a_fit_that_converges_ends_where_it_would(path: Path) -> None:
    settings = {"tol": 1e-5, "max_iter": 500}
    fitted = fit_with_ends(mixture(**settings), X, path, [9, 7])
    assert fitted.converged_
    assert_same_fit(fitted, whole(mixture(**settings), X, path))


def test_the_fit_is_the_one_of_fit_em_without_what_learns(path: Path) -> None:
    begin = mixture(max_iter=0).fit(X)
    found = mixture().fit(X, checkpoint=path, checkpoint_every=0.0)
    expected = plain_fit(X, parameters_of(vars(begin)), 12)
    assert parameters_of(vars(found)).packed.tobytes() == expected.parameters.packed.tobytes()


def test_times_add_up(path: Path) -> None:
    gm = fit_with_ends(mixture(max_iter=6), X, path, [3, 2])
    seconds = [record.seconds for record in gm.history_]
    assert len(seconds) == 7
    assert seconds == sorted(seconds)
    assert gm.fit_time_ >= seconds[-1]


# Runs that fail, collapse or warn


def fails_in(monkeypatch: pytest.MonkeyPatch, numbers: set[int]) -> None:
    """Make runs of these numbers collapse at their start."""
    make = emix.estimators.mixture_runs.make_start

    def start(kind: str, source: Any, model: Any, seed: int, restart: int, means: Any) -> Any:
        if restart in numbers:
            raise DegenerateCovarianceError(f"collapsed in run {restart}.", restart, 2.5)
        return make(kind, source, model, seed, restart, means)

    monkeypatch.setattr(emix.estimators.mixture_runs, "make_start", start)


def test_runs_that_failed_are_not_done_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_in(monkeypatch, {0, 2})
    settings = {"n_init": 4, "reg_covar": 0.0}
    seen: list[int] = []
    gm = mixture(**settings)
    with pytest.raises(EndedError):
        gm.fit(X, callback=ended_after(20), checkpoint=path, checkpoint_every=0.0)
    gm.fit(X, callback=lambda run, record: seen.append(run), checkpoint=path)
    assert set(seen) == {3}  # 13 E-steps were those of run 1
    expected = whole(mixture(**settings), X, path)
    assert_same_fit(gm, expected)
    assert [report.log_likelihood is None for report in gm.runs_] == [True, False, True, False]


def test_if_all_runs_fail_the_error_is_the_first_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_in(monkeypatch, {0, 1})
    found = []
    for _ in range(2):  # the second finds what the first has left
        with pytest.raises(DegenerateCovarianceError) as caught:
            mixture(n_init=2).fit(X, checkpoint=path, checkpoint_every=0.0)
        assert path.exists()
        found.append((str(caught.value), caught.value.component, caught.value.n_effective))
    assert found[0] == found[1]
    assert found[0][0].startswith("collapsed in run 0.")


def test_runs_that_collapsed_are_set_aside_again(path: Path) -> None:
    data = np.vstack([rows(300), np.full((30, 3), 40.0)])
    settings = {"n_init": 4, "init_params": "random_from_data", "n_components": 4, "max_iter": 30}
    fits, warned = [], []
    for ends in ([], [45, 40]):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            fits.append(fit_with_ends(mixture(**settings), data, path, ends))
        warned.append([str(warning.message) for warning in found])
    assert any(report.degenerate for report in fits[0].runs_)
    assert_same_fit(*fits)
    assert warned[0] == warned[1]


# What becomes of the file


def test_a_file_is_written_when_it_is_time(path: Path) -> None:
    gm = mixture()
    with pytest.raises(EndedError):
        gm.fit(X, callback=ended_after(6), checkpoint=path, checkpoint_every=1e6)
    assert not path.exists()  # the fit failed before the file had anything
    with pytest.raises(EndedError):
        gm.fit(X, callback=ended_after(6), checkpoint=path, checkpoint_every=0)
    _, arrays = load_model(path, kind="Checkpoint")
    assert arrays["state_history_iteration"].tolist() == [0, 1, 2, 3, 4, 5]


def test_bits_do_not_depend_on_when_it_is_written(path: Path) -> None:
    # The last write of one life is at its second iteration.
    seen: list[bytes] = []

    def callback(run: int, record: EMRecord) -> None:
        seen.append(path.read_bytes())
        if len(seen) == 8:
            raise EndedError

    with pytest.raises(EndedError):
        mixture().fit(X, callback=callback, checkpoint=path, checkpoint_every=0.0)
    path.unlink()
    expected = results(whole(mixture(), X, path))
    for content in seen:
        path.write_bytes(content)
        assert results(mixture().fit(X, checkpoint=path)) == expected
        assert not path.exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_leaves_the_last_iteration(error: type[BaseException], path: Path) -> None:
    gm = mixture()
    with pytest.raises(error):
        gm.fit(X, callback=ended_after(6, error), checkpoint=path, checkpoint_every=1e6)
    _, arrays = load_model(path, kind="Checkpoint")
    assert arrays["state_history_iteration"].tolist() == [0, 1, 2, 3, 4, 5]
    assert_same_fit(gm.fit(X, checkpoint=path), whole(mixture(), X, path))


def test_an_interrupt_stays_one_if_the_file_cannot_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: HeldFile, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", file.name)

    monkeypatch.setattr(HeldFile, "write", full)
    with pytest.raises(KeyboardInterrupt) as caught:
        mixture().fit(X, callback=ended_after(6, KeyboardInterrupt), checkpoint=path, checkpoint_every=1e6)
    [note] = caught.value.__notes__
    assert note.startswith("emix could not write the checkpoint, which is as it was before: ")
    assert note.endswith(f"No space left on device: {str(path)!r}")


def test_an_error_leaves_the_file_as_it_was(path: Path) -> None:
    gm, source = mixture(), BatchSource(rows(SAMPLE_ROWS + 1, 2))  # of fewer rows there is one pass only
    with pytest.raises(EndedError):
        gm.fit(source, callback=ended_after(6), checkpoint=path, checkpoint_every=0.0)
    before, state = path.read_bytes(), dict(vars(gm))
    with pytest.raises(EndedError):
        gm.fit(source, callback=ended_after(3), checkpoint=path, checkpoint_every=1e6)
    assert path.read_bytes() == before
    source.fail_at, source.error = 0, OSError("the disk is gone")
    with pytest.raises(OSError, match="the disk is gone"):
        gm.fit(source, checkpoint=path, checkpoint_every=0.0)
    assert path.read_bytes() == before
    assert vars(gm) == state
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_callback_that_ends_the_fit_is_an_end(path: Path) -> None:
    gm = mixture(n_init=2).fit(X, callback=lambda run, record: record.iteration == 4, checkpoint=path)
    assert gm.stopped_by_ == "callback"
    assert gm.n_iter_ == 4
    assert not path.exists()


def test_the_callback_sees_what_is_to_come(path: Path) -> None:
    seen: list[int] = []
    with pytest.raises(EndedError):
        mixture().fit(X, callback=ended_after(6), checkpoint=path, checkpoint_every=0.0)
    mixture().fit(X, callback=lambda run, record: seen.append(record.iteration), checkpoint=path)
    assert seen == list(range(6, 13))


def test_progress_is_shown(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit_with_ends(mixture(n_init=2, verbose=2, verbose_interval=5), X, path, [16])
    first, second = capsys.readouterr().out.split("Initialization 1\n")[:2]
    assert "Iteration 10" in first
    assert "Iteration 5" not in second


# The estimator


def test_nothing_of_it_stays_with_the_estimator(path: Path) -> None:
    gm = mixture()
    before = gm.get_params()
    gm.fit(X, checkpoint=path, checkpoint_every=0.0)
    assert gm.get_params() == before
    assert clone(gm).get_params() == before
    usual = mixture().fit(X)
    assert set(vars(pickle.loads(pickle.dumps(gm)))) == set(vars(usual))


# Seeds


def test_without_a_seed_the_file_has_it(path: Path) -> None:
    settings = {"random_state": None, "init_params": "random", "n_init": 3}
    np.random.seed(5)  # noqa: NPY002 (the source of random_state=None)
    expected = whole(mixture(**settings), X, path)
    following = np.random.random_sample()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    with pytest.raises(EndedError):
        mixture(**settings).fit(X, callback=ended_after(16), checkpoint=path, checkpoint_every=0.0)
    assert np.random.random_sample() == following  # noqa: NPY002
    # Whatever the state is now, runs to come start from the seed of before.
    assert_same_fit(mixture(**settings).fit(X, checkpoint=path), expected)


def test_a_generator_in_the_same_state_goes_on(path: Path) -> None:
    def begun() -> GaussianMixture:
        return mixture(random_state=np.random.default_rng(8), n_init=2)

    with pytest.raises(EndedError):
        begun().fit(X, callback=ended_after(16), checkpoint=path, checkpoint_every=0.0)
    assert math.isfinite(begun().fit(X, checkpoint=path).log_likelihood_)


def test_a_stream_without_a_seed_draws_the_sample_of_before(path: Path) -> None:
    settings = {"random_state": None, "init_params": "random_from_data", "n_init": 2}
    np.random.seed(6)  # noqa: NPY002 (the source of random_state=None)
    expected = whole(mixture(**settings), blocks, path)
    np.random.seed(6)  # noqa: NPY002
    with pytest.raises(EndedError):
        mixture(**settings).fit(blocks, callback=ended_after(4), checkpoint=path, checkpoint_every=0.0)
    assert_same_fit(mixture(**settings).fit(blocks, checkpoint=path), expected)
