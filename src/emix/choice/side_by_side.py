"""Independent pieces of work, one after another or in threads, with the same results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from emix.parallel.threads import run_in_threads

__all__ = ["Stop", "do_each"]

Stop = NDArray[np.int32] | None
"""A flag: once stop[0] is not 0 the work may end early, with any result. None where no other thread can set it."""

T = TypeVar("T")


def do_each(n: int, work: Callable[[int, Stop], T], keep: Callable[[int, T], None], n_threads: int) -> None:
    """Call ``keep(i, work(i, stop))`` for each i from 0 on, `n_threads` at one time.

    Results do not depend on the number of threads as long as no piece of work reads what another one makes. After an
    error no further piece is begun. The error raised is that of the least i, as if they were done in their order. An
    interrupt ends all; what has been kept by then is whole.
    """
    if n_threads == 1:
        for i in range(n):
            keep(i, work(i, None))
        return
    left = deque(range(n))
    errors: dict[int, Exception] = {}
    context = copy_context()

    def share(thread: int, stop: Stop) -> None:
        assert stop is not None
        while left and not stop[0]:
            try:
                i = left.popleft()
            except IndexError:  # another thread has taken the last one meanwhile
                return
            try:
                found = work(i, stop)
            except Exception as error:  # noqa: BLE001 (raised below)
                errors[i] = error
                left.clear()
                return
            if not stop[0]:
                keep(i, found)

    # Each thread has the context variables of this one, such as NumPy's error state.
    run_in_threads(lambda thread, stop: context.copy().run(share, thread, stop), n_threads)
    if errors:
        raise errors[min(errors)]
