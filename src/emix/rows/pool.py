"""The pool: threads that do shares of a pass, started when they are first needed, and anew in the child of a fork.

concurrent.futures has no place here: a dispatch costs more, importing it takes longer than importing all of emix, and
an interrupt while it starts a thread can leave the process waiting for that thread at its exit. These threads are
daemons: whatever happens to the one who waits for a share, the process can end.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

__all__ = ["Share", "submit"]


class Share:
    """One thread's share of a pass.

    Whoever comes to it first does it: a thread of the pool, or the one who waits for it, who would be idle else. So
    none waits for a share that nobody does, however busy the pool is, and whoever waits may itself be doing a share.

    Attributes
    ----------
    error : BaseException or None
        What it raised in a thread of the pool. The stop flag is set then.
    """

    def __init__(self, task: Callable[[int, NDArray[np.int32]], None], thread: int, stop: NDArray[np.int32]) -> None:
        self._task, self._thread, self._stop = task, thread, stop
        # By whom: the first to set it does it. An interrupt between asking and taking note does no harm, as a second
        # question has the same answer.
        self._taken: dict[str, str] = {}
        self._finished = False
        self._done = threading.Lock()  # held until it is finished
        self._done.acquire()
        self.error: BaseException | None = None

    def do(self) -> None:
        """Do it in a thread of the pool, unless it is taken, or the pass has stopped meanwhile."""
        if self._taken.setdefault("by", "pool") != "pool":
            return
        try:
            if not self._stop[0]:
                self._task(self._thread, self._stop)
        # Blind, as nothing may be lost: here it would end a thread of the pool, and the one who waits would take the
        # share for done. There it is raised, also what ends a process, such as SystemExit.
        except BaseException as error:  # noqa: BLE001
            self.error = error
            self._stop[0] = 1
        finally:
            self._finished = True
            self._done.release()

    def wait(self) -> None:
        """Return once it is done: do it here, unless it is taken, or the pass has stopped meanwhile."""
        if self._taken.setdefault("by", "caller") == "caller":
            if not self._stop[0]:
                self._task(self._thread, self._stop)
            return
        # By turns: Python may look at a signal that came just before a wait only after it. Not for the lock itself: an
        # interrupt may come when it has just been acquired, and then the share is waited for once more.
        while not self._finished:
            self._done.acquire(timeout=0.1)


class _Pool:
    def __init__(self) -> None:
        self._shares: SimpleQueue[Share] = SimpleQueue()
        self._n_threads = 0
        self._growing = threading.Lock()

    def submit(self, share: Share, n_threads: int) -> None:
        if self._n_threads < n_threads:
            self._grow(min(n_threads, os.cpu_count() or 1))
        if self._n_threads:  # else nobody would ever take it away
            self._shares.put(share)

    def _grow(self, n_threads: int) -> None:
        with self._growing:
            while self._n_threads < n_threads:
                try:
                    threading.Thread(target=self._work, name=f"emix-{self._n_threads}", daemon=True).start()
                except RuntimeError:  # no further thread: whoever waits for a share that none takes does it
                    return
                self._n_threads += 1

    def _work(self) -> None:
        while True:
            self._shares.get().do()


_pool = _Pool()


def submit(share: Share, n_threads: int) -> None:
    """Have a thread of the pool do a share; `n_threads` is how many the pass would have at work."""
    _pool.submit(share, n_threads)


def _renew() -> None:
    # A fork copies none of its parent's threads, but their locks, held or not.
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
