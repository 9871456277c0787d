"""Time of an import, each in a fresh process: emix beside numpy, which it needs, and sklearn.mixture.

python benchmarks/import_time.py [--quick]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import drawing
from results import Results, caption, run
from timing import milliseconds

_MODULES = ("numpy", "emix", "sklearn.mixture")


# Nothing else is imported before it: what the interpreter has loaded by itself is all that it finds.
_CODE = "import sys, time; t = time.perf_counter(); __import__(sys.argv[1]); print(time.perf_counter() - t)"


def seconds_of(module: str) -> float:
    """Seconds to import a module in a fresh process.

    Raises
    ------
    ImportError
        If it cannot be imported.
    """
    done = subprocess.run([sys.executable, "-c", _CODE, module], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImportError(done.stderr.strip().splitlines()[-1])
    return float(done.stdout)


def measure_imports(options: argparse.Namespace) -> Results:
    rounds = 2 if options.quick else 15
    seconds: dict[str, list[float]] = {}
    missing = {}
    for _ in range(rounds):
        for module in _MODULES:
            try:
                seconds.setdefault(module, []).append(seconds_of(module))
            except ImportError as error:
                missing[module] = str(error)
    return {"seconds": {name: found for name, found in seconds.items() if found}, "missing": missing}


def table(results: Results) -> str:
    """Milliseconds, and times numpy's."""
    numpy = min(results["seconds"]["numpy"])
    lines = ["| import | milliseconds | times numpy's |", "|---|---:|---:|"]
    for name, times in results["seconds"].items():
        spread = 100 * (max(times) / min(times) - 1.0)
        lines.append(f"| {name} | {milliseconds(min(times))} (+{spread:.0f} %) | {min(times) / numpy:.2f} |")
    return "\n".join([*lines, *(f"- {name} is missing: {why}" for name, why in results["missing"].items())])


def draw(results: Results, path: Path) -> None:
    """A bar for each."""
    drawn, (axes,) = drawing.figure(width=7.5, height=2.4)
    for row, (name, times) in enumerate(results["seconds"].items()):
        value = 1e3 * min(times)
        axes.barh(row, value, color={"emix": "#D55E00", "numpy": "#999999"}.get(name, "#E69F00"), height=0.6)
        axes.annotate(f"{value:.0f} ms", (value, row), xytext=(4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(results["seconds"])), list(results["seconds"]))
    axes.invert_yaxis()
    axes.margins(x=0.12)
    drawing.finish(drawn, path, "Import time, milliseconds", "Least of several fresh processes. " + caption(results))


if __name__ == "__main__":
    raise SystemExit(run("import_time", __doc__ or "", measure_imports, None))
