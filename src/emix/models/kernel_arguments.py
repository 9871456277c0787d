"""Parameters in the form that the compiled kernel takes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .parameters import GaussianParameters

__all__ = ["KernelArguments"]


class KernelArguments:
    """Structure, centres, offsets, whitenings, constants and margins, unpacked in this order into a call.

    Parameters
    ----------
    parameters : GaussianParameters
    dtype : dtype
        float64 or float32, that of the rows.
    column_range : tuple of ndarray (d,) or None
        Centres are clamped to it, so that a mean far outside of the data costs no accuracy in x − c.
    margin : ndarray of shape (K,) or None
        A component further than this below a row's best is left out of its sums; None leaves out nothing.
    """

    def __init__(
        self,
        parameters: GaussianParameters,
        dtype: np.dtype[Any],
        column_range: tuple[NDArray[Any], NDArray[Any]] | None = None,
        margin: NDArray[np.float64] | None = None,
    ) -> None:
        center = parameters.means.astype(dtype)
        if column_range is not None:
            center = np.clip(center, *column_range)
        self.center = np.ascontiguousarray(center)
        # Zero for float64 rows unless a mean lies outside of the data; else the part of μ that dtype cannot hold.
        offset = parameters.structure.whitened(parameters.whitening, parameters.means - self.center)
        with np.errstate(divide="ignore"):
            constant = np.log(parameters.weights) + parameters.log_det
        constant -= 0.5 * parameters.n_features * math.log(2.0 * math.pi)
        limits = np.full(len(constant), np.inf) if margin is None else margin
        self._arguments = (
            parameters.structure.code,
            self.center,
            np.ascontiguousarray(offset, dtype=dtype),
            np.ascontiguousarray(parameters.whitening, dtype=dtype).reshape(-1),
            constant.astype(dtype),
            limits.astype(dtype),
        )

    def __iter__(self) -> Iterator[Any]:
        return iter(self._arguments)
