from typing import Any

import numpy as np
from numpy.typing import NDArray

def within(X: NDArray[Any], single: bool, limit: float) -> bool: ...
def column_range(
    X: NDArray[Any], weight: NDArray[np.float64] | None, single: bool, extremes: NDArray[np.float64]
) -> None: ...
