"""Formulae as MathML, which browsers draw themselves: no script, no font and nothing from a network."""

from __future__ import annotations

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


def mathml(node: nodes.math | nodes.math_block, display: str) -> str:
    """Convert a formula, and warn of what the converter left in it as it was."""
    found = convert(node.astext(), display=display)
    if re.search(r"\\|&<", found):
        logger.warning(
            "a formula has commands that become no MathML: %s",
            node.astext(),
            location=node,
        )
    # TeX has a thin space between log and its argument.
    return re.sub(
        r"<mi>(log|exp)</mi>(?!<mo stretchy)",
        r'<mi>\1</mi><mspace width="0.17em" />',
        found,
    )


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(mathml(node, "inline"))
    raise nodes.SkipNode


def visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{mathml(node, "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
