"""The kinds of picture of a mixture: each says what it shows, of one, two and many columns, of few and of many rows."""

from __future__ import annotations

import os
import subprocess
import sys
import types
import warnings
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.image import imread
from matplotlib.patches import Ellipse

import emix
from emix.plots.fields import Grid, cells_of, counts_of, grid_of, means_of
from emix.plots.kinds import KINDS
from emix.plots.style import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@pytest.fixture(autouse=True)
def no_window() -> Iterator[None]:
    with mpl.rc_context({"backend": "agg"}):
        yield
    plt.close("all")


def clusters(n: int, d: int) -> np.ndarray:
    rng = np.random.default_rng([n, d])
    label = rng.integers(3, size=n)
    return rng.normal(size=(n, d)) + 5.0 * (np.arange(d) % 3 == label[:, None])


def fitted(X: Any, **settings: Any) -> emix.GaussianMixture:
    return emix.GaussianMixture(3, init_params="kmeans", random_state=0, **settings).fit(X)


def dots(axes: Axes) -> int:
    return sum(len(one.get_offsets()) for one in axes.collections if isinstance(one, PathCollection))


def meshes(axes: Axes) -> list[QuadMesh]:
    return [one for one in axes.collections if isinstance(one, QuadMesh)]


def no_text_runs_into_another(figure: Figure) -> None:
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined] # of Agg
    for axes in figure.axes:
        titles = [text for text in (axes.title, axes.get_legend()) if text is not None]
        boxes = [one.get_window_extent(renderer) for one in titles if one.get_visible()]
        page = figure.bbox
        for box in boxes:
            assert box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1, "a legend leaves the page"


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_draws_one_two_and_many_columns(kind: str, d: int, tmp_path: Path) -> None:
    X = clusters(150, d)
    figure = fitted(X).plot(X, kind)
    assert plt.fignum_exists(figure.number)
    path = tmp_path / "picture.png"
    figure.savefig(path)
    pixels = imread(path)
    assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 50  # not a blank page
    no_text_runs_into_another(figure)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("page", "pairs")])
def test_legends_lie_outside_of_the_data(kind: str) -> None:
    for d in (1, 2, 4):
        X = clusters(60, d)
        figure = fitted(X).plot(X, kind)
        figure.canvas.draw()
        for axes in figure.axes:
            legend = axes.get_legend()
            if legend is not None:
                # A border that is shared is no overlap.
                box = legend.get_window_extent().padded(-1.0)
                assert not box.overlaps(axes.patch.get_window_extent())


def test_page_and_pairs_have_their_legend_where_no_data_are() -> None:
    X = clusters(60, 2)
    gm = fitted(X)
    for kind in ("page", "pairs"):
        figure = gm.plot(X, kind)
        figure.canvas.draw()
        legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend() is not None)]
        assert legends
        with_data = [axes.patch.get_window_extent() for axes in figure.axes if axes.axison]
        for legend in legends:
            # A border that is shared is no overlap.
            box = legend.get_window_extent().padded(-1.0)
            assert not any(box.overlaps(panel) for panel in with_data)


def test_pairs_have_the_ellipses_of_the_marginals_and_their_densities() -> None:
    X = clusters(300, 3)
    gm = fitted(X)
    figure = gm.plot(X, "pairs", features=[2, 0])
    panel = next(axes for axes in figure.axes if dots(axes))
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("x2", "x0")
    assert dots(panel) == 300
    ellipses = [patch for patch in panel.patches if isinstance(patch, Ellipse)]
    for k in range(3):
        np.testing.assert_allclose(ellipses[2 * k].center, gm.means_[k, [2, 0]], rtol=1e-12)
        # Semi-axes are the roots of the marginal covariance's eigenvalues.
        values = np.linalg.eigvalsh(gm.covariances_[k][np.ix_([2, 0], [2, 0])])
        axes = sorted([ellipses[2 * k].width, ellipses[2 * k].height])
        np.testing.assert_allclose(axes, 2.0 * np.sqrt(values), rtol=1e-9)
    line = next(one for one in figure.axes[0].lines if one.get_label() == "mixture")
    z, density = line.get_data()
    # The marginal mixture has mass 1 over a range of three deviations beyond the means: 0.3 % lie outside at most.
    assert np.trapezoid(density, z) == pytest.approx(1.0, abs=0.003)


