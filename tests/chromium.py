"""Headless Chromium for tests."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from neuroglot.book.printing import chromium


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser; skips where there is none, fails where one is required."""
    found = chromium()
    if found is None:
        if os.environ.get("NEUROGLOT_REQUIRE_BROWSER"):
            pytest.fail("no Chromium on the path, and NEUROGLOT_REQUIRE_BROWSER is set")
        pytest.skip("no Chromium on the path; install Debian's package chromium to check the pages")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=flags)
        yield browser
        browser.close()
