"""Memory of `emix fit` does not grow with the rows of a long file: the peak of a process, of two sizes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(5)

PEAK = """
import resource, sys
from pathlib import Path
from emix.cli import long_tables
from emix.cli.command_line import main
long_tables.LONG_BYTES = 0
code = main(sys.argv[1:])
status = Path("/proc/self/status")
if status.exists():  # what rusage says on Linux is at least the size of the process that began this one
    print(1024 * int(status.read_text().partition("VmHWM:")[2].split()[0]))
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, suffix: str) -> None:
    peaks = []
    for n_parts in (16, 80):  # 400 000 rows of 4 numbers, and 2 000 000: 51 MB more
        values = RNG.normal(size=(25_000, 4)) + 5.0 * RNG.integers(2, size=(25_000, 1))
        path = tmp_path / f"rows{n_parts}{suffix}"
        if suffix == ".npy":
            np.save(path, np.tile(values, (n_parts, 1)).astype(np.float64))
        elif suffix == ".parquet":
            pl.concat([pl.DataFrame(values)] * n_parts).write_parquet(path, row_group_size=100_000)
        else:
            text = pl.DataFrame(values).write_csv(include_header=False, float_precision=12)
            path.write_text("a,b,c,d\n" + text * n_parts)
        command = ["fit", str(path), "-k", "2", "--threads", "1", "--max-iter", "3", "--tol", "1", "--quiet"]
        done = subprocess.run([sys.executable, "-P", "-c", PEAK, *command], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    # Allocators keep more or less of what is freed: some MB from run to run.
    assert peaks[1] - peaks[0] < 25e6
