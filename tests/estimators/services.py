"""A service that holds rows and gives away their statistics alone: a process of its own, in tests."""

from __future__ import annotations

from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray


def serve(connection: Connection, X: NDArray[np.float64], sample_weight: NDArray[np.float64] | None) -> None:
    """Answer each mixture with the statistics of the rows under it; None ends the service."""
    while (gm := connection.recv()) is not None:
        connection.send(gm.statistics(X, sample_weight))
