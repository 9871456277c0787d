"""Aligned numbers and tables."""

from __future__ import annotations

import math

import pytest

from emix.summary.text_table import format_numbers, format_table


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([2.036388, 54.4781], [" 2.036", "54.478"]),
        ([0.355873, 0.644127], ["0.35587", "0.64413"]),
        ([0.0], ["0.0000"]),
        ([-1.5, 10.25], ["-1.500", "10.250"]),
        ([123456.7], ["123457"]),
        # too far apart for one number of decimals
        ([1e-9, 1.0], ["1.0000e-09", "1.0000e+00"]),
        ([3e20], ["3.0000e+20"]),
    ],
)
def test_numbers_of_a_column_align(values: list[float], text: list[str]) -> None:
    assert format_numbers(values) == text


def test_resolution_decides_the_decimals_of_values_far_from_zero() -> None:
    # means at an offset of 1e8 with a deviation of 1: the digits that matter are after the point
    assert format_numbers([1e8 + 0.125, 1e8 + 2.0], resolution=1.0) == ["100000000.125", "100000002.000"]


def test_numbers_that_are_not_finite_are_written_too() -> None:
    assert [text.strip() for text in format_numbers([math.nan, math.inf, 1.0])] == ["nan", "inf", "1.0000"]


def test_a_wide_table_continues_below_with_its_labels() -> None:
    columns = [["a", "b"], *([f"{j}.25", f"{j}.5"] for j in range(10, 30))]
    lines = format_table(["row", *(f"column{j}" for j in range(20))], columns, width=60)
    assert max(map(len, lines)) <= 60
    parts = "\n".join(lines).split("\n\n")
    assert len(parts) > 1
    for part in parts:
        assert [line.split()[0] for line in part.splitlines()] == ["row", "a", "b"]
    cells = [cell for part in parts for cell in part.splitlines()[1].split()[1:]]
    assert cells == [f"{j}.25" for j in range(10, 30)]


def test_a_column_wider_than_the_page_is_still_written() -> None:
    assert format_table(["", "x" * 30], [["a"], ["1"]], width=10)[1].endswith("1")
