"""Warnings are shown at the line of the user's that led to them, and messages are short whatever they are about."""

from __future__ import annotations

import copy
import importlib
import multiprocessing
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest

import emix
from emix.exceptions import current_class, not_fitted, shown, warn, warn_convergence, warnings_held


class Falling:
    """A model whose log-likelihood falls."""

    def e_step(self, data: Any, parameters: Any) -> tuple[Any, float]:
        return parameters, -float(parameters)

    def m_step(self, statistics: Any) -> Any:
        return statistics + 1.0


X = np.random.default_rng(0).normal(size=(40, 2))


def test_warnings_name_the_file_that_called_emix() -> None:
    with pytest.warns(emix.ConvergenceWarning, match="did not converge") as fit:
        emix.GaussianMixture(3, max_iter=1, random_state=0).fit(X)
    with pytest.warns(emix.ConvergenceWarning, match="did not converge") as fit_predict:
        emix.GaussianMixture(3, max_iter=1, random_state=0).fit_predict(X)
    with pytest.warns(emix.ConvergenceWarning, match="The log-likelihood fell") as fall:
        emix.fit_em(Falling(), None, 0.0, callback=lambda record: record.iteration == 3)
    named = emix.GaussianMixture().fit(pd.DataFrame(X, columns=["a", "b"]))
    with pytest.warns(UserWarning, match="valid feature names") as predict:
        named.predict(X)
    with pytest.warns(UserWarning, match="valid feature names") as icl:
        named.icl(X)
    for caught in (fit, fit_predict, fall, predict, icl):
        assert [warning.filename for warning in caught] == [__file__]


def test_a_fall_within_a_fit_is_shown_at_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    # One frame of emix more than where fit_em is called itself.
    step = emix.GaussianModel.m_step

    def wrong(self: emix.GaussianModel, statistics: Any) -> Any:
        right = step(self, statistics)
        moved = right.means + 0.5 * np.sqrt(statistics.total_weight)
        return emix.GaussianParameters.from_covariances(right.structure, right.weights, moved, right.covariances)

    monkeypatch.setattr(emix.GaussianModel, "m_step", wrong)
    start = {"means_init": [[0.0, 0.0]], "weights_init": [1.0], "precisions_init": [np.eye(2)]}
    with pytest.warns(emix.ConvergenceWarning) as caught:
        emix.GaussianMixture(max_iter=2, **start).fit(X)
    fell = [warning for warning in caught if "The log-likelihood fell" in str(warning.message)]
    assert [warning.filename for warning in fell] == [__file__]


def test_category() -> None:
    with pytest.warns(RuntimeWarning, match="text") as caught:
        warn("text", RuntimeWarning)
    assert caught[0].filename == __file__


def test_warnings_are_held_in_one_thread_alone() -> None:
    with warnings_held() as held:
        warn("mine")
        with warnings_held() as inner:
            warn("inner", RuntimeWarning)
        with pytest.warns(UserWarning, match="another thread's"), ThreadPoolExecutor(1) as other:
            other.submit(warn, "another thread's").result()
    assert (held, inner) == ([("mine", UserWarning)], [("inner", RuntimeWarning)])
    with pytest.warns(UserWarning, match="no longer held"):
        warn("no longer held")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("kmeans", "'kmeans'"),
        (2.5, "2.5"),
        (None, "None"),
        ((1, "a"), "(1, 'a')"),
        (np.float64(0.5), repr(np.float64(0.5))),
        (np.array([1, 2]), "array([1, 2])"),
        (np.zeros((1000, 2)), "<ndarray of shape (1000, 2)>"),
        (pd.DataFrame(X), "<DataFrame of shape (40, 2)>"),
        (list(range(100_000)), "[0, 1, 2, 3, 4, 5, ...]"),
    ],
)
def test_values_are_shown_in_a_line(value: object, text: str) -> None:
    assert shown(value) == text


class Long:
    def __repr__(self) -> str:
        return "line\n" * 10_000


