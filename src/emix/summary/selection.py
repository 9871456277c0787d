"""Text and HTML of a selection, also of one that was interrupted: the best mixtures, and what collapsed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from emix.choice.selection import mixture_name, ranked_rows
from emix.summary.html import block, escape, table_html
from emix.summary.text_table import format_numbers, format_table

if TYPE_CHECKING:
    from emix.choice.selection import MixtureRow, MixtureSelection

__all__ = ["criterion_name", "interrupted_text", "selection_html", "selection_text"]

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
    header, columns = _columns(_shown(selection), selection.criterion, selection.best_row_)
    lines = [_choice(selection), "", *format_table(header, columns)]
    if note := _note(selection.table_):
        lines += ["", note]
    return "\n".join(lines)


def interrupted_text(table: list[MixtureRow], criterion: str) -> str:
    """Describe the mixtures that were fitted before a sweep was interrupted: the ten best of them.

    Parameters
    ----------
    table : list of MixtureRow
        Those of `SelectionInterrupted`.
    criterion : {"bic", "aic", "icl", "cv"}
        By "cv" they are in order of BIC until all folds were held out, as none has a value before.

    Returns
    -------
    str
        Lines without a final newline; empty if no mixture can be compared.
    """
    if criterion == "cv" and not ranked_rows(table, criterion):
        criterion = "bic"
    rows = ranked_rows(table, criterion)[:_MOST]
    if not rows:
        return ""
    plural = "s" if len(table) > 1 else ""
    header, columns = _columns(rows, criterion, None)
    lines = [
        f"Interrupted after {len(table)} mixture{plural}, none is chosen; so far, by {criterion_name(criterion)}:",
        "",
        *format_table(header, columns),
    ]
    if note := _note(table):
        lines += ["", note]
    return "\n".join(lines)


def selection_html(selection: MixtureSelection, *, with_style: bool = True) -> str:
    """Describe a selection in HTML; a page that has the style of `emix.summary.html` already needs none."""
    rows = _shown(selection)
    header, columns = _columns(rows, selection.criterion, selection.best_row_)
    note = _note(selection.table_)
    parts = [
        f'<p class="emix-title">{escape(_choice(selection))}</p>',
        table_html(header, columns, changed=[rows.index(selection.best_row_)]),
        f"<p>{escape(note)}</p>" if note else "",
    ]
    return block(*parts) if with_style else "".join(parts)


def _shown(selection: MixtureSelection) -> list[MixtureRow]:
    """The best mixtures, and the one that is chosen if it is not among them."""
    found = selection.ranked(_MOST)
    return found if selection.best_row_ in found else [*found[:-1], selection.best_row_]


def _choice(selection: MixtureSelection) -> str:
    row = selection.best_row_
    text = f"Chosen by {criterion_name(selection.criterion)}: {mixture_name(row.covariance_type, row.n_components)}"
    if selection.criterion == "cv":
        text += ", the fewest parameters within one standard error of the best"
    if selection.stopped_by_ == "callback":
        text += f"; the callback stopped the sweep after {len(selection.table_)} of {selection.n_asked_} mixtures"
    return text


def _columns(rows: list[MixtureRow], criterion: str, best: MixtureRow | None) -> tuple[list[str], list[list[str]]]:
    """Return the header and the columns of a table; the row that is chosen has an asterisk."""
    header = ["", "components", "parameters", "log-likelihood", "BIC", "AIC", "ICL"]
    columns = [
        [row.covariance_type for row in rows],
        [str(row.n_components) for row in rows],
        [str(row.n_parameters) for row in rows],
    ]
    values = zip(*((row.log_likelihood, row.bic, row.aic, row.icl) for row in rows))
    columns += [format_numbers(column, digits=7) for column in values]
    if criterion == "cv":
        header += ["held-out", "± error"]
        columns.append(format_numbers([math.nan if row.cv is None else row.cv for row in rows], digits=6))
        columns.append(format_numbers([math.nan if row.cv_error is None else row.cv_error for row in rows], digits=3))
    if best is not None:
        header.append("")
        columns.append(["*" if row == best else "" for row in rows])
    return header, columns


def _note(table: list[MixtureRow]) -> str:
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