def test_pairs_of_many_columns_show_those_that_tell_components_apart() -> None:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(200, 9))
    X[:100, [1, 7]] += 8.0
    frame = pd.DataFrame(X, columns=[f"c{j}" for j in range(9)])
    figure = emix.GaussianMixture(2, covariance_type="diag", random_state=0).fit(frame).plot(frame, "pairs")
    assert "6 of 9 columns: those in which the components' means differ most" in figure.get_suptitle()
    labels = {axes.get_xlabel() for axes in figure.axes}
    assert {"c1", "c7"} <= labels


@pytest.mark.parametrize(("kind", "d"), [("density", 2), ("uncertainty", 2), ("pairs", 2), ("pairs", 4)])
def test_many_rows_are_counted_in_cells_and_the_picture_says_so(kind: str, d: int) -> None:
    X = clusters(6000, d)
    figure = fitted(X).plot(X, kind)
    texts = figure.get_suptitle() + "".join(axes.get_xlabel() for axes in figure.axes)
    assert "all 6,000 rows" in texts
    panels = [axes for axes in figure.axes if meshes(axes)]
    assert panels
    assert not any(dots(axes) for axes in figure.axes)
    if kind != "uncertainty":
        counts = meshes(panels[0])[0].get_array()
        assert counts.sum() == 6000


def test_a_page_of_many_rows_says_that_its_dots_are_a_sample() -> None:
    X = clusters(6000, 2)
    figure = fitted(X).plot(X)
    assert "dots: 5,000 of 6,000 rows" in figure.get_suptitle()
    assert dots(figure.axes[0]) == 5000


def test_the_sample_of_rows_is_fair_though_they_come_from_the_usual_seed() -> None:
    # Labels by the numbers of default_rng(0), as users make them: a sample by the same numbers would take one label.
    n = 40_000
    rng = np.random.default_rng(0)
    label = rng.choice(4, p=[0.1, 0.2, 0.3, 0.4], size=n)
    X = rng.normal(size=(n, 2)) + 20.0 * np.eye(4, 2)[label] + 40.0 * np.eye(4, 2, -2)[label]
    gm = emix.GaussianMixture.from_parameters(
        [0.1, 0.2, 0.3, 0.4], [[20.0, 0.0], [0.0, 20.0], [40.0, 0.0], [0.0, 40.0]], [[1.0, 1.0]] * 4, "diag"
    )
    panel = gm.plot(X).axes[0]
    shown = [len(one.get_offsets()) for one in panel.collections if isinstance(one, PathCollection)]
    # Hypergeometric counts: six standard deviations of at most sqrt(5000 · 0.24).
    np.testing.assert_allclose(shown, 5000 * np.array([0.1, 0.2, 0.3, 0.4]), rtol=0, atol=6 * np.sqrt(1200))


def test_uncertainty_of_cells_is_the_mean_of_their_rows() -> None:
    X = clusters(6000, 2)
    gm = fitted(X)
    mesh = next(meshes(axes)[0] for axes in gm.plot(X, "uncertainty").axes if meshes(axes))
    edges = mesh.get_coordinates()
    uncertainty = 1.0 - gm.predict_proba(X).max(axis=1)
    weight, *_ = np.histogram2d(X[:, 1], X[:, 0], bins=[edges[:, 0, 1], edges[0, :, 0]])
    total, *_ = np.histogram2d(X[:, 1], X[:, 0], bins=[edges[:, 0, 1], edges[0, :, 0]], weights=uncertainty)
    filled = weight > 0
    found = np.ma.filled(mesh.get_array().reshape(weight.shape), np.nan)
    # A row on the border of two cells may be in either, by rounding; there are few.
    same = np.isclose(found[filled], total[filled] / weight[filled], rtol=1e-9, atol=1e-12)
    assert same.mean() > 0.99


def test_cells_count_like_numpy() -> None:
    rng = np.random.default_rng(1)
    x, y, w = rng.random(500), rng.random(500), rng.random(500)
    i, j = cells_of(y, (0.0, 1.0), 7), cells_of(x, (0.0, 1.0), 7)
    expected, *_ = np.histogram2d(y, x, bins=7, range=[(0, 1), (0, 1)], weights=w)
    # sums in another order
    np.testing.assert_allclose(np.nan_to_num(counts_of(i, j, w, 7)), expected, rtol=1e-12)
    constant = means_of(i, j, np.full(500, 2.5), w, 7)
    np.testing.assert_allclose(constant[np.isfinite(constant)], 2.5, rtol=1e-12)


