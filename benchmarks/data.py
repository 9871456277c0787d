"""The problems that the benchmarks measure: data, start and sizes, the same for every library.

The data are drawn from K Gaussian components with random full covariances that overlap moderately.
Every run starts with the means at K random rows, unit covariances and equal weights, so that no
library's own way of starting enters the time of an iteration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SEED = 20261120

#: Rows are drawn this many at a time, which bounds the memory besides the result.
_BATCH = 65_536


@dataclass(frozen=True)
class Problem:
    """One shape of data and the mixture that is fitted to it."""

    n_samples: int
    n_features: int
    n_components: int
    structure: str = "full"
    dtype: str = "float64"
    #: Scales the distances between the components, see :func:`make_components`.
    separation: float = 1.0
    #: An iteration's time is the difference of two runs, of so many iterations, which leaves out
    #: validation, setting up and the closing E-step that some libraries do. Where an iteration is short
    #: for the fastest peer, `many` is so large that the difference is about a quarter of a second:
    #: less drowns in what else the machine does.
    few: int = 2
    many: int = 8
    #: Whether to start at the components that the data come from, where no component loses its rows.
    at_components: bool = False
    #: The only peers to measure; empty: all.
    peers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How the problem is called in tables, e.g. ``200 000 × 10, K 10, full``."""
        rows = f"{self.n_samples:,}".replace(",", " ")
        suffix = "" if self.dtype == "float64" else f", {self.dtype}"
        if self.separation != 1.0:
            suffix += ", separate" if self.separation > 1.0 else ", overlapping"
        return f"{rows} × {self.n_features}, K {self.n_components}, {self.structure}{suffix}"


#: What the comparison measures by default.
MAIN_PROBLEMS = (
    Problem(1_000_000, 2, 3, many=62),
    Problem(200_000, 10, 10, many=32),
    Problem(200_000, 32, 16),
    Problem(100_000, 50, 20),
    Problem(20_000, 128, 32),
)

#: Other structures and single precision, where the fit has converged to the last digit after twenty iterations.
MORE_PROBLEMS = (
    Problem(500_000, 16, 64, structure="diag"),
    Problem(200_000, 50, 20, structure="tied", many=12),
    Problem(1_000_000, 8, 16, structure="spherical", many=14),
    Problem(200_000, 10, 10, dtype="float32", many=18),
)

#: For what shortcuts save: components that settle, of which most are far from any row, and heavy overlap,
#: where nothing can be left out. From iteration 11 on, when the fit has settled a little.
SKIPPING_PROBLEMS = tuple(
    Problem(n, d, K, separation=separation, few=10, many=many, peers=("emix_plain", "emix"))
    for n, d, K, separation, many in (
        (100_000, 32, 64, 10.0, 30),
        (200_000, 8, 128, 3.0, 30),
        (100_000, 16, 32, 0.1, 20),
    )
)

#: Seconds in all: does everything still run, and about how fast.
QUICK_PROBLEMS = (
    Problem(20_000, 2, 3),
    Problem(10_000, 10, 10),
    Problem(2_000, 50, 10),
    Problem(10_000, 16, 16, structure="diag"),
    Problem(5_000, 10, 10, structure="tied"),
    Problem(5_000, 8, 16, structure="spherical"),
    Problem(5_000, 10, 10, dtype="float32"),
    Problem(20_000, 32, 16, separation=10.0, few=10, many=20, peers=("emix_plain", "emix")),
)

#: For one revision against another: every loop of the kernel, and a fit so small that Python shows. Long enough
#: for a difference of a quarter of a second, or until little is left before the fit has converged to the last digit.
REVISION_PROBLEMS = (
    Problem(1_000, 4, 3, many=142),
    Problem(500_000, 2, 3, many=47),
    Problem(100_000, 10, 10, many=62),
    Problem(20_000, 50, 20, many=17),
    Problem(5_000, 128, 8, many=27),
    Problem(100_000, 10, 10, structure="tied", many=102),
    Problem(100_000, 16, 16, structure="diag", many=52),
    Problem(200_000, 8, 16, structure="spherical", many=52),
    Problem(100_000, 10, 10, dtype="float32", many=67),
)


class Start(NamedTuple):
    """Where EM begins; the covariances are full whatever the problem's structure."""

    weights: Array
    means: Array
    covariances: Array


def make_components(n_components: int, n_features: int, separation: float = 1.0, seed: int = SEED) -> Start:
    """Random weights, means and full covariances of the mixture that the data come from.

    Parameters
    ----------
    separation : float
        Scales the distance between means. 1 overlaps moderately: neighbours share rows, and a
        share of the components is alive for each row. 10 separates all.
    """
    rng = np.random.default_rng([seed, n_components, n_features])
    weights = rng.dirichlet(np.full(n_components, 10.0))
    means = rng.normal(scale=3.0 * separation / n_features**0.28, size=(n_components, n_features))
    # A Aᵀ/d has eigenvalues in (0, 4): the unit added bounds the condition number by about 10.
    root = rng.normal(size=(n_components, n_features, n_features)) / np.sqrt(n_features)
    covariances = root @ root.transpose(0, 2, 1) + 0.5 * np.eye(n_features)
    return Start(weights, means, covariances)


def make_data(problem: Problem, seed: int = SEED) -> NDArray[np.floating]:
    """Draw the rows of a problem.

    Returns
    -------
    ndarray of shape (n_samples, n_features), C order, of the problem's dtype
    """
    weights, means, covariances = make_components(problem.n_components, problem.n_features, problem.separation, seed)
    lower = np.linalg.cholesky(covariances)
    rng = np.random.default_rng([seed, problem.n_samples])
    X = np.empty((problem.n_samples, problem.n_features), dtype=problem.dtype)
    for first in range(0, problem.n_samples, _BATCH):
        rows = X[first : first + _BATCH]
        labels = rng.choice(problem.n_components, size=len(rows), p=weights)
        noise = rng.normal(size=rows.shape)
        for k in range(problem.n_components):
            chosen = labels == k
            rows[chosen] = means[k] + noise[chosen] @ lower[k].T
    return X


def make_start(problem: Problem, X: NDArray[np.floating], seed: int = SEED) -> Start:
    """Equal weights, means at random rows of ``X``, unit covariances; or what the data come from."""
    if problem.at_components:
        return make_components(problem.n_components, problem.n_features, problem.separation, seed)
    K, d = problem.n_components, problem.n_features
    rows = np.random.default_rng([seed, K]).choice(len(X), size=K, replace=False)
    means = np.ascontiguousarray(X[rows], dtype=np.float64)
    return Start(np.full(K, 1.0 / K), means, np.broadcast_to(np.eye(d), (K, d, d)).copy())
