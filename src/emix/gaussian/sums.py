"""The sums over all rows of a source under a given density: requests, outcomes that add, and the verdict on the total.

A pass decides nothing. Its outcome adds: outcomes of batches, of partitions of a cluster, of patterns of missing
values. Whether the sums will do is asked of the total, by `judge`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.operations import operations_of_pass
from emix.kernel import factors
from emix.kernel.factors import KernelDensity, PassOutcome
from emix.kernel.level import has_own_threads, kernel_for
from emix.parallel.threads import plan, run_in_threads
from emix.rows.source import RowSource

__all__ = [
    "Counts", "KernelDensity", "LocalSums", "OriginPart", "Part", "PassOutcome", "PassRequest", "Sums", "judge",
]  # fmt: skip

Array = NDArray[np.float64]

# Statistics are gathered in this many slots (fewer where they are large: SLOT_BYTES in all, MIN_SLOTS at least), a
# number that depends on neither rows nor threads, so that the order of the sums does not either.
MAX_SLOTS, MIN_SLOTS, SLOT_BYTES = 32, 4, 64 << 20

# Nats. A component whose log-density lies further than this (plus log W/N_k, for rare components) below a row's best is
# left out of the row's sums; kernel/shared/limits.pxi has the reason.
NEGLIGIBLE: float = factors.negligible


@lru_cache(maxsize=256)
def _sizes_of_pass(kernel: Any, form: int, K: int, d: int) -> tuple[int, int, int, int, int, int, float]:
    """Return sizes that do not depend on the rows; a fit of few rows would take a twentieth longer to find them.

    They are the rows of a super-block, the numbers of a slot, of an outcome and of a pass's arguments, the most slots,
    the numbers of a workspace, and the operations for a row.
    """
    width, n_sums, n_arguments = factors.sizes_of_pass(form, K, d)
    n_slots = max(MIN_SLOTS, min(MAX_SLOTS, SLOT_BYTES // (8 * (width - 1))))
    n_slots -= n_slots % MIN_SLOTS  # as many for each of 2 or 4 threads: of 15, one of two would have 8
    unit, n_workspace = kernel.super_block_rows(d), kernel.workspace_size(K, d)
    return unit, width, n_sums, n_arguments, n_slots, n_workspace, operations_of_pass(K, d)


class PassRequest(NamedTuple):
    """One pass: all that a worker needs beside its rows.

    Attributes
    ----------
    density : KernelDensity
    before : PassOutcome or None
        The pass before, of all rows of all workers; its N say what is negligible, and nothing else of it is read. None
        leaves nothing out.
    center : ndarray of shape (n_components, n_features) or None
        Centres of the sums. None takes the means, clamped to the columns' range and rounded to the rows' precision.
    columns : Columns
        Ranges of the columns and precision, of all rows of all workers.
    weight_unit : float
        Unit of the rows' weights, the same for all workers.
    parts : mapping
        Requests of shortcuts, by their names; empty on workers.
    """

    density: KernelDensity
    before: PassOutcome | None
    center: Array | None
    columns: factors.Columns
    weight_unit: float = 1.0
    parts: Mapping[str, Any] = {}


class Part(NamedTuple):
    """Rows [first_row, last_row) of a pass, with bounds or plain. A plain part fills its labels, if it has any."""

    first_row: int
    last_row: int
    bounds: tuple[Any, ...] | None = None
    labels: NDArray[np.uint16] | None = None


class OriginPart(NamedTuple):
    """Numbers for sums about a common origin (`allow_origin` of kernel/mstep/pass_buffers.pxi)."""

    limit: float
    least_ridge: Array
    own_centers: Array
    origin: Array | None
    scatter: Array | None


class Counts(NamedTuple):
    """Counts of one pass, by which shortcuts decide.

    Attributes
    ----------
    n_live : float
        Responsibilities above 0 in plain parts.
    n_plain : int
        Rows of plain parts.
    n_computed : float
        Log-densities of a group of rows and a component that were computed in the parts with bounds.
    """

    n_live: float = 0.0
    n_plain: int = 0
    n_computed: float = 0.0

    def plus(self, other: Counts) -> Counts:
        """Return the counts of both sets of rows together."""
        return Counts(self.n_live + other.n_live, self.n_plain + other.n_plain, self.n_computed + other.n_computed)


def judge(total: PassOutcome, request: PassRequest) -> tuple[bool, bool]:
    """Return the verdict on the sums over all rows. It means nothing for a part of them.

    Returns
    -------
    shrunk : bool
        A component has lost so much weight since the pass before that what was negligible for it may not be.
    cancels : bool
        A component's mean moves so far that the sums about these centres hold nothing else.
    """
    return factors.judge(request.density, request.before, request.columns, total)


class Sums(Protocol):
    """Takes sums over the rows of a source, wherever they lie.

    A source whose rows are elsewhere makes its own: `RowSource.sums`, where it has it, is called with the number of
    components and the leave to pack rows, as of `LocalSums`.
    """

    @property
    def lone(self) -> factors.LonePass | None:
        """A pass as one call, where there is one."""

    def take(self, request: PassRequest) -> PassOutcome:
        """Return the sums over all rows under the request's density."""


