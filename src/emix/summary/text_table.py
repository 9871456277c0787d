"""Numbers as aligned text columns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_GAP = "  "


def format_numbers(values: Iterable[float], *, resolution: float | None = None, digits: int = 5) -> list[str]:
    """Format the numbers of one column alike, so that their decimal points align.

    Parameters
    ----------
    values : iterable of float
    resolution : float, optional
        The size of a difference that matters (a standard deviation beside means): decimals go
        three digits below it, however large the values are. By default decimals follow the
        largest value.
    digits : int, default=5
        Significant digits of the largest value.

    Examples
    --------
    >>> format_numbers([2.036388, 54.4785])
    [' 2.036', '54.478']
    >>> format_numbers([1e8 + 0.25, 1e8 + 1.5], resolution=1.0)
    ['100000000.250', '100000001.500']
    """
    column = [float(value) for value in values]
    sizes = [abs(value) for value in column if value and math.isfinite(value)]
    largest = max(sizes, default=1.0)
    smallest = min(sizes, default=1.0)
    if resolution is not None and resolution > 0.0 and math.isfinite(resolution):
        decimals = 3 - math.floor(math.log10(resolution))
    else:
        decimals = digits - 1 - math.floor(math.log10(largest))
        # Decimals alone cannot show 1e-9 beside 1: the column gets exponents.
        if smallest < largest * 10.0 ** (1 - digits):
            decimals = 99
    # A double has no more than 15 digits, and nobody would read more.
    if decimals > 9 or max(decimals, 0) + math.log10(largest) > 15 or (decimals < 0 and largest >= 1e9):
        text = [f"{value:.{digits - 1}e}" for value in column]
    else:
        text = [f"{value:.{max(decimals, 0)}f}" for value in column]
    width = max(map(len, text), default=0)
    return [cell.rjust(width) for cell in text]


def format_table(
    header: Sequence[str],
    columns: Sequence[Sequence[str]],
    *,
    indent: int = 2,
    width: int = 100,
) -> list[str]:
    """Return lines of a right-aligned table whose first column, the labels, is left-aligned.

    A table wider than `width` continues below itself, with the labels repeated.

    Examples
    --------
    >>> format_table(["", "mean", "sd"], [["a", "b"], ["1.5", "12.0"], ["1", "2"]])
    ['     mean  sd', '  a   1.5   1', '  b  12.0   2']
    """
    widths = [max(len(name), *map(len, column)) for name, column in zip(header, columns, strict=True)]
    lines: list[str] = []
    first = 1
    while True:
        last = first
        used = indent + widths[0]
        while last < len(columns) and (last == first or used + len(_GAP) + widths[last] <= width):
            used += len(_GAP) + widths[last]
            last += 1
        if lines:
            lines.append("")
        for cells in [header, *zip(*columns, strict=True)]:
            parts = [cells[0].ljust(widths[0]), *(cells[j].rjust(widths[j]) for j in range(first, last))]
            lines.append((" " * indent + _GAP.join(parts)).rstrip())
        if last >= len(columns):
            return lines
        first = last
