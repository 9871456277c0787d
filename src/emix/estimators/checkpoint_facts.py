"""Facts that two fits must share for one to go on where the other ended, and the message for a fact that differs."""

from __future__ import annotations

import hashlib
import platform
from typing import Any

import numpy as np

from emix import __version__
from emix.arguments import counted
from emix.estimators.parameters_check import Settings
from emix.kernel.level import level_in_use
from emix.rows.source import RowSource, without_unit

__all__ = ["digest_of", "facts_of_process", "facts_of_rows", "facts_of_settings", "mismatch"]

_SETTINGS = ("n_components", "tol", "reg_covar", "max_iter", "n_init", "init_params")

# For each fact: its words, and what goes on with the fit. Settings have the words of the last line.
_SAME_ROWS = "Pass the same rows"
_WORDS = {
    "emix": ("emix {}", "Use emix {}"),
    "level": ("the instruction-set level {}", "Set the environment variable EMIX_LEVEL={}"),
    "machine": ("a processor of the kind {}", "Use such a processor"),
    "seed": ("the seed {}", "Set random_state={}"),
    "generator": ("the seed {}", "Pass the generator in the state that it had, or random_state={},"),
    "start": ("the start of warm_start {}", "Fit from the same fitted parameters"),
    "weights_init": ("weights_init {}", "Set the same weights_init"),
    "means_init": ("means_init {}", "Set the same means_init"),
    "precisions_init": ("precisions_init {}", "Set the same precisions_init"),
    "n_rows": ("{} rows", _SAME_ROWS),
    "n_features": ("{} columns", _SAME_ROWS),
    "dtype": ("rows of dtype {}", _SAME_ROWS),
    "total_weight": ("rows of total weight {}", f"{_SAME_ROWS} and weights"),
    "column_range": ("{}", _SAME_ROWS),
    "partitions": ("{}", f"{_SAME_ROWS} in the same partitions"),
}
_OF_SETTING = "{name}={}", "Set {name}={}"


def facts_of_process() -> dict[str, Any]:
    """Return what bits depend on besides the arguments: version, level and kind of processor."""
    return {"emix": __version__, "level": level_in_use, "machine": platform.machine()}


def facts_of_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings on which a result depends."""
    found = {name: getattr(settings, name) for name in _SETTINGS}
    return {"covariance_type": settings.structure.name, **found}


def facts_of_rows(source: RowSource) -> dict[str, Any]:
    """Return what tells rows from others, without another pass over them."""
    return {
        "dtype": source.dtype.name,
        "n_features": source.n_features,
        "n_rows": source.n_rows,
        # Of weights near the largest number, the total in their own unit is infinite, which JSON does not hold.
        "total_weight": [without_unit(source).total_weight, source.weight_unit],
        "column_range": source.columns.column_range.tolist(),
        # Of rows that are elsewhere, partitions fix the order of sums. All other sources have the sums of an array.
        "partitions": getattr(source, "partition_lengths", None),
    }


def digest_of(array: Any) -> str | None:
    """Return the SHA-256 of an array of float64, None of None."""
    if array is None:
        return None
    return hashlib.sha256(f"{array.shape}".encode() + np.ascontiguousarray(array).tobytes()).hexdigest()


def mismatch(path: str, name: str, theirs: Any, ours: Any) -> str:
    """Return the message that a fact of the fit that wrote a file is not one of this fit."""
    words, remedy = _WORDS.get(name, _OF_SETTING)
    there, here = (_text(name, value, other) for value, other in ((theirs, ours), (ours, theirs)))
    return (
        f"checkpoint {path!r} is of a fit with {words.format(there, name=name)}, this one has "
        f"{words.format(here, name=name)}. {remedy.format(there, name=name)} to go on, or remove the file to begin "
        "anew."
    )


def _text(name: str, value: Any, other: Any) -> str:
    if name == "total_weight" and isinstance(value, list):
        return f"{value[0] * value[1]!r}"
    if name == "column_range":
        # The number of columns is asked before.
        column = next((j for j, ends in enumerate(zip(*value)) if ends != tuple(zip(*other))[j]), 0)
        least, greatest = (ends[column] for ends in value)
        return f"column {column} from {least!r} to {greatest!r}"
    if name == "partitions":
        return "no partitions" if value is None else _partitions(value, other)
    if name in ("emix", "level", "machine", "dtype"):
        return str(value)
    if name in ("start", "weights_init", "means_init", "precisions_init"):
        return "None" if value is None else f"with the digest {value[:8]}"
    return repr(value)


def _partitions(lengths: list[int], other: list[int] | None) -> str:
    if other is None or len(lengths) != len(other):
        return counted(len(lengths), "partition")
    number = next((i for i, pair in enumerate(zip(lengths, other)) if pair[0] != pair[1]), 0)
    return f"{counted(lengths[number], 'row')} in partition {number}"
