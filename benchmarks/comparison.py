"""The table and the figure of :mod:`compare`: time of an EM iteration by problem and library."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import drawing
from results import Results, caption

#: A peer that is no other library.
PLAIN = "emix (no skipping)"

#: Versions that are in the JSON, but that the tables leave out.
_COMMON = ("python", "numpy")


def milliseconds(seconds: float) -> str:
    """Three digits: 0.123, 1.23, 12.3, 123, 1 234."""
    value = 1e3 * seconds
    if value <= 0.0:  # a difference of two noisy times
        return "0"
    digits = max(0, min(3, 2 - math.floor(math.log10(value))))
    return f"{value:,.{digits}f}".replace(",", " ")


def times_of(problem: Mapping[str, Any]) -> dict[str, float]:
    """Seconds per iteration of each library that has them."""
    return {
        name: entry["seconds_per_iteration"]
        for name, entry in problem["peers"].items()
        if entry.get("seconds_per_iteration", 0.0) > 0.0
    }


def best_other(times: Mapping[str, float], subject: str = "emix") -> str | None:
    """The fastest library that is not emix; None if there is none."""
    others = {name: seconds for name, seconds in times.items() if name not in (subject, PLAIN)}
    return min(others, key=lambda name: others[name]) if others else None


def times_faster(ratio: float) -> str:
    """Two digits below ten: 0.97×, 3.4×, 41×."""
    return f"{ratio:.{0 if ratio >= 9.95 else 1 if ratio >= 1.95 else 2}f}×"


def _cell(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return ""
    if "seconds_per_iteration" not in entry:
        return "fails" if "failed" in entry else "–"
    spread = f"+{100 * entry['spread']:.0f} %" if len(entry.get("seconds_many", "..")) > 1 else "once"
    return f"{milliseconds(entry['seconds_per_iteration'])} ({spread})"


def table(results: Results, subject: str = "emix") -> str:
    """Markdown: a row per problem, a column per library, and how many times faster emix is."""
    names = list(results["peers"])
    compared = subject in names and len(names) > 1
    notes: list[str] = []
    lines = [
        "| n × d, K | " + " | ".join(names) + (f" | {subject} against |" if compared else " |"),
        "|---|" + "---:|" * len(names) + ("---|" if compared else ""),
    ]
    for problem in results["problems"]:
        for name, entry in problem["peers"].items():
            why = entry.get("failed") or entry.get("unsupported")
            if why and f"{name}: {why}" not in notes:
                notes.append(f"{name}: {why}")
        times = times_of(problem)
        ratios = [
            f"{name} {times_faster(times[name] / times[subject])}"
            for name in times
            if name != subject and subject in times
        ]
        star = " **(different results)**" if problem["complaints"] else ""
        cells = [_cell(problem["peers"].get(name)) for name in names]
        lines.append(
            f"| {problem['name']}{star} | " + " | ".join(cells) + (f" | {', '.join(ratios)} |" if compared else " |")
        )
        notes += problem["complaints"]
    notes += [f"{name} {about['note']}" for name, about in results["peers"].items() if about.get("note")]
    notes += [f"{name} is missing: {why}" for name, why in results["missing"].items()]
    explained = (
        "Milliseconds per EM iteration, from the difference of two runs of 2 and 8 iterations (K 64, separate and the "
        f"like: 10 and 20). Fastest of up to {results['repeats']} rounds by turns (in brackets: how much slower the "
        f"slowest was; once: the library is so slow that there was one round). {results['threads']} threads. "
        f"{_versions(results)}."
    )
    return "\n".join([*lines, "", explained, "", *(f"- {note}" for note in notes)]).rstrip() + "\n"


def _versions(results: Results) -> str:
    """What each library is, without what all have in common."""
    return "; ".join(
        f"{name}: {', '.join(f'{key} {version}' for key, version in about['versions'].items() if key not in _COMMON)}"
        for name, about in results["peers"].items()
        if name not in ("NumPy", PLAIN)
    )


def readme_table(results: Results) -> str:
    """The short table: a row per problem, milliseconds without their spread, ratios to scikit-learn and the best."""
    problems = [problem for problem in results["problems"] if len(problem["peers"]) > 2]
    names = [name for name in results["peers"] if name not in ("emix", PLAIN)]
    head = [*names, "**emix**", "against scikit-learn", "against the best other"]
    lines = ["| n × d, K, covariances | " + " | ".join(head) + " |", "|---|" + "---:|" * len(head)]
    for problem in problems:
        times = times_of(problem)
        cells = [_cell(problem["peers"].get(name)).split(" (")[0] for name in names]
        best = best_other(times)
        ratios = [
            times_faster(times[name] / times["emix"]) if name in times and "emix" in times else "–"
            for name in ("scikit-learn", best or "")
        ]
        lines.append(
            f"| {problem['name']} | {' | '.join(cells)} | **{milliseconds(times.get('emix', 0.0))}** | "
            f"{' | '.join(ratios)} |"
        )
    explained = (
        f"Milliseconds per EM iteration, {results['threads']} threads ({_versions(results)}). – : the library does "
        f"not have it. {caption(results)}."
    )
    return "\n".join([*lines, "", explained])


def draw(results: Results, path: Path) -> None:
    """Time per iteration, a row per problem and a mark per library, on a logarithmic axis; ratios at the right."""
    problems = results["problems"]
    drawn, (axes, beside) = drawing.figure(
        columns=2, width=10.5, height=1.9 + 0.42 * len(problems), sharey=True, gridspec_kw={"width_ratios": (2.6, 1)}
    )
    # The subject last: on top where marks meet.
    for name in sorted(results["peers"], key=lambda name: name == "emix"):
        color, marker = drawing.style(name)
        points = [(1e3 * times[name], row) for row, p in enumerate(problems) if name in (times := times_of(p))]
        if not points:
            continue
        axes.scatter(
            [x for x, _ in points],
            [y for _, y in points],
            s=190 if name == "emix" else 55,
            c=color,
            marker=marker,
            label=name,
            zorder=4 if name == "emix" else 3,
        )
    axes.set_xscale("log")
    axes.set_ylim(len(problems) - 0.4, -0.9)
    for row, problem in enumerate(problems):
        times = {name: 1e3 * seconds for name, seconds in times_of(problem).items()}
        if len(times) < 2:
            continue
        axes.plot([min(times.values()), max(times.values())], [row, row], color="#cccccc", lw=2, zorder=1)
        best = best_other(times)
        if "emix" not in times:
            continue
        for x, name in ((0.17, "scikit-learn"), (0.38, best), (1.0, PLAIN)):
            if name in times:
                beside.text(x, row, times_faster(times[name] / times["emix"]), va="center", ha="right")
        beside.text(0.42, row, best or "", va="center", color=drawing.style(best or "")[0], fontsize=9)
    for x, head in ((0.17, "scikit-\nlearn"), (0.38, "fastest\nother"), (1.0, "no skip-\nping")):
        beside.text(x, -0.55, head, va="bottom", ha="right", fontsize=8.5, color=drawing.QUIET)
    beside.set_title("times as slow as emix", loc="right", fontsize=9.5, pad=24)
    beside.set_axis_off()
    beside.set_xlim(0.0, 1.0)
    drawing.number_ticks(axes.xaxis)
    axes.set_yticks(range(len(problems)), [problem["name"] for problem in problems])
    axes.set_xlabel("milliseconds per EM iteration (logarithmic; further left is faster)", loc="left")
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.3, 1.0), ncols=4, frameon=False, handletextpad=0.2)
    below = f"Same rows, same start, same number of iterations, {results['threads']} threads; equal log-likelihoods. "
    drawing.finish(drawn, path, "Time of an EM iteration", below + caption(results))
