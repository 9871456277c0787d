"""What every measurement has in common: its options, what it ran on and with, and its files.

A measurement is a file ``<kind>.py`` with ``measure(options)``, which returns what was measured, ready for JSON,
``table(results)``, which makes Markdown of it, and ``draw(results, path)``, which makes a picture. ``run`` does
all three, and :mod:`report` the last two again from the JSON.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import cores, machine

Results = dict[str, Any]

HERE = Path(__file__).resolve().parent

OUTPUT = Path("build/benchmarks")

#: Rounds, where an option does not say otherwise.
REPEATS = 5


def arguments(text: str, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options that every measurement has."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--threads", type=int, default=cores(), help="at most so many (%(default)s)")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="rounds (%(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder (%(default)s)")
    return parser.parse_args(argv)


def run(kind: str, text: str, measure: Callable[[argparse.Namespace], Results], argv: Sequence[str] | None) -> int:
    """Measure, and write ``<kind>.json``, the table and the figure."""
    options = arguments(text, argv)
    conclude(kind, options, blas=blas(), **measure(options))
    return 0


def conclude(kind: str, options: argparse.Namespace, **measured: Any) -> None:
    """Write what was measured, with when, where and with what, and its table and figure."""
    path: Path = options.output / f"{kind}.json"
    save({**header(kind, options), "versions": versions(), **measured}, path)
    write(path)


def header(kind: str, options: argparse.Namespace) -> Results:
    """When, on which machine, how, and with which commit's code."""
    return {
        "kind": kind,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "machine": machine(),
        "threads": options.threads,
        "repeats": vars(options).get("repeats"),
        "budget": vars(options).get("budget"),
        "quick": options.quick,
    }


def revision() -> str | None:
    """What git calls the tree that these scripts stand in; None outside git."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    except OSError:  # there is no git
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def refuse_other(path: Path, earlier: Results, now: Results) -> None:
    """End with a message if what an earlier run left in a file was not measured as it would be now.

    Code that git has no name for is other code: two trees with changes that are not committed look the same.
    """
    named = now["revision"]
    if named is None or named.endswith("-dirty"):
        raise SystemExit(
            f"--resume: {path} may have been measured with other code: this is "
            + ("outside git" if named is None else f"{named}, with changes that are not committed")
            + ": remove it, or choose another --output"
        )
    for what in ("revision", "level", "quick", "threads", "repeats", "budget", "processor"):
        before, here = _said(earlier, what), _said(now, what)
        # Where no emix was measured, there is no level that could differ.
        if before != here and not (what == "level" and None in (before, here)):
            raise SystemExit(
                f"--resume: {path} was measured with {what} {before}, and this is {here}: remove it, or choose "
                "another --output"
            )


def _said(results: Results, what: str) -> object:
    if what == "processor":
        return results["machine"]["processor"]
    return results.get(what, results.get("versions", {}).get(what))


def versions() -> dict[str, str]:
    """Of emix, with its level, and of what it is measured beside; "missing" where a library is."""
    from emix.kernel.level import config

    found = {"python": sys.version.split()[0], "emix": config()["emix"], "level": config()["level in use"]}
    for name, module in (("numpy", "numpy"), ("scipy", "scipy"), ("scikit-learn", "sklearn")):
        try:
            found[name] = str(importlib.import_module(module).__version__)
        except ImportError:
            found[name] = "missing"
    return found


def blas() -> list[str]:
    """The BLAS and OpenMP libraries loaded in this process, with their threads."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return ["unknown (threadpoolctl is not installed)"]
    return sorted(
        {
            " ".join(str(pool[key]) for key in ("internal_api", "version", "architecture") if pool.get(key))
            + f", {pool['num_threads']} threads"
            for pool in threadpool_info()
        }
    )


def save(results: Results, path: Path) -> None:
    """Write the JSON, whole or not at all: an interrupted run leaves what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".json.new")
    fresh.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)


def caption(results: Results) -> str:
    """One line below a figure or table: processor, threads, versions, date."""
    found = results["machine"]
    told = [f"{found['processor']}, {found['cores']} cores, {found['vectors']}", results["date"][:10]]
    if results.get("revision"):
        told.append(f"commit {results['revision']}")
    if "versions" in results:
        told += [f"{name} {version}" for name, version in results["versions"].items() if name != "python"]
    if results.get("quick"):
        told.append("QUICK: tiny sizes, the figures mean nothing")
    return ", ".join(told)


def write(path: Path) -> None:
    """Print the table of measurements and write it and the figure beside the JSON."""
    results: Results = json.loads(path.read_text(encoding="utf-8"))
    shown: Any = importlib.import_module(results["kind"])
    text = f"{shown.table(results).rstrip()}\n\n{caption(results)}\n"
    print(f"\n{text}")
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    try:
        import matplotlib as mpl
    except ImportError:
        print('no figure: matplotlib is not installed (pip install "emix[benchmark]")')
        return
    mpl.use("Agg")
    shown.draw(results, path.with_suffix(".png"))
    print(f"written: {path}, {path.with_suffix('.md').name}, {path.with_suffix('.png').name}", flush=True)
