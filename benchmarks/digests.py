"""Record the bits of many fits, or compare them with a record: what a change to the inside must leave alone.

    python benchmarks/digests.py record digests.json       # before the change
    python benchmarks/digests.py compare digests.json      # after it, with the same compiler and options

A record belongs to one build: other compilers round otherwise. The fits go over all covariance structures, both
dtypes, the levels of this processor, one and two threads, with and without weights, several starts, and shapes in
which every shortcut of a pass is taken. `reg_covar` is a number throughout. Each level runs in a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fresh

#: Rows, features, components, separation of the components, steps of EM.
SHAPES = (
    (500, 2, 3, 4.0, 30),
    (300, 1, 2, 4.0, 30),
    (9_000, 10, 6, 4.0, 30),
    (3_000, 40, 5, 4.0, 30),
    (20_000, 6, 12, 8.0, 15),  # bounds are carried
    (40_000, 32, 16, 1.0, 8),  # a first look, long super-blocks, packed rows
    (2_500, 170, 3, 2.0, 4),
)

#: Names that fits have in records, so they stay as they are; a new structure comes last.
STRUCTURES = (
    *("full", "tied", "diag", "spherical", "EEI", "EII"),
    *("VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV"),
)


def fits(quick: bool) -> Iterator[tuple[str, Any, NDArray[np.floating], NDArray[np.float64] | None]]:
    """Name, estimator, rows and weights of each fit."""
    import emix

    for n, d, K, separation, steps in SHAPES[: 4 if quick else None]:
        rng = np.random.default_rng([5, n, d, K])
        means = rng.normal(size=(K, d)) * separation
        X = means[rng.integers(K, size=n)] + rng.normal(size=(n, d))
        weights = rng.uniform(0.1, 3.0, n)
        large = n * d > 50_000
        for dtype, structure, init, weighted, reg_covar, threads in itertools.product(
            ("float64", "float32"),
            STRUCTURES,
            ("kmeans",) if large else ("kmeans", "random", "k-means++"),
            (False, True),
            (1e-6,) if large else (1e-6, 0.0),
            (1, 2),
        ):
            name = f"{n}x{d} K{K} {structure} {dtype} {init} {'w' if weighted else '-'} {reg_covar:g} t{threads}"
            mixture = emix.GaussianMixture(
                K, covariance_type=structure, reg_covar=reg_covar, init_params=init, random_state=1, max_iter=steps,
                n_threads=threads,
            )  # fmt: skip
            yield name, mixture, X.astype(dtype), weights if weighted else None


def digest(mixture: Any, X: NDArray[np.floating]) -> str:
    """SHA-256 of all that a fit gave, and of scores of its rows."""
    state = hashlib.sha256()
    scores = mixture.score_rows(X, labels=True, responsibilities=True)
    arrays = (
        mixture.weights_, mixture.means_, mixture.covariances_, mixture.precisions_cholesky_, scores.log_density,
        scores.responsibilities, scores.labels,
    )  # fmt: skip
    for array in arrays:
        state.update(np.ascontiguousarray(array).tobytes())
    history = [record.log_likelihood for record in mixture.history_]
    state.update(repr((mixture.log_likelihood_, mixture.n_iter_, mixture.stopped_by_, history)).encode())
    return state.hexdigest()[:16]


def levels() -> list[str]:
    """Names of the levels, the best first."""
    from emix.kernel.level import available_levels

    return list(available_levels())


def digests(quick: bool) -> dict[str, list[Any]]:
    """Digest and log-likelihood by the name of the fit, at the level of this process."""
    warnings.simplefilter("ignore")
    found: dict[str, list[Any]] = {}
    for name, mixture, X, weights in fits(quick):
        try:
            mixture.fit(X, sample_weight=weights)
        except ValueError as error:
            found[name] = [f"{type(error).__name__}: {error}"[:60], 0.0]
        else:
            found[name] = [digest(mixture, X), mixture.log_likelihood_]
    return found


def all_digests(quick: bool, only: str | None) -> dict[str, list[Any]]:
    """Digests at every level, or at one."""
    found = {}
    for level in [only] if only else fresh.call("digests:levels"):
        part = fresh.call("digests:digests", environment={"EMIX_LEVEL": level}, quick=quick)
        found.update({f"{level} {name}": value for name, value in part.items()})
        print(f"{level}: {len(part)} fits", file=sys.stderr)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--level", help="one level only")
    parser.add_argument("--quick", action="store_true", help="small shapes only")
    options = parser.parse_args(argv)
    found = all_digests(options.quick, options.level)
    if options.what == "record":
        options.file.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")
        return 0
    recorded = json.loads(options.file.read_text(encoding="utf-8"))
    different = [name for name in found if name in recorded and found[name][0] != recorded[name][0]]
    for name in different:
        old, new = recorded[name][1], found[name][1]
        print(f"{name}: log-likelihood {old!r} then, {new!r} now, {abs(new - old) / max(1.0, abs(old)):.1e} relative")
    print(f"{len(found) - len(different)} of {len(found)} fits have the same bits")
    missing = len(found.keys() - recorded.keys())
    if missing:
        print(f"{missing} are not in the record")
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main())
