"""Memory of the machine, for work that takes all rows at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from emix.cli.long_tables import long_table

# Where Linux says how much memory a container may have: a number of bytes, or "max".
_LIMIT_OF_CONTAINER = Path("/sys/fs/cgroup/memory.max")

_FIT_ONE = "fit one mixture (one number for --components, one --covariance, no --criterion), or take a part of the rows"


def memory_bytes() -> float | None:
    """Return how much memory the process may use at most, in bytes; None where the system does not say."""
    try:
        physical = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return None
    try:
        return min(physical, float(_LIMIT_OF_CONTAINER.read_text(encoding="ascii")))
    except (OSError, ValueError):
        return physical


def check_room(source: str, how: dict[str, Any], purpose: str, remedy: str = _FIT_ONE) -> None:
    """Refuse to read a long file whole where its numbers, and a copy of them, would fill the memory.

    `how` says how it is read, as keywords of `long_table`; `purpose` and `remedy` are for the message.

    Raises
    ------
    ValueError
        With what is needed, what there is, and how to do without.
    OSError
        If it cannot be read.
    """
    table = long_table(source, **how, find_row_numbers=False)
    if table is None:
        return
    needed, there = 2.0 * table.n_bytes, memory_bytes()
    if there is not None and needed > there:
        raise ValueError(
            f"{table.source}: {purpose} reads all rows into memory, which takes about {needed / 1e9:.3g} GB, and there "
            f"are {there / 1e9:.3g} GB: {remedy}"
        )
