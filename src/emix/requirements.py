"""Optional libraries: imported when they are used. If one is missing, the error names its extra."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional library, or raise an error that says how to install it.

    Raises
    ------
    ImportError
        If it is not installed; the message names the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        top = module.partition(".")[0]
        raise ImportError(f'{purpose} needs {top}, which is not installed: pip install "emix[{extra}]"') from error
