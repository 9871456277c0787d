"""The report of a fit: data, choice, chosen model, pictures, doubts, and how to make it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emix.kernel.level import config
from emix.plots.figures import new_figure
from emix.plots.kinds import draw_kind, size_of
from emix.plots.selection import SELECTION_SIZE, draw_selection
from emix.plots.subject import Subject, subject_of
from emix.report.doubts import doubts_of, runs_from_starts
from emix.report.page import Section, page_html, paragraph, picture_html
from emix.summary.fitted import size_and_covariances
from emix.summary.html import escape, facts_html, table_html
from emix.summary.selection import selection_html, selection_text
from emix.summary.summary import describe
from emix.summary.text_table import format_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from emix.choice.selection import MixtureSelection
    from emix.estimators.gaussian_mixture import GaussianMixture
    from emix.report.doubts import Doubt

__all__ = ["Origin", "report_html"]

_PICTURES = {
    "pairs": "Pairs of columns with the components' ellipses, and marginal densities with histograms of the rows.",
    "density": "Density of the mixture: regions of highest density with their probabilities, and the rows.",
    "uncertainty": "Uncertainty of the rows: 1 − the largest responsibility.",
    "responsibilities": "Responsibilities of the rows, ordered by component: where colours mix, components overlap.",
    "convergence": "Course of the fit: log-likelihood by iteration, and its distance to the end.",
}


class Origin(NamedTuple):
    """Where a report comes from.

    Attributes
    ----------
    title : str
        Of the data: the name of a file.
    command : str
        The command that makes the report again.
    seed : int
    digest : str
        SHA-256 of the file, or empty.
    left_out : list of str
        Words about rows and columns that were left out.
    """

    title: str
    command: str
    seed: int
    digest: str = ""
    left_out: Sequence[str] = ()


def report_html(
    estimator: GaussianMixture,
    X: Any,
    sample_weight: NDArray[np.floating] | None,
    feature_names: Sequence[str],
    origin: Origin,
    *,
    selection: MixtureSelection | None = None,
    warned: Sequence[str] = (),
    n_starts: int = 10,
    verbose: int = 0,
) -> str:
    """Return a report as one page of HTML, which fetches nothing.

    Parameters
    ----------
    estimator : GaussianMixture
        The chosen mixture, fitted to `X`.
    X : array or frame of shape (n_samples, n_features)
    sample_weight : ndarray of shape (n_samples,) or None
    feature_names : sequence of str
    origin : Origin
    selection : MixtureSelection, optional
        The mixtures that it was chosen from.
    warned : sequence of str
        Warnings of the fit.
    n_starts : int
        Starts from which the chosen mixture is fitted again, to look for other modes; 0: none.
    verbose : int
        As of `GaussianMixture`, for these fits.

    Returns
    -------
    str
        The same for the same arguments.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    subject = subject_of(estimator, X, sample_weight, feature_names, caller="report")
    runs = runs_from_starts(subject, n_starts, sample_weight, verbose) if n_starts else []
    doubts = doubts_of(subject, selection, runs, warned)
    chosen = size_and_covariances(estimator)
    if selection is not None:
        chosen = selection_text(selection).partition("\n")[0] + f" (of {len(selection.table_)} mixtures)"
    n_doubts = sum(doubt.is_there for doubt in doubts)
    said = f"{n_doubts} reason{'s' * (n_doubts != 1)} to doubt" if n_doubts else "no reason to doubt was found"
    lead = paragraph(f"{chosen}; {said}.", "lead")
    sections = [
        Section("Data", _data(subject, sample_weight, origin)),
        Section("Choice", _choice(selection)),
        Section("Model", _model(estimator, X, sample_weight, feature_names)),
        Section("Pictures", _pictures(subject)),
        Section("Doubts", _doubts(doubts, n_starts)),
        Section("Reproduce", _reproduce(origin)),
    ]
    return page_html(f"Gaussian mixture of {origin.title}", lead, sections)


