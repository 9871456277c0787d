"""The partitions of a dask collection, and the graphs that do one thing with each of them."""

from __future__ import annotations

import importlib
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from emix.distributed.tasks import Build, Place, add_all, check_build, mapped_rows, number_of_rows
from emix.requirements import require
from emix.rows.conversion import as_numbers

__all__ = ["Partitions", "is_array"]

# So many outcomes are added by one task: fewer tasks than by pairs, and few enough that they are soon at hand.
FAN_IN = 8


class Partitions:
    """Partitions of rows, and of their weights if there are weights.

    Parameters
    ----------
    rows : dask array or dask data frame
    sample_weight : dask array, dask series, array_like of shape (n_rows,), or None
        Those of a dask collection have as many partitions as the rows, or lie in an array of known length.
    name : str
        Of the rows in messages.

    Attributes
    ----------
    rows
        As they were passed, an array with whole rows in each block.
    lengths : tuple of int or None
        Numbers of rows, where they are known before a pass.
    feature_names : tuple of str or None
        Names of the columns, as the collection has them.
    n_features : int
    weighted : bool
    """

    def __init__(self, rows: Any, sample_weight: Any = None, name: str = "X") -> None:
        self._dask = require("dask", "dask", "fitting a dask collection")
        try:
            self._spec = importlib.import_module("dask.task_spec")
        except ImportError:  # its name before
            self._spec = importlib.import_module("dask._task_spec")
        self.lengths: tuple[int, ...] | None = None
        self.feature_names: tuple[str, ...] | None = None
        if is_array(rows):
            if rows.ndim != 2:
                raise ValueError(
                    f"Expected 2D array, got {rows.ndim}D array instead: {name} is a dask array of shape {rows.shape}. "
                    "It has one row for each sample, one column for each feature."
                )
            rows = rows.rechunk({1: -1}) if len(rows.chunks[1]) > 1 else rows
            if not np.isnan(rows.chunks[0]).any():
                self.lengths = tuple(rows.chunks[0])
        elif hasattr(type(rows), "to_delayed") and hasattr(type(rows), "columns") and rows.ndim == 2:
            names = tuple(rows.columns)
            self.feature_names = names if all(isinstance(name, str) for name in names) else None
        else:
            raise TypeError(
                f"{name} is a dask {type(rows).__name__}, expected a dask array or data frame of two dimensions. Make "
                "it one, for example with dask.array.from_delayed or dask.dataframe.from_delayed."
            )
        self.rows, self.n_features = rows, int(rows.shape[1])
        self.build = Build.here()
        self._graph: dict[Any, Any] = {}
        self._rows = self._keys_of(rows)
        self._weight: list[Any] = [None] * len(self._rows)
        self.weighted = sample_weight is not None
        if self.weighted:
            self._weight = self._weights(sample_weight)

    def __len__(self) -> int:
        return len(self._rows)

    def check_workers(self) -> None:
        """Refuse workers of `distributed` that cannot import emix, or have another version or level of it.

        Raises
        ------
        RuntimeError
            With the address of a worker. Workers that come later are refused by their first task.
        """
        client = self._client()
        if client is None:
            return
        inquire = _inquiry()
        found = {"The scheduler": client.run_on_scheduler(inquire)}
        found |= {f"The worker {address}": answer for address, answer in sorted(client.run(inquire).items())}
        for who, answer in found.items():
            if isinstance(answer, str):
                raise RuntimeError(
                    f"{who} cannot import emix ({answer}). Install emix {self.build.version}, the version of this "
                    "process, in the environment of the scheduler and of all workers."
                )
            # The scheduler adds nothing: its level does not matter.
            check_build(self.build, Build(answer[0], self.build.level if who == "The scheduler" else answer[1]), who)

    def each(self, tasks: Sequence[Callable[[Any, Any], Any]]) -> list[Any]:
        """Return the results of ``task(rows, weight)``, one task for each partition, in their order."""
        graph, keys = dict(self._graph), self._names("emix-partition", len(tasks))
        for key, task, rows, weight in zip(keys, tasks, self._rows, self._weight):
            graph[key] = self._task(key, task, rows, weight)
        return self._get(graph, keys)

    def added(self, tasks: Sequence[Callable[[Any, Any, Any], Any]], shared: Any, add: Callable[..., Any]) -> Any:
        """Return the sum of ``task(rows, weight, shared)`` over all partitions.

        ``add(shared, results…)`` adds several results in their order. The tree of additions follows from the number of
        partitions alone.
        """
        graph, keys = dict(self._graph), self._names("emix-sums", len(tasks))
        [common] = self._names("emix-request", 1)
        graph[common] = self._task(common, partial(_itself, shared))
        for key, task, rows, weight in zip(keys, tasks, self._rows, self._weight):
            graph[key] = self._task(key, task, rows, weight, common)
        while len(keys) > 1:
            groups = [keys[i : i + FAN_IN] for i in range(0, len(keys), FAN_IN)]
            keys = self._names("emix-add", len(groups))
            graph |= {key: self._task(key, add, common, *group) for key, group in zip(keys, groups)}
        return self._get(graph, keys)[0]

    def summed(self, function: Callable[[Any], Any], add: Callable[[Any, Any], Any]) -> Any:
        """Return the sum of ``function(batch)`` over all partitions, by ``add(one, other)``; None without rows."""
        tasks = [partial(mapped_rows, place=place) for place in self.places()]
        return self.added(tasks, function, partial(_add_mapped, add))

    def places(self) -> list[Place]:
        """Return the places of the partitions, of which nothing else is known."""
        return [Place(number, self.build) for number in range(len(self))]

    def one(self, number: int) -> tuple[Any, Any]:
        """Return the rows of one partition, and their weights or None, in this process."""
        rows, weight = self._rows[number], self._weight[number]
        found = self._get(self._graph, [rows] if weight is None else [rows, weight])
        return found[0], None if weight is None else found[1]

    def _task(self, key: Any, function: Callable[..., Any], *arguments: Any) -> Any:
        """A task whose arguments are the results of others, by their keys, or None."""
        spec = self._spec
        return spec.Task(key, _Call(function, key), *(None if one is None else spec.TaskRef(one) for one in arguments))

    def _names(self, name: str, number: int) -> list[str]:
        """Names of tasks, new ones for each pass: a scheduler takes a result that it has by its name."""
        unique = uuid.uuid4().hex
        return [f"{name}-{unique}-{i}" for i in range(number)]

    def _get(self, graph: Mapping[Any, Any], keys: list[Any]) -> list[Any]:
        """Results of a graph, by the scheduler that dask would use for the rows."""
        return list(self._scheduler()(graph, keys))

    def _scheduler(self) -> Any:
        return self._dask.base.get_scheduler(collections=[self.rows])

    def _client(self) -> Any:
        """The client of distributed that would compute, None if another scheduler would."""
        distributed = sys.modules.get("distributed")
        if distributed is None:
            return None
        owner = getattr(self._scheduler(), "__self__", None)
        return owner if isinstance(owner, distributed.Client) else None

    def _keys_of(self, collection: Any) -> list[Any]:
        """Keys of the partitions in their order. What makes them is optimized here once, and not in each pass."""
        parts, seen = np.ravel(collection.to_delayed()), set()
        for part in parts:
            graph = part.__dask_graph__()
            if id(graph) not in seen:  # the same for all
                seen.add(id(graph))
                self._graph.update(graph)
        return [part.key for part in parts]

    def _weights(self, given: Any) -> list[Any]:
        """Weights partition by partition."""
        if isinstance(given, str):
            raise TypeError(
                f"sample_weight is {given!r}, expected one weight for each row. Pass the column of a data frame "
                f"itself, such as frame[{given!r}]."
            )
        is_dask = self._dask.is_dask_collection(given)
        if not is_dask:
            given = self._of_local(given)
        if not hasattr(type(given), "ndim") or given.ndim != 1:
            raise ValueError(
                f"Sample weights must be 1D: sample_weight is a dask {type(given).__name__}, expected a series or an "
                "array of one dimension: one weight for each row."
            )
        if is_array(given) and self.lengths is not None and not np.isnan(given.chunks[0]).any():
            n_rows = sum(self.lengths)
            if given.shape != (n_rows,):
                raise _other_shape(given.shape, n_rows)
            given = given.rechunk((self.lengths,))
        self._weights_held = given  # workers forget what no collection holds
        found = self._keys_of(given)
        if len(found) != len(self):
            raise ValueError(
                f"sample_weight has {len(found)} partitions, expected {len(self)}, as X has: one weight for each row, "
                "in the same partitions."
            )
        return found

    def _of_local(self, given: Any) -> Any:
        """Weights that lie in this process as a dask array that is sent out once and not in each pass."""
        weight = as_numbers(given, "sample_weight")
        if weight.ndim != 1:
            raise ValueError(
                f"Sample weights must be 1D: sample_weight has shape {weight.shape}, expected one weight for each row."
            )
        if self.lengths is None:
            self.lengths = tuple(self.each([number_of_rows] * len(self)))
        if len(weight) != sum(self.lengths):
            raise _other_shape(weight.shape, sum(self.lengths))
        array = require("dask.array", "dask", "fitting a dask collection")
        return array.from_array(weight, chunks=(self.lengths,)).persist()


def is_array(data: Any) -> bool:
    """True if `data` is a dask array."""
    array = sys.modules.get("dask.array")
    return array is not None and isinstance(data, array.Array)


class _Call:
    """A function as dask calls it, with a name of its own: to work one out from what it holds may take milliseconds."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function, self._name = function, name

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __dask_tokenize__(self) -> str:
        return self._name


def _itself(value: Any) -> Any:
    return value


def _add_mapped(add: Callable[[Any, Any], Any], shared: Any, *results: Any) -> Any:
    return add_all(add, *results)


def _other_shape(shape: tuple[int, ...], n_rows: int) -> ValueError:
    return ValueError(
        f"sample_weight.shape == {shape}, expected ({n_rows},): one weight for each row of X, of which there are "
        f"{n_rows}."
    )


def _inquiry() -> Callable[[], tuple[str, str] | str]:
    """Return a function that tells version and level, or the error of an import.

    It is within another, so that dask sends its code and not its name: a worker may not have emix.
    """

    def inquire() -> tuple[str, str] | str:
        try:
            from emix import __version__
            from emix.kernel.level import level_in_use
        except ImportError as error:
            return f"{type(error).__name__}: {error}"
        return __version__, level_in_use

    return inquire
