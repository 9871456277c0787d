"""Pictures: made without a window, readable as images, and of what they say."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from matplotlib.patches import Ellipse
from matplotlib.text import Text

import emix
from emix.gaussian.structures import STRUCTURES
from emix.plots.plots import plot_mixture

if TYPE_CHECKING:
    from pathlib import Path


def titles(figure: object) -> list[str]:
    return [title for axes in figure.axes if (title := axes.get_title(loc="left"))]


def draw(figure: object, path: Path) -> np.ndarray:
    figure.savefig(path)
    pixels = imread(path)
    assert pixels.ndim == 3
    assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 50  # not a blank page
    for axes in figure.axes:
        # A title of its own at the left, a note at the right: neither runs into the other.
        texts = {text.get_text(): text for text in axes.get_children() if isinstance(text, Text)}
        left, right = (texts[axes.get_title(loc=place)] for place in ("left", "right"))
        if left.get_text() and right.get_text():
            assert not left.get_window_extent().overlaps(right.get_window_extent()), left.get_text()
        if left.get_text() == "Density" and axes.get_legend() is not None:
            assert not left.get_window_extent().overlaps(axes.get_legend().get_window_extent())
    return pixels


def test_two_columns(mixture: emix.GaussianMixture, faithful: np.ndarray, tmp_path: Path) -> None:
    figure = plot_mixture(mixture, faithful, feature_names=["eruptions", "waiting"])
    draw(figure, tmp_path / "fit.png")
    assert titles(figure) == ["Data and components", "Density", "Uncertainty", "Convergence"]
    assert figure.axes[0].get_xlabel() == "eruptions"
    assert figure.axes[0].get_ylabel() == "waiting"
    assert f"{mixture.log_likelihood_:.3f} nats".replace("-", "−") in figure.get_suptitle()
    legend = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert legend == ["probability inside:", "99%", "90%", "75%", "50%", "25%"]
    doubtful = int((mixture.predict_proba(faithful).max(axis=1) < 0.9).sum())
    note = f"{doubtful} of 272 rows above 0.1; lines: two components tie"
    assert next(axes for axes in figure.axes if axes.get_title(loc="left") == "Uncertainty").get_title("right") == note
    assert [axes.get_ylabel() for axes in figure.axes[3:6] if "nats" in axes.get_ylabel()] == [
        "log-likelihood, in nats",
        "nats below the end",
    ]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_ellipses_are_the_contours_of_the_components(faithful: np.ndarray, structure: str) -> None:
    mixture = emix.GaussianMixture(2, covariance_type=structure, random_state=0).fit(faithful)
    figure = plot_mixture(mixture, faithful)
    ellipses = [patch for patch in figure.axes[0].patches if isinstance(patch, Ellipse)]
    assert len(ellipses) == 4
    for index, ellipse in enumerate(ellipses):
        k, deviations = divmod(index, 2)
        covariance = mixture.covariances_ if structure == "tied" else mixture.covariances_[k]
        covariance = covariance if np.ndim(covariance) == 2 else np.eye(2) * covariance
        # get_verts draws arcs as splines: a thousandth off the circle at most
        distance = figure.axes[0].transData.inverted().transform(ellipse.get_verts()) - mixture.means_[k]
        mahalanobis = np.sqrt(np.einsum("ni,ij,nj->n", distance, np.linalg.inv(covariance), distance))
        np.testing.assert_allclose(mahalanobis, deviations + 1.0, rtol=2e-3)


def test_one_column(faithful: np.ndarray, tmp_path: Path) -> None:
    mixture = emix.GaussianMixture(2, random_state=0).fit(faithful[:, 1:])
    figure = plot_mixture(mixture, faithful[:, 1:], feature_names=["waiting"])
    draw(figure, tmp_path / "fit.png")
    assert titles(figure) == ["Data and components", "Responsibilities", "Distribution function", "Convergence"]
    # the histogram is a density: bars and curve share the axis
    bars = figure.axes[0].patches
    assert sum(bar.get_width() * bar.get_height() for bar in bars) == pytest.approx(1.0, rel=1e-9)


def test_many_columns_are_seen_on_a_plane_that_the_title_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        np.concatenate([rng.normal(size=(100, 4)), rng.normal(5.0, 1.0, size=(100, 4))]), columns=list("abcd")
    )
    mixture = emix.GaussianMixture(2, random_state=0).fit(frame)
    figure = plot_mixture(mixture, frame)
    draw(figure, tmp_path / "fit.png")
    assert "first two principal components (PC) of the 4 standardized columns" in figure.get_suptitle()
    figure = plot_mixture(mixture, frame, features=(3, 1))
    assert "seen on d and b, two of 4 columns" in figure.get_suptitle()
    assert figure.axes[0].get_xlabel() == "d"


def test_many_rows_are_sampled_by_weight_and_the_picture_says_so(faithful: np.ndarray) -> None:
    w = np.zeros(len(faithful))
    w[::4] = 1.0
    mixture = emix.GaussianMixture(2, random_state=0).fit(faithful, sample_weight=w)
    figure = plot_mixture(mixture, faithful, sample_weight=w, max_points=50)
    axes = figure.axes[0]
    assert axes.get_title(loc="right") == "50 of 272 rows"
    points = np.concatenate([dots.get_offsets() for dots in axes.collections])
    assert len(points) == 50
    chosen = {tuple(row) for row in faithful[::4]}
    assert all(tuple(point) in chosen for point in points)  # rows without weight are not there


@pytest.mark.parametrize("n_components", [1, 12])
@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_few_and_many_components(faithful: np.ndarray, tmp_path: Path, n_components: int, suffix: str) -> None:
    mixture = emix.GaussianMixture(n_components, covariance_type="diag", random_state=0).fit(faithful)
    path = tmp_path / f"fit.{suffix}"
    plot_mixture(mixture, faithful).savefig(path)
    assert path.stat().st_size > 10_000


def test_a_given_mixture_has_no_convergence_to_draw(faithful: np.ndarray, tmp_path: Path) -> None:
    given = emix.GaussianMixture.from_parameters([1.0], [[3.5, 70.0]], [np.diag([1.3, 185.0])])
    draw(plot_mixture(given, faithful), tmp_path / "fit.png")


def test_a_narrow_component_is_drawn(tmp_path: Path) -> None:
    """A component far smaller than a cell of the density's grid breaks neither levels nor contours."""
    given = emix.GaussianMixture.from_parameters(
        [0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], [np.eye(2) * 1e-12, np.eye(2) * 1e-12]
    )
    draw(plot_mixture(given, np.array([[0.0, 0.0], [1.0, 1.0]])), tmp_path / "fit.png")


