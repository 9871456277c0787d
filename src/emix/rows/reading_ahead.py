"""The next block is read while the one before is computed: a thread of its own runs the reader, one block ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextvars import copy_context
from queue import Full, Queue
from typing import Generic, TypeVar

from emix.rows.watching import rows_watched

__all__ = ["read_ahead"]

Item = TypeVar("Item")

# Seconds after which a thread that waits looks whether its items are still asked for.
_LOOK_EVERY = 0.05


def read_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Hand out the items of an iterator in order, while a thread asks it for the next one.

    Parameters
    ----------
    items : iterator
        Asked by one thread, which sees the context variables of the caller. No more than two items wait: one that is
        ready, and one that is being made.

    Raises
    ------
    BaseException
        As `items` raised it, in its place among the items.

    Notes
    -----
    The thread begins with the first item that is asked for, and has ended when the iterator that is returned ends, is
    closed or is dropped, as a loop drops it that an error or an interrupt ends.
    """
    thread = _Reader(items)
    try:
        thread.start()
        while True:
            item = thread.ready.get()
            if item is None:
                if thread.error is not None:
                    raise thread.error
                return
            yield item[0]
            del item  # so that its memory can be used for the item after the next
    finally:
        thread.end()


class _Reader(threading.Thread, Generic[Item]):
    """The thread of one iterator: puts items, each in a tuple, and None at their end."""

    def __init__(self, items: Iterator[Item]) -> None:
        # A daemon, so that a reader that waits for ever cannot keep the process from its end.
        super().__init__(name="emix reader", daemon=True)
        self.ready: Queue[tuple[Item] | None] = Queue(1)
        self.error: BaseException | None = None
        self._items, self._ended = items, False
        self._context = copy_context()

    def run(self) -> None:
        """Put the items, in the context of the thread that asks for them."""
        self._context.run(self._put_unwatched)

    def end(self) -> None:
        """Wait until the thread has ended; items that it has read are dropped.

        An interrupt may come at any moment, while the thread is started too. It ends by itself from here on.
        """
        self._ended = True
        while self.is_alive():
            while not self.ready.empty():
                self.ready.get()
            self.join(0.01)

    def _put_unwatched(self) -> None:
        # The items may come of passes over other rows, which are a part of this pass and none of their own.
        with rows_watched(None):
            self._put_all()

    def _put_all(self) -> None:
        items = self._items
        try:
            while not self._ended:
                try:
                    item = next(items)
                except StopIteration:
                    break
                self._put((item,))
                del item
            if (close := getattr(items, "close", None)) is not None:
                close()
        except BaseException as error:  # noqa: BLE001 (raised by the thread that asks)
            self.error = error
        self._put(None)

    def _put(self, item: tuple[Item] | None) -> None:
        """Put an item once there is room for it, or drop it if it is no longer asked for."""
        while not self._ended:
            try:
                self.ready.put(item, timeout=_LOOK_EVERY)
            except Full:
                continue
            return
