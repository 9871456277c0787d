"""What the kernel computes, written as its formulae stand, in the widest floats at hand; and a call of the kernel.

The reference takes the very arrays that the kernel takes (rounded to its precision already), so that what differs is
the kernel's own rounding, for which it also gives bounds:

- y = W z − b is a sum of d + 1 terms: |δy_a| ≤ (d + 2) eps Y_a with Y_a = Σ_j |W_aj z_j| + |b_a|, in any order of the
  terms; so ½‖y‖² is wrong by at most (2 d + 4) eps · ½ Σ Y_a², and log p by δ = 2 (d + 4) eps (|a| + ½ Σ Y_a²).
- r = exp(log p − ℓ) is wrong by a factor of δ_k + Σ_l r_l δ_l, and a few eps for exp and the division.
- a sum over rows adds at most 256 terms before it is added to a double (single precision: 512, of which a lane has a
  quarter at most; in long super-blocks all their rows): 300 eps times the sum of magnitudes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emix.kernel.level import available_levels, kernel_of_level

STRUCTURES = ("full", "tied", "diag", "spherical")
Array = NDArray[Any]
Wide = np.longdouble

each_level = pytest.mark.parametrize("level", available_levels())
each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
each_structure = pytest.mark.parametrize("structure", STRUCTURES)


@dataclass(frozen=True)
class Case:
    """Rows and the kernel's arguments."""

    X: Array
    sample_weight: Array | None
    structure: str
    center: Array
    offset: Array
    whitening: Array  # in the structure's shape
    log_constant: Array
    margin: Array
    origin: Array | None = None

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Structure, K, d and what depends on them in one array, as the kernel takes it."""
        origin = np.full_like(self.center[0], np.nan) if self.origin is None else self.origin
        arrays = (self.center, self.offset, self.log_constant, self.margin, self.whitening, origin)
        packed = np.concatenate([array.ravel() for array in arrays])
        return STRUCTURES.index(self.structure), *self.center.shape, packed

    def matrix(self, k: int) -> Array:
        """W_k as a matrix."""
        d = self.X.shape[1]
        if self.structure == "full":
            return self.whitening[k]
        if self.structure == "tied":
            return self.whitening
        return np.eye(d, dtype=self.X.dtype) * self.whitening[k]


def random_case(structure: str, dtype: str, n: int, d: int, K: int, weighted: bool = False, seed: int = 0) -> Case:
    """Rows around K overlapping components; nothing is special about them."""
    rng = np.random.default_rng([seed, n, d, K])
    center = rng.normal(size=(K, d))
    X = 1.5 * rng.normal(size=(n, d)) + center[rng.integers(K, size=n)]
    shape = {"full": (K, d, d), "tied": (d, d), "diag": (K, d), "spherical": (K,)}[structure]
    if structure in ("full", "tied"):
        whitening = np.tril(rng.normal(size=shape) / (2.0 * d), -1) + np.eye(d) * rng.uniform(0.5, 1.5, size=d)
    else:
        whitening = rng.uniform(0.5, 1.5, size=shape)
    weight = np.where(rng.random(n) < 0.2, 0.0, rng.uniform(0.1, 3.0, n)) if weighted else None
    arrays = (center, 0.1 * rng.normal(size=(K, d)), whitening, rng.normal(size=K) - d, np.full(K, np.inf))
    return Case(X.astype(dtype), weight, structure, *(a.astype(dtype) for a in arrays))


@dataclass(frozen=True)
class Reference:
    """Per row and component, with the bounds of the kernel's error."""

    joint: Array
    joint_bound: Array
    log_density: Array
    log_density_bound: Array
    responsibilities: Array
    responsibilities_bound: Array


def reference_scores(case: Case) -> Reference:
    """log p_k, ℓ and r of every row."""
    X = case.X.astype(Wide)
    n, d = X.shape
    eps = Wide(np.finfo(case.X.dtype).eps)
    joint, bound = np.empty((n, len(case.center)), Wide), np.empty((n, len(case.center)), Wide)
    for k, c in enumerate(case.center.astype(Wide)):
        W, b, a = case.matrix(k).astype(Wide), case.offset[k].astype(Wide), Wide(case.log_constant[k])
        z = X - c
        y = z @ W.T - b
        magnitude = np.abs(z) @ np.abs(W.T) + np.abs(b)
        joint[:, k] = a - (y * y).sum(axis=1) / 2
        bound[:, k] = 2 * (d + 4) * eps * (abs(a) + (magnitude * magnitude).sum(axis=1) / 2)
    best = joint.max(axis=1, keepdims=True)
    term = np.where(joint - best > -case.margin, np.exp(joint - best), Wide(0))
    total = term.sum(axis=1, keepdims=True)
    log_density = best + np.log(total)
    r = term / total
    density_bound = (r * bound).sum(axis=1, keepdims=True) + 4 * eps * (1 + np.abs(log_density))
    tiny = 4 * np.finfo(case.X.dtype).tiny  # exp is cut off where it leaves the normal numbers
    r_bound = r * (bound + density_bound + (8 + len(case.center)) * eps) + tiny
    return Reference(joint, bound, log_density[:, 0], density_bound[:, 0], r, r_bound)


