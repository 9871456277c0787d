"""One peer in a process of its own: reads requests as lines of JSON, answers in kind.

Started by :mod:`workers` as ``python -m peers.worker PEER`` in the benchmarks folder.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from types import ModuleType
from typing import IO, Any

import numpy as np

from data import Start
from peers import Fit, Unsupported
from results import blas


class _Worker:
    """Answers requests; keeps the data of the current problem."""

    def __init__(self, peer: ModuleType) -> None:
        self.peer = peer
        self.fit: Fit | None = None

    def about(self) -> dict[str, Any]:
        return {
            "versions": {"python": platform.python_version(), "numpy": np.__version__, **self.peer.versions()},
            "note": self.peer.NOTE,
        }

    def load(self, data: str, start: str, structure: str, n_threads: int, mapped: bool = False) -> dict[str, Any]:
        self.fit = None  # lets go of the previous problem's data first
        with np.load(start) as arrays:
            given = Start(arrays["weights"], arrays["means"], arrays["covariances"])
        X = np.load(data, mmap_mode="r" if mapped else None)
        self.fit = self.peer.prepare(X, given, structure, n_threads)
        return {}

    def unload(self) -> dict[str, Any]:
        self.fit = None
        return {}

    def run(self, n_iter: int, save: str | None) -> dict[str, Any]:
        if self.fit is None:
            raise RuntimeError("no problem is loaded")
        result = self.fit(n_iter)
        if save is not None:
            np.savez(save, weights=result.weights, means=result.means, covariances=result.covariances)
        return {"seconds": result.seconds}

    def blas(self) -> dict[str, Any]:
        return {"blas": blas()}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        verb = str(request.pop("verb"))
        try:
            reply: dict[str, Any] = getattr(self, verb)(**request)
        except ImportError as error:
            return {"missing": str(error)}
        except Unsupported as error:
            return {"unsupported": str(error)}
        # Blind, as a library may raise what it likes: that is its result, and the other libraries are measured.
        except Exception as error:  # noqa: BLE001
            return {"failed": f"{type(error).__name__}: {error}"}
        return reply


def serve(peer: str, requests: IO[str], replies: IO[str]) -> None:
    """Answer until the requests end."""
    worker = _Worker(importlib.import_module(f"peers.{peer}"))
    for line in requests:
        print(json.dumps(worker.answer(json.loads(line))), file=replies, flush=True)


if __name__ == "__main__":
    # Libraries that print must not spoil the replies: what they print goes to stderr.
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)
        serve(sys.argv[1], sys.stdin, channel)
