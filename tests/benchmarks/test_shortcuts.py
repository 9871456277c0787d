"""Each shortcut's files and functions are there, and the table says what was measured of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import shortcut_runs
from data import Problem, make_data
from emix import GaussianMixture
from emix.gaussian.shortcuts import SHORTCUTS as SWITCHES
from shortcut_parts import SHORTCUTS, n_lines
from shortcuts import table
from workers import stage


@pytest.mark.parametrize("name", SHORTCUTS)
def test_what_a_shortcut_is_made_of_is_there(name: str) -> None:
    for part in (*SHORTCUTS[name].source, *SHORTCUTS[name].tests):
        assert n_lines(part) > 1, part


@pytest.fixture(name="rows", scope="module")
def _rows() -> NDArray[np.floating]:
    return make_data(Problem(3_000, 4, 3))


@pytest.mark.parametrize("without", ["", *SWITCHES])
def test_a_fit_runs_without_a_shortcut(tmp_path: Path, rows: NDArray[np.floating], without: str) -> None:
    np.save(tmp_path / "data.npy", rows)
    found = shortcut_runs.whole_fit(str(tmp_path / "data.npy"), 3, "full", without)
    fitted = GaussianMixture(3, init_params="kmeans", random_state=0).fit(rows)
    assert found["iterations"] == fitted.n_iter_
    if without:
        # A shortcut changes no more than rounding.
        assert found["log_likelihood"] == pytest.approx(fitted.log_likelihood_, rel=1e-10)
    else:
        assert found["log_likelihood"] == fitted.log_likelihood_


def test_all_but_one() -> None:
    assert shortcut_runs.all_but("") == SWITCHES
    assert shortcut_runs.all_but("bounds") == ("origin", "screen", "packing")


def test_passes_that_use_a_shortcut_are_counted(tmp_path: Path) -> None:
    problem = Problem(20_000, 8, 8, structure="diag", separation=10.0)
    data, start = stage(problem, tmp_path)
    counts = shortcut_runs.used(str(data), str(start), "diag", 5)
    assert counts["passes"] == 6
    # The first pass leaves nothing for bounds of an earlier one, and its sums may be too inexact about one origin.
    assert 0 < counts["bounds"] < 6
    assert counts["origin"] >= 5
    assert counts["screen"] == counts["larger blocks"] == 0
    # Nothing tells Python where rows are packed.
    assert counts["packing"] == 6


def test_table() -> None:
    rounds = {"times": 1.5, "range": [1.4, 1.6], "rounds": 3, "of": 3}
    on = {"used": 4, "passes": 9, "least": 1.5, "rounds": rounds, "apart": 1e-15, "same bits": False}
    records = [
        {"name": "one", "level": "v4", "shortcuts": {"screen": {"used": 0}, "bounds": on}},
        {"name": "two", "level": "v4", "shortcuts": {"screen": {"used": 0}, "bounds": {"used": 0}}},
    ]
    text = table({"records": records, "levels": ["v4"], "threads": 2, "lines": {"screen": [1, 2], "bounds": [3, 4]}})
    assert "33 % (one)" in text
    assert "| one | **1.50×** [1.50× (1.40–1.60)], 4 of 9 passes | 1e-15 |" in text
    assert "| light, taken out: rows of small responsibility" in text
    assert "Never on: two." in text
    assert "Never on: one; two." in text
