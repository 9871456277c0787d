"""The instruction-set level in use: chosen once, at import.

Each level is a build of the same kernel, as modules ``kernel_<level>_double`` and ``kernel_<level>_single``. The best
level that the processor runs is taken. The environment variable ``EMIX_LEVEL`` forces another: ``baseline``, ``v3``,
``v4`` or ``blas``. The level ``blas`` leaves the two heavy steps to SciPy's BLAS, and is loaded only when asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from emix.kernel.processor import supported_levels

__all__ = [
    "Kernel", "available_levels", "clusters", "config", "has_own_threads", "kernel_for", "kernel_of_level",
    "level_in_use", "show_config",
]  # fmt: skip

Kernel = ModuleType
"""A compiled kernel module; kernel.pyi declares its contents."""

_PRECISIONS = {"float64": "double", "float32": "single"}


@cache
def available_levels() -> tuple[str, ...]:
    """Return the levels that are in this build and that this processor runs: the best first, ``blas`` last."""
    built = (level for level in (*supported_levels(), "blas") if _is_built(level))
    return tuple(built)


def _is_built(level: str) -> bool:
    return importlib.util.find_spec(f"emix.kernel.kernel_{level}_double") is not None


def choose_level() -> str:
    """Return the level that EMIX_LEVEL names, else the best."""
    forced = os.environ.get("EMIX_LEVEL", "")
    if not forced:
        return next(level for level in supported_levels() if _is_built(level))
    if forced not in available_levels():
        raise ImportError(
            f"EMIX_LEVEL is {forced!r}, which this build or processor does not have: "
            f"set it to one of {', '.join(available_levels())}, or unset it to use the best"
        )
    return forced


level_in_use = choose_level()


@cache
def kernel_of_level(level: str, dtype_name: str) -> Any:
    """Return the compiled module of a level for float64 or float32 rows."""
    return importlib.import_module(f"emix.kernel.kernel_{level}_{_PRECISIONS[dtype_name]}")


def kernel_for(dtype: np.dtype[Any]) -> Any:
    """Return the compiled module for rows of this dtype at the level in use."""
    return kernel_of_level(level_in_use, "float32" if dtype.char == "f" else "float64")


# Loaded now, not by the first fit: an interrupt while a compiled module sets itself up would be lost.
kernel_of_level(level_in_use, "float64")


# Compiled code of starts, at the same level. It has no level blas: the best other level takes its place.
clusters: Any = importlib.import_module(
    f"emix.kernel.clusters_{level_in_use if level_in_use != 'blas' else next(filter(_is_built, supported_levels()))}"
)


def has_own_threads() -> bool:
    """True if the level in use starts threads itself, as BLAS does. Threads of emix beside them would only wait."""
    return level_in_use == "blas"


def config() -> dict[str, str]:
    """Return the versions and levels that `show_config` prints."""
    from emix import __version__

    return {
        "emix": __version__,
        "level in use": level_in_use + (" (EMIX_LEVEL)" if os.environ.get("EMIX_LEVEL") else ""),
        "levels available": ", ".join(available_levels()),
        "levels of the processor": ", ".join(supported_levels()),
        "machine": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
    }


def show_config() -> None:
    """Print the versions, the instruction-set levels that are available and the one in use.

    Examples
    --------
    >>> import emix
    >>> emix.show_config()  # doctest: +ELLIPSIS
    emix                     ...
    level in use             ...
    """
    for key, value in config().items():
        print(f"{key:24} {value}")
