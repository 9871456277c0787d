"""Runs from several starts: side by side they give what they give one after another."""

from __future__ import annotations

import re
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import emix.estimators.mixture_runs
from emix import ConvergenceWarning, DegenerateCovarianceError, GaussianMixture
from emix.gaussian.structures import STRUCTURES
from emix.parallel import threads
from emix.starts.auto import INIT_PARAMS

LONG = 120.0  # seconds that only a defect would last


@pytest.fixture(params=["one after another", "side by side"])
def side_by_side(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whatever the number of operations."""
    monkeypatch.setattr(threads, "LEAST_OPERATIONS_OF_RUNS", 0.0)
    monkeypatch.setattr(threads, "MOST_OPERATIONS_OF_RUNS", 1e12 if request.param == "side by side" else -1.0)
    return bool(request.param == "side by side")


both_ways = pytest.mark.usefixtures("side_by_side")


def rows(n_rows: int = 600, d: int = 3) -> Any:
    rng = np.random.default_rng([n_rows, d])
    return rng.normal(size=(n_rows, d)) + 2.0 * rng.integers(3, size=(n_rows, 1))


def threads_of_runs(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Threads that begin a run from here on."""
    idents: set[int] = set()
    make_start = emix.estimators.mixture_runs.make_start

    def noted(*arguments: Any) -> Any:
        idents.add(threading.get_ident())
        return make_start(*arguments)

    monkeypatch.setattr(emix.estimators.mixture_runs, "make_start", noted)
    return idents


def fitted(gm: GaussianMixture, X: Any, **keywords: Any) -> tuple[Any, ...]:
    """All that a fit tells, but for times: bits, reports, history, warnings, the error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        error = None
        try:
            gm.fit(X, **keywords)
        except ValueError as raised:
            error = type(raised), str(raised)
    told = [(item.category, str(item.message), item.filename) for item in caught]
    if error is not None:
        return error, told
    arrays = gm.weights_, gm.means_, gm.covariances_, np.array(gm.lower_bounds_), np.array(gm.log_likelihood_)
    history = [(record.iteration, record.log_likelihood) for record in gm.history_]
    return [array.tobytes() for array in arrays], gm.runs_, history, gm.n_iter_, gm.stopped_by_, told


def every_way(monkeypatch: pytest.MonkeyPatch, X: Any, numbers: tuple[int, ...] = (2, 3, 5), **settings: Any) -> Any:
    """What a fit tells, the same for runs one after another and side by side in any number of threads."""
    monkeypatch.setattr(threads, "LEAST_OPERATIONS_OF_RUNS", 0.0)
    monkeypatch.setattr(threads, "MOST_OPERATIONS_OF_RUNS", 1e12)
    weight = settings.pop("sample_weight", None)
    alone = fitted(GaussianMixture(random_state=0, n_threads=1, **settings), X, sample_weight=weight)
    for n_threads in numbers:
        gm = GaussianMixture(random_state=0, n_threads=n_threads, **settings)
        assert fitted(gm, X, sample_weight=weight) == alone
    return alone


@pytest.mark.parametrize("init_params", INIT_PARAMS)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_everything_is_the_same_side_by_side(structure: str, init_params: str, monkeypatch: pytest.MonkeyPatch) -> None:
    X = rows()
    settings = {"n_components": 4, "covariance_type": structure, "init_params": init_params, "n_init": 7}
    _, runs, *_ = every_way(monkeypatch, X, max_iter=20, sample_weight=np.linspace(0.5, 2.0, len(X)), **settings)
    assert [report.run for report in runs] == list(range(7))
    # The runs are different ones, except those from one agglomeration.
    assert (len({report.log_likelihood for report in runs}) > 1) == (init_params != "hierarchical")


def test_bounds_and_single_precision_are_the_same_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    X = rows(17_000, 4).astype(np.float32)
    every_way(monkeypatch, X, numbers=(2,), n_components=8, n_init=3, max_iter=12, init_params="random_from_data")


def test_runs_that_collapse_are_the_same_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    # 20 rows that coincide: a component that comes to hold them alone has no variance.
    X = np.vstack([np.zeros((20, 2)), rows(300, 2) + 3.0])
    settings: dict[str, Any] = {"n_components": 2, "reg_covar": 0.0, "init_params": "random_from_data"}
    _, runs, *_ = every_way(monkeypatch, X, n_init=12, **settings)
    assert 0 < [report.log_likelihood for report in runs].count(None) < 12


def test_error_is_the_same_side_by_side_if_all_runs_collapse(monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.vstack([np.zeros((10, 1)), np.ones((10, 1))])
    settings: dict[str, Any] = {"n_components": 2, "reg_covar": 0.0, "init_params": "k-means++"}
    (error, _), _ = every_way(monkeypatch, X, n_init=6, **settings)
    assert error is DegenerateCovarianceError


def test_error_that_ends_a_fit_is_the_same_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    # Scores of all rows, of which there are enough for several threads, find the one that is named.
    X = np.vstack([rows(6000), [[1e154] * 3]])
    settings: dict[str, Any] = {
        "n_components": 1, "means_init": [[0.0] * 3], "precisions_init": [np.eye(3)], "weights_init": [1.0],
    }  # fmt: skip
    (_, message), _ = every_way(monkeypatch, X, n_init=6, **settings)
    assert "row 6000" in message


def test_warnings_are_the_same_side_by_side_and_name_the_callers_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # Steps that lower the log-likelihood: every run warns.
    m_step = emix.GaussianModel.m_step

    def worse(self: Any, statistics: Any) -> Any:
        found = m_step(self, statistics)
        return emix.GaussianParameters.of(found.structure, found.weights, found.means + 1.0, found.covariances)

    monkeypatch.setattr(emix.GaussianModel, "m_step", worse)
    settings: dict[str, Any] = {"n_components": 2, "n_init": 4, "init_params": "kmeans"}
    told = every_way(monkeypatch, rows(), max_iter=3, tol=0.0, **settings)[-1]
    falls = [message for _, message, filename in told if "log-likelihood fell" in message and filename == __file__]
    assert len(falls) == 4 and len(set(falls)) > 1


@both_ways
def test_warning_that_is_an_error_ends_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emix.GaussianModel, "shortfall", lambda self, statistics: -np.inf)
    m_step = emix.GaussianModel.m_step

    def worse(self: Any, statistics: Any) -> Any:
        found = m_step(self, statistics)
        return emix.GaussianParameters.of(found.structure, found.weights, found.means + 1.0, found.covariances)

    monkeypatch.setattr(emix.GaussianModel, "m_step", worse)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning, match="fell"):
            GaussianMixture(2, n_init=4, init_params="kmeans", max_iter=3, tol=0.0, n_threads=2).fit(rows())


@both_ways
def test_what_is_done_about_overflow_is_the_callers_choice() -> None:
    # NumPy's error state is one of the thread and its context.
    def m_step(self: Any, statistics: Any) -> Any:
        np.float64(1e200) * np.float64(1e200)
        raise AssertionError("not raised")

    with pytest.MonkeyPatch.context() as patch, np.errstate(over="raise"):
        patch.setattr(emix.GaussianModel, "m_step", m_step)
        with pytest.raises(FloatingPointError, match="overflow"):
            GaussianMixture(2, n_init=4, random_state=0, init_params="k-means++", n_threads=2).fit(rows())


def test_output_comes_run_by_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "LEAST_OPERATIONS_OF_RUNS", 0.0)
    printed = []
    for n_threads in (1, 2):
        gm = GaussianMixture(3, n_init=4, verbose=1, verbose_interval=2, random_state=0, n_threads=n_threads)
        gm.fit(rows())
        # Times differ.
        printed.append(re.sub(r"   [0-9.]+ s.*", "", capsys.readouterr().out))
    assert printed[0] == printed[1]
    lines = printed[0].splitlines()
    begun = [line for line in lines if re.fullmatch(r"Initialization \d+", line)]
    assert begun == [f"Initialization {run}" for run in range(4)]


def test_runs_go_side_by_side_where_that_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    idents = threads_of_runs(monkeypatch)
    met = threading.Barrier(2)
    noted = emix.estimators.mixture_runs.make_start

    def meeting(*arguments: Any) -> Any:
        if arguments[4] < 2:
            met.wait(LONG)
        return noted(*arguments)

    monkeypatch.setattr(emix.estimators.mixture_runs, "make_start", meeting)
    gm = GaussianMixture(4, n_init=4, init_params="kmeans", max_iter=2, tol=1e9, random_state=0, n_threads=2)
    gm.fit(rows(5000, 8))
    assert len(idents) == 2


@pytest.mark.parametrize(
    ("n_rows", "settings"),
    [(5000, {"n_threads": 1}), (300, {"n_threads": 2}), (5000, {"n_threads": 2, "verbose": 1})],
    ids=["one thread asked for", "too short", "verbose"],
)
def test_runs_stay_in_one_thread_where_it_does_not(
    n_rows: int, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    idents = threads_of_runs(monkeypatch)
    gm = GaussianMixture(4, n_init=4, init_params="kmeans", max_iter=2, tol=1e9, random_state=0, **settings)
    gm.fit(rows(n_rows, 8))
    assert idents == {threading.get_ident()}


@both_ways
def test_fits_with_many_runs_from_many_threads_at_once() -> None:
    # More threads in all than the pool has, from callers that each wait for theirs.
    cases = [rows(400 + i) for i in range(8)]

    def one(X: Any) -> Any:
        gm = GaussianMixture(3, n_init=5, tol=1e-3, random_state=0, n_threads=3).fit(X)
        return gm.means_.tobytes(), gm.runs_

    expected = [one(X) for X in cases]
    with ThreadPoolExecutor(8) as callers:
        assert list(callers.map(one, cases * 2, timeout=LONG)) == expected * 2
