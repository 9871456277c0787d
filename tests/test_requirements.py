"""Libraries that only some faces need."""

from __future__ import annotations

import math

import pytest

from emix.requirements import require


def test_a_library_that_is_there_is_imported() -> None:
    assert require("math", "cli", "reading") is math


def test_a_missing_library_is_named_with_its_extra() -> None:
    with pytest.raises(
        ImportError, match=r'reading needs nonesuch_, which is not installed: pip install "emix\[cli\]"'
    ):
        require("nonesuch_.part", "cli", "reading")
