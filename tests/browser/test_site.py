"""The documentation site in a browser: no errors, nothing from elsewhere, links that lead somewhere, search, a phone.

EMIX_SITE is the folder of the built site: `ci/docs` builds it and runs these tests.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import pytest
from playwright.sync_api import Browser, Page

SITE = Path(os.environ["EMIX_SITE"])
PAGES = sorted(
    path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html") if SITE / "_static" not in path.parents
)
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# Pages without a heading of ours.
MADE_BY_SPHINX = {"genindex.html", "py-modindex.html", "search.html"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


class Watched:
    """A page of the browser, and all that it complained about or asked others for."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address, self.complaints = page, address, []
        page.on("console", lambda message: self.say(message.type, message.text, message.type in ("error", "warning")))
        page.on("pageerror", lambda error: self.say("error", str(error)))
        # The test goes on to the next page before an icon has come: that request is aborted, and has not failed.
        page.on("requestfailed", lambda got: self.say("failed", got.url, got.failure != "net::ERR_ABORTED"))
        page.on("response", lambda response: self.say("status", response.url, response.status >= 400))
        page.on("request", lambda request: self.say("from elsewhere", request.url, not self.is_ours(request.url)))

    def say(self, kind: str, text: str, counts: bool = True) -> None:
        if counts:
            self.complaints.append(f"{self.page.url}: {kind}: {text}")

    def is_ours(self, url: str) -> bool:
        return url.startswith((self.address, "data:"))

    def open(self, name: str) -> Page:
        self.page.goto(self.address + name, wait_until="load")
        return self.page


def watched(browser: Browser, address: str, **options: Any) -> Iterator[Watched]:
    context = browser.new_context(**options)
    yield Watched(context.new_page(), address)
    context.close()


@pytest.fixture
def desktop(browser: Browser, address: str) -> Iterator[Watched]:
    yield from watched(browser, address, viewport=DESKTOP)


@pytest.fixture
def phone(browser: Browser, address: str) -> Iterator[Watched]:
    yield from watched(browser, address, viewport=PHONE, has_touch=True, color_scheme="dark")


def test_pages_show_without_complaint_and_every_link_leads_to_a_place(desktop: Watched) -> None:
    places, links = set(), set()
    for name in PAGES:
        page = desktop.open(name)
        assert page.evaluate("[...document.images].filter(image => !image.naturalWidth).map(image => image.src)") == []
        places |= {(name, id) for id in page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")}
        hrefs = page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href'))")
        links |= {(name, urljoin(desktop.address + name, href)) for href in hrefs}
        if name not in MADE_BY_SPHINX:
            assert page.locator("h1").count() == 1, name
    assert desktop.complaints == []

    broken = []
    for name, link in sorted(links):
        url, fragment = urldefrag(link)
        target = unquote(url.removeprefix(desktop.address)) or "index.html"
        if desktop.is_ours(link) and not (
            (SITE / target).is_file() and (not fragment or (target, unquote(fragment)) in places)
        ):
            broken.append(f"{name}: {link}")
    assert broken == []


def test_pages_fit_a_phone(phone: Watched) -> None:
    wide = []
    for name in PAGES:
        width = phone.open(name).evaluate("document.documentElement.scrollWidth")
        if width > PHONE["width"]:
            wide.append(f"{name}: {width} px")
    assert wide == []
    assert phone.complaints == []


def test_a_phone_opens_the_menu(phone: Watched) -> None:
    page = phone.open("index.html")
    guide = page.locator("dialog, .bd-sidebar-primary").get_by_role("link", name="User guide", exact=True).first
    assert not guide.is_visible()
    page.locator(".primary-toggle").first.click()
    guide.click()
    page.wait_for_url("**/guide/index.html")
    assert page.locator("h1").inner_text().startswith("User guide")


def test_search_finds_covariance(desktop: Watched) -> None:
    page = desktop.open("index.html")
    page.locator(".search-button__button, .search-button").first.click()
    field = page.locator("dialog input[type=search], .search-button__wrapper input[type=search]").first
    field.fill("covariance")
    field.press("Enter")
    page.wait_for_url("**/search.html?q=covariance*")
    page.get_by_text("Search finished").wait_for()
    found = [link.get_attribute("href") or "" for link in page.locator("#search-results li > a").all()]
    assert any("structures.html" in link for link in found)
    assert any("MultivariateNormal" in link for link in found)
    assert desktop.complaints == []


def test_formulae_are_drawn(desktop: Watched) -> None:
    page = desktop.open("theory/steps.html")
    heights = page.evaluate("[...document.querySelectorAll('math')].map(m => m.getBoundingClientRect().height)")
    assert len(heights) >= 20 and min(heights) > 5
    assert "\\" not in page.locator("article").inner_text()
    # A browser that knows no MathML would write the two parts of a fraction side by side.
    above, below = (page.locator("div.math mfrac > *").nth(i).bounding_box() for i in (0, 1))
    assert above is not None and below is not None and above["y"] + above["height"] <= below["y"]


def test_the_reader_may_choose_light_or_dark(desktop: Watched) -> None:
    page = desktop.open("index.html")
    colours = set()
    for theme in ("light", "dark"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2
