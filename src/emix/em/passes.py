"""One pass of a model over its data: whole, or block by block with the results added."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

__all__ = ["add_results", "begin_passes"]

# Rows of a block that a by_rows model is given from an array.
BLOCK_ROWS = 8192


def begin_passes(model: Any, data: Any) -> Any:
    """Return an object with ``e_step(parameters)`` for the passes of one fit, and what stopping needs to know.

    That is ``weight``, the total weight of the data; ``dtype``, the precision of their log-densities; and
    ``effective_rows()``, how many rows of equal weight they are worth.
    """
    if hasattr(model, "begin"):
        return _Begun(model, data)
    if getattr(model, "by_rows", False):
        return _ByRows(model, data)
    return _Whole(model, data)


class _Whole:
    """The model is given all data at once."""

    dtype = "float64"

    def __init__(self, model: Any, data: Any) -> None:
        self._model, self._data = model, data
        self.weight = _weight(model, data)

    def effective_rows(self) -> float:
        return self.weight

    def e_step(self, parameters: Any) -> tuple[Any, float]:
        return _checked(self._model.e_step(self._data, parameters))


class _Begun:
    """The model keeps what it needs between passes in an object of its own."""

    def __init__(self, model: Any, data: Any) -> None:
        self._run = model.begin(data)
        # What `begin` returns may be the model itself, whose `weight` is a method.
        weight: Any = getattr(self._run, "weight", None)
        self.weight = float(weight) if _is_number(weight) else _weight(model, data)
        self.dtype = getattr(self._run, "dtype", "float64")

    def e_step(self, parameters: Any) -> tuple[Any, float]:
        found: Any = self._run.e_step(parameters)
        if type(found) is not tuple or len(found) != 2 or type(found[1]) is not float:
            found = _checked(found)
        self.__dict__["e_step"] = self._run.e_step  # once looked at, the others are mere calls
        statistics, log_likelihood = found
        return statistics, log_likelihood

    def effective_rows(self) -> float:
        rows: Any = getattr(self._run, "effective_rows", None)
        return float(rows) if _is_number(rows) else self.weight


class _ByRows:
    """The model is given one block of rows after another."""

    dtype = "float64"

    def __init__(self, model: Any, data: Any) -> None:
        self._model = model
        self._blocks = _blocks_of(data)
        if hasattr(model, "weight"):
            self.weight = sum(_weight(model, block) for block in self._blocks())
        else:
            self.weight = float(sum(_n_rows(block) for block in self._blocks()))
        if self.weight <= 0.0:
            raise ValueError("data has no rows, expected at least one.")

    def effective_rows(self) -> float:
        return self.weight

    def e_step(self, parameters: Any) -> tuple[Any, float]:
        statistics, total = None, 0.0
        for block in self._blocks():
            part, log_likelihood = _checked(self._model.e_step(block, parameters))
            statistics = part if statistics is None else add_results(statistics, part)
            total += log_likelihood
        if statistics is None:
            raise ValueError("data gave no blocks on this pass: a callable must return a new iterator each time.")
        return statistics, total


def _weight(model: Any, data: Any) -> float:
    if not hasattr(model, "weight"):
        return 1.0
    weight = model.weight(data)
    if type(weight) is float:
        return weight
    if not _is_number(weight):
        raise TypeError(f"weight returned {_kind_of(weight)}, expected one number: the total weight of the data.")
    return float(weight)


def _checked(found: Any) -> tuple[Any, float]:
    """Return the statistics and the log-likelihood that an E-step returned, or say what is wrong with them."""
    if not isinstance(found, tuple) or len(found) != 2:
        raise TypeError(f"e_step returned {_kind_of(found)}, expected a tuple: (statistics, log_likelihood).")
    statistics, log_likelihood = found
    if not _is_number(log_likelihood):
        advice = "sum it over the rows"
        if _is_number(statistics):
            advice += ", unless the two are in the wrong order"
        raise TypeError(
            f"e_step returned {_kind_of(log_likelihood)} as its log-likelihood, expected (statistics, log_likelihood) "
            f"with one number, the total of the data: {advice}."
        )
    return statistics, float(log_likelihood)


def _is_number(value: Any) -> bool:
    """A real number of Python's or of an array library, which may be an array without dimensions."""
    if isinstance(value, (float, int)):  # as a rule
        return True
    is_real = hasattr(value, "__float__") and not isinstance(value, (complex, np.complexfloating))
    return is_real and np.shape(value) == ()


def _kind_of(value: Any) -> str:
    """Describe a value in a few words: arrays may be long."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"an array of shape {tuple(shape)}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}, {value!r:.60}"


def _blocks_of(data: Any) -> Callable[[], Iterable[Any]]:
    if callable(data):
        return _Called(data)
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
    """A callable of the user's, called once for each pass."""

    def __init__(self, data: Callable[[], Iterable[Any]]) -> None:
        self._data = data
        # Held on to: the next iterator could otherwise be a new one at the same address.
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
        If they are of another kind, or of two kinds.
    ValueError
        If they are dicts with different keys, or sequences of different lengths.
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
