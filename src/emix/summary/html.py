"""Parts of the HTML that notebooks and the report show: tables and facts, readable on a light and on a dark page.

Colours are those of the page around, or shades between: nothing here sets a background or the colour of text. Nothing
is fetched from anywhere.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["STYLE", "block", "escape", "facts_html", "table_html"]

# Greys that are half transparent show on white and on black. The class keeps the rules from other output of a notebook.
STYLE = """\
<style>
.emix{font-size:.93em;line-height:1.45}
.emix .emix-wide{overflow-x:auto;max-width:100%}
.emix p{margin:.3em 0}
.emix table{color:inherit;font-size:inherit;border-collapse:collapse;margin:.35em 0 .8em;border:none;\
font-variant-numeric:tabular-nums}
.emix th,.emix td{padding:.12em .7em;border:none;text-align:right;vertical-align:top;white-space:nowrap;\
background:none;color:inherit}
.emix th:first-child,.emix td:first-child{text-align:left;padding-left:0}
.emix thead th{border-bottom:1px solid rgba(128,128,128,.55);font-weight:600}
.emix tbody tr{background:none}
.emix tbody tr+tr>*{border-top:1px solid rgba(128,128,128,.18)}
.emix .emix-facts td{text-align:left;white-space:normal;overflow-wrap:anywhere}
.emix .emix-facts th{font-weight:600;text-align:left}
.emix caption{caption-side:top;text-align:left;font-weight:600;padding:.2em 0;color:inherit;white-space:normal}
.emix .emix-text{text-align:left}
.emix .emix-title{font-weight:700;margin:.2em 0 .4em}
.emix .emix-badge{display:inline-block;margin-left:.6em;padding:0 .55em;border:1px solid currentColor;\
border-radius:.8em;font-size:.85em;font-weight:400}
.emix .emix-changed>*{font-weight:700}
.emix summary{cursor:pointer}
</style>
"""


def block(*parts: str) -> str:
    """Return parts as one block of HTML, with the style that they need."""
    return f'<div class="emix">{STYLE}{"".join(parts)}</div>'


def _is_text(column: Sequence[str]) -> bool:
    """True if some cell of a column begins like a word, not like a number."""
    return any(cell.strip()[:1].isalpha() and cell.strip() not in ("nan", "inf") for cell in column)


def facts_html(facts: Sequence[tuple[str, str]]) -> str:
    """Return facts as a table: a label at the left, a text beside it."""
    rows = "".join(f"<tr><th>{escape(label)}</th><td>{escape(text)}</td></tr>" for label, text in facts)
    return f'<table class="emix-facts"><tbody>{rows}</tbody></table>'


def table_html(
    header: Sequence[str],
    columns: Sequence[Sequence[str]],
    *,
    title: str = "",
    changed: Sequence[int] = (),
) -> str:
    """Return a table, which scrolls by itself where it is wider than the page.

    Parameters
    ----------
    header : sequence of str
    columns : sequence of sequences of str
        Of one length. The first holds the rows' labels.
    title : str
    changed : sequence of int
        Rows that are bold.
    """
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    kinds = [' class="emix-text"' if _is_text(column) else "" for column in columns]
    names = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, header))
    rows = []
    for i, (label, *cells) in enumerate(zip(*columns)):
        values = "".join(f"<td{kind}>{escape(cell.strip())}</td>" for kind, cell in zip(kinds[1:], cells))
        bold = ' class="emix-changed"' if i in changed else ""
        rows.append(f"<tr{bold}><td>{escape(label)}</td>{values}</tr>")
    return (
        f'<div class="emix-wide"><table>{caption}<thead><tr>{names}</tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table></div>"
    )
