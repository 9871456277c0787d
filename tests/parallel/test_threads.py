"""Threads of a pass: how many, one task for each, and what becomes of errors."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emix.parallel import threads
from emix.parallel.threads import part_of_thread, plan, plan_parts, plan_runs, resolve_n_threads, run_in_threads

LONG = 60.0  # seconds that only a defect would last


@pytest.fixture
def processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight processors, no quota, nothing in the environment."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "container_quota", lambda: None)
    monkeypatch.delenv("EMIX_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


# How many


@pytest.mark.usefixtures("processors")
def test_number_that_is_given_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMIX_NUM_THREADS", "1")
    assert resolve_n_threads(5) == 5
    assert resolve_n_threads(50) == 50


@pytest.mark.usefixtures("processors")
def test_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_n_threads(None) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 6})
    assert resolve_n_threads(None) == 3


@pytest.mark.usefixtures("processors")
def test_count_of_processors_where_there_is_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert resolve_n_threads(None) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert resolve_n_threads(None) == 1


@pytest.mark.usefixtures("processors")
@pytest.mark.parametrize(
    ("emix", "omp", "expected"),
    [
        ("3", None, 3),
        (None, "2", 2),
        ("3", "2", 2),
        ("2", "5", 2),
        ("100", None, 8),
        (None, "4,2", 4),
        ("", "", 8),
        (" ", "0", 8),
        (None, "many", 8),
    ],
)
def test_environment(emix: str | None, omp: str | None, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("EMIX_NUM_THREADS", emix), ("OMP_NUM_THREADS", omp)):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert resolve_n_threads(None) == expected


@pytest.mark.parametrize("given", ["0", "-1", "many", "4,2"])
def test_number_of_threads_that_is_none(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMIX_NUM_THREADS", given)
    with pytest.raises(ValueError, match=f"EMIX_NUM_THREADS is '{given}' in the environment, expected a number"):
        resolve_n_threads(None)
    assert resolve_n_threads(3) == 3


@pytest.mark.usefixtures("processors")
def test_quota_of_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "container_quota", lambda: 2)
    assert resolve_n_threads(None) == 2


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
    ids=["v2", "v2 below one", "v2 without", "v1", "v1 without", "no control groups"],
)
def test_quota_is_read_from_the_control_group(files: dict[str, str], expected: int | None, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert threads.container_quota(str(tmp_path)) == expected


def test_plan_of_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "resolve_n_threads", lambda n_threads: n_threads or 8)
    # 4·10⁶ operations for each thread, unless the user says how many.
    assert [plan(n, 400.0, 512, None, 99)[0] for n in (1, 9_999, 10_000, 69_999, 70_000, 10**9)] == [1, 1, 2, 7, 8, 8]
    assert [plan(n, 100.0, 512, 3, 99)[0] for n in (1, 10**9)] == [3, 3]
    # No more than there are shares, and one where there is nothing to do.
    assert [plan(10**9, 100.0, 512, given, 2)[0] for given in (None, 1, 3)] == [2, 1, 2]
    assert plan(0, 100.0, 512, 3, 0)[0] == 1
    # 2·10⁹ operations of a call, in whole units of rows, at least one.
    assert [plan(1, work, 512, None, 1)[1] for work in (100.0, 1e6, 1e7)] == [19_999_744, 1536, 512]


def test_plan_of_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "resolve_n_threads", lambda n_threads: n_threads or 8)
    # 2·10⁶ operations for each thread, whatever the user says.
    assert [plan_parts(32, operations, None) for operations in (1e4, 1.24e5, 1.26e5, 1e6)] == [1, 1, 2, 8]
    assert [plan_parts(32, 1e6, n_threads) for n_threads in (1, 3, 50)] == [1, 3, 16]
    assert plan_parts(3, 1e9, None) == 3


@pytest.mark.parametrize(("n", "n_threads"), [(10, 3), (2, 5), (7, 1)])
def test_parts_of_threads_follow_each_other(n: int, n_threads: int) -> None:
    parts = [part_of_thread(thread, n_threads, n) for thread in range(n_threads)]
    assert [parts[0][0], *(last for _, last in parts)] == [0, *(first for first, _ in parts[1:]), n]
    assert max(last - first for first, last in parts) <= -(-n // n_threads)


def test_plan_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "resolve_n_threads", lambda n_threads: n_threads or 8)
    assert [plan_runs(20, operations, None) for operations in (1e6, 3e6, 9e7, 2e8)] == [1, 8, 8, 1]
    # Two of eight threads would do runs where all eight could share each pass.
    assert [plan_runs(n_runs, 9e7, None) for n_runs in (2, 7, 8)] == [1, 1, 8]
    assert [plan_runs(20, 5e6, n_threads) for n_threads in (1, 3, 50)] == [1, 3, 20]
    assert [plan_runs(n_runs, 5e6, None) for n_runs in (1, 2, 9)] == [1, 2, 8]


# One task for each


@pytest.mark.parametrize("n_threads", [1, 2, 3, 4 * (os.cpu_count() or 1) + 1])
def test_each_share_once_and_the_first_is_the_callers(n_threads: int) -> None:
    calls: list[tuple[int, int]] = []
    run_in_threads(lambda thread, stop: calls.append((thread, threading.get_ident())), n_threads)
    assert sorted(thread for thread, _ in calls) == list(range(n_threads))
    assert min(calls) == (0, threading.get_ident())


def test_another_thread_does_a_share_while_the_caller_does_its_own() -> None:
    met, idents = threading.Barrier(2), set()

    def task(thread: int, stop: Any) -> None:
        met.wait(LONG)
        idents.add(threading.get_ident())

    run_in_threads(task, 2)
    assert len(idents) == 2


def test_shares_that_ask_for_threads_themselves_end() -> None:
    # More of them than the pool has threads, so that for some no other thread is left.
    counts = np.zeros((9, 9, 3), dtype=int)

    def outer(i: int, stop: Any) -> None:
        def middle(j: int, stop: Any) -> None:
            def inner(k: int, stop: Any) -> None:
                counts[i, j, k] += 1

            run_in_threads(inner, 3)

        run_in_threads(middle, 9)

    with ThreadPoolExecutor(1) as caller:
        caller.submit(run_in_threads, outer, 9).result(timeout=LONG)
    assert (counts == 1).all()


def test_calls_from_many_threads_at_once_do_not_wait_for_each_other_for_ever() -> None:
    # More passes, of more threads each, than the pool has workers.
    counts = np.zeros((8, 9), dtype=int)

    def one_pass(number: int) -> None:
        def task(thread: int, stop: Any) -> None:
            counts[number, thread] += 1

        for _ in range(20):
            run_in_threads(task, 9)

    with ThreadPoolExecutor(8) as callers:
        for future in [callers.submit(one_pass, number) for number in range(8)]:
            future.result(timeout=LONG)
    assert (counts == 20).all()


# Errors


def until_stopped(stop: Any) -> bool:
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        if stop[0]:
            return True
        time.sleep(0.001)
    return False


@pytest.mark.parametrize("n_threads", [2, 3])
@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize("error", [ValueError, MemoryError, KeyboardInterrupt])
def test_error_of_any_thread_stops_the_others_and_is_raised(
    error: type[BaseException], failing: int, n_threads: int
) -> None:
    begun: list[int] = []
    ended: list[tuple[int, bool]] = []

    def task(thread: int, stop: Any) -> None:
        begun.append(thread)
        if thread == failing:
            raise error("of one thread")
        ended.append((thread, until_stopped(stop)))

    with pytest.raises(error, match="of one thread"):
        run_in_threads(task, n_threads)
    # All that began were told to stop and have ended: what they wrote to may be given away.
    assert sorted(ended) == [(thread, True) for thread in sorted(begun) if thread != failing]
    assert 0 in begun


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system sends no signals to threads")
def test_interrupt_while_waiting_for_the_others_stops_them() -> None:
    ended: list[bool] = []
    begun = threading.Event()

    def interrupt_once(*_: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    def task(thread: int, stop: Any) -> None:
        if thread == 0:
            assert begun.wait(LONG)  # else the caller would do the other share itself
        else:
            begun.set()
            main, end = threading.main_thread().ident, time.monotonic() + LONG
            assert main is not None
            while not stop[0] and time.monotonic() < end:
                # Again and again: one in the moment before the other thread waits, Python sees only after the wait.
                signal.pthread_kill(main, signal.SIGINT)
                time.sleep(0.01)
            ended.append(stop[0] == 1)

    before = signal.signal(signal.SIGINT, interrupt_once)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_in_threads(task, 2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended == [True]


def test_pool_serves_again_after_an_error() -> None:
    def task(thread: int, stop: Any) -> None:
        raise RuntimeError(f"thread {thread}")

    for _ in range(3):
        with pytest.raises(RuntimeError, match="thread"):
            run_in_threads(task, 2)
    test_each_share_once_and_the_first_is_the_callers(3)
