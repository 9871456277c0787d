import numpy as np
from numpy.typing import NDArray

def whiten(
    structure: int,
    n_features: int,
    covariances: NDArray[np.float64],
    whitening: NDArray[np.float64],
    log_det: NDArray[np.float64],
) -> int: ...
def add_slots(
    structure: int,
    slots: NDArray[np.float64],
    n_components: int,
    n_features: int,
    unit: float,
    total: NDArray[np.float64],
) -> float: ...
def has_shrunk(before: NDArray[np.float64], after: NDArray[np.float64], factor: float) -> bool: ...
def cancels(
    structure: int,
    limit: float,
    rounding: float,
    weight: NDArray[np.float64],
    center: NDArray[np.float64],
    shift: NDArray[np.float64],
    scatter: NDArray[np.float64],
) -> bool: ...
def maximize(
    structure: int,
    reg_covar: float,
    weight: NDArray[np.float64],
    center: NDArray[np.float64],
    shift: NDArray[np.float64],
    scatter: NDArray[np.float64],
    weights: NDArray[np.float64],
    means: NDArray[np.float64],
    covariances: NDArray[np.float64],
) -> None: ...
def prepare(
    structure: int,
    single: bool,
    negligible: float,
    weights: NDArray[np.float64],
    means: NDArray[np.float64],
    whitening: NDArray[np.float64],
    log_det: NDArray[np.float64],
    column_range: NDArray[np.float64] | None,
    weight_before: NDArray[np.float64] | None,
    arguments: NDArray[np.float64],
) -> None: ...
def move_to_origin(
    structure: int,
    single: bool,
    limit: float,
    weights: NDArray[np.float64],
    means: NDArray[np.float64],
    whitening: NDArray[np.float64],
    covariances: NDArray[np.float64],
    keep: bool,
    origin: NDArray[np.float64],
    arguments: NDArray[np.float64],
    own: NDArray[np.float64],
) -> int: ...
def leave_origin(
    structure: int,
    reg_covar: float,
    origin: NDArray[np.float64],
    center: NDArray[np.float64],
    scatter: NDArray[np.float64] | None,
    total: NDArray[np.float64],
) -> float: ...
