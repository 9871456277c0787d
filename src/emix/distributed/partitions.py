"""The partitions of a dask collection, and the graphs that do one thing with each of them."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Sequence
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
        self._rows = _delayed(rows)
        self.weighted = sample_weight is not None
        self._weight: Sequence[Any] = [None] * len(self._rows)
        if self.weighted:
            self._weight = self._weights(sample_weight)
        self.build = Build.here()

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

    def each(self, function: Callable[..., Any], places: Sequence[Place], *own: Sequence[Any]) -> list[Any]:
        """Return the results of ``function(rows, weight, place, own…)`` of all partitions, in their order."""
        arguments = list(zip(places, *own)) if own else [(place,) for place in places]
        return self._compute(self._tasks(function, arguments))

    def added(
        self, function: Callable[..., Any], places: Sequence[Place], common: Sequence[Any], add: Callable[..., Any]
    ) -> Any:
        """Return the sum of ``function(rows, weight, place, common…)`` over all partitions.

        ``add(shared, results…)`` adds several results in their order, `shared` being the first of `common`. The tree of
        additions follows from the number of partitions alone.
        """
        shared = self._shared(common[0])
        tasks = self._tasks(function, [(place, shared, *common[1:]) for place in places])
        plus, level = self._dask.delayed(add, pure=False), 0
        while len(tasks) > 1:
            groups = [tasks[i : i + FAN_IN] for i in range(0, len(tasks), FAN_IN)]
            names = self._keys(f"emix-add-{level}", len(groups))
            tasks = [
                plus(shared, *group, dask_key_name=name) if len(group) > 1 else group[0]
                for group, name in zip(groups, names)
            ]
            level += 1
        return self._compute(tasks)[0]

    def summed(self, function: Callable[[Any], Any], add: Callable[[Any, Any], Any]) -> Any:
        """Return the sum of ``function(batch)`` over all partitions, by ``add(one, other)``; None without rows."""
        return self.added(mapped_rows, self.places(), [function], partial(_add_mapped, add))

    def places(self) -> list[Place]:
        """Return the places of the partitions, of which nothing else is known."""
        return [Place(number, self.build) for number in range(len(self))]

    def one(self, number: int) -> tuple[Any, Any]:
        """Return the rows of one partition, and their weights or None, in this process."""
        weight = self._weight[number]
        found = self._compute([self._rows[number], *([] if weight is None else [weight])])
        return found[0], found[1] if len(found) > 1 else None

    def _tasks(self, function: Callable[..., Any], arguments: Sequence[Sequence[Any]]) -> list[Any]:
        task = self._dask.delayed(function, pure=False, traverse=False)
        names = self._keys(f"emix-{function.__name__}", len(self))
        return [
            task(rows, weight, *of_partition, dask_key_name=name)
            for rows, weight, of_partition, name in zip(self._rows, self._weight, arguments, names)
        ]

    def _keys(self, name: str, number: int) -> list[str]:
        """Names of tasks, new ones for each pass: a scheduler takes a result that it has by its name."""
        unique = uuid.uuid4().hex
        return [f"{name}-{unique}-{i}" for i in range(number)]

    def _shared(self, value: Any) -> Any:
        """A value that goes to each worker once, and not with each task."""
        return self._dask.delayed(value, pure=False, traverse=False, name=self._keys("emix-request", 1)[0])

    def _compute(self, tasks: Sequence[Any]) -> list[Any]:
        return list(self._dask.compute(*tasks, traverse=False))

    def _client(self) -> Any:
        """The client of distributed that would compute, None if another scheduler would."""
        distributed = sys.modules.get("distributed")
        if distributed is None:
            return None
        owner = getattr(self._dask.base.get_scheduler(collections=[self.rows]), "__self__", None)
        return owner if isinstance(owner, distributed.Client) else None

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
        found = _delayed(given)
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
            count = self._dask.delayed(number_of_rows, pure=False, traverse=False)
            self.lengths = tuple(self._compute([count(rows) for rows in self._rows]))
        if len(weight) != sum(self.lengths):
            raise _other_shape(weight.shape, sum(self.lengths))
        array = require("dask.array", "dask", "fitting a dask collection")
        return array.from_array(weight, chunks=(self.lengths,)).persist()


def is_array(data: Any) -> bool:
    """True if `data` is a dask array."""
    array = sys.modules.get("dask.array")
    return array is not None and isinstance(data, array.Array)


def _delayed(collection: Any) -> list[Any]:
    """Partitions in their order; what makes them is optimized here once, and not in each pass."""
    return list(np.ravel(collection.to_delayed()))


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
            import emix
            from emix.kernel.level import level_in_use
        except ImportError as error:
            return f"{type(error).__name__}: {error}"
        return emix.__version__, level_in_use

    return inquire
