"""A fit between two iterations, and whoever keeps it: what a checkpoint needs of the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

__all__ = ["EMState", "Keeper"]


class EMState(NamedTuple):
    """A fit after an iteration: all that it needs to go on, with the bits that it would have had.

    Attributes
    ----------
    statistics : object
        Of the last E-step. Its M-step is the first step of a fit that goes on.
    history : sequence of EMRecord
        One for each E-step so far. It is the loop's own list, which grows later.
    falls : sequence of (int, float)
        Falls of the objective that the stopping rule has noted: iteration, nats.
    run : mapping of str to ndarray
        What the run keeps between passes: the result of its hook `state`, empty if it has none.
    """

    statistics: Any
    history: Sequence[Any]
    falls: Sequence[tuple[int, float]]
    run: Mapping[str, Any]


class Keeper(Protocol):
    """Keeps the states of one fit."""

    @property
    def state(self) -> EMState | None:
        """The state to go on from; None begins at the start."""

    def keep(self, state: EMState) -> None:
        """Take note of the state after an iteration. The loop calls it after each one from which the fit goes on."""
