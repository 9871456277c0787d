"""emix with one of its shortcuts switched off: the one that the variable EMIX_BENCH_WITHOUT names, if there is one.

The time of a run is what all its threads have worked: what else the machine does disturbs that less than a clock.
"""

from __future__ import annotations

import os
from time import process_time

import numpy as np
from numpy.typing import NDArray

from data import Start
from peers import Fit, Run, emix
from shortcut_runs import all_but

NAME = "emix (without a shortcut)"
NOTE = "is emix with one of its shortcuts switched off, to show what that one saves"

versions = emix.versions


def prepare(X: NDArray[np.floating], start: Start, structure: str, n_threads: int) -> Fit:
    fit = emix.prepare(X, start, structure, n_threads, all_but(os.environ.get("EMIX_BENCH_WITHOUT", "")))

    def timed(n_iter: int) -> Run:
        begin = process_time()
        run = fit(n_iter)
        return run._replace(seconds=process_time() - begin)

    return timed
