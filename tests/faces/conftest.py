"""What the tests of the faces share: a fitted mixture, and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import emix
from emix.datasets.faithful import faithful_csv, load_faithful

if TYPE_CHECKING:
    from pathlib import Path


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
