"""A fit whose start a sample has made, and which collapses on all rows: other starts are tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import emix
from emix.em.loop import iterate
from emix.em.restarts import RunReport
from emix.estimators import mixture_runs
from emix.estimators.mixture_runs import Runs
from emix.exceptions import DegenerateCovarianceError
from emix.gaussian.collapse import Collapse, judge_fit
from emix.rows.arrays import ArraySource
from emix.starts.auto import AutoStarts, Start

X = np.random.default_rng(0).normal(size=(60, 1))
RESULT = iterate(
    emix.GaussianModel(1, 1), X, emix.GaussianParameters.from_covariances("full", [1.0], [[0.0]], [[[1.0]]]),
    tol=1e-6, max_iter=3,
)  # fmt: skip
START = Start(RESULT.parameters, "given")


def ended(kind: str, stopped_by: str = "log_likelihood") -> Runs:
    report = RunReport(0, 0.0, 1, True, kind == "collapsed", True, "", start=kind)
    return Runs(replace(RESULT, stopped_by=stopped_by), [report], None)  # type: ignore[arg-type]


def first_sound(outcomes: Sequence[Runs | Exception]) -> tuple[Runs, int]:
    """What comes of runs that end so, and how many were done."""
    left = list(outcomes)

    def run(start: Callable[[], Start]) -> Runs:
        assert start() is START
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    found = mixture_runs.first_sound(run, [lambda: START] * len(outcomes))
    return found, len(outcomes) - len(left)


def test_each_further_run_is_told() -> None:
    said: list[str] = []
    outcomes = [ended("collapsed"), ended("sound"), ended("sound")]
    mixture_runs.first_sound(lambda start: outcomes.pop(0), [lambda: START] * 3, said.append)
    assert said == ["a component collapsed on all rows; again from another start"]


@pytest.mark.parametrize("settings", [{"n_components": 1}, {"n_components": 2, "max_iter": 14}])
def test_a_start_that_no_search_has_made_is_the_only_one(settings: dict[str, Any]) -> None:
    source = ArraySource(np.random.default_rng(0).normal(size=(5000, 2)))
    model = emix.GaussianModel(settings.pop("n_components"), 2, "full", "auto")
    assert not AutoStarts(source, model, 0, 1e-6, settings.pop("max_iter", 1000)).are_of_sample
    assert AutoStarts(source, emix.GaussianModel(2, 2, "full", "auto"), 0, 1e-6, 1000).are_of_sample


def test_the_first_sound_run_is_kept() -> None:
    error = DegenerateCovarianceError("collapsed", 0, 1.0)
    sound, collapsed = ended("sound"), ended("collapsed")
    assert first_sound([sound, collapsed]) == (sound, 1)
    assert first_sound([collapsed, error, sound, collapsed]) == (sound, 3)


def test_of_collapsed_runs_the_first_is_kept() -> None:
    error, other = (DegenerateCovarianceError(text, 0, 1.0) for text in ("first", "second"))
    one, two = ended("collapsed"), ended("collapsed")
    found, n_done = first_sound([one, two, error])
    assert found is one
    assert n_done == 3
    assert first_sound([error, two])[0] is two  # one that ended is worth more than an error
    with pytest.raises(DegenerateCovarianceError, match="first"):
        first_sound([error, other])


def test_a_run_that_the_user_ended_is_the_last() -> None:
    ended_by_user = ended("collapsed", "callback")
    assert first_sound([ended_by_user, ended("sound")]) == (ended_by_user, 1)


@pytest.mark.parametrize(("n", "least", "most"), [(4000, 0, 1), (5000, 4, 4)])
def test_only_a_sample_has_more_runs(n: int, least: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    n_runs, run = 0, mixture_runs.iterate

    def counted(*arguments: Any, **settings: Any) -> Any:
        nonlocal n_runs
        n_runs += 1
        return run(*arguments, **settings)

    def collapsed(*arguments: Any) -> Any:
        return judge_fit(*arguments)._replace(collapse=Collapse(0, 0, 5.0, "it is said to have collapsed"))

    monkeypatch.setattr(mixture_runs, "iterate", counted)
    monkeypatch.setattr(mixture_runs, "judge_fit", collapsed)
    with pytest.warns(emix.ConvergenceWarning, match="degenerate"):
        gm = emix.GaussianMixture(2, random_state=0).fit(np.random.default_rng(0).normal(size=(n, 2)))
    # The search may have done the run of few rows. Of many, two runs from other starts and one from k-means follow.
    assert least <= n_runs <= most
    assert len(gm.runs_) == 1
