"""Sums over the rows of a dask collection: the request goes out, each partition's sums are taken where it lies."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from emix.distributed.tasks import add_requested, summed_rows
from emix.gaussian.sums import PassOutcome, PassRequest

if TYPE_CHECKING:
    from emix.distributed.source import DaskSource

__all__ = ["DistributedSums"]


class DistributedSums:
    """Sums over the rows of all partitions, added in a tree that their numbers fix: a `Sums`.

    The bits depend on the partitions, and neither on workers nor on the scheduler.

    Parameters
    ----------
    source : DaskSource
    n_components : int
    packing : bool
        As of `LocalSums`.

    Attributes
    ----------
    lone : None
        No pass is one call.
    """

    lone = None

    def __init__(self, source: DaskSource, n_components: int, packing: bool) -> None:
        self._source, self._n_components, self._packing = source, n_components, packing

    def take(self, request: PassRequest) -> PassOutcome:
        """Return the sums over all rows under the request's density."""
        before = request.before
        if before is not None:
            # A pass reads only N of the one before; the rest need not travel.
            before = PassOutcome(before.packed[: self._n_components].copy())
        request = request._replace(before=before)
        source = self._source
        task = partial(summed_rows, n_components=self._n_components, packing=self._packing, divisor=source.weight_unit)
        tasks = [partial(task, place=place) for place in source.places()]
        found: PassOutcome = source.partitions.added(tasks, request, add_requested)
        return found
