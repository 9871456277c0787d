"""What all tests need."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import emix
from emix.datasets.faithful import faithful_csv, load_faithful


@pytest.fixture(autouse=True, scope="session")
def interrupts_arrive() -> Iterator[None]:
    """Let SIGINT interrupt, also where the tests run in the background of a shell that has it ignored."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def faithful() -> np.ndarray:
    return load_faithful().data


@pytest.fixture(scope="session")
def mixture(faithful: np.ndarray) -> emix.GaussianMixture:
    return emix.GaussianMixture(2, random_state=0).fit(faithful)


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    path = tmp_path / "faithful.csv"
    path.write_text(faithful_csv(), encoding="utf-8")
    return path
