"""Responsibilities of the rows, one row beside the other.

The picture is that of admixture proportions in population genetics (Rosenberg et al., 2002, Science 298, 2381-2385):
each row is a column of height 1, which its responsibilities divide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emix.plots.style import colour, label_of, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["draw_memberships"]

# Columns of the picture: more rows than these share a column, which shows their mean.
_COLUMNS = 1200
# A block that is narrower has no number above it.
_LEAST_BLOCK = 0.02
_HATCHES = ("", "////", "\\\\\\\\", "....", "xxxx", "----", "++++")


def draw_memberships(
    axes: Axes, weights: NDArray[np.floating], r: NDArray[np.float64], w: NDArray[np.float64], note: str
) -> None:
    """Draw the rows' responsibilities as stacked areas, rows by component and by falling responsibility.

    Parameters
    ----------
    axes : Axes
    weights : ndarray of shape (n_components,)
    r : ndarray of shape (n_samples, n_components)
    w : ndarray of shape (n_samples,)
        Weights of the rows, their widths.
    note : str
    """
    labels = r.argmax(axis=1)
    order = np.lexsort((-r[np.arange(len(r)), labels], labels))
    r, w, labels = r[order], w[order], labels[order]
    edges = np.concatenate([[0.0], np.cumsum(w)])
    edges /= edges[-1]
    if len(r) > _COLUMNS:
        # Means over columns of one width, by differences of cumulated sums.
        at = np.linspace(0.0, 1.0, _COLUMNS + 1)
        sums = np.concatenate([np.zeros((1, r.shape[1])), np.cumsum(w[:, None] * r, axis=0)]) / w.sum()
        total = np.column_stack([np.interp(at, edges, sums[:, k]) for k in range(r.shape[1])])
        heights, steps = np.diff(total, axis=0) * _COLUMNS, at
    else:
        heights, steps = r, edges
    below = np.zeros(len(heights))
    for k in range(r.shape[1]):
        above = below + heights[:, k]
        # Colours repeat after seven components; then a pattern tells them apart.
        axes.stairs(
            above, steps, baseline=below, fill=True, color=colour(k), label=label_of(k, weights), linewidth=0,
            hatch=_HATCHES[(k // 7) % len(_HATCHES)] or None, rasterized=True,
        )  # fmt: skip
        below = above
    _name_blocks(axes, labels, edges)
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, 1.0)
    axes.xaxis.set_major_formatter("{x:.0%}")
    style(axes, "Responsibilities", "rows, by component and by falling responsibility", "responsibility", note=note)


def _name_blocks(axes: Axes, labels: NDArray[np.intp], edges: NDArray[np.float64]) -> None:
    """Write each component's number into the block of its rows."""
    for k in np.unique(labels):
        rows = np.flatnonzero(labels == k)
        left, right = float(edges[rows[0]]), float(edges[rows[-1] + 1])
        if right - left >= _LEAST_BLOCK:
            axes.text(
                0.5 * (left + right), 0.5, str(k), ha="center", va="center", fontsize=9, fontweight="bold",
                color=colour(int(k)),
                bbox={"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": colour(int(k)), "alpha": 0.9},
            )  # fmt: skip
        if left > 0.0:
            axes.axvline(left, color="white", linewidth=1.0)
