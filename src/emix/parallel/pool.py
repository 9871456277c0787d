"""The pool: threads that do shares of a pass, started when they are first needed, and anew in the child of a fork.

concurrent.futures is not used: its dispatch costs more, importing it takes longer than importing all of emix, and an
interrupt while it starts a thread can leave the process waiting for that thread at its exit. The threads here are
daemons: the process can end, whatever happens to the thread that waits for a share.

No lock is held while the pool grows, neither one of this module nor that of threading.Thread.start. The reason: a
signal's handler may fit a mixture too, and would wait for ever for a lock that the interrupted call holds.
"""

from __future__ import annotations

import os
import threading
from _thread import start_new_thread
from collections.abc import Callable
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

__all__ = ["Share", "renew", "submit"]


class Share:
    """One thread's share of a pass.

    An idle thread takes the next share. The thread that waits for a share does it itself if no other has begun, so no
    share waits for a busy pool, and a share may itself wait for shares.

    Attributes
    ----------
    done : Lock
        Held until a thread of the pool has finished the share.
    error : BaseException or None
        The error that it raised in a thread of the pool. The stop flag is set then.
    """

    def __init__(self, task: Callable[[int, NDArray[np.int32]], None], thread: int, stop: NDArray[np.int32]) -> None:
        self._task, self._thread, self._stop = task, thread, stop
        # Who has taken the share: the first to set this entry does the share. An interrupt just after the entry is set
        # does no harm, since setting it again gives the same answer.
        self._taken: dict[str, str] = {}
        self._finished = False
        self.done = threading.Lock()
        self.done.acquire()
        self.error: BaseException | None = None

    def do(self) -> None:
        """Do the share in a thread of the pool, unless it is taken or the pass has stopped."""
        if self._taken.setdefault("by", "pool") != "pool":
            return
        try:
            if not self._stop[0]:
                self._task(self._thread, self._stop)
        # An error here would end a thread of the pool, and the waiting thread would take the share for done. So the
        # waiting thread raises the error, even one that ends a process, such as SystemExit.
        except BaseException as error:  # noqa: BLE001 (raised by the thread that waits)
            self.error = error
            self._stop[0] = 1
        finally:
            self._task = _nothing
            self._finished = True
            self.done.release()

    def wait(self) -> None:
        """Return once the share is done. If nobody has taken it and the pass has not stopped, do it here."""
        if self._taken.setdefault("by", "caller") == "caller":
            if not self._stop[0]:
                self._task(self._thread, self._stop)
            # The share may lie in the queue until a thread of the pool is idle. Its task holds rows, which may go.
            self._task = _nothing
            return
        # Wait in short turns: Python may look at a signal that came just before a wait only after it. The loop tests a
        # flag, not the lock: after an interrupt just behind acquire, the share is waited for once more.
        while not self._finished:
            self.done.acquire(timeout=0.1)


def _nothing(thread: int, stop: NDArray[np.int32]) -> None:
    """Take the place of the task of a share that is done."""


class _Pool:
    def __init__(self) -> None:
        self._shares: SimpleQueue[Share] = SimpleQueue()
        # For each thread's number, the call that has started it: the first call to set the number.
        self._starters: dict[int, object] = {}

    def submit(self, share: Share, n_threads: int) -> None:
        if len(self._starters) < n_threads:
            self._grow(min(n_threads, os.cpu_count() or 1))
        if self._starters:  # without threads, nobody would ever take it away
            self._shares.put(share)

    def _grow(self, n_threads: int) -> None:
        """Start those of `n_threads` threads that no other call has started or is starting, without waiting."""
        me = object()
        for number in range(n_threads):
            if number in self._starters:
                continue
            try:
                if self._starters.setdefault(number, me) is me:
                    start_new_thread(self._work, (number,))
            except BaseException as error:
                # After an interrupt the thread may be there all the same. One thread too many does no harm. A thread
                # that is counted and not there would leave shares in the queue.
                if self._starters.get(number) is me:
                    del self._starters[number]
                if isinstance(error, RuntimeError):  # no further thread: the thread that waits for a share does it
                    return
                raise

    def _work(self, number: int) -> None:
        # The name is for debuggers. The thread may have to wait for a lock here, but nobody waits for the thread.
        threading.current_thread().name = f"emix-{number}"
        while True:
            self._shares.get().do()


_pool = _Pool()


def submit(share: Share, n_threads: int) -> None:
    """Give a share to the pool; `n_threads` is the number of pool threads that the pass would use."""
    _pool.submit(share, n_threads)


def renew() -> None:
    """Make a pool without threads in place of the one that there is, as the child of a fork must.

    A fork copies none of its parent's threads, but it copies their locks, held or not.
    """
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=renew)
