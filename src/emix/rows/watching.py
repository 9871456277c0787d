"""A look at passes over rows that are read: who wants to show how far a pass is puts a function here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

__all__ = ["RowsWatcher", "rows_watched", "watched"]

Item = TypeVar("Item")

RowsWatcher = Callable[[int, "float | None"], None]
"""A function of the rows of a pass that are done, and of those that there are, None if that is not known: it is called
with 0 as a pass begins, and after each batch."""

_watcher: ContextVar[RowsWatcher | None] = ContextVar("rows_watcher", default=None)


@contextmanager
def rows_watched(watcher: RowsWatcher | None) -> Iterator[None]:
    """Let a function see the passes that this thread makes over streams within the block.

    Examples
    --------
    >>> import emix
    >>> import numpy as np
    >>> from emix.rows.watching import rows_watched
    >>> source = emix.BlockSource(lambda: [np.eye(2), np.ones((3, 2))])
    >>> with rows_watched(lambda done, of: print(done, of)):
    ...     source.total_weight
    0 None
    5 None
    5.0
    """
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def watched(
    items: Iterator[Item],
    n_rows: Callable[[Item], int],
    expected: Callable[[], float | None],
) -> Iterator[Item]:
    """Hand out the batches of a pass, and tell the watcher of this thread, if there is one.

    Parameters
    ----------
    items : generator
    n_rows : callable
        Number of rows of an item.
    expected : callable
        Number of rows of the pass, as far as is known; it may become better known while they are read.
    """
    watcher = _watcher.get()
    if watcher is None:
        yield from items
        return
    done = 0
    watcher(0, expected())
    generator: Any = items  # it is to end when the caller drops this one
    with closing(generator):
        for item in items:
            done += n_rows(item)
            yield item  # the caller works on it before it asks for the next one
            del item  # so that its memory can be used again
            watcher(done, expected())
