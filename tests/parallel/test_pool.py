"""The pool of threads and the shares that it does."""

from __future__ import annotations

import ast
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest

from emix.parallel import pool
from emix.parallel.pool import Share, submit

LONG = 60.0  # seconds that only a defect would last


def going_on() -> Any:
    return np.zeros(1, dtype=np.int32)


@pytest.fixture
def fresh() -> None:
    """A pool without threads, as in the child of a fork."""
    pool.renew()


def run(n_shares: int, n_threads: int) -> list[tuple[int, str]]:
    """Numbers of the shares, and names of the threads of the pool that did them."""
    done: list[tuple[int, str]] = []
    finished = threading.Semaphore(0)

    def task(number: int, stop: Any) -> None:
        done.append((number, threading.current_thread().name))
        finished.release()

    shares = [Share(task, number, going_on()) for number in range(n_shares)]
    for share in shares:
        submit(share, n_threads)
    for _ in shares:
        assert finished.acquire(timeout=LONG)  # waiting for the share itself might do it here
    for share in shares:
        share.wait()
        assert share.error is None
    return sorted(done)


def emix_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("emix-")}


@pytest.mark.usefixtures("fresh")
def test_threads_are_started_when_they_are_needed() -> None:
    before = emix_threads()
    assert [number for number, _ in run(5, 1)] == [0, 1, 2, 3, 4]
    first = emix_threads() - before
    assert len(first) == 1
    assert all(thread.daemon for thread in first)  # they never keep the process from ending
    run(5, 1)
    assert emix_threads() - before == first
    # Never more than there are processors, whatever is asked for.
    run(3, 10_000)
    deadline = time.monotonic() + LONG
    while len(emix_threads() - before) < (os.cpu_count() or 1) and time.monotonic() < deadline:
        time.sleep(0.01)  # one that has had nothing to do may still be without its name
    assert len(emix_threads() - before) == (os.cpu_count() or 1)


@pytest.mark.usefixtures("fresh")
def test_shares_are_done_by_threads_of_the_pool() -> None:
    assert {name.split("-")[0] for _, name in run(20, 2)} == {"emix"}


def test_error_is_kept_for_the_one_who_waits_and_sets_the_stop_flag() -> None:
    def task(thread: int, stop: Any) -> None:
        raise SystemExit(f"share {thread}")

    share = Share(task, 4, stop := going_on())
    share.do()
    share.wait()
    assert isinstance(share.error, SystemExit) and share.error.args == ("share 4",)
    assert stop[0] == 1


def test_thread_lives_on_after_an_error() -> None:
    def task(thread: int, stop: Any) -> None:
        begun.set()
        raise SystemExit

    begun = threading.Event()
    submit(Share(task, 1, going_on()), 1)
    assert begun.wait(LONG)
    assert run(3, 1)


@pytest.mark.usefixtures("fresh")
def test_share_is_done_once_by_whoever_comes_first() -> None:
    names: list[str] = []
    share = Share(lambda thread, stop: names.append(threading.current_thread().name), 1, going_on())
    share.wait()  # no thread of the pool knows of it
    share.do()
    assert names == [threading.current_thread().name]
    busy, free = threading.Event(), threading.Event()

    def stay(thread: int, stop: Any) -> None:
        busy.set()
        free.wait(LONG)

    submit(Share(stay, 1, going_on()), 1)
    assert busy.wait(LONG)
    share = Share(lambda thread, stop: names.append(threading.current_thread().name), 1, going_on())
    submit(share, 1)
    share.wait()  # the pool's one thread has other things to do
    free.set()
    assert names == [threading.current_thread().name] * 2


def test_error_of_a_share_that_is_done_by_the_one_who_waits_is_raised_at_once() -> None:
    def task(thread: int, stop: Any) -> None:
        raise KeyboardInterrupt

    share = Share(task, 1, stop := going_on())
    with pytest.raises(KeyboardInterrupt):
        share.wait()
    stop[0] = 1  # as the caller of a pass does
    share.wait()


@pytest.mark.parametrize("first", ["do", "wait"])
def test_share_that_is_begun_after_the_pass_has_stopped_does_nothing(first: str) -> None:
    share = Share(lambda thread, stop: pytest.fail("it was called"), 1, np.ones(1, dtype=np.int32))
    getattr(share, first)()
    share.wait()
    assert share.error is None


def test_pool_is_made_anew_in_the_child_of_a_fork() -> None:
    run(2, 2)
    parents = emix_threads()
    pool.renew()
    assert [number for number, _ in run(3, 2)] == [0, 1, 2]
    # Those of the parent are not there in a child: the shares were done by others.
    assert emix_threads() - parents


