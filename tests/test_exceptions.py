"""Warnings are shown at the line of the user's that led to them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest

import emix
from emix.exceptions import warn, warnings_held


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
        emix.fit_em(Falling(), None, 0.0, tol=0.0, max_iter=3)
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
