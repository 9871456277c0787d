from typing import Any

import numpy as np
from numpy.typing import NDArray

block_rows: int
window_rows: int

def super_block_rows(n_features: int) -> int: ...
def cost_of_first_look(n_features: int, live_share: float) -> float: ...
def group_rows(n_components: int) -> int: ...
def workspace_size(n_components: int, n_features: int) -> int: ...

class Rows:
    def __init__(
        self, X: NDArray[Any], sample_weight: NDArray[np.float64] | None = None, first_row: int = 0
    ) -> None: ...

class Accumulator:
    def __init__(
        self,
        form: int,
        n_components: int,
        n_features: int,
        arguments: NDArray[Any],
        workspaces: NDArray[Any],
        slots: NDArray[np.float64],
        sketch: NDArray[np.float32] | None = None,
        packing: bool = True,
    ) -> None: ...
    def accumulate(
        self, rows: Rows, thread: int, first_row: int, last_row: int, stop: NDArray[np.int32] | None
    ) -> float: ...
    def accumulate_labelled(
        self,
        rows: Rows,
        thread: int,
        first_row: int,
        last_row: int,
        base: int,
        labels: NDArray[np.uint16],
        stop: NDArray[np.int32] | None,
    ) -> float: ...
    def accumulate_bounded(
        self,
        rows: Rows,
        thread: int,
        first_row: int,
        last_row: int,
        base: int,
        order: NDArray[np.uint16],
        near: NDArray[np.float32],
        shrink: NDArray[np.float32],
        moved: NDArray[np.float32],
        labels: NDArray[np.uint16] | None,
        stop: NDArray[np.int32] | None,
    ) -> float: ...
    def alone(self, rows: Rows) -> Any: ...

class Scorer:
    def __init__(self, form: int, n_components: int, n_features: int, arguments: NDArray[Any]) -> None: ...
    def score(
        self,
        X: NDArray[Any],
        first_row: int,
        last_row: int,
        log_density: NDArray[Any] | None,
        responsibilities: NDArray[Any] | None,
        labels: NDArray[np.intp] | None,
        stop: NDArray[np.int32] | None,
    ) -> int: ...
