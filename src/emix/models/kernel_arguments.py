"""Parameters in the form that the compiled kernel takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.kernel import factors
from emix.kernel.level import kernel_for

from .covariance import CovarianceStructure
from .parameters import GaussianParameters

__all__ = ["KernelArguments", "scorer_for"]

Array = NDArray[np.float64]

# A component whose log-density lies further than this (plus log W/N_k, for rare components) below a row's best adds
# exp(−40) = 4e-18 of the row's weight at most: less than rounding in its sums and in the others'.
NEGLIGIBLE = 40.0


class KernelArguments:
    """What the kernel for rows of a dtype is called with. The arrays are made once and filled before each pass.

    Parameters
    ----------
    structure : CovarianceStructure
    n_components, n_features : int
    dtype : dtype
        float64 or float32, that of the rows.
    column_range : ndarray of shape (2, d), float64, or None
        Least and greatest of each column. Centres are clamped to it, so that a mean far outside of the data costs no
        accuracy in x − c.

    Attributes
    ----------
    kernel : module
        The compiled one.
    packed : ndarray, of the rows' dtype
        [c | b | a | margin | W], as the kernel takes them.
    """

    def __init__(
        self,
        structure: CovarianceStructure,
        n_components: int,
        n_features: int,
        dtype: np.dtype[Any],
        column_range: Array | None = None,
    ) -> None:
        self._structure, self._shape, self._column_range = structure, (n_components, n_features), column_range
        self._single = dtype.char == "f"
        K, d = self._shape
        self._numbers = np.empty(2 * K * (d + 1) + math.prod(structure.shape(K, d)))
        self.packed = np.empty(len(self._numbers), dtype) if self._single else self._numbers
        self.kernel = kernel_for(dtype)

    def fill(
        self, parameters: GaussianParameters, weight_before: Array | None = None, center: Array | None = None
    ) -> None:
        """Take new parameters.

        Parameters
        ----------
        parameters : GaussianParameters
        weight_before : ndarray of shape (K,) or None
            N_k of the pass before. A component is left out of the sums of a row where it lies more than NEGLIGIBLE +
            log ΣN/N_k below the best; None leaves out nothing.
        center : ndarray of shape (K, d) or None
            Centres to use instead of the clamped means.
        """
        factors.prepare(
            self._structure.code,
            self._single,
            NEGLIGIBLE,
            parameters.weights,
            parameters.means,
            parameters.whitening.ravel(),
            parameters.log_det_whitening,
            self._column_range,
            weight_before,
            self._numbers,
        )
        if center is not None:
            K, d = self._shape
            rounded = center.astype(self.packed.dtype).astype(np.float64)
            self._numbers[: K * d] = rounded.ravel()
            offset = self._structure.whitened(parameters.whitening, parameters.means - rounded)
            self._numbers[K * d : 2 * K * d] = offset.ravel()
        if self._single:
            self.packed[:] = self._numbers

    def center(self) -> Array:
        """Return a copy of the centres (K, d)."""
        K, d = self._shape
        return self._numbers[: K * d].reshape(K, d).copy()


def scorer_for(parameters: GaussianParameters, dtype: np.dtype[Any]) -> Any:
    """Return the kernel's Scorer of rows of a dtype under the parameters, made once for each dtype."""
    key = "scorer_single" if dtype.char == "f" else "scorer_double"
    found = parameters.__dict__.get(key)
    if found is None:
        structure, (K, d) = parameters.structure, parameters.means.shape
        arguments = KernelArguments(structure, K, d, dtype)
        arguments.fill(parameters)
        found = arguments.kernel.Scorer(structure.code, K, d, arguments.packed)
        # Two threads may both get here: either's will do.
        parameters.__dict__[key] = found
    return found