class LocalSums:
    """Sums over the rows that this process reads.

    Parameters
    ----------
    source : RowSource
    form : int
        Code of the covariance form.
    n_components : int
    n_threads : int or None
        None: what the process may use; one thread for small work. Sums do not depend on it.
    packing : bool
        Gather live rows where few are live. Sums differ by rounding.
    sketch : ndarray of float32 or None
        Room for a first look (`emix.gaussian.shortcuts.screen`).

    Attributes
    ----------
    n_threads : int
        Threads of a pass.
    kernel : module
        The compiled kernel for the rows' dtype.
    buffers : PassBuffers
        The arguments of a pass, and its sums.
    lone : LonePass or None
        A pass without shortcuts as one call, where one thread takes all rows.
    n_sums : int
        Numbers of an outcome.
    """

    def __init__(
        self,
        source: RowSource,
        form: int,
        n_components: int,
        n_threads: int | None = None,
        packing: bool = True,
        sketch: NDArray[np.float32] | None = None,
    ) -> None:
        K, d = n_components, source.n_features
        self.source = source
        self._n_rows = n_rows = source.n_rows
        self.kernel = kernel = kernel_for(source.dtype)
        sizes = _sizes_of_pass(kernel, form, K, d)
        self._unit, width, self.n_sums, n_arguments, most_slots, n_workspace, operations = sizes
        n_slots = min(most_slots, -(-n_rows // self._unit))
        own_threads = has_own_threads()
        most = 1 if own_threads else n_slots
        self.n_threads, self._rows_per_call = plan(n_rows, operations, self._unit, n_threads, most)
        slots = np.zeros((n_slots, width))
        arguments = np.empty(n_arguments)
        rounded = np.empty(n_arguments, np.float32) if source.dtype.char == "f" else None
        workspaces = np.empty((self.n_threads, n_workspace), source.dtype)
        self.buffers = factors.PassBuffers(form, K, d, NEGLIGIBLE, arguments, rounded, slots, sketch)
        self._accumulator = kernel.Accumulator(
            form, K, d, arguments if rounded is None else rounded, workspaces, slots, sketch, packing
        )
        self._origin: OriginPart | None = None
        whole = source.whole
        self._rows: Any = None if whole is None else kernel.Rows(whole.X, whole.weight)
        self.lone: factors.LonePass | None = None
        in_one_call = self.n_threads == 1 and n_rows <= self._rows_per_call
        if self._rows is not None and in_one_call and not (self.buffers.shared or own_threads):
            self.lone = factors.LonePass(self.buffers, self._accumulator, self._rows)

    def take(self, request: PassRequest) -> PassOutcome:
        """Return the sums over all rows under the request's density."""
        density, before, center, columns, weight_unit, parts = request
        if weight_unit != self.source.weight_unit:
            raise ValueError(
                f"the weights of the rows are in units of {self.source.weight_unit:g}, expected {weight_unit:g}, the "
                "unit of all rows: sums in different units cannot be added."
            )
        origin: OriginPart | None = parts.get("origin")
        if origin is not None and origin is not self._origin:
            self.buffers.allow_origin(*origin)
            self._origin = origin
        counts = None
        self.buffers.begin(density, before, center, columns, origin is not None, parts.get("screen", False))
        if "bounds" in parts or "screen" in parts:
            counts = self._sweep_in_parts(parts.get("bounds") or [Part(0, self._n_rows)])
        else:
            self._sweep()
        return self._outcome(counts)

    def _outcome(self, counts: Counts | None = None) -> PassOutcome:
        """The sum of the slots."""
        buffers, outcome = self.buffers, PassOutcome(np.empty(self.n_sums))
        outcome.counts = counts
        if buffers.shared:
            run_in_threads(lambda thread, stop: buffers.add(thread, self.n_threads, outcome.packed), self.n_threads)
        buffers.end(outcome)
        return outcome

    def _sweep(self) -> None:
        """Add all rows to the slots."""
        if self._rows is not None:
            self._sweep_batch(self._rows, 0, self._n_rows, first=True)
            return
        expected = 0
        for batch in self.source.batches(self._unit):
            first_row, n_rows = batch.first_row, len(batch.X)
            if first_row != expected:
                raise self._not_the_rows(f"a batch that begins at row {first_row}", f"row {expected}")
            expected += n_rows
            if n_rows:
                rows = self.kernel.Rows(batch.X, batch.weight, first_row)
                self._sweep_batch(rows, first_row, expected, first=first_row == 0)
        if expected != self._n_rows:
            raise self._not_the_rows(f"{expected} rows", f"{self._n_rows}")

    def _not_the_rows(self, found: str, expected: str) -> ValueError:
        return ValueError(
            f"batches() of a {type(self.source).__name__} gave {found}, expected {expected}: each call must hand out "
            "all rows anew, in their order, from the first on."
        )

    def _sweep_batch(self, rows: Any, first_row: int, last_row: int, *, first: bool) -> None:
        """Add rows to the slots, which the first batch of a pass empties."""
        step = self._rows_per_call

        def share(thread: int, stop: NDArray[np.int32] | None) -> None:
            if first and self.buffers.shared:
                self.buffers.empty(thread, self.n_threads)
            for start in range(first_row, last_row, step):
                self._accumulator.accumulate(rows, thread, start, min(start + step, last_row), stop)

        run_in_threads(share, self.n_threads)

    def _sweep_in_parts(self, parts: list[Part]) -> Counts:
        """Add rows in memory to the slots part by part, and count."""
        accumulator, rows, step = self._accumulator, self._rows, self._rows_per_call
        found = np.zeros((self.n_threads, 2))

        def share(thread: int, stop: NDArray[np.int32] | None) -> None:
            if self.buffers.shared:
                self.buffers.empty(thread, self.n_threads)
            for first_row, last_row, bounds, labels in parts:
                for first in range(first_row, last_row, step):
                    place = rows, thread, first, min(first + step, last_row)
                    if bounds is not None:
                        found[thread, 1] += accumulator.accumulate_bounded(*place, *bounds, stop)
                    elif labels is not None:
                        found[thread, 0] += accumulator.accumulate_labelled(*place, first_row, labels, stop)
                    else:
                        found[thread, 0] += accumulator.accumulate(*place, stop)

        run_in_threads(share, self.n_threads)
        n_live, n_computed = found.sum(axis=0)
        n_plain = sum(part.last_row - part.first_row for part in parts if part.bounds is None)
        return Counts(float(n_live), n_plain, float(n_computed))