BIG = {
    "array": np.zeros((1000, 3)),
    "list": np.zeros((1000, 3)).tolist(),
    "frame": pd.DataFrame(np.zeros((1000, 3))),
    "text": "x" * 10_000,
    "object": Long(),
    "dict": {f"key{i}": [0.5] * 1000 for i in range(1000)},
    "data set": emix.load_faithful(),
}
NORMAL = emix.MultivariateNormal([0.0, 0.0], np.eye(2))
CALLS: dict[str, Callable[[Any], Any]] = {
    **{
        name: lambda value, name=name: emix.GaussianMixture(**{"n_components": 2, name: value}).fit(X)
        for name in (
            *("n_components", "covariance_type", "tol", "reg_covar", "max_iter", "n_init", "init_params"),
            *("weights_init", "means_init", "random_state", "warm_start", "verbose", "n_threads"),
        )
    },
    "fit": lambda value: emix.GaussianMixture(2).fit({"rows": value}),
    "sample": lambda value: emix.GaussianMixture.from_parameters([1.0], [[0.0]], [1.0], "spherical").sample(value),
    "set_params": lambda value: emix.GaussianMixture(2, means_init=value).set_params(wrong=value),
    "from_parameters": lambda value: emix.GaussianMixture.from_parameters([1.0], [[0.0]], [1.0], value),
    "fit_em, model": lambda value: emix.fit_em(value, X, 1.0, tol=0.1, max_iter=3),
    "fit_em, tol": lambda value: emix.fit_em(Falling(), X, 1.0, tol=value, max_iter=3),
    "fit_em, max_iter": lambda value: emix.fit_em(Falling(), X, 1.0, tol=0.1, max_iter=value),
    "conditional": lambda value: NORMAL.conditional([value]),  # type: ignore[arg-type]  # a wrong type is the test
    "marginal": lambda value: NORMAL.marginal([value]),
    "rvs": lambda value: NORMAL.rvs([value]),  # type: ignore[arg-type]  # a wrong type is the test
}


@pytest.mark.parametrize("kind", BIG)
@pytest.mark.parametrize("call", CALLS)
def test_messages_are_short_however_large_the_argument_is(call: str, kind: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        CALLS[call](BIG[kind])
    message = str(caught.value)
    assert 0 < len(message) < 1000 and message.count("\n") == 0
    assert len(repr(emix.GaussianMixture(2, means_init=BIG[kind]))) < 500


# Pickled, and in other processes


def not_converged() -> Any:
    """The warning of a fit, as `warnings` records it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_convergence("text")
    return caught[0]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_errors_and_warnings_come_back_from_other_processes(method: str) -> None:
    exceptions = pytest.importorskip("sklearn.exceptions")
    context = multiprocessing.get_context(method)
    loaded = {"initializer": importlib.import_module, "initargs": ("sklearn.exceptions",)}
    with ProcessPoolExecutor(1, mp_context=context, **loaded) as other:
        with pytest.raises(exceptions.NotFittedError, match="not fitted yet") as caught:
            other.submit(emix.GaussianMixture().predict, X).result()
        error = other.submit(not_fitted, "GaussianMixture").result()
        category = other.submit(current_class, "ConvergenceWarning").result()
    assert type(caught.value) is type(error) is type(not_fitted("GaussianMixture"))
    assert error.args == caught.value.args
    assert category is not_converged().category


TO_AND_FRO = """
import pickle, sys
import emix
if {loaded}:
    import sklearn.exceptions
recorded, error = pickle.loads(sys.stdin.buffer.read())
assert ("sklearn.exceptions" in sys.modules) == {loaded}
assert isinstance(error, emix.NotFittedError) and isinstance(recorded[1], emix.ConvergenceWarning)
assert issubclass(recorded[0], emix.ConvergenceWarning)
if {loaded}:
    assert isinstance(error, sklearn.exceptions.NotFittedError)
    assert isinstance(recorded[1], sklearn.exceptions.ConvergenceWarning)
else:
    assert type(error) is emix.NotFittedError
sys.stdout.buffer.write(pickle.dumps((recorded, error)))
"""


@pytest.mark.parametrize("loaded", [False, True])
def test_pickles_serve_processes_with_and_without_scikit_learn(loaded: bool) -> None:
    exceptions = pytest.importorskip("sklearn.exceptions")
    recorded, error = not_converged(), not_fitted("GaussianMixture")
    error.note = "kept"  # type: ignore[attr-defined]  # an attribute of the user's own
    sent = pickle.dumps(((recorded.category, recorded.message), error))
    code = TO_AND_FRO.format(loaded=loaded)
    there = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=False, timeout=60)
    assert not there.stderr
    (category, message), back = pickle.loads(there.stdout)
    # By name alone the class would be emix's where scikit-learn was not loaded.
    assert isinstance(back, exceptions.NotFittedError)
    assert isinstance(message, exceptions.ConvergenceWarning)
    assert (back.args, back.note, str(message)) == (error.args, "kept", "text")
    assert issubclass(category, emix.ConvergenceWarning)


class Mine(emix.NotFittedError):
    """A user's own."""


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_errors_survive_every_protocol_copies_and_derivation(protocol: int) -> None:
    for error in (emix.NotFittedError("text", 3), not_fitted("text"), Mine("text"), emix.ConvergenceWarning("text")):
        for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
            assert isinstance(again, type(error))
            assert again.args == error.args
