"""Shortcuts of a pass: work that need not be done. All have one shape, and each can be switched off.

========= ============================== ========================== ===============================
shortcut  what it leaves out             who decides                kernel: loop; preparation
========= ============================== ========================== ===============================
origin    centring for each component    `origin.Origin`            estep/origin.pxi; mstep/origin.pxi
bounds    components that cannot count   `bounds.Bounds`            estep/bounds.pxi; mstep/bounds.pxi
          in a group of rows
screen    log-densities of rows in which `screen.Screen`            estep/screen.pxi; mstep/screen.pxi
          a component cannot count
packing   rows without responsibility    the kernel, block by block estep/packing.pxi; none
========= ============================== ========================== ===============================

A shortcut needs all rows in memory and on this machine. Packing is a property of the sums (`LocalSums`) and has no
object here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from emix.exceptions import shown
from emix.gaussian.sums import PassOutcome, PassRequest
from emix.rows.source import RowSource

if TYPE_CHECKING:
    from emix.gaussian.model import GaussianModel

__all__ = ["AUTO", "LEAST_WORK", "SHORTCUTS", "STATELESS", "Shortcut", "shortcut_names"]

AUTO = "auto"
"""All shortcuts, each where it pays."""

LEAST_WORK = 50_000
"""Rows × components × features below which no shortcut pays, and a run does not ask (measured for an origin: at 20 000,
with 15 features of all components, both ways are alike; the others ask for more)."""

SHORTCUTS = ("origin", "bounds", "screen", "packing")
"""The names, in the order in which a pass asks them; packing is not asked."""

STATELESS = ("screen", "packing")
"""Those whose sums do not depend on what they learnt in passes before: a fit may lose it and has the same bits."""


class Shortcut(Protocol):
    """Policy of one shortcut for one run."""

    name: ClassVar[str]
    room: NDArray[np.float32] | None
    """Memory that the kernel needs for it, None if none."""

    @classmethod
    def for_run(cls, source: RowSource, model: GaussianModel) -> Self | None:
        """Return the shortcut of a run over rows in memory, None where it could never pay."""

    def before(self, request: PassRequest) -> PassRequest:
        """Return the request with this shortcut's part added, or as it is."""

    def holds(self, request: PassRequest, outcome: PassOutcome) -> bool:
        """True if the sums are exact enough. Where they are not, the pass is taken again without this shortcut."""

    def after(self, request: PassRequest, outcome: PassOutcome) -> None:
        """Learn from the pass that counts: called once for each E-step, however many passes it took."""


def shortcut_names(shortcuts: Any) -> tuple[str, ...]:
    """Return the names that an argument `shortcuts` stands for.

    Parameters
    ----------
    shortcuts : "auto" or iterable of str

    Raises
    ------
    TypeError, ValueError
        If it is neither, or there is no shortcut of a name.
    """
    if isinstance(shortcuts, str) and shortcuts == AUTO:
        return SHORTCUTS
    if isinstance(shortcuts, (str, bytes, Mapping)) or not isinstance(shortcuts, Iterable):
        raise TypeError(
            f"shortcuts is {shown(shortcuts)}, expected 'auto', or a list of names among {SHORTCUTS}: () switches all "
            "off, ['bounds'] allows one."
        )
    found = tuple(shortcuts)
    for name in found:
        if name not in SHORTCUTS:
            raise ValueError(f"shortcuts has {shown(name)}, expected names among {SHORTCUTS}.")
    return found