def reference_sums(
    case: Case, r: Array, r_bound: Array, log_density: Array, log_density_bound: Array, n_added: int = 256
) -> Any:
    """[N, s, S, log-likelihood], each with its bound, for given responsibilities; S as matrices (K, d, d).

    `n_added`: how many rows are added up before the sum is added to a double.
    """
    X = case.X.astype(Wide)
    w = np.ones(len(X), Wide) if case.sample_weight is None else case.sample_weight.astype(case.X.dtype).astype(Wide)
    rounding = (n_added + 44) * Wide(np.finfo(case.X.dtype).eps)
    wr = w[:, None] * r
    wr_bound = w[:, None] * (r_bound + rounding * r)
    K, d = case.center.shape
    s, s_bound = np.empty((K, d), Wide), np.empty((K, d), Wide)
    S, S_bound = np.empty((K, d, d), Wide), np.empty((K, d, d), Wide)
    for k, c in enumerate(case.center.astype(Wide)):
        z = X - c
        s[k], s_bound[k] = wr[:, k] @ z, wr_bound[:, k] @ np.abs(z)
        S[k], S_bound[k] = (z.T * wr[:, k]) @ z, (np.abs(z).T * wr_bound[:, k]) @ np.abs(z)
    total = (w @ log_density, w @ log_density_bound + rounding * (w @ np.abs(log_density)))
    return (wr.sum(axis=0), wr_bound.sum(axis=0)), (s, s_bound), (S, S_bound), total


def assert_within(actual: Any, expected: Any, bound: Any) -> None:
    error = np.abs(actual - expected)
    # Twice: the bounds are of first order, and where a long double is a double the reference errs as the kernel does.
    assert (error <= 2 * bound).all(), f"error {error.max()}, worst ratio to its bound {np.max(error / bound)}"


def in_structure(structure: str, matrices: Array) -> Array:
    """What the structure keeps of scatter matrices (K, d, d): its lower triangles, as the kernel lays them out."""
    if structure == "full":
        return np.tril(matrices)
    if structure == "tied":
        return np.tril(matrices.sum(axis=0))
    diagonals = np.diagonal(matrices, axis1=1, axis2=2)
    return diagonals if structure == "diag" else diagonals.sum(axis=1)


def accumulator(kernel: Any, case: Case, slots: Array, n_threads: int = 1, packing: bool = True) -> Any:
    """An Accumulator with workspaces full of NaN: whatever is read before it is written shows."""
    workspaces = np.full((n_threads, kernel.workspace_size(*case.center.shape)), np.nan, dtype=case.X.dtype)
    return kernel.Accumulator(*case.arguments, workspaces, slots, packing=packing)


def accumulate(
    level: str, case: Case, *, n_threads: int = 1, n_slots: int = 3, splits: tuple[int, ...] = (), packing: bool = True
) -> Array:
    """The kernel's slots, with the shares of `n_threads` threads done one after another."""
    K, d = case.center.shape
    slots = np.zeros((n_slots, K + K * d + case.whitening.size + 1))
    kernel = kernel_of_level(level, case.X.dtype.name)
    run, rows = accumulator(kernel, case, slots, n_threads, packing), kernel.Rows(case.X, case.sample_weight)
    for thread in reversed(range(n_threads)):
        for first, last in itertools.pairwise((0, *splits, len(case.X))):
            run.accumulate(rows, thread, first, last, None)
    return slots


def divide(case: Case, total: Array) -> tuple[Array, Array, Array, float]:
    """N, s, S and the log-likelihood of a sum of slots; of S the lower triangles."""
    K, d = case.center.shape
    scatter = total[K + K * d : -1].reshape(case.whitening.shape)
    if case.structure in ("full", "tied"):
        scatter = np.tril(scatter)
    return total[:K], total[K : K + K * d].reshape(K, d), scatter, total[-1]


def score(level: str, case: Case) -> tuple[Array, Array, Array, int]:
    """Log-density, responsibilities, labels and the number of far rows."""
    kernel = kernel_of_level(level, case.X.dtype.name)
    n, K = len(case.X), len(case.center)
    dtype = case.X.dtype
    outputs = np.full(n, np.nan, dtype), np.full((n, K), np.nan, dtype), np.full(n, -1)
    far = kernel.Scorer(*case.arguments).score(case.X, 0, n, *outputs, None)
    return *outputs, far


def joint_scores(level: str, case: Case) -> Array:
    """log p_k of every row and component: to the bit the log-density where the others' constants are −∞."""
    K = len(case.center)
    alone = np.where(np.eye(K, dtype=bool), case.log_constant, -np.inf).astype(case.X.dtype)
    return np.stack([score(level, replace(case, log_constant=alone[k]))[0] for k in range(K)], axis=1)
