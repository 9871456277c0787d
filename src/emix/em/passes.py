"""Passes of a fit over its data: all at once, block by block with the results added, or by a run of the model's own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from emix.em.model import EMRun
from emix.em.returned import checked_e_step, checked_weight, is_number
from emix.rows.source import is_source

__all__ = ["add_results", "begin_run"]

# Rows of a block that a by_rows model is given from an array.
BLOCK_ROWS = 8192

_DOUBLE = np.dtype(np.float64)


def begin_run(model: Any, data: Any) -> EMRun[Any, Any]:
    """Return the run of one fit of the model to the data, whichever of its hooks the model has."""
    if hasattr(model, "begin"):
        return _BegunRun(model, data)
    if getattr(model, "by_rows", False):
        return _RunByRows(model, data)
    return _WholeRun(model, data)


class _WholeRun:
    """Run of a model whose E-step is given all data at once."""

    dtype = _DOUBLE

    def __init__(self, model: Any, data: Any) -> None:
        self._model, self._data = model, data
        self.weight = self.effective_rows = checked_weight(model, data)

    def e_step(self, parameters: Any) -> tuple[Any, float]:
        return checked_e_step(self._model.e_step(self._data, parameters))


class _BegunRun:
    """Run of a model that has `begin`: the object that `begin` returned, with defaults for what it leaves out."""

    def __init__(self, model: Any, data: Any) -> None:
        self._run = model.begin(data)
        # `begin` may return the model itself, whose `weight` is a method.
        weight: Any = getattr(self._run, "weight", None)
        if type(weight) is not float:
            weight = float(weight) if is_number(weight) else checked_weight(model, data)
        self.weight: float = weight
        dtype: Any = getattr(self._run, "dtype", _DOUBLE)
        self.dtype: np.dtype[Any] = dtype if dtype is _DOUBLE else np.dtype(dtype)

    @property
    def advance(self) -> Any:
        """The run's hook, None if it has none."""
        return getattr(self._run, "advance", None)

    @property
    def state(self) -> Any:
        """The run's hook, None if it has none."""
        return getattr(self._run, "state", None)

    @property
    def restore(self) -> Any:
        """The run's hook, None if it has none."""
        return getattr(self._run, "restore", None)

    @property
    def reads_anew(self) -> bool:
        """The run's own, False if it has none."""
        return bool(getattr(self._run, "reads_anew", False))

    @property
    def effective_rows(self) -> float:
        # Not asked of the run before it is needed: with weights, the answer takes a pass over them.
        rows: Any = getattr(self._run, "effective_rows", None)
        return float(rows) if is_number(rows) else self.weight

    def e_step(self, parameters: Any) -> tuple[Any, float]:
        found: Any = self._run.e_step(parameters)
        if type(found) is not tuple or len(found) != 2 or type(found[1]) is not float:
            return checked_e_step(found)
        # The first result needed no conversion. Later passes call the run without this check: the instance's attribute
        # goes before the method.
        self.__dict__["e_step"] = self._run.e_step
        return found


class _RunByRows:
    """Run of a model whose E-step is given one block of rows after another."""

    dtype = _DOUBLE

    def __init__(self, model: Any, data: Any) -> None:
        self._model = model
        self._blocks = _blocks_of(data)
        self.reads_anew = callable(data) or is_source(data)
        if hasattr(model, "weight"):
            weight = sum(checked_weight(model, block) for block in self._blocks())
        else:
            weight = float(sum(_n_rows(block) for block in self._blocks()))
        if weight <= 0.0:
            raise ValueError("data has no rows, expected at least one.")
        self.weight = self.effective_rows = weight

    def e_step(self, parameters: Any) -> tuple[Any, float]:
        statistics, total = None, 0.0
        for block in self._blocks():
            part, log_likelihood = checked_e_step(self._model.e_step(block, parameters))
            statistics = part if statistics is None else add_results(statistics, part)
            total += log_likelihood
        if statistics is None:
            raise ValueError("data gave no blocks on this pass: a callable must return a new iterator each time.")
        return statistics, total


def _blocks_of(data: Any) -> Callable[[], Iterable[Any]]:
    """Return a function that gives the blocks of one pass, each time from the first row on."""
    if callable(data):
        return _Called(data)
    if is_source(data):
        return lambda: (b.X if b.weight is None else (b.X, b.weight) for b in data.batches(1))
    if isinstance(data, Iterator):
        raise TypeError(
            f"data is a {type(data).__name__}, which can be read only once; EM makes many passes. Pass an array, or a "
            "callable that returns a new iterator for each pass."
        )
    arrays = data if isinstance(data, tuple) else (data,)
    arrays = tuple(
        array if hasattr(array, "__getitem__") and hasattr(array, "shape") else np.asarray(array) for array in arrays
    )
    n_rows = [_n_rows(array) for array in arrays]
    if len(set(n_rows)) > 1:
        raise ValueError(f"data is a tuple of arrays with {n_rows} rows, expected as many rows in each.")

    def blocks() -> Iterator[Any]:
        for start in range(0, n_rows[0], BLOCK_ROWS):
            block = tuple(array[start : start + BLOCK_ROWS] for array in arrays)
            yield block if isinstance(data, tuple) else block[0]

    return blocks


class _Called:
    """Data that are a callable of the user's, which is called once for each pass."""

    def __init__(self, data: Callable[[], Iterable[Any]]) -> None:
        self._data = data
        # The last iterator is kept alive, so that no new one can have its address.
        self._last: Iterable[Any] | None = None

    def __call__(self) -> Iterable[Any]:
        blocks = self._data()
        if blocks is self._last and isinstance(blocks, Iterator):
            raise TypeError(
                "data() returned the same iterator twice, which one pass exhausts: return a new one at each call."
            )
        self._last = blocks
        return blocks


def _n_rows(block: Any) -> int:
    return len(block[0]) if isinstance(block, tuple) else len(block)


def add_results(a: Any, b: Any) -> Any:
    """Add statistics of two parts of the data, field by field: numbers, arrays, tuples, lists, dicts, dataclasses.

    Raises
    ------
    TypeError
        If the parts are of another kind, or of two kinds.
    ValueError
        If the parts are dicts with different keys, or sequences of different lengths.
    """
    if type(a) is not type(b) and not (np.isscalar(a) and np.isscalar(b)):
        raise TypeError(
            f"statistics of two blocks are a {type(a).__name__} and a {type(b).__name__}, expected one type."
        )
    if hasattr(a, "__add__") and not isinstance(a, (tuple, list)):
        return a + b
    if isinstance(a, tuple) and hasattr(a, "_fields"):
        return type(a)(*map(add_results, a, b))
    if isinstance(a, (tuple, list)):
        return type(a)(add_results(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        if a.keys() != b.keys():
            raise ValueError(f"statistics of two blocks are dicts with the keys {list(a)} and {list(b)}.")
        return {key: add_results(value, b[key]) for key, value in a.items()}
    if is_dataclass(a):
        total = copy.copy(a)
        for field in fields(a):
            object.__setattr__(total, field.name, add_results(getattr(a, field.name), getattr(b, field.name)))
        return total
    raise TypeError(
        f"statistics hold a {type(a).__name__}, expected numbers, arrays, tuples, dicts or dataclasses of them: "
        "give the type an __add__."
    )
