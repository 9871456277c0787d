"""The patch, for one test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sklearn.mixture

import emix


@pytest.fixture
def patched() -> Iterator[Any]:
    """The class that code of others then finds."""
    emix.patch_sklearn()
    yield sklearn.mixture.GaussianMixture
    emix.unpatch_sklearn()
