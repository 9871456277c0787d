"""A thread reads one item ahead: items, errors and ends arrive as without it, and no thread is left."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from emix.exceptions import warn, warnings_held
from emix.rows.reading_ahead import read_ahead


def readers() -> int:
    return sum(thread.name == "emix reader" for thread in threading.enumerate())


@pytest.mark.parametrize("n", [0, 1, 2, 100])
def test_items_arrive_in_order(n: int) -> None:
    assert list(read_ahead(iter(range(n)))) == list(range(n))
    assert readers() == 0


def test_no_more_than_three_items_are_held() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for i in range(20):
            made.append(i)
            yield i

    for i in read_ahead(items()):
        # One is used, one is ready, one is being made.
        assert len(made) <= i + 3
    assert len(made) == 20


@pytest.mark.parametrize("error", [OSError("gone"), KeyboardInterrupt(), MemoryError(), SystemExit(3)], ids=repr)
def test_an_error_is_raised_in_its_place(error: BaseException) -> None:
    def items() -> Iterator[int]:
        yield 0
        yield 1
        raise error

    found: list[int] = []
    with pytest.raises(type(error)) as raised:
        found.extend(read_ahead(items()))
    assert raised.value is error
    assert readers() == 0


def test_the_reader_is_closed_and_its_thread_ends_when_the_loop_ends_early() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    def loop() -> None:
        for i in read_ahead(items()):
            1 // (3 - i)

    with pytest.raises(ZeroDivisionError):
        loop()
    assert closed.is_set()
    assert readers() == 0


def test_it_begins_with_the_first_item_that_is_asked_for() -> None:
    def items() -> Iterator[int]:
        raise AssertionError
        yield 0

    begun = read_ahead(items())
    assert readers() == 0
    del begun


def test_the_reader_sees_the_context_of_the_caller() -> None:
    def items() -> Iterator[float]:
        warn("of the reader", UserWarning)
        yield float(np.float64(1.0) / np.float64(0.0))

    with warnings_held() as held, np.errstate(divide="ignore"), warnings.catch_warnings():
        assert list(read_ahead(items())) == [np.inf]
    assert [message for message, _ in held] == ["of the reader"]
