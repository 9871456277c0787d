"""Draw a fitted mixture: data and components, density, convergence, uncertainty.

Matplotlib is needed (the extra `plot`). Figures are made without pyplot: no global state, no window,
and nothing to close. A marginal of a Gaussian mixture on any plane is again a Gaussian mixture,
with means A μ and covariances A Σ Aᵀ, so every density drawn here is exact.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING

import numpy as np

from emix.arguments import integer_in_range
from emix.plots.panels import (
    draw_components_line,
    draw_components_plane,
    draw_convergence,
    draw_density_plane,
    draw_distribution_line,
    draw_responsibilities_line,
    draw_uncertainty_plane,
)
from emix.plots.planes import View, choose_view
from emix.requirements import require
from emix.rows.validation import as_sample_weight
from emix.summary.fitted import (
    check_mixture,
    column_names,
    covariance_type,
    criteria,
    full_covariances,
    responsibilities,
    row_weights,
    rows_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emix.estimators.gaussian_mixture import GaussianMixture

# More dots than this are a blot and slow to draw. The figure says that it shows a sample.
_MAX_POINTS = 5_000


@np.errstate(under="ignore")  # densities far out are 0
def plot_mixture(
    estimator: GaussianMixture,
    X: Any,
    *,
    sample_weight: NDArray[np.floating] | None = None,
    feature_names: Sequence[str] | None = None,
    features: tuple[int | str, int | str] | None = None,
    title: str = "Gaussian mixture",
    max_points: int = _MAX_POINTS,
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
    figure_module = require("matplotlib.figure", "plot", "plot_mixture")
    layout_module = require("matplotlib.layout_engine", "plot", "plot_mixture")
    check_mixture(estimator)
    estimator = copy.copy(estimator)  # stays one fit, even if another thread fits again
    names = column_names(estimator, feature_names)
    max_points = integer_in_range("max_points", max_points, 1, caller="plot_mixture")
    X = rows_of(estimator, X)
    w = row_weights(X, as_sample_weight(sample_weight, len(X)))
    view = choose_view(estimator.weights_, estimator.means_, full_covariances(estimator), names, features)
    shown = _sample_rows(w, max_points)
    sample = X if len(shown) == len(X) else X[shown]
    points, r = view.project(sample.astype(np.float64, copy=False)), responsibilities(estimator, sample)

    layout = layout_module.ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08)
    figure: Figure = figure_module.Figure(figsize=(11.0, 9.0), dpi=110, layout=layout)
    figure.suptitle(f"{title}: {_description(estimator, view, len(X))}", fontsize=11)
    note = "" if len(shown) == len(X) else f"{len(shown):,} of {len(X):,} rows"
    grid = figure.add_gridspec(2, 2)
    first, second = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    fourth = figure.add_subplot(grid[1, 1])
    if view.n_axes == 1:
        x = points[:, 0] if sample is X else view.project(X.astype(np.float64, copy=False))[:, 0]
        draw_components_line(first, view, x, w)
        draw_responsibilities_line(second, view, points[:, 0], r, note)
        draw_distribution_line(fourth, view, x, w)
    else:
        draw_components_plane(first, view, points, r, note)
        draw_density_plane(second, view, points)
        draw_uncertainty_plane(fourth, view, points, r, note)
    history = list(getattr(estimator, "history_", None) or [])
    draw_convergence(figure, grid[1, 0], history, _course(estimator) if history else "")
    return figure


def _description(
    estimator: GaussianMixture,
    view: View,
    n_samples: int,
) -> str:
    n_components = len(estimator.weights_)
    plural = "s" if n_components > 1 else ""
    parts = [f"{n_components} component{plural}, {covariance_type(estimator)} covariances, {n_samples:,} rows"]
    values = criteria(estimator)
    if values is not None:
        numbers = f"log-likelihood {values.log_likelihood:.3f} nats     BIC {values.bic:.2f}     AIC {values.aic:.2f}"
        # A minus, not a hyphen, as on the axes. (The hyphen of "log-likelihood" has no digit after it.)
        parts.append(re.sub(r"-(?=[0-9])", "\u2212", numbers))
    if view.note:
        parts.append(view.note)
    return "\n".join(parts)


def _course(estimator: GaussianMixture) -> str:
    """Say how the iterations ended, in few words: the panel is narrow."""
    outcome = "converged" if estimator.converged_ else "NOT converged"
    return f"{outcome} after {estimator.n_iter_} iterations"


def _sample_rows(w: NDArray[np.float64], max_points: int) -> NDArray[np.intp]:
    """Choose the rows to draw as points: all rows, or a sample that prefers rows of large weight."""
    if len(w) <= max_points:
        return np.arange(len(w))
    # The rows with the largest uniform^(1/w): weighted sampling without replacement (Efraimidis
    # and Spirakis, 2006). log(u)/w gives the same order.
    u = np.random.default_rng(0).random(len(w))
    keys = np.log(u) / np.where(w > 0.0, w, 1e-300)
    return np.sort(np.argpartition(keys, -max_points)[-max_points:])
