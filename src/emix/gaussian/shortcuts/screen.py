"""A first look in single precision: only the rows in which a component may count get its log-density.

kernel/estep/screen.pxi has the bound and its proof. It does not change a bit of the sums. Counts alone decide which
passes take it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.sums import PassOutcome, PassRequest
from emix.kernel import factors
from emix.kernel.layout import FULL
from emix.kernel.level import kernel_for
from emix.rows.source import RowSource

if TYPE_CHECKING:
    from emix.gaussian.model import GaussianModel

__all__ = ["Screen"]

# With fewer rows there is little to gain, and so with one component or two, which are mostly live.
MIN_ROWS, MIN_COMPONENTS = 2_048, 3

# The log-densities' cost, over that without it, at which it is taken: they are half of a pass and more.
PAYS = 0.95


class Screen:
    """The first looks of one run.

    Parameters
    ----------
    kernel : module
        The compiled kernel.
    n_components, n_features : int

    Attributes
    ----------
    room : ndarray of float32
        Room for what a first look needs of a density.
    pays : bool
        True if the next pass takes one.
    """

    name: ClassVar[str] = "screen"

    def __init__(self, kernel: Any, n_components: int, n_features: int) -> None:
        self._kernel, self._n_components, self._n_features = kernel, n_components, n_features
        self.room: NDArray[np.float32] | None = np.empty(factors.sketch_size(n_components, n_features), np.float32)
        self.pays = False

    @staticmethod
    def may_pay(kernel: Any, form: int, n_rows: int, n_components: int, n_features: int) -> bool:
        """True if a first look could pay for this shape."""
        return (
            form == FULL
            and n_rows >= MIN_ROWS
            and n_components >= MIN_COMPONENTS
            and kernel.cost_of_first_look(n_features, 1.0 / n_components) < PAYS
        )

    @classmethod
    def for_run(cls, source: RowSource, model: GaussianModel) -> Self | None:
        """Return the first looks of a run, None where they could never pay."""
        K, d = model.n_components, model.n_features
        # The commonest reasons against them come first: a small fit asks no more.
        if source.n_rows < MIN_ROWS or not cls.may_pay(
            kernel := kernel_for(source.dtype), model.structure.form.code, source.n_rows, K, d
        ):
            return None
        return cls(kernel, K, d)

    def before(self, request: PassRequest) -> PassRequest:
        """Ask for a first look, where it pays and rows are left for it."""
        parts = request.parts.get("bounds")
        wanted = self.pays and (parts is None or any(part.bounds is None for part in parts))
        return request._replace(parts={**request.parts, "screen": wanted})

    def holds(self, request: PassRequest, outcome: PassOutcome) -> bool:
        """A first look changes no bit: sums are always exact enough."""
        return True

    def after(self, request: PassRequest, outcome: PassOutcome) -> None:
        """Decide on the next pass by the share of responsibilities above 0; a pass in full does not tell it."""
        counts = outcome.counts
        if counts.n_plain and request.before is not None:
            live_share = counts.n_live / (counts.n_plain * self._n_components)
            self.pays = self._kernel.cost_of_first_look(self._n_features, live_share) < PAYS
