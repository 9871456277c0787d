"""Fits that are killed at random moments and gone on with: is it the fit that nothing ended, and is a file ever half?

    python benchmarks/checkpoints.py [--kills 120] [--seed 0] [--cases NAME …]
    python benchmarks/checkpoints.py --cost     # processor time of a fit with a checkpoint, over one without

Each life of a fit is a process of its own, killed by SIGKILL at a moment that is drawn from the time that the fit takes
if nothing ends it. After each kill the file must be absent, empty (nothing is kept yet) or a whole checkpoint, and the
next life begins at once: no lock is left. A fit that comes to its end must have the digest of the one that was never
killed, of all results but times, and leave no file.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import emix
from emix.files.model_file import load_model

N_ROWS, N_FEATURES, MAX_ITER = 8_000, 3, 40

CASES: dict[str, dict[str, Any]] = {
    "array, full, 3 runs of auto": {"n_init": 3},
    "array, full, weights": {"init_params": "kmeans", "rows": "weighted"},
    "array of float32, tied": {"covariance_type": "tied", "init_params": "kmeans", "rows": "float32"},
    "array, VVE": {"covariance_type": "VVE", "init_params": "random_from_data"},
    "memory map, diag, 3 runs": {"covariance_type": "diag", "init_params": "k-means++", "n_init": 3, "rows": "map"},
    "stream, EEV, 2 runs": {"covariance_type": "EEV", "init_params": "kmeans", "rows": "stream", "n_init": 2},
}
"""Settings, and how the rows come."""


class Outcome(NamedTuple):
    """What happened to the fits of one case.

    Attributes
    ----------
    kills : int
    in_writing : int
        Kills that left a temporary file: they hit a write.
    whole, empty, absent : int
        Files after a kill.
    finished, same : int
        Fits that came to their end, and those of them with the digest of the one that was never killed.
    """

    kills: int
    in_writing: int
    whole: int
    empty: int
    absent: int
    finished: int
    same: int


def rows(kind: str, folder: Path) -> tuple[Any, Any]:
    """Rows and weights: groups that overlap, so that EM takes many iterations."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(N_ROWS, N_FEATURES)) + 2.0 * rng.integers(0, 4, (N_ROWS, 1)) * [1.0, 0.5, -1.0]
    if kind == "weighted":
        return X, rng.integers(0, 3, N_ROWS).astype(float)
    if kind == "float32":
        return X.astype(np.float32), None
    if kind == "map":
        np.save(folder / "rows.npy", X)
        return np.load(folder / "rows.npy", mmap_mode="r"), None
    if kind == "stream":
        return lambda: (X[first : first + 1000] for first in range(0, N_ROWS, 1000)), None
    return X, None


def digest(gm: emix.GaussianMixture) -> str:
    """All results of a fit but times."""
    state = hashlib.sha256()
    for array in (gm.weights_, gm.means_, gm.covariances_, gm.precisions_cholesky_):
        state.update(array.tobytes())
    history = [(record.iteration, record.log_likelihood, record.change) for record in gm.history_]
    state.update(repr((gm.log_likelihood_, gm.n_iter_, gm.stopped_by_, gm.runs_, history)).encode())
    return state.hexdigest()


def fit(case: str, path: Path, every: float, parent: Connection) -> None:
    """The fit, from wherever it is; its digest is sent at the end."""
    settings = {"random_state": 7, "max_iter": MAX_ITER, "tol": 0.0, **CASES[case]}
    with tempfile.TemporaryDirectory() as folder:
        X, weight = rows(settings.pop("rows", "array"), Path(folder))
        gm = emix.GaussianMixture(4, **settings)
        parent.send("ready")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", emix.ConvergenceWarning)
            gm.fit(X, sample_weight=weight, checkpoint=path, checkpoint_every=every)
        parent.send(digest(gm))


class Life:
    """One life of a fit: a process that is forked, so that it need not import anything first."""

    def __init__(self, case: str, path: Path, every: float) -> None:
        self._here, there = multiprocessing.Pipe(duplex=False)
        self._process = multiprocessing.get_context("fork").Process(target=fit, args=(case, path, every, there))
        self._process.start()
        there.close()
        assert self._here.recv() == "ready"

    def kill(self) -> None:
        """End it by SIGKILL, wherever it is."""
        self._process.kill()

    def end(self) -> tuple[int | None, str]:
        """Wait for its end; the exit code, and the digest if it came to the end of the fit."""
        found = ""
        with self._here, contextlib.suppress(EOFError, OSError):
            found = self._here.recv()
        self._process.join()
        return self._process.exitcode, found


