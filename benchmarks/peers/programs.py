"""Peers that are programs of their own: they are given files, told a number of iterations, and print a time.

The program says ``ready`` once it has read the rows and the start, as raw float64 or float32 in files named data,
weights, means and covariances; then it answers each line (a number of iterations) with ``seconds T``, having written
weights, means and covariances one after the other, float64, to the file result, or with ``failed: why``.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data import Array
from peers import Fit, Run


def run_as_program(command: Sequence[str | Path], files: Mapping[str, np.ndarray], K: int, d: int) -> Fit:
    """Start a program on data; return the function that has it fit.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments; ``{folder}`` stands for the folder with the files.
    files : mapping of str to ndarray
        What the files hold; written in the order of the numbers in memory that each array gives when flattened.
    K, d : int
        Shape of the result.
    """
    folder = tempfile.TemporaryDirectory(prefix="emix-benchmark-")
    for name, values in files.items():
        values.tofile(Path(folder.name, name))
    # Without `with`, as it is read for as long as the function that is returned lives.
    errors = open(Path(folder.name, "errors"), "w+")  # noqa: SIM115
    process = subprocess.Popen(
        [str(part).replace("{folder}", folder.name) for part in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    requests, replies = process.stdin, process.stdout

    def reply() -> str:
        line = replies.readline().strip()
        if not line:
            errors.seek(0)
            said = " ".join(errors.read().split())[-300:]
            raise RuntimeError(
                f"{Path(command[0]).name} ended with status {process.wait()}: {said or 'without a word'}"
            )
        if line.startswith("failed: "):
            raise RuntimeError(line.removeprefix("failed: "))
        return line

    if reply() != "ready":
        raise RuntimeError(f"{command[0]} does not understand")

    def fit(n_iter: int) -> Run:
        requests.write(f"{n_iter}\n")
        requests.flush()
        seconds = float(reply().removeprefix("seconds "))
        values: Array = np.fromfile(Path(folder.name, "result"))
        weights, means, covariances = np.split(values, [K, K + K * d])
        # The folder must live as long as the function does: it is removed with it.
        assert Path(folder.name).exists()
        return Run(seconds, weights, means.reshape(K, d), covariances.reshape(K, d, d))

    return fit
