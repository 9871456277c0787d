"""The table and the figure of :mod:`compare`: time of an EM iteration by problem and library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import drawing
from results import Results, caption
from timing import as_ratio, rounds_of, seconds_of, with_range

#: Names of a peer that is no other library: today's, and that in files of earlier measurements.
PLAIN = ("emix (no shortcuts)", "emix (no skipping)")

#: Versions that are in the JSON, but that the tables leave out.
_COMMON = ("python", "numpy")


def times_of(problem: Mapping[str, Any]) -> dict[str, float]:
    """Seconds per iteration of each library that has them."""
    found = {name: seconds_of(entry) for name, entry in problem["peers"].items()}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def best_other(times: Mapping[str, float], subject: str = "emix") -> str | None:
    """The fastest library that is not emix; None if there is none."""
    others = {name: seconds for name, seconds in times.items() if name not in (subject, *PLAIN)}
    return min(others, key=lambda name: others[name]) if others else None


def table(results: Results, subject: str = "emix") -> str:
    """Markdown: a row per problem, a column per library, and how many times faster emix is."""
    names = list(results["peers"])
    compared = subject in names and len(names) > 1
    notes: list[str] = []
    lines = [
        "| n × d, K | iterations | " + " | ".join(names) + (f" | {subject} against |" if compared else " |"),
        "|---|---:|" + "---:|" * len(names) + ("---|" if compared else ""),
    ]
    for problem in results["problems"]:
        for name, entry in problem["peers"].items():
            why = entry.get("failed") or entry.get("unsupported")
            if why and f"{name}: {why}" not in notes:
                notes.append(f"{name}: {why}")
        times = times_of(problem)
        ratios = [
            f"{name} {as_ratio(times[name] / times[subject])}" for name in times if name != subject and subject in times
        ]
        star = " **(different results)**" if problem["complaints"] else ""
        entries = problem["peers"]
        cells = [_iterations(problem), *(with_range(entries[name]) if name in entries else "" for name in names)]
        lines.append(
            f"| {problem['name']}{star} | " + " | ".join(cells) + (f" | {', '.join(ratios)} |" if compared else " |")
        )
        notes += problem["complaints"]
    notes += [f"{name} {about['note']}" for name, about in results["peers"].items() if about.get("note")]
    notes += [f"{name} is missing: {why}" for name, why in results["missing"].items()]
    entries = [entry for problem in results["problems"] for entry in problem["peers"].values()]
    explained = (
        "Milliseconds per EM iteration: what a fit to the last of the iterations named takes longer than one that "
        f"ends before the first. Median of the rounds by turns, {rounds_of(entries)} of them (in brackets: least and "
        f"most; once: a single round), each library warmed up. Ratios are of medians. {results['threads']} threads. "
        f"{_versions(results)}. Final log-likelihoods {_agreement(results)}."
    )
    return "\n".join([*lines, "", explained, "", *(f"- {note}" for note in notes)]).rstrip() + "\n"


def _iterations(problem: Mapping[str, Any]) -> str:
    """The iterations that are timed, ``3–8``."""
    return f"{problem['few'] + 1}–{problem['many']}"


def _agreement(results: Results) -> str:
    """``equal to 1e-8 (float32: 1e-5)``, of the precisions that there are; or that they are not."""
    if any(problem["complaints"] for problem in results["problems"]):
        return "DIFFER where the table says so"
    dtypes = {problem["dtype"] for problem in results["problems"]}
    told = {name: f"{value:.0e}".replace("e-0", "e-") for name, value in results["tolerance"].items() if name in dtypes}
    first = told.pop("float64", "")
    others = ", ".join(f"{name}: {value}" for name, value in told.items())
    return f"equal to {first} ({others})" if first and others else f"equal to {first or others}"


def _versions(results: Results) -> str:
    """What each library is, without what all have in common."""
    return "; ".join(
        f"{name}: {', '.join(f'{key} {version}' for key, version in about['versions'].items() if key not in _COMMON)}"
        for name, about in results["peers"].items()
        if name not in ("NumPy", *PLAIN)
    )


def readme_table(results: Results) -> str:
    """The short table: a row per problem, the range of emix alone, ratios to scikit-learn and the best."""
    # The others are emix against itself.
    problems = [problem for problem in results["problems"] if len(problem["peers"]) > 2]
    names = [name for name in results["peers"] if name not in ("emix", *PLAIN)]
    head = [*names, "**emix** (range)", "against scikit-learn", "against the best other"]
    lines = ["| n × d, K, covariances | " + " | ".join(head) + " |", "|---|" + "---:|" * len(head)]
    for problem in problems:
        times = times_of(problem)
        cells = [_without_range(problem["peers"].get(name)) for name in names]
        number, bracket, spread = with_range(problem["peers"].get("emix")).partition(" (")
        best = best_other(times)
        ratios = [
            as_ratio(times[name] / times["emix"]) if name in times and "emix" in times else "–"
            for name in ("scikit-learn", best or "")
        ]
        lines.append(
            f"| {problem['name']} | {' | '.join(cells)} | **{number}**{bracket}{spread} | {' | '.join(ratios)} |"
        )
    lengths = f"{_numbers(problems, 'many')} iterations takes longer than one of {_numbers(problems, 'few')}"
    said = [
        f"Milliseconds per EM iteration, {results['threads']} threads ({_versions(results)})",
        f"Median over rounds of the time that a fit of {lengths}, per iteration; for emix with the least and the most",
        "Those of the others are in [comparison.md](benchmarks/results/comparison.md)",
        f"Final log-likelihoods: {_agreement(results)}",
    ]
    if "NumPy" in names:
        about = results["peers"]["NumPy"].get("note", "")
        said.append(f"NumPy is this project's own `benchmarks/baseline_numpy.py`, which {about}")
    said.append("–: the library, or that script, does not have it")
    if results["missing"]:
        said.append(f"Not measured: {', '.join(results['missing'])}")
    said.append(caption(results))
    return "\n".join([*lines, "", ". ".join(said) + "."])


def _without_range(entry: Mapping[str, Any] | None) -> str:
    """``4.8``, but ``4.8 (once)`` where a single round has no range to leave out."""
    told = with_range(entry)
    return told if told.endswith("(once)") else told.partition(" (")[0]


def _numbers(problems: Sequence[Mapping[str, Any]], key: str) -> str:
    """``2``, ``8 to 62``: what the problems have."""
    found = sorted({int(problem[key]) for problem in problems})
    return " to ".join(str(number) for number in found[:: max(1, len(found) - 1)])


def draw(results: Results, path: Path) -> None:
    """Time per iteration, a row per problem and a mark per library, on a logarithmic axis; ratios at the right."""
    problems = results["problems"]
    drawn, (axes, beside) = drawing.figure(
        columns=2, width=10.5, height=1.9 + 0.42 * len(problems), sharey=True, gridspec_kw={"width_ratios": (2.6, 1)}
    )
    cut = False
    # The subject last: on top where marks meet.
    for name in sorted(results["peers"], key=lambda name: name == "emix"):
        color, marker = drawing.style(name)
        points = [(1e3 * times[name], row) for row, p in enumerate(problems) if name in (times := times_of(p))]
        if not points:
            continue
        for x, row in points:
            low, high = problems[row]["peers"][name]["range"]
            cut = cut or 1e3 * low < 0.5 * x
            axes.plot([max(1e3 * low, 0.5 * x), 1e3 * high], [row, row], color=color, lw=3, alpha=0.5, zorder=2)
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
        for x, name in ((0.17, "scikit-learn"), (0.38, best), *((1.0, name) for name in PLAIN)):
            if name in times:
                beside.text(x, row, as_ratio(times[name] / times["emix"]), va="center", ha="right")
        beside.text(0.42, row, best or "", va="center", color=drawing.style(best or "")[0], fontsize=9)
    for x, head in ((0.17, "scikit-\nlearn"), (0.38, "fastest\nother"), (1.0, "no short-\ncuts")):
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
    below = (
        f"Same rows, same start, same number of iterations, {results['threads']} threads; medians, lines from least to "
        f"most{' (cut off below half of the median)' if cut else ''}. Final log-likelihoods {_agreement(results)}. "
    )
    drawing.finish(drawn, path, "Time of an EM iteration", below + caption(results))
