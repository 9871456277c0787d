"""Threads for a pass over rows: how many, and one task for each.

The calling thread does the first share itself, threads of the pool do the others. A share never waits for another, so
any number of passes may use the pool at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .pool import Share, submit

__all__ = ["plan", "resolve_n_threads", "run_in_threads"]

# Between two looks at pending signals a thread does about this many operations: below a second on any processor.
OPERATIONS_PER_CALL = 2e9

# A second thread pays from about this many operations of a pass on (a dispatch costs some 40 µs).
OPERATIONS_PER_THREAD = 1e6

Task = Callable[[int, NDArray[np.int32] | None], None]
"""(thread, stop): does this thread's share, and soon returns once stop[0] is not 0; None where no other thread is."""


def resolve_n_threads(n_threads: int | None) -> int:
    """How many threads to use: `n_threads` if given, else what this process may use.

    That is the least of its processors (affinity), the quota of its container, and the environment variables
    EMIX_NUM_THREADS and OMP_NUM_THREADS where they are set.
    """
    if n_threads is not None:
        return n_threads
    limits = [_processors(), _container_quota()]
    limits += [_from_environment(name) for name in ("EMIX_NUM_THREADS", "OMP_NUM_THREADS")]
    return max(1, min(limit for limit in limits if limit is not None))


def plan(n_rows: int, operations_per_row: float, unit: int, n_threads: int | None, most: int) -> tuple[int, int]:
    """How many threads do a pass over rows, and how many rows each does in one call of compiled code.

    Parameters
    ----------
    n_rows : int
    operations_per_row : float
    unit : int
        Rows of a call are a multiple of this.
    n_threads : int or None
        As the user gave it. Only None leaves it to the amount of work.
    most : int
        More threads would have no share.

    Returns
    -------
    threads, rows_per_call : int
    """
    if n_threads is None:
        most = min(most, 1 + int(n_rows * operations_per_row / OPERATIONS_PER_THREAD))
    # What the process may use is asked for only where it matters.
    threads = min(most, resolve_n_threads(n_threads)) if most > 1 else 1
    return threads, max(1, int(OPERATIONS_PER_CALL / operations_per_row) // unit) * unit


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _container_quota() -> int | None:
    """Processors that the control group allows, rounded up; None without a limit."""
    try:
        quota, period = _read("/sys/fs/cgroup/cpu.max").split()
    except (OSError, ValueError):
        try:
            quota = _read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
            period = _read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
        except OSError:
            return None
    try:
        allowed = float(quota) / float(period)
    except ValueError:  # "max"
        return None
    return max(1, int(-(-allowed // 1))) if allowed > 0 else None


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:  # pathlib takes longer to import than to do all the rest here
        return file.read()


def _from_environment(name: str) -> int | None:
    # OMP_NUM_THREADS may be a list, one number for each level of nesting.
    first = os.environ.get(name, "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None


def run_in_threads(task: Task, n_threads: int) -> None:
    """Call ``task(thread, stop)`` for each thread, thread 0 in the calling one.

    An exception of any of them, KeyboardInterrupt among them, sets the stop flag, waits for the others and is raised.
    """
    if n_threads == 1:
        task(0, None)
        return
    stop = np.zeros(1, dtype=np.int32)
    shares: list[Share] = []
    try:
        for thread in range(1, n_threads):
            # An interrupt between the two calls leaves a share that nobody waits for: it finds the stop flag set.
            share = Share(task, thread, stop)
            submit(share, n_threads - 1)
            shares.append(share)
        task(0, stop)
        for share in shares:
            share.wait()
    except BaseException:
        stop[0] = 1
        for share in shares:
            share.wait()
        raise
    for share in shares:
        if share.error is not None:
            raise share.error
