"""Armadillo's gmm_full and gmm_diag, C++: ``apt install g++ libarmadillo-dev``; compiled here on first use."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data import Start
from peers import Fit, Unsupported
from peers.programs import run_as_program

NAME = "Armadillo"
NOTE = ""

_SOURCE = Path(__file__).with_name("armadillo_em.cpp")
_BUILDS = Path(__file__).resolve().parents[2] / "build" / "armadillo"

#: As its documentation advises: optimized, its run-time checks off, OpenMP on.
_OPTIONS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-DNDEBUG", "-DARMA_NO_DEBUG")


def _compiler() -> str:
    compiler = shutil.which("g++")
    if compiler is None:
        raise ImportError("g++ is not on the path")
    return compiler


def _program() -> Path:
    """The compiled program, made unless it is there."""
    key = hashlib.sha256(_SOURCE.read_bytes() + " ".join(_OPTIONS).encode() + versions()["Armadillo"].encode())
    program = _BUILDS / f"armadillo_em-{key.hexdigest()[:12]}"
    if not program.exists():
        _BUILDS.mkdir(parents=True, exist_ok=True)
        fresh = program.with_suffix(".new")
        command = [_compiler(), *_OPTIONS, str(_SOURCE), "-o", str(fresh), "-larmadillo"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"it does not compile: {done.stderr.strip().splitlines()[-1]}")
        fresh.replace(program)
    return program


def versions() -> dict[str, str]:
    compiler = _compiler()
    ask = "#include <armadillo>\nversion ARMA_VERSION_MAJOR ARMA_VERSION_MINOR ARMA_VERSION_PATCH __VERSION__ end\n"
    done = subprocess.run(
        [compiler, "-std=c++17", "-E", "-P", "-x", "c++", "-"], input=ask, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ImportError("g++ does not find <armadillo>")
    found = re.search(r'version\s+(\d+)\s+(\d+)\s+(\d+)\s+"(.+)"\s+end', done.stdout)
    if found is None:
        raise ImportError("the version of <armadillo> is not where it is expected")
    return {"Armadillo": ".".join(found.groups()[:3]), "g++": found[4]}


def prepare(X: NDArray[np.floating], start: Start, structure: str, n_threads: int) -> Fit:
    if structure not in ("full", "diag"):
        raise Unsupported("full and diagonal covariances only")
    program = _program()
    n, d = X.shape
    K = len(start.weights)
    files = {
        "data": np.ascontiguousarray(X),
        "weights": start.weights,
        "means": start.means,
        "covariances": start.covariances,
    }
    return run_as_program([program, "{folder}", structure, X.dtype.name, str(n), str(d), str(K)], files, K, d)
