"""The choice by hand-made tables, and what a selection can do."""

from __future__ import annotations

import copy
import math
import pickle
import sys

import pandas as pd
import pytest

from emix import MixtureSelection, load_faithful, select_mixture
from emix.choice.selection import MixtureRow, SelectionInterrupted, choose


def row(
    name: str, n_components: int, n_parameters: int, value: float, error: float | None = None, **others: bool
) -> MixtureRow:
    """A row whose criteria all are `value`, and whose held-out log-likelihood is −value."""
    state = {"converged": True, "degenerate": False} | others
    return MixtureRow(
        name, n_components, n_parameters, -value, value, value, value, -value, **state, message="", cv_error=error
    )


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl"])
def test_the_smallest_is_chosen_and_of_equals_the_one_with_fewer_parameters(criterion: str) -> None:
    table = [row("full", 3, 30, 5.0), row("tied", 2, 12, 4.0), row("EII", 2, 8, 4.0), row("full", 4, 40, 9.0)]
    assert choose(table, criterion) == table[2]


def test_one_standard_error() -> None:
    best = row("full", 3, 30, 1.0, error=0.5)
    near = row("tied", 3, 20, 1.4, error=0.01)  # within one error of the best, whatever its own
    equal = row("EEI", 3, 20, 1.45)
    far = row("EII", 3, 10, 1.6, error=2.0)
    assert choose([far, equal, near, best], "cv") == near
    assert choose([far, best], "cv") == best
    # At the edge it is within.
    assert choose([best, row("EII", 1, 5, 1.5)], "cv").covariance_type == "EII"


def test_without_an_error_the_best_is_chosen() -> None:
    assert choose([row("EII", 1, 5, 2.0), row("full", 2, 9, 1.0)], "cv").covariance_type == "full"


@pytest.mark.parametrize("criterion", ["bic", "cv"])
def test_what_collapsed_or_has_no_value_is_never_chosen(criterion: str) -> None:
    table = [row("full", 2, 9, -100.0, degenerate=True), row("EII", 2, 5, math.inf), row("tied", 2, 7, 3.0)]
    assert choose(table, criterion) == table[2]
    with pytest.raises(ValueError, match=r"all 1 mixtures|the one mixture collapsed"):
        choose(table[:1], criterion)
    none = table[2]._replace(cv=None, icl=math.nan)
    with pytest.raises(ValueError, match=r"criterion='cv' has no value for any .* once a fold was held out"):
        choose([none], "cv")


@pytest.fixture(scope="module")
def selection() -> MixtureSelection:
    return select_mixture(load_faithful().data, range(1, 10), random_state=0)


def test_pandas(selection: MixtureSelection, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = selection.to_pandas()
    assert list(frame.columns) == list(MixtureRow._fields)
    assert len(frame) == len(selection.table_)
    assert frame["bic"].tolist() == [one.bic for one in selection.table_]
    best = frame.loc[~frame["degenerate"], "bic"].idxmin()
    assert frame.loc[best, ["covariance_type", "n_components"]].tolist() == ["tied", 3]
    assert isinstance(frame, pd.DataFrame)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"to_pandas needs pandas, which is not installed: pip install pandas"):
        selection.to_pandas()


def test_ranked(selection: MixtureSelection) -> None:
    every = selection.ranked()
    assert every[0] == selection.best_row_
    assert selection.ranked(3) == every[:3]
    with pytest.raises(ValueError, match="'n' parameter of ranked"):
        selection.ranked(0)


def test_copies(selection: MixtureSelection) -> None:
    for other in (copy.deepcopy(selection), pickle.loads(pickle.dumps(selection))):
        assert other.table_ == selection.table_
        assert str(other) == str(selection)
    interrupted = pickle.loads(pickle.dumps(SelectionInterrupted(selection.table_)))
    assert interrupted.table == selection.table_
    assert f"after {len(selection.table_)} mixtures" in str(interrupted)
