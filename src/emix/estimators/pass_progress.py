"""Words about a pass over a stream: how far it is, how fast, and what time is left, as far as that can be told."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emix.em.result import EMRecord

__all__ = ["PassProgress"]

# Seconds from one drawing to the next: more often nobody reads, and each takes some microseconds.
DRAWN_EVERY = 0.1

# The trend of the changes is taken over so many iterations.
_TREND = 5


class PassProgress:
    """Progress of the passes of a fit, or of other work on a stream: share done, rows per second, time left.

    Attributes
    ----------
    doing : str
        What the passes are for, outside of runs.
    """

    def __init__(self) -> None:
        self.doing = "reading"
        self._n_passes = 0  # of a run
        self._n_before = 0  # of the run before it was gone on with
        self._done = 0
        self._n_rows: float | None = None
        self._began = self._drawn = time.perf_counter()
        self._rate = 0.0
        self._records: deque[EMRecord] = deque(maxlen=_TREND)
        self._settled, self._max_iter = 0.0, 0
        self._in_run = False

    def knows(self, settled: float, max_iter: int) -> None:
        """Take the change of the log-likelihood, nats, below which a run ends, and the most iterations."""
        self._settled, self._max_iter = settled, max_iter

    def run_begins(self, n_done: int = 0) -> None:
        """Count passes and iterations anew, after those that a run which goes on has done."""
        self._in_run, self._n_passes, self._n_before = True, 0, n_done
        self._records.clear()

    def iteration_ends(self, record: EMRecord) -> bool:
        """Take the record of an iteration; False if the run makes no passes over a stream."""
        self._records.append(record)
        return self._n_passes > 0

    def rows_read(self, n_done: int, n_rows: float | None) -> bool:
        """Take how far a pass is; True if it is time to show it."""
        now = time.perf_counter()
        if n_done == 0:
            self._n_passes, self._began = self._n_passes + 1, now
        self._done, self._n_rows = n_done, n_rows
        if now > self._began and n_done:
            self._rate = n_done / (now - self._began)
        if now - self._drawn < DRAWN_EVERY:
            return False
        self._drawn = now
        return True

    def text(self) -> str:
        """Return the line: the pass, rows per second, log-likelihood, change, and what time is left."""
        parts = [f"pass {self._n_before + self._n_passes}" if self._in_run else self.doing]
        left = []
        if self._n_rows:
            share = min(1.0, self._done / self._n_rows)
            about = "" if isinstance(self._n_rows, int) else "about "  # an estimate, as of a text that is being read
            parts.append(f"{100.0 * share:.0f} % of {about}{_count(self._n_rows)} rows")
            if self._rate:
                seconds = max(0.0, self._n_rows - self._done) / self._rate
                left.append(f"{_duration(seconds)} of the pass")
        else:
            parts.append(f"{_count(self._done)} rows")
        parts.append(f"{_count(self._rate)} rows/s")
        if self._in_run and self._records:
            last = self._records[-1]
            parts.append(f"log-likelihood {last.log_likelihood:.5f}")
            if last.iteration:
                parts.append(f"change {last.change:.1e}")
            left += self._of_run()
        return ", ".join(parts) + (f"; left: {', '.join(left)}" if left else "")

    def _of_run(self) -> list[str]:
        """Time that is left of a run: by the trend of its changes, if there is one, and at most."""
        first, last = self._records[0], self._records[-1]
        n_steps = last.iteration - first.iteration
        if n_steps < 1:
            return []
        of_iteration = (last.seconds - first.seconds) / n_steps
        most = self._max_iter - last.iteration
        said = [f"at most {_duration(most * of_iteration)} of the run"] if most > 0 else []
        n_left = iterations_left([record.change for record in self._records if record.iteration], self._settled)
        if n_left is not None and n_left < most:
            said.insert(0, f"about {_duration(n_left * of_iteration)} if changes shrink as now")
        return said


def iterations_left(changes: list[float], settled: float) -> float | None:
    """Return after how many iterations changes that shrink by one factor fall below `settled`; None without a trend.

    EM converges so in the end; on the way to a mode changes may grow for a while, and there is no telling.
    """
    if len(changes) < 3 or not (changes[0] > changes[-1] > 0.0) or settled <= 0.0:
        return None
    if changes[-1] <= settled:
        return 0.0
    log_factor = math.log(changes[-1] / changes[0]) / (len(changes) - 1)
    return math.ceil(math.log(settled / changes[-1]) / log_factor)


def _count(number: float) -> str:
    """Return a number of rows in three digits or so."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.0f}"


def _duration(seconds: float) -> str:
    """Return a time in the unit that people would take."""
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    if seconds < 5400.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds / 3600.0:.1f} h"
