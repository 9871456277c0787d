"""Parameters in the form that the compiled kernel takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emix.kernel import factors
from emix.kernel.level import kernel_for

from .covariance import CovarianceStructure
from .origin import MAX_REACH, may_pay
from .parameters import GaussianParameters

__all__ = ["KernelArguments", "arguments_for_scores"]

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
    workspace_size : int
        Numbers that one thread's workspace holds.
    block_rows : int
        Rows that the kernel takes at a time.
    values : tuple
        Structure, centres, offsets, whitenings, constants and margins, in the order of the kernel's parameters.
    origin : ndarray of shape (d,) or None
        Centre that components share, if any do (kernel/origin.pxi).
    own_center : ndarray of shape (K, d), float64
        The centres that components would have without it.
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
        self._code, self._origin, self.own_center = dtype.char, np.empty(d), np.empty((K, d))
        self.origin: NDArray[Any] | None = None
        rounded = self._rounded = np.empty(len(self._numbers), dtype) if self._single else self._numbers
        constants = 2 * K * d
        self.kernel = kernel_for(dtype)
        self.workspace_size: int = self.kernel.workspace_size(K, d)
        self.block_rows: int = self.kernel.block_rows
        self.values = (
            structure.code,
            rounded[: K * d].reshape(K, d),
            rounded[K * d : constants].reshape(K, d),
            rounded[constants + 2 * K :],
            rounded[constants : constants + K],
            rounded[constants + K : constants + 2 * K],
        )

    def fill(
        self,
        parameters: GaussianParameters,
        weight_before: Array | None = None,
        center: Array | None = None,
        use_origin: bool = True,
        fixed_origin: Array | None = None,
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
        use_origin : bool
            Give components a common centre where that costs no accuracy.
        fixed_origin : ndarray of shape (d,) or None
            The only one that may be; None for Σ π_k c_k.
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
            rounded = center.astype(self._rounded.dtype).astype(np.float64)
            self._numbers[: K * d] = rounded.ravel()
            offset = self._structure.whitened(parameters.whitening, parameters.means - rounded)
            self._numbers[K * d : 2 * K * d] = offset.ravel()
        self.origin = None
        if center is None and use_origin and self._move_to_origin(parameters, fixed_origin):
            self.origin = self._origin.astype(self._rounded.dtype)
        if self._single:
            self._rounded[:] = self._numbers

    def _move_to_origin(self, parameters: GaussianParameters, fixed: Array | None) -> bool:
        if not may_pay(self._structure, *self._shape):
            return False
        if fixed is not None:
            self._origin[:] = fixed
        n_moved: int = factors.move_to_origin(
            self._structure.code,
            self._single,
            MAX_REACH[self._code],
            parameters.weights,
            parameters.means,
            parameters.whitening.ravel(),
            parameters.covariances.ravel(),
            fixed is not None,
            self._origin,
            self._numbers,
            self.own_center,
        )
        return n_moved > 0

    def center(self) -> Array:
        """Return a copy of the centres (K, d)."""
        K, d = self._shape
        return self._numbers[: K * d].reshape(K, d).copy()


def arguments_for_scores(parameters: GaussianParameters, dtype: np.dtype[Any]) -> KernelArguments:
    """Return the arguments for scores of rows of a dtype, made once for each parameters and dtype."""
    key = "arguments_single" if dtype.char == "f" else "arguments_double"
    found: KernelArguments | None = parameters.__dict__.get(key)
    if found is None:
        K, d = parameters.means.shape
        found = KernelArguments(parameters.structure, K, d, dtype)
        found.fill(parameters)
        # Two threads may both get here: either's will do.
        parameters.__dict__[key] = found
    return found