def test_columns_are_chosen_by_number_or_by_name() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 4)), columns=list("abcd"))
    mixture = emix.GaussianMixture(1).fit(frame)
    for features in [("d", "b"), (3, "b"), ["d", 1], (np.int64(3), np.str_("b")), np.array([3, 1])]:
        figure = plot_mixture(mixture, frame, features=features)
        assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("d", "b")
    # The names that are given count.
    figure = plot_mixture(mixture, frame, features=("z", "w"), feature_names=["w", "x", "y", "z"])
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("z", "w")


@pytest.mark.parametrize(
    ("features", "error", "found"),
    [
        (("a", "e"), ValueError, r"features is \('a', 'e'\)"),
        (("a", "a"), ValueError, r"features is \('a', 'a'\)"),
        (("a", 0), ValueError, r"features is \('a', 0\)"),
        ((0, -1), ValueError, r"features is \(0, -1\)"),
        ((0, 4), ValueError, r"features is \(0, 4\)"),
        ((0, 1, 2), ValueError, r"features is \(0, 1, 2\)"),
        ((0,), ValueError, r"features is \(0,\)"),
        (1, TypeError, "features is 1"),
        ("ab", TypeError, "features is 'ab'"),
        ((0, 1.0), TypeError, "features has 1.0"),
        ((True, False), TypeError, "features has True"),
        (np.zeros((1000, 2)), TypeError, r"features has array\(\[0., 0.\]\)"),
    ],
)
def test_columns_that_are_not_there_are_refused(features: object, error: type[Exception], found: str) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 4)), columns=list("abcd"))
    mixture = emix.GaussianMixture(1).fit(frame)
    expected = ", expected two different columns of the mixture, by number from 0 to 3 or by name: a, b, c, d$"
    with pytest.raises(error, match=f"^{found}{expected}"):
        plot_mixture(mixture, frame, features=features)  # type: ignore[arg-type] # wrong types on purpose


