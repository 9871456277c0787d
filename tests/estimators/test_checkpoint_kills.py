"""Fits that are killed by SIGKILL at random moments, and gone on with, by benchmarks/checkpoints.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "checkpoints.py"


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are of POSIX")
def test_a_killed_fit_is_the_one_that_nothing_ended() -> None:
    # The script fails if a file is half, a lock is left or a result is another.
    cases = ["array, full, weights", "stream, EEV, 2 runs"]
    command = [sys.executable, "-P", str(SCRIPT), "--kills", "16", "--seed", "1", "--cases", *cases]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *_, total, _, verdict = done.stdout.splitlines()
    kills, *_, finished, same = (int(number) for number in total.split("|")[2:-1])
    assert kills == 16
    assert finished == same >= 2
    assert verdict == "Every fit that came to its end is the one that nothing ended."
