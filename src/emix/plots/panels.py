"""Panels on a plane: each function draws one panel on given axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emix.plots.fields import Grid
from emix.plots.style import INK, MANY_POINTS, PALE, colour, dot_size, label_of, marker, set_limits, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from numpy.typing import NDArray

    from emix.plots.planes import View

_CONTOUR = "#1b4f72"
_GRID_POINTS = 220
# Shares of the probability inside the contours of the density.
_REGIONS = (0.99, 0.9, 0.75, 0.5, 0.25)
_MAX_BOUNDARIES = 30
# Numbers at the means are smaller where there are more components.
_FEW_COMPONENTS = 6
# Rows are doubtful if the other components together have more than this share.
DOUBTFUL = 0.1


def name_components(axes: Axes, view: View) -> None:
    """Write each component's number at its mean, on a white disc that keeps it readable."""
    for k, mean in enumerate(view.means):
        axes.annotate(
            str(k),
            (mean[0], mean[1]),
            ha="center",
            va="center",
            fontsize=9 if len(view.means) <= _FEW_COMPONENTS else 7,
            fontweight="bold",
            color=colour(k),
            bbox={"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": colour(k), "alpha": 0.9},
            zorder=6,
        )


def draw_ellipses(axes: Axes, view: View, *, halo: bool, width: float = 1.8) -> None:
    """Draw the components' ellipses at 1 and 2 standard deviations; a white halo sets them off from dots."""
    from matplotlib.patches import Ellipse
    from matplotlib.patheffects import withStroke

    for k in range(len(view.weights)):
        values, vectors = np.linalg.eigh(view.covariances[k])
        angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
        for deviations, one in ((1.0, width), (2.0, 0.6 * width)):
            long, short = 2.0 * deviations * np.sqrt(values[1]), 2.0 * deviations * np.sqrt(values[0])
            centre = (float(view.means[k, 0]), float(view.means[k, 1]))
            ellipse = Ellipse(centre, long, short, angle=angle, fill=False, color=colour(k), lw=one, zorder=4)
            if halo:
                ellipse.set_path_effects([withStroke(linewidth=one + 1.4, foreground="white")])
            axes.add_patch(ellipse)


def draw_dots(axes: Axes, view: View, points: NDArray[np.float64], labels: NDArray[np.intp], size: float) -> None:
    """Draw points in the colour, and with the marker, of their likeliest component."""
    for k in range(len(view.weights)):
        rows = points[labels == k]
        axes.scatter(
            rows[:, 0],
            rows[:, 1],
            s=size,
            c=colour(k),
            marker=marker(k),
            alpha=0.55 if len(points) <= MANY_POINTS else 0.3,
            linewidths=0,
            label=label_of(k, view.weights),
            rasterized=True,
        )


def draw_components_plane(
    axes: Axes, view: View, points: NDArray[np.float64], r: NDArray[np.float64], note: str
) -> None:
    """Draw points in the colour of their likeliest component; ellipses at 1 and 2 standard deviations."""
    draw_dots(axes, view, points, r.argmax(axis=1), dot_size(len(points)))
    # Where dots are many, a line lies among dots of its own colour.
    draw_ellipses(axes, view, halo=len(points) > MANY_POINTS)
    name_components(axes, view)
    set_limits(axes, view, points)
    style(axes, "Data and components", view.labels[0], view.labels[1], note=note or "ellipses: 1 and 2 sd")


