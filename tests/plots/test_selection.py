"""The picture of a selection: what is drawn, from the artists."""

from __future__ import annotations

import math

import matplotlib.figure
import numpy as np
import pytest

from emix import MixtureSelection, load_faithful, select_mixture
from emix.choice.selection import MixtureRow, choose
from emix.gaussian.structures import STRUCTURES

FAITHFUL = load_faithful().data


def made_up(criterion: str = "bic") -> MixtureSelection:
    rows = []
    for i, name in enumerate(("EII", "VEV", "tied", "full")):
        for K in range(1, 6):
            value = 100.0 + 10.0 * i + (K - 3) ** 2
            collapsed = name == "full" and K > 3
            rows.append(MixtureRow(name, K, K, -value, value, value, value, -value, True, collapsed, "", 0.1))
    return MixtureSelection(None, choose(rows, criterion), rows, criterion)  # type: ignore[arg-type]


def test_a_line_for_each_structure() -> None:
    selection = select_mixture(FAITHFUL, range(1, 5), random_state=0)
    axes = selection.plot()
    lines = {line.get_label(): line for line in axes.lines if not str(line.get_label()).startswith("_")}
    names = {str(name).partition(" ")[0] for name in lines}
    assert names == {structure.alias or structure.name for structure in STRUCTURES.values()}
    for name, mine in (("EEE (tied)", "tied"), ("VVV (full)", "full")):
        expected = [row.bic for row in selection.table_ if row.covariance_type == mine]
        np.testing.assert_array_equal(lines[name].get_ydata(), expected)
    assert axes.get_xlabel() == "number of components"
    assert axes.get_ylabel() == "BIC"
    assert axes.get_title(loc="left") == "EEE (tied), 3 components"
    assert axes.get_legend().get_texts()[0].get_text().startswith("EII")


def test_collapsed_mixtures_are_crosses_and_no_part_of_the_line() -> None:
    axes = made_up().plot()
    line = next(line for line in axes.lines if line.get_label() == "VVV (full)")
    assert np.isnan(line.get_ydata()).tolist() == [False, False, False, True, True]
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert sorted(line.get_xdata()[0] for line in crosses) == [4, 5]
    # Each at the height of the last that is sound.
    assert all(line.get_ydata()[0] == 130.0 for line in crosses)


def test_the_legend_says_which_lines_lie_outside() -> None:
    selection = made_up()
    far = [MixtureRow("VII", K, K, -9e3, 9e3, 9e3, 9e3, None, True, False, "") for K in range(1, 3)]
    axes = MixtureSelection(selection.best_, selection.best_row_, [*selection.table_, *far], "bic").plot()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["EII", "VII — above", "EEE (tied)", "VEV", "VVV (full)"]
    assert axes.get_ylim()[1] < 200.0


def test_the_chosen_one_has_a_ring() -> None:
    axes = made_up().plot()
    ring = axes.collections[-1]
    np.testing.assert_array_equal(ring.get_offsets(), [[3, 100.0]])
    low, high = axes.get_ylim()
    assert low < 100.0 < high


def test_held_out_likelihood_has_its_error_and_says_which_way_is_better() -> None:
    axes = made_up("cv").plot()
    assert axes.get_ylabel() == "held-out log-likelihood per row, nats"
    assert axes.get_title(loc="right") == "larger is better; × collapsed"
    line = next(line for line in axes.lines if line.get_label() == "EII")
    assert line.get_ydata()[2] == -100.0


def test_on_axes_of_the_user_and_all_in_one_picture() -> None:
    figure = matplotlib.figure.Figure()
    axes = figure.add_subplot()
    assert made_up().plot(axes) is axes
    figure.savefig("/dev/null", format="png")


@pytest.mark.parametrize("criterion", ["bic", "cv"])
def test_a_single_mixture_and_one_that_collapsed_everywhere(criterion: str) -> None:
    rows = [
        MixtureRow("full", 2, 5, -1.0, 2.0, 2.0, 2.0, -1.0, True, False, ""),
        MixtureRow("EII", 2, 5, math.nan, math.nan, math.nan, math.nan, None, False, True, "collapsed"),
    ]
    axes = MixtureSelection(None, rows[0], rows, criterion).plot()  # type: ignore[arg-type]
    low, high = axes.get_ylim()
    assert math.isfinite(low) and low < high
    axes.figure.savefig("/dev/null", format="png")
