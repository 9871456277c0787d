"""Colours, markers and lines of the components, and the common look of all panels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from numpy.typing import NDArray

    from emix.plots.planes import View

__all__ = [
    "COLOURS", "INK", "MANY_POINTS", "PALE", "colour", "dot_size", "label_of", "legend", "legend_below",
    "line_style", "marker",
    "plain", "set_limits", "style",
]  # fmt: skip

# Okabe and Ito's colours, which colour-blind eyes can tell apart (without yellow, too pale for dots).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
_MARKERS = ("o", "^", "s", "D", "v", "P", "X")
_LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
INK = "#222222"
PALE = "#9a9a9a"
NOTE = "#666666"
MANY_POINTS = 1000
# A legend of more components would be longer than the panel; their numbers are at their means.
_MAX_LEGEND = 12
_NAME_LENGTH = 28


def style(axes: Axes, title: str, x: str, y: str, note: str = "") -> None:
    """Give a panel its title, a note at the right of it, and labels."""
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    if note:
        axes.set_title(note, loc="right", fontsize=8.5, color=NOTE)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def colour(k: int) -> str:
    """Colour of component k."""
    return COLOURS[k % len(COLOURS)]


def marker(k: int) -> str:
    """Shape of the dots of component k. Colours repeat after seven components; then the shape is another."""
    return _MARKERS[(k + k // len(COLOURS)) % len(_MARKERS)]


def line_style(k: int) -> Any:
    """Style of the line of component k, for eyes that see no colours."""
    return _LINES[k % len(_LINES)]


def label_of(k: int, weights: Sequence[float] | NDArray[np.floating]) -> str:
    """Name of component k with its weight."""
    return f"component {k}  ({weights[k]:.1%})"


def legend(axes: Axes, *, most: int = _MAX_LEGEND) -> None:
    """Put the legend of a panel at its right, where it hides no data; none if it would be too long."""
    handles, labels = axes.get_legend_handles_labels()
    if not 0 < len(handles) <= most:
        return
    made = axes.legend(
        handles, labels, fontsize=8.5, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=1.8,
        borderaxespad=0.3,
    )  # fmt: skip
    _enlarge_dots(made)


def _enlarge_dots(made: Legend) -> None:
    """Make the dots of a legend large, since they may be small in the panel."""
    from matplotlib.collections import PathCollection

    for handle in made.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([28.0])
            handle.set_alpha(1.0)


def legend_below(figure: Figure, axes: Axes) -> None:
    """Put the legend of one panel below all panels of a figure; none if it would be too long."""
    handles, labels = axes.get_legend_handles_labels()
    if 0 < len(handles) <= _MAX_LEGEND + 2:
        made = figure.legend(
            handles, labels, loc="outside lower center", ncols=min(len(handles), 5), fontsize=9, frameon=False,
            handlelength=1.8,
        )  # fmt: skip
        _enlarge_dots(made)


def dot_size(n_points: int) -> float:
    """Return the size of dots, from 22 to 4 square points: more dots are smaller."""
    return float(np.clip(22.0 * (250.0 / max(n_points, 1)) ** 0.5, 4.0, 22.0))


def set_limits(axes: Axes, view: View, points: NDArray[np.float64]) -> None:
    """Give a panel the range of the points and of the components' bodies."""
    axes.set_xlim(*view.limits(0, points[:, 0]))
    axes.set_ylim(*view.limits(1, points[:, 1]))


def plain(name: str, most: int = _NAME_LENGTH) -> str:
    r"""Return a column's name as matplotlib draws it: dollar signs are no mathematics, and a long name is cut.

    Examples
    --------
    >>> plain("price in $"), plain("a name of a column that is far too long")
    ('price in \\$', 'a name of a column that is …')
    """
    name = " ".join(name.split())
    short = name if len(name) <= most else f"{name[: most - 1]}…"
    return short.replace("$", r"\$")
