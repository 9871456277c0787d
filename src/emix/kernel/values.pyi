from typing import Any

import numpy as np
from numpy.typing import NDArray

largest_double: float
largest_single: float
least_weight: float
most_weight: float
most_weight_all_features: float
single_block: int

def within(X: NDArray[Any], single: bool, limit: float) -> bool: ...
def column_range(
    X: NDArray[Any], weight: NDArray[np.float64] | None, single: bool, extremes: NDArray[np.float64]
) -> None: ...
def uniforms(seed: int, restart: int, stream: int, first: int, out: NDArray[np.float64]) -> None: ...
def rows_with_small_keys(
    first_row: int,
    last_row: int,
    seed: int,
    highest: int,
    sample_weight: NDArray[np.float64] | None,
    rows: NDArray[np.intp],
    keys: NDArray[np.uint64],
) -> int: ...
