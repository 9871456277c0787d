"""Values as JSON can hold them."""

from __future__ import annotations

import contextlib
import math
from numbers import Integral, Real
from typing import Any

import numpy as np

__all__ = ["NOT_PLAIN", "plain_value"]

NOT_PLAIN = object()
"""Stands for a value that JSON cannot hold."""


def plain_value(value: Any) -> Any:
    """Return a number, a text or None as JSON can hold it; `NOT_PLAIN` for anything else, also infinity and NaN.

    Examples
    --------
    >>> import numpy as np
    >>> plain_value(np.float32(0.5)), plain_value(np.array(3)), plain_value(np.inf) is NOT_PLAIN
    (0.5, 3, True)
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if value is None or isinstance(value, (bool, np.bool_)):
        return None if value is None else bool(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        with contextlib.suppress(OverflowError):  # of a fraction, say
            number = float(value)
            return number if math.isfinite(number) else NOT_PLAIN
    return NOT_PLAIN