def test_a_name_of_several_columns_chooses_none(mixture: emix.GaussianMixture, faithful: np.ndarray) -> None:
    with pytest.raises(ValueError, match="features has 'a', the name of several columns: give their numbers"):
        plot_mixture(mixture, faithful, feature_names=["a", "a"], features=("a", 1))


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"max_points": 0}, ValueError, r"'max_points' parameter of plot_mixture .* range \[1, inf\). Got 0 instead"),
        ({"max_points": "all"}, TypeError, "'max_points' parameter of plot_mixture .* Got 'all' instead"),
        ({"feature_names": "ab"}, TypeError, "feature_names is 'ab', expected a list of 2 names"),
        ({"feature_names": 2}, TypeError, "feature_names is 2, expected a list of 2 names"),
        ({"sample_weight": [1.0]}, ValueError, r"sample_weight.shape == \(1,\), expected \(272,\)"),
        ({"sample_weight": -np.ones(272)}, ValueError, "Negative values in sample_weight: -1 in row 0"),
        ({"sample_weight": np.zeros(272)}, ValueError, "all 272 values of sample_weight are zero"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(
    mixture: emix.GaussianMixture, faithful: np.ndarray, keywords: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plot_mixture(mixture, faithful, **keywords)


def test_wrong_arguments_are_refused(mixture: emix.GaussianMixture, faithful: np.ndarray) -> None:
    with pytest.raises(ValueError, match="feature_names has 3 names, but the mixture has 2 columns"):
        plot_mixture(mixture, faithful, feature_names=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"features is \(0, 2\), expected two different columns"):
        plot_mixture(mixture, faithful, features=(0, 2))


def test_pyplot_is_left_alone() -> None:
    code = (
        "import sys, numpy as np, emix; from emix.faces import plot_mixture;"
        "assert 'matplotlib' not in sys.modules;"
        "X = np.random.default_rng(0).normal(size=(50, 2));"
        "plot_mixture(emix.GaussianMixture(1).fit(X), X);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_densities_that_underflow_in_any_error_state(mixture: emix.GaussianMixture, faithful: np.ndarray) -> None:
    far = np.vstack([faithful, faithful.max(axis=0) * 20.0])
    with np.errstate(all="raise"):
        assert "Density" in titles(plot_mixture(mixture, far))


def test_a_constant_column_is_no_part_of_the_picture(faithful: np.ndarray) -> None:
    with pytest.warns(UserWarning, match="Column 2 is constant"):
        mixture = emix.GaussianMixture(2, random_state=0).fit(np.c_[faithful, np.ones(len(faithful))])
    figure = mixture.plot(np.c_[faithful, np.ones(len(faithful))])
    assert "without x2, which is constant" in figure.get_suptitle()
    panel = figure.axes[0]
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("x0", "x1")
    ellipses = [patch for patch in panel.patches if isinstance(patch, Ellipse)]
    deviations = np.sqrt(np.linalg.eigvalsh(mixture.covariances_[:, :2, :2]))
    # The widths are 2 and 4 deviations along the longer axis, in the columns' own units.
    np.testing.assert_allclose(ellipses[0].width, 2.0 * deviations[0, 1], rtol=1e-12)
    # Rows of a stream that came later may vary in it.
    moved = np.c_[faithful, np.linspace(0.0, 1.0, len(faithful))]
    assert "PC" in mixture.plot(moved).axes[0].get_xlabel()
