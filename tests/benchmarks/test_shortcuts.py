"""Each shortcut's files and functions are there, and the table says what was measured of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fresh
import shortcuts
from data import Problem, make_data


@pytest.mark.parametrize("name", shortcuts.SHORTCUTS)
def test_what_a_shortcut_is_made_of_is_there(name: str) -> None:
    for part in (*shortcuts.SHORTCUTS[name].source, *shortcuts.SHORTCUTS[name].tests):
        assert shortcuts.n_lines(part) > 1, part


def test_a_fit_runs_without_a_shortcut(tmp_path: Path) -> None:
    data = tmp_path / "data.npy"
    np.save(data, make_data(Problem(3_000, 4, 3)))
    ends = [
        fresh.call("shortcuts:whole_fit", 1, data=str(data), n_components=3, structure="full", without=without)
        for without in ("", *shortcuts.SWITCHES)
    ]
    for end in ends:
        # None of them changes more than rounding.
        assert end["log_likelihood"] == pytest.approx(ends[0]["log_likelihood"], rel=1e-10)


def test_table() -> None:
    rounds = {"times": 1.5, "range": [1.4, 1.6], "rounds": 3, "of": 3}
    on = {"used": 4, "passes": 9, "least": 1.5, "rounds": rounds, "apart": 1e-15, "same bits": False}
    records = [
        {"name": "one", "level": "v4", "shortcuts": {"light": {"used": 0}, "bounds": on}},
        {"name": "two", "level": "v4", "shortcuts": {"light": {"used": 0}, "bounds": {"used": 0}}},
    ]
    text = shortcuts.table(
        {"records": records, "levels": ["v4"], "threads": 2, "lines": {"light": [1, 2], "bounds": [3, 4]}}
    )
    assert "33 % (one)" in text
    assert "| one | **1.50×** [1.50× (1.40–1.60)], 4 of 9 passes | 1e-15 |" in text
    assert "Never on: two." in text
    assert "Never on: one; two." in text
