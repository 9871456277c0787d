"""Threads for a pass over rows: their number, and one task for each.

The calling thread does the first share, threads of the pool do the others. Then the caller does the shares that no
thread has begun. So any number of passes may use the pool at once, and a share may itself be a pass of several threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from emix.parallel.pool import Share, submit

__all__ = [
    "container_quota",
    "part_of_thread",
    "plan",
    "plan_parts",
    "plan_runs",
    "resolve_n_threads",
    "run_in_threads",
]

# A thread does about this many operations between two looks at pending signals: below a second on any processor.
OPERATIONS_PER_CALL = 2e9

# A second thread pays from about this many operations of a pass on, 70 µs of one thread with AVX-512. A dispatch costs
# some 40 µs (measured: two threads made fits with passes of 2.6e6 operations 1.17 times slower, did not change those
# of 6e6, and sped up those of 3e7).
OPERATIONS_PER_THREAD = 4e6

# For work between passes, such as factorizing matrices: a thread pays from this many operations on (100 to 200 µs, as
# such loops are shorter than those of a pass).
OPERATIONS_PER_PART = 2e6

# Runs of many passes go side by side if a pass takes so many operations. With shorter passes, threads wait for Python's
# lock more than they compute (measured, 24 runs in 2 threads against one: 1 000 × 4, K 3, 5e5 operations, 0.95 times as
# fast; 2 000 × 4, 1e6, as fast; 2 000 × 8, K 4, 2.6e6, 1.3; 5 000 × 8, 6e6, 1.7; 20 000 × 8, 3e7, 1.8, where threads
# that share each pass give 1.2). Threads share longer passes, so that a fit takes the memory of one run.
LEAST_OPERATIONS_OF_RUNS, MOST_OPERATIONS_OF_RUNS = 2e6, 1e8

Task = Callable[[int, NDArray[np.int32] | None], None]
"""(thread, stop): does this thread's share, and returns soon after stop[0] is not 0. A lone thread gets stop=None."""


def resolve_n_threads(n_threads: int | None) -> int:
    """Return the number of threads to use: `n_threads` if given, else the number that this process may use.

    That number is the least of its processors (affinity), the quota of its container, and the environment variables
    EMIX_NUM_THREADS and OMP_NUM_THREADS if they are set.

    Raises
    ------
    ValueError
        If `n_threads` or EMIX_NUM_THREADS is something else than a positive number.
    """
    if n_threads is not None:
        if not isinstance(n_threads, (int, np.integer)) or n_threads < 1:
            raise ValueError(f"n_threads is {n_threads!r}, expected None or an int of 1 or more.")
        return n_threads
    limits = [_processors(), container_quota()]
    limits += [_of_emix(), _of_openmp()]
    return max(1, min(limit for limit in limits if limit is not None))


def plan(n_rows: int, operations_per_row: float, unit: int, n_threads: int | None, most: int) -> tuple[int, int]:
    """Return the number of threads for a pass over rows, and the number of rows in one call of compiled code.

    Parameters
    ----------
    n_rows : int
    operations_per_row : float
    unit : int
        Rows of a call are a multiple of this.
    n_threads : int or None
        As the user gave it. With None, the amount of work decides.
    most : int
        Largest number of threads: more would have no share.

    Returns
    -------
    threads, rows_per_call : int
    """
    if n_threads is None:
        most = min(most, 1 + int(n_rows * operations_per_row / OPERATIONS_PER_THREAD))
    # The number that the process may use is looked up only if it matters.
    threads = min(most, resolve_n_threads(n_threads)) if most > 1 else 1
    return threads, max(1, int(OPERATIONS_PER_CALL / operations_per_row) // unit) * unit


def plan_parts(n_parts: int, operations: float, n_threads: int | None) -> int:
    """Return the number of threads for `n_parts` parts of so many operations each; 1 if the work is little.

    The work is one call between two passes. Unlike in `plan`, a given `n_threads` can only lower the number.
    """
    most = min(n_parts, int(n_parts * operations / OPERATIONS_PER_PART))
    return min(most, resolve_n_threads(n_threads)) if most > 1 else 1


def part_of_thread(thread: int, n_threads: int, n: int) -> tuple[int, int]:
    """Return the range [first, last) of those of n things that belong to a thread."""
    return thread * n // n_threads, (thread + 1) * n // n_threads


def plan_runs(n_runs: int, operations: float, n_threads: int | None, least: float | None = None) -> int:
    """Return the number of runs that go side by side, each in one thread.

    Parameters
    ----------
    n_runs : int
    operations : float
        Number of operations in one pass of a run.
    n_threads : int or None
        As the user gave it.
    least : float, optional
        Operations of a pass from which on runs go side by side; by default LEAST_OPERATIONS_OF_RUNS.
    """
    if (
        n_runs == 1
        or not (LEAST_OPERATIONS_OF_RUNS if least is None else least) <= operations <= MOST_OPERATIONS_OF_RUNS
    ):
        return 1
    threads = resolve_n_threads(n_threads)
    # With few runs, threads would be idle that could share each pass.
    return min(n_runs, threads) if n_runs >= min(threads, 1 + int(operations / OPERATIONS_PER_THREAD)) else 1


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def container_quota(folder: str = "/sys/fs/cgroup") -> int | None:
    """Return the number of processors that the control group allows, rounded up; None without a limit.

    `folder` has the files of the control group; each folder is read once.
    """
    try:
        quota, period = _read(f"{folder}/cpu.max").split()
    except (OSError, ValueError):
        try:
            quota = _read(f"{folder}/cpu/cpu.cfs_quota_us")
            period = _read(f"{folder}/cpu/cpu.cfs_period_us")
        except OSError:
            return None
    try:
        allowed = float(quota) / float(period)
    except ValueError:  # "max"
        return None
    return max(1, int(-(-allowed // 1))) if allowed > 0 else None


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:  # importing pathlib takes longer than all the rest here
        return file.read()


def _of_emix() -> int | None:
    given = os.environ.get("EMIX_NUM_THREADS", "").strip()
    if not given:
        return None
    if not given.isdecimal() or int(given) == 0:
        raise ValueError(f"EMIX_NUM_THREADS is {given!r} in the environment, expected a number of threads, 1 or more.")
    return int(given)


def _of_openmp() -> int | None:
    # It may be a list, one number for each level of nesting. Reporting a wrong value is the task of OpenMP.
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None


def run_in_threads(task: Task, n_threads: int) -> None:
    """Call ``task(thread, stop)`` for each thread; thread 0 is the calling thread.

    An exception in any of them, also KeyboardInterrupt, sets the stop flag. It is raised once the others have ended.
    """
    if n_threads == 1:
        task(0, None)
        return
    stop = np.zeros(1, dtype=np.int32)
    shares: list[Share] = []
    try:
        for thread in range(1, n_threads):
            # An interrupt between submit and append leaves a share that nobody waits for: it finds the stop flag set.
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
