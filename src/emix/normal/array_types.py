"""Types of the arrays of normal distributions."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Float64Array", "FloatArray"]

Float64Array: TypeAlias = npt.NDArray[np.float64]

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
"""Of float64 or float32."""
