"""Run every benchmark on whatever is installed, then list what was written and what is missing.

    python benchmarks/run_all.py                    # about 40 minutes on two quiet cores
    python benchmarks/run_all.py --quick            # tiny sizes, about three minutes: does everything run?
    python benchmarks/run_all.py --only scans memory
    python benchmarks/run_all.py --python onedal=/path/to/venv/bin/python --python pomegranate=…

Every part is a script of its own in a process of its own: one that fails does not keep the others from running.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from machine import cores
from results import OUTPUT

HERE = Path(__file__).resolve().parent

#: Script, and what it measures.
PARTS = {
    "compare": "time of an EM iteration by shape and library; equal results",
    "scans": "time of an iteration by d, K and n",
    "scaling": "threads",
    "roofline": "arithmetic against dgemm and exp; what skipping saves",
    "latency": "calls on few rows, small fits",
    "scoring": "a large array; many threads at once",
    "import_time": "import emix",
    "memory": "peak of a fit above its data",
    "whole_fits": "fits from start to end",
    "levels": "instruction-set levels, and where the BLAS level pays",
}

#: Where a part's results lie, if not under its own name.
_KINDS = {"compare": "comparison"}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--python", metavar="PEER=PATH", action="append", default=[], help="a peer's interpreter")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder (%(default)s)")
    parser.add_argument("--resume", action="store_true", help="leave out the parts whose JSON is there")
    return parser.parse_args(argv)


def command(part: str, options: argparse.Namespace) -> list[str]:
    """The command line of a part."""
    found = [sys.executable, str(HERE / f"{part}.py"), "--threads", str(options.threads)]
    found += ["--output", str(options.output)]
    if options.quick:
        found.append("--quick")
    if part == "compare":
        found += [word for option in options.python for word in ("--python", option)]
        found += [] if options.quick else ["--all"]
        found += ["--resume"] if options.resume else []
    return found


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    begin = time.perf_counter()
    status: dict[str, str] = {}
    for part in options.only:
        path = options.output / f"{_KINDS.get(part, part)}.json"
        if options.resume and part != "compare" and path.exists():
            status[part] = "kept"
            continue
        print(f"\n=== {part}: {PARTS[part]}\n", flush=True)
        started = time.perf_counter()
        code = subprocess.run(command(part, options), check=False).returncode
        status[part] = (
            "ok" if code == 0 else f"FAILED, exit status {code}"
        ) + f", {time.perf_counter() - started:.0f} s"

    print(f"\n=== {time.perf_counter() - begin:.0f} s in all; results in {options.output}\n")
    missing = dict[str, str]()
    for part, said in status.items():
        path = options.output / f"{_KINDS.get(part, part)}.json"
        print(f"{part:12} {said}")
        if path.exists():
            missing |= json.loads(path.read_text(encoding="utf-8")).get("missing", {})
    for name, why in missing.items():
        print(f"missing: {name} ({why})")
    return 1 if any("FAILED" in said for said in status.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
