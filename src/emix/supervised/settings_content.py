"""Settings and classes of an estimator as JSON can hold them, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

__all__ = ["NOT_KEPT", "as_json", "settings_content", "settings_of_content"]

NOT_KEPT = object()


def settings_content(estimator: Any) -> dict[str, Any]:
    """Return the settings that a file keeps."""
    settings = {name: as_json(value) for name, value in estimator.get_params(deep=False).items()}
    return {name: value for name, value in settings.items() if value is not NOT_KEPT}


def settings_of_content(content: dict[str, Any]) -> dict[str, Any]:
    """Inverse of `settings_content`."""
    return {name: _of_json(value) for name, value in content.items()}


def as_json(value: Any) -> Any:
    """Return a number, a text, None, or a list or mapping of these as JSON can hold it; `NOT_KEPT` for others."""
    if value is None or isinstance(value, (bool, str)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else NOT_KEPT
    if isinstance(value, Mapping):
        items = [[as_json(key), as_json(one)] for key, one in value.items()]
        return NOT_KEPT if any(part is NOT_KEPT for item in items for part in item) else {"items": items}
    if isinstance(value, (list, tuple, range, np.ndarray)):
        parts = [as_json(part) for part in value]
        return NOT_KEPT if any(part is NOT_KEPT for part in parts) else parts
    return NOT_KEPT


def _of_json(value: Any) -> Any:
    return dict(value["items"]) if isinstance(value, dict) else value
