"""The panels of plot_mixture: each function draws one panel on given axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec
    from numpy.typing import NDArray

    from emix.plots.planes import View

# Okabe and Ito's colours, which colour-blind eyes can tell apart (without yellow, too pale for dots).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
_MARKERS = ("o", "^", "s", "D", "v", "P", "X")
_INK = "#222222"
_PALE = "#9a9a9a"
_CONTOUR = "#1b4f72"
# With more components there is no legend: it would hide the data, and numbers at the means are enough.
_MAX_LEGEND = 6
_GRID_POINTS = 220
# Shares of the probability inside the contours of the density.
_REGIONS = (0.99, 0.9, 0.75, 0.5, 0.25)
_MANY_POINTS = 1000
_MAX_BOUNDARIES = 30


def _style(axes: Axes, title: str, x: str, y: str, note: str = "") -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=_INK)
    if note:
        axes.set_title(note, loc="right", fontsize=8.5, color="#666666")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def colour(k: int) -> str:
    """Colour of component k."""
    return _COLOURS[k % len(_COLOURS)]


def _marker(k: int) -> str:
    # Colours repeat after seven components; then the shape of the dots differs.
    return _MARKERS[(k // len(_COLOURS)) % len(_MARKERS)]


def _label(k: int, view: View) -> str:
    return f"component {k}  ({view.weights[k]:.1%})"


def _legend(axes: Axes, view: View, **keywords: Any) -> None:
    if len(view.weights) <= _MAX_LEGEND:
        from matplotlib.collections import PathCollection

        legend = axes.legend(fontsize=8.5, frameon=True, framealpha=0.85, edgecolor="none", **keywords)
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):  # dots: larger here, since they may be small in the panel
                handle.set_sizes([28.0])
                handle.set_alpha(1.0)


def _dot_size(n_points: int) -> float:
    """Return the size of dots, from 22 to 4 square points: more dots are smaller."""
    return float(np.clip(22.0 * (250.0 / max(n_points, 1)) ** 0.5, 4.0, 22.0))


def _set_limits(axes: Axes, view: View, points: NDArray[np.float64]) -> None:
    axes.set_xlim(*view.limits(0, points[:, 0]))
    axes.set_ylim(*view.limits(1, points[:, 1]))


def _name_components(axes: Axes, view: View) -> None:
    """Write each component's number at its mean, on a white disc that keeps it readable."""
    for k, mean in enumerate(view.means):
        axes.annotate(
            str(k),
            (mean[0], mean[1]),
            ha="center",
            va="center",
            fontsize=9 if len(view.means) <= _MAX_LEGEND else 7,
            fontweight="bold",
            color=colour(k),
            bbox={"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": colour(k), "alpha": 0.9},
            zorder=6,
        )


def draw_components_plane(
    axes: Axes, view: View, points: NDArray[np.float64], r: NDArray[np.float64], note: str
) -> None:
    """Draw points in the colour of their likeliest component; ellipses at 1 and 2 standard deviations."""
    from matplotlib.patches import Ellipse
    from matplotlib.patheffects import withStroke

    labels = r.argmax(axis=1)
    for k in range(len(view.weights)):
        rows = points[labels == k]
        axes.scatter(
            rows[:, 0],
            rows[:, 1],
            s=_dot_size(len(points)),
            c=colour(k),
            marker=_marker(k),
            alpha=0.55 if len(points) <= _MANY_POINTS else 0.3,
            linewidths=0,
            label=_label(k, view),
            rasterized=True,
        )
        values, vectors = np.linalg.eigh(view.covariances[k])
        angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
        for deviations, width in ((1.0, 1.8), (2.0, 1.1)):
            long, short = 2.0 * deviations * np.sqrt(values[1]), 2.0 * deviations * np.sqrt(values[0])
            centre = (float(view.means[k, 0]), float(view.means[k, 1]))
            ellipse = Ellipse(centre, long, short, angle=angle, fill=False, color=colour(k), lw=width, zorder=4)
            if len(points) > _MANY_POINTS:  # the line lies among dots of its own colour
                ellipse.set_path_effects([withStroke(linewidth=width + 1.4, foreground="white")])
            axes.add_patch(ellipse)
    _name_components(axes, view)
    _set_limits(axes, view, points)
    _style(axes, "Data and components", view.labels[0], view.labels[1], note=note or "ellipses: 1 and 2 sd")
    _legend(axes, view, loc="best")


