"""Compiled modules at every instruction-set level."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from emix.kernel.level import available_levels


@pytest.fixture(params=[level for level in available_levels() if level != "blas"])
def clusters(request: pytest.FixtureRequest) -> Any:
    """The module of starts; the level "blas" has none of its own."""
    return importlib.import_module(f"emix.kernel.clusters_{request.param}")
