"""Many rows as counts, or as means, in the cells of a grid: their picture needs no sample, and is drawn at once.

A cell's number costs a row two multiplications and an addition; dots would cost milliseconds for a thousand rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from numpy.typing import NDArray

__all__ = ["Grid", "cells_of", "counts_of", "grid_of", "means_of"]

# Cells of a grid along an axis, and of one of many small panels.
CELLS, FEW_CELLS = 120, 60


@dataclass(frozen=True)
class Grid:
    """Numbers in the cells of a plane.

    Attributes
    ----------
    x, y : tuple of float
        Limits of the axes.
    values : ndarray of shape (n_cells, n_cells)
        values[i, j] is that of the i-th cell along y and the j-th along x; NaN where there are no rows.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    values: NDArray[np.float64]

    def draw(self, axes: Axes, colours: Colormap | str | None = None, limits: tuple[float, float] | None = None) -> Any:
        """Draw the cells: counts in greys on a log scale, or values in colours between limits."""
        from matplotlib.colors import LinearSegmentedColormap, LogNorm

        values = np.ma.masked_invalid(self.values)
        edges = [np.linspace(*limit, len(values) + 1) for limit in (self.x, self.y)]
        if colours is None:
            colours = LinearSegmentedColormap.from_list("counts", ["#e9e9e9", "#8f8f8f", "#303030"])
        scale: dict[str, Any] = {}
        if limits is None:
            least, most = float(values.min()), float(values.max())
            scale["norm"] = LogNorm(least, most if most > least else 2.0 * least)
        else:
            scale["vmin"], scale["vmax"] = limits
        return axes.pcolormesh(*edges, values, cmap=colours, rasterized=True, zorder=0.5, **scale)


def cells_of(x: NDArray[np.floating], limits: tuple[float, float], n_cells: int) -> NDArray[np.intp]:
    """Return the number of each row's cell along an axis."""
    low, high = limits
    width = (high - low) / n_cells or 1.0
    found = ((np.asarray(x, dtype=np.float64) - low) / width).astype(np.intp)
    return np.clip(found, 0, n_cells - 1, out=found)


def counts_of(i: NDArray[np.intp], j: NDArray[np.intp], weight: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the weight of the rows in each cell (i, j) of n × n, NaN where there are none."""
    counts = np.bincount(i * n + j, weights=weight, minlength=n * n).reshape(n, n)
    return np.where(counts > 0.0, counts, np.nan)


def means_of(
    i: NDArray[np.intp], j: NDArray[np.intp], values: NDArray[np.float64], weight: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    """Return the weighted mean of the rows' values in each cell (i, j) of n × n, NaN where there are no rows."""
    total = np.bincount(i * n + j, weights=weight * values, minlength=n * n).reshape(n, n)
    return np.asarray(total / counts_of(i, j, weight, n))


def grid_of(
    points: NDArray[np.float64],
    limits: tuple[tuple[float, float], tuple[float, float]],
    weight: NDArray[np.float64],
    values: NDArray[np.float64] | None = None,
    n_cells: int = CELLS,
) -> Grid:
    """Return counts, or the means of values, of points (n_samples, 2) in cells."""
    j, i = (cells_of(points[:, axis], limits[axis], n_cells) for axis in (0, 1))
    found = counts_of(i, j, weight, n_cells) if values is None else means_of(i, j, values, weight, n_cells)
    return Grid(*limits, found)
