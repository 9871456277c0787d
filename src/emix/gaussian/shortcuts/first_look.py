"""Whether passes of a fit take a first look in single precision, decided by counts alone.

kernel/screen.pxi has what that is. It does not change a bit of what a pass gives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.gaussian.structures import CovarianceStructure
from emix.kernel import factors

__all__ = ["FirstLook"]

# With fewer rows there is little to gain, and so with one component or two, which are mostly live.
MIN_ROWS, MIN_COMPONENTS = 2_048, 3

# The log-densities' cost, over that without it, at which it is taken: they are half of a pass and more.
PAYS = 0.95


class FirstLook:
    """The first looks of one run.

    Parameters
    ----------
    kernel : module
        The compiled kernel.
    n_components, n_features : int

    Attributes
    ----------
    sketch : ndarray of float32
        Room for what a pass with a first look needs of its parameters.
    pays : bool
        Whether the next pass takes one.
    """

    def __init__(self, kernel: Any, n_components: int, n_features: int) -> None:
        self._kernel, self._n_features = kernel, n_features
        self.sketch: NDArray[np.float32] = np.empty(factors.sketch_size(n_components, n_features), np.float32)
        self.pays = False

    @staticmethod
    def may_pay(kernel: Any, structure: CovarianceStructure, n_rows: int, n_components: int, n_features: int) -> bool:
        """Whether it could ever be taken."""
        return (
            structure.name == "full"
            and n_rows >= MIN_ROWS
            and n_components >= MIN_COMPONENTS
            and kernel.cost_of_first_look(n_features, 1.0 / n_components) < PAYS
        )

    def end_pass(self, live_share: float) -> None:
        """Decide on the next pass, given which share of responsibilities was above 0 in a pass that was not in full."""
        self.pays = self._kernel.cost_of_first_look(self._n_features, live_share) < PAYS