def test_cells_of_points_that_coincide() -> None:
    grid = grid_of(np.full((4, 2), 3.0), ((3.0, 3.0), (3.0, 3.0)), np.ones(4), n_cells=5)
    assert np.nansum(grid.values) == 4.0
    Grid((2.0, 4.0), (2.0, 4.0), grid.values).draw(plt.figure().add_subplot())


def test_responsibilities_are_stacked_to_one() -> None:
    X = clusters(400, 2)
    for rows in (X, X[:50]):
        axes = fitted(X).plot(rows, "responsibilities").axes[0]
        tops = axes.patches[-1].get_data().values
        np.testing.assert_allclose(tops, 1.0, rtol=1e-12)  # sums of responsibilities
    labels = [text.get_text() for text in axes.texts]
    assert labels == ["0", "1", "2"]


def test_responsibilities_of_many_rows_keep_each_components_share() -> None:
    X = clusters(3000, 2)
    w = np.linspace(0.5, 2.0, 3000)
    gm = fitted(X)
    axes = gm.plot(X, "responsibilities", sample_weight=w).axes[0]
    expected = w @ gm.predict_proba(X) / w.sum()
    for k, patch in enumerate(axes.patches[:3]):
        top, edges, bottom = patch.get_data()
        # areas by sums of 3 000 rows
        assert ((top - bottom) * np.diff(edges)).sum() == pytest.approx(expected[k], rel=1e-9)


def test_density_and_convergence_need_no_rows(mixture: emix.GaussianMixture) -> None:
    for kind in ("density", "convergence"):
        mixture.plot(kind=kind).savefig("/dev/null", format="png")
    given = emix.GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [3.0]], [[[1.0]], [[1.0]]])
    figure = given.plot(kind="density")
    assert figure.axes[0].get_title(loc="left") == "Density"
    given.plot(kind="convergence").savefig("/dev/null", format="png")


def test_one_column_of_many(faithful: np.ndarray) -> None:
    X = clusters(80, 4)
    gm = fitted(X)
    for kind in ("density", "uncertainty"):
        axes = gm.plot(X, kind, features=3).axes[0]
        assert axes.get_xlabel().splitlines() == ["x3", "seen on x3, one of 4 columns"]


def test_axes_of_the_user_are_drawn_on_and_returned(mixture: emix.GaussianMixture, faithful: np.ndarray) -> None:
    figure, panels = plt.subplots(2, 2)
    for ax, kind in zip(panels.flat, ["density", "uncertainty", "convergence", "responsibilities"]):
        assert mixture.plot(faithful, kind, ax=ax) is ax
    assert plt.get_fignums() == [figure.number]
    figure.savefig("/dev/null", format="png")


def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    frame = pd.DataFrame(clusters(60, 3), columns=["cost in $ and $", "\\frac{$x$}", "a" * 60])
    gm = fitted(frame)
    for kind in KINDS:
        gm.plot(frame, kind).savefig(tmp_path / "picture.png")
    assert gm.plot(frame, "density", features=["cost in $ and $", 2]).axes[0].get_ylabel() == plain("a" * 60)