def test_idle_threads_keep_nothing_alive() -> None:
    class Rows:
        pass

    rows = Rows()
    gone = weakref.ref(rows)
    done = threading.Event()
    share: Any = Share(lambda thread, stop, rows=rows: done.set(), 1, going_on())
    submit(share, 1)
    assert done.wait(LONG)
    del share, rows
    run(4 * (os.cpu_count() or 1), 1)  # until the thread that did it has let go of it
    gc.collect()
    assert gone() is None


def test_a_share_that_waits_in_the_queue_keeps_nothing_alive_once_its_caller_has_done_it() -> None:
    class Rows:
        pass

    rows = Rows()
    alive = weakref.ref(rows)
    # No thread of a pool takes it, as when all are busy.
    share = Share(lambda thread, stop, rows=rows: None, 1, going_on())  # type: ignore[misc]
    del rows
    share.wait()
    assert alive() is None
    share.wait()  # once more, as after an interrupt


@pytest.mark.usefixtures("fresh")
def test_shares_are_not_kept_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(function: Any, arguments: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(pool, "start_new_thread", refuse)
    share = Share(lambda thread, stop: done.append(thread), 1, going_on())
    done: list[int] = []
    submit(share, 1)
    share.wait()
    assert done == [1]
    gone = weakref.ref(share)
    del share
    gc.collect()
    assert gone() is None


def test_an_interrupt_just_when_a_share_is_done_leaves_nobody_waiting_for_ever() -> None:
    begun, end = threading.Event(), threading.Event()

    def task(thread: int, stop: np.ndarray) -> None:
        begun.set()
        end.wait(LONG)

    share: Any = Share(task, 1, going_on())

    class Interrupted:
        """A lock whose acquisition succeeds, and is interrupted before anybody knows."""

        def acquire(self, timeout: float) -> bool:
            assert lock.acquire(timeout=LONG)
            raise KeyboardInterrupt

        def release(self) -> None:
            lock.release()

    lock = share.done
    share.done = Interrupted()
    submit(share, 1)
    assert begun.wait(LONG)
    end.set()
    with pytest.raises(KeyboardInterrupt):
        share.wait()
    waiting = threading.Thread(target=share.wait, daemon=True)
    waiting.start()
    waiting.join(LONG)
    assert not waiting.is_alive()


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("is_started", [False, True])
def test_an_interrupt_while_a_thread_is_started_leaves_a_pool_that_works(
    is_started: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = pool.start_new_thread

    def interrupted(function: Any, arguments: Any) -> None:
        if is_started:
            start(function, arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "start_new_thread", interrupted)
    share = Share(lambda thread, stop: None, 1, going_on())
    with pytest.raises(KeyboardInterrupt):
        submit(share, 1)
    monkeypatch.setattr(pool, "start_new_thread", start)
    assert [number for number, _ in run(3, 1)] == [0, 1, 2]


# A handler may run between any two operations of the thread that it interrupts. Here it does so at each of them in
# turn: a trace function is called there, and a handler of Python runs as soon as its signal is raised.
INTERRUPTED = """
import os, signal, sys, threading, warnings
import numpy as np
import emix
from emix.parallel import pool

os.cpu_count = lambda: 3
X = np.random.default_rng(0).normal(size=(1200, 2))
start = emix.GaussianParameters.from_covariances("spherical", [1.0], [[0.0, 0.0]], [1.0])

def fit(n_threads):
    model = emix.GaussianModel(1, 2, "spherical", n_threads=n_threads)
    return emix.fit_em(model, X, start, tol=1e-9, max_iter=9).parameters.packed.tobytes()

def start_a_thread():
    threading.Thread(target=int, daemon=True).start()

def interrupted_at(place, call):
    "Call it, with a handler's fit at the operation of this number; is there such an operation?"
    global found, count
    found, count = None, 0
    pool.renew()

    def trace(frame, event, argument):
        global count
        frame.f_trace_opcodes = True
        count += event == "opcode" and frame.f_globals["__name__"] in ("emix.parallel.pool", "threading")
        if count == place and found is None:
            signal.raise_signal(signal.SIGINT)
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
    return found

def handler(*_):
    global found
    found = ""
    found = fit(2)

signal.signal(signal.SIGINT, handler)
expected, numbers = fit(1), []
for call in (lambda: fit(3), start_a_thread):
    place = 1
    while (bits := interrupted_at(place, call)) is not None:
        assert bits == expected
        place += 1
    numbers.append(place - 1)
print(numbers)
"""


def test_a_fit_in_a_signal_handler_ends_wherever_the_signal_comes() -> None:
    command = [sys.executable, "-c", INTERRUPTED]
    found = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LONG)
    assert not found.stderr
    in_the_pool, in_threading = ast.literal_eval(found.stdout)
    # As many operations as there are: of a fit's shares, and of what starts a thread of the user's.
    assert in_the_pool > 100
    assert in_threading > 100
