"""The shortcuts of a fit, and the files and functions that each is made of."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workers import HERE

ROOT = HERE.parent


@dataclass(frozen=True)
class Shortcut:
    """What a shortcut is made of: files, or functions of files (``path::name``), that only it needs.

    Lines within other functions are not counted.
    """

    about: str
    source: tuple[str, ...]
    tests: tuple[str, ...] = ()


_KERNEL, _GAUSSIAN = "src/emix/kernel", "src/emix/gaussian"

SHORTCUTS = {
    "bounds": Shortcut(
        "log-densities that bounds of the pass before prove negligible are not computed",
        (
            f"{_GAUSSIAN}/shortcuts/bounds.py",
            f"{_KERNEL}/estep/bounds.pxi",
            f"{_KERNEL}/mstep/bounds.pxi",
            f"{_KERNEL}/estep/sizes.pxi::group_rows",
            *(f"{_KERNEL}/estep/accumulator.pxi::accumulate_{name}" for name in ("labelled", "bounded")),
        ),
        (
            "tests/gaussian/shortcuts/bounded.py",
            "tests/gaussian/shortcuts/test_bounds.py",
            "tests/gaussian/shortcuts/test_bounds_policy.py",
            "tests/kernel/test_carried.py",
        ),
    ),
    "screen": Shortcut(
        "a first look in single precision at all log-densities",
        (
            f"{_GAUSSIAN}/shortcuts/screen.py",
            f"{_KERNEL}/estep/screen.pxi",
            f"{_KERNEL}/mstep/screen.pxi",
            *(f"{_KERNEL}/estep/costs.pxi::cost_of_{name}" for name in ("listing", "first_look")),
        ),
        ("tests/kernel/test_screen.py",),
    ),
    "origin": Shortcut(
        "one origin for all components, in a fit (in scoring it stays)",
        (
            f"{_GAUSSIAN}/shortcuts/origin.py",
            f"{_GAUSSIAN}/total_scatter.py",
            *(f"{_KERNEL}/estep/origin.pxi::products_{name}" for name in ("tile", "columns")),
            *(f"{_KERNEL}/estep/origin.pxi::{name}" for name in ("add_products", "statistics_at_origin")),
            f"{_KERNEL}/mstep/origin.pxi::leave_origin",
        ),
        (
            "tests/gaussian/shortcuts/origins.py",
            "tests/gaussian/shortcuts/test_origin.py",
            "tests/gaussian/shortcuts/test_origin_extremes.py",
            "tests/kernel/test_origin_buffers.py",
        ),
    ),
    "packing": Shortcut(
        "rows of a component are packed where few are live",
        (
            f"{_KERNEL}/estep/packing.pxi",
            f"{_KERNEL}/estep/sums.pxi::is_summed_about_origin",
            f"{_KERNEL}/estep/sum_tiles.pxi::scatter_rows",
            *(f"{_KERNEL}/estep/sum_tiles.pxi::scatter_packed{name}" for name in ("", "_panel", "_tile")),
            f"{_KERNEL}/estep/blas_tiles.pxi::scatter_rows",
        ),
        ("tests/kernel/test_packing.py", "tests/kernel/test_kernel.py::test_few_live_rows_are_gathered"),
    ),
    "larger blocks": Shortcut(
        "blocks and super-blocks of 1024 rows from 24 to 160 features",
        (f"{_KERNEL}/estep/sizes.pxi::super_block_rows",),
        ("tests/kernel/test_super_blocks.py::test_long_super_blocks",),
    ),
}

#: Shortcuts that were measured and taken out, with what they saved at most, by level.
TAKEN_OUT = {
    "light": (
        "rows of small responsibility were added to a scatter in single precision",
        {"v4": "7 % (50 000 × 50, K 20, full)", "v3": "4 % (50 000 × 32, K 16, full)"},
        "b1fc0ec",
    ),
}


def n_lines(part: str) -> int:
    """Lines that are not empty of a file, or of one function or class of it (``path::name``)."""
    path, _, name = part.partition("::")
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    if name:
        head = re.compile(rf"(\s*)(?:class|def|cp?def)\b[\w\s*]*\b{name}\b\s*[(:]")
        first = next(i for i, line in enumerate(lines) if head.match(line))
        indent = len(lines[first]) - len(lines[first].lstrip())
        inner = [
            i
            for i, line in enumerate(lines)
            # A closing bracket of the arguments stands at the same indentation.
            if i > first and line.strip() and len(line) - len(line.lstrip()) <= indent and line.strip()[0] != ")"
        ]
        lines = lines[first : min(inner, default=len(lines))]
    return sum(1 for line in lines if line.strip())
