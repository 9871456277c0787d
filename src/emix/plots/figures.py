"""Figures to draw on: with pyplot, for people who look at them, and without, for files."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from emix.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure
    from matplotlib.layout_engine import LayoutEngine

__all__ = ["new_figure", "shown_figure"]

_PIXELS_PER_INCH = 110


def new_figure(width: float, height: float) -> Figure:
    """Return a figure that pyplot does not know: no global state, no window, and nothing to close."""
    require("matplotlib.figure", "plot", "a picture")
    from emix.plots.shown_figure import ShownFigure

    return ShownFigure(figsize=(width, height), dpi=_PIXELS_PER_INCH, layout=_layout())


@contextmanager
def shown_figure(width: float, height: float) -> Iterator[Figure]:
    """Make a figure that ``plt.show()`` and a notebook show; if drawing fails, none is left."""
    pyplot = require("matplotlib.pyplot", "plot", "a picture")
    from emix.plots.shown_figure import ShownFigure

    figure: Figure = pyplot.figure(
        figsize=(width, height), dpi=_PIXELS_PER_INCH, layout=_layout(), FigureClass=ShownFigure
    )
    try:
        yield figure
    except BaseException:
        pyplot.close(figure)
        raise


def _layout() -> LayoutEngine:
    layout_module = require("matplotlib.layout_engine", "plot", "a picture")
    layout: LayoutEngine = layout_module.ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08)
    return layout
