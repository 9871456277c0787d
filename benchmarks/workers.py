"""Runs peers in processes of their own and times them by turns."""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from data import Array, Problem, Start, make_data, make_start
from timing import Timing

HERE = Path(__file__).resolve().parent

#: Thread pools of BLAS and OpenMP spin for up to 200 ms after their work: wait until the previous
#: library's have gone to sleep.
REST_SECONDS = 0.25

#: Rounds that every worker gets, however slow it is: one round has no range.
_LEAST_ROUNDS = 2

#: Who would take longer for many iterations is warm after a few.
_WARM_SECONDS = 3.0

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "EMIX_NUM_THREADS",
)


def absolute_python_path(variables: dict[str, str]) -> None:
    """Make PYTHONPATH's entries absolute, for a process that runs in another folder."""
    if "PYTHONPATH" in variables:
        entries = variables["PYTHONPATH"].split(os.pathsep)
        variables["PYTHONPATH"] = os.pathsep.join(os.path.abspath(entry) for entry in entries if entry)


class Worker:
    """A peer's process.

    Parameters
    ----------
    peer : str
        A module of ``peers``.
    python : str
        The interpreter to run it with.
    n_threads : int
        Set for every thread pool that listens to the environment.
    environment : mapping, optional
        More variables, e.g. another PYTHONPATH.
    """

    def __init__(self, peer: str, python: str, n_threads: int, environment: Mapping[str, str] | None = None) -> None:
        variables = {**os.environ, **(environment or {}), **dict.fromkeys(THREAD_VARIABLES, str(n_threads))}
        absolute_python_path(variables)
        self.peer, self.n_threads = peer, n_threads
        self._process = subprocess.Popen(
            [python, "-m", "peers.worker", peer],
            cwd=HERE,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, verb: str, **arguments: object) -> dict[str, Any]:
        """Send a request; a process that dies answers ``{"failed": ...}``."""
        if self._process.stdin is None or self._process.stdout is None:  # both are pipes: for the type checker
            raise RuntimeError("the worker has no pipes")
        try:
            self._process.stdin.write(json.dumps({"verb": verb, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return {"failed": f"the process ended with status {self._process.wait()}"}
        line = self._process.stdout.readline()
        if not line:
            return {"failed": f"the process ended with status {self._process.wait()}"}
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        """End the process, by force if it does not go."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it has ended already
                self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _refusal(reply: Mapping[str, Any]) -> tuple[str, str] | None:
    for kind in ("missing", "unsupported", "failed"):
        if kind in reply:
            return kind, str(reply[kind])
    return None


def stage(problem: Problem, folder: Path) -> tuple[Path, Path]:
    """Write data and start of a problem where the workers can read them."""
    X = make_data(problem)
    start = make_start(problem, X)
    data_path, start_path = folder / "data.npy", folder / "start.npz"
    np.save(data_path, X)
    np.savez(start_path, weights=start.weights, means=start.means, covariances=start.covariances)
    return data_path, start_path


def measure(
    workers: Mapping[str, Worker],
    problem: Problem,
    files: tuple[Path, Path],
    repeats: int,
    rest: float,
    budget: float = math.inf,
    mapped: bool = False,
) -> dict[str, Timing]:
    """Time every worker on a problem, by turns: one round is a short and a long run of each.

    Every other round takes the workers in reverse, so that none always runs before another.

    Before the first round each worker runs to warm up; no time of that is kept.

    Parameters
    ----------
    repeats : int
        Rounds, at most.
    rest : float
        Pause before each run, seconds.
    budget : float
        A worker that has run for so many seconds has no round beyond the second.
    mapped : bool
        Whether the rows are left on disk, as a memory map.
    """
    data_path, start_path = files
    saved = start_path.with_name("fitted.npz")
    timings = {name: Timing(problem.many - problem.few) for name in workers}

    def run(name: str, n_iter: int, save: bool = False) -> float:
        timing = timings[name]
        if timing.refusal is not None:
            return math.nan
        time.sleep(rest)
        reply = workers[name].ask("run", n_iter=n_iter, save=str(saved) if save else None)
        timing.refusal = _refusal(reply)
        if timing.refusal is not None:
            return math.nan
        if save:
            timing.parameters = _read_parameters(saved)
        timing.spent += float(reply["seconds"])
        return float(reply["seconds"])

    for name, worker in workers.items():
        reply = worker.ask(
            "load",
            data=str(data_path),
            start=str(start_path),
            structure=problem.structure,
            n_threads=worker.n_threads,
            mapped=mapped,
        )
        timings[name].refusal = _refusal(reply)
        if run(name, problem.few) * problem.many / problem.few < _WARM_SECONDS:
            run(name, problem.many)
    for turn in range(repeats):
        # There and back: who comes second would always find the machine as the first has left it.
        for name, timing in list(timings.items())[:: -1 if turn % 2 else 1]:
            if turn < _LEAST_ROUNDS or timing.spent <= budget:
                timing.few.append(run(name, problem.few))
                timing.many.append(run(name, problem.many, save=turn == 0))
    for worker in workers.values():
        worker.ask("unload")
    return timings


def _read_parameters(path: Path) -> Start:
    with np.load(path) as arrays:
        fields: Sequence[Array] = [arrays[name].astype(np.float64) for name in Start._fields]
    return Start(*fields)
