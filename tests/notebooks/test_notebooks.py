"""A notebook, executed: every picture is shown once, whatever was imported and wherever it stands in its cell."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

BEGIN = """\
import emix
faithful = emix.load_faithful()
gm = emix.GaussianMixture(2, random_state=0).fit(faithful.data)
X = faithful.data
"""
PYPLOT = "import matplotlib.pyplot as plt"


def outputs_of(*cells: str) -> list[list[Any]]:
    """Execute cells in one kernel after the usual beginning; return the outputs of each."""
    notebook = new_notebook(cells=[new_code_cell(text) for text in (BEGIN, *cells)])
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    nbformat.validate(notebook)
    return [cell.outputs for cell in notebook.cells[1:]]


def pictures(outputs: list[Any]) -> list[Any]:
    return [one for one in outputs if any(kind.startswith("image/") for kind in one.get("data", {}))]


CELLS = {
    "gm.plot(X)": 1,
    "figure = gm.plot(X, 'density')": 1,
    "figure": 1,
    "gm.plot(X, 'pairs');": 1,
    "gm.plot(X, 'density')\n1 + 1": 1,
    "gm.plot(X, 'density')\ngm.plot(X, 'uncertainty')": 2,
    "display(gm.plot(X, 'density'))": 1,
    f"{PYPLOT}\ngm.plot(X, 'density')\nplt.show()": 1,
    f"{PYPLOT}\ngm.plot(X, 'density')": 1,
    "fig, ax = plt.subplots()\ngm.plot(X, 'density', ax=ax)": 1,
    "plt.get_fignums()": 0,
    "emix.select_mixture(X, [1, 2], 'full').plot()": 1,
}


@pytest.fixture(scope="module", params=["without pyplot", "with pyplot"])
def executed(request: pytest.FixtureRequest) -> list[list[Any]]:
    first = [PYPLOT] if request.param == "with pyplot" else []
    return outputs_of(*first, *CELLS)[len(first) :]


@pytest.mark.filterwarnings("default")  # of the kernel's own libraries, which run in this process too
@pytest.mark.parametrize("cell", CELLS)
def test_every_picture_is_shown_once(executed: list[list[Any]], cell: str) -> None:
    outputs = executed[list(CELLS).index(cell)]
    assert len(pictures(outputs)) == CELLS[cell]
    assert not [one for one in outputs if one.output_type in ("stream", "error")]


@pytest.mark.filterwarnings("default")
def test_no_figure_is_left_open(executed: list[list[Any]]) -> None:
    outputs = executed[list(CELLS).index("plt.get_fignums()")]
    assert outputs[0]["data"]["text/plain"] == "[]"


@pytest.mark.filterwarnings("default")
def test_the_format_of_the_users_choice_is_the_only_one() -> None:
    _, svg = outputs_of("%config InlineBackend.figure_formats = ['svg']\nimport matplotlib.pyplot", "gm.plot(X)")
    assert len(pictures(svg)) == 1
    # The first figure of a kernel makes IPython's formatters, after which only the chosen format is there.
    assert "image/svg+xml" in svg[0]["data"]
    assert "image/png" not in svg[0]["data"]


@pytest.mark.filterwarnings("default")
def test_the_page_without_pyplot_is_shown_as_a_value() -> None:
    page, bound = outputs_of("emix.faces.plot_mixture(gm, X)", "figure = emix.faces.plot_mixture(gm, X)")
    assert (len(pictures(page)), len(pictures(bound))) == (1, 0)


@pytest.mark.filterwarnings("default")
def test_summaries_and_estimators_are_tables() -> None:
    cells = ["gm", "gm.summary(X)", "emix.MixtureSelector()", "emix.MultivariateNormal([0.0], [[1.0]])", "gm.summary()"]
    for outputs in outputs_of(*cells):
        assert [one.output_type for one in outputs] == ["execute_result"]
        assert "<table>" in outputs[0]["data"]["text/html"] or "emix-title" in outputs[0]["data"]["text/html"]
