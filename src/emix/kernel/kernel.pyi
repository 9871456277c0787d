from typing import Any

import numpy as np
from numpy.typing import NDArray

block_rows: int
super_block_rows: int
window_rows: int

def group_rows(n_components: int) -> int: ...
def workspace_size(n_components: int, n_features: int) -> int: ...
def accumulate(
    X: NDArray[Any],
    sample_weight: NDArray[np.float64] | None,
    first_row: int,
    last_row: int,
    thread: int,
    n_threads: int,
    hard: bool,
    structure: int,
    center: NDArray[Any],
    offset: NDArray[Any],
    whitening: NDArray[Any],
    log_constant: NDArray[Any],
    margin: NDArray[Any],
    workspace: NDArray[Any],
    slots: NDArray[np.float64],
    stop: NDArray[np.int32],
    origin: NDArray[Any] | None = None,
) -> None: ...
def accumulate_bounded(
    X: NDArray[Any],
    sample_weight: NDArray[np.float64] | None,
    first_row: int,
    last_row: int,
    thread: int,
    n_threads: int,
    structure: int,
    center: NDArray[Any],
    offset: NDArray[Any],
    whitening: NDArray[Any],
    log_constant: NDArray[Any],
    margin: NDArray[Any],
    order: NDArray[np.uint16],
    near: NDArray[np.float32],
    shrink: NDArray[np.float32],
    moved: NDArray[np.float32],
    labels: NDArray[np.uint16] | None,
    workspace: NDArray[Any],
    slots: NDArray[np.float64],
    stop: NDArray[np.int32],
    origin: NDArray[Any] | None = None,
) -> float: ...
def score(
    X: NDArray[Any],
    first_row: int,
    last_row: int,
    structure: int,
    center: NDArray[Any],
    offset: NDArray[Any],
    whitening: NDArray[Any],
    log_constant: NDArray[Any],
    margin: NDArray[Any],
    workspace: NDArray[Any],
    log_density: NDArray[Any] | None,
    responsibilities: NDArray[Any] | None,
    joint: NDArray[Any] | None,
    labels: NDArray[np.intp] | None,
    stop: NDArray[np.int32],
    origin: NDArray[Any] | None = None,
) -> int: ...
def accumulate_scatter(
    X: NDArray[Any],
    sample_weight: NDArray[np.float64] | None,
    first_row: int,
    last_row: int,
    thread: int,
    n_threads: int,
    center: NDArray[Any],
    workspace: NDArray[Any],
    slots: NDArray[np.float64],
    stop: NDArray[np.int32],
) -> None: ...