def _on_grid(
    axes: Axes, view: View, points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return a grid over the panel, and log π_k p_k on it: x (g,), y (g,), (g·g, K)."""
    set_limits(axes, view, points)
    x = np.linspace(*axes.get_xlim(), _GRID_POINTS)
    y = np.linspace(*axes.get_ylim(), _GRID_POINTS)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return x, y, view.log_densities(grid)


def region_levels(density: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Return densities at the borders of the highest-density regions, rising, and the shares inside.

    The region of share q holds the cells of largest density that together have the share q of the
    grid's probability. Levels that coincide (a component narrower than a cell) are given once.
    """
    falling = np.sort(density, axis=None)[::-1]
    mass = np.cumsum(falling)
    levels: list[float] = []
    shares: list[float] = []
    for share in _REGIONS:
        level = float(falling[min(int(np.searchsorted(mass, share * mass[-1])), len(falling) - 1)])
        if level > 0.0 and (not levels or level > levels[-1]):
            levels.append(level)
            shares.append(share)
    return levels, shares


def draw_density_plane(
    axes: Axes, view: View, points: NDArray[np.float64], grid: Grid | None = None, *, is_narrow: bool = False
) -> None:
    """Draw the mixture's density: regions of highest density, a legend of their probabilities, and the rows.

    Rows are dots, or counts in the cells of a `grid`, which needs no sample.
    """
    from matplotlib.patches import Patch

    x, y, log_parts = _on_grid(axes, view, points)
    density = np.exp(log_parts).sum(axis=1).reshape(len(y), len(x))
    levels, shares = region_levels(density)
    blues = _blues(len(levels))
    if grid is not None:
        grid.draw(axes)
        reds, greens, _ = np.linspace([0.98, 0.86, 0.55], [0.60, 0.10, 0.05], len(levels)).T
        blues = [(red, green, 0.1) for red, green in zip(reds, greens)]
    elif len(levels) > 1:
        axes.contourf(x, y, density, levels=[*levels, 1.01 * float(density.max())], colors=blues)
    if levels:
        # Over counts lines have a colour each; over regions the fill has it.
        axes.contour(x, y, density, levels=levels, colors=_CONTOUR if grid is None else blues, linewidths=0.8
                     if grid is None else 1.5)  # fmt: skip
        # A legend, since the inner lines are too short for numbers. It is above the panel, so that it hides no data.
        regions = [
            Patch(
                facecolor=blue if grid is None else "none",
                edgecolor=_CONTOUR if grid is None else blue,
                linewidth=0.8 if grid is None else 1.5,
                label=f"{share:.0%}",
            )
            for blue, share in zip(blues, shares, strict=True)
        ]
        axes.legend(
            handles=regions if is_narrow else [Patch(alpha=0.0, label="probability inside:"), *regions],
            ncols=len(regions) + 1,
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            fontsize=8,
            labelcolor="#666666",
            frameon=False,
            borderaxespad=0.0,
            handlelength=1.0,
            handletextpad=0.4,
            columnspacing=0.6,
        )
    if grid is None:
        size = 0.3 * dot_size(len(points))
        axes.scatter(points[:, 0], points[:, 1], s=size, c=INK, alpha=0.4, linewidths=0, rasterized=True)
    style(axes, "Density", view.labels[0], view.labels[1])


def _blues(n: int) -> list[tuple[float, float, float]]:
    """Return blues from pale to deep; lightness falls evenly, so they differ in grey as well."""
    reds, greens, blues = np.linspace([0.90, 0.945, 0.98], [0.16, 0.47, 0.71], n).T.tolist()
    return list(zip(reds, greens, blues))


def uncertainty_colours() -> Colormap:
    """Return colours from grey, certain, to dark red, doubtful; lightness falls evenly."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("certain to doubtful", ["#d5d5d5", "#E69F00", "#D55E00", "#5b1a00"])


def draw_uncertainty_plane(
    axes: Axes,
    view: View,
    points: NDArray[np.float64],
    uncertainty: NDArray[np.float64],
    note: str,
    grid: Grid | None = None,
) -> None:
    """Draw 1 − the largest responsibility of each row; also components' boundaries if the view is the whole space.

    Rows are dots, or the cells of a `grid` have the mean of their rows.
    """
    top = max(0.5, float(uncertainty.max(initial=0.0)))
    if grid is not None:
        dots = grid.draw(axes, uncertainty_colours(), (0.0, top))
    else:
        order = np.argsort(uncertainty, kind="stable")
        dots = axes.scatter(
            points[order, 0],
            points[order, 1],
            s=dot_size(len(points)) * (0.5 + 3.5 * uncertainty[order]),
            c=uncertainty[order],
            cmap=uncertainty_colours(),
            vmin=0.0,
            vmax=top,
            linewidths=0.3,
            edgecolors="#55555588",
            rasterized=True,
        )
    bar = axes.figure.colorbar(dots, ax=axes, pad=0.02, fraction=0.05)
    bar.set_label("1 − largest responsibility" + (", mean" if grid is not None else ""), fontsize=9)
    bar.ax.tick_params(labelsize=8.5)
    bar.outline.set_visible(False)
    n_components = len(view.weights)
    if view.axes.shape[1] == 2 and 1 < n_components <= _MAX_BOUNDARIES:
        note = note or f"{doubtful_rows(uncertainty)}; lines: two components tie"
        x, y, log_parts = _on_grid(axes, view, points)
        for k in range(n_components - (n_components == 2)):
            # Zero where component k is as likely as the likeliest of the others.
            lead = log_parts[:, k] - np.delete(log_parts, k, axis=1).max(axis=1)
            lead = lead.reshape(len(y), len(x))
            axes.contour(x, y, lead, levels=[0.0], colors=PALE, linewidths=0.9, linestyles="solid")
    name_components(axes, view)
    set_limits(axes, view, points)
    style(axes, "Uncertainty", view.labels[0], view.labels[1], note=note or doubtful_rows(uncertainty))


def doubtful_rows(uncertainty: NDArray[np.float64]) -> str:
    """Say how many rows are doubtful."""
    return f"{int((uncertainty > DOUBTFUL).sum()):,} of {len(uncertainty):,} rows above {DOUBTFUL:g}"
