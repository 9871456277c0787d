"""The kinds of picture that `GaussianMixture.plot` draws."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emix.arguments import choice_of
from emix.exceptions import shown
from emix.plots.convergence import draw_convergence
from emix.plots.fields import grid_of
from emix.plots.figures import new_figure, shown_figure
from emix.plots.lines import draw_components_line, draw_responsibilities_line, draw_uncertainty_line
from emix.plots.memberships import draw_memberships
from emix.plots.pairs import MOST_COLUMNS, draw_pairs, pairs_size
from emix.plots.panels import draw_density_plane, draw_uncertainty_plane
from emix.plots.planes import columns_of
from emix.plots.plots import PAGE_SIZE, draw_page
from emix.plots.style import legend, plain
from emix.plots.subject import Subject, subject_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

__all__ = ["KINDS", "draw_kind", "picture", "plot", "size_of"]

_PANEL_SIZE = (8.2, 6.0)
_LINE_LENGTH = 84
_TITLE = "Gaussian mixture"
_CALLER = "plot"


class _Kind(NamedTuple):
    """A kind of picture.

    Attributes
    ----------
    draw : callable
        (axes, subject, features, is_narrow) draws it on axes, None if it needs a figure of its own. Axes of a user may
        be narrow.
    needs_rows : bool
    takes_features : bool
    """

    draw: Callable[[Axes, Subject, Any, bool], None] | None
    needs_rows: bool = True
    takes_features: bool = True


def _draw_density(axes: Axes, subject: Subject, features: Any, is_narrow: bool) -> None:
    view = subject.view(features, least=1)
    points = subject.points(view)
    if view.n_axes == 1:
        draw_components_line(axes, view, points[:, 0], subject.weight)
        legend(axes)
        _add_to_label(axes, view.note)
        return
    if not subject.are_many:
        draw_density_plane(axes, view, points, is_narrow=is_narrow)
        _add_to_label(axes, view.note)
        return
    grid = grid_of(points, (view.limits(0, points[:, 0]), view.limits(1, points[:, 1])), subject.weight)
    draw_density_plane(axes, view, points, grid, is_narrow=is_narrow)
    _add_to_label(axes, view.note, f"grey: counts of all {len(points):,} rows, on a log scale")


def _draw_uncertainty(axes: Axes, subject: Subject, features: Any, is_narrow: bool) -> None:
    view = subject.view(features, least=1)
    points = subject.points(view)
    uncertainty, labels = subject.uncertainties()
    if view.n_axes == 1:
        draw_uncertainty_line(axes, view, points[:, 0], uncertainty, labels, subject.weight, subject.max_points)
        legend(axes)
        _add_to_label(axes, view.note)
        return
    grid = None
    if subject.are_many:
        limits = view.limits(0, points[:, 0]), view.limits(1, points[:, 1])
        grid = grid_of(points, limits, subject.weight, uncertainty)
    draw_uncertainty_plane(axes, view, points, uncertainty, "", grid)
    _add_to_label(axes, view.note, f"cells: means of all {len(points):,} rows" if grid is not None else "")


def _draw_responsibilities(axes: Axes, subject: Subject, features: Any, is_narrow: bool) -> None:
    if len(subject.names) == 1:
        view = subject.view(None)
        points = view.project(subject.sample.astype(np.float64, copy=False))
        draw_responsibilities_line(axes, view, points[:, 0], subject.responsibilities(subject.sample), subject.note)
    else:
        # Columns of the picture are fewer than the rows of the sample, so the sample loses little.
        w = np.ones(len(subject.sample)) if subject.are_many else subject.weight
        r = subject.responsibilities(subject.sample)
        draw_memberships(axes, subject.estimator.weights_, r, w, subject.note)
    legend(axes)


def _draw_convergence(axes: Axes, subject: Subject, features: Any, is_narrow: bool) -> None:
    axes.set_axis_off()
    upper = axes.inset_axes((0.0, 0.53, 1.0, 0.47))
    draw_convergence(upper, axes.inset_axes((0.0, 0.0, 1.0, 0.47), sharex=upper), *subject.course())


def _add_to_label(axes: Axes, *notes: str) -> None:
    """Add notes below the label of the horizontal axis."""
    lines = [line for note in notes for line in textwrap.wrap(note, _LINE_LENGTH)]
    axes.set_xlabel("\n".join([axes.get_xlabel(), *lines]))


KINDS = {
    "page": _Kind(None),
    "pairs": _Kind(None),
    "density": _Kind(_draw_density, needs_rows=False),
    "uncertainty": _Kind(_draw_uncertainty),
    "convergence": _Kind(_draw_convergence, needs_rows=False, takes_features=False),
    "responsibilities": _Kind(_draw_responsibilities, takes_features=False),
}
"""Kinds of picture by name."""


@np.errstate(under="ignore")  # densities far out are 0
def plot(
    estimator: Any,
    X: Any = None,
    kind: str = "page",
    *,
    ax: Axes | None = None,
    features: Any = None,
    sample_weight: ArrayLike | None = None,
) -> Figure | Axes:
    """Draw a fitted mixture; the arguments and errors are those of `GaussianMixture.plot`."""
    chosen = KINDS[choice_of("kind", kind, KINDS, _CALLER)]
    _check_axes(ax, kind, chosen)
    subject = _subject(estimator, X, kind, features, sample_weight)
    if ax is not None:
        assert chosen.draw is not None
        chosen.draw(ax, subject, features, True)
        # A note beside the title would run into it.
        note = ax.get_title(loc="right")
        ax.set_title("", loc="right")
        _add_to_label(ax, note)
        return ax
    with shown_figure(*size_of(kind, subject, features)) as figure:
        draw_kind(figure, subject, kind, features)
    return figure


@np.errstate(under="ignore")
def picture(
    estimator: Any,
    X: Any = None,
    kind: str = "page",
    *,
    features: Any = None,
    sample_weight: ArrayLike | None = None,
    feature_names: Sequence[str] | None = None,
    title: str = _TITLE,
) -> Figure:
    """Draw a fitted mixture for a file: as `plot`, on a figure that pyplot does not know.

    Parameters
    ----------
    estimator : GaussianMixture
    X, kind, features, sample_weight
        As of `GaussianMixture.plot`.
    feature_names : sequence of str, optional
        Names of the columns; by default those of the fit.
    title : str, default="Gaussian mixture"
        Beginning of the figure's heading.
    """
    subject = _subject(estimator, X, choice_of("kind", kind, KINDS, _CALLER), features, sample_weight, feature_names)
    figure = new_figure(*size_of(kind, subject, features))
    draw_kind(figure, subject, kind, features, title=title)
    return figure


def draw_kind(figure: Figure, subject: Subject, kind: str, features: Any = None, *, title: str = _TITLE) -> None:
    """Draw a kind of picture on an empty figure.

    Its heading names the mixture and its criteria after the title. With an empty title, every kind but the page has
    none.
    """
    if kind == "page":
        draw_page(figure, subject, subject.view(features), title)
    elif kind == "pairs":
        draw_pairs(figure, subject, features, title=title)
    else:
        draw = KINDS[kind].draw
        assert draw is not None
        if title:
            figure.suptitle(f"{plain(title, 80)}: {subject.description()}", fontsize=10)
        draw(figure.add_subplot(), subject, features, False)


def size_of(kind: str, subject: Subject, features: Any = None) -> tuple[float, float]:
    """Return the width and the height of a kind of picture, in inches."""
    if kind == "page":
        return PAGE_SIZE
    return pairs_size(subject, features) if kind == "pairs" else _PANEL_SIZE


def _subject(
    estimator: Any, X: Any, kind: str, features: Any, sample_weight: Any, names: Sequence[str] | None = None
) -> Subject:
    """Check the mixture, the rows and the columns of a picture."""
    needs_rows = KINDS[kind].needs_rows
    if X is None and needs_rows:
        raise ValueError(f"kind={kind!r} draws rows, but X is not given: pass the rows, usually those of the fit.")
    subject = subject_of(estimator, X, sample_weight, names, caller=_CALLER, needs_rows=needs_rows)
    _check_features(subject, kind, features)
    return subject


def _check_features(subject: Subject, kind: str, features: Any) -> None:
    if features is None:
        return
    if not KINDS[kind].takes_features:
        raise ValueError(
            f"features is {shown(features)}, but kind={kind!r} is the same for all columns: leave features out."
        )
    least, most = {"page": (2, 2), "pairs": (1, MOST_COLUMNS)}.get(kind, (1, 2))
    columns_of(features, subject.names, least, most)


def _check_axes(ax: Any, kind: str, chosen: _Kind) -> None:
    """Refuse axes where the picture has several panels, and anything but axes.

    Raises
    ------
    TypeError
        If `ax` is neither axes nor None.
    ValueError
        If the picture has several panels.
    """
    if ax is None:
        return
    if not hasattr(ax, "scatter"):
        raise TypeError(f"ax is {shown(ax)}, expected axes of matplotlib, such as those of plt.subplots(), or None.")
    if chosen.draw is None:
        single = ", ".join(repr(name) for name, one in KINDS.items() if one.draw is not None)
        raise ValueError(f"kind={kind!r} has several panels and makes its own figure: leave ax out, or use {single}.")
