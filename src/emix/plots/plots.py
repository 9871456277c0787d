"""The page of a fitted mixture: data and components, density, convergence, uncertainty.

Matplotlib is needed (the extra `plot`). `plot_mixture` makes its figure without pyplot: no global state, no window, and
nothing to close. `GaussianMixture.plot` draws the same page on a figure of pyplot.

A marginal of a Gaussian mixture on any plane is again a Gaussian mixture, with means A μ and covariances A Σ Aᵀ, so
every density drawn here is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emix.plots.convergence import draw_convergence
from emix.plots.figures import new_figure
from emix.plots.lines import draw_components_line, draw_distribution_line, draw_responsibilities_line
from emix.plots.panels import draw_components_plane, draw_density_plane, draw_uncertainty_plane
from emix.plots.planes import View
from emix.plots.style import legend_below, plain
from emix.plots.subject import MAX_POINTS, Subject, subject_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emix.estimators.gaussian_mixture import GaussianMixture

__all__ = ["PAGE_SIZE", "draw_page", "plot_mixture"]

PAGE_SIZE = (11.0, 9.3)


def plot_mixture(
    estimator: GaussianMixture,
    X: Any,
    *,
    sample_weight: NDArray[np.floating] | None = None,
    feature_names: Sequence[str] | None = None,
    features: tuple[int | str, int | str] | None = None,
    title: str = "Gaussian mixture",
    max_points: int = MAX_POINTS,
) -> Figure:
    """Draw a fitted mixture in four panels.

    With two columns: the data by component with ellipses at one and two standard deviations; the
    density with its highest-density regions; the course of the log-likelihood; and the uncertainty
    of each row's component. With one column: histogram and densities, responsibilities,
    convergence, distribution functions. With more columns the view is a plane: that of `features`
    or, by default, that of the mixture's two largest principal axes.

    Parameters
    ----------
    estimator : GaussianMixture
        A fitted mixture.
    X : array or frame of shape (n_samples, n_features)
        The data to draw, usually those of the fit.
    sample_weight : ndarray of shape (n_samples,), optional
        Weights of the rows: they count in the histogram and in the choice of the rows shown.
    feature_names : sequence of str, optional
        Names of the columns; by default those of the fit.
    features : tuple of two int or str, optional
        The columns to draw if there are more than two: by number, from 0, or by name.
    title : str, default="Gaussian mixture"
        Beginning of the first line of the figure's title.
    max_points : int, default=5000
        The largest number of rows drawn as points. Of more rows a sample is drawn, always the same.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with ``figure.savefig(path)``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    NotFittedError
        If the mixture is not fitted.
    TypeError
        If `estimator` is no mixture of emix, or an argument is of the wrong kind.
    ValueError
        If `features` are not two different columns, `feature_names` has another length than the
        mixture has columns, `X` has other columns than the fit, or `sample_weight` is not one
        weight for each row.

    Examples
    --------
    >>> from emix import GaussianMixture, load_faithful
    >>> from emix.faces import plot_mixture
    >>> faithful = load_faithful()
    >>> mixture = GaussianMixture(2, random_state=0).fit(faithful.data)
    >>> figure = plot_mixture(mixture, faithful.data, feature_names=faithful.feature_names)
    >>> [axes.get_title(loc="left") for axes in figure.axes][:2]
    ['Data and components', 'Density']
    """
    subject = subject_of(estimator, X, sample_weight, feature_names, max_points, caller="plot_mixture")
    view = subject.view(features)
    figure = new_figure(*PAGE_SIZE)
    draw_page(figure, subject, view, title)
    return figure


@np.errstate(under="ignore")  # densities far out are 0
def draw_page(figure: Figure, subject: Subject, view: View, title: str = "Gaussian mixture") -> None:
    """Draw the four panels of `plot_mixture` on an empty figure."""
    w = subject.weight
    points = view.project(subject.sample.astype(np.float64, copy=False))
    r = subject.responsibilities(subject.sample)
    note = subject.note
    dots = f"dots: {note}" if note and view.n_axes > 1 else ""
    figure.suptitle(
        f"{plain(title, 80)}: {subject.description(chr(10).join(filter(None, [view.note, dots])))}", fontsize=11
    )
    grid = figure.add_gridspec(2, 2)
    first, second = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    fourth = figure.add_subplot(grid[1, 1])
    if view.n_axes == 1:
        x = subject.points(view)[:, 0] if subject.are_many else points[:, 0]
        draw_components_line(first, view, x, w)
        draw_responsibilities_line(second, view, points[:, 0], r, note)
        draw_distribution_line(fourth, view, x, w)
    else:
        draw_components_plane(first, view, points, r, note)
        draw_density_plane(second, view, points)
        draw_uncertainty_plane(fourth, view, points, 1.0 - r.max(axis=1, initial=0.0), note)
    cells = grid[1, 0].subgridspec(2, 1, height_ratios=(1.0, 1.0), hspace=0.05)
    upper = figure.add_subplot(cells[0])
    draw_convergence(upper, figure.add_subplot(cells[1], sharex=upper), *subject.course())
    legend_below(figure, first)
