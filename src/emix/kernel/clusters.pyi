import numpy as np
from numpy.typing import NDArray

block_rows: int
most_rows: int

def scale_columns(
    X: NDArray[np.float64], center: NDArray[np.float64], scale: NDArray[np.float64], Z: NDArray[np.float64], /
) -> None: ...
def standardize(X: NDArray[np.float64], weight: NDArray[np.float64], Z: NDArray[np.float64], /) -> None: ...
def draw(
    weight: NDArray[np.float64],
    uniforms: NDArray[np.float64],
    cumulative: NDArray[np.float64],
    rows: NDArray[np.intp],
    /,
) -> bool: ...

class PlusPlus:
    def __init__(
        self,
        Z: NDArray[np.float64],
        weight: NDArray[np.float64],
        nearest: NDArray[np.float64],
        cumulative: NDArray[np.float64],
        /,
    ) -> None: ...
    def draw(self, uniforms: NDArray[np.float64], /) -> int: ...
    def add(self, row: int, /) -> None: ...

def assign(
    Z: NDArray[np.float64],
    centers: NDArray[np.float64],
    first_row: int,
    last_row: int,
    labels: NDArray[np.intp] | None,
    distances: NDArray[np.float64] | None,
    /,
) -> None: ...

class Lloyd:
    def __init__(
        self,
        Z: NDArray[np.float64],
        weight: NDArray[np.float64],
        centers: NDArray[np.float64],
        sums: NDArray[np.float64],
        held: NDArray[np.float64],
        nearest: NDArray[np.float64],
        /,
    ) -> None: ...
    def add_up(self, chunk: int, first_row: int, last_row: int, /) -> None: ...
    def move(self) -> tuple[float, int]: ...

def label_workspace(n_labels: int, d: int) -> int: ...

class LabelSums:
    def __init__(
        self,
        form: int,
        X: NDArray[np.float64],
        weight: NDArray[np.float64],
        labels: NDArray[np.intp] | None,
        centers: NDArray[np.float64],
        slots: NDArray[np.float64],
        work: NDArray[np.float64],
        /,
    ) -> None: ...
    def add_means(self, slot: int, first_row: int, last_row: int, /) -> None: ...
    def add_up(self, slot: int, first_row: int, last_row: int, /) -> None: ...
    def center(self) -> None: ...
    def finish(self, statistics: NDArray[np.float64], /) -> None: ...

def small_start(
    form: int,
    X: NDArray[np.float64],
    weight: NDArray[np.float64] | None,
    n_clusters: int,
    seed: int,
    restart: int,
    n_candidates: int,
    most_iterations: int,
    squared_step: float,
    statistics: NDArray[np.float64],
    /,
) -> bool: ...
def rows_of_pair(
    X: NDArray[np.float64],
    weight: NDArray[np.float64] | None,
    responsibilities: NDArray[np.float64],
    log_density: NDArray[np.float64],
    first: int,
    second: int,
    pair_weight: float,
    least: float,
    rows: NDArray[np.float64],
    shares: NDArray[np.float64],
    extremes: NDArray[np.float64],
    /,
) -> tuple[int, float, float, float, float]: ...
def sums_of_halves(
    form: int,
    X: NDArray[np.float64],
    weight: NDArray[np.float64],
    uniforms: NDArray[np.float64],
    statistics: NDArray[np.float64],
    /,
) -> None: ...
def distinct_rows(X: NDArray[np.float64], table: NDArray[np.intp], equals: NDArray[np.intp], /) -> int: ...
def named_merges(
    a: NDArray[np.intp],
    b: NDArray[np.intp],
    parent: NDArray[np.intp],
    kept: NDArray[np.intp],
    joined: NDArray[np.intp],
    /,
) -> None: ...
def merge_labels(
    kept: NDArray[np.intp], joined: NDArray[np.intp], n_merges: int, labels: NDArray[np.intp], /
) -> int: ...
def ward(
    Z: NDArray[np.float64],
    mass: NDArray[np.float64],
    work: NDArray[np.float64],
    places: NDArray[np.intp],
    kept: NDArray[np.intp],
    joined: NDArray[np.intp],
    heights: NDArray[np.float64],
    /,
) -> None: ...
def sphere(
    X: NDArray[np.float64], weight: NDArray[np.float64], eps: float, most: int, Y: NDArray[np.float64], /
) -> int: ...
def merger_workspace(n: int, p: int, /) -> tuple[int, int]: ...

class DeterminantMerges:
    def __init__(
        self,
        Y: NDArray[np.float64],
        weight: NDArray[np.float64],
        p: int,
        prior: float,
        costs: NDArray[np.float64],
        work: NDArray[np.float64],
        places: NDArray[np.intp],
        kept: NDArray[np.intp],
        joined: NDArray[np.intp],
        heights: NDArray[np.float64],
        share: float = 0.0,
        floor: float = 0.0,
        /,
    ) -> None: ...
    def advance(self, n_merges: int, /) -> int: ...
