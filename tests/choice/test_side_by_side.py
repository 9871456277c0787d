"""Independent pieces of work in threads: results, errors and interrupts as one after another."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from emix.choice.side_by_side import do_each


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_every_piece_is_done_once(n_threads: int) -> None:
    kept: dict[int, int] = {}
    do_each(50, lambda i, stop: i * i, kept.__setitem__, n_threads)
    assert kept == {i: i * i for i in range(50)}


@pytest.mark.parametrize("n_threads", [1, 3])
def test_the_first_error_in_their_order_is_raised(n_threads: int) -> None:
    def work(i: int, stop: Any) -> int:
        if i in (7, 8, 9):
            raise ValueError(f"piece {i}")
        return i

    kept: dict[int, int] = {}
    with pytest.raises(ValueError, match="piece 7"):
        do_each(40, work, kept.__setitem__, n_threads)
    assert set(range(7)) <= set(kept)
    assert not {7, 8, 9} & set(kept)


def test_an_interrupt_stops_the_others_and_keeps_nothing_half_done() -> None:
    caller, kept = threading.current_thread(), dict[int, bool]()
    others_wait = threading.Event()

    def work(i: int, stop: Any) -> bool:
        if threading.current_thread() is caller:
            others_wait.wait(10.0)
            raise KeyboardInterrupt
        others_wait.set()
        while not stop[0]:
            pass
        return False  # as a fit that ended early

    with pytest.raises(KeyboardInterrupt):
        do_each(10, work, kept.__setitem__, 2)
    assert kept == {}


def test_context_of_the_caller() -> None:
    seen: list[str] = []

    def work(i: int, stop: Any) -> None:
        seen.append(np.geterr()["divide"])

    with np.errstate(divide="raise"):
        do_each(8, work, lambda i, found: None, 3)
    assert seen == ["raise"] * 8
