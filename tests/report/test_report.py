"""The report: one page that fetches nothing and says what the estimator says."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import emix
from emix.report.page import Section, page_html
from emix.report.report import Origin, report_html

ORIGIN = Origin("faithful.csv", "emix report faithful.csv --out report.html", 0, "0" * 64)
VOID = {"meta", "link", "img"}


class Reader(HTMLParser):
    """Reads well-formed HTML: texts, and every attribute that could fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def page(faithful: np.ndarray) -> str:
    selection = emix.select_mixture(faithful, range(1, 4), ["full", "tied", "EII"], random_state=0)
    names = ["eruptions", "waiting"]
    return report_html(selection.best_, faithful, None, names, ORIGIN, selection=selection, n_starts=3)


def test_it_fetches_nothing(page: str) -> None:
    reader = read(page)
    assert reader.addresses
    assert all(address.startswith(("data:", "#")) for address in reader.addresses)
    assert not re.search(r"<script|@import|url\(|<iframe|<object|<form", page)
    assert "default-src 'none'" in page
    # Nor does a picture, which is a page of its own.
    for picture in re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", page):
        svg = base64.b64decode(picture).decode()
        assert svg.startswith("<?xml")
        assert all(target.startswith(("#", "data:")) for target in re.findall(r'href="([^"]*)"', svg))


def test_it_has_the_sections_and_its_links_lead_to_them(page: str) -> None:
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == ["Data", "Choice", "Model", "Pictures", "Doubts", "Reproduce"]
    targets = [address.removeprefix("#") for address in read(page).addresses if address.startswith("#")]
    assert targets == re.findall(r'<section id="(.*?)">', page)


def test_its_numbers_are_those_of_the_estimator(page: str, faithful: np.ndarray) -> None:
    selection = emix.select_mixture(faithful, range(1, 4), ["full", "tied", "EII"], random_state=0)
    text = " ".join(read(page).texts)
    assert "Chosen by BIC: tied, 3 components (of 9 mixtures)" in text
    assert f"{selection.best_.log_likelihood_:.6f} nats" in text
    assert f"{selection.best_.bic(faithful):.4f}" in text
    assert f"{selection.best_.icl(faithful):.4f}" in text
    assert "272 rows, 2 columns." in text
    row = re.search(r"<td>waiting</td>(.*?)</tr>", page)
    assert row is not None
    cells = [float(cell) for cell in re.findall(r"<td>([\d.]+)</td>", row[1])]
    x = faithful[:, 1]
    expected = [x.mean(), x.std(), *np.quantile(x, [0, 0.25, 0.5, 0.75, 1.0]), len(np.unique(x))]
    np.testing.assert_allclose(cells, expected, rtol=1e-4)  # five digits are printed


def test_it_says_how_to_make_it_again(page: str) -> None:
    text = " ".join(read(page).texts)
    for part in (ORIGIN.command, emix.__version__, np.__version__, ORIGIN.digest, "seed"):
        assert part in text
    assert "Time" not in read(page).texts  # it differs from run to run


def test_the_same_arguments_give_the_same_bytes(faithful: np.ndarray) -> None:
    def make() -> str:
        gm = emix.GaussianMixture(2, random_state=0).fit(faithful)
        return report_html(gm, faithful, None, ["a", "b"], ORIGIN, n_starts=2)

    assert make() == make()


def test_one_mixture_one_column_and_weights(faithful: np.ndarray) -> None:
    w = np.linspace(0.5, 1.5, len(faithful))
    X = faithful[:, 1:]
    gm = emix.GaussianMixture(1).fit(X, sample_weight=w)
    made = report_html(gm, X, w, ["waiting"], ORIGIN._replace(left_out=["2 of 274 rows are left out"]), n_starts=0)
    text = " ".join(read(made).texts)
    assert "One mixture was asked for" in text
    assert f"{np.average(X[:, 0], weights=w):.3f}" in text
    assert "Rows have weights: total 272" in text
    assert "2 of 274 rows are left out." in text
    assert "Other modes were not looked for" in text
    assert "Overlap" not in text


def test_names_are_text_and_nothing_else() -> None:
    names = ["<script>alert(1)</script>", '"><img src=x>', "$x$"]
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(80, 3)), columns=names)
    gm = emix.GaussianMixture(2, covariance_type="EII", random_state=0).fit(frame)
    made = report_html(gm, frame, None, names, ORIGIN._replace(title="<b>.csv", command="emix <i>"), n_starts=0)
    reader = read(made)
    assert set(names) <= set(reader.texts)
    assert all(address.startswith(("data:", "#")) for address in reader.addresses)
    assert "<b>" not in made and "<i>" not in made


def test_a_page_of_sections() -> None:
    made = page_html("a < b", "<p>lead</p>", [Section("One part", "<p>x</p>")])
    assert "<title>a &lt; b</title>" in made
    assert '<a href="#one-part">One part</a>' in made and '<section id="one-part">' in made
