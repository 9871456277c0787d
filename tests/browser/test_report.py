"""The report in a browser: no errors, no requests, readable on a telephone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

import emix
from emix.cli.command_line import main

WIDTHS = {"desk": 1200, "telephone": 390}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a table with long names, many columns and both kinds of finding."""
    from sklearn.datasets import load_wine

    folder = tmp_path_factory.mktemp("report")
    load_wine(as_frame=True).data.to_csv(folder / "wine.csv", index=False)
    arguments = ["-k", "1-4", "--covariance", "EEI,VVI,VVE,full", "--starts", "3", "--quiet"]
    assert main(["report", str(folder / "wine.csv"), *arguments, "--out", str(folder / "report.html")]) == 0
    return folder / "report.html"


@pytest.fixture(params=[(device, scheme) for device in WIDTHS for scheme in ("light", "dark")], ids="-".join)
def page(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Any]:
    device, scheme = request.param
    opened = browser.new_page(viewport={"width": WIDTHS[device], "height": 844}, color_scheme=scheme)
    opened.messages, opened.requests = [], []
    opened.on("console", lambda message: opened.messages.append(message.text))
    opened.on("pageerror", lambda error: opened.messages.append(str(error)))
    opened.on("request", lambda request: opened.requests.append(request.url))
    opened.goto(report.as_uri())
    opened.wait_for_load_state("networkidle")
    yield opened
    opened.close()


def test_no_errors_and_no_requests(page: Any, report: Path) -> None:
    assert page.messages == []
    assert [url for url in page.requests if not url.startswith("data:")] == [report.as_uri()]


def test_pictures_are_there(page: Any) -> None:
    sizes = page.eval_on_selector_all("img", "images => images.map(one => [one.complete, one.naturalWidth, one.alt])")
    assert len(sizes) == 6
    assert all(complete and width > 300 and text for complete, width, text in sizes)


def test_nothing_is_wider_than_the_page(page: Any) -> None:
    # Tables scroll in a box of their own.
    width = page.evaluate("document.scrollingElement.scrollWidth")
    assert width <= page.viewport_size["width"]
    outside = page.evaluate(
        """[...document.querySelectorAll('main *')]
           .filter(one => !one.closest('.emix-wide') && !one.closest('pre'))
           .filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 80))"""
    )
    assert outside == []


def test_text_is_large_and_dark_enough(page: Any) -> None:
    found = page.evaluate(
        """() => {
          const rgb = text => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
          const paper = rgb(getComputedStyle(document.body).backgroundColor);
          return [...document.querySelectorAll('p, td, th, h1, h2, h3, figcaption, a, summary')]
            .map(one => [parseFloat(getComputedStyle(one).fontSize), rgb(getComputedStyle(one).color), paper]);
        }"""
    )
    assert len(found) > 100
    assert min(size for size, _, _ in found) >= 12.0
    # WCAG 2.1, level AA: 4.5 for text.
    assert min(contrast(ink, paper) for _, ink, paper in found) >= 4.5


def contrast(one: list[float], other: list[float]) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(rgb: list[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_links_go_to_their_sections(page: Any) -> None:
    page.click("nav a >> text=Doubts")
    top = page.evaluate("document.querySelector('#doubts').getBoundingClientRect().top")
    bottom = page.evaluate("document.scrollingElement.scrollHeight - scrollY - innerHeight")
    assert abs(top) < 2 or bottom < 2


def test_an_estimators_html_can_be_read_on_light_and_dark(browser: Browser) -> None:
    gm = emix.GaussianMixture(2, random_state=0).fit(emix.load_faithful().data)
    for paper, ink in (("#fff", "#111"), ("#111", "#eee")):
        page = browser.new_page(viewport={"width": 390, "height": 800})
        parts = f"{gm._repr_html_()}{gm.summary()._repr_html_()}"
        # In a part of a page, and in a browser's old mode, in which tables do not inherit by themselves.
        page.set_content(f'<body style="margin:8px"><div style="background:{paper};color:{ink}">{parts}</div></body>')
        page.click("summary")
        colours = page.eval_on_selector_all("td, th, p", "all => all.map(one => getComputedStyle(one).color)")
        assert len(set(colours)) == 1  # that of the page
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
        page.close()
