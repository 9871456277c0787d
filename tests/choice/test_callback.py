"""A function that sees each mixture of a sweep, and may end it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import emix
from emix import MixtureSelector, select_mixture
from emix.choice.selection import MixtureRow

X = emix.load_faithful().data
STRUCTURES = ["full", "tied", "diag"]


def sweep(callback: Any = None, **settings: Any) -> Any:
    return select_mixture(X, range(1, 4), STRUCTURES, random_state=0, callback=callback, **settings)


def test_it_sees_every_row_and_changes_nothing() -> None:
    seen: list[MixtureRow] = []
    found, alone = sweep(seen.append), sweep()
    assert found.table_ == alone.table_
    assert (found.stopped_by_, found.n_asked_) == (alone.stopped_by_, alone.n_asked_) == ("end", 9)
    assert {(row.covariance_type, row.n_components) for row in seen} == {
        (row.covariance_type, row.n_components) for row in found.table_
    }
    # What is seen of a mixture last is what the table has, but for the search of the one that is chosen.
    last = {(row.covariance_type, row.n_components): row for row in seen}
    assert all(
        last[row[:2]].log_likelihood <= row.log_likelihood + 1e-9 * abs(row.log_likelihood) for row in found.table_
    )


@pytest.mark.parametrize("criterion", ["bic", "icl", "cv"])
def test_it_ends_the_sweep(criterion: str) -> None:
    seen: list[MixtureRow] = []

    def callback(row: MixtureRow) -> bool:
        seen.append(row)
        return len(seen) == 4

    selection = sweep(callback, criterion=criterion)
    assert len(seen) == len(selection.table_) == 4
    assert (selection.stopped_by_, selection.n_asked_) == ("callback", 9)
    assert selection.best_row_ in selection.table_
    assert selection.best_.n_components == selection.best_row_.n_components
    assert str(selection).splitlines()[0].endswith("; the callback stopped the sweep after 4 of 9 mixtures")
    if criterion == "cv":
        assert all(row.cv is not None for row in selection.table_)


def test_threads_call_it_one_by_one_and_end() -> None:
    rows = np.random.default_rng(0).normal(size=(30_000, 3))  # so many that fits go side by side
    inside, most, calls = [0], [0], [0]
    lock = threading.Lock()

    def callback(row: MixtureRow) -> bool:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        calls[0] += 1
        with lock:
            inside[0] -= 1
        return calls[0] == 2

    selection = select_mixture(
        rows, range(1, 4), STRUCTURES, random_state=0, n_threads=2, callback=callback, init_params="kmeans"
    )
    assert (most[0], calls[0]) == (1, 2)
    assert selection.stopped_by_ == "callback"
    assert len(selection.table_) >= 2


def test_only_true_ends_it_and_an_error_is_the_user_s() -> None:
    for answer in (None, 1, "yes", False):
        assert sweep(lambda row, answer=answer: answer, init_params="kmeans").stopped_by_ == "end"
    assert sweep(lambda row: np.True_).stopped_by_ == "callback"

    def callback(row: MixtureRow) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        sweep(callback)
    with pytest.raises(TypeError, match="callback is 3, expected a function of a MixtureRow, or None"):
        sweep(3)


def test_a_selector_passes_it_on() -> None:
    selector = MixtureSelector((1, 2, 3), STRUCTURES, random_state=0).fit(X, callback=lambda row: True)
    assert selector.selection_.stopped_by_ == "callback"
    assert len(selector.selection_.table_) == 1


def test_a_selector_shows_the_mixture_that_is_chosen() -> None:
    selector = MixtureSelector((1, 2), ["full"], random_state=0)
    for show in (selector.summary, selector.plot):
        with pytest.raises(emix.NotFittedError, match="MixtureSelector"):
            show(X)
    selector.fit(X)
    assert str(selector.summary(X)) == str(selector.best_.summary(X))
    assert len(selector.plot(X).axes) == len(selector.best_.plot(X).axes) > 1
    assert "BIC" in selector.selection_.plot().get_ylabel() + selector.selection_.plot().get_title(loc="left")
