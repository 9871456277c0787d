"""Parts of the panels that hold mathematics."""

from __future__ import annotations

import numpy as np

from emix.plots.panels import colour, region_levels


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


def test_seven_components_have_seven_colours() -> None:
    assert len({colour(k) for k in range(7)}) == 7
    assert colour(7) == colour(0)
