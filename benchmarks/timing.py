"""The time of an iteration: what it is taken from, how sure it is, and how it is written.

A round is a short and a long run of the same fit, one after the other with a pause in which thread pools go to sleep,
so that whatever else the machine does falls on both alike; their difference is the time of the iterations between. The
figure is the median over rounds, which one disturbed run cannot move far (a least difference of runs from different
rounds is mostly chance), and the least and the largest of the rounds stand beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from data import Start


@dataclass
class Timing:
    """What was measured of one peer on one problem."""

    #: By how many iterations the two runs of a round differ.
    iterations: int = 6
    #: Seconds of each round's run of few and of many iterations.
    few: list[float] = field(default_factory=list)
    many: list[float] = field(default_factory=list)
    #: Seconds of all runs, those that warm up, too.
    spent: float = 0.0
    #: Parameters after many iterations.
    parameters: Start | None = None
    #: Why there is no timing: ``missing``, ``unsupported`` or ``failed``, and a text.
    refusal: tuple[str, str] | None = None

    @property
    def rounds(self) -> list[float]:
        """Seconds per iteration, round by round."""
        return [(long - short) / self.iterations for short, long in zip(self.few, self.many)]

    def record(self) -> dict[str, Any]:
        """For JSON: seconds per iteration (median), their range and the runs; or why there are none."""
        if self.refusal is not None:
            return {self.refusal[0]: self.refusal[1]}
        rounds = self.rounds
        return {
            "seconds": median(rounds),
            "range": [min(rounds), max(rounds)],
            "seconds_few": self.few,
            "seconds_many": self.many,
        }


def seconds_of(record: Mapping[str, Any] | None) -> float | None:
    """Seconds per iteration in a record; None if there are none, or if they drowned in noise (not above zero)."""
    seconds = float((record or {}).get("seconds", 0.0))
    return seconds if seconds > 0.0 else None


def ratio_by_round(one: Timing, other: Timing) -> dict[str, Any] | None:
    """How many times as long an iteration of `one` takes as one of `other`, by rounds that ran side by side.

    Median and range; ``rounds`` has how many there are, ``of`` how many were run: where the time of either drowned in
    noise (not above zero), a round has no ratio. None if no round has one, or if either was refused.
    """
    if one.refusal is not None or other.refusal is not None:
        return None
    pairs = list(zip(one.rounds, other.rounds))
    ratios = [above / below for above, below in pairs if above > 0.0 < below]
    if not ratios:
        return None
    return {"times": median(ratios), "range": [min(ratios), max(ratios)], "rounds": len(ratios), "of": len(pairs)}


def milliseconds(seconds: float, digits: int = 3) -> str:
    """So many significant digits, but all before the point: 0.123, 1.23, 12.3, 123, 1 234."""
    value = 1e3 * seconds
    if value <= 0.0:  # a difference of two noisy times
        return "0"
    decimals = max(0, min(3, digits - 1 - math.floor(math.log10(value))))
    return f"{value:,.{decimals}f}".replace(",", " ")


def with_range(record: Mapping[str, Any] | None) -> str:
    """Milliseconds with the range of the rounds: ``4.8 (4.2–5.6)``; ``once`` for a single round; – for none."""
    if record is None or "seconds" not in record:
        return "fails" if record and "failed" in record else "–"
    return f"{milliseconds(record['seconds'], 2)} ({range_of(record)})"


def range_of(record: Mapping[str, Any]) -> str:
    """The range of the rounds in milliseconds: ``4.2–5.6``, or ``once``."""
    if len(record["seconds_many"]) < 2:
        return "once"
    return "–".join(milliseconds(seconds, 2) for seconds in record["range"])


def as_ratio(ratio: float) -> str:
    """How many times as much: 0.97×, 3.4×, 41×."""
    return f"{ratio:.{0 if ratio >= 9.95 else 1 if ratio >= 1.95 else 2}f}×"


def faster_with_range(ratio: Mapping[str, Any] | None) -> str:
    """A ratio of :func:`ratio_by_round`: ``1.83× (1.71–1.90)``; ``once`` for a single round; – for none.

    Where rounds have no ratio, it says so: ``1.83× (1.71–1.90, 5 of 7 rounds)``.
    """
    if ratio is None:
        return "–"
    low, high = ratio["range"]
    spread = f"{low:.2f}–{high:.2f}" if ratio["rounds"] > 1 else "once"
    some = f", {ratio['rounds']} of {ratio['of']} rounds" if ratio["rounds"] < ratio["of"] else ""
    return f"{ratio['times']:.2f}× ({spread}{some})"


def rounds_of(records: Sequence[Mapping[str, Any]]) -> str:
    """Of how many rounds the times are: ``7``, ``2 to 7``."""
    counts = sorted({len(record["seconds_many"]) for record in records if "seconds_many" in record})
    return " to ".join(str(count) for count in counts[:: max(1, len(counts) - 1)]) or "no"
