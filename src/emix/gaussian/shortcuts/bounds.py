"""Bounds that carry over from one pass to the next: components are left out of groups of rows without a look at them.

kernel/estep/bounds.pxi has the bound and its proof. It holds for groups of neighbouring rows, so rows are visited in
the order of their best component, within windows of 65 536 rows; the rows themselves stay where they are.

Bounds cost up to a third of a pass where they leave nothing out, as with components that overlap. So counts decide
where they are taken: first on a sample of the rows, and once given up, again only when fewer responsibilities are above
0:

    sample labelled → sample bounded, twice → (it pays) all labelled → all bounded, until it no longer pays

A pass in full leaves out nothing, however negligible. It says nothing of other passes, and decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.sums import KernelDensity, Part, PassOutcome, PassRequest
from emix.kernel import factors
from emix.kernel.level import kernel_for
from emix.parallel.threads import part_of_thread, run_in_threads
from emix.rows.source import RowSource

if TYPE_CHECKING:
    from emix.gaussian.model import GaussianModel

__all__ = ["Bounds", "CarriedBounds"]

# Fewer rows or components than these leave nothing to gain, nor does one column, whose log-densities cost less than a
# group's bookkeeping (measured, 8 separate components: 1.3 times the time of plain passes in one column, 0.7 times in
# two). More components than MAX_COMPONENTS would take more than 12 bytes a row.
MIN_ROWS, MIN_COMPONENTS, MIN_FEATURES, MAX_COMPONENTS = 16_384, 6, 2, 512

# The sample: one row in 16, but enough for several groups of each component.
SAMPLE_SHARE, SAMPLE_ROWS, SAMPLE_ROWS_PER_COMPONENT = 16, 4_096, 128

# Bounds pay where no more than this share of the log-densities of groups and components is computed. Measured, the time
# over that of a plain pass at shares of 0.45, 0.65 and 0.85: full 0.6, 0.9, 1.1; the others, whose plain passes take
# components in tiles of four (kernel/estep/origin.pxi), 0.8, 0.95, 1.2; within 0.1 for 8 to 128 components, 2 to 32
# columns.
PAYS = 0.6

# They are tried anew once the share of responsibilities above 0 has fallen by this factor.
RETRY = 0.6

# Passes with bounds after which rows are ordered anew, as components settle, unless a new order could gain little.
REORDERED_AFTER, GOOD_ENOUGH = (3, 12, 48), 0.1


class Bounds:
    """The passes of one run, with bounds where they pay.

    Parameters
    ----------
    kernel : module
        The compiled kernel.
    n_rows, n_components, n_features : int
    n_threads : int
        Threads that carry bounds from one density to the next, a matrix product for each component.

    Attributes
    ----------
    carried : CarriedBounds or None
        The bounds that the next pass uses.
    says_little : bool
        True if the next pass with bounds computes more than the passes after it, so that its counts decide nothing.
    """

    name: ClassVar[str] = "bounds"
    room: NDArray[np.float32] | None = None

    def __init__(self, kernel: Any, n_rows: int, n_components: int, n_features: int, n_threads: int = 1) -> None:
        self._kernel, self._n_rows, self._n_components, self._n_threads = kernel, n_rows, n_components, n_threads
        self._super_block = kernel.super_block_rows(n_features)
        self._all = (0, n_rows)
        self._sample = self._rows_of_sample()
        self._region = self._sample
        self._labels: NDArray[np.uint16] | None = self._room()
        self.carried: CarriedBounds | None = None
        self._passes = 0  # with the bounds that there are
        self.says_little = False
        # The share of responsibilities above 0 when they were last tried; None: the next plain pass tells
        self._tried_at: float | None = 1.0

    @classmethod
    def for_run(cls, source: RowSource, model: GaussianModel) -> Self | None:
        """Return the bounds of a run, None where they could never pay."""
        K, d, n_rows = model.n_components, model.n_features, source.n_rows
        if not cls.may_pay(n_rows, K, d):
            return None
        threads = model.structure.form.threads_of_matrices(K, d, model.n_threads)
        return cls(kernel_for(source.dtype), n_rows, K, d, threads)

    @staticmethod
    def may_pay(n_rows: int, n_components: int, n_features: int) -> bool:
        """True if bounds could pay for this shape."""
        return n_rows >= MIN_ROWS and MIN_COMPONENTS <= n_components <= MAX_COMPONENTS and n_features >= MIN_FEATURES

    @property
    def region(self) -> tuple[int, int] | None:
        """First and last row of those that the next pass takes with bounds, None if there are none."""
        return None if self.carried is None else self._region

    def before(self, request: PassRequest) -> PassRequest:
        """Return the request with the parts of the pass."""
        return request._replace(parts={**request.parts, "bounds": self.parts(request.density)})

    def holds(self, request: PassRequest, outcome: PassOutcome) -> bool:
        """Bounds leave out nothing that counts: sums are always exact enough."""
        return True

    def after(self, request: PassRequest, outcome: PassOutcome) -> None:
        """Decide on the next pass."""
        counts = outcome.counts
        self.learn(counts.n_live, counts.n_computed, in_full=request.before is None)

    def parts(self, density: KernelDensity) -> list[Part]:
        """Return the parts of a pass under the density."""
        first, last = self._region
        if self.carried is not None:
            if self._region == self._all and self._passes in REORDERED_AFTER:
                self._labels = self._room()
            part = Part(first, last, bounds=self.carried.arguments(density, self._labels, self._n_threads))
        elif self._labels is not None:
            part = Part(first, last, labels=self._labels)
        else:
            return [Part(0, self._n_rows)]
        parts = [Part(0, first), part, Part(last, self._n_rows)]
        return [part for part in parts if part.first_row < part.last_row]

    def learn(self, n_live: float, n_computed: float, *, in_full: bool) -> None:
        """Decide on the next pass.

        Parameters
        ----------
        n_live : float
            Responsibilities above 0 in the plain parts.
        n_computed : float
            Log-densities of a group and component that were computed in the part with bounds.
        in_full : bool
            True if nothing was negligible: all log-densities were computed, and responsibilities count down to
            exp(−708).
        """
        first, last = self._region
        n_plain = self._n_rows if self.carried is None else self._n_rows - (last - first)
        live_share = n_live / (n_plain * self._n_components) if n_plain else None
        if self.carried is None:
            if self._labels is not None:
                self.carried = CarriedBounds(self._kernel, first, self._labels, self._n_components)
                self._passes, self.says_little, self._labels = 0, True, None
            elif in_full:
                return
            elif self._tried_at is None:
                self._tried_at = live_share
            elif live_share is not None and live_share < RETRY * self._tried_at:
                self._try(self._sample)
            return
        if in_full:
            # The next pass computes what counted in this one, however little, and so says nothing either.
            self.says_little = True
            return
        share = n_computed / self.carried.size
        self._passes += 1
        if self.says_little:  # nothing carried yet, in a new order
            self.says_little = False
            return
        if share > PAYS:
            self.carried = self._labels = None
            self._tried_at = live_share
        elif self._region != self._all:
            self._try(self._all)
        elif self._labels is not None:
            if share > GOOD_ENOUGH:
                self.carried.order_rows(self._labels)
                self.says_little = True
            self._labels = None

    def _try(self, region: tuple[int, int]) -> None:
        self._region, self.carried = region, None
        self._labels = self._room()

    def _room(self) -> NDArray[np.uint16]:
        first, last = self._region
        return np.empty(last - first, dtype=np.uint16)

    def _rows_of_sample(self) -> tuple[int, int]:
        """From the middle on, in whole super-blocks; all rows where the sample would be most of them."""
        unit = self._super_block
        enough = max(SAMPLE_ROWS, SAMPLE_ROWS_PER_COMPONENT * self._n_components, self._n_rows // SAMPLE_SHARE)
        size = -(-enough // unit) * unit
        if 2 * size > self._n_rows:
            return self._all
        first = (self._n_rows - size) // 2 // unit * unit
        return first, first + size


# A distance of which nothing is known, but that the component need not be computed first.
UNKNOWN = np.float32(1e-30)


class CarriedBounds:
    """The bounds of some rows of one run.

    They take 2 bytes a row for the order, 2 more while that is made, and 4 K for each group of 128 rows (256 from
    K = 129 on): 8 bytes a row in all up to K = 256, 12 for 512.

    Parameters
    ----------
    kernel : module
        The compiled kernel.
    first_row : int
        A multiple of what the kernel's super_block_rows says for the fit.
    labels : ndarray of shape (n_rows,), uint16
        The best component of each row from `first_row` on.
    n_components : int

    Attributes
    ----------
    size : int
        Groups × components: log-densities of a pass that leaves out none.
    order : ndarray of shape (n_rows,), uint16
        The rows in the order of their visits: their places within their windows.
    near : ndarray of shape (n_groups, n_components), float32
        Its magnitude is the least whitened distance that any row of a group can have from a component. It is negative
        for a component that counted in the last pass.
    """

    def __init__(self, kernel: Any, first_row: int, labels: NDArray[np.uint16], n_components: int) -> None:
        self._group, self._window = kernel.group_rows(n_components), kernel.window_rows
        self._first_row = first_row
        self.order = np.empty(len(labels), dtype=np.uint16)
        self.near = np.empty((-(-len(labels) // self._group), n_components), dtype=np.float32)
        self._before: KernelDensity | None = None
        self.size = self.near.size
        self.order_rows(labels)

    def order_rows(self, labels: NDArray[np.uint16]) -> None:
        """Take a new order, in which nothing is known of any distance."""
        self.near[:] = UNKNOWN
        start = 0
        while start < len(labels):
            place = (self._first_row + start) % self._window
            found = labels[start : start + self._window - place]
            # A stable sort of 16-bit numbers is a radix sort.
            order = np.argsort(found, kind="stable")
            self.order[start : start + len(found)] = order + place
            self.near[(start + np.arange(len(found))) // self._group, found[order]] = 0.0
            start += len(found)

    def arguments(
        self, density: KernelDensity, labels: NDArray[np.uint16] | None, n_threads: int = 1
    ) -> tuple[Any, ...]:
        """Return the arguments of `Accumulator.accumulate_bounded` for a pass under the density.

        They are the first row, the order, `near`, the factors and the moves that carry it, and labels to fill or None.
        The density of every pass must come through here, one after the other.
        """
        before, self._before = self._before, density
        form, K, d, numbers = density.form, density.n_components, density.n_features, density.packed
        shrink, moved = np.zeros(K, dtype=np.float32), np.zeros(K, dtype=np.float32)
        if before is not None:
            last = before.packed

            def share(thread: int, stop: NDArray[np.int32] | None) -> None:
                part = part_of_thread(thread, n_threads, K)
                factors.carry(form, K, d, last, numbers, *part, shrink, moved, np.empty(d))

            run_in_threads(share, n_threads)
        return self._first_row, self.order, self.near, shrink, moved, labels