def _data(subject: Subject, sample_weight: NDArray[np.floating] | None, origin: Origin) -> str:
    n, d = subject.rows.shape
    text = f"{n:,} rows, {d} column{'s' * (d > 1)}."
    if sample_weight is not None:
        w = subject.weight
        text += f" Rows have weights: total {w.sum():.8g}, from {w.min():.6g} to {w.max():.6g}."
    columns: list[list[str]] = [list(subject.names)]
    total = subject.weight.sum()
    # One scale for the row of a column: its numbers are compared with one another.
    numbers = []
    distinct = []
    for j in range(d):
        x = np.sort(np.asarray(subject.rows[:, j], dtype=np.float64))
        distinct.append(f"{1 + np.count_nonzero(x[1:] != x[:-1]):,}")
        x_in_order = np.asarray(subject.rows[:, j], dtype=np.float64)
        mean = float(subject.weight @ x_in_order / total)
        deviation = float(np.sqrt(subject.weight @ (x_in_order - mean) ** 2 / total))
        numbers.append(format_numbers([mean, deviation, *np.quantile(x, [0.0, 0.25, 0.5, 0.75, 1.0])]))
    columns += [[cells[i].strip() for cells in numbers] for i in range(7)] + [distinct]
    header = ["column", "mean", "deviation", "least", "1st quartile", "median", "3rd quartile", "greatest", "distinct"]
    notes = "".join(paragraph(f"{note[0].upper()}{note[1:]}.") for note in origin.left_out)
    table = table_html(header, columns)
    if sample_weight is not None:
        table += paragraph("Means and deviations are weighted; quartiles are not.", "soft")
    return paragraph(text) + notes + table


def _choice(selection: MixtureSelection | None) -> str:
    if selection is None:
        return paragraph("One mixture was asked for: there was nothing to choose.")
    figure = new_figure(*SELECTION_SIZE)
    draw_selection(selection, figure.add_subplot())
    # The style is that of the page already.
    return selection_html(selection, with_style=False) + picture_html(
        figure, "The criterion by number of components, a line for each covariance structure; the ring is the choice."
    )


def _model(estimator: GaussianMixture, X: Any, sample_weight: NDArray[np.floating] | None, names: Sequence[str]) -> str:
    described = describe(estimator, X, sample_weight, feature_names=names)
    # The time of the fit is of this machine and hour; all else is the same for the same command.
    facts = [(label, text) for label, text in described.facts if label != "Time"]
    tables = "".join(table_html(header, columns, title=title) for title, header, columns in described.tables)
    return facts_html(facts) + tables


def _pictures(subject: Subject) -> str:
    parts = []
    for kind, caption in _PICTURES.items():
        if len(subject.names) == 1 and kind == "density":
            continue  # that of "pairs"
        figure = new_figure(*size_of(kind, subject))
        draw_kind(figure, subject, kind, title="")
        parts.append(picture_html(figure, caption))
    return "".join(parts)


def _doubts(doubts: Sequence[Doubt], n_starts: int) -> str:
    parts = []
    for doubt in sorted(doubts, key=lambda doubt: not doubt.is_there):  # reasons that were found come first
        table = ""
        if doubt.table is not None:
            title, header, columns = doubt.table
            table = table_html(header, columns, title=title)
            if not doubt.is_there:
                table = f"<details><summary>numbers</summary>{table}</details>"
        kind = "doubt" if doubt.is_there else "note" if doubt.is_note else "sound"
        parts.append(
            f'<div class="{kind}"><h3><span class="mark">{kind}</span>{escape(doubt.title)}</h3>'
            f"{paragraph(doubt.text)}{table}</div>\n"
        )
    if not n_starts:
        parts.append(paragraph("Other modes were not looked for (--starts 0).", "soft"))
    return "".join(parts)


def _reproduce(origin: Origin) -> str:
    import scipy

    versions = config()
    facts = [("seed", str(origin.seed))]
    facts += [(name, versions[name]) for name in ("emix", "python", "numpy")]
    facts += [("scipy", scipy.__version__), ("machine", versions["machine"])]
    facts.append(("instruction set", versions["level in use"]))
    if origin.digest:
        facts.append(("SHA-256 of the file", origin.digest))
    return (
        f"<pre>{escape(origin.command)}</pre>"
        + facts_html(facts)
        + paragraph(
            "With these versions and this instruction set the command gives the same numbers, bit by bit, on any "
            "number of threads; with others the same up to rounding, unless two modes are equally good.",
            "soft",
        )
    )
