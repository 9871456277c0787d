import numpy as np
from numpy.typing import NDArray

def standardize(X: NDArray[np.float64], weight: NDArray[np.float64], Z: NDArray[np.float64]) -> None: ...
def draw(
    weight: NDArray[np.float64],
    distances: NDArray[np.float64] | None,
    uniforms: NDArray[np.float64],
    cumulative: NDArray[np.float64],
    rows: NDArray[np.intp],
) -> bool: ...
def potentials(
    Z: NDArray[np.float64],
    weight: NDArray[np.float64],
    nearest: NDArray[np.float64],
    candidates: NDArray[np.intp],
    potential: NDArray[np.float64],
) -> None: ...
def add_center(Z: NDArray[np.float64], row: int, nearest: NDArray[np.float64]) -> None: ...
def assign(
    Z: NDArray[np.float64],
    weight: NDArray[np.float64],
    centers: NDArray[np.float64],
    first_row: int,
    last_row: int,
    labels: NDArray[np.intp] | None,
    distances: NDArray[np.float64] | None,
    sums: NDArray[np.float64] | None,
) -> None: ...
def move(sums: NDArray[np.float64], centers: NDArray[np.float64], held: NDArray[np.float64]) -> tuple[float, int]: ...
def means(
    X: NDArray[np.float64],
    weight: NDArray[np.float64],
    labels: NDArray[np.intp],
    held: NDArray[np.float64],
    center: NDArray[np.float64],
) -> None: ...
def moments(
    structure: int,
    X: NDArray[np.float64],
    weight: NDArray[np.float64],
    labels: NDArray[np.intp],
    center: NDArray[np.float64],
    z: NDArray[np.float64],
    shift: NDArray[np.float64],
    scatter: NDArray[np.float64],
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
