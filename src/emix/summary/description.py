"""A description of a fit: heading, facts and tables, as text for a terminal and as HTML for a notebook."""

from __future__ import annotations

import textwrap
from typing import NamedTuple, Self

from emix.summary.html import block, escape, facts_html, table_html
from emix.summary.text_table import format_table

__all__ = ["Description", "Summary", "Table"]

_PAGE_WIDTH = 100


class Table(NamedTuple):
    """A table of formatted numbers; the first column holds the rows' labels."""

    title: str
    header: list[str]
    columns: list[list[str]]


class Description(NamedTuple):
    """The parts of a summary.

    Attributes
    ----------
    heading : str
    facts : list of (label, text)
    tables : list of Table
    """

    heading: str
    facts: list[tuple[str, str]]
    tables: list[Table]

    def text(self) -> str:
        """Return the parts as lines of at most a hundred characters, without a final newline."""
        lines = [self.heading, ""]
        width = max(len(label) for label, _ in self.facts)
        for label, text in self.facts:
            first, *others = textwrap.wrap(text, _PAGE_WIDTH - width - 2) or [""]
            lines += [f"{label.ljust(width)}  {first}", *(f"{'':{width}}  {line}" for line in others)]
        for title, header, columns in self.tables:
            lines += ["", title, *format_table(header, columns)]
        return "\n".join(lines)

    def html(self) -> str:
        """Return the parts as one block of HTML."""
        tables = (table_html(header, columns, title=title) for title, header, columns in self.tables)
        return block(f'<p class="emix-title">{escape(self.heading)}</p>', facts_html(self.facts), *tables)


class Summary(str):
    r"""A summary: a text that shows itself as tables in a notebook, and as it reads in an interactive session.

    Parameters
    ----------
    text : str
    html : str
        The same as HTML.

    Examples
    --------
    >>> Summary("two lines\nof text", "<p>two lines of text</p>")
    two lines
    of text
    """

    def __new__(cls, text: str, html: str) -> Self:
        """Make the text."""
        return super().__new__(cls, text)

    def __init__(self, text: str, html: str) -> None:
        self._html = html

    def __repr__(self) -> str:
        return str(self)

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override] # of str: one argument
        return str(self), self._html

    def _repr_html_(self) -> str:
        return self._html
