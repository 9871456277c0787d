"""emix with nothing skipped: the same kernel, but every log-density and every responsibility computed.

What lies between this and the peer ``emix`` is what skipping saves. There is no switch for it, because no user needs
one, so two methods are replaced in this process only: no bounds are carried from one pass to the next, and the kernel
is never told the weights of the pass before, without which it leaves no component out (an infinite margin). What
remains zero is what underflows, more than 708 nats below a row's best, or 87 in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data import Start
from peers import Fit, emix

NAME = "emix (no skipping)"
NOTE = "is emix with its bounds and margins switched off, to show what they save"

versions = emix.versions


def compute_everything() -> None:
    """Switch skipping off in this process."""
    from emix.gaussian.model import GaussianRun
    from emix.gaussian.shortcuts.bounded_passes import BoundedPasses

    one_pass = GaussianRun._pass

    def pass_with_infinite_margins(self: GaussianRun, parameters: Any, before: Any, *others: Any, **named: Any) -> Any:
        return one_pass(self, parameters, None, *others, **named)

    passes: Any = BoundedPasses
    run: Any = GaussianRun
    passes.may_pay = staticmethod(lambda *_: False)
    run._pass = pass_with_infinite_margins


def prepare(X: NDArray[np.floating], start: Start, structure: str, n_threads: int) -> Fit:
    compute_everything()
    return emix.prepare(X, start, structure, n_threads)