def test_weights_count(faithful: np.ndarray) -> None:
    w = np.linspace(0.0, 2.0, len(faithful))
    gm = emix.GaussianMixture(2, random_state=0).fit(faithful, sample_weight=w)
    bars = gm.plot(faithful, "density", features=1, sample_weight=w).axes[0].patches
    edges = np.array([*(bar.get_x() for bar in bars), bars[-1].get_x() + bars[-1].get_width()])
    expected, _ = np.histogram(faithful[:, 1], edges, weights=w, density=True)
    heights = [bar.get_height() for bar in bars]
    # A row on an edge may go to either bin by the rounding of the edges: compared are the sums.
    np.testing.assert_allclose(np.sum(heights * np.diff(edges)), np.sum(expected * np.diff(edges)), rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kind": "density2"}, ValueError, "'kind' parameter of plot must be a str among .* Did you mean 'density'"),
        ({"kind": 3}, ValueError, "'kind' parameter of plot must be a str among .* Got 3 instead"),
        ({"kind": "pairs", "features": ["eruption"]}, ValueError, "features is .* Did you mean 'eruptions'"),
        ({"kind": "pairs", "features": []}, ValueError, "expected 1 to 12 different columns"),
        ({"kind": "density", "features": 2}, ValueError, "expected one or two different columns"),
        ({"kind": "density", "features": [0, 0]}, ValueError, "expected one or two different columns"),
        ({"kind": "density", "features": 1.5}, TypeError, "features is 1.5, expected one or two different columns"),
        ({"kind": "convergence", "features": [0]}, ValueError, "kind='convergence' is the same for all columns"),
        ({"kind": "pairs", "ax": "here"}, TypeError, "ax is 'here', expected axes of matplotlib"),
        ({"kind": "page", "X": None}, ValueError, "kind='page' draws rows, but X is not given"),
        ({"kind": "density", "X": None, "sample_weight": [1.0]}, ValueError, "sample_weight is given, but not X"),
        ({"kind": "density", "sample_weight": [1.0]}, ValueError, "sample_weight"),
    ],
)
def test_bad_arguments_are_refused_and_leave_no_figure(
    faithful: np.ndarray, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    frame = pd.DataFrame(faithful, columns=["eruptions", "waiting"])
    gm = emix.GaussianMixture(2, random_state=0).fit(frame)
    with pytest.raises(error, match=message):
        gm.plot(**{"X": frame, **arguments})
    assert plt.get_fignums() == []


def test_axes_for_several_panels_are_refused(mixture: emix.GaussianMixture, faithful: np.ndarray) -> None:
    ax = plt.figure().add_subplot()
    for kind in ("page", "pairs"):
        with pytest.raises(ValueError, match=f"kind='{kind}' has several panels .* 'density', 'uncertainty'"):
            mixture.plot(faithful, kind, ax=ax)


def test_unfitted_foreign_and_other_columns_are_refused(mixture: emix.GaussianMixture, faithful: np.ndarray) -> None:
    with pytest.raises(emix.NotFittedError, match="not fitted yet"):
        emix.GaussianMixture(2).plot(faithful)
    with pytest.raises(emix.NotFittedError, match="not fitted yet"):
        emix.GaussianMixture(2).plot()
    with pytest.raises(emix.NotFittedError, match="not fitted yet"):
        emix.GaussianMixture(2).summary()
    with pytest.raises(ValueError, match="X has 1 features, but GaussianMixture is expecting 2"):
        mixture.plot(faithful[:, :1])
    frame = pd.DataFrame(faithful, columns=["eruptions", "waiting"])
    with pytest.raises(ValueError, match="feature names"):
        fitted(frame).plot(frame.rename(columns={"waiting": "delay"}))


def test_a_drawing_that_fails_leaves_no_figure(
    mixture: emix.GaussianMixture, faithful: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr("emix.plots.kinds.draw_page", fails)
    with pytest.raises(RuntimeError, match="no ink"):
        mixture.plot(faithful)
    assert plt.get_fignums() == []


def test_show_shows_it_though_pyplot_was_not_imported() -> None:
    code = (
        "import sys, numpy as np, emix\n"
        "X = np.random.default_rng(1).normal(size=(50, 2))\n"
        "figure = emix.GaussianMixture(1).fit(X).plot(X)\n"
        "import matplotlib.pyplot as plt\n"
        "assert plt.get_fignums() == [figure.number] and plt.gcf() is figure\n"
    )
    environment = {**os.environ, "MPLBACKEND": "agg"}
    subprocess.run([sys.executable, "-P", "-W", "error", "-c", code], check=True, env=environment)


@pytest.mark.parametrize("backend", ["agg", "svg"])
def test_a_notebook_shows_a_figure_that_pyplot_does_not_know(
    backend: str, mixture: emix.GaussianMixture, faithful: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    figure: Any = emix.faces.plot_mixture(mixture, faithful)
    known: Any = mixture.plot(faithful)
    with mpl.rc_context({"backend": backend}):
        assert figure._repr_png_().startswith(b"\x89PNG")
        # A figure of pyplot is shown by its backend, unless that only writes files.
        assert (known._repr_png_() is None) == (backend != "agg")


def test_pictures_of_a_component_without_width(tmp_path: Path) -> None:
    X = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    given = emix.GaussianMixture.from_parameters([0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], [np.eye(2) * 1e-12] * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in KINDS:
            given.plot(X, kind).savefig(tmp_path / "picture.png")
