"""Text and HTML of a selection: the best mixtures, and what collapsed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from emix.summary.html import block, escape, table_html
from emix.summary.text_table import format_numbers, format_table

if TYPE_CHECKING:
    from emix.choice.selection import MixtureRow, MixtureSelection

__all__ = ["criterion_name", "selection_html", "selection_text"]

# Mixtures that are shown.
_MOST = 10

_NAMES = {"bic": "BIC", "aic": "AIC", "icl": "ICL", "cv": "held-out log-likelihood"}


def criterion_name(criterion: str) -> str:
    """Return a criterion as a reader knows it: BIC."""
    return _NAMES[criterion]


def selection_text(selection: MixtureSelection) -> str:
    """Describe a selection in plain text: what is chosen, and the ten best mixtures.

    Parameters
    ----------
    selection : MixtureSelection

    Returns
    -------
    str
        Lines without a final newline; log-likelihoods are totals in nats, but the held-out one per unit of weight.
    """
    header, columns = _columns(selection)
    lines = [_choice(selection), "", *format_table(header, columns)]
    if note := _note(selection):
        lines += ["", note]
    return "\n".join(lines)


def selection_html(selection: MixtureSelection, *, with_style: bool = True) -> str:
    """Describe a selection in HTML; a page that has the style of `emix.summary.html` already needs none."""
    header, columns = _columns(selection)
    best = _shown(selection).index(selection.best_row_)
    note = _note(selection)
    parts = [
        f'<p class="emix-title">{escape(_choice(selection))}</p>',
        table_html(header, columns, changed=[best]),
        f"<p>{escape(note)}</p>" if note else "",
    ]
    return block(*parts) if with_style else "".join(parts)


def _shown(selection: MixtureSelection) -> list[MixtureRow]:
    """The best mixtures, and the one that is chosen if it is not among them."""
    found = selection.ranked(_MOST)
    return found if selection.best_row_ in found else [*found[:-1], selection.best_row_]


def _choice(selection: MixtureSelection) -> str:
    row = selection.best_row_
    plural = "s" if row.n_components > 1 else ""
    criterion = criterion_name(selection.criterion)
    text = f"Chosen by {criterion}: {row.covariance_type}, {row.n_components} component{plural}"
    if selection.criterion == "cv":
        text += ", the fewest parameters within one standard error of the best"
    return text


def _columns(selection: MixtureSelection) -> tuple[list[str], list[list[str]]]:
    rows = _shown(selection)
    header = ["", "components", "parameters", "log-likelihood", "BIC", "AIC", "ICL"]
    columns = [
        [row.covariance_type for row in rows],
        [str(row.n_components) for row in rows],
        [str(row.n_parameters) for row in rows],
    ]
    values = zip(*((row.log_likelihood, row.bic, row.aic, row.icl) for row in rows))
    columns += [format_numbers(column, digits=7) for column in values]
    if selection.criterion == "cv":
        header += ["held-out", "± error"]
        columns.append(format_numbers([math.nan if row.cv is None else row.cv for row in rows], digits=6))
        columns.append(format_numbers([math.nan if row.cv_error is None else row.cv_error for row in rows], digits=3))
    header.append("")
    columns.append(["*" if row == selection.best_row_ else "" for row in rows])
    return header, columns


def _note(selection: MixtureSelection) -> str:
    table = selection.table_
    collapsed = sum(row.degenerate for row in table)
    unfinished = sum(not row.converged and not row.degenerate for row in table)
    parts = []
    if len(table) > _MOST:
        parts.append(f"The {_MOST} best of {len(table)} mixtures.")
    if collapsed:
        parts.append(f"A component collapsed in {collapsed}, which {'are' if collapsed > 1 else 'is'} never chosen.")
    if unfinished:
        parts.append(f"{unfinished} did not converge.")
    return " ".join(parts)