def _on_grid(
    axes: Axes, view: View, points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return a grid over the panel, and log π_k p_k on it: x (g,), y (g,), (g·g, K)."""
    _set_limits(axes, view, points)
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


def draw_density_plane(axes: Axes, view: View, points: NDArray[np.float64]) -> None:
    """Draw the mixture's density: shaded regions of highest density, and a legend of their probabilities."""
    from matplotlib.patches import Patch

    x, y, log_parts = _on_grid(axes, view, points)
    density = np.exp(log_parts).sum(axis=1).reshape(len(y), len(x))
    levels, shares = region_levels(density)
    blues = _blues(len(levels))
    if len(levels) > 1:
        axes.contourf(x, y, density, levels=[*levels, 1.01 * float(density.max())], colors=blues)
    if levels:
        axes.contour(x, y, density, levels=levels, colors=_CONTOUR, linewidths=0.8)
        # A legend, since the inner lines are too short for numbers. It is above the panel, so that it hides no data.
        regions = [
            Patch(facecolor=blue, edgecolor=_CONTOUR, linewidth=0.8, label=f"{share:.0%}")
            for blue, share in zip(blues, shares, strict=True)
        ]
        axes.legend(
            handles=[Patch(alpha=0.0, label="probability inside:"), *regions],
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
    size = 0.3 * _dot_size(len(points))
    axes.scatter(points[:, 0], points[:, 1], s=size, c=_INK, alpha=0.4, linewidths=0, rasterized=True)
    _style(axes, "Density", view.labels[0], view.labels[1])


def _blues(n: int) -> list[tuple[float, float, float]]:
    """Return blues from pale to deep; lightness falls evenly, so they differ in grey as well."""
    reds, greens, blues = np.linspace([0.90, 0.945, 0.98], [0.16, 0.47, 0.71], n).T.tolist()
    return list(zip(reds, greens, blues))


def draw_uncertainty_plane(
    axes: Axes, view: View, points: NDArray[np.float64], r: NDArray[np.float64], note: str
) -> None:
    """Draw 1 − the largest responsibility of each row; also components' boundaries if the view is the whole space."""
    from matplotlib.colors import LinearSegmentedColormap

    uncertainty = 1.0 - r.max(axis=1)
    size = _dot_size(len(points))
    order = np.argsort(uncertainty, kind="stable")
    dots = axes.scatter(
        points[order, 0],
        points[order, 1],
        s=size * (0.5 + 3.5 * uncertainty[order]),
        c=uncertainty[order],
        cmap=LinearSegmentedColormap.from_list("certain to doubtful", ["#d5d5d5", "#E69F00", "#D55E00", "#5b1a00"]),
        vmin=0.0,
        vmax=max(0.5, float(uncertainty.max(initial=0.0))),
        linewidths=0.3,
        edgecolors="#55555588",
        rasterized=True,
    )
    bar = axes.figure.colorbar(dots, ax=axes, pad=0.02, fraction=0.05)
    bar.set_label("1 − largest responsibility", fontsize=9)
    bar.ax.tick_params(labelsize=8.5)
    bar.outline.set_visible(False)
    n_doubtful = int((uncertainty > 0.1).sum())
    doubtful = f"{n_doubtful} of {len(points)} rows above 0.1"
    n_components = len(view.weights)
    if view.axes.shape[1] == 2 and 1 < n_components <= _MAX_BOUNDARIES:
        doubtful += "; lines: two components tie"
        x, y, log_parts = _on_grid(axes, view, points)
        for k in range(n_components - (n_components == 2)):
            # Zero where component k is as likely as the likeliest of the others.
            lead = log_parts[:, k] - np.delete(log_parts, k, axis=1).max(axis=1)
            lead = lead.reshape(len(y), len(x))
            axes.contour(x, y, lead, levels=[0.0], colors=_PALE, linewidths=0.9, linestyles="solid")
    _name_components(axes, view)
    _set_limits(axes, view, points)
    _style(axes, "Uncertainty", view.labels[0], view.labels[1], note=note or doubtful)


def draw_components_line(axes: Axes, view: View, x: NDArray[np.float64], w: NDArray[np.float64]) -> None:
    """Draw a histogram of the (weighted) data; densities of the mixture and of its components."""
    low, high = view.limits(0, x)
    # Scott's bins for the spread within components, not for the whole spread; no more than a panel shows.
    spread = float(view.weights @ np.sqrt(view.covariances[:, 0, 0]))
    bins = int(np.clip(np.ptp(x) / (3.49 * spread * len(x) ** (-1 / 3)), 10, 120))
    axes.hist(x, bins=bins, weights=w, density=True, color="#d9d9d9", edgecolor="white", linewidth=0.5, label="data")
    z = np.linspace(low, high, 1000)
    parts = np.exp(view.log_densities(z[:, None]))
    for k in range(parts.shape[1]):
        axes.fill_between(z, parts[:, k], color=colour(k), alpha=0.15, linewidth=0)
        axes.plot(z, parts[:, k], color=colour(k), lw=1.6, label=_label(k, view))
    axes.plot(z, parts.sum(axis=1), color=_INK, lw=1.4, ls=(0, (4, 2)), label="mixture")
    axes.set_xlim(low, high)
    axes.set_ylim(bottom=0.0)
    _style(axes, "Data and components", view.labels[0], "density")
    _legend(axes, view, loc="best")


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
        axes.plot(z, parts[:, k], color=colour(k), lw=1.8, label=_label(k, view))
        rows = x[labels == k]
        axes.plot(rows, np.full(len(rows), -0.045), "|", color=colour(k), alpha=0.5, ms=7, rasterized=True)
    axes.set_xlim(low, high)
    axes.set_ylim(-0.09, 1.03)
    axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
    _style(axes, "Responsibilities", view.labels[0], "probability of the component", note=note or "ticks: rows")


def draw_distribution_line(axes: Axes, view: View, x: NDArray[np.float64], w: NDArray[np.float64]) -> None:
    """Draw distribution functions of the data and of the mixture: where they differ, the fit is wrong."""
    from scipy.special import ndtr

    low, high = view.limits(0, x)
    order = np.argsort(x, kind="stable")
    share = np.cumsum(w[order]) / w.sum()
    # At most a thousand steps are drawn; no screen shows more.
    steps = np.unique(np.linspace(0, len(x) - 1, 1000).astype(np.intp))
    axes.step(x[order][steps], share[steps], where="post", color=_PALE, lw=2.6, label="data")
    z = np.linspace(low, high, 1000)
    deviations = np.sqrt(view.covariances[:, 0, 0])
    cdf = ndtr((z[:, None] - view.means[:, 0]) / deviations) @ view.weights
    axes.plot(z, cdf, color=_INK, lw=1.2, label="mixture")
    axes.set_xlim(low, high)
    axes.set_ylim(-0.02, 1.02)
    at_rows = ndtr((x[order][:, None] - view.means[:, 0]) / deviations) @ view.weights
    gap = float(np.maximum(np.abs(share - at_rows), np.abs(share - w[order] / w.sum() - at_rows)).max())
    _style(axes, "Distribution function", view.labels[0], "share of rows below", note=f"largest gap {gap:.3f}")
    axes.legend(fontsize=8.5, frameon=False, loc="upper left")


def draw_convergence(figure: Figure, place: SubplotSpec, history: list[Any], note: str) -> None:
    """Draw the log-likelihood by iteration and, in a lower panel, its distance to the end on a log scale."""
    from matplotlib.ticker import MaxNLocator

    cells = place.subgridspec(2, 1, height_ratios=(1.0, 1.0), hspace=0.05)
    upper = figure.add_subplot(cells[0])
    _style(upper, "Convergence", "", "log-likelihood, in nats")
    if not history:
        upper.set(xticks=[], yticks=[])
        upper.text(0.5, 0.5, "the model has no history", ha="center", va="center", transform=upper.transAxes)
        return
    lower = figure.add_subplot(cells[1], sharex=upper)
    _style(lower, "", "iteration", "nats below the end")
    upper.tick_params(labelbottom=False)
    iterations = np.array([record.iteration for record in history])
    values = np.array([record.log_likelihood for record in history], dtype=np.float64)
    dots = "o" if len(values) <= 60 else ""
    upper.plot(iterations, values, color=_COLOURS[0], lw=1.6, marker=dots, ms=4)
    upper.set_title(note, loc="right", fontsize=8.5, color="#666666")
    upper.ticklabel_format(axis="y", style="plain", useOffset=False)
    upper.locator_params(axis="y", nbins=4)
    distance = values.max() - values
    above = distance > 0.0
    if above.any():
        lower.semilogy(iterations[above], distance[above], color=_COLOURS[1], lw=1.6, marker=dots, ms=4)
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (upper, lower):
        axes.grid(visible=True, color="#e6e6e6", lw=0.7)
        axes.set_axisbelow(True)
