"""Threads for a pass over rows: how many, and one task for each.

The calling thread does the first share itself, threads of the pool do the others, and the caller those that none has
come to by then. So any number of passes may use the pool at once, and a share may itself be a pass of several.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from emix.parallel.pool import Share, submit

__all__ = ["part_of_thread", "plan", "plan_parts", "plan_runs", "resolve_n_threads", "run_in_threads"]

# Between two looks at pending signals a thread does about this many operations: below a second on any processor.
OPERATIONS_PER_CALL = 2e9

# A second thread pays from about this many operations of a pass on, 70 µs of one thread with AVX-512: a dispatch costs
# some 40 µs (measured: two made fits with passes of 2.6e6 1.17 times slower, left those of 6e6, sped up those of 3e7).
OPERATIONS_PER_THREAD = 4e6

# What is done between passes, such as factorizing matrices: a thread pays from so many operations on (100 to 200 µs, as
# such loops are shorter than those of a pass).
OPERATIONS_PER_PART = 2e6

# Runs of many passes each go side by side where a pass takes so many operations. Threads that do shorter ones wait for
# Python's lock more than they compute (measured, 24 runs in 2 threads against one: 1 000 × 4, K 3, 5e5 operations, 0.95
# times as fast; 2 000 × 4, 1e6, as fast; 2 000 × 8, K 4, 2.6e6, 1.3; 5 000 × 8, 6e6, 1.7; 20 000 × 8, 3e7, 1.8, where
# threads that share each pass give 1.2). Longer ones they share, so that a fit takes the memory of one run.
LEAST_OPERATIONS_OF_RUNS, MOST_OPERATIONS_OF_RUNS = 2e6, 1e8

Task = Callable[[int, NDArray[np.int32] | None], None]
"""(thread, stop): does this thread's share, and soon returns once stop[0] is not 0; None where no other thread is."""


def resolve_n_threads(n_threads: int | None) -> int:
    """How many threads to use: `n_threads` if given, else what this process may use.

    That is the least of its processors (affinity), the quota of its container, and the environment variables
    EMIX_NUM_THREADS and OMP_NUM_THREADS where they are set.

    Raises
    ------
    ValueError
        If `n_threads` or EMIX_NUM_THREADS is something else than a positive number.
    """
    if n_threads is not None:
        if not isinstance(n_threads, (int, np.integer)) or n_threads < 1:
            raise ValueError(f"n_threads is {n_threads!r}, expected None or an int of 1 or more.")
        return n_threads
    limits = [_processors(), _container_quota()]
    limits += [_of_emix(), _of_openmp()]
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


def plan_parts(n_parts: int, operations: float, n_threads: int | None) -> int:
    """How many threads do something of so many operations to each of so many parts; one where it is little.

    Unlike passes, whose threads the user may set, it is done in one call between two passes.
    """
    most = min(n_parts, int(n_parts * operations / OPERATIONS_PER_PART))
    return min(most, resolve_n_threads(n_threads)) if most > 1 else 1


def part_of_thread(thread: int, n_threads: int, n: int) -> tuple[int, int]:
    """First and last of n things, the last not included, that are a thread's."""
    return thread * n // n_threads, (thread + 1) * n // n_threads


def plan_runs(n_runs: int, operations: float, n_threads: int | None) -> int:
    """How many runs go side by side, each in one thread.

    Parameters
    ----------
    n_runs : int
    operations : float
        Of one pass of a run.
    n_threads : int or None
        As the user gave it.
    """
    if n_runs == 1 or not LEAST_OPERATIONS_OF_RUNS <= operations <= MOST_OPERATIONS_OF_RUNS:
        return 1
    threads = resolve_n_threads(n_threads)
    # Few runs leave threads idle that could share each pass.
    return min(n_runs, threads) if n_runs >= min(threads, 1 + int(operations / OPERATIONS_PER_THREAD)) else 1


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


def _of_emix() -> int | None:
    given = os.environ.get("EMIX_NUM_THREADS", "").strip()
    if not given:
        return None
    if not given.isdecimal() or int(given) == 0:
        raise ValueError(f"EMIX_NUM_THREADS is {given!r} in the environment, expected a number of threads, 1 or more.")
    return int(given)


def _of_openmp() -> int | None:
    # It may be a list, one number for each level of nesting. What is wrong with it is not for us to say.
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
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
