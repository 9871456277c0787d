"""mclust's ``em``, in R: ``apt install r-cran-mclust``, or ``install.packages("mclust")``."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data import Start
from peers import Fit, Unsupported
from peers.programs import run_as_program

NAME = "mclust"
NOTE = "uses one thread, and computes in float64 also for float32 data"

#: mclust's names of the structures.
_MODELS = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}


def versions() -> dict[str, str]:
    rscript = shutil.which("Rscript")
    if rscript is None:
        raise ImportError("Rscript is not on the path (R is not installed)")
    # Three lines: the versions of mclust and R, and the path of its BLAS.
    ask = "cat(format(packageVersion('mclust')), format(getRversion()), extSoftVersion()['BLAS'], sep = '\\n')"
    done = subprocess.run([rscript, "-e", ask], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImportError("R has no package mclust")
    mclust, r, blas = (*(part.strip() for part in done.stdout.splitlines()), "", "", "")[:3]
    return {"mclust": mclust, "R": r, "R's BLAS": Path(blas).name or "its own"}


def prepare(X: NDArray[np.floating], start: Start, structure: str, n_threads: int) -> Fit:
    if structure not in _MODELS:
        raise Unsupported(f"no {structure} covariances")
    n, d = X.shape
    K = len(start.weights)
    files = {
        # R's matrices are column by column.
        "data": np.ascontiguousarray(X.T, dtype=np.float64),
        "weights": start.weights,
        "means": start.means,
        "covariances": start.covariances,
    }
    script = Path(__file__).with_name("mclust_em.R")
    return run_as_program(["Rscript", script, "{folder}", _MODELS[structure], str(n), str(d), str(K)], files, K, d)
