"""Runs peers in processes of their own and times them by turns."""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from data import Array, Problem, Start, make_data, make_start

HERE = Path(__file__).resolve().parent

#: Thread pools of BLAS and OpenMP spin for up to 200 ms after their work: wait until the previous
#: library's have gone to sleep.
REST_SECONDS = 0.25

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


@dataclass
class Timing:
    """What was measured of one peer on one problem."""

    #: By how many iterations the two runs differ.
    iterations: int = 6
    #: Seconds of each run of few and of many iterations.
    few: list[float] = field(default_factory=list)
    many: list[float] = field(default_factory=list)
    #: Seconds of all runs.
    spent: float = 0.0
    #: Parameters after many iterations.
    parameters: Start | None = None
    #: Why there is no timing: ``unsupported``, ``failed`` and a text.
    refusal: tuple[str, str] | None = None

    @property
    def per_iteration(self) -> float:
        """Seconds: the fastest run of many less the fastest run of few iterations, per iteration."""
        return (min(self.many) - min(self.few)) / self.iterations

    @property
    def spread(self) -> float:
        """How far apart the runs of many iterations lie, relative to the fastest."""
        return max(self.many) / min(self.many) - 1.0


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

    Parameters
    ----------
    rest : float
        Pause before each run, seconds.
    budget : float
        A worker that has run for so many seconds has no further round. If the round that only warms up took
        longer, it counts, and is the only one: what warms up does not matter then.
    mapped : bool
        Whether the rows are left on disk, as a memory map.
    """
    data_path, start_path = files
    saved = start_path.with_name("fitted.npz")
    timings = {name: Timing(problem.many - problem.few) for name in workers}
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
    # The round before the first warms up and is thrown away; it brings the parameters to compare.
    for turn in range(-1, repeats):
        for name, worker in workers.items():
            timing = timings[name]
            if timing.spent > budget and timing.many:
                continue
            for n_iter, seconds in ((problem.few, timing.few), (problem.many, timing.many)):
                if timing.refusal is not None:
                    continue
                time.sleep(rest)
                keep = turn < 0 and n_iter == problem.many
                reply = worker.ask("run", n_iter=n_iter, save=str(saved) if keep else None)
                timing.refusal = _refusal(reply)
                if timing.refusal is None:
                    seconds.append(float(reply["seconds"]))
                    timing.spent += seconds[-1]
                    if keep:
                        timing.parameters = _read_parameters(saved)
            if turn < 0 and timing.spent <= budget:
                timing.few.clear()
                timing.many.clear()
    for worker in workers.values():
        worker.ask("unload")
    return timings


def _read_parameters(path: Path) -> Start:
    with np.load(path) as arrays:
        fields: Sequence[Array] = [arrays[name].astype(np.float64) for name in Start._fields]
    return Start(*fields)
