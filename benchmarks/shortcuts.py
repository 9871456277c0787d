"""What each shortcut of a fit saves: an iteration and whole fits without it and with it, by turns.

A shortcut is work that a fit leaves out, or does in a cheaper way, where that changes nothing but last digits. Those
that `GaussianModel` has a switch for are switched off in a process of their own. Larger blocks have no switch: they
need another build of emix, made with the same compiler and options and installed into a folder, in which
`super_block_rows` (kernel/estep/sizes.pxi) always returns SUPER_BLOCK:

    python benchmarks/shortcuts.py [--quick] [--level v4 v3] [--only bounds packing]
    python benchmarks/shortcuts.py --variant "larger blocks=FOLDER"

A shortcut is measured on the shapes on which it is ever on: where passes that use it were counted, and where results
without it have other bits (the first look changes no bit, so for it the count decides alone).

Times are what all threads of a process have worked (`time.process_time`): other processes disturb that less than the
clock. What one thread does while others wait counts for less than in a fit's seconds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import drawing
import fresh
from results import OUTPUT, REPEATS, Results, caption, header, save, versions, write
from shortcut_parts import SHORTCUTS, TAKEN_OUT, n_lines
from shortcut_times import measure_all
from timing import faster_with_range

#: A shortcut that saves less than this share of the time on every shape is hardly worth its lines.
WORTH = 0.1


def saving(entry: dict[str, Any]) -> float:
    """Share of the time without a shortcut that it saves, by the fastest rounds."""
    return 1.0 - 1.0 / float(entry["least"])


def table(results: Results) -> str:
    """What each shortcut saves at most, and then shape by shape."""
    found = dict.fromkeys(name for record in results["records"] for name in record["shortcuts"])
    names = [name for name in found if name in SHORTCUTS]  # files of earlier measurements have others
    levels = results["levels"]
    lines = [
        f"| shortcut | {' | '.join(f'saves at most, {level}' for level in levels)} | lines of source | of tests |",
        "|---|" + "---|" * len(levels) + "---:|---:|",
    ]
    for name in names:
        cells = [_most(results, name, level) for level in levels]
        source, tests = results["lines"][name]
        lines.append(f"| {name}: {SHORTCUTS[name].about} | {' | '.join(cells)} | {source} | {tests} |")
    for name, (about, saved, _) in TAKEN_OUT.items():
        cells = [saved.get(level, "–") for level in levels]
        lines.append(f"| {name}, taken out: {about} | {' | '.join(cells)} | – | – |")
    for name in names:
        shown: dict[str, dict[str, Any]] = {record["name"]: {} for record in results["records"]}
        for record in results["records"]:
            if name in record["shortcuts"]:
                shown[record["name"]][record["level"]] = record["shortcuts"][name]
        on = {shape: by_level for shape, by_level in shown.items() if any(e["used"] for e in by_level.values())}
        lines += ["", f"### {name}", ""]
        if on:
            lines += [f"| shape | {' | '.join(levels)} | log-likelihoods apart |", "|---|" + "---|" * (len(levels) + 1)]
        for shape, by_level in on.items():
            cells = [_cell(by_level[level]) if level in by_level else "–" for level in levels]
            apart = max(entry.get("apart", 0.0) for entry in by_level.values())
            lines.append(f"| {shape} | {' | '.join(cells)} | {f'{apart:.0e}' if apart else 'same'} |")
        off = [shape for shape in shown if shown[shape] and shape not in on]
        if off:
            lines += ["", f"Never on: {'; '.join(off)}."]
    explained = (
        f"Times are what {results['threads']} threads have worked, without a shortcut over with it: of an iteration, "
        "or of a whole fit with the estimator's defaults. In bold by the fastest runs, in brackets the median of the "
        "rounds and their range. After a comma: how many of the passes use the shortcut, where some do not; for whole "
        "fits, iterations without it and with it, where last digits changed their number. Lines are those, not empty, "
        "of files and functions that only the shortcut needs. Taken out: measured at an earlier commit "
        f"({', '.join(f'{name}: {commit}' for name, (_, _, commit) in TAKEN_OUT.items())}). –: not measured."
    )
    return "\n".join([*lines, "", explained])


def _most(results: Results, name: str, level: str) -> str:
    entries = [
        (record["name"], record["shortcuts"][name])
        for record in results["records"]
        if record["level"] == level
        and record["shortcuts"].get(name, {}).get("used")
        and "failed" not in record["shortcuts"][name]
    ]
    if not entries:
        return "never on"
    shape, entry = max(entries, key=lambda pair: saving(pair[1]))
    return f"{100.0 * saving(entry):.0f} % ({shape}){'' if saving(entry) >= WORTH else ', below a tenth everywhere'}"


def _cell(entry: dict[str, Any]) -> str:
    if not entry["used"]:
        return "never on"
    if "failed" in entry:
        return str(entry["failed"])
    some = "" if entry["used"] == entry["passes"] else f", {entry['used']} of {entry['passes']} passes"
    without, with_it = entry.get("iterations", (0, 0))
    some += "" if without == with_it else f", {without} and {with_it} iterations"
    return f"**{entry['least']:.2f}×** [{faster_with_range(entry['rounds'])}]{some}"


def draw(results: Results, path: Path) -> None:
    """Times without over times with, a dot for each shape, by shortcut and level."""
    drawn, (axes,) = drawing.figure(width=9.0, height=4.4)
    names = list(results["lines"])
    for place, level in enumerate(results["levels"]):
        for row, name in enumerate(names):
            entries = [r["shortcuts"].get(name, {"used": 0}) for r in results["records"] if r["level"] == level]
            ratios = [entry["least"] for entry in entries if entry["used"] and "least" in entry]
            heights = np.full(len(ratios), row + 0.2 * (place - 0.5))
            axes.scatter(ratios, heights, color=drawing.COLORS[place], s=14, label=level if row == 0 else None)
    axes.axvline(1.0, color="#999999")
    axes.set_xscale("log")
    drawing.number_ticks(axes.xaxis)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.legend()
    drawing.unit(axes, "time without the shortcut over time with it, a dot for each shape (logarithmic)")
    drawing.finish(drawn, path, "What each shortcut saves", caption(results))


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--level", nargs="+", help="instruction-set levels (those above the baseline)")
    parser.add_argument("--only", nargs="+", choices=SHORTCUTS, default=list(SHORTCUTS), metavar="SHORTCUT")
    parser.add_argument(
        "--shapes", nargs="+", default=[""], metavar="TEXT", help="shapes whose name contains one of these"
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep what the JSON has, of the same code; measure the rest"
    )
    parser.add_argument(
        "--variant",
        metavar="SHORTCUT=FOLDER",
        action="append",
        default=[],
        help="a folder with an emix that was built without the shortcut",
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=REPEATS, help="rounds (%(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder (%(default)s)")
    options = parser.parse_args(argv)
    for text in options.variant:
        if text.partition("=")[0] not in SHORTCUTS or "=" not in text:
            parser.error(f"--variant {text}: expected SHORTCUT=FOLDER, the shortcut one of {', '.join(SHORTCUTS)}")
    if options.quick:
        options.repeats = 1
    if options.level is None:
        found: list[str] = fresh.call("levels:available")
        options.level = [level for level in found if level not in ("baseline", "blas")] or found[:1]
    return options


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    path = options.output / "shortcuts.json"
    results: Results = {**header("shortcuts", options), "versions": versions(), "levels": options.level, "records": []}
    del results["versions"]["level"]  # of this process, which measures nothing
    results["lines"] = {
        name: [sum(map(n_lines, shortcut.source)), sum(map(n_lines, shortcut.tests))]
        for name, shortcut in SHORTCUTS.items()
    }

    if options.resume and path.exists():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        results["records"] = earlier["records"]
        results["levels"] = list(dict.fromkeys(earlier["levels"] + options.level))
    there = {(record["name"], record["level"]) for record in results["records"]}

    def wanted(shape: str, level: str) -> bool:
        return (shape, level) not in there and any(text in shape for text in options.shapes)

    def keep(record: dict[str, Any]) -> None:
        results["records"].append(record)
        save(results, path)
        told = ", ".join(f"{n} {_cell(e)}" for n, e in record["shortcuts"].items() if e["used"])
        print(f"{record['level']:4} {record['name']:40} {told}", flush=True)

    measure_all(options, wanted, keep)
    write(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
