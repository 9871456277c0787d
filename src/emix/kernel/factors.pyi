import numpy as np
from numpy.typing import NDArray

def whiten(
    covariances: NDArray[np.float64],
    whitening: NDArray[np.float64],
    log_det: NDArray[np.float64],
    scratch: NDArray[np.float64],
) -> int: ...
