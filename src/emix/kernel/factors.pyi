from typing import Any

import numpy as np
from numpy.typing import NDArray

negligible: float
most_shrunk: float

def whiten(
    form: int,
    n_features: int,
    covariances: NDArray[np.float64],
    whitening: NDArray[np.float64],
    log_det: NDArray[np.float64],
) -> int: ...
def complete(form: int, K: int, d: int, parameters: NDArray[np.float64]) -> None: ...
def parameters_size(form: int, K: int, d: int) -> int: ...
def sizes_of_pass(form: int, K: int, d: int) -> tuple[int, int, int]: ...
def layouts(form: int, K: int, d: int) -> dict[str, dict[str, int]]: ...
def precisions(n_features: int, whitening: NDArray[np.float64], found: NDArray[np.float64]) -> None: ...
def all_below(numbers: NDArray[np.float64], first: int, last: int, limit: float) -> bool: ...
def maximize(
    structure: int,
    K: int,
    d: int,
    ridge: float,
    columns: Columns | None,
    statistics: NDArray[np.float64],
    parameters: NDArray[np.float64],
    first: int = 0,
    last: int = -1,
    previous: NDArray[np.float64] | None = None,
) -> int: ...
def gain_left(
    structure: int,
    K: int,
    d: int,
    ridge: float,
    columns: Columns | None,
    statistics: NDArray[np.float64],
    parameters: NDArray[np.float64],
) -> float: ...
def project(structure: int, d: int, weights: NDArray[np.float64], covariances: NDArray[np.float64]) -> None: ...
def best_unions(
    form: int,
    weights: NDArray[np.float64],
    means: NDArray[np.float64],
    covariances: NDArray[np.float64],
    most: int,
) -> list[tuple[int, int]]: ...
def merge(
    form: int,
    n_left: int,
    weights: NDArray[np.float64],
    means: NDArray[np.float64],
    covariances: NDArray[np.float64],
) -> None: ...
def merge_pair(
    weights: NDArray[np.float64],
    means: NDArray[np.float64],
    covariances: NDArray[np.float64],
    first: int,
    second: int,
) -> None: ...
def q_of_union(
    structure: int,
    weights: NDArray[np.float64],
    means: NDArray[np.float64],
    covariances: NDArray[np.float64],
    first: int,
    second: int,
) -> float: ...
def distances(
    means: NDArray[np.float64],
    covariances: NDArray[np.float64],
    unit: NDArray[np.float64],
    first: int,
    last: int,
    out: NDArray[np.float64],
) -> None: ...
def split(
    weights: NDArray[np.float64],
    means: NDArray[np.float64],
    covariances: NDArray[np.float64],
    apart: float,
    new_weights: NDArray[np.float64],
    new_means: NDArray[np.float64],
    new_covariances: NDArray[np.float64],
) -> None: ...
def eigenvectors(matrix: NDArray[np.float64], values: NDArray[np.float64], vectors: NDArray[np.float64]) -> None: ...
def ridge(
    form: int,
    mixes: bool,
    K: int,
    d: int,
    ridge: float,
    columns: Columns | None,
    statistics: NDArray[np.float64],
    found: NDArray[np.float64],
) -> None: ...
def is_regular(
    structure: int,
    K: int,
    d: int,
    ridge: float,
    columns: Columns | None,
    statistics: NDArray[np.float64],
    previous: NDArray[np.float64] | None = None,
) -> bool: ...
def carry(
    form: int,
    K: int,
    d: int,
    before: NDArray[np.float64],
    density: NDArray[np.float64],
    first: int,
    last: int,
    shrink: NDArray[np.float32],
    moved: NDArray[np.float32],
    row: NDArray[np.float64],
) -> None: ...
def prepare(
    form: int,
    K: int,
    d: int,
    single: bool,
    limit: float,
    density: NDArray[np.float64],
    arguments: NDArray[np.float64],
) -> None: ...
def sketch_size(K: int, d: int) -> int: ...

