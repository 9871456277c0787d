"""Parts of the panels that hold mathematics."""

from __future__ import annotations

import numpy as np

from emix.plots.panels import region_levels
from emix.plots.style import colour, line_style, marker


def test_regions_of_a_normal_density_hold_their_share() -> None:
    """The region of share q of N(0, I₂) is the disc with density ≥ (1 − q)/(2π)."""
    x = np.linspace(-6.0, 6.0, 801)
    density = np.exp(-0.5 * (x[:, None] ** 2 + x**2)) / (2.0 * np.pi)
    levels, shares = region_levels(density)
    assert shares == sorted(shares, reverse=True)
    # a ring of cells of width 0.015 is the unit of the borders
    np.testing.assert_allclose(levels, (1.0 - np.array(shares)) / (2.0 * np.pi), rtol=0.01)


def test_levels_rise_even_when_a_component_is_narrower_than_a_cell() -> None:
    density = np.zeros((10, 10))
    density[3, 3] = 1.0
    levels, shares = region_levels(density)
    assert levels == [1.0]
    assert len(shares) == 1
    assert region_levels(np.zeros((3, 3))) == ([], [])


def test_seven_components_have_seven_colours_and_markers() -> None:
    assert len({colour(k) for k in range(7)}) == len({marker(k) for k in range(7)}) == 7
    assert colour(7) == colour(0)


def test_forty_nine_components_differ_in_colour_or_marker() -> None:
    assert len({(colour(k), marker(k)) for k in range(49)}) == 49
    assert len({(colour(k), str(line_style(k))) for k in range(28)}) == 28


def luminance(hexadecimal: str) -> float:
    """Relative luminance of WCAG 2.1."""
    channels = [int(hexadecimal[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def seen_without_red_cones(hexadecimal: str) -> np.ndarray:
    """Colour as a protanope sees it, by the matrix of Machado, Oliveira and Fernandes (2009), severity 1, table 1."""
    matrix = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    rgb = np.array([int(hexadecimal[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.clip(matrix @ linear, 0.0, 1.0)


def test_colours_differ_for_eyes_without_red_cones() -> None:
    seen = np.array([seen_without_red_cones(colour(k)) for k in range(7)])
    distances = np.linalg.norm(seen[:, None] - seen, axis=2)
    # Okabe and Ito's palette was made for this; the nearest two of it are 0.09 apart in linear light.
    assert distances[np.triu_indices(7, 1)].min() > 0.05
    # All can be read on white: graphics need a contrast of at least 1.9 beside their marker's outline and number.
    assert min(1.05 / (luminance(colour(k)) + 0.05) for k in range(7)) > 1.9
