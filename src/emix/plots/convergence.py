"""The course of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emix.plots.style import COLOURS, style

if TYPE_CHECKING:
    from typing import Any

    from matplotlib.axes import Axes

__all__ = ["draw_convergence"]

_FEW_ITERATIONS = 60


def draw_convergence(upper: Axes, lower: Axes, history: list[Any], note: str) -> None:
    """Draw the log-likelihood by iteration and, in a lower panel, its distance to the end on a log scale."""
    from matplotlib.ticker import MaxNLocator

    style(upper, "Convergence", "", "log-likelihood, in nats", note=note)
    style(lower, "", "iteration", "nats below the end")
    upper.tick_params(labelbottom=False)
    if not history:
        upper.set(yticks=[])
        lower.set(xticks=[], yticks=[])
        upper.text(0.5, 0.5, "the model has no history", ha="center", va="center", transform=upper.transAxes)
        return
    iterations = np.array([record.iteration for record in history])
    values = np.array([record.log_likelihood for record in history], dtype=np.float64)
    dots = "o" if len(values) <= _FEW_ITERATIONS else ""
    upper.plot(iterations, values, color=COLOURS[0], lw=1.6, marker=dots, ms=4)
    upper.ticklabel_format(axis="y", style="plain", useOffset=False)
    upper.locator_params(axis="y", nbins=4)
    distance = values.max() - values
    above = distance > 0.0
    if above.any():
        lower.semilogy(iterations[above], distance[above], color=COLOURS[1], lw=1.6, marker=dots, ms=4)
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    for panel in (upper, lower):
        panel.grid(visible=True, color="#e6e6e6", lw=0.7)
        panel.set_axisbelow(True)
