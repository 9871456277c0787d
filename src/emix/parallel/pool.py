"""The pool: threads that do shares of a pass, started when they are first needed, and anew in the child of a fork.

concurrent.futures has no place here: a dispatch costs more, importing it takes longer than importing all of emix, and
an interrupt while it starts a thread can leave the process waiting for that thread at its exit. These threads are
daemons: whatever happens to the one who waits for a share, the process can end.

No lock is held while the pool grows, neither here nor in the module threading, whose Thread.start has one: a signal's
handler may fit a mixture too, and would wait for ever for a lock that the call it has interrupted holds.
"""

from __future__ import annotations

import os
import threading
from _thread import start_new_thread
from collections.abc import Callable
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

__all__ = ["Share", "submit"]


class Share:
    """One thread's share of a pass.

    An idle thread takes the next share. The thread that waits for a share does it itself if no other has begun, so no
    share waits for a busy pool, and a share may itself wait for shares.

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
        # Here an error would end a thread of the pool, and the waiting thread would take the share for done. The
        # waiting thread raises it, also what ends a process, such as SystemExit.
        except BaseException as error:  # noqa: BLE001 (raised by the thread that waits)
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
        # Numbers of its threads, and who has started each: the first to set a number.
        self._starters: dict[int, object] = {}

    def submit(self, share: Share, n_threads: int) -> None:
        if len(self._starters) < n_threads:
            self._grow(min(n_threads, os.cpu_count() or 1))
        if self._starters:  # else nobody would ever take it away
            self._shares.put(share)

    def _grow(self, n_threads: int) -> None:
        """Start the threads up to so many that nobody else has started or is starting; wait for no one."""
        me = object()
        for number in range(n_threads):
            if number in self._starters:
                continue
            try:
                if self._starters.setdefault(number, me) is me:
                    start_new_thread(self._work, (number,))
            except BaseException as error:
                # After an interrupt the thread may be there all the same: one more than asked for does no harm, one
                # that is counted and not there would leave shares in the queue.
                if self._starters.get(number) is me:
                    del self._starters[number]
                if isinstance(error, RuntimeError):  # no further thread: whoever waits for a share does it
                    return
                raise

    def _work(self, number: int) -> None:
        # Known by its name to debuggers. It may have to wait for a lock here, and nobody waits for it.
        threading.current_thread().name = f"emix-{number}"
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
