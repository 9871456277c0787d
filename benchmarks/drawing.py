"""How the figures look: colours, numbers on axes, labels beside the lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: Colours that stay apart for colour-blind readers (Okabe and Ito), and markers that do in grey.
STYLES = {
    "emix": ("#D55E00", "*"),
    "emix (no shortcuts)": ("#F0A070", "x"),
    "emix (no skipping)": ("#F0A070", "x"),  # its name in files of earlier measurements
    "oneDAL": ("#0072B2", "D"),
    "scikit-learn": ("#E69F00", "o"),
    "Armadillo": ("#009E73", "^"),
    "pomegranate": ("#CC79A7", "v"),
    "mclust": ("#56B4E9", "P"),
    "NumPy": ("#999999", "s"),
}
_OTHER = ("#333333", "h")

#: For series that are no libraries, in this order.
COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

QUIET, STRONG = "#777777", "#222222"


def style(name: str) -> tuple[str, str]:
    """Colour and marker of a library."""
    return STYLES.get(name, _OTHER)


def figure(
    rows: int = 1, columns: int = 1, width: float = 8.5, height: float = 4.5, **options: Any
) -> tuple[Any, Sequence[Any]]:
    """A figure and its axes, in one flat list."""
    from matplotlib import pyplot as plt

    drawn, axes = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", squeeze=False, **options)
    flat: Sequence[Any] = list(axes.ravel())
    for one in flat:
        one.grid(color="#e4e4e4", lw=0.8)
        one.set_axisbelow(True)
        one.spines[["top", "right"]].set_visible(False)
    return drawn, flat


def plain(value: float, _: object = None) -> str:
    """A number as people write it: 0.05, 3, 200, 10 000, 1 million."""
    if value >= 1e6:
        return f"{value / 1e6:,.10g} million".replace(",", " ")
    return f"{value:,.10g}".replace(",", " ")


def ticks(axis: Any, values: Sequence[float]) -> None:
    """Label an axis, logarithmic or not, at these values and nowhere else."""
    axis.set_ticks(list(values), [plain(value) for value in values])
    axis.set_ticks([], minor=True)


def number_ticks(axis: Any) -> None:
    """Numbers instead of powers of ten on a logarithmic axis; 2 and 5 between them where it is short."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    short = low > 0.0 and math.log10(high / low) < 2.2
    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0) if short else (1.0,)))
    axis.set_major_formatter(plain)
    axis.set_minor_formatter(NullFormatter())


def unit(axes: Any, text: str) -> None:
    """What the vertical axis shows, written above it."""
    axes.set_title(text, loc="left", fontsize=9.5, color=QUIET)


def note(axes: Any, text: str, point: tuple[float, float], offset: tuple[float, float], **options: Any) -> None:
    """Text beside a point, so many points away."""
    axes.annotate(text, point, xytext=offset, textcoords="offset points", **{"fontsize": 8.5, **options})


def label_lines(axes: Any, ends: Mapping[str, tuple[float, float]], colors: Mapping[str, str]) -> None:
    """Write each line's name beside its last point, moved apart where they would overlap."""
    axes.figure.canvas.draw()  # the scales must be settled
    height = 12.0  # points between two labels
    per_point = axes.figure.dpi / 72.0
    placed: list[tuple[float, float]] = []
    for name, point in sorted(ends.items(), key=lambda item: item[1][1]):
        x, y = axes.transData.transform(point) / per_point
        beside = [other + height for near, other in placed if abs(near - x) < 60.0]
        target = max([y, *beside])
        placed.append((x, target))
        axes.annotate(
            name,
            point,
            xytext=(7.0, target - y),
            textcoords="offset points",
            va="center",
            color=colors[name],
            fontsize=9,
            fontweight="bold" if name == "emix" else None,
            annotation_clip=False,
        )


def finish(drawn: Any, path: Path, title: str, below: str) -> None:
    """Write a figure with what it says above and where it comes from below."""
    import textwrap

    from matplotlib import pyplot as plt
    from PIL import Image  # matplotlib needs it, too

    drawn.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=STRONG)
    width = int(drawn.get_figwidth() * 17)
    drawn.supxlabel("\n".join(textwrap.wrap(below, width)), x=0.01, ha="left", fontsize=7.5, color=QUIET)
    drawn.savefig(path, dpi=130)
    plt.close(drawn)
    # A few flat colours need no more than a palette: a third of the bytes, for figures that are kept in git.
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(96)
    small.save(path, optimize=True)
