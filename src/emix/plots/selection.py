"""Draw a selection: the criterion by number of components, a line for each covariance structure.

Matplotlib is needed (the extra `plot`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from emix.choice.selection import mixture_name, value_of
from emix.gaussian.structures import STRUCTURES
from emix.plots.figures import shown_figure
from emix.summary.selection import criterion_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from emix.choice.selection import MixtureRow, MixtureSelection

__all__ = ["SELECTION_SIZE", "draw_selection"]

SELECTION_SIZE = (8.0, 5.2)

_INK = "#222222"

# Structures of one orientation have one hue: spheres are grey, ellipsoids along the columns blue, with a common
# orientation orange to red, with orientations of their own green. More freedom is darker. Markers tell volume and
# shape: both equal, volume free, shape free, both free.
_STYLES: dict[str, tuple[str, str]] = {
    "EII": ("#b0b0b0", "o"),
    "VII": ("#5a5a5a", "s"),
    "EEI": ("#8ecaf0", "o"),
    "VEI": ("#3f9bd8", "^"),
    "EVI": ("#1f6fb4", "v"),
    "VVI": ("#123f8c", "s"),
    "EEE": ("#f7b267", "o"),
    "VEE": ("#ee7b1c", "^"),
    "EVE": ("#c8461a", "v"),
    "VVE": ("#8f1d14", "s"),
    "EEV": ("#a6d96a", "o"),
    "VEV": ("#4caf50", "^"),
    "EVV": ("#1b8a5a", "v"),
    "VVV": ("#0b4f3c", "s"),
}


def draw_selection(selection: MixtureSelection, ax: Axes | None = None) -> Axes:
    """Draw the criterion by number of components.

    Parameters
    ----------
    selection : MixtureSelection
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure, which pyplot knows.

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        with shown_figure(*SELECTION_SIZE) as figure:
            return draw_selection(selection, figure.add_subplot())
    criterion = selection.criterion
    by_type: dict[str, list[MixtureRow]] = {}
    for row in selection.table_:
        by_type.setdefault(row.covariance_type, []).append(row)
    lowest, highest = _limits(selection)
    # The legend has related structures side by side; names of a user's own come last.
    order = [*_STYLES, *map(_mclust_name, by_type)]
    for name, rows in sorted(by_type.items(), key=lambda item: order.index(_mclust_name(item[0]))):
        _draw_line(ax, name, sorted(rows, key=lambda row: row.n_components), criterion, lowest, highest)
    best = selection.best_row_
    value = getattr(best, criterion)
    if criterion == "cv":
        ax.errorbar(
            [best.n_components], [value], yerr=[best.cv_error or 0.0], color=_INK, capsize=3, linewidth=1.0, zorder=5
        )
    ax.scatter(
        [best.n_components], [value], s=150, facecolors="none", edgecolors=_INK, linewidths=1.4, zorder=6,
    )  # fmt: skip
    ax.set_title(
        mixture_name(_label(best.covariance_type), best.n_components),
        loc="left", fontsize=11, fontweight="bold", color=_INK,
    )  # fmt: skip
    better = "larger" if criterion == "cv" else "smaller"
    ax.set_title(f"{better} is better; × collapsed", loc="right", fontsize=8.5, color="#666666")
    ax.set_xlabel("number of components")
    unit = " per row, nats" if criterion == "cv" else ""
    ax.set_ylabel(criterion_name(criterion) + unit)
    ax.set_ylim(lowest, highest)
    ax.set_xticks(sorted({row.n_components for row in selection.table_}))
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=9)
    ax.legend(
        fontsize=8.5, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=2.2, borderaxespad=0.0,
    )  # fmt: skip
    return ax


def _limits(selection: MixtureSelection) -> tuple[float, float]:
    """Limits of the axis: all of the lines' better halves; a few mixtures that are much worse lie outside."""
    criterion = selection.criterion
    sound = [
        value_of(row, criterion)
        for row in selection.table_
        if not row.degenerate and math.isfinite(value_of(row, criterion))
    ]
    least, most = min(sound), max(sound)
    # Up to the third quartile and half as far again.
    limit = least + 1.5 * (float(np.quantile(sound, 0.75)) - least)
    most = min(most, limit) if limit > least else most
    margin = 0.06 * (most - least) or 1.0
    low, high = least - margin, most + margin
    return (-high, -low) if criterion == "cv" else (low, high)


def _draw_line(ax: Axes, name: str, rows: list[MixtureRow], criterion: str, lowest: float, highest: float) -> None:
    """Draw one structure: a line through its sound mixtures, crosses for those that collapsed."""
    colour, marker = _STYLES.get(_mclust_name(name), (_INK, "D"))
    numbers = [row.n_components for row in rows]
    sign = -1.0 if criterion == "cv" else 1.0
    values = [math.nan if row.degenerate else sign * value_of(row, criterion) for row in rows]
    label = _label(name)
    if not any(lowest <= value <= highest for value in values):
        # Nothing of the line is seen: the legend says where it is.
        where = "below" if criterion == "cv" else "above"
        label += " — collapsed" if all(map(math.isnan, values)) else f" — {where}"
    ax.plot(numbers, values, color=colour, marker=marker, markersize=4.5, linewidth=1.3, label=label)
    # A collapsed mixture has a criterion that means nothing: its cross stands on the line between its neighbours, or
    # at the edge.
    for row, own in zip(rows, values):
        if math.isnan(own):
            near = [value for number, value in zip(numbers, values) if not math.isnan(value)]
            at = [number for number, value in zip(numbers, values) if not math.isnan(value)]
            height = float(np.interp(row.n_components, at, near)) if near else highest
            ax.plot(
                [row.n_components], [min(max(height, lowest), highest)], color=colour, marker="x", markersize=6,
                linestyle="none", markeredgewidth=1.4, clip_on=False, zorder=4,
            )  # fmt: skip


def _label(name: str) -> str:
    """Return a structure's names: VVV (full)."""
    alias = _mclust_name(name)
    return name if alias == name else f"{alias} ({name})"


def _mclust_name(name: str) -> str:
    structure = STRUCTURES.get(name)
    return name if structure is None or structure.alias is None else structure.alias
