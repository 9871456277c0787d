"""Panels on one column: each function draws one panel on given axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emix.plots.fields import cells_of
from emix.plots.panels import doubtful_rows
from emix.plots.style import INK, MANY_POINTS, PALE, colour, label_of, line_style, marker, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from emix.plots.planes import View

_ROWS_AT_A_TIME = 65_536
_CELLS = 200
# Bars of more bins are too narrow for an edge.
_WIDE_BINS = 60


def draw_histogram(axes: Axes, view: View, x: NDArray[np.float64], w: NDArray[np.float64]) -> None:
    """Draw a histogram of the weighted rows as a density."""
    # Scott's bins for the spread within components, not for the whole spread; no more than a panel shows.
    spread = float(view.weights @ np.sqrt(view.covariances[:, 0, 0]))
    width = 3.49 * spread * len(x) ** (-1 / 3)
    bins = int(np.clip(np.ptp(x) / width if width > 0.0 else np.inf, 10, 120))
    edge = 0.5 if bins <= _WIDE_BINS else 0.0
    axes.hist(x, bins=bins, weights=w, density=True, color="#d9d9d9", edgecolor="white", linewidth=edge, label="data")


def draw_densities(axes: Axes, view: View, limits: tuple[float, float]) -> None:
    """Draw the densities of the mixture and of its components on a column."""
    z = np.linspace(*limits, 1000)
    parts = np.exp(view.log_densities(z[:, None]))
    for k in range(parts.shape[1]):
        axes.fill_between(z, parts[:, k], color=colour(k), alpha=0.15, linewidth=0)
        axes.plot(z, parts[:, k], color=colour(k), ls=line_style(k), lw=1.6, label=label_of(k, view.weights))
    axes.plot(z, parts.sum(axis=1), color=INK, lw=1.4, ls=(0, (4, 2)), label="mixture")


def draw_components_line(axes: Axes, view: View, x: NDArray[np.float64], w: NDArray[np.float64]) -> None:
    """Draw a histogram of the (weighted) data; densities of the mixture and of its components."""
    limits = view.limits(0, x)
    if len(x):
        draw_histogram(axes, view, x, w)
    draw_densities(axes, view, limits)
    axes.set_xlim(*limits)
    axes.set_ylim(bottom=0.0)
    style(axes, "Data and components" if len(x) else "Density", view.labels[0], "density")


def draw_responsibilities_line(
    axes: Axes, view: View, x: NDArray[np.float64], r: NDArray[np.float64], note: str
) -> None:
    """Draw the responsibilities as functions of the column, with the rows as ticks below."""
    low, high = view.limits(0, x)
    z = np.linspace(low, high, 1000)
    log_parts = view.log_densities(z[:, None])
    log_parts -= log_parts.max(axis=1, keepdims=True)
    parts = np.exp(log_parts)
    parts /= parts.sum(axis=1, keepdims=True)
    labels = r.argmax(axis=1)
    for k in range(parts.shape[1]):
        axes.plot(z, parts[:, k], color=colour(k), ls=line_style(k), lw=1.8, label=label_of(k, view.weights))
        rows = x[labels == k]
        axes.plot(rows, np.full(len(rows), -0.045), "|", color=colour(k), alpha=0.5, ms=7, rasterized=True)
    axes.set_xlim(low, high)
    axes.set_ylim(-0.09, 1.03)
    axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
    style(axes, "Responsibilities", view.labels[0], "probability of the component", note=note or "ticks: rows")


def draw_distribution_line(axes: Axes, view: View, x: NDArray[np.float64], w: NDArray[np.float64]) -> None:
    """Draw distribution functions of the data and of the mixture: where they differ, the fit is wrong."""
    from scipy.special import ndtr

    low, high = view.limits(0, x)
    order = np.argsort(x, kind="stable")
    share = np.cumsum(w[order]) / w.sum()
    # At most a thousand steps are drawn; no screen shows more.
    steps = np.unique(np.linspace(0, len(x) - 1, 1000).astype(np.intp))
    axes.step(x[order][steps], share[steps], where="post", color=PALE, lw=2.6)
    z = np.linspace(low, high, 1000)
    deviations = np.sqrt(view.covariances[:, 0, 0])
    cdf = ndtr((z[:, None] - view.means[:, 0]) / deviations) @ view.weights
    axes.plot(z, cdf, color=INK, lw=1.2)
    axes.set_xlim(low, high)
    axes.set_ylim(-0.02, 1.02)
    gap = 0.0
    ordered, steps_of_rows = x[order], w[order] / w.sum()
    for start in range(0, len(x), _ROWS_AT_A_TIME):
        block = slice(start, start + _ROWS_AT_A_TIME)
        at_rows = ndtr((ordered[block, None] - view.means[:, 0]) / deviations) @ view.weights
        after = share[block] - at_rows
        gap = max(gap, float(np.maximum(np.abs(after), np.abs(after - steps_of_rows[block])).max()))
    # The curves may lie anywhere in the panel: a legend would hide them.
    label = "share below: rows (grey), mixture (black)"
    style(axes, "Distribution function", view.labels[0], label, note=f"largest gap {gap:.3f}")


def draw_uncertainty_line(
    axes: Axes,
    view: View,
    x: NDArray[np.float64],
    uncertainty: NDArray[np.float64],
    labels: NDArray[np.intp],
    w: NDArray[np.float64],
    most: int,
) -> None:
    """Draw 1 − the largest responsibility of each row against a column; means in bins of more rows than `most`."""
    low, high = view.limits(0, x)
    note = doubtful_rows(uncertainty)
    if view.axes.shape[1] == 1:
        z = np.linspace(low, high, 1000)
        log_parts = view.log_densities(z[:, None])
        log_parts -= log_parts.max(axis=1, keepdims=True)
        parts = np.exp(log_parts)
        axes.plot(z, 1.0 - 1.0 / parts.sum(axis=1), color=PALE, lw=1.4, zorder=1)
    if len(x) <= most:
        for k in range(len(view.weights)):
            rows = labels == k
            axes.scatter(
                x[rows], uncertainty[rows], s=16.0, c=colour(k), marker=marker(k), linewidths=0, rasterized=True,
                alpha=0.7 if len(x) <= MANY_POINTS else 0.35, label=label_of(k, view.weights), zorder=2,
            )  # fmt: skip
    else:
        cells = cells_of(x, (low, high), _CELLS)
        weight = np.bincount(cells, weights=w, minlength=_CELLS)
        total = np.bincount(cells, weights=w * uncertainty, minlength=_CELLS)
        means = np.divide(total, weight, out=np.full(_CELLS, np.nan), where=weight > 0.0)
        axes.stairs(means, np.linspace(low, high, _CELLS + 1), color=INK, lw=1.4, label="mean of the rows")
    axes.set_xlim(low, high)
    axes.set_ylim(bottom=min(-0.01, axes.get_ylim()[0]))
    style(axes, "Uncertainty", view.labels[0], "1 − largest responsibility", note=note)