class Columns:
    def __init__(self, epsilon: float, column_range: NDArray[np.float64]) -> None: ...
    @property
    def epsilon(self) -> float: ...
    @property
    def column_range(self) -> NDArray[np.float64]: ...
    def first_narrow(self, limit: float) -> int: ...

class KernelDensity:
    def __init__(
        self, form: int, n_components: int, n_features: int, packed: NDArray[np.float64], of_parameters: bool = False
    ) -> None: ...
    @property
    def form(self) -> int: ...
    @property
    def n_components(self) -> int: ...
    @property
    def n_features(self) -> int: ...
    @property
    def packed(self) -> NDArray[np.float64]: ...

class PassOutcome:
    def __init__(
        self, packed: NDArray[np.float64], log_likelihood: float = 0.0, counts: Any = None, growth: float = 1.0
    ) -> None: ...
    @property
    def packed(self) -> NDArray[np.float64]: ...
    @property
    def log_likelihood(self) -> float: ...
    @property
    def growth(self) -> float: ...
    @property
    def counts(self) -> Any: ...
    @counts.setter
    def counts(self, counts: Any) -> None: ...
    def plus(self, other: PassOutcome, density: KernelDensity) -> PassOutcome: ...

def judge(
    density: KernelDensity, before: PassOutcome | None, columns: Columns, total: PassOutcome
) -> tuple[bool, bool]: ...

class PassBuffers:
    def __init__(
        self,
        form: int,
        n_components: int,
        n_features: int,
        negligible: float,
        arguments: NDArray[np.float64],
        rounded: NDArray[np.float32] | None,
        slots: NDArray[np.float64],
        sketch: NDArray[np.float32] | None = None,
    ) -> None: ...
    @property
    def n_moved(self) -> int: ...
    def allow_origin(
        self,
        limit: float,
        least_ridge: NDArray[np.float64],
        own_centers: NDArray[np.float64],
        fixed: NDArray[np.float64] | None,
        scatter: NDArray[np.float64] | None,
    ) -> None: ...
    def begin(
        self,
        density: KernelDensity,
        before: PassOutcome | None,
        center: NDArray[np.float64] | None,
        columns: Columns,
        about_origin: bool = False,
        screened: bool = False,
    ) -> None: ...
    @property
    def shared(self) -> bool: ...
    def empty(self, thread: int, n_threads: int) -> None: ...
    def add(self, thread: int, n_threads: int, statistics: NDArray[np.float64]) -> None: ...
    def end(self, outcome: PassOutcome) -> None: ...

class LonePass:
    def __init__(self, buffers: PassBuffers, accumulator: Any, rows: Any) -> None: ...
    def take(
        self, parameters: NDArray[np.float64], before: PassOutcome | None, columns: Columns, outcome: PassOutcome
    ) -> tuple[bool, bool]: ...
    def advance(
        self,
        structure: int,
        ridge: float,
        columns: Columns,
        enough: float,
        rounding: float,
        weight: float,
        parameters: NDArray[np.float64],
        before: PassOutcome | None,
        log_likelihood: float,
        log_likelihoods: NDArray[np.float64],
        outcome: PassOutcome,
        under: NDArray[np.float64],
        found: NDArray[np.float64],
        closing: PassOutcome,
        goal: float = ...,
        ahead: float = 1.0,
        spared: int = 0,
        first_plain: int = -1,
    ) -> tuple[int, bool, bool]: ...
    def advance_each(
        self,
        structure: int,
        ridge: float,
        columns: Columns,
        enough: float,
        rounding: float,
        weight: float,
        starts: NDArray[np.float64],
        found: NDArray[np.float64],
        log_likelihoods: NDArray[np.float64],
        n_iter: NDArray[np.intp],
        most: int,
        goal: float = ...,
        ahead: float = 1.0,
        spared: int = 0,
        first_plain: int = -1,
    ) -> None: ...
