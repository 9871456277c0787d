"""Make the table and the figure of a comparison from its JSON, without measuring again.

Run it as ``python benchmarks/report.py build/benchmarks/comparison.json``.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: Colours that stay apart for colour-blind readers (Okabe and Ito), and markers that do in grey.
_STYLE = {
    "NumPy": ("#999999", "s"),
    "scikit-learn": ("#E69F00", "o"),
    "oneDAL": ("#0072B2", "D"),
    "emix": ("#D55E00", "*"),
}
_OTHER_STYLE = ("#009E73", "v")


def milliseconds(seconds: float) -> str:
    """Three digits: 0.123, 1.23, 12.3, 123, 1 234."""
    value = 1e3 * seconds
    if value <= 0.0:  # a difference of two noisy times
        return "0"
    digits = max(0, min(3, 2 - math.floor(math.log10(value))))
    return f"{value:,.{digits}f}".replace(",", " ")


def table(results: Mapping[str, Any], subject: str = "emix") -> str:
    """Markdown: a row per problem, a column per library, and how many times faster the subject is."""
    names = list(results["peers"])
    compared = subject in names and len(names) > 1
    notes: list[str] = []
    lines = [
        "| n × d, K | " + " | ".join(names) + (f" | {subject} against |" if compared else " |"),
        "|---|" + "---:|" * len(names) + ("---|" if compared else ""),
    ]
    for problem in results["problems"]:
        times = {}
        cells = []
        for name in names:
            entry = problem["peers"][name]
            if "seconds_per_iteration" in entry:
                times[name] = entry["seconds_per_iteration"]
                cells.append(f"{milliseconds(times[name])} (+{100 * entry['spread']:.0f} %)")
                continue
            kind, why = next(iter(entry.items()))
            cells.append("fails" if kind == "failed" else "–")
            note = f"{name}: {why}"
            if note not in notes:
                notes.append(note)
        ratios = [
            f"{name} {times[name] / times[subject]:.1f}×"
            for name in times
            if name != subject and times.get(subject, 0.0) > 0.0
        ]
        star = " **(different results)**" if problem["complaints"] else ""
        lines.append(
            f"| {problem['name']}{star} | " + " | ".join(cells) + (f" | {', '.join(ratios)} |" if compared else " |")
        )
        notes += problem["complaints"]
    notes += [f"{name} {about['note']}" for name, about in results["peers"].items() if about.get("note")]
    notes += [f"{name} is missing: {why}" for name, why in results["missing"].items()]
    machine = results["machine"]
    versions = "; ".join(
        f"{name}: " + ", ".join(f"{key} {value}" for key, value in about["versions"].items() if key != "path")
        for name, about in results["peers"].items()
    )
    caption = (
        f"Milliseconds per EM iteration, {results['measured']}, fastest of {results['repeats']} rounds by turns "
        f"(in brackets: how much slower the slowest was). {results['threads']} threads, {machine['processor']}, "
        f"{machine['cores']} cores, {machine['vectors']}, {results['date'][:10]}. {versions}."
    )
    return "\n".join([*lines, "", caption, "", *(f"- {note}" for note in notes)]).rstrip() + "\n"


def figure(results: Mapping[str, Any], path: Path) -> None:
    """Draw time per iteration, a row per problem and a mark per library, on a logarithmic axis."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    problems = results["problems"]
    machine = results["machine"]
    drawn, axes = plt.subplots(figsize=(8.5, 1.6 + 0.55 * len(problems)), layout="constrained")
    names = list(results["peers"])
    for name in names:
        color, marker = _STYLE.get(name, _OTHER_STYLE)
        points = [
            (1e3 * entry["seconds_per_iteration"], row)
            for row, problem in enumerate(problems)
            if (entry := problem["peers"][name]).get("seconds_per_iteration", 0.0) > 0.0
        ]
        size = 150 if name == "emix" else 55
        axes.scatter(
            [x for x, _ in points], [y for _, y in points], s=size, c=color, marker=marker, label=name, zorder=3
        )
    for row, problem in enumerate(problems):
        _ratio_label(axes, row, problem["peers"])
    axes.set_xscale("log")
    # Whole numbers instead of powers of ten, and room at the right for the ratios.
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    left, right = axes.get_xlim()
    axes.set_xlim(left, right * (right / left) ** 0.12)
    axes.set_yticks(range(len(problems)), [problem["name"] for problem in problems])
    axes.set_ylim(len(problems) - 0.4, -0.6)
    axes.set_xlabel(
        "milliseconds per EM iteration (logarithmic; further left is faster)\n"
        "n×: time of the slowest library over that of emix\n"
        f"{machine['processor']}, {results['threads']} threads, {results['date'][:10]}"
    )
    axes.grid(axis="x", which="major", color="#dddddd")
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(names), frameon=False)
    drawn.savefig(path, dpi=150)
    plt.close(drawn)


def _ratio_label(axes: Any, row: int, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """A line from emix to the slowest library, with the ratio at its end."""
    times = {
        name: 1e3 * entry["seconds_per_iteration"]
        for name, entry in entries.items()
        if entry.get("seconds_per_iteration", 0.0) > 0.0
    }
    if not times:
        return
    slowest = max(times, key=lambda name: times[name])
    axes.plot([min(times.values()), times[slowest]], [row, row], color="#cccccc", lw=2, zorder=1)
    if "emix" in times and slowest != "emix":
        axes.annotate(
            f"{times[slowest] / times['emix']:.0f}×",
            (times[slowest], row),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color="#555555",
        )


def write(path: Path) -> None:
    """Print the table of a comparison and write it and the figure beside the JSON."""
    results = json.loads(path.read_text(encoding="utf-8"))
    text = table(results)
    print(text)
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    try:
        figure(results, path.with_suffix(".png"))
    except ImportError:
        print('no figure: matplotlib is not installed (pip install "emix[benchmark]")')
        return
    print(f"written: {path}, {path.with_suffix('.md').name}, {path.with_suffix('.png').name}")


def main(argv: Sequence[str] | None = None) -> int:
    paths = sys.argv[1:] if argv is None else argv
    if not paths:
        raise SystemExit("usage: python benchmarks/report.py COMPARISON.json …")
    for path in paths:
        write(Path(path))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
