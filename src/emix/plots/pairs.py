"""Scatter matrix of a mixture: pairs of columns with the components' ellipses, and marginal densities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emix.plots.fields import FEW_CELLS, Grid, cells_of, counts_of
from emix.plots.lines import draw_densities, draw_histogram
from emix.plots.panels import draw_dots, draw_ellipses, name_components
from emix.plots.planes import columns_of
from emix.plots.style import INK, colour, label_of, line_style, marker, plain

if TYPE_CHECKING:
    from typing import Any

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emix.plots.subject import Subject

__all__ = ["MOST_COLUMNS", "draw_pairs", "pairs_size", "separating_columns"]

# More panels than these are too small to read.
MOST_COLUMNS = 12
# Columns that are drawn if none are chosen.
_FEW_COLUMNS = 6
_MOST_LEGEND = 12
_MOST_NAMED = 9


def separating_columns(subject: Subject, most: int) -> list[int]:
    """Return the columns, in their order, in which the components' means differ most beside their deviations.

    The measure is the share of the column's variance that lies between components.
    """
    shares = between_shares(subject)
    best = np.argsort(-shares, kind="stable")[:most]
    return sorted(int(j) for j in best)


def between_shares(subject: Subject) -> NDArray[np.float64]:
    """Return B / (B + Σ_k π_k σ_k²) of each column, B = Σ_k π_k (μ_k − μ)²; 0 where a column has no variance."""
    pi, means = np.asarray(subject.estimator.weights_, float), np.asarray(subject.estimator.means_, float)
    between = pi @ (means - pi @ means) ** 2
    total = between + pi @ np.diagonal(subject.covariances, axis1=1, axis2=2)
    shares: NDArray[np.float64] = np.divide(between, total, out=np.zeros(len(total)), where=total > 0.0)
    return shares


def _columns(subject: Subject, features: Any) -> list[int]:
    if features is not None:
        return columns_of(features, subject.names, 1, MOST_COLUMNS)
    return separating_columns(subject, _FEW_COLUMNS)


def pairs_size(subject: Subject, features: Any) -> tuple[float, float]:
    """Return the width and height of the figure, in inches."""
    n = len(_columns(subject, features))
    side = {1: 6.0, 2: 7.4}.get(n, min(14.0, 1.2 + 2.1 * n))
    return side + (1.9 if n == 1 else 0.0), side


def draw_pairs(figure: Figure, subject: Subject, features: Any, *, title: str = "") -> None:
    """Draw a panel for each pair of columns below the diagonal, and marginal densities on it.

    A title begins the heading, which names the mixture; without one the heading has notes only. The triangle
    above the diagonal is free: the legend has it. Many rows are counts in cells, of all rows.
    """
    columns = _columns(subject, features)
    n = len(columns)
    notes = [_about_columns(subject, n) if features is None and n < len(subject.names) else ""]
    if subject.are_many and n > 1:
        notes.append(f"grey: counts of all {len(subject.rows):,} rows, on a log scale")
    note = "\n".join(filter(None, notes))
    figure.suptitle(f"{plain(title, 80)}: {subject.description(note)}" if title else note, fontsize=10)
    grid = figure.add_gridspec(n, n)
    lines = [subject.view([j], least=1) for j in columns]
    x = [subject.points(line)[:, 0] for line in lines]
    limits = [line.limits(0, one) for line, one in zip(lines, x)]
    labels = None if subject.are_many else subject.uncertainties()[1]
    cells = [cells_of(one, limit, FEW_CELLS) for one, limit in zip(x, limits)] if subject.are_many else []
    for i in range(n):
        for j in range(i + 1):
            axes = figure.add_subplot(grid[i, j])
            if i == j:
                draw_histogram(axes, lines[i], x[i], subject.weight)
                draw_densities(axes, lines[i], limits[i])
                axes.set_yticks([])
                axes.spines[["left"]].set_visible(False)
            else:
                view = subject.view([columns[j], columns[i]])
                if labels is None:
                    counts = counts_of(cells[i], cells[j], subject.weight, FEW_CELLS)
                    Grid(limits[j], limits[i], counts).draw(axes)
                else:
                    points = np.column_stack([x[j], x[i]])
                    draw_dots(axes, view, points, labels, max(3.0, 14.0 * (250.0 / max(len(points), 250)) ** 0.5))
                draw_ellipses(axes, view, halo=True, width=1.9 if labels is None else 1.4)
                if n == 2 and len(view.weights) <= _MOST_NAMED:
                    name_components(axes, view)
                axes.set_ylim(*limits[i])
            axes.set_xlim(*limits[j])
            _style(axes, subject, columns, i, j)
    if n > 1:
        _legend(figure, grid, subject, n)
    else:
        axes.legend(
            fontsize=8.5, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=1.8,
        )  # fmt: skip


def _about_columns(subject: Subject, n: int) -> str:
    return f"{n} of {len(subject.names)} columns: those in which the components' means differ most"


def _style(axes: Axes, subject: Subject, columns: list[int], i: int, j: int) -> None:
    """Label the outer axes only."""
    n = len(columns)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, length=3)
    axes.locator_params(axis="x", nbins=4)
    most = {1: 28, 2: 28, 3: 26, 4: 22}.get(n, 18)
    if i == n - 1:
        axes.set_xlabel(plain(subject.names[columns[j]], most), fontsize=9.5)
    else:
        axes.tick_params(labelbottom=False)
    if i != j:
        axes.locator_params(axis="y", nbins=4)
        if j == 0:
            axes.set_ylabel(plain(subject.names[columns[i]], most), fontsize=9.5)
        else:
            axes.tick_params(labelleft=False)
    elif n == 1:
        axes.set_ylabel("density", fontsize=9.5)


def _legend(figure: Figure, grid: Any, subject: Subject, n: int) -> None:
    """Put the legend into the free triangle."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    weights = subject.estimator.weights_
    free = figure.add_subplot(grid[0, 1:] if n < 4 else grid[: n // 2, n // 2 :])
    free.set_axis_off()
    dots = not subject.are_many
    handles: list[Any] = [
        Line2D([], [], color=colour(k), ls=line_style(k), marker=marker(k) if dots else "", ms=5.5,
               label=label_of(k, weights))
        for k in range(len(weights))
    ][:_MOST_LEGEND]  # fmt: skip
    handles += [
        Line2D([], [], color=INK, ls=(0, (4, 2)), label="mixture"),
        Patch(facecolor="#d9d9d9", label="rows"),
        Line2D([], [], color="none", label="ellipses: 1 and 2 sd"),
    ]
    if len(weights) > _MOST_LEGEND:
        handles.insert(_MOST_LEGEND, Line2D([], [], color="none", label=f"and {len(weights) - _MOST_LEGEND} more"))
    free.legend(
        handles=handles, loc="upper right" if n > 2 else "center", fontsize=9, frameon=False, handlelength=2.6,
    )  # fmt: skip
