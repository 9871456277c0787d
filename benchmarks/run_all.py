"""Run every benchmark on whatever is installed, then list what was written and what is missing.

    python benchmarks/run_all.py                    # everything; how long it took is written to run_all.json
    python benchmarks/run_all.py --quick            # tiny sizes, some minutes: does everything run?
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

import drawing
from machine import cores
from results import OUTPUT, REPEATS, Results, caption, header, refuse_other, save, versions, write

HERE = Path(__file__).resolve().parent

#: Script, and what it measures.
PARTS = {
    "compare": "time of an EM iteration by shape and library; equal results",
    "scans": "time of an iteration by d, K and n",
    "scaling": "threads",
    "roofline": "arithmetic against dgemm and exp; what shortcuts save",
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


def json_of(part: str, options: argparse.Namespace) -> Path:
    output: Path = options.output
    return output / f"{_KINDS.get(part, part)}.json"


def kept_parts(options: argparse.Namespace, now: Results) -> list[str]:
    """The parts that need not be measured again; the comparison sees to itself, problem by problem."""
    if not options.resume:
        return []
    kept = [part for part in options.only if part != "compare" and json_of(part, options).exists()]
    for part in kept:
        file = json_of(part, options)
        refuse_other(file, json.loads(file.read_text(encoding="utf-8")), {**now, "repeats": REPEATS})
    return kept


def earlier_parts(path: Path, now: Results) -> Results:
    """What ``run_all.json`` says of the parts that it was written for; nothing if it is not there."""
    if not path.exists():
        return {}
    earlier: Results = json.loads(path.read_text(encoding="utf-8"))
    refuse_other(path, earlier, now)
    parts: Results = earlier["parts"]
    return parts


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    path = options.output / "run_all.json"
    results: Results = {**header("run_all", options), "versions": versions(), "parts": {}}
    earlier = earlier_parts(path, results) if options.resume else {}
    kept = kept_parts(options, results)
    for part in options.only:
        if part in kept:
            results["parts"][part] = {"status": "kept", "seconds": earlier.get(part, {}).get("seconds")}
            continue
        print(f"\n=== {part}: {PARTS[part]}\n", flush=True)
        begin = time.perf_counter()
        code = subprocess.run(command(part, options), check=False).returncode
        status = "ok" if code == 0 else f"FAILED, exit status {code}"
        results["parts"][part] = {"status": status, "seconds": time.perf_counter() - begin}
        save(results, path)  # after each: what an interrupted run took is known, too

    save(results, path)
    print(f"\n=== results in {options.output}")
    write(path)
    missing = dict[str, str]()
    for part in options.only:
        file = json_of(part, options)
        if file.exists():
            missing |= json.loads(file.read_text(encoding="utf-8")).get("missing", {})
    for name, why in missing.items():
        print(f"missing: {name} ({why})")
    return 1 if any("FAILED" in told["status"] for told in results["parts"].values()) else 0


def table(results: Results) -> str:
    """What became of each part and how long it took, and all together."""
    lines = ["| part | measures | | seconds |", "|---|---|---|---:|"]
    for part, told in results["parts"].items():
        seconds = "–" if told["seconds"] is None else f"{told['seconds']:.0f}"
        lines.append(f"| {part} | {PARTS[part]} | {told['status']} | {seconds} |")
    total = sum(told["seconds"] or 0.0 for told in results["parts"].values())
    return "\n".join(
        [*lines, "", f"{total:.0f} s in all, {total / 60.0:.0f} minutes, with {results['threads']} threads."]
    )


def draw(results: Results, path: Path) -> None:
    """How long each part took."""
    drawn, (axes,) = drawing.figure(width=7.5, height=1.2 + 0.3 * len(results["parts"]))
    for row, told in enumerate(results["parts"].values()):
        axes.barh(row, told["seconds"] or 0.0, color=drawing.COLORS[0], height=0.6)
    axes.set_yticks(range(len(results["parts"])), list(results["parts"]))
    axes.invert_yaxis()
    drawing.finish(drawn, path, "How long the benchmarks take, seconds", caption(results))


if __name__ == "__main__":
    raise SystemExit(main())
