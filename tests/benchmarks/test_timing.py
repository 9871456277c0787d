"""The time of an iteration is a median of differences, told with its range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data import Problem
from timing import Timing, faster_with_range, milliseconds, ratio_by_round, rounds_of, seconds_of, with_range
from workers import measure


def test_differences_are_taken_round_by_round() -> None:
    # One round was disturbed: least many less least few would give 8 / 2 and not the 5 / 2 of two rounds of three.
    timing = Timing(iterations=2, few=[1.0, 1.0, 4.0], many=[6.0, 6.0, 5.0])
    record = timing.record()
    assert timing.rounds == [2.5, 2.5, 0.5]
    assert (record["seconds"], record["range"]) == (2.5, [0.5, 2.5])
    assert record["seconds_few"] == timing.few and record["seconds_many"] == timing.many


def test_a_refusal_is_its_record() -> None:
    record = Timing(refusal=("failed", "why"), few=[1.0]).record()
    assert record == {"failed": "why"}
    assert seconds_of(record) is None and seconds_of(None) is None
    assert (with_range(record), with_range({"unsupported": "x"}), with_range(None)) == ("fails", "–", "–")


def test_a_difference_of_noise_is_no_time() -> None:
    assert seconds_of(Timing(few=[1.0], many=[0.9]).record()) is None


def test_ratios_pair_rounds() -> None:
    # Per iteration: the two may run a different number of them.
    one = Timing(iterations=2, few=[0.0] * 3, many=[4.0, 8.0, 6.0])
    other = Timing(iterations=1, few=[0.0] * 3, many=[1.0, 2.0, 1.0])
    ratio = ratio_by_round(one, other)
    assert ratio == {"times": 2.0, "range": [2.0, 3.0], "rounds": 3, "of": 3}
    assert faster_with_range(ratio) == "2.00× (2.00–3.00)"
    assert faster_with_range({"times": 2.0, "range": [2.0, 2.0], "rounds": 1, "of": 1}) == "2.00× (once)"
    assert ratio_by_round(one, Timing(refusal=("failed", "x"))) is None
    assert faster_with_range(None) == "–"


def test_rounds_of_noise_are_counted() -> None:
    one = Timing(iterations=1, few=[0.0] * 4, many=[2.0, 4.0, 9.0, 3.0])
    other = Timing(iterations=1, few=[0.0, 0.0, 1.0, 0.0], many=[1.0, 2.0, 1.0, 1.0])  # the third is noise
    assert faster_with_range(ratio_by_round(one, other)) == "2.00× (2.00–3.00, 3 of 4 rounds)"
    noise = Timing(iterations=1, few=[1.0], many=[1.0])
    assert ratio_by_round(one, noise) is None


def test_every_other_round_goes_back(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    class Told:
        n_threads = 1

        def __init__(self, name: str) -> None:
            self.name = name

        def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
            if verb == "run":
                asked.append((self.name, arguments["n_iter"]))
                if arguments["save"]:
                    np.savez(arguments["save"], weights=np.ones(1), means=np.ones((1, 1)), covariances=np.ones((1, 1)))
            return {"seconds": 1.0}

    workers: Any = {name: Told(name) for name in "abc"}
    measure(workers, Problem(10, 1, 1, few=1, many=9), (tmp_path / "data.npy", tmp_path / "start.npz"), 3, 0.0)
    # Nine seconds for many iterations: one run of each warms up.
    assert [name for name, n in asked if n == 1] == [*"abc", *"abc", *"cba", *"abc"]
    assert [name for name, n in asked if n == 9] == [*"abc", *"cba", *"abc"]


def test_how_a_time_is_told() -> None:
    def told(*rounds: float) -> str:
        return with_range(Timing(iterations=1, few=[0.0] * len(rounds), many=list(rounds)).record())

    assert told(0.0048, 0.0042, 0.0056) == "4.8 (4.2–5.6)"
    assert told(0.142, 0.131) == "136 (131–142)"
    assert told(0.0048) == "4.8 (once)"
    records = [Timing(few=[0.0] * n, many=[1.0] * n).record() for n in (2, 5, 7)]
    assert rounds_of(records) == "2 to 7" and rounds_of(records[:1]) == "2"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.234, "1 234"), (0.1234, "123"), (0.01234, "12.3"), (1.234e-3, "1.23"), (1.234e-6, "0.001"), (-1.0, "0")],
)
def test_milliseconds(seconds: float, text: str) -> None:
    assert milliseconds(seconds) == text