def killed(case: str, n_kills: int, seed: int, folder: Path) -> Outcome:
    """Kill fits of a case until there are so many kills, and let the last one come to its end."""
    draw, path = random.Random(f"{seed} {case}"), folder / "fit.checkpoint"
    life, began = Life(case, path, 0.0), time.perf_counter()
    _, reference = life.end()
    seconds = time.perf_counter() - began
    assert reference, "the fit that nothing ends fails"
    assert not list(folder.iterdir())
    kills = in_writing = whole = empty = absent = finished = same = 0
    while True:
        last = kills == n_kills
        life = Life(case, path, draw.choice((0.0, 0.0, 0.02)))
        if not last:
            time.sleep(draw.uniform(0.0, seconds))
            life.kill()
        code, found = life.end()
        if code == 0:
            finished, same = finished + 1, same + (found == reference)
            assert not list(folder.iterdir()), "a fit that came to its end left a file"
            if last:
                return Outcome(kills, in_writing, whole, empty, absent, finished, same)
            continue
        assert code == -signal.SIGKILL, f"a fit failed: exit code {code}"
        kills += 1
        names = {name.name for name in folder.iterdir()}
        in_writing += any(name.endswith(".part") for name in names)
        if not path.exists():
            absent += 1
        elif os.path.getsize(path) == 0:
            empty += 1
        else:
            load_model(path, kind="Checkpoint")  # an error if it is not whole
            whole += 1


#: n, d, K, distance of the groups from one another, covariance type.
SHAPES = (
    (100_000, 10, 8, 1.0, "full"),
    (100_000, 10, 16, 3.0, "full"),
    (100_000, 10, 8, 2.0, "tied"),
    (100_000, 8, 8, 2.0, "diag"),
)


def cost(n: int, d: int, K: int, apart: float, covariance_type: str, repeats: int = 5) -> tuple[float, float]:
    """Processor seconds of 20 iterations without a checkpoint and with one, by turns; the least of the repeats.

    Nothing is written before the end: what is seen is the price of shortcuts that carry state, which are left out.
    """
    rng = np.random.default_rng(0)
    X = apart * rng.normal(size=(K, d))[rng.integers(K, size=n)] + rng.normal(size=(n, d))
    gm = emix.GaussianMixture(K, covariance_type=covariance_type, init_params="kmeans", tol=0.0, max_iter=20)
    gm.random_state = 0
    least = [np.inf, np.inf]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 20 iterations are not convergence
        for _ in range(repeats):
            for i, path in enumerate((None, Path(folder) / "checkpoint")):
                began = time.process_time()
                gm.fit(X, checkpoint=path, checkpoint_every=3600.0)
                least[i] = min(least[i], time.process_time() - began)
    return least[0], least[1]


def print_costs() -> None:
    """Print the table of costs."""
    print(line("n × d, K, covariances", "without, s", "with, s", "ratio"))
    print("|---" * 4 + "|")
    for n, d, K, apart, covariance_type in SHAPES:
        without, with_one = cost(n, d, K, apart, covariance_type)
        name = f"{n} × {d}, K {K}, {covariance_type}, groups {apart:g} apart"
        print(line(name, f"{without:.2f}", f"{with_one:.2f}", f"{with_one / without:.2f}"), flush=True)


def line(*cells: object) -> str:
    """A line of a table."""
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def main() -> None:
    """Kill fits of all cases, and print what happened."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--cost", action="store_true", help="measure what a checkpoint costs, and kill nothing")
    arguments = parser.parse_args()
    if arguments.cost:
        print_costs()
        return
    print(line("case", *(name.replace("_", " ") for name in Outcome._fields)))
    print("|---" * (1 + len(Outcome._fields)) + "|")
    total = Outcome(*[0] * len(Outcome._fields))
    for case in arguments.cases:
        with tempfile.TemporaryDirectory() as folder:
            found = killed(case, -(-arguments.kills // len(arguments.cases)), arguments.seed, Path(folder))
        print(line(case, *found), flush=True)
        total = Outcome(*(a + b for a, b in zip(total, found, strict=True)))
    print(line("all", *total), end="\n\n")
    verdict = "Every fit that came to its end is the one that nothing ended."
    print(verdict if total.same == total.finished else "Some fit is another than the one that nothing ended.")
    sys.exit(total.same != total.finished)


if __name__ == "__main__":
    main()
