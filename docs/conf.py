"""Settings of the documentation site. `ci/docs` builds it; nothing is fetched while it does."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import emix

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

project, author, copyright = (
    "emix",
    "The emix developers",
    "The emix developers, BSD-3-Clause",
)
version = release = emix.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "mathml",
]
exclude_patterns = ["examples", "_extensions", "_templates"]
templates_path = ["_templates"]
nitpicky = True
default_role = "literal"  # `name` of docstrings

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

# Types stand in the docstrings, in words.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the template of a class lists them

copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "image_srcset": ["2x"],
    "show_memory": False,
    "write_computation_times": False,
    "download_all_examples": False,
    "within_subsection_order": "FileNameSortKey",
    "copyfile_regex": r".*\.rst",
}
warnings.filterwarnings(
    "error", module="__main__"
)  # what an example is called while it runs: it must not warn

html_theme = "pydata_sphinx_theme"
html_title = "emix"
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system has it
html_static_path = ["_static"]
html_css_files = ["emix.css"]
html_show_sphinx = False
html_show_sourcelink = False
html_favicon = "_static/logo.svg"
html_theme_options = {
    "logo": {
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo.svg",
        "text": "emix",
    },
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "show_prev_next": True,
    "navigation_with_keys": False,
    "search_as_you_type": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
# These have no other page in their section.
html_sidebars = {
    name: []
    for name in (
        "start",
        "performance",
        "architecture",
        "contributing",
        "changelog",
        "references",
    )
}
