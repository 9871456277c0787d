"""A headless browser for tests of what people see. `ci/docs` runs them: they need Chromium."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

# A browser that asks nobody for anything by itself, in a container without a sandbox and a graphics card.
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium: that of EMIX_CHROMIUM, or else Playwright's own."""
    with sync_playwright() as playwright:
        path = os.environ.get("EMIX_CHROMIUM") or None
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()
