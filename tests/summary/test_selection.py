"""Text and HTML of a selection."""

from __future__ import annotations

import pytest

from emix import MixtureSelection, load_faithful, select_mixture
from emix.choice.selection import MixtureRow


def row(name: str, n_components: int, value: float, **others: bool) -> MixtureRow:
    """A row whose criteria all are `value`."""
    state = {"converged": True, "degenerate": False, "message": ""} | others
    return MixtureRow(name, n_components, 9, -value, value, value, value, None, **state)


@pytest.fixture(scope="module")
def selection() -> MixtureSelection:
    return select_mixture(load_faithful().data, range(1, 10), random_state=0)


def test_text(selection: MixtureSelection) -> None:
    text = str(selection)
    lines = text.splitlines()
    assert lines[0] == "Chosen by BIC: tied, 3 components"
    assert lines[2].split() == ["components", "parameters", "log-likelihood", "BIC", "AIC", "ICL"]
    table = lines[3:13]
    assert table[0].split()[:3] == ["tied", "3", "11"]
    assert table[0].endswith("*")
    assert not any(line.endswith("*") for line in table[1:])
    values = [float(line.split()[4]) for line in table]
    assert values == sorted(values)
    assert lines[-1].startswith(f"The 10 best of {len(selection.table_)} mixtures.")
    assert max(map(len, lines)) <= 100
    assert repr(selection) == text


def test_text_of_held_out_likelihood_says_why_the_first_is_not_chosen() -> None:
    found = select_mixture(load_faithful().data, range(1, 5), ["EEI", "tied"], "cv", random_state=0)
    text = str(found)
    assert "Chosen by held-out log-likelihood: " in text
    assert "the fewest parameters within one standard error of the best" in text.splitlines()[0]
    assert "held-out" in text
    starred = [line for line in text.splitlines() if line.endswith("*")]
    assert len(starred) == 1
    assert starred[0].split()[:2] == [found.best_row_.covariance_type, str(found.best_row_.n_components)]


def test_text_names_what_collapsed() -> None:
    table = [row("full", 2, 1.0), row("full", 3, 0.5, degenerate=True), row("EII", 2, 3.0, converged=False)]
    text = str(MixtureSelection(None, table[0], table, "bic"))  # type: ignore[arg-type]
    assert "A component collapsed in 1, which is never chosen. 1 did not converge." in text


def test_html_has_the_same_numbers_and_escapes() -> None:
    table = [row("full", 2, 1.5), row("<b>", 3, 2.5)]
    html = MixtureSelection(None, table[0], table, "bic")._repr_html_()  # type: ignore[arg-type]
    assert html.startswith('<div class="emix">')
    assert html.endswith("</div>")
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert html.count("<tr") == 3
    assert html.count('<tr class="emix-changed">') == 1  # the one that is chosen
