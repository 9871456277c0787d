"""Every peer that is here does the iterations it is told to, and returns their parameters."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import baseline_numpy
from compare import log_likelihood
from data import Problem
from peers import PEERS
from whole_fits import passes_at
from workers import Timing, Worker, measure, stage


@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer != "numpy_baseline"])
@pytest.mark.parametrize("structure", ["full", "diag"])
def test_parameters_after_a_number_of_iterations(tmp_path: Path, peer: str, structure: str) -> None:
    problem = Problem(600, 3, 2, structure=structure)
    files = stage(problem, tmp_path)
    with Worker(peer, sys.executable, 1) as worker, Worker("scikit_learn", sys.executable, 1) as reference:
        about = worker.ask("about")
        # Peers are libraries of others, of which emix needs none: most are not on most machines.
        if "missing" in about:
            pytest.skip(f"{importlib.import_module(f'peers.{peer}').NAME}: {about['missing']}")
        timings = measure({"peer": worker, "reference": reference}, problem, files, 1, 0.0)
    X = np.load(files[0])
    values = []
    for timing in timings.values():
        assert timing.refusal is None and timing.parameters is not None
        values.append(log_likelihood(X, timing.parameters))
    # pomegranate keeps its weights in float32.
    assert values[0] == pytest.approx(values[1], rel=1e-8)
    if structure == "full":
        with np.load(files[1]) as start:
            expected = baseline_numpy.fit(X, start["weights"], start["means"], start["covariances"], n_iter=8)
        assert values[0] == pytest.approx(expected.log_likelihood, rel=1e-8)


def test_a_slow_peer_has_fewer_rounds(tmp_path: Path) -> None:
    problem = Problem(200, 2, 2)
    files = stage(problem, tmp_path)
    with Worker("numpy_baseline", sys.executable, 1) as worker:
        timings = [measure({"it": worker}, problem, files, 3, 0.0, budget)["it"] for budget in (0.0, 1e9)]
    assert [len(timing.many) for timing in timings] == [1, 3]
    assert isinstance(timings[0], Timing) and timings[0].spread == 0.0


def test_when_a_fit_passes_a_log_likelihood() -> None:
    record = {"before": 1.0, "history": [[0.1, -30.0], [0.2, -20.0], [0.3, -10.0]]}
    assert passes_at(record, -20.0) == pytest.approx(1.2)
    assert passes_at(record, -5.0) is None
