"""The libraries that are compared, a file each.

A peer's file says how its library runs a fixed number of EM iterations from a given start. It has

- ``NAME``, as printed;
- ``NOTE``, what a reader of the table must know, or an empty string;
- ``versions()``, a dict of name to version, which imports the library (ImportError: it is missing);
- ``prepare(X, start, structure, n_threads)``, which returns a function of the number of iterations
  that runs the fit, times it and returns a :class:`Run`. It raises :class:`Unsupported` where the
  library cannot do the problem at all.

Each runs in a process of its own (:mod:`peers.worker`), if need be with another Python, because the
libraries' requirements clash. So these files import only NumPy, their library and :mod:`data`, which
needs no more. A program that is not Python can be a peer, too (:mod:`peers.programs`): ``prepare`` writes
the data where the program finds them, and the function reads the time that it printed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from data import Array

#: The peers in the order of the table.
PEERS = (
    "numpy_baseline",
    "scikit_learn",
    "onedal",
    "pomegranate",
    "armadillo",
    "mclust",
    "emix_plain",
    "emix",
)


class Unsupported(Exception):
    """The library cannot fit this kind of model or data; the text says what it lacks."""


class Run(NamedTuple):
    """One timed fit; the covariances are full, (K, d, d), whatever the structure."""

    seconds: float
    weights: Array
    means: Array
    covariances: Array


Fit = Callable[[int], Run]


def in_structure(covariances: Array, structure: str) -> Array:
    """Full covariances of the start (multiples of the identity) in the shape of a structure."""
    diagonals = np.diagonal(covariances, axis1=1, axis2=2)
    shapes = {
        "full": covariances,
        "tied": covariances.mean(axis=0),
        "diag": diagonals,
        "spherical": diagonals.mean(axis=1),
    }
    return np.ascontiguousarray(shapes[structure])


def to_full(covariances: Array, structure: str, n_components: int, n_features: int) -> Array:
    """Covariances of a structure as full ones, float64, (K, d, d)."""
    covariances = np.asarray(covariances, dtype=np.float64)
    if structure == "diag":
        covariances = covariances[:, :, np.newaxis] * np.eye(n_features)
    elif structure == "spherical":
        covariances = covariances[:, np.newaxis, np.newaxis] * np.eye(n_features)
    return np.broadcast_to(covariances, (n_components, n_features, n_features)).copy()
