"""The page: its style, its sections, and pictures as parts of it."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, NamedTuple

from emix.requirements import require
from emix.summary.html import STYLE, escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

__all__ = ["Section", "page_html", "paragraph", "picture_html"]

_DOTS_PER_INCH = 144

# The policy forbids what the page does not do in any case: to fetch, to run a script, to send a form.
_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<link rel="icon" href="data:,">
{style}<style>
:root{{color-scheme:light dark;--ink:#1d1d1f;--paper:#fff;--line:#d8d8dc;--soft:#5f6066}}
@media (prefers-color-scheme:dark){{:root{{--ink:#e9e9ec;--paper:#17181a;--line:#3a3b40;--soft:#a4a5ac}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;\
overflow-wrap:break-word}}
main{{max-width:60rem;margin:0 auto;padding:1.2rem 1.1rem 4rem}}
main.emix{{font-size:1rem}}
h1{{font-size:1.75rem;line-height:1.2;margin:.6rem 0 .3rem}}
h2{{font-size:1.3rem;margin:2.4rem 0 .6rem;padding-top:.6rem;border-top:1px solid var(--line)}}
h3{{font-size:1.02rem;margin:1.5rem 0 .3rem}}
p{{margin:.45rem 0;max-width:46rem}}
nav a{{display:inline-block;margin-right:1rem;color:inherit}}
.lead{{font-size:1.08rem}}
.soft,figcaption{{color:var(--soft);font-size:.9rem}}
figure{{margin:1.2rem 0 1.8rem}}
figure img{{display:block;max-width:100%;height:auto;background:#fff;border:1px solid var(--line);border-radius:4px}}
figcaption{{margin-top:.35rem;max-width:46rem}}
pre{{overflow-x:auto;padding:.7rem .9rem;border:1px solid var(--line);border-radius:4px;font-size:.86rem}}
.mark{{display:inline-block;min-width:4.2rem;font-weight:700}}
.doubt{{border-left:4px solid #D55E00;padding-left:.8rem}}
.note{{border-left:4px solid #0072B2;padding-left:.8rem}}
.sound{{border-left:4px solid #009E73;padding-left:.8rem}}
@media print{{nav{{display:none}}figure,table{{break-inside:avoid}}}}
</style>
</head>
<body>
<main class="emix">
"""
_FOOT = "</main>\n</body>\n</html>\n"


class Section(NamedTuple):
    """A section of the page.

    Attributes
    ----------
    title : str
    body : str
        HTML.
    """

    title: str
    body: str

    @property
    def anchor(self) -> str:
        """Name by which the page's own links find it."""
        return self.title.lower().replace(" ", "-")


def page_html(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Return the page.

    Parameters
    ----------
    title : str
    lead : str
        HTML of the first lines.
    sections : sequence of Section
    """
    links = "".join(f'<a href="#{section.anchor}">{escape(section.title)}</a>' for section in sections)
    body = "".join(
        f'<section id="{section.anchor}">\n<h2>{escape(section.title)}</h2>\n{section.body}\n</section>\n'
        for section in sections
    )
    head = _HEAD.format(title=escape(title), style=STYLE)
    return f"{head}<h1>{escape(title)}</h1>\n{lead}\n<nav>{links}</nav>\n{body}{_FOOT}"


def paragraph(text: str, kind: str = "") -> str:
    """Return a text as a paragraph."""
    return f'<p class="{kind}">{escape(text)}</p>\n' if kind else f"<p>{escape(text)}</p>\n"


def picture_html(figure: Figure, caption: str) -> str:
    """Return a figure as a part of the page: lines and letters as SVG, many dots as pixels inside it.

    Equal figures give equal bytes: names within the SVG are hashed with a fixed salt, and it has no date.
    """
    matplotlib = require("matplotlib", "plot", "a report")
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "emix", "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", dpi=_DOTS_PER_INCH, metadata={"Date": None})
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>\n"
    )
